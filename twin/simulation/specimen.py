"""The specimen of a simulation: structure, zone axis, size, vacancies, slices, and its frozen configurations."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from twin.errors import BadInput, from_twin
from twin.sample.orthogonal import Cell, oriented
from twin.sample.specimen import Slices, Specimen
from twin.sample.standards import STANDARDS, standard_unit
from twin.sample.structures import SHEET_GAP, Structure, gap_along_z, load_structure, structure_of
from twin.simulation.plan.tables import Simulation, SpecimenPlan

SIZE = (20.0, 20.0)
"""Angstrom (x, y) that a specimen has at least unless its size or repeats are given."""
MOST_ATOMS = 5_000_000
"""Atoms of a specimen."""
THICKER = 0.15
"""A cell is cut into a whole number of slices, so that cells stay alike: the last part of a slice up to this share makes the others thicker."""
_VACANCIES, _PHONONS = 1, 2
"""Streams of chance that grow from one seed."""


class Made(NamedTuple):
    """A specimen with what is worth knowing of how it was made: the ``structure`` it is of, the orthogonal ``cell`` of the zone, its lengths ``unit`` (x, y, z)
    in angstrom, the number of ``slices``, the unit ``cell_specimen`` of which it is ``repeats`` (x, y, z), unless vacancies make its cells unlike,
    and ``notes`` on how a sheet was placed."""

    specimen: Specimen
    structure: Structure
    cell: Cell
    unit: tuple[float, float, float]
    slices: int
    cell_specimen: Specimen | None
    repeats: tuple[int, int, int]
    notes: tuple[str, ...] = ()

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


def make_specimen(plan: Simulation, structure: Structure | None = None) -> Made:
    """The specimen of ``plan``, of a ``structure`` that was read before or of the one that the plan names; BadInput for what cannot be one (no atoms, atoms
    that overlap, no orthogonal cell ...)."""
    wanted = plan.specimen
    origin = "specimen" if wanted.structure in STANDARDS else str(Path(plan.folder) / wanted.structure)
    if structure is None:
        structure = structure_named("specimen.structure", wanted.structure, plan.folder)
    try:
        cell = oriented(structure.atoms, wanted.zone, wanted.x)
    except ValueError as error:
        raise from_twin(origin, error, "Mend the structure, or choose another zone.") from None
    cell, notes = _placed_sheet(cell, wanted)
    _check_contents(cell.atoms, wanted)
    lengths = tuple(float(side) for side in np.diag(np.asarray(cell.atoms.cell.array)))
    across = wanted.repeats or tuple(
        max(1, math.ceil(size / side - 1e-6)) for size, side in zip(wanted.size or SIZE, lengths, strict=False)
    )
    deep = wanted.cells or max(1, round((wanted.thickness or 0.0) / lengths[2]))
    slices = deep * max(1, math.ceil(lengths[2] / wanted.slice - THICKER))
    repeats = (across[0], across[1], deep)
    _check_count(len(cell.atoms), repeats, wanted)
    atoms = cell.atoms * repeats
    shift = _shift(atoms.positions[:, 2], deep * lengths[2] / slices)
    atoms.positions[:, 2] += shift
    atoms.wrap()
    try:
        specimen = Specimen.from_atoms(_emptied(atoms, wanted, plan.seed), wanted.u2, None)
        filled = _thinned(specimen, wanted)
        cell_specimen = None
        if not any(wanted.vacancies.values()):
            single = cell.atoms.copy()
            single.positions[:, 2] += shift
            single.wrap()
            cell_specimen = _thinned(Specimen.from_atoms(single, wanted.u2, None), wanted)
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise from_twin(origin, error, "Mend the structure or its thermal motion and occupancies.") from None
    return Made(filled, structure, cell, (lengths[0], lengths[1], lengths[2]), slices, cell_specimen, repeats, notes)


def _check_contents(atoms: Any, wanted: SpecimenPlan) -> None:
    """BadInput for a table by element that lacks some, or that leaves no atoms."""
    elements = sorted(set(atoms.get_chemical_symbols()))
    if wanted.u2 is not None and (lacking := [symbol for symbol in elements if symbol not in wanted.u2]):
        problem = f"u2 lacks {', '.join(lacking)}"
        raise BadInput("specimen.u2", problem, "Give <u^2> in angstrom^2 for every element, or leave u2 out.")
    if all(wanted.vacancies.get(symbol, 0.0) == 1.0 for symbol in elements):
        raise BadInput("specimen.vacancies", "leaves no atoms", "Give shares below 1.")


def _check_count(atoms: int, repeats: tuple[int, int, int], wanted: SpecimenPlan) -> None:
    """BadInput for more atoms than a specimen can have, before any is made."""
    total = atoms * math.prod(repeats)
    if total <= MOST_ATOMS:
        return
    deep = "specimen.cells" if wanted.cells is not None else "specimen.thickness"
    wide = "specimen.repeats" if wanted.repeats is not None else "specimen.size"
    key = deep if repeats[2] > repeats[0] * repeats[1] else wide
    problem = f"{repeats[0]} x {repeats[1]} x {repeats[2]} cells of {atoms} atoms are more than {MOST_ATOMS:g} atoms"
    raise BadInput(key, problem, f"Make the specimen smaller ({wide}, {deep}).")


def structure_named(key: str, name: str, folder: str = "") -> Structure:
    """The structure that is built in or in a file, its path relative to ``folder``; BadInput, naming ``key`` or the file, for what cannot be one."""
    if name in STANDARDS:
        return dataclasses.replace(structure_of(standard_unit(name), name), space_group=STANDARDS[name].space_group)
    path = Path(folder) / name
    if not path.is_file():
        raise BadInput(
            key,
            f"{name!r} is neither built in nor a file ({path})",
            f"Use {', '.join(STANDARDS)}, or give the path of a CIF or another structure file{', relative to the scenario' if folder else ''}.",
        )
    try:
        return load_structure(path)
    except ValueError as error:
        raise from_twin(str(path), error, "Mend the structure.") from None


def _placed_sheet(cell: Cell, wanted: SpecimenPlan) -> tuple[Cell, tuple[str, ...]]:
    """A sheet (a cell with `SHEET_GAP` or more without atoms along the beam) in the middle of its vacuum, and notes on it; any other cell as it is.

    A sheet that lies across the cell's border would be cut in two, with its vacuum between the halves. BadInput where a crystal has no thickness.
    """
    gap, end = gap_along_z(cell.atoms)
    depth = float(np.asarray(cell.atoms.cell.array)[2, 2])
    if gap < SHEET_GAP:
        if wanted.cells is None and wanted.thickness is None:
            cure = "Give exactly one: thickness in angstrom, or cells along the beam (only a sheet has a thickness of its own)."
            raise BadInput("specimen.thickness", "neither thickness nor cells is given", cure)
        return cell, ()
    atoms = cell.atoms.copy()
    atoms.positions[:, 2] = (atoms.positions[:, 2] - end + 1e-9) % depth + 0.5 * gap
    note = f"a sheet, {depth - gap:.2f} angstrom from first to last atom, in {gap:.2f} angstrom of vacuum: it is put in the middle of the cell"
    several = wanted.cells or round((wanted.thickness or 0.0) / depth)
    stack = (
        (f"{several} sheets are stacked with their vacuum between them: give cells = 1 for one",) if several > 1 else ()
    )
    return cell._replace(atoms=atoms), (note, *stack)


def column(plan: Simulation, made: Made) -> Specimen:
    """One cell across of the specimen that was ``made``, as deep and cut into the same slices; without its vacancies."""
    atoms = made.cell.atoms * (1, 1, made.repeats[2])
    atoms.positions[:, 2] += _shift(atoms.positions[:, 2], made.spacing)
    atoms.wrap()
    return _thinned(Specimen.from_atoms(atoms, plan.specimen.u2, None), plan.specimen)


def potential_options(plan: Simulation) -> dict[str, Any]:
    """Keyword arguments of `Specimen.slices` for the potential."""
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
    return tuple(int(sequence.generate_state(1, np.uint64)[0]) for sequence in sequences)


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
    count, announced = len(seeds), set()

    def configuration(number: int) -> Callable[[], Slices]:
        def make() -> Slices:
            if number not in announced:
                announced.add(number)
                tell("potentials of frozen configurations", (number + 1) / count)
            return specimen.slices(gpts, made.slices, specimen.displacements(seeds[number]), **options)

        return make

    return [configuration(number) for number in range(count)]


def _shift(z: np.ndarray, spacing: float) -> float:
    """How far to move atoms along the beam so that borders of slices lie in the middle of the widest gap between atomic planes, modulo ``spacing``."""
    heights = np.unique(np.round((z / spacing) % 1.0, 6) % 1.0)
    gaps = np.diff(np.append(heights, heights[0] + 1.0))
    widest = int(np.argmax(gaps))
    return -((heights[widest] + 0.5 * gaps[widest]) % 1.0) * spacing


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
