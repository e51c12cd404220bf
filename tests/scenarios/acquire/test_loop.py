"""A session on a simulated microscope in this process: it ends, its books balance, and it keeps to what it may measure.

That the same seed does the same again is asked of whole sessions in tests/faults/test_acquire_killed.py.
"""

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from instrument.simulated.instrument import SimulatedMicroscope, from_mapping
from learn.discrepancy.trust import Limits
from scenarios.acquire.alignment import DWELLS, exposed
from scenarios.acquire.dose_accounting import Ledger, electrons_of
from scenarios.acquire.job import _past, summary
from scenarios.acquire.loop import FOCUS_MORE, SETTLED, Policy, Walk
from scenarios.acquire.requests import plan_requests
from scenarios.acquire.scenario import Scenario, from_dict
from scenarios.acquire.twin_session import Following
from scenarios.io.progress import SilentProgress
from tests.once import run_folder
from tests.small import small_microscope
from twin.dynamics import standard_dynamics
from twin.records import Scan
from twin.sensors import standard_sensors

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
    "focusing": 1,
    "requests": {"count": 6, "sites": 2, "duration": 100.0, "spacing": 2.0},
}


FEW = {"count": 2, "sites": 1, "duration": 50.0, "spacing": 2.0}
ONE = {**FEW, "count": 1}


SEED = 1


class Recorder(SilentProgress):
    def __init__(self):
        self.events = []

    def request(self, event):
        self.events.append(event)


def session(
    folder, policy: Policy = "decide", chosen: frozenset[int] = frozenset(), limits: Limits | None = None, **changed
) -> dict[str, Any]:
    """A session's walk, result, rows and frames."""
    scenario: Scenario = from_dict({**SCENARIO, **changed}, "test")
    instrument = SimulatedMicroscope(from_mapping(TINY), SEED, run_folder("specimens"))
    requests, moves = plan_requests(scenario.requests, SEED)
    microscope = small_microscope()
    dynamics = standard_dynamics(microscope.layout)
    following = Following(microscope, dynamics, standard_sensors(), instrument.now(), SEED, limits)
    progress = Recorder()
    with Journal.create(folder) as journal:
        walk = Walk(
            instrument, following, scenario, requests, moves, journal, progress, instrument.now(), policy, chosen
        )
        walk.run()
        rows = list(journal.rows(kind="request"))
        focusing = list(journal.rows(kind="focusing"))
        frames = [journal.frame(row) for row in journal.rows("frame")]
        checkpoints = list(journal.rows(kind="checkpoint"))
        findings = [row.payload for row in journal.rows(kind="finding")]
    return {
        "walk": walk,
        "result": summary(walk, {}, SEED, 1.0),
        "rows": rows,
        "focusing": focusing,
        "frames": frames,
        "checkpoints": checkpoints,
        "findings": findings,
        "events": progress.events,
        "instrument": instrument,
    }


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    return session(tmp_path_factory.mktemp("walk") / "session")


def decisions(found) -> list[str]:
    return [row.payload["decision"] for row in found["rows"]]


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
            "focused",
            "rmse",
            "rmse_always",
        ),
        *("coverage90", "dose_spent", "dose_by_purpose", "dose_saved", "model_distrusted", "distrusted_because"),
        *("distrusted_after_measured", "seconds"),
    }
    assert keys <= set(decided["result"])
    assert set(decided["result"]["dose_by_purpose"]) == {"pixels", "flyback", "parked", "focusing"}
    assert decided["result"]["schema"] == "emtwin.acquire/1"


def test_the_books_balance(decided):
    result, frames = decided["result"], decided["frames"]
    assert len(frames) == result["measured"] + result["focused"]
    assert result["focused"] == len(decided["focusing"])
    purpose = result["dose_by_purpose"]
    assert result["dose_spent"] == pytest.approx(sum(frame.exposure.total for frame in frames))
    assert result["dose_spent"] == pytest.approx(purpose["pixels"] + purpose["flyback"] + purpose["parked"])
    assert purpose["pixels"] == pytest.approx(len(frames) * 256 * 1e4 * (3.905 / 16) ** 2)
    assert purpose["focusing"] == pytest.approx(result["dose_spent"] * result["focused"] / len(frames))
    scan = Scan()
    assert electrons_of(scan) == pytest.approx(frames[0].exposure.total)
    assert result["dose_saved"] == pytest.approx((result["simulated"] - result["focused"]) * electrons_of(scan))


