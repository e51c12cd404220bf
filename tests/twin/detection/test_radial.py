"""The flexible detector against annular detectors of the same edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.detectors import Annular, detect
from twin.detection.radial import integrate, integration_error, radial_bins
from twin.grid import frequencies

LENGTH = 0.0250793
EXTENT = (20.0, 24.0)
KX, KY = (each.reshape(shape) for each, shape in zip(frequencies((64, 60), EXTENT), ((1, 60), (64, 1)), strict=True))
EDGE = LENGTH * 0.5 * (1 / EXTENT[0] + 1 / EXTENT[1])
PATTERNS = jnp.asarray(np.random.default_rng(0).random((3, 64, 60)))


def annular_signal(inner, outer, edge, offset):
    return detect(PATTERNS, Annular(inner, outer, edge, offset=offset).weights(KX, KY, LENGTH))


@pytest.mark.slow
@pytest.mark.parametrize("edge,start", [(0.0, 2e-3), (EDGE, 0.0), (EDGE, 2e-3)])
def test_limits_on_edges_give_the_annular_detector(edge, start):
    offset = (0.4e-3, -0.7e-3)
    bins = radial_bins(PATTERNS, KX, KY, LENGTH, 2e-3, 28e-3, start, edge, offset)
    assert bins.values.shape == (3, round((28e-3 - start) / 2e-3))
    for inner, outer in ((start, 28e-3), (4e-3, 18e-3), (10e-3, 12e-3)):
        np.testing.assert_allclose(
            integrate(bins, inner, outer), annular_signal(inner, outer, edge, offset), rtol=1e-12
        )
        assert float(integration_error(bins, inner, outer).max()) == 0.0


def test_limits_within_bins_are_off_by_no_more_than_stated():
    bins = radial_bins(PATTERNS, KX, KY, LENGTH, 2e-3, 28e-3, edge=EDGE)
    for inner, outer in ((4.7e-3, 18.9e-3), (0.3e-3, 11.5e-3), (13.1e-3, 13.9e-3)):
        exact = annular_signal(inner, outer, EDGE, (0.0, 0.0))
        error = np.abs(integrate(bins, inner, outer) - exact)
        assert (error <= integration_error(bins, inner, outer)).all()
        assert error.max() < 0.2 * float(exact.max())


@pytest.mark.slow
def test_an_evenly_lit_pattern_is_shared_by_area():
    """Far finer beams than bins: a limit within a bin is exact but for the beams' size."""
    fine = np.linspace(-0.012, 0.012, 481) / LENGTH
    bins = radial_bins(jnp.ones((481, 481)), fine[None, :], fine[:, None], LENGTH, 5e-3, 10e-3, edge=5e-5)
    area = float(integrate(bins, 2e-3, 8e-3)) * (0.024 / 480) ** 2
    assert area == pytest.approx(np.pi * (8e-3**2 - 2e-3**2), rel=1e-3)


def test_derivatives_in_the_limits():
    bins = radial_bins(PATTERNS, KX, KY, LENGTH, 2e-3, 28e-3, edge=EDGE)
    signal = jax.jit(lambda u: integrate(bins, u[0], u[1])[1])
    at, step = np.array([4.7e-3, 18.9e-3]), 1e-8
    gradient = jax.grad(signal)(jnp.asarray(at))
    expected = [(signal(at + step * unit) - signal(at - step * unit)) / (2 * step) for unit in np.eye(2)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_impossible_bins_and_limits_are_refused():
    with pytest.raises(ValueError, match=r"use outer = 0\.02"):
        radial_bins(PATTERNS, KX, KY, LENGTH, 2e-3, 20.5e-3)
    with pytest.raises(ValueError, match="wider than a ring"):
        radial_bins(PATTERNS, KX, KY, LENGTH, 1e-3, 20e-3, edge=2e-3)
    bins = radial_bins(PATTERNS, KX, KY, LENGTH, 2e-3, 20e-3)
    with pytest.raises(ValueError, match="bin further out"):
        integrate(bins, 10e-3, 21e-3)
    with pytest.raises(ValueError, match="inner < outer"):
        integrate(bins, 10e-3, 10e-3)
