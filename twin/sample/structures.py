"""Structures as ASE holds them: reading them, and cells made orthogonal. The only module of the twin that touches ASE."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


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
