"""Rings and sectors: shares of areas by counting points, sums that must close, derivatives against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.regions import ring, segments
from twin.grid import frequencies

LENGTH = 0.0250793
EXTENT = (20.0, 24.0)
KX, KY = (each.reshape(shape) for each, shape in zip(frequencies((64, 60), EXTENT), ((1, 60), (64, 1)), strict=True))
EDGE = LENGTH * 0.5 * (1 / EXTENT[0] + 1 / EXTENT[1])
PATTERN = jnp.asarray(np.random.default_rng(0).random((64, 60)))


def test_a_soft_ring_has_the_area_of_the_ring():
    """Sum of weights times the area of a cell against pi (outer^2 - inner^2): exact for a fine grid, not for a coarse one with hard edges."""
    cell = LENGTH**2 / (EXTENT[0] * EXTENT[1])
    area = float(ring(KX, KY, LENGTH, 11.3e-3, 29.7e-3, EDGE).sum()) * cell
    assert area == pytest.approx(np.pi * (29.7e-3**2 - 11.3e-3**2), rel=2e-3)


@pytest.mark.parametrize("edge,sectors", [(0.0, 3), (0.0, 8), (EDGE, 1), (EDGE, 2), (EDGE, 8), (5 * EDGE, 3)])
def test_segments_add_up_to_the_ring(edge, sectors):
    radii = (0.0, 8e-3, 15.5e-3, 27e-3)
    offset = (1.7e-3, -0.9e-3)
    weights = segments(KX, KY, LENGTH, radii, sectors, 0.37, edge, 0.0, offset)
    assert weights.shape == (3, sectors, 64, 60)
    annulus = ring(KX, KY, LENGTH, 0.0, 27e-3, edge, offset)
    np.testing.assert_allclose(weights.sum((0, 1)), annulus, atol=1e-13)
    assert weights.min() >= 0.0
    assert weights.max() <= 1.0 + 1e-13


def test_the_central_beam_is_shared_equally():
    weights = segments(KX, KY, LENGTH, (0.0, 10e-3), 4, 0.2, EDGE)
    np.testing.assert_allclose(weights[0, :, 0, 0], 0.25, rtol=1e-12)


def test_sectors_turn_from_x_towards_y():
    k = np.array([1.0, 0.0, -1.0, 0.0]), np.array([0.0, 1.0, 0.0, -1.0])
    unturned = segments(*k, LENGTH, (0.0, 0.1), 4, -np.pi / 4)
    np.testing.assert_array_equal(unturned[0], np.eye(4))
    quarter = segments(*k, LENGTH, (0.0, 0.1), 4, np.pi / 4)
    np.testing.assert_array_equal(quarter[0], np.roll(np.eye(4), 1, axis=1))


def test_dead_strips_have_their_area():
    """Two rings of four sectors lose a circle's strip and a cross, counted on a fine hard grid."""
    kx, ky = (each / LENGTH for each in np.meshgrid(*(np.linspace(-0.031, 0.031, 501),) * 2))
    gap, cell = 2e-3, (0.062 / 500) ** 2
    live = float(segments(kx, ky, LENGTH, (10e-3, 20e-3, 30e-3), 4, 0.3, 0.0, gap).sum()) * cell
    rings = np.pi * (19e-3**2 - 10e-3**2 + 30e-3**2 - 21e-3**2)
    # An arc of half-width gap/2 at every radius: the strip's area is its width times its length.
    strips = 4 * gap * (9e-3 + 9e-3)
    assert live == pytest.approx(rings - strips, rel=3e-3)
    soft = float(segments(kx, ky, LENGTH, (10e-3, 20e-3, 30e-3), 4, 0.3, 1e-4, gap).sum()) * cell
    assert soft == pytest.approx(rings - strips, rel=1e-4)


def slopes(function, start, step=2e-9):
    function = jax.jit(function)
    gradient = jax.grad(function)(jnp.asarray(start, jnp.float64))
    number = [
        (function(start + step * unit) - function(start - step * unit)) / (2 * step) for unit in np.eye(len(start))
    ]
    return np.asarray(gradient), np.asarray(number)


def test_derivatives_of_a_ring():
    def signal(u):
        return jnp.sum(PATTERN * ring(KX, KY, LENGTH, u[0], u[1], EDGE, u[2:]))

    gradient, difference = slopes(signal, np.array([10.03e-3, 25.11e-3, 0.31e-3, -0.77e-3]))
    np.testing.assert_allclose(gradient, difference, rtol=1e-6)
    assert np.abs(gradient).min() > 1.0


def test_a_derivative_where_pieces_meet_is_the_mean_of_both():
    """Numbers without rounding: with inner = 0.625 the weight of the beam at 0.5 just reaches zero."""
    slope = jax.grad(lambda inner: ring(np.array([0.5]), np.zeros(1), 1.0, inner, 2.0, 0.25)[0])
    assert [float(slope(0.625 + shift)) for shift in (-1e-3, 0.0, 1e-3)] == [-4.0, -2.0, 0.0]


def test_derivatives_of_segments():
    """In three radii, rotation, gap and offset."""

    def signal(u):
        weights = segments(KX, KY, LENGTH, u[:3], 4, u[3], EDGE, u[4], u[5:])
        return jnp.sum(PATTERN * weights[1, 2]) + 0.5 * jnp.sum(PATTERN * weights[0, 1])

    gradient, difference = slopes(signal, np.array([4.03e-3, 15.2e-3, 25.11e-3, 0.41, 1.5e-3, 0.2e-3, 0.1e-3]))
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-3)
    assert np.abs(gradient).min() > 0.1


def test_weights_can_be_jitted_and_mapped():
    several = jax.jit(jax.vmap(lambda r: segments(KX, KY, LENGTH, (0.0, 20e-3), 4, r, EDGE)))(jnp.asarray([0.0, 0.3]))
    np.testing.assert_allclose(several[1], segments(KX, KY, LENGTH, (0.0, 20e-3), 4, 0.3, EDGE), atol=1e-13)


@pytest.mark.parametrize("inner,outer", [(20e-3, 20e-3), (30e-3, 20e-3), (-1e-3, 20e-3), (float("nan"), 20e-3)])
def test_impossible_radii_are_refused(inner, outer):
    with pytest.raises(ValueError, match="0 <= inner < outer"):
        ring(KX, KY, LENGTH, inner, outer)
    with pytest.raises(ValueError, match="radii"):
        segments(KX, KY, LENGTH, (inner, outer), 4)


def test_impossible_segments_are_refused():
    with pytest.raises(ValueError, match="gap"):
        segments(KX, KY, LENGTH, (0.0, 10e-3, 11e-3), 4, gap=2e-3)
    with pytest.raises(ValueError, match="sector"):
        segments(KX, KY, LENGTH, (0.0, 10e-3), 0)
    with pytest.raises(ValueError, match="finite"):
        ring(KX, KY, LENGTH, 0.0, 10e-3, offset=(float("nan"), 0.0))
    with pytest.raises(ValueError, match="edge"):
        ring(KX, KY, LENGTH, 0.0, 10e-3, -1e-3)
