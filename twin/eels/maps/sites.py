"""Where the atoms of an element are in the slices of a cell, and the transition modes of all atoms of a slice on the cell's own grid."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from twin.eels.maps.window import Modes
from twin.sample import slicing
from twin.sample.specimen import Specimen


class Sites(NamedTuple):
    """Atoms of one slice: number of the ``slice``, ``positions`` [n, 2] (x, y) in angstrom and their ``share`` [n] of atoms on the site."""

    slice: int
    positions: Float[np.ndarray, "n 2"]
    share: Float[np.ndarray, " n"]


def sites_of(
    cell: Specimen, element: str, slices: int, displacements: Float[np.ndarray, "n 3"] | None = None
) -> tuple[Sites, ...]:
    """The atoms of ``element`` in each of ``slices`` slices that has some, as `Specimen.slices` sorts them; ValueError if there are none."""
    positions = cell.positions if displacements is None else cell.positions + displacements
    chosen = _of(cell, element)
    depth = slicing.slice_of(positions[:, 2], cell.thickness, slices)
    return tuple(
        Sites(int(number), positions[chosen & (depth == number), :2], cell.occupancy[chosen & (depth == number)])
        for number in np.unique(depth[chosen])
    )


def mean_u2(cell: Specimen, element: str) -> float:
    """<u^2> of the atoms of ``element``, angstrom^2, averaged over them; ValueError if there are none."""
    return float(cell.u2[_of(cell, element)].mean())


def _of(cell: Specimen, element: str) -> np.ndarray:
    """Which atoms are of ``element`` and there [n]; ValueError if none is."""
    chosen = (np.array(cell.symbols) == element) & (cell.occupancy > 0.0)
    if not chosen.any():
        raise ValueError(f"the specimen has no {element}; it has {', '.join(cell.elements)}")
    return chosen


class BlochModes(NamedTuple):
    """Modes on a supercell of ``repeats`` (x, y) cells, by their Fourier components ``spectra`` [n, y, x]."""

    spectra: Complex[np.ndarray, "n y x"]
    extent: tuple[float, float]
    repeats: tuple[int, int]

    @classmethod
    def of(cls, modes: Modes, repeats: tuple[int, int]) -> "BlochModes":
        return cls(np.fft.fft2(modes.values), modes.extent, repeats)

    def at(self, sites: Sites, turn: tuple[int, int]) -> Complex[np.ndarray, "modes points"]:
        """sum over cells of exp(2 pi i p.x) V(x - x_a) on one cell's points, p = ``turn`` / extent, for each mode of each atom, times the root of its share.

        Between two waves of blocks q and q', p = q + q' is what makes their product with a mode periodic.
        """
        gpts = tuple(n // r for n, r in zip(self.spectra.shape[-2:], self.repeats[::-1], strict=True))
        # g - p, g on the reciprocal lattice of the cell
        down, across = (
            r * np.round(np.fft.fftfreq(n) * n).astype(int) - p
            for n, r, p in zip(gpts, self.repeats[::-1], turn[::-1], strict=True)
        )
        picked = self.spectra[:, (down % self.spectra.shape[1])[:, None], (across % self.spectra.shape[2])[None, :]]
        moved = [
            np.sqrt(share)
            * np.exp(-2j * np.pi * (down * y / self.extent[1]))[:, None]
            * np.exp(-2j * np.pi * (across * x / self.extent[0]))[None, :]
            for (x, y), share in zip(sites.positions, sites.share, strict=True)
        ]
        made = np.fft.ifft2(np.stack(moved)[:, None] * picked[None])
        return made.reshape(-1, gpts[0] * gpts[1])
