"""Cosine and sine of many phases: against NumPy in extended precision, symmetries, derivatives, and not-a-number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.phases import cis, cos_sin

EXACT = np.longdouble("6.28318530717958647692528676655900577")


@pytest.mark.parametrize("dtype, units", [(np.float32, 2.0), (np.float64, 3.0)])
def test_they_are_exact_to_rounding(dtype: type, units: float):
    rng = np.random.default_rng(0)
    turns = np.concatenate([np.linspace(-3.0, 3.0, 96_001), rng.uniform(-1e4, 1e4, 10_000)]).astype(dtype)
    wide = turns.astype(np.longdouble)
    angle = EXACT * (wide - np.round(wide))
    for computed, truth in zip(jax.jit(cos_sin)(turns), (np.cos(angle), np.sin(angle)), strict=True):
        assert computed.dtype == dtype
        assert np.abs(np.asarray(computed) - truth).max() < units * np.finfo(dtype).eps


def test_quarter_turns_are_exact():
    turns = jnp.asarray([-0.5, 0.0, 0.5, 1.0, 1.5, 123456.0])
    cosine, sine = cos_sin(turns)
    np.testing.assert_array_equal(np.abs(np.asarray(cosine)), 1.0)
    np.testing.assert_array_equal(np.asarray(cosine)[[0, 2, 4]], -1.0)
    np.testing.assert_array_equal(np.asarray(sine), 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_phase_factor_takes_radians(dtype: type):
    angle = np.linspace(-40.0, 40.0, 1001).astype(dtype)
    computed = np.asarray(cis(jnp.asarray(angle)))
    assert computed.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(computed, np.exp(1j * angle.astype(np.float64)), atol=60.0 * np.finfo(dtype).eps)


@pytest.mark.slow
def test_derivatives_are_those_of_cosine_and_sine_everywhere():
    # the places where the reduction jumps included
    turns = jnp.asarray([-0.75, -0.25, 0.0, 0.1, 0.25, 0.5, 7.3])
    for mode in (jax.jacfwd, jax.jacrev):
        angle = 2.0 * np.pi * np.asarray(turns)
        for derivative, truth in zip(mode(cos_sin)(turns), (-np.sin(angle), np.cos(angle)), strict=True):
            np.testing.assert_allclose(np.diagonal(derivative), 2.0 * np.pi * truth, atol=1e-12)
    second = jax.vmap(jax.grad(jax.grad(lambda turn: cos_sin(turn)[0])))(turns)
    np.testing.assert_allclose(second, -((2.0 * np.pi) ** 2) * np.cos(2.0 * np.pi * turns), atol=1e-11)


def test_nan_stays_nan():
    assert np.isnan(np.asarray(cos_sin(jnp.asarray([np.nan, np.inf, -np.inf])))).all()
