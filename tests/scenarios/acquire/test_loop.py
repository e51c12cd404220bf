"""A session on a simulated microscope in this process: it completes, its doses add up, and it keeps its limits.

That the same seed gives the same result is tested on whole sessions in tests/faults/test_acquire_killed.py.
"""

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from instrument.simulation.instrument import SimulatedMicroscope, from_mapping
from learn.discrepancy.trust import Limits
from scenarios.acquire.dose_accounting import ALIGNMENT, CAUSES, Ledger, electrons_of
from scenarios.acquire.job import past_of, summary
from scenarios.acquire.loop import EXTRA_ALIGNMENTS, UNAMBIGUOUS_WEIGHT, Policy, SessionLoop
from scenarios.acquire.planning.alignment import DOSES, DWELLS, candidate_scans
from scenarios.acquire.planning.requests import plan_requests
from scenarios.acquire.scenario import Scenario, from_dict
from scenarios.acquire.twin_session import TwinSession
from scenarios.io.progress import SilentProgress
from scenarios.report.session import request_rows
from tests.once import run_folder
from tests.small import small_column, small_microscope
from twin.records import Scan

pytestmark = pytest.mark.slow

TINY = {
    "repeats_xy": 2,
    "cells": 7,
    "wedge_swing": 1.0,
    "gpts": 96,
    "phonon_configs": 1,
    "slices_per_cell": 2,
    "specimen_seed": 0,
    "haadf_outer": 90e-3,
}
SCENARIO: dict[str, Any] = {
    "name": "small",
    "kind": "tune-and-map",
    "tolerance": 0.1,
    "audit_share": 0.2,
    "alignment": 1,
    "requests": {"count": 6, "sites": 2, "duration": 100.0, "spacing": 2.0},
}


TWO_REQUESTS = {"count": 2, "sites": 1, "duration": 50.0, "spacing": 2.0}
ONE_REQUEST = {**TWO_REQUESTS, "count": 1}


SEED = 1


class Recorder(SilentProgress):
    def __init__(self):
        self.events = []

    def request(self, event):
        self.events.append(event)


def session(
    folder,
    policy: Policy = "decide",
    chosen: frozenset[int] = frozenset(),
    limits: Limits | None = None,
    phonon_configs: int = 1,
    **changed,
) -> dict[str, Any]:
    """A session's loop, result, rows and frames."""
    scenario: Scenario = from_dict({**SCENARIO, **changed}, "test")
    instrument = SimulatedMicroscope(
        from_mapping({**TINY, "phonon_configs": phonon_configs}), SEED, run_folder("specimens")
    )
    requests, moves = plan_requests(scenario.requests, SEED)
    microscope = small_microscope()
    twin_session = TwinSession(microscope, small_column(), instrument.now(), SEED, limits)
    progress = Recorder()
    with Journal.create(folder) as journal:
        loop = SessionLoop(
            instrument, twin_session, scenario, requests, moves, journal, progress, instrument.now(), policy, chosen
        )
        loop.run()
        rows = list(journal.rows(kind="request"))
        alignment = list(journal.rows(kind="alignment"))
        frame_rows = {row.id: journal.frame(row) for row in journal.rows("frame")}
        checkpoints = list(journal.rows(kind="checkpoint"))
        findings = [row.payload for row in journal.rows(kind="finding")]
        answers, revised = request_rows(journal), list(journal.rows(kind="revised"))
    return {
        "loop": loop,
        "result": summary(loop, {}, SEED, 1.0),
        "rows": rows,
        "alignment": alignment,
        "frames": list(frame_rows.values()),
        "frame_rows": frame_rows,
        "checkpoints": checkpoints,
        "findings": findings,
        "answers": answers,
        "revised": revised,
        "events": progress.events,
        "instrument": instrument,
    }


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    return session(tmp_path_factory.mktemp("loop") / "session")


def decisions(run) -> list[str]:
    return [row.payload["decision"] for row in run["rows"]]


def test_it_answers_every_request(decided):
    result, rows = decided["result"], decided["rows"]
    assert [row.payload["index"] for row in rows] == list(range(6))
    assert result["measured"] + result["simulated"] == result["requests"] == 6
    assert sum(row.payload["measured"] for row in rows) == result["measured"]
    assert sum(row.payload["decision"] == "audit" for row in rows) == result["audited"]
    assert result["simulated"] > 0
    assert len(decided["events"]) == 6
    assert {row.arrays["answer"].shape for row in rows} == {(16, 16)}
    for row in rows:
        assert np.isfinite(row.arrays["answer"]).all()
        assert (row.arrays["answer_std"] > 0).all()
        for name, (centre, low, high, std) in row.payload["numbers"].items():
            assert low <= centre <= high, name
            assert std > 0


