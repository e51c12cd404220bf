"""The waves of one block of beams of a crystal, or of all beams of a supercell, at the slices that hold atoms of the edges."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twin.eels.maps.depths import Depths, depths_of, through
from twin.sample.specimen import Slices, Specimen
from twin.scattering.batching import MEMORY_BYTES
from twin.scattering.multislice import propagator


class Medium(NamedTuple):
    """A crystal or supercell for waves: transmission ``functions`` [slices, y, x] of one ``cell``, ``repeats`` (x, y) of it over ``extent`` (x, y) in
    angstrom, ``cells`` of it in depth; ``displacements`` [n, 3] of its atoms in angstrom."""

    cell: Specimen
    slices: Slices
    functions: Array
    cells: int
    repeats: tuple[int, int]
    extent: tuple[float, float]
    displacements: np.ndarray | None

    @property
    def gpts(self) -> tuple[int, int]:
        """Points (ny, nx) of the cell."""
        return self.functions.shape[-2], self.functions.shape[-1]


class Waves(NamedTuple):
    """Makes waves before the slices ``planes`` of the ``chosen`` cells in depth of ``medium``, for electrons of ``energy`` eV, specimen ``tilt`` (x, y) in
    radian and the band's ``cutoff`` in 1/angstrom; those of a block within ``memory`` bytes."""

    medium: Medium
    planes: tuple[int, ...]
    energy: float
    tilt: tuple[float, float]
    cutoff: float
    chosen: tuple[int, ...]
    memory: int | None = None

    def inwards(self, indices: np.ndarray, members: np.ndarray, reduced: np.ndarray) -> tuple[Depths, ...]:
        """Of the incident beams ``indices`` [n, 2] that are ``members`` [m] of the block ``reduced`` [2], for each plane; see `zones`."""
        return self._made(indices, members, reduced, False, False, 1.0)

    def backwards(
        self, indices: np.ndarray, members: np.ndarray, reduced: np.ndarray, free: bool
    ) -> tuple[Depths, ...]:
        """Of the beams -k for collected beams k, such that sums over the supercell's points are amplitudes in the beam k; ``free``: without the
        specimen, the same at all depths."""
        points = self.medium.gpts[0] * self.medium.gpts[1] * self.medium.repeats[0] * self.medium.repeats[1]
        return self._made(indices, members, reduced, True, free, 1.0 / points)

    def _made(
        self, indices: np.ndarray, members: np.ndarray, reduced: np.ndarray, back: bool, free: bool, scale: float
    ) -> tuple[Depths, ...]:
        medium, cells = self.medium, 1 if free else self.medium.cells
        self._check_memory(len(members) * cells)
        inner = (indices[members] - reduced) // np.asarray(medium.repeats)
        lattice = jnp.asarray(np.where(members[:, None] >= 0, inner, 0))
        tilt = (-self.tilt[0], -self.tilt[1]) if back else self.tilt
        kernel = propagator(
            medium.gpts, medium.slices.extent, self.energy, medium.slices.spacing, tilt,
            cutoff=self.cutoff, q=reduced / np.asarray(medium.extent),
        )  # fmt: skip
        functions = medium.functions
        if free:
            functions, kernel = jnp.ones_like(functions), jnp.ones_like(kernel)
        made = through(back)(lattice, functions, kernel, cells, self.planes)
        kept = np.zeros(1, int) if free else np.asarray(self.chosen)
        parts = (depths_of(made[:, kept, plane]) for plane in range(len(self.planes)))
        return tuple(part._replace(coefficients=part.coefficients * scale) for part in parts)

    def _check_memory(self, waves: int) -> None:
        needed = 2 * 8 * waves * len(self.planes) * self.medium.gpts[0] * self.medium.gpts[1]
        bound = self.memory or MEMORY_BYTES
        if needed > bound:
            raise ValueError(
                f"the waves of {waves} beams and depths at {len(self.planes)} slices take {needed / 1e6:.0f} MB, the bound is {bound / 1e6:.0f} MB; "
                "use fewer points, a crystal's unit cell, or probes with the local potential (one_pass)"
            )
