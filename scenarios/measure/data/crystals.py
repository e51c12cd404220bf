"""The crystal that an image is of: a built-in structure or a CIF, seen along a zone axis, by options or as emtwin's own file has it."""

from typing import TYPE_CHECKING

import numpy as np

from scenarios.io.errors import BadInput, from_twin
from scenarios.measure.data.inputs import Given, triple
from twin.sample.orthogonal import bracket, zone_axis
from twin.sample.orthogonal import oriented as oriented_cell
from twin.scattering.gram.crystal import operations
from twin.simulation.specimen import structure_named

if TYPE_CHECKING:
    from ase import Atoms

ALIKE = 1e-3
"""Shares of a period by which columns may stand off a symmetric place."""


def oriented(given: Given, structure: str | None, zone: str | None, x: str | None) -> "Atoms":
    """The smallest orthogonal cell with the beam along z, x as `emtwin simulate` would have it; BadInput where neither options nor the file say which."""
    own = given.own("scenario.specimen.structure")
    name = structure or (own if isinstance(own, str) else None)
    if name is None:
        problem = "does not say which crystal it is of"
        raise BadInput(str(given.path), problem, "Add --structure, SrTiO3 or a CIF file, and --zone.")
    made = structure_named("--structure", name)
    given.settle("structure", name, "", "--structure" if structure else "the file")
    along = triple("--zone", zone) if zone else _own_triple(given, "zone") or (0, 0, 1)
    right = triple("--x", x) if x else _own_triple(given, "x")
    from_ = "--zone" if zone else "the file" if _own_triple(given, "zone") else "default"
    given.settle("zone axis", "[" + " ".join(str(one) for one in along) + "]", "", from_)
    try:
        cell = oriented_cell(made.atoms, along, right)
        given.settle("crystal", made.describe(), "", "the structure")
        given.settle("x axis of the crystal", bracket(cell.directions[0]), "", "--x" if x else from_)
        # the same orientation in the smallest cell: a larger one repeats, and its positions would be told apart
        return zone_axis(made.atoms, along, right or cell.directions[0]).atoms
    except ValueError as error:
        raise from_twin(name, error, "Mend the structure, or choose another zone.") from None


def _own_triple(given: Given, key: str) -> tuple[int, int, int] | None:
    found = [given.own(f"scenario.specimen.{key}.{place}") for place in range(3)]
    return None if any(not isinstance(one, int) for one in found) else (int(found[0]), int(found[1]), int(found[2]))


def symmetry(atoms: "Atoms") -> str | None:
    """The largest of the plane groups of `operations` that the cell's projection has about its origin."""
    sides = np.diag(np.asarray(atoms.cell.array))[:2]
    places = np.asarray(atoms.get_scaled_positions())[:, :2]
    # atoms of one element with other occupancies are not alike
    shares = np.asarray(atoms.arrays.get("occupancy", np.ones(len(atoms)))).round(6)
    numbers = np.unique(np.stack([atoms.numbers, shares], axis=1), axis=0, return_inverse=True)[1].ravel()
    for name in ("4mm", "4", "2mm", "2"):
        if name[0] == "4" and abs(sides[0] - sides[1]) > ALIKE * sides[0]:
            continue
        if all(_same(places, places @ np.asarray(one).T, numbers) for one in operations(name)):
            return name
    return None


def _same(places: np.ndarray, moved: np.ndarray, numbers: np.ndarray) -> bool:
    """Whether every atom moved stands on one of its kind, and as many on each."""
    apart = np.abs((moved[:, None] - places[None] + 0.5) % 1.0 - 0.5).max(axis=-1)
    onto = (apart < ALIKE) & (numbers[:, None] == numbers[None])
    here = (np.abs((places[:, None] - places[None] + 0.5) % 1.0 - 0.5).max(axis=-1) < ALIKE) & (
        numbers[:, None] == numbers[None]
    )
    return bool(onto.any(axis=1).all() and (onto.sum(axis=0) == here.sum(axis=0)).all())
