"""Claims held against lenses: a camera length of an image is stale, a defocus that no lens made is a moved zero, and doubt is said."""

import dataclasses
import math

import numpy as np
import pytest

from reconstruct.calibration.modes.claims import Record, judged
from tests.reconstruct.calibration.test_modes import COLUMN, DRAWS, PATTERN, PROBE
from tests.twin.column.columns import settings
from twin.column.settings import Settings

PATTERNED = settings(diffraction=PATTERN, condenser2=0.8 * PROBE)
IMAGED = settings(diffraction=0.75 * PATTERN, condenser2=0.8 * PROBE)


def length() -> float:
    return float(np.median([float(COLUMN.optics(PATTERNED, one).camera_length) for one in DRAWS]))


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "agrees"), (1.02, "agrees"), (8.0, "contradicts"), (0.1, "contradicts")]
)
def test_a_camera_length_is_held_against_the_lenses(factor: float, verdict: str):
    _, (found,) = judged(COLUMN, [Record("pattern", PATTERNED, camera_length=factor * length())], DRAWS)
    assert (found.quantity, found.verdict) == ("camera_length", verdict)
    assert found.expected == pytest.approx(length(), rel=0.05)


def test_a_camera_length_of_an_image_is_stale():
    (mode,), (found,) = judged(COLUMN, [Record("image", IMAGED, camera_length=length())], DRAWS)
    assert mode.projection["imaging"] > 0.95
    assert found.verdict == "stale"
    assert "make an image" in found.why


def test_a_camera_length_under_lenses_that_were_not_reported_is_left_open():
    controls = {name: value for name, value in IMAGED.controls.items() if "projector" not in name}
    _, (found,) = judged(COLUMN, [Record("image", Settings(300e3, controls), camera_length=length())], DRAWS)
    assert found.verdict == "unknown"
    assert "lens.projector1" in found.why


def driven(change: float) -> Settings:
    controls = dict(IMAGED.controls)
    controls["lens.objective"] *= 1 + change
    return dataclasses.replace(IMAGED, controls=controls)


def chromatic() -> float:
    return float(np.median([float(COLUMN.optics(IMAGED, one).chromatic[1]) for one in DRAWS]))


def test_a_defocus_that_the_objective_did_not_make_is_a_moved_zero():
    records = [Record("first", IMAGED, defocus=0.0), Record("second", IMAGED, defocus=9978.0)]
    _, (found,) = judged(COLUMN, records, DRAWS)
    assert (found.label, found.verdict) == ("second", "moved zero")
    assert "did not change" in found.why
    assert "997.8 nm" in found.why
    assert found.expected == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "agrees"), (0.3, "moved zero"), (-1.0, "moved zero")])
def test_a_defocus_that_the_objective_made_agrees(share: float, verdict: str):
    # C10 = 2 Cc dI/I: a stronger objective overfocuses
    change = 2e-4
    made = 2 * chromatic() * change
    records = [Record("first", IMAGED, defocus=500.0), Record("second", driven(change), defocus=500.0 + share * made)]
    _, (found,) = judged(COLUMN, records, DRAWS)
    assert found.verdict == verdict
    assert found.expected == pytest.approx(made, rel=0.02)


def test_without_the_objective_nothing_is_said_of_a_zero():
    controls = {name: value for name, value in IMAGED.controls.items() if name != "lens.objective"}
    records = [Record("first", IMAGED, defocus=0.0), Record("second", Settings(300e3, controls), defocus=1e4)]
    _, (found,) = judged(COLUMN, records, DRAWS)
    assert found.verdict == "unknown"
    assert math.isnan(found.expected)
