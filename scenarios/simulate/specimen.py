"""The specimen of a simulation: structure, zone axis, size, vacancies, slices, and its frozen configurations."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scenarios.errors import BadInput, from_twin
from scenarios.simulate.plan import Simulation, SpecimenPlan
from twin.sample.orthogonal import Cell, zone_axis
from twin.sample.specimen import Slices, Specimen, srtio3_unit
from twin.sample.structures import read_atoms

BUILT_IN = {"SrTiO3": srtio3_unit}
SIZE = (20.0, 20.0)
"""Angstrom (x, y) that a specimen has at least unless its size or repeats are given."""
_VACANCIES, _PHONONS = 1, 2
"""Streams of chance that grow from one seed."""


class Made(NamedTuple):
    """A specimen with what is worth knowing of how it was made: the orthogonal ``cell`` of the zone, its lengths ``unit`` (x, y, z) in angstrom,
    the number of ``slices``, and the ``one`` cell of which it is ``repeats`` (x, y, z), unless vacancies or slices make its cells unlike."""

    specimen: Specimen
    cell: Cell
    unit: tuple[float, float, float]
    slices: int
    one: Specimen | None
    repeats: tuple[int, int, int]

    @property
    def spacing(self) -> float:
        """Thickness of a slice in angstrom."""
        return self.specimen.thickness / self.slices

    def hash(self) -> str:
        """SHA-256 over elements, positions, cell, thermal motion and occupancy."""
        made = self.specimen
        digest = hashlib.sha256(json.dumps([made.symbols, made.cell]).encode())
        for array in (made.positions, made.u2, made.occupancy):
            digest.update(np.ascontiguousarray(array, "<f8").tobytes())
        return digest.hexdigest()


def make_specimen(plan: Simulation) -> Made:
    """The specimen of ``plan``; BadInput for what cannot be one (no atoms, atoms that overlap, no orthogonal cell ...)."""
    wanted = plan.specimen
    path = None if wanted.structure in BUILT_IN else Path(plan.folder) / wanted.structure
    if path is not None and not path.is_file():
        raise BadInput(
            "specimen.structure",
            f"{wanted.structure!r} is neither built in nor a file ({path})",
            f"Use {', '.join(BUILT_IN)}, or give the structure file's path relative to the scenario's.",
        )
    origin = "specimen" if path is None else str(path)
    try:
        unit = BUILT_IN[wanted.structure]() if path is None else read_atoms(path)
        # before a cell is sought for them, which takes long and would not say what is wrong
        check_atoms(unit)
        cell = zone_axis(unit, wanted.zone, wanted.x)
    except ValueError as error:
        raise from_twin(origin, error, "Mend the structure, or choose another zone.") from None
    lengths = tuple(float(side) for side in np.diag(np.asarray(cell.atoms.cell.array)))
    across = wanted.repeats or tuple(
        max(1, math.ceil(size / side - 1e-6)) for size, side in zip(wanted.size or SIZE, lengths, strict=False)
    )
    deep = wanted.cells or max(1, round((wanted.thickness or 0.0) / lengths[2]))
    slices = max(1, round(deep * lengths[2] / wanted.slice))
    repeats = (across[0], across[1], deep)
    atoms = cell.atoms * repeats
    shift = _shift(atoms.positions[:, 2], deep * lengths[2] / slices)
    atoms.positions[:, 2] += shift
    atoms.wrap()
    try:
        specimen = Specimen.from_atoms(_emptied(atoms, wanted, plan.seed), wanted.u2, None)
        filled = _thinned(specimen, wanted)
        one = None
        if not any(wanted.vacancies.values()) and slices % deep == 0:
            single = cell.atoms.copy()
            single.positions[:, 2] += shift
            single.wrap()
            one = _thinned(Specimen.from_atoms(single, wanted.u2, None), wanted)
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise from_twin(origin, error, "Mend the structure or its thermal motion and occupancies.") from None
    return Made(filled, cell, (lengths[0], lengths[1], lengths[2]), slices, one, repeats)


def column(plan: Simulation, made: Made) -> Specimen:
    """One cell across of the specimen that was ``made``, as deep and cut into the same slices; without its vacancies."""
    atoms = made.cell.atoms * (1, 1, made.repeats[2])
    atoms.positions[:, 2] += _shift(atoms.positions[:, 2], made.spacing)
    atoms.wrap()
    return _thinned(Specimen.from_atoms(atoms, plan.specimen.u2, None), plan.specimen)


def potential_options(plan: Simulation) -> dict[str, Any]:
    """What `Specimen.slices` is told of the potential."""
    wanted = plan.specimen
    options = {"parametrization": wanted.parametrization, "projection": wanted.projection, "thermal": wanted.thermal}
    return options | ({"energy": plan.beam.energy_keV * 1e3} if wanted.thermal == "absorptive" else {})


def phonon_seeds(plan: Simulation) -> tuple[int, ...]:
    """One for each frozen configuration; none for atoms at rest."""
    phonons = plan.specimen.phonons
    if phonons is None:
        return ()
    seed = plan.seed if phonons.seed is None else phonons.seed
    sequences = (np.random.SeedSequence((seed, _PHONONS, number)) for number in range(phonons.configurations))
    return tuple(int(one.generate_state(1, np.uint64)[0]) for one in sequences)


def stacks(
    plan: Simulation, made: Made, gpts: tuple[int, int], tell: Callable[[str, float | None], None]
) -> Sequence[Callable[[], Slices]]:
    """One function for each frozen configuration (or for the one static crystal) that makes its slices; ``tell`` hears of each when it is first made."""
    specimen, options, seeds = made.specimen, potential_options(plan), phonon_seeds(plan)
    if not seeds:

        def static() -> Slices:
            tell("potential", None)
            return specimen.slices(gpts, made.slices, **options)

        return [static]
    count, told = len(seeds), set()

    def configuration(number: int) -> Callable[[], Slices]:
        def make() -> Slices:
            if number not in told:
                told.add(number)
                tell("potentials of frozen configurations", (number + 1) / count)
            return specimen.slices(gpts, made.slices, specimen.displacements(seeds[number]), **options)

        return make

    return [configuration(number) for number in range(count)]


def check_atoms(unit: Any) -> None:
    """ValueError for a cell without atoms or volume, and for atoms nowhere or on top of each other, in a cell of any shape."""
    if len(unit) == 0:
        raise ValueError("the structure has no atoms")
    if not np.all(np.isfinite(unit.positions)):
        raise ValueError("the structure has atoms at positions that are not numbers")
    if abs(float(np.linalg.det(np.asarray(unit.cell.array)))) < 1e-3:
        raise ValueError(f"the structure's cell {np.asarray(unit.cell.array).round(3).tolist()} has no volume")
    apart = unit.get_all_distances(mic=True) if len(unit) <= 2000 else None
    if apart is None:
        return  # large cells are checked when the specimen is made, by a neighbour search
    filled = unit.arrays.get("occupancy", np.ones(len(unit)))
    close = (apart < 0.5) & (filled[:, None] + filled[None, :] > 1.0 + 1e-6)
    np.fill_diagonal(close, False)
    if close.any():
        i, j = (int(one) for one in np.argwhere(close)[0])
        raise ValueError(
            f"atoms {i} ({unit.symbols[i]}) and {j} ({unit.symbols[j]}) overlap: they are {apart[i, j]:.3f} angstrom apart"
        )


def _shift(z: np.ndarray, spacing: float) -> float:
    """How far to move atoms along the beam so that borders of slices lie in the middle of the widest gap between atomic planes, modulo ``spacing``."""
    place = np.unique(np.round((z / spacing) % 1.0, 6) % 1.0)
    gaps = np.diff(np.append(place, place[0] + 1.0))
    widest = int(np.argmax(gaps))
    return -((place[widest] + 0.5 * gaps[widest]) % 1.0) * spacing


def _emptied(atoms: Any, wanted: SpecimenPlan, seed: int) -> Any:
    """``atoms`` without the share of each element's sites that is vacant; which, the seed says."""
    _check_elements(wanted.vacancies, atoms.get_chemical_symbols(), "vacancies")
    symbols, keep = np.array(atoms.get_chemical_symbols()), np.ones(len(atoms), dtype=bool)
    chance = np.random.default_rng(np.random.SeedSequence((seed, _VACANCIES)))
    for element, share in sorted(wanted.vacancies.items()):
        sites = np.flatnonzero(symbols == element)
        keep[chance.choice(sites, round(share * len(sites)), replace=False)] = False
    return atoms[keep]


def _thinned(specimen: Specimen, wanted: SpecimenPlan) -> Specimen:
    """``specimen`` with occupancies multiplied by what is wanted of each element."""
    if not wanted.occupancy:
        return specimen
    _check_elements(wanted.occupancy, specimen.symbols, "occupancy")
    share = np.array([wanted.occupancy.get(symbol, 1.0) for symbol in specimen.symbols])
    return Specimen(specimen.positions, specimen.u2, specimen.symbols, specimen.cell, specimen.occupancy * share)


def _check_elements(table: dict[str, float], symbols: Sequence[str], name: str) -> None:
    for element in table:
        if element not in symbols:
            there = ", ".join(sorted(set(symbols)))
            raise BadInput(f"specimen.{name}", f"there is no {element} in the structure", f"Its elements are {there}.")
