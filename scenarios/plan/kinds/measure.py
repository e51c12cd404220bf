"""Questions of kind "measure": how well is this quantity measured?"""

import math

from learn.feasibility.hypotheses import Hypotheses
from learn.feasibility.matrices import Grid
from learn.feasibility.measuring.assessment import Measurement, measurement
from learn.feasibility.measuring.ends import cases_of, ends_of
from learn.feasibility.measuring.quantity import Quantity, check_quantity, names_of, varied
from learn.feasibility.measuring.sensitivity import Sensitivity, at_rest, counted, images, patterns
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.kinds.detect import unknown_of
from scenarios.plan.planned import Merit
from scenarios.plan.readings import Reading, detector_of, lens_of
from scenarios.plan.scene import Scene, grid_of, kept_matrices, scene_of
from scenarios.plan.spectra.measured import spectral_measurement
from scenarios.question.options import ImageOption, PatternOption, SpectrumOption
from scenarios.question.tables import SPECTRAL, Question
from twin.simulation.specimen import Made

MRAD = 1e-3
FACTORS = {"radian": ("mrad", 1e-3), "angstrom": ("angstrom", 1.0), "": ("", 1.0)}
"""Units of a quantity as questions have them, and what one is inside."""


def scene(question: Question, progress: Progress) -> Scene:
    """The specimen, and those on both sides of the quantity and of a tilt that is not known, with their waves."""
    quantity = quantity_of(question)
    check_quantity(quantity)
    made = scene_of(question, lambda made: _hypotheses(question, made), progress)
    cell, repeats = made.made.cell_specimen, _repeats(question, made.made)
    assert cell is not None
    wanted = {"quantity": quantity, **_others(question, quantity)}
    pairs = {name: varied(cell, repeats, each, made.grid) for name, each in wanted.items()}
    needed = {name: cases_of(wanted[name], pair) for name, pair in pairs.items()}
    # of a composition the specimen has more atoms than those that are tilted: each has its own sites
    grid_of(question, made.hypotheses.perfect.extent, made.made.slices, 1 + sum(len(each) for each in needed.values()))
    both = {
        name: ends_of(pairs[name], made.matrices[0], kept_matrices(cases, progress, pairs[name].sites))
        for name, cases in needed.items()
    }
    ends = {name: each for name, each in both.items() if each is not None}
    others = {name: each for name, each in ends.items() if name != "quantity"}
    progress.stage("derivatives of all patterns")
    seen = patterns(made.matrices[0], quantity, ends.get("quantity"), made.window, made.probe, repeats[:2], others)
    return made._replace(ends=ends, patterns=seen)


def quantity_of(question: Question) -> Quantity:
    """The quantity of the question; BadInput where it has none."""
    given = question.quantity
    if given is None:
        raise BadInput(question.name, "key quantity is missing", 'A question of kind "measure" has a table [quantity].')
    if question.asked.std is None:
        raise BadInput(question.name, "key asked.std is missing", "Give the standard deviation that is asked for.")
    if given.kind == "map":
        raise BadInput("quantity.kind", "a map is measured pixel by pixel", 'Ask with kind = "map" and emtwin acquire.')
    if given.kind in SPECTRAL:
        raise BadInput("quantity.kind", f"only spectra tell {given.kind}", 'Give options of technique = "eels" alone.')
    return Quantity(given.kind, given.element, given.by, given.column, given.axis, given.name)


def merit(question: Question, scene: Scene) -> Merit:
    """The standard deviation, against dose."""
    quantity = quantity_of(question)
    name, asked = named(quantity), question.asked.std
    unit, _ = FACTORS[quantity.unit]
    shown = {"angstrom": " Å", "mrad": " mrad", "": ""}[unit]
    alone = "of one column" if quantity.local else "over the whole field"
    caption = f"Least standard deviation of {name}, {alone} (Cramér-Rao bound)."
    titles = ("as it is", f"{name} + {asked:g}{shown}")
    return Merit("std", float(asked or 0.0), f"{name} to {asked:g}{shown}", unit, False, caption, titles)


def judge(question: Question, scene: Scene, reading: Reading) -> Measurement:
    """Standard deviations that an option reaches, in the question's unit."""
    if isinstance(reading.option, SpectrumOption):
        return spectral_measurement(question, reading.option, scene.hypotheses.perfect)
    quantity, unknown = quantity_of(question), unknown_of(question)
    seen = _seen(question, scene, reading, quantity)
    field = scene.hypotheses.perfect.extent[0] * scene.hypotheses.perfect.extent[1]
    area = scene.window.area if quantity.local else field
    tilt, level = MRAD * question.unknown.tilt, question.unknown.level
    priors = {**unknown.priors, "tilt.x": tilt, "tilt.y": tilt, "background": math.inf if level is None else level}
    _, factor = FACTORS[quantity.unit]
    asked = factor * float(question.asked.std or math.nan)
    result = measurement(seen, priors, unknown.model, asked, area, area / scene.window.area, names_of(quantity))
    return result._replace(curve=result.curve / factor, limits=result.limits / factor)


def named(quantity: Quantity) -> str:
    """The quantity in words."""
    column = "" if quantity.column is None else f" column {quantity.column}"
    words = {
        "tilt": f"tilt along {quantity.axis}", "strain": f"strain along {quantity.axis}", "position": f"{quantity.axis} of {quantity.element}{column}",
        "occupancy": f"occupancy of {quantity.element}{column}", "composition": f"share of {quantity.by} on {quantity.element}{column}",
        "aberration": str(quantity.name),
    }  # fmt: skip
    return words.get(quantity.kind, quantity.kind)


def _hypotheses(question: Question, made: Made) -> Hypotheses:
    """The specimen alone; its derivatives are of pairs."""
    assert made.cell_specimen is not None
    repeats = _repeats(question, made)
    bare = Grid((1, 1), made.slices, 1.0, 1.0, 1.0, ())
    pair = varied(made.cell_specimen, repeats, quantity_of(question), bare)
    return Hypotheses(pair.base, (), pair.location, (), repeats[0] * repeats[1], pair.sites)


def _repeats(question: Question, made: Made) -> tuple[int, int, int]:
    return question.compute.cells, question.compute.cells, made.repeats[2]


def _others(question: Question, quantity: Quantity) -> dict[str, Quantity]:
    """Unknowns that need matrices of their own."""
    if question.unknown.tilt == 0.0:
        return {}
    named = {"tilt.x": Quantity("tilt", axis="x"), "tilt.y": Quantity("tilt", axis="y")}
    return {name: each for name, each in named.items() if name not in names_of(quantity)}


def _seen(question: Question, scene: Scene, reading: Reading, quantity: Quantity) -> Sensitivity:
    base, option, made = scene.matrices[0], reading.option, scene.patterns
    assert made is not None
    assert not isinstance(option, SpectrumOption)
    if isinstance(option, ImageOption):
        others = {name: each for name, each in scene.ends.items() if name != "quantity"}
        lens, cells = lens_of(option, scene.grid.energy), _repeats(question, scene.made)[:2]
        return images(base, quantity, made.ends, scene.window, lens, cells, others, option.readout**2)
    seen = at_rest(made, scene.probe) if isinstance(option, PatternOption) else made
    return counted(seen, lambda matrices: detector_of(option, matrices, scene.grid.semiangle))
