"""What is asked about a specimen, as specimens: without the change, and with it in each way that is as likely."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from twin.errors import BadInput
from twin.sample.specimen import Specimen

Kind = Literal["substitution", "vacancy", "interstitial", "adatom", "antisite", "displacement", "column"]
NODES = 3
"""Depths over which an unknown depth is averaged."""


class Change(NamedTuple):
    """A point defect. ``site``: the element whose atom is changed (for an interstitial or adatom None); ``by``: the element that comes; ``position``: place
    (x, y) in shares of the cell of an atom that comes; ``column``: which column of that element in a cell; ``depth`` in angstrom below the entrance face,
    None where it is not known; ``shift`` (x, y, z) in angstrom of a displaced atom or column."""

    kind: Kind
    site: str | None = None
    by: str | None = None
    position: tuple[float, float] | None = None
    column: int = 0
    depth: float | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Hypotheses(NamedTuple):
    """``perfect`` and ``changed`` specimens with the same atoms in the same order, so that thermal motion is common; ``place`` (x, y) of the change and its
    ``depths`` [k] in angstrom; ``columns``: how many columns of the field are like the changed one;
    ``sites`` [n]: the atom whose thermal displacement each atom has (None: its own)."""

    perfect: Specimen
    changed: tuple[Specimen, ...]
    location: tuple[float, float]
    depths: tuple[float, ...]
    columns: int
    sites: np.ndarray | None = None


def hypotheses_of(cell: Specimen, repeats: tuple[int, int, int], change: Change, nodes: int = NODES) -> Hypotheses:
    """Specimens of ``repeats`` (x, y, z) orthogonal cells with a ``change`` in the middle of the field, at ``nodes`` depths where its depth is not known.

    BadInput naming the key for a defect that the structure does not have.
    """
    specimen = repeated(cell, repeats)
    if change.kind in ("interstitial", "adatom"):
        return _added(cell, specimen, repeats, change, nodes)
    columns, members = columns_of(specimen, change.site)
    if not len(columns):
        known = ", ".join(cell.elements)
        raise BadInput("defect.element", f"the structure has no {change.site}", f"Give one of {known}.")
    inside = np.flatnonzero(columns_in_cell(columns, cell, repeats))
    if not 0 <= change.column < len(inside):
        problem = f"there are {len(inside)} columns of {change.site} in a cell, and no number {change.column}"
        raise BadInput("defect.column", problem, f"Give a number from 0 to {len(inside) - 1}.")
    chosen = inside[change.column]
    atoms = members[chosen]
    atoms = atoms[np.argsort(specimen.positions[atoms, 2])]
    whole = change.kind == "column"
    wanted = _depths(change, specimen.thickness, 1 if whole else nodes)
    changed, depths = [], []
    for depth in wanted:
        atom = atoms[int(np.argmin(np.abs(specimen.positions[atoms, 2] - depth)))]
        if depths and specimen.positions[atom, 2] == depths[-1]:
            continue
        depths.append(float(specimen.positions[atom, 2]))
        changed.append(_changed(specimen, atoms if whole else np.array([atom]), change))
    location = (float(columns[chosen][0]), float(columns[chosen][1]))
    alike = len(inside) * repeats[0] * repeats[1]
    return Hypotheses(specimen, tuple(changed), location, tuple(depths), alike)


def repeated(cell: Specimen, repeats: tuple[int, int, int]) -> Specimen:
    offsets = np.stack(np.meshgrid(*(np.arange(count) for count in repeats), indexing="ij"), -1).reshape(-1, 3)
    positions = (cell.positions[None] + offsets[:, None] * np.array(cell.cell)).reshape(-1, 3)
    count = len(offsets)
    sides = tuple(side * number for side, number in zip(cell.cell, repeats, strict=True))
    return Specimen(
        positions, np.tile(cell.u2, count), cell.symbols * count, (sides[0], sides[1], sides[2]), np.tile(cell.occupancy, count)
    )  # fmt: skip


def columns_of(specimen: Specimen, element: str | None, tolerance: float = 0.1) -> tuple[np.ndarray, list[np.ndarray]]:
    """Places [n, 2] of the columns of ``element``, and the atoms of each."""
    atoms = np.flatnonzero(np.array(specimen.symbols) == element)
    places: list[np.ndarray] = []
    members: list[list[int]] = []
    sides = np.array(specimen.extent)
    for atom in atoms:
        location = specimen.positions[atom, :2]
        for index, other in enumerate(places):
            off = (location - other + sides / 2) % sides - sides / 2
            if np.hypot(*off) < tolerance:
                members[index].append(int(atom))
                break
        else:
            places.append(location)
            members.append([int(atom)])
    return np.array(places).reshape(-1, 2), [np.array(each) for each in members]


def columns_in_cell(columns: np.ndarray, cell: Specimen, repeats: tuple[int, int, int]) -> np.ndarray:
    """Which columns lie in the cell in the middle of the field."""
    first = np.array([repeats[0] // 2 * cell.cell[0], repeats[1] // 2 * cell.cell[1]]) - 1e-6
    return np.all((columns >= first) & (columns < first + np.array(cell.extent)), axis=1)


def _depths(change: Change, thickness: float, nodes: int) -> Sequence[float]:
    if change.depth is not None:
        if not 0.0 <= change.depth <= thickness:
            problem = f"{change.depth:g} angstrom is not within the specimen, {thickness:g} angstrom thick"
            raise BadInput("defect.depth", problem, 'Give a depth within it, or "unknown".')
        return [change.depth]
    return [float(thickness * (number + 0.5) / nodes) for number in range(nodes)]


def _changed(specimen: Specimen, atoms: np.ndarray, change: Change) -> Specimen:
    symbols, positions, occupancy, u2 = (
        list(specimen.symbols),
        specimen.positions.copy(),
        specimen.occupancy.copy(),
        specimen.u2.copy(),
    )
    if change.kind == "vacancy":
        occupancy[atoms] = 0.0
    elif change.kind in ("substitution", "antisite"):
        if not change.by or change.by == change.site:
            raise BadInput("defect.by", f"{change.by!r} in place of {change.site}", "Name another element.")
        for atom in atoms:
            symbols[atom] = change.by
    else:
        if not any(change.shift):
            raise BadInput("defect.shift", "is zero", "Give the displacement (x, y, z) in angstrom.")
        positions[atoms] += np.array(change.shift)
        positions %= np.array(specimen.cell)
    return Specimen(positions, u2, tuple(symbols), specimen.cell, occupancy)


def _added(cell: Specimen, specimen: Specimen, repeats: tuple[int, int, int], change: Change, nodes: int) -> Hypotheses:
    """An atom that comes: the perfect specimen has it with occupancy 0, so that both have the same thermal motion."""
    if not change.by:
        raise BadInput("defect.by", "is missing", "Name the element of the atom that comes.")
    if change.position is None:
        raise BadInput("defect.position", "is missing", "Give the place (x, y) in shares of the cell.")
    first = [repeats[0] // 2, repeats[1] // 2]
    location = [(first[axis] + change.position[axis] % 1.0) * cell.cell[axis] for axis in range(2)]
    depths = [0.0] if change.kind == "adatom" else list(_depths(change, specimen.thickness, nodes))
    made = []
    for depth in depths:
        positions = np.vstack([specimen.positions, [*location, min(depth, math.nextafter(specimen.thickness, 0.0))]])
        symbols = (*specimen.symbols, change.by)
        u2: Any = np.append(specimen.u2, np.mean(specimen.u2))
        pair = [
            Specimen(positions, u2, symbols, specimen.cell, np.append(specimen.occupancy, filled))
            for filled in (0.0, 1.0)
        ]
        made.append(pair)
    return Hypotheses(
        made[0][0], tuple(pair[1] for pair in made), (location[0], location[1]), tuple(depths), repeats[0] * repeats[1]
    )
