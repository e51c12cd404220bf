"""The scattering matrix (PRISM; Ophus, Adv. Struct. Chem. Imaging 3, 13, 2017): plane waves of the aperture behind the specimen.

A probe is a sum of the aperture's plane waves, so its exit wave is the same sum of theirs, at any position and with any aberrations. With
interpolation f only every f-th plane wave along each axis is taken: their sum repeats every 1 / f of the cell, and the exit wave
is cut out of one period around the probe. The part of a probe outside that period is lost, which is the error of the method.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped

from twin import checks
from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength
from twin.optics.probe import Edge
from twin.phases import cis
from twin.scattering.batching import compiled, cut, fitting, in_pieces
from twin.scattering.multislice import multislice
from twin.scattering.stem.beams import beams, plane_waves


class ScatteringMatrix(eqx.Module):
    """Exit waves ``waves`` [n, y, x] of the plane waves ``indices`` [n, 2] (x, y) of a cell ``extent`` (x, y) in angstrom.

    ``amplitude`` [n] are those of the unaberrated probe made of these waves alone, sum of squares 1; ``interpolation`` f (x, y).
    """

    waves: Complex[Array | np.ndarray, "n y x"]
    indices: np.ndarray
    amplitude: np.ndarray
    interpolation: tuple[int, int] = eqx.field(static=True)
    extent: tuple[float, float] = eqx.field(static=True)
    energy: float = eqx.field(static=True)

    @property
    def window(self) -> tuple[int, int]:
        """Points (ny, nx) that a probe's exit wave is cut to."""
        ny, nx = self.waves.shape[-2:]
        return ny // self.interpolation[1], nx // self.interpolation[0]

    @property
    def window_extent(self) -> tuple[float, float]:
        """Extent (x, y) of that window in angstrom."""
        return self.extent[0] / self.interpolation[0], self.extent[1] / self.interpolation[1]


def scattering_matrix(
    transmissions: Complex[Array, "slices y x"],
    kernel: Complex[Array, "y x"],
    extent: tuple[float, float],
    energy: float,
    semiangle: float,
    interpolation: int | tuple[int, int] = 1,
    soft: Edge = True,
    memory: int | None = None,
    workers: int | None = None,
) -> ScatteringMatrix:
    """Plane waves within ``semiangle`` (radian) through the slices, on every ``interpolation``-th beam; specimen tilt is ``kernel``'s.

    ``memory`` bounds the bytes of the result and the work (default `batching.MEMORY_BYTES`). ValueError if the grid is not a multiple of the
    interpolation, or the matrix does not fit.
    """
    checks.require_float64()
    ny, nx = transmissions.shape[-2:]
    factors = (interpolation, interpolation) if isinstance(interpolation, int) else interpolation
    if min(factors) < 1 or nx % factors[0] or ny % factors[1]:
        raise ValueError(
            f"an interpolation of {factors} does not divide the grid of {nx} x {ny} points; choose gpts that are multiples of it"
        )
    bundle = beams(extent, energy, semiangle, soft)
    chosen = np.all(bundle.indices % np.asarray(factors) == 0, axis=1)
    indices, amplitude = bundle.indices[chosen], bundle.amplitude[chosen]
    wave_bytes = ny * nx * transmissions.dtype.itemsize
    size = min(fitting(4 * wave_bytes, memory, len(indices) * wave_bytes, workers), 64)
    run = _through_run()
    work = ((jnp.asarray(indices[part]), transmissions, kernel) for part in cut(len(indices), size))
    waves = np.empty((len(indices), ny, nx), transmissions.dtype)
    for part, result in zip(cut(len(indices), size), in_pieces(run, work, workers), strict=True):
        waves[part] = result
    return ScatteringMatrix(
        jnp.asarray(waves), indices, amplitude / np.linalg.norm(amplitude), factors, extent, float(energy)
    )


@functools.cache
def _through_run() -> Any:
    """Compiled once for each shape, kept between calls."""

    def exit_waves_of(indices: Array, slices: Array, kernel: Array) -> Array:
        return multislice(plane_waves(indices, (kernel.shape[0], kernel.shape[1]), slices.dtype), slices, kernel)

    return compiled(exit_waves_of)


def exit_waves(
    matrix: ScatteringMatrix,
    coefficients: Float[Array | np.ndarray, " 25"],
    positions: Shaped[Array | np.ndarray, "p 2"],
) -> Complex[Array, "p wy wx"]:
    """Exit waves of probes at ``positions`` (x, y) in angstrom, cut to the window around each; ``coefficients`` in angstrom.

    Differentiable in both; the windows move by whole points, which changes nothing but what little is cut off.
    """
    ny, nx = matrix.waves.shape[-2:]
    wy, wx = matrix.window
    k = matrix.indices / np.asarray(matrix.extent)[None, :]
    chi = phase(coefficients, k[:, 0], k[:, 1], wavelength(matrix.energy))
    step = np.asarray([matrix.extent[0] / nx, matrix.extent[1] / ny])
    dtype: Any = matrix.waves.dtype

    def single_probe(position: Array) -> Array:
        angle = -chi - 2.0 * jnp.pi * (jnp.asarray(k) @ position)
        sum_of = (cis(angle) * matrix.amplitude).astype(dtype)
        corner = jnp.round(jax.lax.stop_gradient(position) / step).astype(jnp.int32) - np.array([wx // 2, wy // 2])
        rows = (corner[1] + np.arange(wy)) % ny
        columns = (corner[0] + np.arange(wx)) % nx
        if (wy, wx) == (ny, nx):  # the window is the whole period: no shift needed
            return jnp.tensordot(sum_of, matrix.waves, axes=1)
        return jnp.tensordot(sum_of, matrix.waves[:, rows[:, None], columns[None, :]], axes=1)

    return jax.lax.map(single_probe, checks.float64(positions))
