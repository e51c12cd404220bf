"""Scattering matrices of hypotheses: all plane waves of the probe through each specimen, of which every scanned or imaging technique is computed."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from twin import checks
from twin.grid import band_limit, frequencies
from twin.optics.electrons import wavelength
from twin.optics.probe import Edge
from twin.sample.specimen import Specimen
from twin.scattering.batching import compiled, cut, fitting, in_pieces
from twin.scattering.multislice import multislice, propagator, together, transmission
from twin.scattering.stem.beams import Beams, beams, plane_waves
from twin.scattering.stem.by_probes import OVERSAMPLING

Report = Callable[[float], None]


class Grid(NamedTuple):
    """How waves are computed: points ``gpts`` (ny, nx), number of ``slices``, electron ``energy`` in eV, probe ``semiangle`` and specimen ``tilt`` (x, y) in
    radian, scattering angles kept up to ``reach`` in radian; one frozen configuration for each of ``seeds``."""

    gpts: tuple[int, int]
    slices: int
    energy: float
    semiangle: float
    reach: float
    seeds: tuple[int, ...]
    tilt: tuple[float, float] = (0.0, 0.0)
    soft: Edge = True
    before: int = 0
    """Slices before the exit face behind which a second matrix is taken, for the derivative in thickness; 0: none."""


class Matrices(NamedTuple):
    """``amplitudes`` [configurations, n, pixels] of beams at flat indices ``pixels`` of the ``gpts`` behind n plane waves of ``bundle``; ``k`` [pixels, 2] of
    these beams in 1/angstrom; ``thinner``: the same before the last of the specimen, ``step`` angstrom thinner, if it was asked for; ``extent`` (x, y) in
    angstrom and electron ``energy`` in eV."""

    bundle: Beams
    amplitudes: np.ndarray
    pixels: np.ndarray
    k: np.ndarray
    gpts: tuple[int, int]
    extent: tuple[float, float]
    energy: float
    thinner: np.ndarray | None = None
    step: float = 0.0

    @property
    def stacked(self) -> Complex[np.ndarray, "stops configurations n pixels"]:
        """All amplitudes that were computed, the thinner first."""
        return self.amplitudes[None] if self.thinner is None else np.stack([self.thinner, self.amplitudes])


def matrices_of(
    specimen: Specimen,
    grid: Grid,
    workers: int | None = None,
    memory: int | None = None,
    report: Report | None = None,
    sites: np.ndarray | None = None,
) -> Matrices:
    """The scattering matrix of ``specimen`` by multislice. ``sites`` [n]: the atom whose thermal displacement each atom has (None: its own), for atoms that
    share a site. Needs float64 for phases (ValueError otherwise)."""
    checks.require_float64()
    extent, (bundle, pixels, _) = specimen.extent, _geometry(specimen, grid)
    kernel = propagator(grid.gpts, extent, grid.energy, specimen.thickness / grid.slices, grid.tilt)
    limit = band_limit(grid.gpts, extent)
    points = grid.gpts[0] * grid.gpts[1]
    size = min(fitting(4 * 8 * points, memory, grid.slices * points * 16, workers), 32)
    stops = (grid.slices - grid.before, grid.slices) if grid.before else (grid.slices,)
    amplitudes = np.empty((len(stops), len(grid.seeds), len(bundle.k), len(pixels)), np.complex64)
    for number, seed in enumerate(grid.seeds):
        moved = specimen.displacements(seed)
        stack = specimen.slices(grid.gpts, grid.slices, moved if sites is None else moved[sites])
        functions = transmission(jnp.asarray(stack.array), grid.energy, limit, OVERSAMPLING)
        pieces = cut(len(bundle.k), size)
        parts = [functions[first:last] for first, last in itertools.pairwise((0, *stops))]
        work = ((jnp.asarray(bundle.indices[piece]), parts, kernel, jnp.asarray(pixels)) for piece in pieces)
        for piece, result in zip(pieces, in_pieces(_run(), work, workers), strict=True):
            amplitudes[:, number, piece] = np.asarray(result)
            if report is not None:
                report((number + piece.stop / len(bundle.k)) / len(grid.seeds))
    return with_geometry(specimen, grid, amplitudes)


def with_geometry(
    specimen: Specimen, grid: Grid, amplitudes: Complex[np.ndarray, "stops configurations n pixels"]
) -> Matrices:
    """The scattering matrix of ``amplitudes`` that were computed for ``specimen`` on ``grid`` (`Matrices.stacked`)."""
    bundle, pixels, k = _geometry(specimen, grid)
    step = grid.before * specimen.thickness / grid.slices
    thinner = amplitudes[0] if grid.before else None
    return Matrices(bundle, amplitudes[-1], pixels, k, grid.gpts, specimen.extent, grid.energy, thinner, step)


def _geometry(specimen: Specimen, grid: Grid) -> tuple[Beams, np.ndarray, np.ndarray]:
    """The incident plane waves, and flat indices and k [pixels, 2] of the beams that are kept."""
    kx, ky = frequencies(grid.gpts, specimen.extent)
    within = np.hypot(kx[None, :], ky[:, None]) <= grid.reach / wavelength(grid.energy)
    k = np.stack([np.broadcast_to(kx[None, :], grid.gpts)[within], np.broadcast_to(ky[:, None], grid.gpts)[within]], 1)
    return beams(specimen.extent, grid.energy, grid.semiangle, grid.soft), np.flatnonzero(within), k


def _behind(
    indices: Array, parts: list[Array], kernel: Complex[Array, "y x"], pixels: Array
) -> Complex[Array, "stops n pixels"]:
    """Amplitudes of the beams at ``pixels`` behind each of the ``parts`` [slices, y, x] of the specimen."""
    gpts = (kernel.shape[0], kernel.shape[1])

    def one_wave(index: Array) -> Array:
        wave, behind = plane_waves(index[None], gpts)[0], []
        for functions in parts:
            wave = multislice(wave, functions, kernel)
            behind.append(jnp.fft.fft2(wave).ravel()[pixels] / (gpts[0] * gpts[1]))
        return jnp.stack(behind)

    return jnp.swapaxes(jax.lax.map(one_wave, indices, batch_size=together(gpts, np.complex64)), 0, 1)


@functools.cache
def _run() -> Any:
    return compiled(_behind)
