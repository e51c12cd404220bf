"""Error of a grid: beams of a crystal's unit cell on the grid, compared with those on a grid twice as fine.

Multislice on a grid loses the intensity scattered beyond its band, including what would be scattered back. One cell of the crystal has
the same band as the whole specimen at a small part of its cost, so one cell is compared, over the whole thickness: for a plane wave,
or for probes at a few positions, each a mean over two sets of beams that differ by reciprocal lattice vectors (only those interfere). The finer grid
has an error of its own, several times smaller: scattering falls off steeply with angle.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from twin import checks
from twin.grid import CUTOFF, TAPER, band_limit, frequencies, nyquist
from twin.optics.electrons import wavelength
from twin.sample.potential.factors import scattering_factor
from twin.sample.specimen import Specimen
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.stem.beams import Response

POINT_BUDGET = 50_000_000
"""Points of the finer grid times slices times directions: a few seconds."""
WEAK_BEAM_INTENSITIES = (1e-4, 1e-2)
"""Weak beams, as shares of the incident beam; those below are left out."""
BEAM_OFFSETS = ((0.3, 0.1), (-0.2, 0.35))
"""Offsets of the beams of a probe from the reciprocal lattice, as shares of the smaller of its cell's half and the aperture's radius."""


class GridComparison(NamedTuple):
    """Amplitudes of the beams ``k`` [waves, beams, 2] (1/angstrom, from the axis) that the grid carries, ``coarse`` [waves, beams] on it and ``fine`` on
    the finer one. ``places`` [waves]: index of the probe position; ``cone``: radius of the illumination (1/angstrom); ``outside_band``: share of the
    beam scattered beyond the band; ``depth``: thickness of the specimen divided by the compared thickness."""

    k: Float[np.ndarray, "w n 2"]
    coarse: Complex[np.ndarray, "w n"]
    fine: Complex[np.ndarray, "w n"]
    places: np.ndarray
    cone: float
    outside_band: float
    depth: float = 1.0

    def scaled(self, error: float) -> float:
        """``error`` extrapolated to the whole thickness, in proportion."""
        return min(error * self.depth, 1.0)

    def detector_error(self, detector: Response) -> float:
        """Largest error of the signal at any probe position, as a share of the brightest signal."""
        weights = np.broadcast_to(detector(self.k[..., 0], self.k[..., 1]), self.coarse.shape)
        signals = [(weights * np.abs(amplitudes) ** 2).sum(axis=1) for amplitudes in (self.coarse, self.fine)]
        estimate, reference = (np.bincount(self.places, signal) for signal in signals)
        return (
            self.scaled(float(np.abs(estimate - reference).max() / reference.max())) if reference.max() > 0.0 else 0.0
        )

    def pattern_error(self, reach: float = math.inf) -> float:
        """Sum of the errors of all diffracted intensities within ``reach`` (1/angstrom), as a share of their sum."""
        inside = self._scattered() & (np.hypot(self.k[..., 0], self.k[..., 1]) <= reach)
        reference, estimate = np.abs(self.fine[inside]) ** 2, np.abs(self.coarse[inside]) ** 2
        return self.scaled(float(np.abs(estimate - reference).sum() / max(reference.sum(), 1e-30)))

    def weak_beam_error(self, reach: float = math.inf) -> float:
        """The same of weak beams (`WEAK_BEAM_INTENSITIES`) alone; 0 where there is none."""
        reference, estimate = np.abs(self.fine) ** 2, np.abs(self.coarse) ** 2
        weak = self._scattered() & (np.hypot(self.k[..., 0], self.k[..., 1]) <= reach)
        weak &= (reference >= WEAK_BEAM_INTENSITIES[0]) & (reference <= WEAK_BEAM_INTENSITIES[1])
        return self.scaled(float(np.abs(estimate - reference)[weak].sum() / max(reference[weak].sum(), 1e-30)))

    def wave_error(self, passed: Response | None = None) -> float:
        """Rms error of the scattered wave as a share of its rms, with the share of each amplitude that is ``passed`` by a lens (default: all)."""
        share = 1.0 if passed is None else passed(self.k[..., 0], self.k[..., 1])
        inside = self._scattered() * share
        squared_error, squared_amplitude = (
            (inside * np.abs(self.coarse - self.fine)) ** 2,
            (inside * np.abs(self.fine)) ** 2,
        )
        return self.scaled(math.sqrt(float(squared_error.sum() / max(squared_amplitude.sum(), 1e-30))))

    def _scattered(self) -> np.ndarray:
        """Which beams [waves, beams] lie outside the illumination."""
        return np.hypot(self.k[..., 0], self.k[..., 1]) > self.cone + 1e-9


def compare_grids(
    cell: Specimen,
    gpts: tuple[int, int],
    slices: int,
    energy: float,
    semiangle: float = 0.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    seed: int | None = None,
    finer: int = 1,
    options: Sequence[tuple[str, Any]] = (),
) -> GridComparison:
    """Beams of a ``cell`` on ``gpts`` (ny, nx) points in ``slices`` slices, and on a grid twice as fine.

    For electrons of ``energy`` eV, a probe in focus of ``semiangle`` radian (0: a plane wave), a specimen tilted by ``tilt`` (x, y) radian, one frozen
    configuration of ``seed`` (None: atoms at rest), and transmission functions made ``finer`` (`transmission`). ``options`` as `Specimen.slices`
    takes them. Of a thick cell only the first slices are compared.
    """
    checks.require_float64()
    radius = semiangle / wavelength(energy)
    spots = _spots(cell) if semiangle else np.zeros((1, 2))
    offsets = _offsets(cell.extent, radius)
    compared_slices = max(1, POINT_BUDGET // (4 * gpts[0] * gpts[1] * len(spots) * len(offsets)))
    depth = max(1.0, slices / compared_slices)
    if compared_slices < slices:
        cell, slices = _first(cell, compared_slices, slices), compared_slices
    displacements = None if seed is None else cell.displacements(seed)
    sizes = (gpts, (2 * gpts[0], 2 * gpts[1]))
    rough, exact = (
        _beams(cell, size, slices, energy, offsets, spots, radius, tilt, displacements, factor, options)
        for size, factor in zip(sizes, (finer, 1), strict=True)
    )
    rows, columns = (np.fft.fftfreq(count, 1.0 / count).astype(int) for count in gpts)
    kx, ky = frequencies(gpts, cell.extent)
    grid = np.stack(np.broadcast_arrays(kx[None, :], ky[:, None]), axis=-1).reshape(-1, 2)
    shared = exact[:, rows % sizes[1][0]][:, :, columns % sizes[1][1]].reshape(len(exact), -1)
    k = np.repeat(offsets, len(spots), axis=0)[:, None, :] + grid[None]
    carried = np.hypot(k[..., 0], k[..., 1]) <= (CUTOFF - TAPER) * nyquist(gpts, cell.extent)
    outside_band = float(np.mean((np.abs(exact) ** 2).sum(axis=(1, 2)) - (np.abs(shared) ** 2 * carried).sum(axis=1)))
    coarse, fine = rough.reshape(len(rough), -1) * carried, shared * carried
    position_index = np.tile(np.arange(len(spots)), len(offsets))
    return GridComparison(k, coarse, fine, position_index, radius, max(outside_band, 0.0), depth)


def _spots(cell: Specimen) -> np.ndarray:
    """Positions (x, y) [4, 2] of a probe in angstrom: on the heaviest column, and moved from it by half a cell along x, y and both."""
    strength = {symbol: float(scattering_factor(symbol, np.full(1, 2.0))[0]) for symbol in cell.elements}
    numbers = np.array([strength[symbol] for symbol in cell.symbols]) * cell.occupancy
    _, column = np.unique(np.round(cell.positions[:, :2], 1), axis=0, return_inverse=True)
    weight = np.bincount(column.ravel(), numbers)
    first = cell.positions[int(np.flatnonzero(column.ravel() == int(np.argmax(weight)))[0]), :2]
    return first[None] + 0.5 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * np.array(cell.extent)[None]


def _offsets(extent: tuple[float, float], radius: float) -> np.ndarray:
    """Offsets (x, y) [n, 2] of a probe's beams from the reciprocal lattice in 1/angstrom; none for a plane wave."""
    if radius == 0.0:
        return np.zeros((1, 2))
    largest = np.array([min(0.5 / side, radius) for side in extent])
    return 2.0 * np.array(BEAM_OFFSETS) * largest[None]


