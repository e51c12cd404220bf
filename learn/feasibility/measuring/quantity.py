"""What is measured of a specimen or of a recording, as pairs of specimens and grids on both sides of its value."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import numpy as np

from learn.feasibility.hypotheses import columns_in_cell, columns_of, repeated
from learn.feasibility.matrices import Grid
from twin.errors import BadInput
from twin.optics.aberrations import NAMES
from twin.sample.specimen import Specimen

Kind = Literal["thickness", "tilt", "position", "occupancy", "composition", "strain", "defocus", "aberration"]
OPTICAL = ("defocus", "aberration")
LOCAL = ("position", "occupancy")
"""Quantities of one column."""
STEPS = {"tilt": 2e-4, "position": 0.01, "occupancy": 0.02, "composition": 0.02, "strain": 1e-3}
"""Half the difference (radian, angstrom, shares) of the two specimens or grids that a derivative is taken of."""
UNITS = {"thickness": "angstrom", "tilt": "radian", "position": "angstrom", "defocus": "angstrom", "aberration": "angstrom"}  # fmt: skip


class Quantity(NamedTuple):
    """``element`` and ``column`` (its number in a cell; None: all columns of the element) for a position, occupancy or composition; ``by``: the element that
    comes in a composition; ``axis`` of a tilt, position or strain; ``name`` of an aberration."""

    kind: Kind
    element: str | None = None
    by: str | None = None
    column: int | None = None
    axis: Literal["x", "y"] = "x"
    name: str | None = None

    @property
    def coefficient(self) -> str:
        """The aberration that is measured; ValueError for a quantity that is none."""
        if self.kind == "defocus":
            return "C10"
        if self.name is None:
            raise ValueError(f"{self.kind} is no aberration")
        return self.name

    @property
    def local(self) -> bool:
        """Whether it is of one column, so that the other columns of the field do not tell of it."""
        return self.kind in LOCAL or (self.kind == "composition" and self.column is not None)

    @property
    def unit(self) -> str:
        """Unit of its standard deviation: angstrom, radian, or a share."""
        return UNITS.get(self.kind, "")


class Varied(NamedTuple):
    """Specimens with the same atoms in the same order as ``base``, ``less`` and ``more`` of the quantity, ``step`` apart, and the ``grids`` of both; ``sites``
    [n]: the atom whose thermal displacement each atom has (None: its own); ``location`` (x, y) in angstrom of the measured column, or of the cell in the
    middle of the field."""

    base: Specimen
    sites: np.ndarray | None
    less: Specimen
    more: Specimen
    grids: tuple[Grid, Grid]
    step: float
    location: tuple[float, float]


def check_quantity(quantity: Quantity) -> None:
    """BadInput naming the key for a quantity that lacks what it needs, or is of no known coefficient."""
    kind = quantity.kind
    if kind in ("position", "occupancy", "composition") and quantity.element is None:
        raise BadInput("quantity.element", "is missing", f"Name the element whose {kind} is measured.")
    if kind in LOCAL and quantity.column is None:
        raise BadInput("quantity.column", "is missing", f"Give the number of the column whose {kind} is measured.")
    if kind == "composition" and (quantity.by is None or quantity.by == quantity.element):
        raise BadInput("quantity.by", f"{quantity.by!r} in place of {quantity.element}", "Name the element that comes.")
    if kind == "aberration" and quantity.name not in NAMES:
        problem = "is missing" if quantity.name is None else f"there is no aberration {quantity.name!r}"
        raise BadInput("quantity.name", problem, f"Give one of {', '.join(NAMES)} (defocus is -C10).")


def varied(
    cell: Specimen, repeats: tuple[int, int, int], quantity: Quantity, grid: Grid, step: float | None = None
) -> Varied:
    """Specimens and grids of ``repeats`` orthogonal cells on both sides of a ``quantity``, half a ``step`` away in its unit (by default one of `STEPS`).

    The two of a thickness are one cell thinner and thicker; of defocus and aberrations they are the same. The formal continuation of occupancies beyond 0 and 1
    makes every derivative central. BadInput, naming the key, for a column that is not there and for a specimen of one cell whose thickness is asked for.
    """
    check_quantity(quantity)
    specimen = repeated(cell, repeats)
    middle = tuple((count // 2 + 0.5) * side for count, side in zip(repeats, cell.cell, strict=False))
    location = (middle[0], middle[1])
    half = step or STEPS.get(quantity.kind, 0.0)
    same = Varied(specimen, None, specimen, specimen, (grid, grid), 2.0 * half, location)
    if quantity.kind == "thickness":
        return _thicker(cell, repeats, grid, same)
    if quantity.kind == "tilt":
        lean = np.array([half, 0.0] if quantity.axis == "x" else [0.0, half])
        tilts = [np.array(grid.tilt) + sign * lean for sign in (-1.0, 1.0)]
        grids = [grid._replace(tilt=(float(tilt[0]), float(tilt[1]))) for tilt in tilts]
        return same._replace(grids=(grids[0], grids[1]))
    if quantity.kind == "strain":
        return same._replace(
            less=_stretched(specimen, quantity.axis, -half), more=_stretched(specimen, quantity.axis, half)
        )
    if quantity.kind in OPTICAL:
        return same
    atoms, location = _atoms(cell, specimen, repeats, quantity, location)
    return _of_atoms(same._replace(location=location), atoms, quantity, half)


def _thicker(cell: Specimen, repeats: tuple[int, int, int], grid: Grid, same: Varied) -> Varied:
    x, y, deep = repeats
    if deep < 2:
        problem = "of one cell along the beam has no derivative in thickness"
        raise BadInput("specimen.thickness", problem, "Give at least two cells.")
    each = grid.slices // deep
    grids = (
        grid._replace(slices=grid.slices - each, before=0),
        grid._replace(slices=grid.slices + each, before=2 * each),
    )
    return same._replace(
        less=repeated(cell, (x, y, deep - 1)), more=repeated(cell, (x, y, deep + 1)), grids=grids, step=2.0 * cell.cell[2]
    )  # fmt: skip


def _stretched(specimen: Specimen, axis: str, strain: float) -> Specimen:
    factors = np.ones(3)
    factors["xy".index(axis)] += strain
    sides = factors * np.array(specimen.cell)
    return Specimen(
        specimen.positions * factors, specimen.u2, specimen.symbols, (float(sides[0]), float(sides[1]), float(sides[2])), specimen.occupancy
    )  # fmt: skip


def _atoms(
    cell: Specimen,
    specimen: Specimen,
    repeats: tuple[int, int, int],
    quantity: Quantity,
    middle: tuple[float, float],
) -> tuple[np.ndarray, tuple[float, float]]:
    """The atoms that are measured, and where."""
    columns, members = columns_of(specimen, quantity.element)
    if not len(columns):
        problem = f"the structure has no {quantity.element}"
        raise BadInput("quantity.element", problem, f"Give one of {', '.join(cell.elements)}.")
    if quantity.column is None:
        return np.concatenate(members), middle
    inside = np.flatnonzero(columns_in_cell(columns, cell, repeats))
    if not 0 <= quantity.column < len(inside):
        problem = f"there are {len(inside)} columns of {quantity.element} in a cell, and no number {quantity.column}"
        raise BadInput("quantity.column", problem, f"Give a number from 0 to {len(inside) - 1}.")
    chosen = inside[quantity.column]
    return members[chosen], (float(columns[chosen][0]), float(columns[chosen][1]))


def _of_atoms(same: Varied, atoms: np.ndarray, quantity: Quantity, half: float) -> Varied:
    specimen = same.base
    if quantity.kind == "position":
        moved = []
        for sign in (-1.0, 1.0):
            positions = specimen.positions.copy()
            positions[atoms, "xy".index(quantity.axis)] += sign * half
            moved.append(eqx.tree_at(lambda each: each.positions, specimen, positions))
        return same._replace(less=moved[0], more=moved[1])
    if quantity.kind == "occupancy":
        less, more = (_filled(specimen, {sign * half: atoms}) for sign in (-1.0, 1.0))
        return same._replace(less=less, more=more)
    added = np.arange(len(specimen.symbols), len(specimen.symbols) + len(atoms))
    mixed = Specimen(
        np.vstack([specimen.positions, specimen.positions[atoms]]), np.append(specimen.u2, specimen.u2[atoms]),
        (*specimen.symbols, *[str(quantity.by)] * len(atoms)), specimen.cell, np.append(specimen.occupancy, np.zeros(len(atoms))),
    )  # fmt: skip
    less, more = (_filled(mixed, {-sign * half: atoms, sign * half: added}) for sign in (-1.0, 1.0))
    return same._replace(base=mixed, sites=np.append(np.arange(len(specimen.symbols)), atoms), less=less, more=more)


def _filled(specimen: Specimen, changes: dict[float, np.ndarray]) -> Specimen:
    """With occupancies changed, unchecked: the derivative at a full site needs more than 1."""
    occupancy = specimen.occupancy.copy()
    for change, atoms in changes.items():
        occupancy[atoms] += change
    return eqx.tree_at(lambda each: each.occupancy, specimen, occupancy)


def names_of(quantity: Quantity) -> Sequence[str]:
    """Names of the nuisances that are the quantity itself, and so lose their prior."""
    if quantity.kind in OPTICAL:
        return (quantity.coefficient,)
    return ("thickness",) if quantity.kind == "thickness" else (f"tilt.{quantity.axis}",) if quantity.kind == "tilt" else ()  # fmt: skip
