"""The scanned specimen: atoms or crystal, grid, slices and phonon configurations."""

import math
from typing import Any

import equinox as eqx
import numpy as np

from twin.grid import CUTOFF, nyquist, smooth
from twin.sample.specimen import Slices, Specimen


class Scene(eqx.Module):
    """A scanned ``specimen`` on a grid ``gpts`` (ny, nx) in ``slices`` slices, one frozen phonon configuration for each of ``seeds`` (none: atoms
    at rest), specimen ``tilt`` (x, y) in radian. ``cell``: the unit cell of which it is ``repeats`` (x, y, z), if it is a crystal.
    ``options`` as `Specimen.slices` takes them: (name, value) for parametrization, projection, thermal, energy."""

    specimen: Specimen
    gpts: tuple[int, int] = eqx.field(static=True)
    slices: int = eqx.field(static=True)
    seeds: tuple[int, ...] = eqx.field(static=True, default=())
    tilt: tuple[float, float] = eqx.field(static=True, default=(0.0, 0.0))
    cell: Specimen | None = None
    repeats: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1))
    options: tuple[tuple[str, Any], ...] = eqx.field(static=True, default=())

    def __check_init__(self):
        if self.cell is not None:
            sides = np.array(self.cell.cell) * np.array(self.repeats)
            if not np.allclose(sides, self.specimen.cell, rtol=1e-6):
                raise ValueError(
                    f"the cell {self.cell.cell} times {self.repeats} is not the specimen's {self.specimen.cell}; give its own cell and repeats, or none"
                )
            if self.slices % self.repeats[2]:
                raise ValueError(
                    f"{self.slices} slices are not a whole number for each of {self.repeats[2]} cells in depth; choose a multiple"
                )

    @property
    def configurations(self) -> int:
        return max(len(self.seeds), 1)

    def displacements(self, number: int) -> np.ndarray | None:
        """Of configuration ``number`` [n, 3] in angstrom; None for atoms at rest."""
        return self.specimen.displacements(self.seeds[number]) if self.seeds else None

    def stack(self, number: int) -> Slices:
        return self.specimen.slices(self.gpts, self.slices, self.displacements(number), **dict(self.options))

    @property
    def damped(self) -> bool:
        """Whether thermal motion only damps the potential, so that diffuse scattering is missing."""
        return dict(self.options).get("thermal", "none") != "none"

    @property
    def cutoff(self) -> float:
        """Of the band in 1/angstrom."""
        return CUTOFF * nyquist(self.gpts, self.specimen.extent)

    @property
    def highest(self) -> tuple[float, float]:
        """Frequencies (x, y) in 1/angstrom at which the grid ends."""
        return 0.5 * self.gpts[1] / self.specimen.extent[0], 0.5 * self.gpts[0] / self.specimen.extent[1]

    def cell_points(self) -> tuple[int, int]:
        """Points (ny, nx) on one unit cell that hold all frequencies of the grid."""
        ny, nx = (
            smooth(math.ceil(points / count)) for points, count in zip(self.gpts, self.repeats[1::-1], strict=True)
        )
        return ny, nx
