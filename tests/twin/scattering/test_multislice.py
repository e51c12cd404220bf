"""Multislice as a function: exits, batches, what it refuses; its physics is in tests/physics."""

import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import CUTOFF, band_limit
from twin.scattering.multislice import multislice, propagator, transmission

ENERGY, SHAPE, EXTENT = 200e3, (32, 48), (6.0, 4.0)


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    slices = jnp.asarray(rng.normal(size=(7, *SHAPE)) * 20.0)
    waves = jnp.asarray(rng.normal(size=(2, 3, *SHAPE)) + 1j * rng.normal(size=(2, 3, *SHAPE)))
    kernel = propagator(SHAPE, EXTENT, ENERGY, 2.0, dtype=jnp.complex128)
    return waves, transmission(slices, ENERGY, band_limit(SHAPE, EXTENT)), kernel


def step_by_step(wave, functions, kernel):
    for one in np.asarray(functions):
        wave = np.fft.ifft2(np.fft.fft2(wave * one) * np.asarray(kernel))
    return wave


def test_slice_by_slice(stack):
    waves, functions, kernel = stack
    expected = step_by_step(np.asarray(waves), functions, kernel)
    np.testing.assert_allclose(multislice(waves, functions, kernel), expected, atol=1e-12)
    np.testing.assert_allclose(multislice(waves[0, 1], functions, kernel), expected[0, 1], atol=1e-12)


def test_several_depths_at_once(stack):
    waves, functions, kernel = stack
    found = multislice(waves, functions, kernel, exits=(2, 3, 7))
    assert found.shape == (3, *waves.shape)
    for depth, stop in enumerate((2, 3, 7)):
        np.testing.assert_allclose(found[depth], multislice(waves, functions[:stop], kernel), atol=1e-12)


@pytest.mark.parametrize("exits", [(), (0, 2), (3, 2), (2, 2), (8,)])
def test_exits_out_of_order_are_refused(stack, exits):
    with pytest.raises(ValueError, match="must rise"):
        multislice(*stack, exits=exits)


def test_band_limit_keeps_two_thirds():
    limit = band_limit((90, 90), (9.0, 9.0))
    k = np.fft.fftfreq(90, 0.1)
    radius = np.hypot(k[None, :], k[:, None]) / 5.0
    assert np.all(limit[radius > CUTOFF] == 0.0)
    assert np.all(limit[radius < CUTOFF - 0.02] == 1.0)
    assert 0.0 < limit[0, 30 - 1] <= 1.0
