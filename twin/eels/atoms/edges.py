"""Ionisation edges: subshells, their measured onsets, and the table of oscillator strengths that ships with the package.

Energies and their sources stand in ``edges.csv``; strengths in ``strengths.npz``, made by ``python -m tests.benchmarks.eels.table``.
"""

import csv
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from twin.eels.atoms.solver.configurations import Orbital, atomic_number, configuration, subshells
from twin.eels.atoms.tabulation import Packed, ShellTable, unpack

DATA = files("twin.eels.atoms")
SOURCES = {
    "A": "EELS Atlas (Ahn and Krivanek, 1983)",
    "B": "X-ray Data Booklet (2009), table 1-1",
}


class Subshell(NamedTuple):
    """Electrons of an ``element`` with one binding energy.

    ``name``: K, L1, L2, L3, M1 ... O5, P1 ...; ``energy``: measured onset of its edge, eV, from ``source``; ``occupancy``: electrons in the free atom.
    """

    element: str
    name: str
    energy: float
    occupancy: int
    source: str = ""

    @property
    def orbital(self) -> Orbital:
        """Its shell: quantum numbers, and the electrons of both j. ValueError where the free atom has no electrons of that name."""
        orbitals = _orbitals(self.element)
        if self.name not in orbitals:
            raise ValueError(f"{self.element} has no electrons {self.name!r}; its subshells are {', '.join(orbitals)}")
        return orbitals[self.name]


@cache
def _orbitals(element: str) -> dict[str, Orbital]:
    return {name: orbital for orbital in configuration(element) for name, _, _ in subshells(*orbital)}


@lru_cache(maxsize=1)
def _all() -> dict[str, tuple[Subshell, ...]]:
    lines = [line for line in (DATA / "edges.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    listed: dict[str, list[Subshell]] = {}
    for row in csv.DictReader(lines):
        element, name = row["element"], row["subshell"]
        electrons = {name: count for orbital in configuration(element) for name, _, count in subshells(*orbital)}
        made = Subshell(element, name, float(row["energy_eV"]), electrons[name], SOURCES[row["source"]])
        listed.setdefault(element, []).append(made)
    return {element: tuple(sorted(made, key=lambda s: s.energy)) for element, made in listed.items()}


def edges_of(element: str, low: float = 0.0, high: float = 3000.0) -> tuple[Subshell, ...]:
    """The subshells of ``element`` that have an edge between ``low`` and ``high`` eV here, by rising energy.

    There are edges from 5 eV to 3.1 keV of the elements Li to U. ValueError for what is no symbol of an element.
    """
    atomic_number(element)
    return tuple(edge for edge in _all().get(element, ()) if low <= edge.energy <= high)


def subshell(element: str, name: str) -> Subshell:
    """The subshell ``name`` of ``element``, e.g. ``subshell("Ti", "L3")``; ValueError that lists the edges there are."""
    edges = edges_of(element, high=np.inf)
    for edge in edges:
        if edge.name == name:
            return edge
    there = ", ".join(f"{edge.name} ({edge.energy:g} eV)" for edge in edges)
    raise ValueError(f"{element} has no edge {name!r} here; it has {there or 'none: edges are those of Li to U'}")


@lru_cache(maxsize=1)
def _strengths() -> tuple[dict[tuple[int, ...], int], dict[str, np.ndarray]]:
    """The row of each shell (Z, n, l), and the columns of all."""
    with (DATA / "strengths.npz").open("rb") as file, np.load(file) as stored:
        columns = {name: stored[name] for name in stored.files}
    return {tuple(shell): row for row, shell in enumerate(columns["shells"].tolist())}, columns


def shell_table(element: str, orbital: Orbital) -> ShellTable:
    """The tabulated strengths of a shell of ``element``."""
    rows, columns = _strengths()
    row = rows.get((atomic_number(element), orbital.n, orbital.l))
    if row is None:
        names = ", ".join(edge.name for edge in edges_of(element, high=np.inf))
        shell = f"{orbital.n}{'spdf'[orbital.l]}"
        raise ValueError(f"no strengths of {element} {shell} are tabulated; there are those of {names or 'Li to U'}")
    binding, largest, window, top = columns["scales"][row].tolist()
    return ShellTable(binding, largest, window, unpack(Packed(top, columns["high"][row], columns["low"][row])))
