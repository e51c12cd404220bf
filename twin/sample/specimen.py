"""Specimen: atoms in an orthogonal cell, their thermal motion, and the potential slices they make."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.grid import grid
from twin.optics.electrons import wavelength
from twin.sample.potentials import factors, project

if TYPE_CHECKING:
    from ase import Atoms

U2: dict[str, float] = {"Sr": 0.00787, "Ti": 0.00556, "O": 0.00927, "Si": 0.00587, "Au": 0.0079, "C": 0.0063}
"""Mean square displacement <u^2> along one axis in angstrom^2 near room temperature (B = 8 pi^2 <u^2>): customary values for
SrTiO3 (B = 0.62, 0.44, 0.73), Si (0.46) and Au (0.62); carbon is an assumption."""
U2_OTHER = 0.0063
"""Assumed for every other element (B = 0.5 angstrom^2)."""


class Slices(NamedTuple):
    """Projected potential: ``array`` [slices, ny, nx] V angstrom, ``spacing`` of slices and ``extent`` (x, y) in angstrom."""

    array: Float[Array, "slices y x"]
    spacing: float
    extent: tuple[float, float]


class Specimen(eqx.Module):
    """Atoms in an orthogonal periodic cell. ``positions`` [n, 3] and ``cell`` (x, y, z) in angstrom, ``u2`` [n] in angstrom^2."""

    positions: np.ndarray
    u2: np.ndarray
    symbols: tuple[str, ...] = eqx.field(static=True)
    cell: tuple[float, float, float] = eqx.field(static=True)

    @classmethod
    def from_atoms(cls, atoms: "Atoms", u2: Mapping[str, float] | None = None) -> "Specimen":
        """From ASE atoms. ``u2`` gives <u^2> along one axis per element in angstrom^2 (default: U2). ValueError for a cell that will not do."""
        matrix = np.asarray(atoms.cell.array, dtype=np.float64)
        lengths = np.linalg.norm(matrix, axis=1)
        if len(atoms) == 0:
            raise ValueError("the specimen has no atoms; check the structure file")
        if not np.all(lengths > 0.0) or not np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-6 * lengths.max()):
            raise ValueError(
                f"the specimen's cell {matrix.round(3).tolist()} is not orthogonal with axes along x, y, z; "
                "choose an orthogonal supercell, e.g. with ase.build.make_supercell or ase.build.surface"
            )
        positions = np.asarray(atoms.get_positions(), dtype=np.float64)
        if not np.all(np.isfinite(positions)):
            raise ValueError("the specimen has atoms at positions that are not numbers; check the structure file")
        symbols = tuple(atoms.get_chemical_symbols())
        table = U2 if u2 is None else dict(u2)
        missing = sorted(set(symbols) - set(table))
        if u2 is not None and missing:
            raise ValueError(
                f"u2 lacks {', '.join(missing)}; give <u^2> in angstrom^2 for every element of the specimen"
            )
        thermal = np.array([table.get(symbol, U2_OTHER) for symbol in symbols])
        if not np.all(np.isfinite(thermal)) or thermal.min() < 0.0:
            raise ValueError(f"u2 is {table}; mean square displacements are finite and not negative")
        return cls(positions, thermal, symbols, (float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[2, 2])))

    @property
    def extent(self) -> tuple[float, float]:
        """Lateral size (x, y) of the cell in angstrom."""
        return self.cell[0], self.cell[1]

    @property
    def thickness(self) -> float:
        """Depth of the cell in angstrom."""
        return self.cell[2]

    def displacements(self, seed: int) -> np.ndarray:
        """One frozen configuration of independent thermal displacements [n, 3] in angstrom, fixed by ``seed``."""
        return np.random.default_rng(seed).normal(size=self.positions.shape) * np.sqrt(self.u2)[:, None]

    def members(self, slices: int, displacements: np.ndarray | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Indices of atoms [slices, elements, most] (padded with -1) in each slice, by displaced z, and the elements' symbols."""
        z = self.positions[:, 2] + (0.0 if displacements is None else displacements[:, 2])
        place = np.floor((z / self.cell[2]) % 1.0 * slices).astype(np.int64) % slices
        elements = tuple(sorted(set(self.symbols)))
        kind = np.array([elements.index(symbol) for symbol in self.symbols])
        group = place * len(elements) + kind
        order = np.argsort(group, kind="stable")
        counts = np.bincount(group, minlength=slices * len(elements))
        column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        table = np.full((slices * len(elements), max(1, counts.max())), -1, dtype=np.int32)
        table[group[order], column] = order
        return table.reshape(slices, len(elements), -1), elements

    def slices(
        self,
        gpts: int | tuple[int, int],
        slices: int,
        displacements: np.ndarray | None = None,
        dtype: Any = np.float32,
    ) -> Slices:
        """Potential slices on a grid ``gpts`` (ny, nx), ``slices`` of them, with optional ``displacements`` [n, 3] in angstrom."""
        shape = grid(gpts)
        if slices < 1:
            raise ValueError(f"{slices} slices; give at least one")
        if displacements is not None and np.shape(displacements) != self.positions.shape:
            raise ValueError(
                f"displacements have shape {np.shape(displacements)}, but the specimen needs {self.positions.shape}"
            )
        members, elements = self.members(slices, displacements)
        moved = (
            self.positions if displacements is None else self.positions + np.asarray(displacements, dtype=np.float64)
        )
        table = factors(elements, shape, self.extent).astype(dtype)
        return Slices(project(jnp.asarray(moved), members, table, self.extent), self.cell[2] / slices, self.extent)


