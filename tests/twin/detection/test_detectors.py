"""Detectors: angles, counts and noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.counting import sample_electrons
from twin.detection.detectors import (
    Annular,
    Segmented,
    annular,
    check_angles,
    counts_variance,
    detect,
    expected_counts,
    sample_counts,
)
from twin.detection.response import CartesianMap, PolarMap
from twin.grid import CUTOFF, TAPER, band_limit, frequencies, smooth


def test_ring_of_true_angles():
    length = 0.025
    k = np.array([0.0, 59e-3, 61e-3, 94e-3, 96e-3]) / length
    np.testing.assert_array_equal(annular(k, np.zeros(5), length, 60e-3, 95e-3), [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(annular(np.zeros(5), -k, length, 60e-3, 95e-3), [0, 0, 1, 1, 0])
    edged = annular(np.array([59e-3, 60e-3, 61e-3]) / length, np.zeros(3), length, 60e-3, 95e-3, edge=4e-3)
    np.testing.assert_allclose(edged, [0.25, 0.5, 0.75])
    assert annular(np.zeros(1), np.zeros(1), length, 0.0, 20e-3, edge=1e-3)[0] == 1.0


def test_response_over_the_ring():
    detector = Annular(40e-3, 80e-3, response=(1.0, -0.2))
    k = np.array([41e-3, 60e-3, 79e-3]) / 0.025
    np.testing.assert_allclose(detector.weights(k, np.zeros(3), 0.025), [1.19, 1.0, 0.81], atol=1e-6)


@pytest.mark.parametrize("inner,outer", [(95e-3, 60e-3), (-1e-3, 10e-3), (0.0, float("nan")), (0.0, float("inf"))])
def test_an_impossible_ring_is_refused(inner, outer):
    with pytest.raises(ValueError, match="inner < outer"):
        Annular(inner, outer)


@pytest.mark.smoke
def test_counts_have_the_mean_and_variance_of_the_model():
    fraction = jnp.full((40000,), 0.03)
    counts = np.asarray(sample_counts(jax.random.key(1), fraction, 600.0, 20.0, 100.0, 5.0))
    mean = float(expected_counts(fraction, 600.0, 20.0, 100.0)[0])
    variance = float(counts_variance(fraction, 600.0, 20.0, 5.0)[0])
    assert mean == pytest.approx(460.0)
    assert variance == pytest.approx(20.0**2 * 18.0 + 25.0)
    assert abs(counts.mean() - mean) < 5 * np.sqrt(variance / 40000)
    assert abs(counts.var() / variance - 1.0) < 0.05
    np.testing.assert_array_equal(counts, sample_counts(jax.random.key(1), fraction, 600.0, 20.0, 100.0, 5.0))


def plane_of(side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    k = np.linspace(-1.6, 1.6, side)
    return k[None, :], k[:, None]


def test_a_map_moves_and_turns_with_the_detector():
    """Maps of a linear function of the detector's own coordinates are interpolated exactly."""
    kx, ky = plane_of()
    length, turn, offset = 0.025, 0.7, (3e-3, -2e-3)
    axis = np.linspace(-50e-3, 50e-3, 7)
    map_ = CartesianMap(1.0 + 4.0 * axis[None, :] - 6.0 * axis[:, None], 50e-3)
    computed = Annular(0.0, 45e-3, response=map_, offset=offset, rotation=turn).weights(kx, ky, length)
    x, y = length * kx - offset[0], length * ky - offset[1]
    own_x, own_y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    inside = np.hypot(x, y) < 45e-3
    np.testing.assert_allclose(computed, np.where(inside, 1.0 + 4.0 * own_x - 6.0 * own_y, 0.0), atol=1e-12)


def test_a_polar_map_closes_round_the_circle():
    kx, ky = plane_of()
    values = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0]])
    computed = np.asarray(Annular(10e-3, 30e-3, response=PolarMap(values)).weights(kx, ky, 0.025))
    angle, direction = 0.025 * np.hypot(kx, ky), np.mod(np.arctan2(ky, kx) + 0.0 * kx, 2 * np.pi)
    along = np.interp(direction, 0.5 * np.pi * np.arange(5), [1.0, 2.0, 3.0, 4.0, 1.0])
    inside = (angle >= 10e-3) & (angle < 30e-3)
    np.testing.assert_allclose(computed, np.where(inside, along * (1.0 + (angle - 10e-3) / 20e-3), 0.0), atol=1e-12)


def test_a_response_is_shared_by_the_segments():
    kx, ky = plane_of()
    response = (1.0, -0.2, 0.1)
    segments = Segmented((0.0, 15e-3, 30e-3), 4, 0.3, 1e-3, response=response).weights(kx, ky, 0.025)
    annulus = Annular(0.0, 30e-3, 1e-3, response=response).weights(kx, ky, 0.025)
    np.testing.assert_allclose(segments.sum((0, 1)), annulus, atol=1e-13)


