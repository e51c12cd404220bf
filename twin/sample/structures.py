"""Crystal structures read from files, as ASE atoms. With `orthogonal` and `standards` the only module that uses ASE."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.sample.cif.checks import density_of
from twin.sample.cif.elements import formula_text, known
from twin.sample.cif.neighbours import pairs, shortest
from twin.sample.cif.reading import read
from twin.sample.consistency import OVERLAP_DISTANCE, check_pairs

if TYPE_CHECKING:
    from ase import Atoms

CIF_SUFFIXES = (".cif", ".mcif", ".mmcif", ".pcif")
"""Endings of files that are read as CIF; ASE reads the others."""
SHEET_VACUUM = 10.0
"""Angstrom on each side of a sheet whose file gives it no cell across."""
SHEET_GAP = 7.0
"""Angstrom without an atom along an axis from which on a structure is a sheet: layers of crystals are nearer to each other."""


@dataclass(frozen=True, eq=False)
class Structure:
    """A unit cell as it was read from a file.

    ``cell`` [3, 3] vectors as rows in angstrom; for each of n atoms its symbol, ``fractions`` [n, 3] of the cell, occupancy, ``u2`` <u^2> along one
    axis in angstrom^2 (nan: not stated) and label in the file. ``space_group`` as understood, ``shortest`` distance in angstrom, ``notes`` on what was
    done to read it, and ``contradictions`` within the file.
    """

    name: str
    cell: np.ndarray
    symbols: tuple[str, ...]
    fractions: np.ndarray
    occupancies: np.ndarray
    u2: np.ndarray
    labels: tuple[str, ...]
    space_group: str
    shortest: float
    notes: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    @property
    def atoms(self) -> "Atoms":
        """The unit cell as ASE atoms, with arrays "occupancy", and "u2" where the file states thermal motion; elements of a shared site are separate atoms
        at one position."""
        from ase import Atoms

        atoms = Atoms(list(self.symbols), scaled_positions=self.fractions, cell=self.cell, pbc=True)
        atoms.set_array("occupancy", np.asarray(self.occupancies, dtype=np.float64))
        if np.isfinite(self.u2).any():
            atoms.set_array("u2", np.asarray(self.u2, dtype=np.float64))
        return atoms

    @property
    def content(self) -> dict[str, float]:
        """Atoms of each element in the cell, by occupancy."""
        counts: dict[str, float] = {}
        for symbol, share in zip(self.symbols, self.occupancies, strict=True):
            counts[symbol] = counts.get(symbol, 0.0) + float(share)
        return {symbol: share for symbol, share in counts.items() if share > 0.0}

    @property
    def units(self) -> int:
        """Formula units in the cell: the largest number that divides all its atoms; 1 where occupancies make them no whole numbers."""
        counts = [round(share) for share in self.content.values()]
        integers = all(abs(share - count) < 1e-3 for share, count in zip(self.content.values(), counts, strict=True))
        return math.gcd(*counts) or 1 if integers else 1

    @property
    def formula(self) -> str:
        """Of one formula unit: ``Ni3 S2``."""
        return formula_text({symbol: share / self.units for symbol, share in self.content.items()})

    @property
    def volume(self) -> float:
        """Of the cell in angstrom^3."""
        return abs(float(np.linalg.det(self.cell)))

    @property
    def density(self) -> float:
        """In g/cm^3."""
        return density_of(self.content, self.volume)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and metadata; lengths in angstrom, density in g/cm^3."""
        return {
            "name": self.name,
            "described": self.describe(),
            "formula": self.formula,
            "formula_units": self.units,
            "atoms": round(sum(self.content.values()), 6),
            "entries": len(self.symbols),
            "density": round(self.density, 4),
            "volume": round(self.volume, 4),
            "space_group": self.space_group,
            "shortest_distance": round(self.shortest, 4),
            "cell": self.cell.tolist(),
            "notes": list(self.notes),
            "contradictions": list(self.contradictions),
        }

    def describe(self) -> str:
        """One line: ``Ni3 S2: 5 atoms in the cell, R 3 2, rhombohedral axes (155), 5.87 g/cm³, shortest distance 2.26 Å``."""
        count = f"{sum(self.content.values()):.4g} atoms in the cell"
        if len(self.symbols) != round(sum(self.content.values())):
            count += f" ({len(self.symbols)} entries)"
        density, distance = f"{self.density:.3g} g/cm³", f"shortest distance {self.shortest:.2f} Å"
        return f"{self.formula}: {count}, {self.space_group}, {density}, {distance}"

    def __repr__(self) -> str:
        return f"<Structure {self.describe()}>"


def read_cif(source: str | os.PathLike[str], block: str | None = None) -> Structure:
    """The structure in a CIF: its text, or its path (a `Path`, or a string of one line without ``data_``).

    Of several data blocks the one named ``block`` is read, or the first with atoms. Settings that the file leaves open are found by its formula, density and
    distances; special positions written with few decimals are corrected; ``notes`` lists this. ValueError, naming the error (site, elements and
    sum for an overfull site) and the cure, for a file that is no structure or is inconsistent.
    """
    is_text = isinstance(source, str) and ("\n" in source or "data_" in source)
    structure = read(str(source) if is_text else decoded(Path(source).read_bytes()), block)
    contents = structure.contents
    return Structure(
        structure.name, structure.cell, contents.symbols, contents.fractions, contents.occupancies, contents.u2, contents.labels,
        structure.space_group, structure.distance, structure.notes, structure.contradictions,
    )  # fmt: skip


