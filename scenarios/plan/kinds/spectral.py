"""Questions of kind "measure" that energy-loss spectra of the field answer, for which no waves are needed."""

import numpy as np

from learn.feasibility.hypotheses import Hypotheses, repeated
from learn.feasibility.matrices import Grid
from learn.feasibility.measuring.assessment import Measurement
from learn.feasibility.scanned import Scanned
from learn.feasibility.scans import Probe, Window
from learn.feasibility.spectra.information import SpectralQuantity
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.planned import Merit
from scenarios.plan.readings import Reading
from scenarios.plan.scene import Scene, simulation_of
from scenarios.plan.spectra.measured import spectral_measurement, spectral_quantity
from scenarios.question.options import SpectrumOption
from scenarios.question.tables import SPECTRAL, Question
from twin.optics.aberrations import coefficients
from twin.simulation.specimen import make_specimen
from twin.units import symbol


def answers(question: Question) -> bool:
    """Whether spectra alone are weighed for the quantity of the question."""
    if question.quantity is None:
        return False
    alone = all(isinstance(option, SpectrumOption) for option in question.options())
    return question.quantity.kind in SPECTRAL or (question.quantity.kind == "composition" and alone)


def scene(question: Question, progress: Progress) -> Scene:
    """The specimen, one spectrum of which is recorded over the whole field."""
    spectral_quantity(question)
    progress.stage("making the specimen")
    made = make_specimen(simulation_of(question))
    if made.cell_specimen is None:
        raise BadInput("specimen.vacancies", "makes every cell unlike", "Leave vacancies out.")
    cells = question.compute.cells
    perfect = repeated(made.cell_specimen, (cells, cells, made.repeats[2]))
    energy, semiangle = 1e3 * question.instrument.energy_keV, 1e-3 * question.instrument.semiangle_mrad
    grid = Grid((1, 1), made.slices, energy, semiangle, semiangle, ())
    window = Window(np.zeros((1, 2)), (1, 1), (perfect.extent[0], perfect.extent[1]))
    nothing = Scanned(np.zeros((1, 0)), np.zeros((0, 1, 0)), {}, window, np.zeros(0), None)
    probe = Probe(coefficients({"C10": -question.instrument.defocus}), question.instrument.source)
    hypotheses = Hypotheses(perfect, (), (0.0, 0.0), (), cells * cells)
    return Scene(question, made, hypotheses, grid, (), probe, window, nothing)


def merit(question: Question, scene: Scene) -> Merit:
    """The standard deviation, against dose."""
    quantity, asked = spectral_quantity(question), float(question.asked.std or 0.0)
    name = named(quantity)
    unit = f" {symbol(quantity.unit)}" if quantity.unit else ""
    caption = f"Least standard deviation of {name} from one spectrum of the field (Cramér-Rao bound)."
    return Merit("std", asked, f"{name} to {asked:g}{unit}", quantity.unit, False, caption)


def judge(question: Question, scene: Scene, reading: Reading) -> Measurement:
    """Standard deviations that an option reaches."""
    assert isinstance(reading.option, SpectrumOption)
    return spectral_measurement(question, reading.option, scene.hypotheses.perfect)


def named(quantity: SpectralQuantity) -> str:
    """The quantity in words."""
    if quantity.kind == "composition":
        if quantity.by:
            return f"share of {quantity.by} on {quantity.element}"
        return f"ratio {quantity.element}/{quantity.over}" if quantity.over else f"atoms of {quantity.element} per area"
    return {"t_over_lambda": "t/λ", "edge_shift": f"shift of {quantity.edge}"}.get(quantity.kind, "the energy offset")
