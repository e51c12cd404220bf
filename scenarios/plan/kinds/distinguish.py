"""Questions of kind "distinguish": which of these structures is it?"""

from collections.abc import Callable

import msgspec
import numpy as np

from learn.feasibility.candidates import Candidate, Told, tell_apart
from learn.feasibility.hypotheses import Hypotheses, repeated
from learn.feasibility.imaged import cut, exit_waves, imaged, mean_image, pixels_of, spectra_of
from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import scanned
from learn.feasibility.scans import finest_step, patterns_of, waves_of, window_of
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.kinds.detect import unknown_of
from scenarios.plan.planned import Merit
from scenarios.plan.readings import Reading, lens_of
from scenarios.plan.scene import Scene, grid_of, kept_matrices, probe_of, simulation_of
from scenarios.question.candidates import CandidatePlan
from scenarios.question.options import ImageOption, PatternOption
from scenarios.question.tables import Question
from twin.optics.transfer import Imaging
from twin.sample.specimen import Specimen
from twin.simulation.specimen import Made, make_specimen

ALIKE = 0.02
"""Share by which the cells of candidates may differ: others are told apart by their lattice alone."""


def scene(question: Question, progress: Progress) -> Scene:
    """Every candidate on the field of the first, with its waves."""
    if len(question.candidate) < 2:
        raise BadInput(
            question.name, "key candidate needs two tables", "Give a table [[candidate]] for each structure."
        )
    names = [each.name for each in question.candidate]
    if len(set(names)) < len(names):
        raise BadInput(
            question.name, f"key candidate.name: {max(names, key=names.count)!r} is there twice", "Rename it."
        )
    progress.stage("making the specimens")
    made = [_made(question, each) for each in question.candidate]
    sides = tuple(max(each.unit[axis] for each in made) for axis in range(2))
    cells = question.compute.cells
    extent = (cells * sides[0], cells * sides[1])
    specimens = tuple(
        _turned(_fitted(each, plan, extent, sides, cells), plan.turn) for each, plan in zip(made, question.candidate, strict=True)
    )  # fmt: skip
    centre = (extent[0] / 2, extent[1] / 2)
    hypotheses = Hypotheses(specimens[0], specimens[1:], centre, (), cells**2)
    grid = grid_of(question, extent, made[0].slices, len(specimens))
    cases = [
        (
            specimen,
            grid._replace(slices=each.slices, before=each.slices // each.repeats[2] if each.repeats[2] > 1 else 0),
        )
        for specimen, each in zip(specimens, made, strict=True)
    ]
    matrices = kept_matrices(cases, progress)
    progress.stage("patterns of all probe positions")
    window = window_of(centre, (sides[0], sides[1]), finest_step(grid.semiangle, grid.energy))
    probe = probe_of(question)
    scans = [scanned(each, (), window, probe) for each in matrices]
    candidates = tuple(
        Candidate(scan, _halves(each, lambda part, each=each: patterns_of(each, window, probe, configurations=part)), waves_of(each, window, probe), each.k)
        for each, scan in zip(matrices, scans, strict=True)
    )  # fmt: skip
    return Scene(question, made[0], hypotheses, grid, matrices, probe, window, scans[0], candidates=candidates)


def merit(question: Question, scene: Scene) -> Merit:
    """The probability of a wrong decision, against dose."""
    error = question.asked.error
    names = [each.name for each in question.candidate]
    caption = (
        f"Probability of a wrong decision between {', '.join(names[:-1])} and {names[-1]}, each as likely beforehand, over "
        f"{scene.hypotheses.columns} cells; where the scan began is not known."
    )
    return Merit("error", error, f"an error of {error:g}", "", False, caption, ("one structure", "most alike to it"))


def judge(question: Question, scene: Scene, reading: Reading) -> Told:
    """The error of an option."""
    option, candidates, resting = reading.option, scene.candidates, None
    if isinstance(option, ImageOption):
        lens = lens_of(option, scene.grid.energy)
        candidates = tuple(_imaged(each, scene, lens) for each in scene.matrices)
    elif isinstance(option, PatternOption):
        ny, nx = scene.window.shape
        resting = ny // 2 * nx + nx // 2
    unknown, cells = unknown_of(question), scene.hypotheses.columns
    told = tell_apart(candidates, reading.detector, unknown, question.asked.error, cells, resting)
    names = [question.candidate[number].name for number in told.pair]
    return told._replace(titles=(names[0], names[1]))


def _imaged(matrices: Matrices, scene: Scene, lens: Imaging) -> Candidate:
    pixels, _ = pixels_of(matrices, scene.window)
    waves = exit_waves(matrices.amplitudes, matrices)
    halves = _halves(matrices, lambda part: cut(mean_image(waves[part], matrices, lens), pixels))
    return Candidate(
        imaged(matrices, (), scene.window, lens), halves, spectra_of(matrices.amplitudes, matrices)[:, None], matrices.k
    )


def _halves(matrices: Matrices, of: Callable[[slice], np.ndarray]) -> np.ndarray | None:
    if len(matrices.amplitudes) < 2:
        return None
    return np.stack([of(slice(first, None, 2)) for first in range(2)])


def _made(question: Question, candidate: CandidatePlan) -> Made:
    made = make_specimen(
        simulation_of(msgspec.structs.replace(question, specimen=candidate.specimen(question.specimen)))
    )
    if made.cell_specimen is None:
        raise BadInput("specimen.vacancies", "makes every cell unlike", "Leave vacancies out.")
    return made


def _fitted(
    made: Made, candidate: CandidatePlan, extent: tuple[float, float], sides: tuple[float, ...], cells: int
) -> Specimen:
    """The candidate over the whole field, strained to it: its lattice is no evidence."""
    counts = [round(side / own) for side, own in zip(sides, made.unit[:2], strict=True)]
    off = max(abs(count * own / side - 1.0) for count, own, side in zip(counts, made.unit[:2], sides, strict=True))
    if off > ALIKE:
        own, first = (" x ".join(f"{side:.2f}" for side in pair) for pair in (made.unit[:2], sides))
        problem = f"its cell of {own} angstrom does not fit one of {first}"
        cure = "Candidates share a lattice within 2 %: others are told apart by any pattern. Give zone and x so that they agree."
        raise BadInput(f"candidate {candidate.name}", problem, cure)
    assert made.cell_specimen is not None
    whole = repeated(made.cell_specimen, (cells * counts[0], cells * counts[1], made.repeats[2]))
    scale = np.array([extent[0] / whole.cell[0], extent[1] / whole.cell[1], 1.0])
    return Specimen(whole.positions * scale, whole.u2, whole.symbols, (*extent, whole.cell[2]), whole.occupancy)


def _turned(specimen: Specimen, angle: int) -> Specimen:
    if angle == 0:
        return specimen
    positions = specimen.positions.copy()
    positions[:, :2] = -positions[:, :2] % np.array(specimen.extent)
    return Specimen(positions, specimen.u2, specimen.symbols, specimen.cell, specimen.occupancy)
