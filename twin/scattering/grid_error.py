"""What a grid leaves out: beams of a crystal's unit cell on the grid, compared with those on one twice as fine.

Multislice on a grid loses what is scattered beyond its band, and with it what would have come back from there. One cell of the crystal carries
the same band as the whole specimen at a small part of its cost, so the comparison is made on that, over the whole thickness, for a few directions
of the incident beam. The finer grid has an error of its own, several times smaller: scattering falls off steeply with angle.
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
from twin.sample.specimen import Specimen
from twin.scattering.beams import Response
from twin.scattering.multislice import multislice, propagator, transmission

MOST = 50_000_000
"""Points of the finer grid times slices times directions: a few seconds."""
WEAK = (1e-4, 1e-2)
"""Weak beams, as shares of the incident beam; those below are left out."""
DIRECTIONS = 4
"""Of the incident beam within a cone, besides the axis."""


class Compared(NamedTuple):
    """Amplitudes of the beams ``k`` [directions, beams, 2] (1/angstrom, from the axis) that the grid carries, ``coarse`` [directions, beams] on it and
    ``fine`` on the finer one; the share of the beam that is scattered ``beyond`` its band; ``depth``: how many times as thick the specimen is as what
    was compared."""

    k: Float[np.ndarray, "d n 2"]
    coarse: Complex[np.ndarray, "d n"]
    fine: Complex[np.ndarray, "d n"]
    beyond: float
    depth: float = 1.0

    def scaled(self, error: float) -> float:
        """``error`` of what was compared for the whole thickness: it grows in proportion."""
        return min(error * self.depth, 1.0)

    def of_detector(self, detector: Response) -> float:
        """Relative error of a scan's signal: of its mean, or of its brightest pixels, whichever is larger.

        The mean is the sum of intensities. In a pixel beams interfere, and there an error of the amplitudes counts twice: of a share e, 2 e of the
        intensity.
        """
        weights = np.broadcast_to(detector(self.k[..., 0], self.k[..., 1]), self.coarse.shape)
        right, found, wrong = (
            float((weights * np.abs(one) ** 2).sum()) for one in (self.fine, self.coarse, self.coarse - self.fine)
        )
        return self.scaled(max(abs(found - right) / right, 2.0 * math.sqrt(wrong / right))) if right > 0.0 else 0.0

    def of_pattern(self, reach: float = math.inf) -> float:
        """Sum of the errors of all diffracted intensities within ``reach`` (1/angstrom), as a share of their sum."""
        inside = self._scattered() & (np.hypot(self.k[..., 0], self.k[..., 1]) <= reach)
        right, found = np.abs(self.fine[inside]) ** 2, np.abs(self.coarse[inside]) ** 2
        return self.scaled(float(np.abs(found - right).sum() / max(right.sum(), 1e-30)))

    def of_weak_beams(self, reach: float = math.inf) -> float:
        """The same of weak beams (`WEAK`) alone; 0 where there is none."""
        right, found = np.abs(self.fine) ** 2, np.abs(self.coarse) ** 2
        weak = self._scattered() & (np.hypot(self.k[..., 0], self.k[..., 1]) <= reach)
        weak &= (right >= WEAK[0]) & (right <= WEAK[1])
        return self.scaled(float(np.abs(found - right)[weak].sum() / max(right[weak].sum(), 1e-30)))

    def of_wave(self, passed: Response | None = None) -> float:
        """Rms error of the scattered wave as a share of its rms, with the share of each amplitude that is ``passed`` by a lens (default: all)."""
        share = 1.0 if passed is None else passed(self.k[..., 0], self.k[..., 1])
        inside = self._scattered() * share
        wrong, whole = (inside * np.abs(self.coarse - self.fine)) ** 2, (inside * np.abs(self.fine)) ** 2
        return self.scaled(math.sqrt(float(wrong.sum() / max(whole.sum(), 1e-30))))

    def _scattered(self) -> np.ndarray:
        """Which beams [directions, beams] are not the incident one (the first)."""
        others = np.ones(self.coarse.shape, bool)
        others[:, 0] = False
        return others


def cone(semiangle: float, energy: float) -> Float[np.ndarray, "d 2"]:
    """Directions k (1/angstrom) that stand for a cone of ``semiangle`` radian: the axis, and `DIRECTIONS` at its rms angle."""
    if semiangle == 0.0:
        return np.zeros((1, 2))
    azimuth = 0.3 + 2.0 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    rim = semiangle / math.sqrt(2.0) / wavelength(energy)
    return np.concatenate([np.zeros((1, 2)), rim * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)])


def compared(
    cell: Specimen,
    gpts: tuple[int, int],
    slices: int,
    energy: float,
    directions: Float[np.ndarray, "d 2"],
    tilt: tuple[float, float] = (0.0, 0.0),
    seed: int | None = None,
    finer: int = 1,
    options: Sequence[tuple[str, Any]] = (),
) -> Compared:
    """Beams of a ``cell`` on ``gpts`` (ny, nx) points in ``slices`` slices, and on a grid twice as fine.

    For electrons of ``energy`` eV from ``directions`` (1/angstrom), a specimen tilted by ``tilt`` (x, y) radian, one frozen configuration of ``seed``
    (None: atoms at rest), and transmission functions made ``finer`` (`transmission`). ``options`` as `Specimen.slices` takes them. Of a cell that
    takes long only the first slices are compared, along the axis.
    """
    checks.require_float64()
    few = max(1, MOST // (4 * gpts[0] * gpts[1] * len(directions)))
    depth = max(1.0, slices / few)
    if few < slices:
        directions = directions[:1]
        few = min(slices, max(1, MOST // (4 * gpts[0] * gpts[1])))
        depth, cell, slices = slices / few, _first(cell, few, slices), few
    moved = None if seed is None else cell.displacements(seed)
    double = (2 * gpts[0], 2 * gpts[1])
    rough = _beams(cell, gpts, slices, energy, directions, tilt, moved, finer, options)
    exact = _beams(cell, double, slices, energy, directions, tilt, moved, 1, options)
    rows, columns = (np.fft.fftfreq(count, 1.0 / count).astype(int) for count in gpts)
    kx, ky = frequencies(gpts, cell.extent)
    grid = np.stack(np.broadcast_arrays(kx[None, :], ky[:, None]), axis=-1).reshape(-1, 2)
    exact_there = exact[:, rows % double[0]][:, :, columns % double[1]].reshape(len(directions), -1)
    k = directions[:, None, :] + grid[None]
    limit = (CUTOFF - TAPER) * nyquist(gpts, cell.extent)
    carried = np.hypot(k[..., 0], k[..., 1]) <= limit
    beyond = float(np.mean((np.abs(exact) ** 2).sum(axis=(1, 2)) - (np.abs(exact_there) ** 2 * carried).sum(axis=1)))
    coarse, fine = rough.reshape(len(directions), -1) * carried, exact_there * carried
    return Compared(k, coarse.astype(np.complex64), fine.astype(np.complex64), max(beyond, 0.0), depth)


def _first(cell: Specimen, few: int, slices: int) -> Specimen:
    """The part of ``cell`` in the first ``few`` of its ``slices``; the whole where that holds no atoms."""
    deep = cell.thickness * few / slices
    inside = cell.positions[:, 2] % cell.thickness < deep
    if not inside.any():
        return cell
    symbols = tuple(one for one, there in zip(cell.symbols, inside, strict=True) if there)
    lengths = (cell.cell[0], cell.cell[1], deep)
    return Specimen(cell.positions[inside], cell.u2[inside], symbols, lengths, cell.occupancy[inside])


def _beams(
    cell: Specimen, gpts: tuple[int, int], slices: int, energy: float, directions: np.ndarray, tilt: tuple[float, float],
    moved: np.ndarray | None, finer: int, options: Sequence[tuple[str, Any]],
) -> np.ndarray:  # fmt: skip
    """Amplitudes [directions, ny, nx] in FFT order behind the cell, for a plane wave from each direction."""
    stack = cell.slices(gpts, slices, moved, **dict(options))
    functions = transmission(stack.array, energy, band_limit(gpts, cell.extent), finer)
    wave = jnp.ones((1, *gpts), jnp.complex64)
    found = []
    for x, y in directions:
        kernel = propagator(gpts, cell.extent, energy, stack.spacing, tilt, q=(float(x), float(y)))
        found.append(np.fft.fft2(np.asarray(multislice(wave, functions, kernel)[0])) / (gpts[0] * gpts[1]))
    return np.stack(found)
