"""Files of a session against each other, and their timeline."""

import dataclasses

import numpy as np
import pytest

from reconstruct.validation.recording import Further, validate_recording
from reconstruct.validation.session.entries import Entry, contradictions_of_session, moved_between_files, time_of
from reconstruct.validation.session.timeline import timeline
from tests.reconstruct.validation.made import claims_of
from twin.records import Axis, Claim, Signal

LENSES = {
    "lens__condenser2": 0.34233713150024414,
    "lens__condenser3": 0.1,
    "lens__minicondenser": 0.978,
    "lens__objective": 0.87979847192764282,
}
PROJECTION = {
    "lens__diffraction": 0.32063886523246765,
    "lens__intermediate": -0.4697,
    "lens__projector1": -0.4615,
    "lens__projector2": -0.9103,
}
SECOND = 10**9


def entry(name, at, **changes):
    values = {
        "high_tension": 300e3,
        "C10": 0.0,
        "convergence_semiangle": 0.028761744195,
        **LENSES,
        **PROJECTION,
        **changes,
    }
    claims = claims_of(**{key: value for key, value in values.items() if value is not None})
    claims |= {"time.start": Claim(at * SECOND, "nanosecond", "t", zone="UTC"), "instrument": Claim("scope", None, "i")}
    return Entry(name, claims, at * SECOND)


@pytest.mark.smoke
def test_a_derived_number_that_kept_its_digits_is_stale():
    files = [entry("a", 10), entry("b", 20, lens__condenser2=0.29791897535324097)]
    (item,) = contradictions_of_session(files)["b"]
    assert (item.field, item.status, item.since) == ("convergence_semiangle", "stale", 10 * SECOND)
    computed = [entry("a", 10), entry("b", 20, lens__condenser2=0.2979, convergence_semiangle=0.0301234567)]
    assert not contradictions_of_session(computed)
    round_number = [
        entry("a", 10, convergence_semiangle=0.021),
        entry("b", 20, lens__condenser2=0.2979, convergence_semiangle=0.021),
    ]
    assert not contradictions_of_session(round_number), "a round number may be equal by chance"


def test_a_defocus_that_moves_without_its_lens():
    files = [entry("a", 10), entry("b", 20, C10=9978.1), entry("c", 30)]
    assert {name: [item.field for item in items] for name, items in contradictions_of_session(files).items()} == {
        "b": ["C10"]
    }
    refocused = [entry("a", 10), entry("b", 20, C10=9978.1, lens__objective=0.8798)]
    assert not contradictions_of_session(refocused)


def test_a_voltage_without_its_lenses():
    files = [entry("a", 10), entry("b", 20), entry("c", 30, high_tension=200e3)]
    said = contradictions_of_session(files)
    assert [item.field for item in said["c"]] == ["high_tension"]
    assert said["c"][0].suggested == 300e3
    assert set(said) == {"c"}


def test_other_instruments_and_files_without_a_time_are_left_alone():
    other = entry("b", 20, C10=9978.1)
    other = dataclasses.replace(other, claims={**other.claims, "instrument": Claim("another", None, "i")})
    assert not contradictions_of_session([entry("a", 10), other])
    untimed = dataclasses.replace(entry("b", 20, C10=9978.1), time=None)
    assert not contradictions_of_session([entry("a", 10), untimed])
    assert time_of({}) is None


def test_the_timeline_has_windows_of_faults():
    files = [
        entry(name, at, C10=value)
        for name, at, value in (("a", 10, 0.0), ("b", 20, 500.0), ("c", 30, 500.0), ("d", 40, 0.0), ("e", 50, 0.0))
    ]
    said = contradictions_of_session(files)
    axes = (Axis("y", 4, 1.0, 0.0, None), Axis("x", 4, 1.0, 0.0, None))
    recordings = []
    for item in files:
        signal = Signal(np.zeros((4, 4)), axes, "image", "", "", "t", dict(item.claims))
        further = Further(contradictions=tuple(said.get(item.name, ())))
        recordings.append(validate_recording(item.name, signal, further=further))
    result = timeline(recordings)
    (fault,) = [fault for fault in result.faults if fault.field == "C10"]
    assert (fault.first, fault.last, fault.files) == (20 * SECOND, 30 * SECOND, ("b", "c"))
    (lane,) = [lane for lane in result.lanes if lane.field == "C10"]
    assert lane.claimed == (0.0, 500.0, 500.0, 0.0, 0.0)
    assert result.untimed == ()
    assert [(drift.field, drift.change, drift.command, names) for drift, names in result.drifts] == [
        ("C10", 500.0, "lenses stayed", ("b",)),
        ("C10", -500.0, "lenses stayed", ("d",)),
    ]
    assert "C10 moved by +50 nm from 1970-01-01 00:00:10 to 00:00:20 UTC (the lenses that move it stayed)" in [
        drift.words for drift, _ in result.drifts
    ]


def test_what_its_lenses_move_is_no_drift():
    refocused = [entry("a", 10), entry("b", 20, C10=500.0, lens__objective=0.88)]
    assert moved_between_files(refocused) == []
    lengths = [entry("a", 10, camera_length=1e9), entry("b", 20, camera_length=1.1e9)]
    assert [drift.field for drift, _ in moved_between_files(lengths)] == ["camera_length"]
    unknown = [entry("a", 10, lens__objective=None), entry("b", 20, C10=500.0, lens__objective=None)]
    assert moved_between_files(unknown) == [], "nothing is known of its lens"
