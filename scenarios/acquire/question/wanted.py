"""What a question asks of an instrument, as a number of the twin's state, and the session that can answer it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from scipy.stats import norm

from scenarios.acquire.build import DEPTHS, unit_cell
from scenarios.acquire.question.choice import scans_of
from scenarios.acquire.scenario import InstrumentPlan, Scenario, TwinPlan
from scenarios.io.errors import BadInput
from scenarios.plan.damage import damage_of
from scenarios.plan.kinds.measure import FACTORS, named, quantity_of
from scenarios.question.options import AnnularOption
from scenarios.question.parts import LimitsPlan
from scenarios.question.tables import Question
from twin.image.microscope import PARAMETERS, Calibration, affine_optics
from twin.optics.aberrations import NAMES
from twin.scattering.gram.crystal import DETECTOR, SEMIANGLE
from twin.state import Layout

WITHIN = 0.05
"""Share by which a question may have angles otherwise than the instrument."""
CELL = 3.905
THINNEST, THICKEST = DEPTHS[0] * CELL, DEPTHS[-1] * CELL
"""Angstrom between which the twin of the instrument has images."""


CONTROLS = {"C10": "C10", "C12a": "C12.a", "C12b": "C12.b"}
"""Aberrations that the instrument corrects, and their controls."""


class Wanted(NamedTuple):
    """A quantity by its ``name`` with the standard deviation ``asked``, in a ``unit`` that is ``factor`` of the state's; ``parameter``: that of an image
    (`twin.image.microscope.PARAMETERS`), ``sign`` -1 where the quantity is minus it; ``tolerance`` on both sides of zero to which it is corrected (None: it
    is measured alone)."""

    name: str
    unit: str
    factor: float
    asked: float
    parameter: str
    sign: float
    tolerance: float | None = None

    def row(self, layout: Layout, calibration: Calibration) -> np.ndarray:
        """The quantity [n] as a linear function of the state, all controls at zero, in its unit."""
        matrix, _ = affine_optics(layout, calibration, {})
        return self.sign * matrix[PARAMETERS.index(self.parameter)] / self.factor


def bounded(question: Question, scenario: Scenario) -> tuple[LimitsPlan, str]:
    """The limits of a question, its dose no larger than that at which the beam changes the specimen, and what that change is (empty: the dose is the
    question's own). BadInput where they are below the first image."""
    damages = damage_of(question, unit_cell(scenario).get_chemical_symbols())
    limits, words = question.limits, ""
    if damages and (limits.dose is None or damages[0].dose < limits.dose):
        limits, words = msgspec.structs.replace(limits, dose=damages[0].dose), damages[0].words
    least = min(each.dose for each in scans_of(scenario.make_scan()))
    if limits.dose is not None and limits.dose < least:
        problem = f"{limits.dose:.3g} electrons per square angstrom{f' ({words})' if words else ''} are fewer than the first image takes, {least:.3g}"
        raise BadInput("limits.dose" if not words else "limits", problem, "Allow more, or ask on another specimen.")
    return limits, words


def wanted_of(question: Question) -> tuple[Wanted, ...]:
    """The quantities of a question; BadInput naming the key for one that images of the instrument do not tell."""
    if question.kind == "tune":
        return _tuned(question)
    if question.kind != "measure":
        problem = f'key kind: a question of kind "{question.kind}" is not answered on an instrument yet'
        raise BadInput(
            question.name, problem, 'Weigh it with emtwin plan; answered are "measure", "tune", "detect" and "map".'
        )
    quantity = quantity_of(question)
    unit, factor = FACTORS[quantity.unit]
    parameters = {
        "thickness": "thickness",
        "defocus": "C10",
        "tilt": f"tilt.{quantity.axis}",
        "aberration": str(quantity.name),
    }
    parameter = parameters.get(quantity.kind, "")
    if parameter not in PARAMETERS or (quantity.kind == "aberration" and parameter not in NAMES):
        known = ", ".join(each for each in PARAMETERS if each in NAMES)
        problem = f"the twin's images have no {named(quantity)}"
        raise BadInput("quantity.kind", problem, f"Ask for thickness, tilt, defocus or an aberration ({known}).")
    sign = -1.0 if quantity.kind == "defocus" else 1.0
    assert question.asked.std is not None
    return (Wanted(named(quantity), unit, factor, question.asked.std, parameter, sign),)


def _tuned(question: Question) -> tuple[Wanted, ...]:
    """Aberrations that are to be within their tolerances with the probability that is asked for."""
    given = msgspec.structs.asdict(question.tolerance) if question.tolerance is not None else {}
    tolerances = {name: float(value) for name, value in given.items() if value is not None}
    if not tolerances:
        problem = 'a question of kind "tune" has no tolerance'
        raise BadInput("tolerance", problem, f"Add a table [tolerance] with any of {', '.join(CONTROLS)} in angstrom.")
    least = float(norm.isf(0.5 * (1.0 - question.asked.power)))
    return tuple(Wanted(name, "angstrom", 1.0, value / least, name, 1.0, value) for name, value in tolerances.items())


def scenario_for(question: Question, config: Mapping[str, Any] = {}) -> Scenario:
    """The session that answers a question on the simulated microscope, with ``config`` of its keys besides. BadInput, naming the key, for what the
    instrument or its twin do not have; before anything is computed."""
    specimen, instrument = question.specimen, question.instrument
    if not math.isclose(instrument.energy_keV, 1e-3 * Calibration().energy, rel_tol=1e-3):
        problem = f"is {instrument.energy_keV:g}; the twin of the instrument has {1e-3 * Calibration().energy:g}"
        raise BadInput("instrument.energy_keV", problem, "Ask for that energy.")
    if not math.isclose(instrument.semiangle_mrad, 1e3 * SEMIANGLE, rel_tol=WITHIN):
        problem = f"is {instrument.semiangle_mrad:g}; the probe of the instrument has {1e3 * SEMIANGLE:g}"
        raise BadInput("instrument.semiangle_mrad", problem, "Ask for that semi-angle.")
    inner, outer = (1e3 * angle for angle in DETECTOR)
    for each in question.option:
        angles = (each.inner_mrad, each.outer_mrad) if isinstance(each, AnnularOption) else None
        if angles is None or any(
            not math.isclose(own, has, rel_tol=WITHIN) for own, has in zip(angles, (inner, outer), strict=True)
        ):
            problem = f"{each.name or each.__struct_config__.tag}: the instrument has an annular detector of {inner:g} to {outer:g} mrad"
            raise BadInput("option", problem, "Leave [[option]] out, or give one of these angles.")
    if specimen.thickness is None or not THINNEST <= specimen.thickness <= THICKEST:
        problem = f"is {specimen.thickness}; the twin of the instrument has {THINNEST:.0f} to {THICKEST:.0f} angstrom"
        raise BadInput("specimen.thickness", problem, "Give one of these.")
    if tuple(specimen.zone) != (0, 0, 1) or specimen.vacancies or any(specimen.tilt_mrad):
        raise BadInput("specimen", "has a zone, tilt or vacancies", "The twin of the instrument knows [001] crystals.")
    known = specimen.structure.lower() == "srtio3"
    wanted_of(question)
    spread = question.unknown.thickness
    if spread <= 0.0:
        raise BadInput("unknown.thickness", "is 0", "Give the standard deviation of the thickness in angstrom.")
    # what is true of the simulated specimen is drawn from what is believed of it; the twin is told the belief alone
    drawn = np.random.default_rng([question.seed, 25]).normal(specimen.thickness, spread)
    cells = round(float(np.clip(drawn, THINNEST + CELL, THICKEST - CELL)) / CELL)
    own = {"cells": cells, **config} | ({} if known else {"cif": specimen.structure})
    twin = TwinPlan(
        cif=None if known else specimen.structure, priors={"thickness": (float(specimen.thickness), spread)}
    )
    return Scenario(
        name=question.name, kind="tune-and-map", description=question.description, instrument=InstrumentPlan(config=own),
        twin=twin, seed=question.seed, folder=question.folder,
    )  # fmt: skip