def _first(cell: Specimen, count: int, slices: int) -> Specimen:
    """The part of ``cell`` in the first ``count`` of its ``slices``; the whole where that holds no atoms."""
    thickness = cell.thickness * count / slices
    inside = cell.positions[:, 2] % cell.thickness < thickness
    if not inside.any():
        return cell
    symbols = tuple(symbol for symbol, selected in zip(cell.symbols, inside, strict=True) if selected)
    lengths = (cell.cell[0], cell.cell[1], thickness)
    return Specimen(cell.positions[inside], cell.u2[inside], symbols, lengths, cell.occupancy[inside])


def _beams(
    cell: Specimen, gpts: tuple[int, int], slices: int, energy: float, offsets: np.ndarray, spots: np.ndarray, radius: float,
    tilt: tuple[float, float], displacements: np.ndarray | None, finer: int, options: Sequence[tuple[str, Any]],
) -> np.ndarray:  # fmt: skip
    """Amplitudes [offsets * spots, ny, nx] in FFT order behind the cell; the incident ones have a sum of squares of 1."""
    stack = cell.slices(gpts, slices, displacements, **dict(options))
    functions = transmission(stack.array, energy, band_limit(gpts, cell.extent), finer)
    kx, ky = frequencies(gpts, cell.extent)
    total, amplitudes = gpts[0] * gpts[1], []
    for x, y in offsets:
        inside = np.hypot(kx[None, :] + x, ky[:, None] + y) <= max(radius, 1e-9)
        amplitude = inside / np.sqrt(inside.sum())
        turns = spots[:, 0, None, None] * kx[None, None, :] + spots[:, 1, None, None] * ky[None, :, None]
        waves = total * np.fft.ifft2(amplitude[None] * np.exp(-2j * np.pi * turns))
        kernel = propagator(gpts, cell.extent, energy, stack.spacing, tilt, q=(float(x), float(y)))
        exit_waves = multislice(jnp.asarray(waves, jnp.complex64), functions, kernel)
        amplitudes.append(np.fft.fft2(np.asarray(exit_waves)).astype(np.complex64) / np.float32(total))
    return np.concatenate(amplitudes)
