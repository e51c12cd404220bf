"""Multislice: waves through transmission functions and a propagator, with a custom adjoint.

A wave is psi(x) = sum_k a_k exp(+2 pi i k.x): amplitudes are fft2(psi) / (ny nx), and a beam's share of the incident intensity is
|a_k|^2. Each step transmits, then propagates:

    psi_{s+1} = F^-1 [ P F (t_s psi_s) ]

Specimen tilt = minus beam tilt: with tilt tau columns lean towards +tau with depth.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Complex, Float, Inexact

from twin import checks
from twin.grid import CUTOFF, frequencies, nyquist, window
from twin.optics.electrons import interaction_constant, wavelength
from twin.phases import cis, cos_sin

CACHE_BYTES = 1_600_000
"""On a CPU, waves go through the slices together while they fit in this: 8 of 160 x 160 are a quarter faster than one by one, and three
times faster than all at once; of 512 x 512 one by one is fastest."""
DEVICE_BYTES = 256_000_000
"""The same on an accelerator."""
ADJOINT_BYTES = 64_000_000
"""The backward pass takes waves together while their stored intermediate waves fit in this; at least one at a time."""


def together(gpts: tuple[int, int], dtype: Any = jnp.complex64, limit: int = 64) -> int:
    """How many waves on a grid (ny, nx) to take through the slices at once on the present backend: 1 to ``limit``."""
    room = CACHE_BYTES if jax.default_backend() == "cpu" else DEVICE_BYTES
    return max(1, min(limit, room // (gpts[0] * gpts[1] * np.dtype(dtype).itemsize)))


def propagator(
    gpts: tuple[int, int],
    extent: tuple[float, float],
    energy: float,
    spacing: float | Float[Array, ""],
    tilt: tuple[float, float] | Float[Array | np.ndarray, " 2"] = (0.0, 0.0),
    dtype: Any = jnp.complex64,
    cutoff: float | None = None,
    q: tuple[float, float] | Float[Array | np.ndarray, " 2"] = (0.0, 0.0),
) -> Complex[Array, "y x"]:
    """Fresnel propagator over ``spacing`` angstrom, band limited, for specimen ``tilt`` (x, y) in radian. Phases are float64.

    ``cutoff`` of the band as in `band_limit`. ``q`` (x, y) in 1/angstrom is for waves exp(2 pi i q.x) times what is on the grid: all is
    taken at q + k.
    """
    along_x, along_y = frequencies(gpts, extent)
    band = cutoff or CUTOFF * nyquist(gpts, extent)
    return _kernel(along_x, along_y, wavelength(energy), band, spacing, tilt, q, dtype)


@functools.partial(jax.jit, static_argnames="dtype")
def _kernel(
    along_x: Array, along_y: Array, length: Array, band: Array, spacing: Array, tilt: Any, q: Any, dtype: Any
) -> Array:
    kx, ky = along_x[None, :] + q[0], along_y[:, None] + q[1]
    square = kx**2 + ky**2
    slope = jnp.tan(checks.float64(tilt))
    turns = checks.float64(spacing) * (slope[0] * kx + slope[1] * ky - 0.5 * length * square)
    return (jax.lax.complex(*cos_sin(turns)) * window(jnp.sqrt(square), band)).astype(dtype)


def transmission(
    slices: Inexact[Array, "slices y x"],
    energy: float,
    limit: Float[np.ndarray, "y x"] | None = None,
    finer: int = 1,
) -> Complex[Array, "slices y x"]:
    """exp(+i sigma V) of projected potentials in V angstrom, band limited by ``limit`` (as `band_limit` gives it) if given.

    An absorptive potential is complex: the intensity removed by its imaginary part is not propagated. The exponential has frequencies
    beyond the band of the grid, which alias into it: ``finer`` > 1 computes it on a grid ``finer`` times finer
    (the potential interpolated by its Fourier series) before the limit, which then must be given.
    """
    sigma = jnp.asarray(interaction_constant(energy), slices.real.dtype)
    if limit is not None:
        return _limited(slices, sigma, jnp.asarray(limit, slices.real.dtype), finer)
    if finer != 1:
        raise ValueError("finer without limit: a finer grid is only a way to the band, so give what limits it")
    return _exponential(slices, sigma)


@functools.partial(jax.jit, inline=True)
def _exponential(potential: Array, sigma: Array) -> Array:
    function = cis(potential.real * sigma)
    return function * jnp.exp(-potential.imag * sigma) if jnp.iscomplexobj(potential) else function


@functools.partial(jax.jit, static_argnames=("finer",))
def _limited(slices: Array, sigma: Array, band: Array, finer: int) -> Array:
    ny, nx = slices.shape[-2:]

    def single_slice(layer: Array) -> Array:
        if finer == 1:
            return jnp.fft.ifft2(jnp.fft.fft2(_exponential(layer, sigma)) * band)
        wide = _resized(jnp.fft.fft2(layer), (finer * ny, finer * nx))
        potential = jnp.fft.ifft2(wide) * jnp.asarray(finer**2, band.dtype)
        function = _exponential(potential if jnp.iscomplexobj(layer) else potential.real, sigma)
        spectrum = _resized(jnp.fft.fft2(function), (ny, nx)) * (band / finer**2)
        return jnp.fft.ifft2(spectrum)

    # only the potential is kept for derivatives
    return jax.lax.map(jax.checkpoint(single_slice), slices)


def _resized(spectrum: Array, gpts: tuple[int, int]) -> Array:
    """A spectrum [y, x] in FFT order on a grid of other size: frequencies that both have, but the smaller one's Nyquist."""
    shifted = jnp.fft.fftshift(spectrum)
    for axis, new in enumerate(gpts):
        old = shifted.shape[axis]
        reach = (min(old, new) - 1) // 2
        shifted = jax.lax.slice_in_dim(shifted, old // 2 - reach, old // 2 + reach + 1, axis=axis)
        padding = [(0, 0), (0, 0)]
        padding[axis] = (new // 2 - reach, new - new // 2 - reach - 1)
        shifted = jnp.pad(shifted, padding)
    return jnp.fft.ifftshift(shifted)


def _step(psi: Array, slice_: Array, kernel: Array) -> Array:
    """The wave behind one slice and the way to the next."""
    return jnp.fft.ifft2(jnp.fft.fft2(psi * slice_) * kernel)


def _through(psi: Array, transmissions: Array, kernel: Array) -> Array:
    return jax.lax.scan(lambda wave, slice_: (_step(wave, slice_, kernel), None), psi, transmissions)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _multislice(waves: Array, transmissions: Array, kernel: Array, size: int) -> Array:
    """Waves [n, y, x] behind all slices, ``size`` of them at a time."""
    return jax.lax.map(lambda wave: _through(wave, transmissions, kernel), waves, batch_size=size)


@functools.partial(jax.jit, static_argnames=("size", "forward_mode"))  # the compiled function is cached between calls
def _passed(waves: Array, transmissions: Array, kernel: Array, size: int, forward_mode: bool) -> Array:
    if not forward_mode:
        return jnp.asarray(_multislice(waves, transmissions, kernel, size))
    passing = jax.checkpoint(functools.partial(_through, transmissions=transmissions, kernel=kernel))
    return jax.lax.map(passing, waves, batch_size=size)


def _forward(waves: Any, transmissions: Any, kernel: Any, size: int) -> tuple[Any, Any]:
    """Keeps the inputs of the forward pass only; None marks arguments without derivative."""
    exit_waves = _multislice(waves.value, transmissions.value, kernel.value, size)
    placeholders = tuple(() if argument.perturbed else None for argument in (transmissions, kernel))
    return exit_waves, (waves.value, transmissions.value, kernel.value, placeholders)


def _backward(size: int, residuals: Any, cotangent: Any) -> tuple[Array, Array | None, Array | None]:
    """Propagates every wave again, storing it before each slice, and then its cotangent back through the transposed steps.

    With c the cotangent behind a slice: c' = F^-1 c, and then dP += F(t psi) c', c'' = F(P c'), dt = psi c'', and t c'' goes on. Memory: a
    few times that of the transmission functions, however many waves there are; so F(t psi) is computed again.
    """
    waves, transmissions, kernel, (for_slices, for_kernel) = residuals
    cotangent = jnp.zeros_like(waves) if isinstance(cotangent, SymbolicZero) else cotangent
    count = max(1, min(size, ADJOINT_BYTES // (transmissions.size * transmissions.dtype.itemsize)))
    full = waves.shape[0] // count * count

    def piece(sums: tuple[Array, Array], batch: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        psi, behind = batch
        _, on_the_way = jax.lax.scan(
            lambda wave, slice_: (_step(wave, slice_[None], kernel[None]), wave), psi, transmissions
        )

        def step_back(carry: tuple[Array, ...], past: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
            c, of_slices, of_kernel = carry
            number, slice_, wave = past
            c = jnp.fft.ifft2(c)
            if for_kernel is not None:
                of_kernel = of_kernel + (jnp.fft.fft2(wave * slice_[None]) * c).sum(axis=0)
            c = jnp.fft.fft2(c * kernel[None])
            if for_slices is not None:
                of_slices = of_slices.at[number].add((wave * c).sum(axis=0))
            return (slice_[None] * c, of_slices, of_kernel), None

        numbers = jnp.arange(transmissions.shape[0])
        (c, *sums_), _ = jax.lax.scan(step_back, (behind, *sums), (numbers, transmissions, on_the_way), reverse=True)
        return (sums_[0], sums_[1]), c

    def pieces(sums: tuple[Array, Array], psi: Array, behind: Array) -> tuple[tuple[Array, Array], Array]:
        shape = psi.shape
        grouped = (-1, min(count, shape[0]), *shape[1:])
        sums, cotangents = jax.lax.scan(piece, sums, (psi.reshape(grouped), behind.reshape(grouped)))
        return sums, cotangents.reshape(shape)

    none = jnp.zeros((transmissions.shape[0], *((1, 1) if for_slices is None else kernel.shape)), transmissions.dtype)
    sums = (none, jnp.zeros_like(kernel))
    parts = []
    for part in (slice(None, full), slice(full, None)):
        if waves[part].shape[0]:
            sums, propagated = pieces(sums, waves[part], cotangent[part])
            parts.append(propagated)
    return (
        jnp.concatenate(parts) if len(parts) > 1 else parts[0],
        None if for_slices is None else sums[0],
        None if for_kernel is None else sums[1],
    )


_multislice.defvjp(_forward, _backward, symbolic_zeros=True)


def multislice(
    waves: Complex[Array, "*batch y x"],
    transmissions: Complex[Array, "slices y x"],
    propagator: Complex[Array, "y x"],
    exits: tuple[int, ...] | None = None,
    size: int | None = None,
    forward_mode: bool = False,
) -> Complex[Array, "..."]:
    """Waves behind the slices: [*batch, y, x], or [len(exits), *batch, y, x] behind the first ``exits`` slices each (rising).

    A pure function, differentiable in all three arrays in reverse mode by its own adjoint, at about twice the cost of the waves themselves
    and in memory that does not grow with their number; with ``forward_mode`` by JAX itself, which allows `jax.jvp`. ``size`` waves
    go through together (default: `together`); the result does not depend on it.
    """
    total = transmissions.shape[0]
    stops = (total,) if exits is None else tuple(exits)
    if not stops or list(stops) != sorted(set(stops)) or stops[0] < 1 or stops[-1] > total:
        raise ValueError(f"exits {stops} must rise within 1 and the {total} slices there are")
    if size is not None and size < 1:
        raise ValueError(f"size is {size}: at least one wave goes through the slices at a time")
    shape = waves.shape
    count = size or together((shape[-2], shape[-1]), waves.dtype)
    flat = waves.reshape(-1, *shape[-2:])
    exit_waves, start = [], 0
    for stop in stops:
        flat = _passed(flat, transmissions[start:stop], propagator, count, forward_mode)
        exit_waves.append(flat.reshape(shape))
        start = stop
    return exit_waves[0] if exits is None else jnp.stack(exit_waves)


@functools.partial(jax.jit, inline=True)
def intensities(waves: Complex[Array, "*batch y x"]) -> Float[Array, "*batch y x"]:
    """Diffraction pattern in FFT order: the share of the incident beam in every beam of the grid."""
    ny, nx = waves.shape[-2:]
    amplitude = jnp.fft.fft2(waves) / jnp.asarray(ny * nx, waves.real.dtype)
    return amplitude.real**2 + amplitude.imag**2
