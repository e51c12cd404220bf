"""What all options of a question share: its specimens, the waves behind them, and the patterns of a scan over one cell."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy.stats import norm

from instrument.core.result_cache import load_or_compute
from learn.feasibility.candidates import Candidate
from learn.feasibility.hypotheses import Hypotheses, repeated
from learn.feasibility.layers import Covered, covered
from learn.feasibility.matrices import Grid, Matrices, matrices_of, with_geometry
from learn.feasibility.measuring.ends import Ends
from learn.feasibility.measuring.sensitivity import Patterns
from learn.feasibility.scanned import Scanned, scanned
from learn.feasibility.scans import Probe, Window, finest_step, window_of
from learn.feasibility.settings import probes_about
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.question.options import CameraOption, ImageOption, PatternOption, SpectrumOption
from scenarios.question.tables import Question
from twin.cache_folder import limit_size, usable_cache
from twin.grid import CUTOFF, smooth
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.simulation.plan.tables import BeamPlan, Simulation
from twin.simulation.specimen import Made, make_specimen

MOST_BYTES = 3e9
"""That scattering matrices may take."""
MOST_KEPT = 4e9
"""Bytes of scattering matrices that are kept for later plans."""
VERSION = 1
"""Raised by whoever changes the numbers of `matrices_of`."""


class Scene(NamedTuple):
    """``hypotheses`` of a question on a ``grid``, the scattering ``matrices`` of the perfect specimen and of each change, the ``probe`` over the ``window``,
    and the ``scan`` of all of them; ``ends``: matrices on both sides of what is measured ("quantity") and of unknowns by name, and the
    ``patterns`` of it with their derivatives; ``candidates``: what is scanned of each structure that is to be told apart; ``others`` of the probes that
    there may be, a ``thicker`` crystal for what steps of the surface do to columns, and amorphous ``layers``, each where it counts."""

    question: Question
    made: Made
    hypotheses: Hypotheses
    grid: Grid
    matrices: tuple[Matrices, ...]
    probe: Probe
    window: Window
    scan: Scanned
    ends: Mapping[str, Ends] = {}
    candidates: tuple[Candidate, ...] = ()
    patterns: Patterns | None = None
    others: tuple[Probe, ...] = ()
    thicker: Matrices | None = None
    layers: Covered | None = None


def scene_of(question: Question, hypothesise: Callable[[Made], Hypotheses], progress: Progress) -> Scene:
    """The scene of the ``hypotheses`` that a kind of question makes of the specimen of one cell across."""
    progress.stage("making the specimens")
    made = make_specimen(simulation_of(question))
    if made.cell_specimen is None:
        raise BadInput("specimen.vacancies", "makes every cell unlike", "Leave vacancies out.")
    hypotheses = hypothesise(made)
    specimens = (hypotheses.perfect, *hypotheses.changed)
    grid = grid_of(question, hypotheses.perfect.extent, made.slices, len(specimens))
    per_cell = made.slices // made.repeats[2]
    first = grid._replace(before=per_cell if grid.slices > per_cell else 0)
    matrices = kept_matrices(
        [(each, first if number == 0 else grid) for number, each in enumerate(specimens)], progress, hypotheses.sites
    )
    progress.stage("patterns of all probe positions")
    window = window_of(hypotheses.location, made.unit[:2], finest_step(grid.semiangle, grid.energy))
    probe = probe_of(question)
    if not hypotheses.changed:
        return Scene(question, made, hypotheses, grid, matrices, probe, window, scanned(matrices[0], (), window, probe))
    # of a recording whose columns are not compared with one another settings are fitted to the column
    count = question.compute.settings if question.asked.references else 0
    others = probes_about(probe, settings_of(question), count)
    thicker = _thicker(question, made, grid, progress)
    layers = _layers(question, hypotheses.perfect, grid, progress)
    scan = scanned(matrices[0], matrices[1:], window, probe, others, thicker)
    return Scene(
        question, made, hypotheses, grid, matrices, probe, window, scan, others=others, thicker=thicker, layers=layers
    )


def settings_of(question: Question) -> dict[str, float]:
    """Standard deviations of the lenses' settings, in angstrom."""
    given = question.unknown
    return {"C10": given.defocus, "C12a": given.astigmatism, "C12b": given.astigmatism, "source": given.source}