def test_derivatives_of_a_detector_with_a_map():
    kx, ky = plane_of()
    values = 1.0 + 0.3 * np.random.default_rng(0).random((3, 8))
    pattern = jnp.asarray(np.random.default_rng(1).random((24, 24)))

    @jax.jit
    def signal(u):
        detector = Annular(u[0], u[1], 2e-3, PolarMap(values), (u[2], u[3]), u[4])
        return detect(pattern, detector.weights(kx, ky, 0.025))

    at, step = np.array([9.7e-3, 29.3e-3, 0.41e-3, -0.63e-3, 0.3]), 1e-9
    gradient = jax.grad(signal)(jnp.asarray(at))
    expected = [(signal(at + step * unit) - signal(at - step * unit)) / (2 * step) for unit in np.eye(5)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-3)
    assert np.abs(gradient).min() > 0.1


def test_signals_of_many_patterns_and_detectors():
    random = np.random.default_rng(0)
    patterns, weights = random.random((2, 3, 4, 5)), random.random((7, 4, 5))
    computed = detect(jnp.asarray(patterns), jnp.asarray(weights))
    np.testing.assert_allclose(computed, np.einsum("abyx,dyx->abd", patterns, weights), rtol=1e-12)
    assert detect(jnp.asarray(patterns, jnp.float32), jnp.asarray(weights)).dtype == jnp.float32


def test_a_grid_too_coarse_is_refused_with_gpts_that_do():
    extent, length = (20.0, 24.0), 0.025
    with pytest.raises(ValueError, match="too coarse for the detector's outer angle") as refusal:
        check_angles(80e-3, (128, 128), extent, length)
    rows, columns = str(refusal.value).split("(ny, nx) = (")[1].split(")")[0].split(",")
    need = (int(rows), int(columns))
    check_angles(80e-3, need, extent, length)
    assert need == (smooth(need[0]), smooth(need[1]))
    # All beams of the detector are kept whole on that grid, and not on the refused one.
    for gpts, sufficient in ((need, True), ((128, 128), False)):
        kx, ky = frequencies(gpts, extent)
        limit = band_limit(gpts, extent)
        inside = annular(kx[None, :], ky[:, None], length, 0.0, 80e-3) > 0
        reach = length * 0.5 * (CUTOFF - TAPER) * min(gpts[1] / extent[0], gpts[0] / extent[1])
        assert bool((limit[inside] == 1.0).all() and reach >= 80e-3) is sufficient
    check_angles(40e-3, (256, 256), extent, length)
    with pytest.raises(ValueError, match="too coarse"):
        check_angles(75e-3, need, extent, length, offset=(0.0, 8e-3))


@pytest.mark.parametrize("dose", [0.0, -1.0, float("nan"), float("inf")])
def test_no_dose_is_refused(dose):
    for make in (
        lambda: expected_counts(jnp.ones(3), dose, 1.0, 0.0),
        lambda: counts_variance(jnp.ones(3), dose, 1.0),
        lambda: sample_counts(jax.random.key(0), jnp.ones(3), dose, 1.0, 0.0),
    ):
        with pytest.raises(ValueError, match=r"dose .* above zero"):
            make()


def test_fractions_that_cannot_be_are_refused():
    for value, words in ((jnp.nan, "finite"), (-0.1, "zero or more")):
        with pytest.raises(ValueError, match=words):
            sample_electrons(jax.random.key(0), jnp.asarray([0.1, value]), 10.0)
    assert float(sample_electrons(jax.random.key(0), jnp.asarray([-1e-12]), 10.0)[0]) == 0.0


def test_counting_within_jit_and_vmap_refuses_no_dose_when_it_comes():
    draw = jax.jit(jax.vmap(lambda key, dose: sample_electrons(key, jnp.full(3, 0.5), dose)))
    keys = jax.random.split(jax.random.key(0), 2)
    drawn = np.asarray(draw(keys, jnp.asarray([1e3, 1e5])))
    np.testing.assert_allclose(drawn, [[500.0] * 3, [5e4] * 3], rtol=0.2)
    with pytest.raises(Exception, match="dose must be above zero"):
        draw(keys, jnp.asarray([1e3, 0.0]))


def test_impossible_maps_are_refused():
    with pytest.raises(ValueError, match="nowhere negative"):
        PolarMap(np.array([[1.0, 1.0], [1.0, -1.0]]))
    with pytest.raises(ValueError, match="at least 2"):
        CartesianMap(np.ones((1, 4)), 10e-3)
    with pytest.raises(ValueError, match="half"):
        CartesianMap(np.ones((4, 4)), 0.0)