def decoded(content: bytes) -> str:
    """Text of a file in UTF-8 or UTF-16 with a mark, else in Latin-1, which old programs write."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(name)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def structure_of(atoms: "Atoms", name: str = "") -> Structure:
    """ASE atoms as a structure, each listed atom one of the cell. A sheet without a cell across it gets `SHEET_VACUUM` on both sides.

    ValueError for a cell without atoms or volume, and for atoms nowhere or on top of each other.
    """
    if len(atoms) == 0:
        raise ValueError("holds no atoms")
    notes: list[str] = []
    atoms = with_occupancies(atoms)
    if not np.all(np.isfinite(atoms.get_positions())):
        raise ValueError("the structure has atoms at positions that are not numbers")
    flat = [axis for axis in range(3) if not np.any(atoms.cell.array[axis])]
    if len(flat) == 1:
        atoms = atoms.copy()
        atoms.center(vacuum=SHEET_VACUUM, axis=flat[0])
        notes.append(
            f"the cell has no vector {'abc'[flat[0]]}: {SHEET_VACUUM:g} angstrom of vacuum are put on each side"
        )
    cell = np.asarray(atoms.cell.array, dtype=np.float64)
    if abs(float(np.linalg.det(cell))) < 1e-3:
        raise ValueError(f"the structure's cell {cell.round(3).tolist()} has no volume; give three cell vectors")
    symbols = tuple(atoms.get_chemical_symbols())
    unknown = sorted({symbol for symbol in symbols if known(symbol) is None})
    if unknown:
        raise ValueError(f"the structure has atoms of no element ({', '.join(unknown)}); remove them")
    fractions = np.asarray(atoms.get_scaled_positions(wrap=True)) % 1.0
    occupancies = np.asarray(atoms.arrays.get("occupancy", np.ones(len(atoms))), dtype=np.float64)
    i, j, distance = pairs(cell, fractions, OVERLAP_DISTANCE)
    check_pairs(i, j, distance, occupancies, symbols)
    u2 = np.asarray(atoms.arrays.get("u2", np.full(len(atoms), np.nan)), dtype=np.float64)
    labels = tuple(f"{symbol}{number + 1}" for number, symbol in enumerate(symbols))
    shortest_distance = shortest(cell, fractions, occupancies)[0]
    return Structure(
        name,
        cell,
        symbols,
        fractions,
        occupancies,
        u2,
        labels,
        "no symmetry stated, all atoms listed",
        shortest_distance,
        tuple(notes),
    )


def load_structure(path: Path) -> Structure:
    """The unit cell in a structure file: CIF, and what else ASE reads. ValueError for a file that holds none."""
    if path.suffix.lower() in CIF_SUFFIXES:
        return read_cif(path)
    import ase
    import ase.io

    try:
        atoms = ase.io.read(path, index=0)
    except Exception as error:  # ASE's parsers raise many types of exception; the cause is kept
        raise ValueError(f"cannot be read as a structure: {type(error).__name__}: {error}") from error
    if not isinstance(atoms, ase.Atoms):
        raise ValueError("holds no atoms")
    return structure_of(atoms, path.stem)


def read_structure(path: Path) -> "Atoms":
    """The unit cell in a structure file, beam along c. ValueError for a file that holds no orthogonal cell."""
    atoms = load_structure(path).atoms
    matrix = np.asarray(atoms.cell.array)
    lengths = np.linalg.norm(matrix, axis=1)
    if lengths.min() < 1.0 or np.abs(matrix - np.diag(np.diag(matrix))).max() > 1e-3:
        raise ValueError(f"its cell {matrix.round(3).tolist()} is not orthogonal with axes along x, y, z")
    return atoms


def with_occupancies(atoms: "Atoms") -> "Atoms":
    """Atoms with an array "occupancy", and every element of a shared site as an atom of its own, from what ASE noted when it read a CIF.

    ASE keeps the most frequent element of a site and puts the shares in ``info["occupancy"]`` by the number in the array "spacegroup_kinds".
    """
    noted = atoms.info.get("occupancy")
    if noted is None or "spacegroup_kinds" not in atoms.arrays:
        return atoms
    index, symbols, shares = [], [], []
    for number, (kind, symbol) in enumerate(zip(atoms.arrays["spacegroup_kinds"], atoms.symbols, strict=True)):
        site = noted.get(str(kind), noted.get(int(kind), {symbol: 1.0}))
        for element, share in site.items():
            index.append(number)
            symbols.append(element)
            shares.append(float(share))
    merged = atoms[index]
    merged.set_chemical_symbols(symbols)
    merged.set_array("occupancy", np.asarray(shares))
    return merged


def gap_along_z(atoms: "Atoms") -> tuple[float, float]:
    """The widest part of an orthogonal cell along z that holds no atom: its length in angstrom and the height where it ends."""
    depth = float(np.asarray(atoms.cell.array)[2, 2])
    z = np.sort(np.asarray(atoms.get_positions())[:, 2] % depth)
    gaps = np.diff(np.append(z, z[0] + depth))
    widest = int(np.argmax(gaps))
    return float(gaps[widest]), float(np.append(z[1:], z[0] + depth)[widest] % depth)


def srtio3_unit(a: float = 3.905) -> "Atoms":
    """Unit cell of SrTiO3 as ASE atoms: Sr at (0, 0), Ti-O at (a/2, a/2); ``a`` in angstrom."""
    from ase import Atoms

    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=scaled, cell=[a, a, a], pbc=True)