def read_structure(path: Path) -> "Atoms":
    """The unit cell in a structure file (CIF and what else ASE reads), beam along c. ValueError for a file that holds no orthogonal cell."""
    import ase
    import ase.io

    try:
        atoms = ase.io.read(path, index=0)
    except Exception as error:  # ASE's parsers raise whatever they stumble over; the cause is kept
        raise ValueError(f"cannot be read as a structure: {type(error).__name__}: {error}") from error
    if not isinstance(atoms, ase.Atoms) or len(atoms) == 0:
        raise ValueError("holds no atoms")
    matrix = np.asarray(atoms.cell.array)
    lengths = np.linalg.norm(matrix, axis=1)
    if lengths.min() < 1.0 or np.abs(matrix - np.diag(np.diag(matrix))).max() > 1e-3:
        raise ValueError(f"its cell {matrix.round(3).tolist()} is not orthogonal with axes along x, y, z")
    return atoms


def srtio3_unit(a: float = 3.905) -> "Atoms":
    """Unit cell of SrTiO3 as ASE atoms: Sr at (0, 0), Ti-O at (a/2, a/2); ``a`` in angstrom."""
    from ase import Atoms

    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=scaled, cell=[a, a, a], pbc=True)


def srtio3(repeats: tuple[int, int, int] = (3, 3, 20), a: float = 3.905) -> Specimen:
    """SrTiO3 [001] with its atomic planes in the middles of slices of a/2, ``repeats`` cells in x, y, z."""
    unit = srtio3_unit(a)
    unit.translate((0.0, 0.0, a / 4.0))
    return Specimen.from_atoms(unit * repeats)


def probe_diameter(energy: float, semiangle: float, C10: float = 0.0, thickness: float = 0.0) -> float:
    """Diameter in angstrom that a probe needs: four diffraction radii (0.61 lambda/alpha) and its geometric cone.

    ``C10`` is the largest defocus in angstrom, ``thickness`` of the specimen in angstrom; the cone is widest over |C10| or through the specimen.
    """
    return 4.0 * 0.61 * wavelength(energy) / semiangle + 2.0 * semiangle * max(abs(C10), abs(thickness - abs(C10)))


def check_probe_fits(
    extent: tuple[float, float], energy: float, semiangle: float, C10: float = 0.0, thickness: float = 0.0
) -> None:
    """ValueError if a probe is wider than the periodic cell ``extent`` (x, y) in angstrom, so that it would meet its own images."""
    needed = probe_diameter(energy, semiangle, C10, thickness)
    if min(extent) < needed:
        raise ValueError(
            f"the specimen cell of {extent[0]:.2f} x {extent[1]:.2f} angstrom is too small for a probe {needed:.2f} angstrom wide "
            f"({semiangle * 1e3:.1f} mrad, C10 up to {abs(C10):.0f} angstrom): it would wrap around; "
            f"repeat the cell to at least {needed:.2f} angstrom, or bring the defocus nearer to zero"
        )
