"""`plan_question`: the options of a question, each with its power, dose, time and data, and a verdict."""

import math
import time
from typing import Any, NamedTuple

import msgspec
import numpy as np

from learn.feasibility.assessment import DOSES, Asked, Assessment, assess
from learn.feasibility.hypotheses import Change, Hypotheses, hypotheses_of
from learn.feasibility.imaged import imaged
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Scanned, annular, camera, scanned, segments, still
from learn.feasibility.scans import Probe, Window, finest_step, window_of
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress, SilentProgress
from scenarios.plan.costs import Costs, costs_of, over_limits
from scenarios.plan.damage import Damage, damage_of
from scenarios.question.tables import (
    AnnularOption,
    CameraOption,
    ImageOption,
    OptionPlan,
    PatternOption,
    Question,
    SegmentedOption,
)
from twin.compiled_programs import double_precision
from twin.grid import CUTOFF, smooth
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.transfer import Imaging
from twin.simulation.plan.tables import BeamPlan, Simulation
from twin.simulation.specimen import make_specimen

SCHEMA = "emtwin.plan/1"
MOST_BYTES = 3e9
"""That scattering matrices may take."""


class Weighed(NamedTuple):
    """An option with its name, assessment, costs at the dose that it needs, and the limits that it exceeds (empty: feasible)."""

    option: OptionPlan
    name: str
    assessment: Assessment
    costs: Costs
    obstacles: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """Whether it answers the question within all limits."""
        return not self.obstacles


class Planned(NamedTuple):
    """The answer to a question: options, best first, on the ``hypotheses`` over the ``window``; ``damages`` by the beam that bound the dose, and the
    ``seconds`` that it took."""

    question: Question
    options: tuple[Weighed, ...]
    hypotheses: Hypotheses
    window: Window
    damages: tuple[Damage, ...]
    seconds: float

    @property
    def best(self) -> Weighed | None:
        """The feasible option of the least dose; None where none is."""
        return next((each for each in self.options if each.feasible), None)


def plan_question(question: Question, progress: Progress | None = None) -> Planned:
    """Weigh the options of ``question``. Float64 is switched on for the time it takes. BadInput, naming the key, for what cannot be computed."""
    with double_precision():
        return _planned(question, progress or SilentProgress())


