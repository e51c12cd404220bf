"""The scattering matrix at interpolation 1: every plane wave of the aperture through the specimen, reduced to detector Gram matrices.

S[q, j] is the amplitude in beam q behind the specimen for the incident plane wave j, and G = S^H D S, with detector weights D, holds all
that a detector can record with any aberrations at any probe position: the fraction of the beam is a^H G a for a probe sum_j a_j |k_j>.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from twin import checks
from twin.grid import frequencies
from twin.optics.electrons import wavelength
from twin.optics.probe import Edge, aperture_weight
from twin.phases import cos_sin
from twin.scattering.multislice import multislice, together

Response = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A detector: weights at frequencies (kx, ky) in 1/angstrom, broadcast together."""


def weights(detectors: Sequence[Response], gpts: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Weights [detectors, y, x] of detectors on the beams of a grid, in FFT order."""
    kx, ky = frequencies(gpts, extent)
    return np.stack([np.broadcast_to(detector(kx[None, :], ky[:, None]), gpts) for detector in detectors])


class Beams(NamedTuple):
    """Plane waves within an aperture: integer ``indices`` [n, 2] (x, y) on the cell's reciprocal lattice, ``k`` [n, 2] in 1/angstrom,
    and ``amplitude`` [n] of an unaberrated probe at the origin, sum of squares 1."""

    indices: np.ndarray
    k: np.ndarray
    amplitude: np.ndarray


def beams(
    extent: tuple[float, float], energy: float, semiangle: float, soft: Edge = True, margin: float = 0.0
) -> Beams:
    """All plane waves with weight in the aperture, in order of their indices, for a periodic cell ``extent`` (x, y) in angstrom; with a ``margin`` also those
    without weight that an aperture larger by this share would have."""
    widest = semiangle * (1.0 + margin)
    reach = [int(np.ceil(widest / wavelength(energy) * side)) + 2 for side in extent]
    h, k = np.meshgrid(np.arange(-reach[0], reach[0] + 1), np.arange(-reach[1], reach[1] + 1), indexing="ij")
    indices = np.stack([h.ravel(), k.ravel()], axis=-1)
    vectors = indices / np.asarray(extent)[None, :]
    weight = aperture_weight(vectors[:, 0], vectors[:, 1], extent, energy, semiangle, soft)
    inside = weight > 0.0
    if margin > 0.0:
        inside |= aperture_weight(vectors[:, 0], vectors[:, 1], extent, energy, widest, soft) > 0.0
    return Beams(indices[inside], vectors[inside], weight[inside] / np.sqrt(np.sum(weight[inside] ** 2)))


@partial(jax.jit, static_argnames=("gpts", "dtype"))
def plane_waves(
    indices: Int[Array | np.ndarray, "n 2"], gpts: tuple[int, int], dtype: Any = jnp.complex64
) -> Complex[Array, "n y x"]:
    """exp(+2 pi i k.x) on the grid for integer ``indices`` (x, y)."""
    ny, nx = gpts

    def rows(index: Array, count: int) -> Array:
        turns = checks.float64((index[:, None] * jnp.arange(count)[None, :]) % count) / count
        return jax.lax.complex(*cos_sin(turns)).astype(dtype)

    pairs = jnp.asarray(indices)
    return rows(pairs[:, 1], ny)[:, :, None] * rows(pairs[:, 0], nx)[:, None, :]


@jax.jit
def _advance(waves: Array, transmissions: Array, kernel: Array) -> Array:
    return multislice(waves, transmissions, kernel)


@jax.jit
def _amplitudes(waves: Array, pixels: Array) -> Array:
    """Amplitudes [n, pixels] of the beams at flat indices ``pixels``."""
    size = waves.shape[-2] * waves.shape[-1]
    amplitudes = jax.lax.map(
        lambda wave: jnp.fft.fft2(wave).ravel()[pixels], waves, batch_size=together((waves.shape[-2], waves.shape[-1]))
    )
    return amplitudes / jnp.asarray(size, waves.real.dtype)


@jax.jit
def gram(amplitudes: Complex[Array, "n pixels"], weights: Float[Array, " pixels"]) -> Complex[Array, "n n"]:
    """G[j, k] = sum_q conj(S[q, j]) D[q] S[q, k] from ``amplitudes`` [j, q]. Real products: faster than complex ones on a CPU."""
    real, imag = amplitudes.real, amplitudes.imag
    weighted_real, weighted_imag = real * weights[None, :], imag * weights[None, :]
    cross = real @ weighted_imag.T
    return jax.lax.complex(real @ weighted_real.T + imag @ weighted_imag.T, cross - cross.T)


def scattered(
    indices: np.ndarray,
    transmissions: Complex[Array, "slices y x"],
    kernel: Complex[Array, "y x"],
    pixels: np.ndarray,
    stops: tuple[int, ...],
) -> Iterator[Complex[Array, "n pixels"]]:
    """Amplitudes [n, pixels] of the incident plane waves ``indices`` behind the first ``stops`` slices each, one depth after the other."""
    waves = plane_waves(indices, transmissions.shape[-2:], transmissions.dtype)
    start = 0
    for stop in stops:
        waves = _advance(waves, transmissions[start:stop], kernel)
        yield _amplitudes(waves, jnp.asarray(pixels))
        start = stop


def gram_matrices(
    indices: np.ndarray,
    transmissions: Complex[Array, "slices y x"],
    kernel: Complex[Array, "y x"],
    detectors: Float[np.ndarray, "detectors y x"],
    stops: tuple[int, ...],
) -> np.ndarray:
    """Gram matrices [len(stops), detectors, n, n] for detector weights in FFT order, of one frozen configuration, in general form."""
    maps = np.asarray(detectors).reshape(len(detectors), -1)
    pixels = np.flatnonzero(np.any(maps != 0.0, axis=0))
    matrices = []
    for amplitudes in scattered(indices, transmissions, kernel, pixels, stops):
        weights = maps[:, pixels].astype(amplitudes.real.dtype)
        matrices.append([np.asarray(gram(amplitudes, jnp.asarray(weight))) for weight in weights])
    return np.asarray(matrices)
