"""Scans by reciprocity: one plane wave back through the specimen for each detector point gives its image at any aberrations.

With S the specimen's scattering matrix, a point kappa of the detector records |sum_k S[kappa, k] a_k|^2 of a probe sum_k a_k |k>. The row
S[kappa, :] is the plane wave -kappa taken through the transposed slices in reverse order (Cowley, Appl. Phys. Lett. 15, 58, 1969): one multislice
for each point of the detector, and none more for other positions, tilts or aberrations of the probe.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, Shaped

from twin import checks
from twin.grid import band_limit, frequencies
from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength
from twin.phases import cis
from twin.sample.specimen import Slices
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.stem.beams import plane_waves


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
    reversed_kernel = jnp.roll(kernel[::-1, ::-1], (1, 1), (0, 1))
    start = plane_waves(-indices, (kernel.shape[0], kernel.shape[1]), transmissions.dtype)
    start = start * kernel[indices[:, 1], indices[:, 0]][:, None, None]
    waves = multislice(start, transmissions[:0:-1], reversed_kernel) if transmissions.shape[0] > 1 else start
    return jnp.fft.ifft2(waves * transmissions[:1])


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
    checks.require_float64()
    arrays = (jnp.asarray(value) for value in (coefficients, amplitude, axis))
    return _images(rows, *arrays, wavelength(energy), extent, points)


@functools.partial(jax.jit, static_argnames=("length", "extent", "points"))
def _images(
    rows: Array,
    coefficients: Array,
    amplitude: Array,
    axis: Array,
    length: float,
    extent: tuple[float, float],
    points: tuple[int, int],
) -> Array:
    ny, nx = amplitude.shape
    py, px = points
    kx, ky = frequencies((ny, nx), extent)
    grid_x, grid_y = jnp.broadcast_arrays(jnp.asarray(kx)[None, :], jnp.asarray(ky)[:, None])
    chi = phase(coefficients, grid_x - axis[0] / length, grid_y - axis[1] / length, length)
    probe = (amplitude * cis(-chi)).astype(rows.dtype)
    # on the scan's pixels, frequencies that differ by its sampling frequency are equal
    to_y = jnp.round(jnp.asarray(ky) * extent[1]).astype(int) % py
    to_x = jnp.round(jnp.asarray(kx) * extent[0]).astype(int) % px

    def image(row: Array) -> Array:
        folded = jnp.zeros((py, nx), row.dtype).at[to_y].add(row * probe)
        folded = jnp.zeros((py, px), row.dtype).at[:, to_x].add(folded)
        wave = jnp.fft.fft2(folded)
        return wave.real**2 + wave.imag**2

    return jax.lax.map(image, rows, batch_size=8)


def crystal_rows(
    cell: Slices,
    cells: int,
    kappa: Shaped[np.ndarray, "n 2"],
    energy: float,
    tilt: tuple[float, float] = (0.0, 0.0),
    finer: int = 2,
) -> Complex[Array, "n y x"]:
    """Rows S[kappa, kappa + g] of a perfect crystal ``cells`` unit cells deep, g in FFT order of the ``cell``'s grid, for detector points ``kappa``
    (x, y) in 1/angstrom anywhere: what kappa couples to fits on one cell's grid. ``tilt`` of the specimen (x, y) in radian."""
    checks.require_float64()
    gpts = (cell.array.shape[-2], cell.array.shape[-1])
    functions = transmission(cell.array, energy, band_limit(gpts, cell.extent), finer).astype(jnp.complex64)
    functions = jnp.tile(functions, (cells, 1, 1))
    kernels = (propagator(gpts, cell.extent, energy, cell.spacing, tilt, q=(float(k[0]), float(k[1]))) for k in kappa)
    return _crystal_rows(functions, jnp.stack(list(kernels)))


@jax.jit
def _crystal_rows(functions: Array, kernels: Array) -> Array:
    middle = jnp.zeros((1, 2), int)
    return jax.lax.map(lambda kernel: _rows(middle, functions, kernel)[0], kernels)