def _planned(question: Question, progress: Progress) -> Planned:
    begun = time.monotonic()
    progress.stage("making the specimens")
    made = make_specimen(_simulation(question))
    cells = question.compute.cells
    repeats = (cells, cells, made.repeats[2])
    if made.cell_specimen is None:
        raise BadInput("specimen.vacancies", "makes every cell unlike", "Leave vacancies out.")
    hypotheses = hypotheses_of(made.cell_specimen, repeats, change_of(question), question.compute.depths)
    damages = damage_of(question, hypotheses.perfect)
    grid = _grid(question, hypotheses, made.slices)
    matrices = _matrices(hypotheses, grid, made.slices // made.repeats[2], progress)
    progress.stage("patterns of all probe positions")
    window = window_of(hypotheses.location, made.unit[:2], finest_step(grid.semiangle, grid.energy))
    probe = Probe(coefficients({"C10": -question.instrument.defocus}), question.instrument.source)
    scan = scanned(matrices[0], matrices[1:], window, probe)
    weighed: list[Weighed] = []
    for number, option in enumerate(question.options()):
        progress.stage("weighing the options", number / len(question.options()))
        seen, detector = scan, detector_of(option, matrices[0], grid.semiangle)
        if isinstance(option, ImageOption):
            seen = imaged(matrices[0], matrices[1:], window, lens_of(option, grid.energy))
        elif isinstance(option, PatternOption):
            seen = still(scan, matrices[0], matrices[1:], probe)
        weighed.append(_weigh(question, option, seen, detector, hypotheses, damages))
    weighed.sort(key=lambda each: (not each.feasible, each.assessment.dose))
    return Planned(question, tuple(weighed), hypotheses, window, damages, time.monotonic() - begun)


def change_of(question: Question) -> Change:
    """The defect of the question."""
    defect = question.defect
    depth = None if defect.depth == "unknown" else float(defect.depth)
    return Change(defect.kind, defect.element, defect.by, defect.position, defect.column, depth, defect.shift)


def _simulation(question: Question) -> Simulation:
    """The question's specimen, one cell across, as a simulation has it."""
    specimen = msgspec.structs.replace(question.specimen, repeats=(1, 1))
    beam = BeamPlan(energy_keV=question.instrument.energy_keV, semiangle_mrad=question.instrument.semiangle_mrad)
    return Simulation(
        name=question.name, kind="simulate", signal="stem", specimen=specimen, beam=beam, seed=question.seed, folder=question.folder
    )  # fmt: skip


def _reach(question: Question) -> float:
    """Largest angle (radian) that an option counts."""
    alpha, angles = question.instrument.semiangle_mrad, [question.instrument.semiangle_mrad]
    for option in question.options():
        if isinstance(option, CameraOption | PatternOption):
            angles.append(option.reach_mrad or 3.0 * alpha)
        elif isinstance(option, ImageOption):
            angles.append(option.aperture_mrad)
        else:
            angles.append(option.outer_mrad or alpha)
    return 1e-3 * max(angles)


def _grid(question: Question, hypotheses: Hypotheses, slices: int) -> Grid:
    energy, reach = 1e3 * question.instrument.energy_keV, _reach(question)
    highest = 1.1 * reach / wavelength(energy) / CUTOFF
    nx, ny = (smooth(math.ceil(2.0 * highest * side)) for side in hypotheses.perfect.extent)
    if max(nx, ny) > 2048:
        problem = f"angles of {1e3 * reach:.0f} mrad over {question.compute.cells} cells need {nx} x {ny} points"
        raise BadInput("compute.cells", problem, "Give fewer cells, or options of smaller angles.")
    needed = _bytes(question, hypotheses, reach)
    if needed > MOST_BYTES:
        problem = f"scattering matrices would take {needed / 1e9:.3g} GB, {MOST_BYTES / 1e9:.3g} are allowed"
        raise BadInput("compute.cells", problem, "Give fewer cells, phonons or depths, or options of smaller angles.")
    seeds = tuple(question.seed + number for number in range(question.compute.phonons))
    tilt = tuple(1e-3 * lean for lean in question.specimen.tilt_mrad)
    return Grid((ny, nx), slices, energy, 1e-3 * question.instrument.semiangle_mrad, reach, seeds, (tilt[0], tilt[1]))


def _bytes(question: Question, hypotheses: Hypotheses, reach: float) -> float:
    """Of the scattering matrices of all hypotheses, and of one that is thinner."""
    area, length = math.prod(hypotheses.perfect.extent), wavelength(1e3 * question.instrument.energy_keV)
    incident, scattered = (
        math.pi * (angle / length) ** 2 * area for angle in (1e-3 * question.instrument.semiangle_mrad, reach)
    )
    return 8.0 * incident * scattered * question.compute.phonons * (2 + len(hypotheses.changed))


def _matrices(hypotheses: Hypotheses, grid: Grid, per_cell: int, progress: Progress) -> list[Matrices]:
    specimens, matrices = (hypotheses.perfect, *hypotheses.changed), []
    for number, specimen in enumerate(specimens):
        thinner = per_cell if number == 0 and grid.slices > per_cell else 0

        def report(share: float, number: int = number) -> None:
            progress.stage("scattering by the specimens", (number + share) / len(specimens))

        matrices.append(matrices_of(specimen, grid._replace(before=thinner), report=report))
    return matrices


def detector_of(option: OptionPlan, matrices: Matrices, semiangle: float) -> Detector:
    """The channels of an option; angles in radian."""
    noise = option.readout**2
    if isinstance(option, AnnularOption):
        return annular(matrices, 1e-3 * option.inner_mrad, 1e-3 * option.outer_mrad, noise)
    if isinstance(option, SegmentedOption):
        outer = semiangle if option.outer_mrad is None else 1e-3 * option.outer_mrad
        return segments(matrices, 1e-3 * option.inner_mrad, outer, option.sectors, noise)
    if isinstance(option, ImageOption):
        return Detector(np.ones((1, 1)), noise)
    reach = 3.0 * semiangle if option.reach_mrad is None else 1e-3 * option.reach_mrad
    return camera(matrices, reach, 1e-3 * option.pixel_mrad, noise)


def lens_of(option: ImageOption, energy: float) -> Imaging:
    """The objective lens of an option."""
    vector = coefficients({"C10": -option.defocus, "C30": 1e7 * option.cs_mm})
    return Imaging(vector, energy, 1e-3 * option.aperture_mrad, focal_spread=option.focal_spread)


def name_of(option: OptionPlan) -> str:
    """Of the user, or by the angles."""
    if option.name or not isinstance(option, AnnularOption):
        return option.name or str(option.__struct_config__.tag)
    return f"annular {option.inner_mrad:g}-{option.outer_mrad:g} mrad"


def _weigh(
    question: Question,
    option: OptionPlan,
    scan: Scanned,
    detector: Detector,
    hypotheses: Hypotheses,
    damages: tuple[Damage, ...],
) -> Weighed:
    name = name_of(option)
    if not detector.weights.any():
        raise BadInput(f"option {name}", "counts no beam of the grid", "Give a wider ring of angles.")
    unknown, free = question.unknown, math.inf
    location = free if unknown.position is None else unknown.position
    priors = {
        "x": location, "y": location, "C10": unknown.defocus, "C12a": unknown.astigmatism, "C12b": unknown.astigmatism, "source": unknown.source,
        "thickness": unknown.thickness, "gain": free if unknown.gain is None else unknown.gain,
    }  # fmt: skip
    tests = hypotheses.columns if question.asked.where == "anywhere" else 1
    references = hypotheses.columns - 1 if question.asked.references else 0
    asked = Asked(question.asked.power, question.asked.false_alarms, tests, references)
    assessment = assess(scan, detector, priors, unknown.model, asked)
    extent = hypotheses.perfect.extent
    places = len(scan.window.positions) * extent[0] * extent[1] / scan.window.area
    costs = costs_of(question, option, assessment.dose, extent, places, detector.weights.shape[0])
    return Weighed(option, name, assessment, costs, over_limits(question, assessment, costs, damages))


def result_of(planned: Planned) -> dict[str, Any]:
    """What `--json` prints."""
    best = planned.best
    return {
        "schema": SCHEMA,
        "question": planned.question.name,
        "kind": planned.question.kind,
        "feasible": best is not None,
        "best": None if best is None else best.name,
        "depths": list(planned.hypotheses.depths),
        "damages": [{"dose": each.dose, "what": each.words} for each in planned.damages],
        "doses": DOSES.tolist(),
        "options": [
            {
                "name": each.name,
                "technique": each.option.__struct_config__.tag,
                "dose": each.assessment.dose,
                "powers": np.round(each.assessment.powers, 5).tolist(),
                "share_of_quantum_limit": each.assessment.efficiency,
                "costs_of_unknowns": dict(each.assessment.costs),
                "electrons": each.costs.electrons,
                "seconds": each.costs.seconds,
                "megabytes": each.costs.megabytes,
                "obstacles": list(each.obstacles),
            }
            for each in planned.options
        ],
        "seconds": planned.seconds,
    }
