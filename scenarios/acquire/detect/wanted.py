"""What a question of kind "detect" looks for in a field, and the simulated field that can answer it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ase.data import atomic_numbers

from instrument.simulation.field.config import from_mapping
from learn.design.sequential import Errors
from learn.feasibility.hypotheses import columns_of
from scenarios.io.errors import BadInput
from scenarios.plan.kinds.detect import change_of, hypotheses
from scenarios.plan.readings import name_of
from scenarios.plan.scene import simulation_of
from scenarios.question.options import AnnularOption
from scenarios.question.tables import Question
from twin.sample.specimen import Specimen
from twin.simulation.specimen import Made, make_specimen

CHANGES = ("vacancy", "substitution", "antisite")
"""Kinds of defects that the simulated field has."""
LEAST, MOST = 6, 2000
"""Columns of a field: enough to compare with one another, and few enough to be looked at one by one."""
WIDEST = 160.0
"""Angstrom."""
GAIN = 0.1
"""Standard deviation of the gain of a detector where the question does not say."""
ALIKE = 0.05
"""Angstrom within which atoms of columns that are alike agree."""


class Wanted(NamedTuple):
    """Columns at ``places`` [n, 2] (angstrom, x and y in a field of ``sides``, but for where the lattice is) that are tested, ``alike`` [m, 2] of one cell,
    the first of which has the atom number ``site`` of the cell; options by the name of their detector; ``errors`` of each column's test; the ``made``
    specimen."""

    places: np.ndarray
    sides: tuple[float, float]
    alike: np.ndarray
    site: int
    options: dict[str, AnnularOption]
    errors: Errors
    made: Made

    @property
    def area(self) -> float:
        """Of the field, in angstrom^2."""
        return math.prod(self.sides)


def wanted_of(question: Question) -> Wanted:
    """The field of a question and its columns; BadInput naming the key for what the instrument or the test do not have, before anything is computed."""
    change = change_of(question)
    if change.kind not in CHANGES:
        problem = f'is "{change.kind}": the simulated field changes atoms that are there'
        raise BadInput("defect.kind", problem, f"Ask for one of {', '.join(CHANGES)}, or weigh it with emtwin plan.")
    if not question.asked.references:
        raise BadInput(
            "asked.references", "is false: columns of a field are compared with one another", "Leave it out."
        )
    if any(question.unknown.layers):
        raise BadInput("unknown.layers", "the simulated field has no amorphous layers", "Leave them out.")
    if any(question.specimen.tilt_mrad):
        raise BadInput("specimen.tilt_mrad", "the simulated field is on its zone axis", "Leave it out.")
    if question.compute.thicknesses > 1:
        raise BadInput("compute.thicknesses", "columns are tested at one thickness", "Leave it out.")
    options = {name_of(each): each for each in question.options() if isinstance(each, AnnularOption)}
    if not options:
        raise BadInput(
            "option", "the simulated field has annular detectors alone", 'Give one with technique = "annular".'
        )
    made = make_specimen(simulation_of(question))
    if made.cell_specimen is None:
        raise BadInput("specimen.vacancies", "makes every cell unlike", "Leave vacancies out.")
    compared = hypotheses(question, made)  # refuses a defect that the structure does not have
    cells = question.asked.field or (question.compute.cells, question.compute.cells)
    sides = (cells[0] * made.unit[0], cells[1] * made.unit[1])
    if max(sides) > WIDEST:
        problem = (
            f"{cells[0]} x {cells[1]} cells are {sides[0]:.0f} x {sides[1]:.0f} angstrom; the field has {WIDEST:.0f}"
        )
        raise BadInput("asked.field", problem, "Give fewer cells.")
    site, alike = alike_of(made.cell_specimen, str(change.site), compared.location)
    whole = np.stack([part.ravel() for part in np.meshgrid(*(np.arange(count) for count in cells))], 1)
    places = (whole[:, None] * np.array(made.unit[:2]) + alike).reshape(-1, 2)
    if not LEAST <= len(places) <= MOST:
        problem = f"there are {len(places)} like columns in {cells[0]} x {cells[1]} cells; {LEAST} to {MOST} are tested"
        raise BadInput("asked.field", problem, "Give another number of cells.")
    asked = question.asked
    alarms = asked.false_alarms
    if asked.where == "anywhere":
        alarms = -math.expm1(math.log1p(-alarms) / len(places))
    if not alarms < asked.power:
        raise BadInput("asked.power", f"is not above {alarms:g} false alarms", "Ask for a larger power.")
    return Wanted(places, sides, alike, site, options, Errors(asked.power, alarms), made)


def alike_of(cell: Specimen, element: str, location: tuple[float, float]) -> tuple[int, np.ndarray]:
    """An atom of the column of ``element`` at a ``location``, and displacements [n, 2] (x, y) in angstrom from it to those of a cell that are like it, itself
    the first: where the crystal is the same about both."""
    places, members = columns_of(cell, element)
    sides = np.array(cell.cell)
    off = (places - np.array(location) + sides[:2] / 2) % sides[:2] - sides[:2] / 2
    column = int(np.hypot(*off.T).argmin())
    alike = [np.zeros(2)]
    for number, each in enumerate(places):
        if number != column and _same(cell, np.append(each - places[column], 0.0)):
            alike.append((each - places[column]) % sides[:2])
    return int(members[column][0]), np.array(alike)


def _same(cell: Specimen, move: np.ndarray) -> bool:
    """Whether the crystal displaced by ``move`` is the same."""
    sides, names = np.array(cell.cell), np.array(cell.symbols)
    off = cell.positions[:, None] + move - cell.positions[None]
    off = np.abs((off + sides / 2) % sides - sides / 2)
    like = (names[:, None] == names[None]) & np.isclose(cell.occupancy[:, None], cell.occupancy[None])
    return bool(np.all(np.any((off.max(-1) < ALIKE) & like, axis=1)))


def field_for(question: Question, wanted: Wanted, config: Mapping[str, Any] = {}) -> dict[str, Any]:
    """The configuration of the simulated field, whose hidden truth is drawn from what the question believes; ``config``: keys of its own besides.

    BadInput for what the field refuses.
    """
    cell, unknown, instrument = wanted.made.cell_specimen, question.unknown, question.instrument
    assert cell is not None
    change = change_of(question)
    own: dict[str, Any] = {
        "numbers": [atomic_numbers[each] for each in cell.symbols], "positions": cell.positions.tolist(), "u2": cell.u2.tolist(),
        "occupancy": cell.occupancy.tolist(), "sides": list(cell.cell), "depth": wanted.made.repeats[2], "site": wanted.site,
        "by": atomic_numbers[change.by] if change.by and change.kind != "vacancy" else 0, "at": change.depth, "alike": wanted.alike.tolist(),
        "energy": 1e3 * instrument.energy_keV, "semiangle": 1e-3 * instrument.semiangle_mrad, "c10": -instrument.defocus, "source": instrument.source,
        "detectors": {name: [1e-3 * each.inner_mrad, 1e-3 * each.outer_mrad] for name, each in wanted.options.items()},
        "defocus_std": unknown.defocus, "astigmatism_std": unknown.astigmatism, "source_std": unknown.source, "jitter": unknown.jitter,
        "readout": max(each.readout for each in wanted.options.values()),
    }  # fmt: skip
    if wanted.made.repeats[2] > 1:
        own |= {"thickness_std": unknown.thickness, "roughness": unknown.roughness}
    try:
        from_mapping(own | dict(config))
    except ValueError as error:
        raise BadInput("instrument", str(error), "Use the keys and units of the simulated field.") from None
    return own | dict(config)
