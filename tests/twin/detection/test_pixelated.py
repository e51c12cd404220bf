"""Patterns on a camera's pixels: conserved intensity and positions, derivatives against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.pixelated import Pattern, Pixelated, binned, crop, resample
from twin.grid import band_limit, frequencies

LENGTH = 0.0250793
EXTENT = (20.0, 24.0)
SHAPE = (64, 60)
LIMIT = band_limit(SHAPE, EXTENT)
PATTERNS = jnp.asarray(np.random.default_rng(0).random((2, *SHAPE)) * LIMIT[None])


def moments(pattern):
    """Sum, mean angle (x, y) and mean square angle of one pattern."""
    values, y, x = (np.asarray(each) for each in (pattern.values, pattern.y, pattern.x))
    total = values.sum()
    return (
        total,
        (values * x[None, :]).sum() / total,
        (values * y[:, None]).sum() / total,
        (values * (x[None, :] ** 2 + y[:, None] ** 2)).sum() / total,
    )


def test_the_crop_keeps_exactly_the_band():
    pattern = crop(PATTERNS, EXTENT, LENGTH)
    np.testing.assert_allclose(pattern.values.sum((-2, -1)), PATTERNS.sum((-2, -1)), rtol=1e-14)
    assert pattern.values.shape == (2, len(pattern.y), len(pattern.x))
    assert np.asarray(pattern.values[0, [0, -1]]).max() > 0.0  # no smaller rectangle would do
    assert np.asarray(pattern.values[0, :, [0, -1]]).max() > 0.0
    middle = (len(pattern.y) // 2, len(pattern.x) // 2)
    assert (pattern.y[middle[0]], pattern.x[middle[1]]) == (0.0, 0.0)
    kx, ky = frequencies(SHAPE, EXTENT)
    assert pattern.values[1, middle[0] - 3, middle[1] + 5] == PATTERNS[1, -3, 5]
    assert pattern.x[middle[1] + 5] == pytest.approx(LENGTH * kx[5])
    assert pattern.y[middle[0] - 3] == pytest.approx(LENGTH * ky[-3])
    smaller = crop(PATTERNS, EXTENT, LENGTH, reach=10e-3)
    assert np.abs(smaller.x).max() <= 10e-3 < np.abs(smaller.x).max() + LENGTH / EXTENT[0]
    with pytest.raises(ValueError, match="more gpts"):
        crop(PATTERNS, EXTENT, LENGTH, reach=50e-3)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_binning_conserves_intensity_and_position(factor):
    pattern = crop(PATTERNS, EXTENT, LENGTH)
    binned_pattern = binned(pattern, factor)
    np.testing.assert_allclose(binned_pattern.values.sum((-2, -1)), pattern.values.sum((-2, -1)), rtol=1e-12)
    for row, column in ((0, 0), (7, 30), (33, 2)):
        single = Pattern(jnp.zeros(pattern.values.shape[1:]).at[row, column].set(1.0), pattern.y, pattern.x)
        binned_single = binned(single, factor)
        block = np.unravel_index(int(np.argmax(binned_single.values)), binned_single.values.shape)
        half = 0.5 * (factor - 1) + 1e-9
        assert abs(binned_single.y[block[0]] - pattern.y[row]) <= half * LENGTH / EXTENT[1]
        assert abs(binned_single.x[block[1]] - pattern.x[column]) <= half * LENGTH / EXTENT[0]
    if factor % 2:
        assert np.abs(binned_pattern.x).min() < 1e-15
        assert np.abs(binned_pattern.y).min() < 1e-15


@pytest.mark.parametrize("rotation,pixel", [(0.0, 0.4e-3), (-1.9, 1.7e-3)])
def test_a_large_camera_conserves_intensity_and_position(rotation, pixel):
    side = round(80e-3 / pixel)
    camera = Pixelated((side, side + 3), pixel, offset=(1.1e-3, -0.6e-3), rotation=rotation)
    pattern, recorded = crop(PATTERNS[:1], EXTENT, LENGTH), camera.record(PATTERNS[:1], EXTENT, LENGTH)
    total, x, y, square = moments(pattern)
    computed = moments(recorded)
    assert computed[0] == pytest.approx(total, rel=1e-12)
    rotated = np.cos(rotation) * x + np.sin(rotation) * y, np.cos(rotation) * y - np.sin(rotation) * x
    # Shares of a box among pixels keep the mean only on average; the variance grows by box and pixel, 1/12 of their squares each.
    np.testing.assert_allclose(computed[1:3], rotated, atol=0.03 * pixel)
    grown = ((LENGTH / EXTENT[0]) ** 2 + (LENGTH / EXTENT[1]) ** 2 + 2 * pixel**2) / 12
    assert computed[3] == pytest.approx(square + grown, rel=3e-3)


def test_a_rotated_camera_becomes_an_unrotated_one():
    """Two different ways of computing: matrices without, scattering with a rotation."""
    pattern = crop(PATTERNS, EXTENT, LENGTH)
    camera = Pixelated((40, 44), 1.1e-3, offset=(2e-3, 1e-3))
    rotated = Pixelated((40, 44), 1.1e-3, offset=(2e-3, 1e-3), rotation=1e-13)
    np.testing.assert_allclose(resample(pattern, rotated).values, resample(pattern, camera).values, atol=1e-9)


def test_a_beam_lands_on_its_pixel():
    """Point-like beams at known angles, on a camera that is shifted and turned."""
    pattern = jnp.zeros(SHAPE).at[3, 5].set(1.0)
    x, y = LENGTH * 5 / EXTENT[0], LENGTH * 3 / EXTENT[1]
    camera = Pixelated((30, 50), 1e-3, offset=(2e-3, -1e-3), rotation=0.5, spread=(1e-6, 1e-6))
    recorded = camera.record(pattern, EXTENT, LENGTH)
    row, column = np.unravel_index(int(np.argmax(recorded.values)), (30, 50))
    assert recorded.values[row, column] == pytest.approx(1.0)
    cos, sin = np.cos(0.5), np.sin(0.5)
    assert abs(recorded.x[column] - (cos * x + sin * y)) <= 0.5e-3
    assert abs(recorded.y[row] - (cos * y - sin * x)) <= 0.5e-3
    assert column == int((cos * (x - 2e-3) + sin * (y + 1e-3)) / 1e-3 + 25)
    assert row == int((cos * (y + 1e-3) - sin * (x - 2e-3)) / 1e-3 + 15)


def test_intensity_outside_the_camera_is_lost():
    camera = Pixelated((10, 10), 1e-3)
    assert float(camera.record(PATTERNS, EXTENT, LENGTH).values.sum()) < 0.3 * float(PATTERNS.sum())


@pytest.mark.parametrize("rotated", [False, True])
def test_derivatives_in_offset_and_rotation(rotated):
    weights = jnp.asarray(np.random.default_rng(1).random((24, 24)))

    @jax.jit
    def loss(u):
        camera = Pixelated((24, 24), 1.3e-3, offset=u[:2], rotation=u[2] if rotated else 0.0)
        return jnp.sum(weights * camera.record(PATTERNS[0], EXTENT, LENGTH).values)

    at, step = np.array([0.33e-3, -0.71e-3, 0.4]), 2e-9
    gradient = jax.grad(loss)(jnp.asarray(at))
    units = np.eye(3) if rotated else np.eye(3)[:2]
    expected = [(loss(at + step * unit) - loss(at - step * unit)) / (2 * step) for unit in units]
    np.testing.assert_allclose(gradient[: len(units)], expected, rtol=1e-4, atol=1e-3)


def test_impossible_cameras_are_refused():
    with pytest.raises(ValueError, match="pixel"):
        Pixelated((10, 10), 0.0)
    with pytest.raises(ValueError, match="camera"):
        Pixelated((0, 10), 1e-3)