def test_focusing_goes_on_while_there_is_more_than_one_reading(decided):
    for site in (0, 1):
        taken = [row.payload for row in decided["focusing"] if row.payload["site"] == site]
        assert [row["number"] for row in taken] == list(range(len(taken)))
        assert 1 <= len(taken) <= 1 + FOCUS_MORE
        assert all(row["certainty"] < SETTLED for row in taken[:-1])
        assert taken[-1]["certainty"] >= SETTLED or len(taken) == 1 + FOCUS_MORE


def test_the_settings_are_those_asked_for_less_the_zeros(decided):
    """What was commanded differs from what was asked by the optics as believed, and stays within the controls."""
    for row in decided["rows"]:
        asked, settings = row.payload["asked"], row.payload["settings"]
        assert settings["beam_shift.x"] == asked["beam_shift.x"]
        assert abs(settings["C10"]) <= 2000
        assert abs(settings["C12.a"]) <= 500
    measured = [row.payload for row in decided["rows"] if row.payload["measured"]]
    assert measured
    assert all(isinstance(row["frame_row"], int) for row in measured)
    assert all(row.payload["frame_row"] is None for row in decided["rows"] if not row.payload["measured"])


@pytest.mark.parametrize(("name", "most"), [("decided", 3), ("aligned", 2)])
def test_no_more_is_measured_than_allowed_while_the_model_is_trusted(name, most, request):
    """What is measured for want of trust is bounded by no share: it is counted apart, comes only after a finding, and from there on is everything."""
    found = request.getfixturevalue(name)
    taken = decisions(found)
    assert sum(one in ("measure", "audit") for one in taken) <= most
    distrusted = [row.payload["distrusted"] for row in found["rows"]]
    for number, one in enumerate(taken):
        assert distrusted[number] or one != "distrusted"
        assert number == 0 or one == "distrusted" or not distrusted[number - 1]
    assert len(found["findings"]) == found["result"]["model_distrusted"] == distrusted[-1]


def test_a_session_whose_model_fits_is_trusted(aligned):
    assert not aligned["result"]["model_distrusted"], aligned["result"]["distrusted_because"]
    assert set(decisions(aligned)) <= {"answer", "measure", "audit"}
    assert 1 <= aligned["result"]["measured"] <= 2


def test_once_distrusted_everything_is_measured_and_no_alignment_image_is_taken(tmp_path):
    """Limits that no image can keep: distrusted after the first one, the session says so once and asks the twin no more."""
    found = session(
        tmp_path / "session", limits=Limits(misfit=-1e6), requests=FEW, max_dose_share=10.0, audit_share=0.0
    )
    result = found["result"]
    assert decisions(found) == ["distrusted", "distrusted"]
    assert (result["measured"], result["simulated"], result["focused"]) == (2, 0, 1)
    assert (result["model_distrusted"], result["distrusted_after_measured"]) == (True, 1)
    assert [one["kind"] for one in found["findings"]] == ["model_distrusted"]
    assert found["findings"][0]["text"] == result["distrusted_because"] != ""


def test_a_checkpoint_brings_everything_back(decided):
    walk, last = decided["walk"], decided["checkpoints"][-1]
    microscope = small_microscope()
    following = Following(microscope, standard_dynamics(microscope.layout), standard_sensors(), 0, 1)
    following.restore(last.payload, last.arrays)
    before, after = walk.following, following
    assert after.belief.time == before.belief.time
    np.testing.assert_array_equal(after.belief.means, before.belief.means)
    np.testing.assert_array_equal(after.belief.cov_sqrt, before.belief.cov_sqrt)
    np.testing.assert_array_equal(after.discrepancy.log_weights, before.discrepancy.log_weights)
    assert (after.trust, after.inflation) == (before.trust, before.inflation)
    assert {name: asdict(health) for name, health in after.filter.health.items()}.keys() == before.filter.health.keys()
    with pytest.raises(ValueError, match="cannot go on from there"):
        following.restore({**last.payload, "names": ["focus"]}, last.arrays)


