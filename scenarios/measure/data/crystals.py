"""The crystal that an image is of: a built-in structure or a CIF, seen along a zone axis, by options or as emtwin's own file has it."""

from typing import TYPE_CHECKING

import numpy as np

from scenarios.io.errors import BadInput, from_twin
from scenarios.measure.data.inputs import Recording, parse_triple
from twin.sample.orthogonal import bracket, zone_axis
from twin.sample.orthogonal import oriented as oriented_cell
from twin.scattering.gram.crystal import operations
from twin.simulation.specimen import structure_named

if TYPE_CHECKING:
    from ase import Atoms

TOLERANCE = 1e-3
"""Shares of a period by which columns may stand off a symmetric place."""


def orient_crystal(recording: Recording, structure: str | None, zone: str | None, x: str | None) -> "Atoms":
    """The smallest orthogonal cell with the beam along z, x as `emtwin simulate` would have it; BadInput where neither options nor the file say which."""
    file_value = recording.provenance("scenario.specimen.structure")
    name = structure or (file_value if isinstance(file_value, str) else None)
    if name is None:
        problem = "does not say which crystal it is of"
        raise BadInput(str(recording.path), problem, "Add --structure, SrTiO3 or a CIF file, and --zone.")
    crystal = structure_named("--structure", name)
    recording.add_setting("structure", name, "", "--structure" if structure else "the file")
    along = parse_triple("--zone", zone) if zone else _file_triple(recording, "zone") or (0, 0, 1)
    right = parse_triple("--x", x) if x else _file_triple(recording, "x")
    source = "--zone" if zone else "the file" if _file_triple(recording, "zone") else "default"
    recording.add_setting("zone axis", "[" + " ".join(str(index) for index in along) + "]", "", source)
    try:
        cell = oriented_cell(crystal.atoms, along, right)
        recording.add_setting("crystal", crystal.describe(), "", "the structure")
        recording.add_setting("x axis of the crystal", bracket(cell.directions[0]), "", "--x" if x else source)
        # the same orientation in the smallest cell: a larger one repeats, and its positions would be distinct
        return zone_axis(crystal.atoms, along, right or cell.directions[0]).atoms
    except ValueError as error:
        raise from_twin(name, error, "Mend the structure, or choose another zone.") from None


def _file_triple(recording: Recording, key: str) -> tuple[int, int, int] | None:
    values = [recording.provenance(f"scenario.specimen.{key}.{index}") for index in range(3)]
    return (
        None
        if any(not isinstance(value, int) for value in values)
        else (int(values[0]), int(values[1]), int(values[2]))
    )


def symmetry(atoms: "Atoms") -> str | None:
    """The largest of the plane groups of `operations` that the cell's projection has about its origin."""
    sides = np.diag(np.asarray(atoms.cell.array))[:2]
    positions = np.asarray(atoms.get_scaled_positions())[:, :2]
    # atoms of one element with other occupancies are not alike
    shares = np.asarray(atoms.arrays.get("occupancy", np.ones(len(atoms)))).round(6)
    numbers = np.unique(np.stack([atoms.numbers, shares], axis=1), axis=0, return_inverse=True)[1].ravel()
    for name in ("4mm", "4", "2mm", "2"):
        if name[0] == "4" and abs(sides[0] - sides[1]) > TOLERANCE * sides[0]:
            continue
        if all(
            _maps_onto_itself(positions, positions @ np.asarray(operation).T, numbers) for operation in operations(name)
        ):
            return name
    return None


def _maps_onto_itself(positions: np.ndarray, moved: np.ndarray, numbers: np.ndarray) -> bool:
    """Whether every atom moved stands on one of its kind, and as many on each."""
    distance = np.abs((moved[:, None] - positions[None] + 0.5) % 1.0 - 0.5).max(axis=-1)
    onto = (distance < TOLERANCE) & (numbers[:, None] == numbers[None])
    coincident = (np.abs((positions[:, None] - positions[None] + 0.5) % 1.0 - 0.5).max(axis=-1) < TOLERANCE) & (
        numbers[:, None] == numbers[None]
    )
    return bool(onto.any(axis=1).all() and (onto.sum(axis=0) == coincident.sum(axis=0)).all())