def test_the_result_has_every_key(decided):
    keys = {
        *(
            "schema",
            "scenario",
            "seed",
            "requests",
            "measured",
            "simulated",
            "audited",
            "alignments",
            "rmse",
            "rmse_at_once",
            "rmse_always",
        ),
        *("coverage90", "dose_spent", "dose_by_purpose", "dose_saved", "model_distrusted", "distrusted_because"),
        *("distrusted_after_measured", "seconds"),
    }
    assert keys <= set(decided["result"])
    assert set(decided["result"]["dose_by_purpose"]) == {"pixels", "flyback", "settle_dose", "alignment"}
    assert decided["result"]["schema"] == "emtwin.acquire/2"


def test_the_doses_add_up(decided):
    result, frames = decided["result"], decided["frames"]
    assert len(frames) == result["measured"] + result["alignments"]
    assert result["alignments"] == len(decided["alignment"])
    purpose = result["dose_by_purpose"]
    assert result["dose_spent"] == pytest.approx(sum(frame.exposure.total for frame in frames))
    assert result["dose_spent"] == pytest.approx(purpose["pixels"] + purpose["flyback"] + purpose["settle_dose"])
    assert purpose["pixels"] == pytest.approx(len(frames) * 256 * 1e4 * (3.905 / 16) ** 2)
    assert purpose["alignment"] == pytest.approx(result["dose_spent"] * result["alignments"] / len(frames))
    scan = Scan(blanked=True)
    assert all(frame.scan == scan for frame in frames)
    assert electrons_of(scan) == pytest.approx(frames[0].exposure.total)
    assert purpose["flyback"] == purpose["settle_dose"] == 0
    assert result["dose_saved"] == pytest.approx((result["simulated"] - result["alignments"]) * electrons_of(scan))


def test_electrons_are_told_by_cause(decided, aligned):
    for made in (decided, aligned):
        result, by_cause = made["result"], made["result"]["dose_by_cause"]
        assert set(by_cause) == set(CAUSES)
        total = {cause: sum(parts.values()) for cause, parts in by_cause.items()}
        assert sum(total.values()) == pytest.approx(result["dose_spent"])
        assert sum(total[cause] for cause in ALIGNMENT) == pytest.approx(result["dose_by_purpose"]["alignment"])
        assert total["abandoned"] == 0
        costs = {}
        for row in [*made["rows"], *made["alignment"]]:
            if (number := row.payload["frame_row"]) is not None:
                decision = {"audit": "audits"}.get(row.payload.get("decision"), "measured")
                costs.setdefault(row.payload.get("cause", decision), []).append(
                    made["frame_rows"][number].exposure.total
                )
        for cause in CAUSES:
            assert total[cause] == pytest.approx(sum(costs.get(cause, [])))


def test_what_measuring_every_request_would_have_cost(aligned):
    result, scan = aligned["result"], Scan(blanked=True)
    costs = result["dose_of_measuring_all"]
    assert costs["same_scan"] == pytest.approx(result["requests"] * electrons_of(scan))
    assert costs["unblanked"] == pytest.approx(result["requests"] * electrons_of(Scan()))
    assert 0 < costs["same_error"] < 2 * costs["same_scan"]


def test_alignment_continues_while_the_belief_is_ambiguous(decided):
    for site in (0, 1):
        images = [row.payload for row in decided["alignment"] if row.payload["site"] == site]
        assert [row["number"] for row in images] == list(range(len(images)))
        assert 1 <= len(images) <= 1 + EXTRA_ALIGNMENTS
        assert all(row["certainty"] < UNAMBIGUOUS_WEIGHT for row in images[:-1])
        assert images[-1]["certainty"] >= UNAMBIGUOUS_WEIGHT or len(images) == 1 + EXTRA_ALIGNMENTS


def test_the_settings_are_those_requested_less_the_zeros(decided):
    """Commanded and requested settings differ by the estimated optics, and commands stay within the controls' ranges."""
    for row in decided["rows"]:
        requested, settings = row.payload["requested"], row.payload["settings"]
        assert settings["beam_shift.x"] == requested["beam_shift.x"]
        assert abs(settings["C10"]) <= 2000
        assert abs(settings["C12.a"]) <= 500
    measured = [row.payload for row in decided["rows"] if row.payload["measured"]]
    assert measured
    assert all(isinstance(row["frame_row"], int) for row in measured)
    assert all(row.payload["frame_row"] is None for row in decided["rows"] if not row.payload["measured"])


