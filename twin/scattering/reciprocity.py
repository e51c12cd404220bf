"""Scans as points of the detector see them: by reciprocity one plane wave back through the specimen for each point, at any aberrations.

With S the specimen's scattering matrix, a point kappa of the detector records |sum_k S[kappa, k] a_k|^2 of a probe sum_k a_k |k>. The row
S[kappa, :] is the plane wave -kappa taken through the transposed slices in reverse order (Cowley, Appl. Phys. Lett. 15, 58, 1969): one multislice
for each point of the detector, and none more for other positions, tilts or aberrations of the probe.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, Shaped

from twin.grid import frequencies
from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength
from twin.phases import cis
from twin.scattering.beams import plane_waves
from twin.scattering.multislice import multislice


def rows(
    indices: Int[np.ndarray, "n 2"], transmissions: Complex[Array, "slices y x"], kernel: Complex[Array, "y x"]
) -> Complex[Array, "n y x"]:
    """Rows S[kappa, k] of the scattering matrix, k in FFT order, for detector beams of integer ``indices`` (x, y) on the cell's reciprocal lattice.

    ``transmissions`` and ``kernel`` as for `multislice`. S[kappa, k] is the amplitude in beam kappa behind the specimen of a plane wave k of 1.
    """
    ny, nx = kernel.shape
    if np.any(2 * np.abs(indices) >= np.array([nx, ny])):
        raise ValueError(f"detector beams reach beyond a grid of {(ny, nx)} points; give a finer grid")
    return _rows(jnp.asarray(indices), transmissions, kernel)


@jax.jit
def _rows(indices: Array, transmissions: Array, kernel: Array) -> Array:
    # the transpose of a propagator takes k to -k
    turned = jnp.roll(kernel[::-1, ::-1], (1, 1), (0, 1))
    start = plane_waves(-indices, (kernel.shape[0], kernel.shape[1]), transmissions.dtype)
    start = start * kernel[indices[:, 1], indices[:, 0]][:, None, None]
    waves = multislice(start, transmissions[:0:-1], turned) if transmissions.shape[0] > 1 else start
    return jnp.fft.ifft2(waves * transmissions[0])


def scan_images(
    rows: Complex[Array, "n y x"],
    coefficients: Float[Array | np.ndarray, " 25"],
    amplitude: Float[np.ndarray, "y x"],
    extent: tuple[float, float],
    energy: float,
    points: tuple[int, int],
    axis: tuple[float, float] = (0.0, 0.0),
) -> Float[Array, "n py px"]:
    """Share of the beam that each detector point of ``rows`` records at ``points`` (ny, nx) probe positions over the cell: position [j, i] is
    (i, j) * extent / points.

    ``amplitude`` as `aperture` gives it, ``coefficients`` in angstrom about ``axis`` (x, y) in radian. Exact at any number of points.
    """
    gpts = (amplitude.shape[0], amplitude.shape[1])
    found = _images(rows, jnp.asarray(coefficients), jnp.asarray(amplitude), extent, wavelength(energy), points, axis)
    if found.shape[-2:] != tuple(points):
        raise ValueError(f"a scan of {points} points does not divide or extend a grid of {gpts}")
    return found


@functools.partial(jax.jit, static_argnames=("extent", "points"))
def _images(
    rows: Array,
    coefficients: Array,
    amplitude: Array,
    extent: tuple[float, float],
    length: float,
    points: tuple[int, int],
    axis: tuple[float, float],
) -> Array:
    ny, nx = amplitude.shape
    py, px = points
    kx, ky = frequencies((ny, nx), extent)
    grid_x, grid_y = jnp.broadcast_arrays(jnp.asarray(kx)[None, :], jnp.asarray(ky)[:, None])
    chi = phase(coefficients, grid_x - axis[0] / length, grid_y - axis[1] / length, length)
    probe = (amplitude * cis(-chi)).astype(rows.dtype)
    # at points of the scan, frequencies that differ by its own are one
    to_y = jnp.round(jnp.asarray(ky) * extent[1]).astype(int) % py
    to_x = jnp.round(jnp.asarray(kx) * extent[0]).astype(int) % px

    def image(row: Array) -> Array:
        folded = jnp.zeros((py, nx), row.dtype).at[to_y].add(row * probe)
        folded = jnp.zeros((py, px), row.dtype).at[:, to_x].add(folded)
        wave = jnp.fft.fft2(folded)
        return wave.real**2 + wave.imag**2

    return jax.lax.map(image, rows, batch_size=8)


def pixel_beams(
    angles: Shaped[np.ndarray, "pixels 2"], extent: tuple[float, float], energy: float
) -> Int[np.ndarray, "pixels 2"]:
    """Beams of the cell's reciprocal lattice nearest to ``angles`` (x, y) in radian, as integer indices."""
    return np.rint(angles / wavelength(energy) * np.asarray(extent)[None, :]).astype(int)