@pytest.mark.parametrize("rewound", [True, False])
def test_frames_after_the_checkpoint_are_charged_unless_they_were_undone(decided, tmp_path, rewound):
    walk, last = decided["walk"], decided["checkpoints"][-1]
    frame = decided["frames"][-1]
    with Journal.create(tmp_path / "s") as journal:
        journal.append_frame(frame)
        row = journal.append("checkpoint", last.payload, last.time, last.arrays)
        journal.append_frame(frame)
        journal.append("resumed", {"checkpoint": row, "rewound": rewound}, last.time)
        journal.append_frame(frame)
    past = _past(tmp_path / "s", 1)
    assert len(past["abandoned"]) == (1 if rewound else 2)
    walk = copy.copy(walk)
    walk.following = copy.copy(walk.following)
    walk.resume(past["values"], past["arrays"], past["abandoned"])
    before = Ledger(**last.payload["ledger"])
    assert walk.ledger.spent == pytest.approx(before.spent + len(past["abandoned"]) * frame.exposure.total)
    assert (walk.ledger.measured, walk.ledger.focused) == (before.measured, before.focused)


def test_controls_measure_what_they_are_told(tmp_path):
    always = session(tmp_path / "always", policy="always", requests=ONE, focusing=0)
    assert (always["result"]["measured"], always["result"]["simulated"]) == (1, 0)
    assert always["result"]["dose_saved"] == 0
    few = session(tmp_path / "few", policy="random", chosen=frozenset({1}), requests=FEW, focusing=0)
    assert [row.payload["measured"] for row in few["rows"]] == [False, True]
    assert few["result"]["focused"] == 0


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned") / "session"
    return session(folder, max_dose_share=0.8, max_measured_share=0.34)


def test_alignment_images_are_chosen_within_their_electrons_at_the_requests_beam_shift(aligned):
    result, rows, focusing = aligned["result"], aligned["rows"], [row.payload for row in aligned["focusing"]]
    cost = electrons_of(Scan())
    # no more than allowed, but for one image that finds the lattice at each place
    assert result["dose_spent"] <= 0.8 * 6 * cost + 2 * electrons_of(exposed(Scan(), max(DWELLS)))
    assert [one["site"] for one in focusing].count(0) >= 1
    assert [one["site"] for one in focusing].count(1) >= 1
    shifts = [[row.payload["asked"][f"beam_shift.{axis}"] for axis in "xy"] for row in rows]
    assert all([one["settings"][f"beam_shift.{axis}"] for axis in "xy"] in shifts for one in focusing)
    assert {round(one["dwell"] / Scan().dwell) for one in focusing} <= set(DWELLS)


def test_the_books_balance_with_exposures_of_several_lengths(aligned):
    result, frames = aligned["result"], aligned["frames"]
    assert result["dose_spent"] == pytest.approx(sum(frame.exposure.total for frame in frames))
    taken = {row.payload["frame_row"] for row in aligned["focusing"]}
    assert len(taken) == result["focused"] > 0
    for frame in frames:
        assert frame.exposure.total == pytest.approx(electrons_of(frame.scan))
    assert result["dose_by_purpose"]["focusing"] == pytest.approx(
        result["dose_spent"] - result["measured"] * electrons_of(Scan())
    )


def test_without_focusing_no_image_is_taken_that_answers_nothing(tmp_path):
    alone = session(tmp_path / "alone", requests=FEW, focusing=0, max_dose_share=1.0)
    assert alone["result"]["focused"] == 0


def test_it_follows_the_microscope(decided):
    """What its images determine is known better than its priors say: at the end, and defocus in each reading after every focused place."""
    layout = decided["walk"].following.microscope.layout
    belief, prior = decided["walk"].following.belief, layout.prior_std()
    for name in ("C10", "thickness"):
        assert belief.std[layout.index(name)] < 0.9 * prior[layout.index(name)], name
    place = layout.index("C10")
    left = [np.sqrt((row.arrays["cov_sqrt"] ** 2).sum(axis=2))[:, place] for row in decided["checkpoints"]]
    assert max(one.max() for one in left) < 0.9 * prior[place]  # of each reading, where there is more than one
