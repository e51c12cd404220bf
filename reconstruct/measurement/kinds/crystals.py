"""The crystal that an image is of: a built-in structure, a CIF or a sample, seen along a zone axis, as given or as emtwin's own recording has it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from reconstruct.measurement.recorded.recording import Recording
from twin.errors import BadInput, from_twin
from twin.sample.orthogonal import bracket, zone_axis
from twin.sample.orthogonal import oriented as oriented_cell
from twin.scattering.gram.crystal import operations
from twin.simulation.specimen import structure_named

if TYPE_CHECKING:
    from ase import Atoms

LEAST_ENERGY = 20e3
"""eV of the electrons that multislice holds for."""
MAX_ATOMS = 2000
"""Atoms of the cell that repeats along a zone axis, at most."""
TOLERANCE = 1e-3
"""Shares of a period by which columns may stand off a symmetric place."""


def orient_crystal(recording: Recording) -> "Atoms":
    """The smallest orthogonal cell with the beam along z, x as `emtwin simulate` would have it; BadInput where neither inputs nor recording say which."""
    known, words = recording.inputs.known, recording.inputs.words
    given, zone, x = known.structure, known.zone, known.x
    claimed = recording.provenance("scenario.specimen.structure")
    if hasattr(given, "structure"):  # a sample, with an orientation of its own
        zone, x = zone or given.zone, x or given.x
        name, structure = given.source, given.structure
    else:
        name = given or (claimed if isinstance(claimed, str) else None)
        if name is None:
            cure = words.add("structure", f", SrTiO3 or a CIF file, and {words.label('zone')}")
            raise BadInput(recording.name, "does not say which crystal it is of", cure)
        structure = structure_named(words.label("structure"), str(name))
    recording.add_setting("structure", str(name), "", words.source("structure") if given else words.origin)
    along = _direction(recording, "zone", zone) if zone is not None else _claimed(recording, "zone") or (0, 0, 1)
    right = _direction(recording, "x", x) if x is not None else _claimed(recording, "x")
    source = words.source("zone") if zone is not None else words.origin if _claimed(recording, "zone") else "default"
    recording.add_setting("zone axis", "[" + " ".join(str(index) for index in along) + "]", "", source)
    try:
        cell = oriented_cell(structure.atoms, along, right)
        recording.add_setting("crystal", structure.describe(), "", "the structure")
        x_source = words.source("x") if x is not None else source
        recording.add_setting("x axis of the crystal", bracket(cell.directions[0]), "", x_source)
        # the same orientation in the smallest cell: a larger one repeats, and its positions would be distinct
        smallest = zone_axis(structure.atoms, along, right or cell.directions[0]).atoms
    except ValueError as error:
        raise from_twin(str(name), error, "Mend the structure, or choose another zone.") from None
    if len(smallest) > MAX_ATOMS:
        width, height = (float(side) for side in np.diag(np.asarray(smallest.cell.array))[:2])
        size = f"{len(smallest)} atoms in {width:.3g} x {height:.3g} angstrom"
        problem = f"has no lattice that could be seen along {bracket(along)}: the cell that repeats holds {size}"
        raise BadInput(str(name), problem, f"Choose a zone axis of low indices with {words.label('zone')}.")
    return smallest


def multislice_energy(recording: Recording) -> float:
    """The energy of the electrons in eV, of a recording that multislice is compared with; BadInput for slower ones."""
    energy = recording.beam_energy()
    if energy < LEAST_ENERGY:
        problem = f"{1e-3 * energy:g} keV: electrons so slow are scattered by large angles and backwards, which multislice does not hold"
        label = recording.inputs.words.label("energy")
        raise BadInput(label, problem, f"Give at least {1e-3 * LEAST_ENERGY:g} keV.")
    return energy


def _direction(recording: Recording, name: str, value: Any) -> tuple[int, int, int]:
    """Three whole numbers, "0,0,1" or (0, 0, 1); BadInput otherwise."""
    words = value.replace(" ", ",").split(",") if isinstance(value, str) else [str(index) for index in np.ravel(value)]
    try:
        numbers = tuple(int(word) for word in words if word)
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or not any(numbers):
        inputs = recording.inputs.words
        cure = f"Give {inputs.example(name, '0,0,1')} or the like."
        raise BadInput(inputs.given(name, value), "is no direction u,v,w of a crystal", cure)
    return numbers[0], numbers[1], numbers[2]


def _claimed(recording: Recording, key: str) -> tuple[int, int, int] | None:
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
