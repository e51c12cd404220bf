"""The sample of a simulation from Python: a crystal structure, its orientation, size and thermal motion."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin.sample.orthogonal import bracket
from twin.sample.structures import Structure, load_structure, structure_of

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Sample:
    """A crystal as it is put into the microscope; made by `from_cif`, `crystal` or `from_atoms`.

    ``thickness`` in angstrom to the nearest whole cell, or ``cells`` along the beam (a sheet needs neither); ``zone`` [u v w] along the beam, ``x`` [u v w] to
    the right; ``size`` (x, y) in angstrom, filled with whole cells, or ``repeats`` (x, y) of the orthogonal cell (default: at least 20 angstrom);
    ``slice_thickness`` of multislice in angstrom; ``tilt`` (x, y) in radian away from the zone axis. ``phonons``: configurations of frozen
    phonons (0: atoms at rest), or ``thermal`` "debye-waller" or "absorptive"; ``u2`` <u^2> along one axis in angstrom^2 by element (default: the file's, then a
    table). ``occupancy`` and ``vacancies``: shares by element. ``seed`` of phonons and vacancies. Values are checked when something is computed.

    >>> Sample.crystal("SrTiO3", thickness=100)
    <Sample O3 Sr Ti: 5 atoms in the cell, P m -3 m (221), 5.12 g/cm³, shortest distance 1.95 Å; cell 3.905 x 3.905 x 3.905 Å; 100 Å along [0 0 1]>
    """

    structure: Structure
    source: str
    thickness: float | None = None
    cells: int | None = None
    zone: tuple[int, int, int] = (0, 0, 1)
    x: tuple[int, int, int] | None = None
    size: tuple[float, float] | None = None
    repeats: tuple[int, int] | None = None
    slice_thickness: float = 2.0
    tilt: tuple[float, float] = (0.0, 0.0)
    phonons: int = 0
    thermal: Literal["none", "debye-waller", "absorptive"] = "none"
    u2: Mapping[str, float] | None = None
    occupancy: Mapping[str, float] = field(default_factory=dict)
    vacancies: Mapping[str, float] = field(default_factory=dict)
    parametrization: Literal["lobato", "kirkland"] = "lobato"
    projection: Literal["infinite", "finite"] = "infinite"
    seed: int = 0

    @classmethod
    def from_cif(cls, path: str | os.PathLike[str], **options: Any) -> "Sample":
        """The structure in a CIF, or in another file that ASE reads; ``options`` are the fields of `Sample`.

        ValueError that names the file, what is wrong and the cure for a file that is no structure.
        """
        file = Path(path)
        if not file.is_file():
            raise ValueError(f"{file} is no file; give the path of a structure file")
        try:
            structure = load_structure(file)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        return cls(structure=structure, source=str(file), **options)

    @classmethod
    def crystal(cls, name: str, **options: Any) -> "Sample":
        """A structure that is built in ("SrTiO3", "Au"; `twin.sample.standards`); ValueError for another name. ``options`` are the fields of `Sample`."""
        from twin.sample.standards import STANDARDS
        from twin.simulation.specimen import structure_named

        if name not in STANDARDS:
            raise ValueError(f"{name!r} is not built in; use {', '.join(STANDARDS)}, or Sample.from_cif(path)")
        return cls(structure=structure_named("name", name), source=name, **options)

    @classmethod
    def from_atoms(cls, atoms: "Atoms", name: str = "", **options: Any) -> "Sample":
        """ASE ``atoms`` of a unit cell, with arrays "occupancy" and "u2" where they have them; ``options`` are the fields of `Sample`.

        ValueError for a cell without atoms or volume, and for atoms on top of each other.
        """
        structure = structure_of(atoms, name)
        return cls(structure=structure, source=name or f"atoms of {structure.formula}", **options)

    @property
    def atoms(self) -> "Atoms":
        """ASE atoms of the unit cell, with arrays "occupancy", and "u2" where thermal motion is stated."""
        return self.structure.atoms

    def at(self, **changes: Any) -> "Sample":
        """The same with other values of the fields that are named."""
        return replace(self, **changes)

    def values(self) -> dict[str, Any]:
        """The table [specimen] of a scenario, as plain values."""
        from twin.api.values import mrad, plain

        table = {
            "structure": self.source, "zone": self.zone, "x": self.x, "repeats": self.repeats, "size": self.size,
            "thickness": self.thickness, "cells": self.cells, "slice": self.slice_thickness, "tilt_mrad": mrad(self.tilt),
            "phonons": {"configurations": self.phonons} if self.phonons else None, "thermal": self.thermal,
            "u2": self.u2, "occupancy": self.occupancy, "vacancies": self.vacancies,
            "parametrization": self.parametrization, "projection": self.projection,
        }  # fmt: skip
        return plain(table)

    def __repr__(self) -> str:
        lengths = np.linalg.norm(self.structure.cell, axis=1)
        angles = [
            np.degrees(np.arccos(self.structure.cell[i] @ self.structure.cell[j] / (lengths[i] * lengths[j])))
            for i, j in ((1, 2), (0, 2), (0, 1))
        ]
        cell = " x ".join(f"{length:.4g}" for length in lengths) + " Å"
        if max(abs(angle - 90.0) for angle in angles) > 0.01:
            cell += f", angles {', '.join(f'{angle:.4g}' for angle in angles)}°"
        depth = f"{self.thickness:g} Å" if self.thickness is not None else f"{self.cells or 1} cells"
        return f"<Sample {self.structure.describe()}; cell {cell}; {depth} along {bracket(self.zone)}>"
