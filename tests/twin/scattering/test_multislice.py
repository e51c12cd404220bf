"""Multislice as a function: exits, batches, invalid input; its physics is in tests/physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import CUTOFF, band_limit
from twin.optics.electrons import interaction_constant
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
    for function in np.asarray(functions):
        wave = np.fft.ifft2(np.fft.fft2(wave * function) * np.asarray(kernel))
    return wave


@pytest.mark.smoke
def test_slice_by_slice(stack):
    waves, functions, kernel = stack
    expected = step_by_step(np.asarray(waves), functions, kernel)
    np.testing.assert_allclose(multislice(waves, functions, kernel), expected, atol=1e-12)
    np.testing.assert_allclose(multislice(waves[0, 1], functions, kernel), expected[0, 1], atol=1e-12)


def test_several_depths_at_once(stack):
    waves, functions, kernel = stack
    waves_at_depths = multislice(waves, functions, kernel, exits=(2, 3, 7))
    assert waves_at_depths.shape == (3, *waves.shape)
    for depth, stop in enumerate((2, 3, 7)):
        np.testing.assert_allclose(waves_at_depths[depth], multislice(waves, functions[:stop], kernel), atol=1e-12)


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


@pytest.fixture(scope="module")
def losses(stack):
    """A loss of seven waves as a function of waves, slices and propagator, by our adjoint and by JAX's own reverse mode."""
    waves = jnp.concatenate([stack[0].reshape(6, *SHAPE), 0.5 * stack[0][0, :1]])
    weight = jnp.asarray(np.random.default_rng(3).uniform(size=(7, *SHAPE)))

    def loss(waves, functions, kernel, **options):
        return (weight * jnp.abs(multislice(waves, functions, kernel, **options)) ** 2).sum()

    return loss, (waves, *stack[1:])


@pytest.mark.parametrize("size", [1, 3, 7, 64])
@pytest.mark.parametrize("argnums", [(0,), (1,), (2,), (0, 1, 2)])
def test_the_adjoint_is_that_of_the_steps(losses, size, argnums):
    loss, arguments = losses
    gradients = jax.jit(jax.grad(lambda *a: loss(*a, size=size), argnums))(*arguments)
    expected = jax.jit(jax.grad(lambda *a: loss(*a, forward_mode=True), argnums))(*arguments)
    for gradient, reference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-9, atol=1e-9 * np.abs(np.asarray(reference)).max())


def test_forward_and_reverse_mode_agree(losses):
    """A directional derivative by tangents equals the gradient's product with the direction."""
    loss, arguments = losses
    rng = np.random.default_rng(4)
    direction = tuple(
        jnp.asarray(rng.normal(size=argument.shape) + 1j * rng.normal(size=argument.shape)) for argument in arguments
    )
    _, along = jax.jvp(lambda *a: loss(*a, forward_mode=True), arguments, direction)
    gradient = jax.grad(loss, (0, 1, 2))(*arguments)
    product = sum(float(jnp.vdot(jnp.conj(g), d).real) for g, d in zip(gradient, direction, strict=True))
    np.testing.assert_allclose(float(along), product, rtol=1e-9)


def test_the_adjoint_maps_and_serves_several_exits(losses, stack):
    loss, (waves, functions, kernel) = losses
    scales = jnp.asarray([0.5, 1.0, 2.0])
    gradients = jax.vmap(jax.grad(lambda s: loss(s * waves, functions, kernel)))(scales)
    expected = [jax.grad(lambda s: loss(s * waves, functions, kernel, forward_mode=True))(scale) for scale in scales]
    np.testing.assert_allclose(gradients, expected, rtol=1e-9)

    def middle(functions, **options):
        return (jnp.abs(multislice(stack[0], functions, kernel, exits=(2, 7), **options)) ** 4).sum()

    np.testing.assert_allclose(
        jax.grad(middle)(functions), jax.grad(lambda f: middle(f, forward_mode=True))(functions), rtol=1e-9
    )


def test_the_number_of_waves_at_once_changes_nothing(stack):
    waves, functions, kernel = stack
    expected = multislice(waves, functions, kernel)
    for size in (1, 4, 6):
        np.testing.assert_allclose(multislice(waves, functions, kernel, size=size), expected, atol=1e-13)
    with pytest.raises(ValueError, match="size is 0"):
        multislice(waves, functions, kernel, size=0)


def test_a_finer_grid_keeps_the_exponential_from_falling_back_into_the_band():
    """Against the same function sampled on a grid so fine that nothing is left to fall back; and exactly as before where nothing does."""
    kx, ky = np.fft.fftfreq(48) * 48, np.fft.fftfreq(32) * 32
    rng = np.random.default_rng(6)
    low_frequencies = (np.abs(kx)[None, :] < 14) & (np.abs(ky)[:, None] < 10)
    spectrum = np.fft.fft2(rng.normal(size=(2, *SHAPE))) * low_frequencies
    slices = np.fft.ifft2(spectrum).real * 3e3
    limit = band_limit(SHAPE, EXTENT)
    wide = np.zeros((2, 256, 384), complex)
    places_y, places_x = np.rint(ky).astype(int) % 256, np.rint(kx).astype(int) % 384
    wide[:, places_y[:, None], places_x[None, :]] = spectrum * 3e3 * 64
    exact = np.fft.fft2(np.exp(1j * interaction_constant(ENERGY) * np.fft.ifft2(wide).real))
    exact = np.fft.ifft2(exact[:, places_y[:, None], places_x[None, :]] / 64 * limit)
    errors = [np.abs(np.asarray(transmission(jnp.asarray(slices), ENERGY, limit, n)) - exact).max() for n in (1, 2, 4)]
    assert errors[0] > 1e-2
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 1e-8
    complex_slices = jnp.asarray(slices + 0.1j * np.abs(slices))
    absorbed = np.asarray(transmission(complex_slices, ENERGY))
    np.testing.assert_allclose(
        np.abs(absorbed), np.exp(-interaction_constant(ENERGY) * 0.1 * np.abs(slices)), rtol=1e-12
    )
    with pytest.raises(ValueError, match="finer without limit"):
        transmission(jnp.asarray(slices), ENERGY, finer=2)
