"""Quantities of single patterns: moments and virtual detectors against sums over pixels, their variances against the scatter, defects of the camera."""

import numpy as np
import pytest

from reconstruct.measurement.scanned import PixelQuantity, pixel_data, pixel_quantity, quantity_named
from twin.errors import BadInput
from twin.records import Axis

SIDE, STEP, FIRST = 32, 2e-3, 16
AXES = tuple(Axis(name, SIDE, STEP, -STEP * 15.5, "radian") for name in ("ky", "kx"))
BARE = tuple(Axis(name, SIDE, 1.0, 0.0, None) for name in ("ky", "kx"))


def _patterns(count: int, counts: float, shift: tuple[float, float] = (0.0, 0.0), seed: int = 0) -> np.ndarray:
    """Gaussian spots moved by ``shift`` (x, y) camera pixels, with counting noise."""
    y, x = np.mgrid[:SIDE, :SIDE] - 15.5
    spot = np.exp(-0.5 * ((x - shift[0]) ** 2 + (y - shift[1]) ** 2) / 16.0)
    return np.random.default_rng(seed).poisson(counts * spot / spot.sum(), (count, SIDE, SIDE)).astype(float)


def _quantity(text: str, axes: tuple[Axis, ...] = AXES, gain: float | None = 1.0) -> PixelQuantity:
    return pixel_quantity(quantity_named(text), pixel_data(axes, {}, "", gain))


@pytest.mark.parametrize(("text", "index"), [("centre of mass x", 0), ("com y", 1)])
def test_centres_of_mass(text: str, index: int) -> None:
    shift = (1.25, -0.5)
    patterns = _patterns(200, 2000.0, shift)
    made = _quantity(text)
    made.learn(patterns[:FIRST])
    values, variances = made.values(patterns)
    assert made.unit == "radian"
    assert values.mean() == pytest.approx(STEP * shift[index], abs=4e-5)
    assert values.std() == pytest.approx(np.sqrt(variances.mean()), rel=0.15)


def test_the_magnitude_is_the_distance_from_the_mean_of_the_first() -> None:
    patterns = np.concatenate([_patterns(8, 1e6, (2.0, 0.0)), _patterns(8, 1e6, (-2.0, 0.0))])
    made = _quantity("com magnitude")
    made.learn(patterns)
    values, variances = made.values(patterns)
    np.testing.assert_allclose(values, 2.0 * STEP, atol=5e-5)
    assert (variances > 0.0).all()


def test_pixels_are_the_unit_where_a_camera_has_no_angles() -> None:
    patterns = _patterns(FIRST, 1e6, (1.0, 0.0))
    made = _quantity("com x", BARE)
    made.learn(patterns)
    assert made.unit == "pixel"
    np.testing.assert_allclose(made.values(patterns)[0], 1.0, atol=0.02)
    with pytest.raises(BadInput, match="--pixel-mrad"):
        _quantity("20-60 mrad", BARE)
    known = pixel_data(BARE, {}, "", 1.0, STEP)
    angular = pixel_quantity(quantity_named("10-20 mrad"), known)
    determined = angular.learn(patterns)
    assert any("no origin" in note for note in determined["notes"])


def test_a_virtual_detector_counts_between_its_angles() -> None:
    patterns = _patterns(200, 2000.0)
    made = _quantity("0-16 mrad")
    made.learn(patterns[:FIRST])
    values, variances = made.values(patterns)
    y, x = np.mgrid[:SIDE, :SIDE] - 15.5
    inside = np.hypot(x, y) * STEP < 16e-3
    np.testing.assert_allclose(values, patterns[:, inside].sum(axis=1), rtol=0.05)
    assert values.std() == pytest.approx(np.sqrt(variances.mean()), rel=0.3)
    with pytest.raises(ValueError, match="no pixel of the camera lies between 300 and 400 mrad"):
        _quantity("300-400 mrad").learn(patterns[:FIRST])


def test_hot_and_dead_pixels_are_left_out_and_lost_patterns_have_no_value() -> None:
    patterns = _patterns(FIRST, 1e5, (1.0, 0.0))
    clean = _quantity("com x")
    clean.learn(patterns)
    right = clean.values(patterns)[0]
    spoiled = patterns.copy()
    spoiled[:, 3, 28] = 1e5
    spoiled[:, 15, 15] = np.nan
    spoiled[2] = np.nan
    made = _quantity("com x")
    determined = made.learn(spoiled)
    values = made.values(spoiled)[0]
    assert any("hot" in note for note in determined["notes"])
    assert np.isnan(values[2])
    np.testing.assert_allclose(np.delete(values, 2), np.delete(right, 2), atol=0.05 * STEP)
    with pytest.raises(ValueError, match="no counts"):
        _quantity("com x").learn(np.zeros((FIRST, SIDE, SIDE)))


def test_the_gain_of_a_camera_is_told_by_its_patterns() -> None:
    y, x = np.mgrid[:96, :96] - 47.5
    mean = 400.0 / (1.0 + (np.hypot(x, y) / 20.0) ** 2) + 20.0
    patterns = 9.0 * np.random.default_rng(0).poisson(mean, (FIRST, 96, 96)).astype(float)
    axes = tuple(Axis(name, 96, 1e-3, -47.5e-3, "radian") for name in ("ky", "kx"))
    determined = _quantity("0-20 mrad", axes, None).learn(patterns)
    assert determined["counts_per_electron"] == pytest.approx(9.0, rel=0.1)