def _thicker(question: Question, made: Made, grid: Grid, progress: Progress) -> Matrices | None:
    """The crystal with one more cell in depth, where columns that are compared differ in thickness."""
    cells, deep, per_cell = question.compute.cells, made.repeats[2], made.slices // made.repeats[2]
    if deep == 1 or question.unknown.roughness == 0.0 or not question.asked.references or question.kind != "detect":
        return None
    assert made.cell_specimen is not None
    specimen = repeated(made.cell_specimen, (cells, cells, deep + 1))
    return kept_matrices([(specimen, grid._replace(slices=grid.slices + per_cell, before=per_cell))], progress)[0]


def _layers(question: Question, specimen: Specimen, grid: Grid, progress: Progress) -> Covered | None:
    thickness = question.unknown.layers
    if not any(thickness) or not question.asked.references:
        return None
    if question.compute.cells < 2:
        problem = "key compute.cells: amorphous layers need columns to compare with"
        raise BadInput(question.name, problem, "Give at least 2, or no unknown.layers.")

    def report(share: float) -> None:
        progress.stage("scattering by amorphous layers", share)

    return covered(specimen, grid, thickness, question.compute.layers, question.seed, report)


def at_thicknesses(question: Question) -> list[Question]:
    """The question at thicknesses that stand for equal shares of what is believed of it, the middle one first; BadInput where one would not be positive."""
    count, spread, mean = question.compute.thicknesses, question.unknown.thickness, question.specimen.thickness
    if count == 1:
        return [question]
    if mean is None or question.kind != "detect":
        problem = 'key compute.thicknesses: is for questions of kind "detect" whose specimen has a thickness'
        raise BadInput(question.name, problem, "Give specimen.thickness in angstrom, or leave thicknesses out.")
    nodes = [mean + spread * float(norm.ppf((number + 0.5) / count)) for number in range(count)]
    if nodes[0] <= 0.0 or spread == 0.0:
        problem = (
            f"key unknown.thickness: {spread:g} of {mean:g} angstrom gives {count} thicknesses from {nodes[0]:.3g} on"
        )
        raise BadInput(
            question.name, problem, "Give a smaller, positive standard deviation, or compute.thicknesses = 1."
        )
    nodes.insert(0, nodes.pop(count // 2))
    known = msgspec.structs.replace(question.unknown, thickness=spread / count)
    return [
        msgspec.structs.replace(
            question, specimen=msgspec.structs.replace(question.specimen, thickness=each), unknown=known
        )
        for each in nodes
    ]


def probe_of(question: Question) -> Probe:
    """The probe of the instrument."""
    return Probe(coefficients({"C10": -question.instrument.defocus}), question.instrument.source)


def simulation_of(question: Question) -> Simulation:
    """The question's specimen, one cell across, as a simulation has it."""
    specimen = msgspec.structs.replace(question.specimen, repeats=(1, 1))
    beam = BeamPlan(energy_keV=question.instrument.energy_keV, semiangle_mrad=question.instrument.semiangle_mrad)
    return Simulation(
        name=question.name, kind="simulate", signal="stem", specimen=specimen, beam=beam, seed=question.seed, folder=question.folder
    )  # fmt: skip


def reach_of(question: Question) -> float:
    """Largest angle (radian) that an option counts."""
    alpha, angles = question.instrument.semiangle_mrad, [question.instrument.semiangle_mrad]
    for option in question.options():
        if isinstance(option, CameraOption | PatternOption):
            angles.append(option.reach_mrad or 3.0 * alpha)
        elif isinstance(option, ImageOption):
            angles.append(option.aperture_mrad)
        elif isinstance(option, SpectrumOption):
            angles.append(option.collection_mrad or 1.5 * alpha)
        else:
            angles.append(option.outer_mrad or alpha)
    if question.search is not None:
        wanted = (question.search.outer_mrad, question.search.reach_mrad, question.search.aperture_mrad)
        angles += [pair[1] for pair in wanted if pair is not None]
    return 1e-3 * max(angles)


def grid_of(question: Question, extent: tuple[float, float], slices: int, specimens: int) -> Grid:
    """The grid on which a number of ``specimens`` of ``extent`` (x, y) in angstrom are computed; BadInput where it is too large."""
    energy, reach = 1e3 * question.instrument.energy_keV, reach_of(question)
    highest = 1.1 * reach / wavelength(energy) / CUTOFF
    # whole numbers of points to a cell, so that columns are seen alike
    cells = question.compute.cells
    nx, ny = (cells * smooth(math.ceil(2.0 * highest * side / cells)) for side in extent)
    if max(nx, ny) > 2048:
        problem = f"angles of {1e3 * reach:.0f} mrad over {question.compute.cells} cells need {nx} x {ny} points"
        raise BadInput("compute.cells", problem, "Give fewer cells, or options of smaller angles.")
    needed = _bytes(question, extent, reach) * (specimens + 1)
    if needed > MOST_BYTES:
        problem = f"scattering matrices would take {needed / 1e9:.3g} GB, {MOST_BYTES / 1e9:.3g} are allowed"
        raise BadInput("compute.cells", problem, "Give fewer cells, phonons or depths, or options of smaller angles.")
    seeds = tuple(question.seed + number for number in range(question.compute.phonons))
    tilt = tuple(1e-3 * lean for lean in question.specimen.tilt_mrad)
    return Grid((ny, nx), slices, energy, 1e-3 * question.instrument.semiangle_mrad, reach, seeds, (tilt[0], tilt[1]))


def _bytes(question: Question, extent: tuple[float, float], reach: float) -> float:
    """Of the scattering matrices of one specimen."""
    area, length = math.prod(extent), wavelength(1e3 * question.instrument.energy_keV)
    incident, scattered = (
        math.pi * (angle / length) ** 2 * area for angle in (1e-3 * question.instrument.semiangle_mrad, reach)
    )
    return 8.0 * incident * scattered * question.compute.phonons


def kept_matrices(
    cases: Sequence[tuple[Specimen, Grid]], progress: Progress, sites: np.ndarray | None = None
) -> tuple[Matrices, ...]:
    """Scattering matrices of each specimen on its grid, from the cache folder where an earlier plan left them there; ``sites`` as in `matrices_of`."""
    folder = usable_cache()
    if folder is not None:
        folder /= "plan"
    shared = {} if sites is None else {"sites": sites}
    matrices = []
    for number, (specimen, grid) in enumerate(cases):

        def report(share: float, number: int = number) -> None:
            progress.stage("scattering by the specimens", (number + share) / len(cases))

        def compute(specimen: Specimen = specimen, grid: Grid = grid) -> dict[str, np.ndarray]:
            return {"amplitudes": matrices_of(specimen, grid, report=report, sites=sites).stacked}

        arrays = load_or_compute(
            folder, "scattering", VERSION, {**inputs_of(specimen, grid), **shared}, compute, progress.stage
        )
        matrices.append(with_geometry(specimen, grid, arrays["amplitudes"]))
    if folder is not None:
        limit_size(folder, int(MOST_KEPT), ".cache")
    return tuple(matrices)


def inputs_of(specimen: Specimen, grid: Grid) -> dict[str, object]:
    """All that waves through a specimen depend on, as plain data."""
    made = {
        "positions": specimen.positions, "u2": specimen.u2, "symbols": list(specimen.symbols), "cell": list(specimen.cell), "occupancy": specimen.occupancy,
    }  # fmt: skip
    return {"specimen": made, "grid": list(grid)}
