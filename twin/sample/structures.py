"""Structures as ASE holds them: reading them, sites and their occupancies. With `orthogonal` the only module of the twin that touches ASE."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


def read_atoms(path: Path) -> "Atoms":
    """The unit cell in a structure file (CIF and what else ASE reads), of any shape, with occupancies. ValueError for a file that holds no atoms."""
    import ase
    import ase.io

    try:
        atoms = ase.io.read(path, index=0)
    except Exception as error:  # ASE's parsers raise whatever they stumble over; the cause is kept
        raise ValueError(f"cannot be read as a structure: {type(error).__name__}: {error}") from error
    if not isinstance(atoms, ase.Atoms) or len(atoms) == 0:
        raise ValueError("holds no atoms")
    return with_occupancies(atoms)


def read_structure(path: Path) -> "Atoms":
    """The unit cell in a structure file, beam along c. ValueError for a file that holds no orthogonal cell."""
    atoms = read_atoms(path)
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
    made = atoms[index]
    made.set_chemical_symbols(symbols)
    made.set_array("occupancy", np.asarray(shares))
    return made


def srtio3_unit(a: float = 3.905) -> "Atoms":
    """Unit cell of SrTiO3 as ASE atoms: Sr at (0, 0), Ti-O at (a/2, a/2); ``a`` in angstrom."""
    from ase import Atoms

    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=scaled, cell=[a, a, a], pbc=True)