@pytest.mark.parametrize(("name", "most"), [("decided", 3), ("aligned", 2)])
@pytest.mark.slow
def test_no_more_is_measured_than_allowed_while_the_model_is_trusted(name, most, request):
    """What is measured for want of trust is bounded by no share: it is counted apart, comes only after a finding, and from there on is everything."""
    run = request.getfixturevalue(name)
    decided_as = decisions(run)
    assert sum(decision in ("measure", "audit") for decision in decided_as) <= most
    distrusted = [row.payload["distrusted"] for row in run["rows"]]
    for number, decision in enumerate(decided_as):
        assert distrusted[number] or decision != "distrusted"
        assert number == 0 or decision == "distrusted" or not distrusted[number - 1]
    assert len(run["findings"]) == run["result"]["model_distrusted"] == distrusted[-1]


def test_a_session_whose_model_fits_is_trusted(aligned):
    assert not aligned["result"]["model_distrusted"], aligned["result"]["distrusted_because"]
    assert set(decisions(aligned)) <= {"answer", "measure", "audit"}
    assert 1 <= aligned["result"]["measured"] <= 2


def test_once_distrusted_everything_is_measured_and_no_alignment_image_is_taken(tmp_path):
    """Limits that every image exceeds: after the first one the model is distrusted, which is reported once, and the twin answers no more requests."""
    run = session(
        tmp_path / "session", limits=Limits(misfit=-1e6), requests=TWO_REQUESTS, max_dose_share=10.0, audit_share=0.0
    )
    result = run["result"]
    assert decisions(run) == ["distrusted", "distrusted"]
    assert (result["measured"], result["simulated"], result["alignments"]) == (2, 0, 1)
    assert (result["model_distrusted"], result["distrusted_after_measured"]) == (True, 1)
    assert [finding["kind"] for finding in run["findings"]] == ["model_distrusted"]
    assert run["findings"][0]["text"] == result["distrusted_because"] != ""


def test_a_checkpoint_brings_everything_back(decided):
    loop, last = decided["loop"], decided["checkpoints"][-1]
    microscope = small_microscope()
    twin_session = TwinSession(microscope, small_column(), 0, 1)
    twin_session.restore(last.payload, last.arrays)
    before, resumed = loop.twin_session, twin_session
    assert resumed.belief.time == before.belief.time
    np.testing.assert_array_equal(resumed.belief.means, before.belief.means)
    np.testing.assert_array_equal(resumed.belief.cov_sqrt, before.belief.cov_sqrt)
    np.testing.assert_array_equal(resumed.discrepancy.log_weights, before.discrepancy.log_weights)
    assert (resumed.trust, resumed.inflation) == (before.trust, before.inflation)
    assert {
        name: asdict(health) for name, health in resumed.filter.health.items()
    }.keys() == before.filter.health.keys()
    with pytest.raises(ValueError, match="cannot be resumed"):
        twin_session.restore({**last.payload, "names": ["focus"]}, last.arrays)


@pytest.mark.parametrize("rewound", [True, False])
def test_frames_after_the_checkpoint_are_charged_unless_they_were_undone(decided, tmp_path, rewound):
    loop, last = decided["loop"], decided["checkpoints"][-1]
    frame = decided["frames"][-1]
    with Journal.create(tmp_path / "s") as journal:
        journal.append_frame(frame)
        row = journal.append("checkpoint", last.payload, last.time, last.arrays)
        journal.append_frame(frame)
        journal.append("resumed", {"checkpoint": row, "rewound": rewound}, last.time)
        journal.append_frame(frame)
    past = past_of(tmp_path / "s", 1)
    assert len(past["abandoned"]) == (1 if rewound else 2)
    loop = copy.copy(loop)
    loop.twin_session = copy.copy(loop.twin_session)
    loop.resume(past["values"], past["arrays"], past["abandoned"])
    before = Ledger(**last.payload["ledger"])
    assert loop.ledger.spent == pytest.approx(before.spent + len(past["abandoned"]) * frame.exposure.total)
    assert (loop.ledger.measured, loop.ledger.alignments) == (before.measured, before.alignments)


def test_control_policies_measure_what_they_name(tmp_path):
    always = session(tmp_path / "always", policy="always", requests=ONE_REQUEST, alignment=0)
    assert (always["result"]["measured"], always["result"]["simulated"]) == (1, 0)
    assert always["result"]["dose_saved"] == 0
    random_requests = session(
        tmp_path / "random_requests", policy="random", chosen=frozenset({1}), requests=TWO_REQUESTS, alignment=0
    )
    assert [row.payload["measured"] for row in random_requests["rows"]] == [False, True]
    assert random_requests["result"]["alignments"] == 0


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned") / "session"
    # columns of one phonon configuration scatter by as much as a sound model may err (`Discrepancy.prior`)
    return session(folder, max_dose_share=0.8, max_measured_share=0.34, phonon_configs=4)


