"""Recorded camera lengths and defoci checked against lens settings: agreement, stale values, moved zeros, unknown ones."""

import dataclasses
import math

import numpy as np
import pytest

from reconstruct.calibration.modes.claims import Record, judge
from tests.reconstruct.calibration.test_modes import COLUMN, DRAWS, PATTERN, PROBE
from tests.twin.column.columns import settings
from twin.column.settings import Settings

PATTERNED = settings(diffraction=PATTERN, condenser2=0.8 * PROBE)
IMAGED = settings(diffraction=0.75 * PATTERN, condenser2=0.8 * PROBE)


def length() -> float:
    return float(np.median([float(COLUMN.optics(PATTERNED, constants).camera_length) for constants in DRAWS]))


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "agrees"), (1.02, "agrees"), (8.0, "contradicts"), (0.1, "contradicts")]
)
def test_a_camera_length_is_compared_with_the_lenses(factor: float, verdict: str):
    _, (judgement,) = judge(COLUMN, [Record("pattern", PATTERNED, camera_length=factor * length())], DRAWS)
    assert (judgement.quantity, judgement.verdict) == ("camera_length", verdict)
    assert judgement.expected == pytest.approx(length(), rel=0.05)


def test_a_camera_length_of_an_image_is_stale():
    (mode,), (judgement,) = judge(COLUMN, [Record("image", IMAGED, camera_length=length())], DRAWS)
    assert mode.projection["imaging"] > 0.95
    assert judgement.verdict == "stale"
    assert "make an image" in judgement.why


def test_a_camera_length_under_lenses_that_were_not_reported_is_left_open():
    controls = {name: value for name, value in IMAGED.controls.items() if "projector" not in name}
    _, (judgement,) = judge(COLUMN, [Record("image", Settings(300e3, controls), camera_length=length())], DRAWS)
    assert judgement.verdict == "unknown"
    assert "lens.projector1" in judgement.why


def driven(change: float) -> Settings:
    controls = dict(IMAGED.controls)
    controls["lens.objective"] *= 1 + change
    return dataclasses.replace(IMAGED, controls=controls)


def chromatic() -> float:
    return float(np.median([float(COLUMN.optics(IMAGED, constants).chromatic[1]) for constants in DRAWS]))


def test_a_defocus_that_the_objective_did_not_make_is_a_moved_zero():
    records = [Record("first", IMAGED, defocus=0.0), Record("second", IMAGED, defocus=9978.0)]
    _, (judgement,) = judge(COLUMN, records, DRAWS)
    assert (judgement.label, judgement.verdict) == ("second", "moved zero")
    assert "did not change" in judgement.why
    assert "997.8 nm" in judgement.why
    assert judgement.expected == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "agrees"), (0.3, "moved zero"), (-1.0, "moved zero")])
def test_a_defocus_that_the_objective_made_agrees(share: float, verdict: str):
    # C10 = 2 Cc dI/I: a stronger objective overfocuses
    change = 2e-4
    expected_change = 2 * chromatic() * change
    records = [
        Record("first", IMAGED, defocus=500.0),
        Record("second", driven(change), defocus=500.0 + share * expected_change),
    ]
    _, (judgement,) = judge(COLUMN, records, DRAWS)
    assert judgement.verdict == verdict
    assert judgement.expected == pytest.approx(expected_change, rel=0.02)


def test_without_the_objective_the_zero_is_unknown():
    controls = {name: value for name, value in IMAGED.controls.items() if name != "lens.objective"}
    records = [Record("first", IMAGED, defocus=0.0), Record("second", Settings(300e3, controls), defocus=1e4)]
    _, (judgement,) = judge(COLUMN, records, DRAWS)
    assert judgement.verdict == "unknown"
    assert math.isnan(judgement.expected)