def test_alignment_images_are_chosen_within_their_electrons_at_the_requests_beam_shift(aligned):
    result, rows, alignment = aligned["result"], aligned["rows"], [row.payload for row in aligned["alignment"]]
    cost = electrons_of(Scan(blanked=True))
    # no more than allowed, but for one image that finds the lattice at each place
    assert result["dose_spent"] <= 0.8 * 6 * cost + 2 * max(DOSES) * cost
    assert [exposure["site"] for exposure in alignment].count(0) >= 1
    assert [exposure["site"] for exposure in alignment].count(1) >= 1
    shifts = [[row.payload["requested"][f"beam_shift.{axis}"] for axis in "xy"] for row in rows]
    assert all([exposure["settings"][f"beam_shift.{axis}"] for axis in "xy"] in shifts for exposure in alignment)
    assert {exposure["dose"] / Scan().dose for exposure in alignment} <= set(DOSES)
    assert {exposure["dwell"] for exposure in alignment} == {Scan().dwell}


DOSES_TO_CHOOSE = (0.25, 0.5, 1.0)


def test_requests_are_measured_with_chosen_doses_and_the_rest_is_saved(tmp_path):
    made = session(
        tmp_path / "s", alignment=0, measured_doses=DOSES_TO_CHOOSE, max_measured_share=1.0, max_dose_share=0.5
    )
    result, cost = made["result"], electrons_of(Scan(blanked=True))
    assert (result["measured"], result["alignments"]) == (len(made["frames"]), 0)
    doses = [frame.scan.dose / Scan().dose for frame in made["frames"]]
    assert set(doses) <= set(DOSES_TO_CHOOSE)
    assert min(doses) < 1.0
    assert result["dose_spent"] == pytest.approx(sum(doses) * cost)
    assert result["dose_spent"] <= 0.5 * 6 * cost * (1.0 + 1e-9)
    assert result["dose_saved"] == pytest.approx(6 * cost - result["dose_spent"])
    measured = [row.payload for row in made["rows"] if row.payload["measured"]]
    assert [payload["electrons"] for payload in measured] == pytest.approx([dose * cost for dose in doses])
    for row in made["rows"]:
        assert row.payload["requested_electrons"] == pytest.approx(cost)


def test_the_dose_of_a_request_is_the_whole_one_where_none_is_planned(tmp_path):
    keys: dict[str, Any] = {
        "alignment": 0,
        "measured_doses": DOSES_TO_CHOOSE,
        "max_measured_share": 1.0,
        "tolerance": 1e-3,
    }
    made = session(tmp_path / "s", requests=ONE_REQUEST, **keys)
    assert [frame.scan.dose for frame in made["frames"]] == [Scan().dose]


def test_where_the_beam_cannot_be_blanked_an_alignment_image_is_longer_not_weaker():
    scans = candidate_scans(Scan())
    assert [round(scan.dwell / Scan().dwell) for scan in scans] == list(DWELLS)
    currents = {round(scan.dose / scan.dwell) for scan in scans}
    assert currents == {round(Scan().dose / Scan().dwell)}


def test_the_doses_add_up_with_exposures_of_several_lengths(aligned):
    result, frames = aligned["result"], aligned["frames"]
    assert result["dose_spent"] == pytest.approx(sum(frame.exposure.total for frame in frames))
    frame_rows = {row.payload["frame_row"] for row in aligned["alignment"]}
    assert len(frame_rows) == result["alignments"] > 0
    for frame in frames:
        assert frame.exposure.total == pytest.approx(electrons_of(frame.scan))
    assert result["dose_by_purpose"]["alignment"] == pytest.approx(
        result["dose_spent"] - result["measured"] * electrons_of(Scan(blanked=True))
    )


def test_without_alignment_no_image_is_taken_that_answers_nothing(tmp_path):
    alone = session(tmp_path / "alone", requests=TWO_REQUESTS, alignment=0, max_dose_share=1.0)
    assert alone["result"]["alignments"] == 0


def test_it_follows_the_microscope(decided):
    """Images reduce the prior errors of what they determine: at the end, and of defocus after every alignment."""
    layout = decided["loop"].twin_session.microscope.layout
    belief, prior = decided["loop"].twin_session.belief, layout.prior_std()
    for name in ("C10", "thickness"):
        assert belief.std[layout.index(name)] < 0.9 * prior[layout.index(name)], name
    index = layout.index("C10")
    left = [np.sqrt((row.arrays["cov_sqrt"] ** 2).sum(axis=2))[:, index] for row in decided["checkpoints"]]
    assert max(std.max() for std in left) < 0.9 * prior[index]  # of each reading, where there is more than one
