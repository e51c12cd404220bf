"""Questions of kind "detect": is this change there?"""

import math
from collections.abc import Iterable

from learn.feasibility.assessment import Asked, Assessment, assess
from learn.feasibility.hypotheses import Change, Hypotheses, hypotheses_of
from learn.feasibility.layers import image_variations, scan_variations
from learn.feasibility.scanned import Unknown, Variations
from learn.feasibility.scans import ABOVE
from learn.feasibility.spectra.image import BACKGROUND, CROSS_SECTION, EXPONENT, OFFSET
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.plan.planned import Merit
from scenarios.plan.readings import Reading, lenses_of
from scenarios.plan.scene import Scene, scene_of
from scenarios.question.options import ImageOption, PatternOption, SpectrumOption
from scenarios.question.tables import Question
from twin.simulation.specimen import Made


def scene(question: Question, progress: Progress) -> Scene:
    """The specimens and their waves."""
    return scene_of(question, lambda made: hypotheses(question, made), progress)


def hypotheses(question: Question, made: Made) -> Hypotheses:
    """Without the change, and with it at every depth."""
    assert made.cell_specimen is not None
    cells = question.compute.cells
    repeats = (cells, cells, made.repeats[2])
    return hypotheses_of(made.cell_specimen, repeats, change_of(question), question.compute.depths)


def change_of(question: Question) -> Change:
    """The defect of the question; BadInput where it has none."""
    defect = question.defect
    if defect is None:
        raise BadInput(question.name, "key defect is missing", 'A question of kind "detect" has a table [defect].')
    depth = None if defect.depth == "unknown" else float(defect.depth)
    return Change(defect.kind, defect.element, defect.by, defect.position, defect.column, depth, defect.shift)


def merit(question: Question, scene: Scene) -> Merit:
    """Power, against dose."""
    asked, compared = question.asked, scene.hypotheses
    over = f" over {compared.columns} columns" if asked.where == "anywhere" else ""
    against = ", against the like columns of the field recorded alike" if asked.references else ""
    depths = ", ".join(f"{depth:.0f}" for depth in compared.depths)
    means = [f"depths of {depths} Å in {compared.perfect.thickness:.0f} Å"]
    if question.compute.thicknesses > 1:
        means.append(f"{question.compute.thicknesses} thicknesses")
    if scene.others:
        means.append(f"{1 + len(scene.others)} settings of the lenses")
    caption = f"Probability of detection at a rate of {asked.false_alarms:g} false alarms{over}{against}, averaged over {' and '.join(means)}."
    return Merit("power", asked.power, f"power {asked.power:g}", "", True, caption)


def judge(question: Question, scene: Scene, reading: Reading) -> Assessment:
    """The power of an option."""
    unknown = unknown_of(question, reading.seen.derivatives)
    return assess(reading.seen, reading.detector, unknown, asked_of(question, scene), variations_of(scene, reading))


def variations_of(scene: Scene, reading: Reading) -> Variations | None:
    """By how much columns differ by the amorphous layers on them; None where there are none."""
    option, layers = reading.option, scene.layers
    if layers is None or isinstance(option, SpectrumOption):
        return None
    if isinstance(option, ImageOption):
        return image_variations(layers, scene.window, lenses_of(option, scene))
    made = scan_variations(layers, scene.window, (scene.probe, *scene.others), [reading.detector])[0]
    if not isinstance(option, PatternOption):
        return made
    ny, nx = scene.window.shape
    middle = ny // 2 * nx + nx // 2
    return Variations(made.deviations[:, middle : middle + 1], made.added[middle : middle + 1])


def asked_of(question: Question, scene: Scene) -> Asked:
    """Power, false alarms, and over how many columns."""
    columns, asked = scene.hypotheses.columns, question.asked
    tests = columns if asked.where == "anywhere" else 1
    return Asked(asked.power, asked.false_alarms, tests, columns - 1 if asked.references else 0)


def unknown_of(question: Question, names: Iterable[str] = ()) -> Unknown:
    """What is not known of a recording, whose derivatives have these ``names``. What lies below an edge may differ from column to column."""
    given, free = question.unknown, math.inf
    location = free if given.position is None else given.position
    priors = {
        "x": location, "y": location, "C10": given.defocus, "C12a": given.astigmatism, "C12b": given.astigmatism, "source": given.source,
        "thickness": given.thickness, "gain": free if given.gain is None else given.gain, OFFSET: given.energy_offset,
        **{name: given.cross_section for name in names if name.startswith(CROSS_SECTION)},
    }  # fmt: skip
    differences = {"x": given.jitter, "y": given.jitter, "thickness": given.roughness}
    if ABOVE in set(names):  # as much of what a thinner column counts otherwise as of what a thicker one does
        priors[ABOVE] = given.thickness
        differences |= dict.fromkeys(("thickness", ABOVE), given.roughness / math.sqrt(2.0))
    if OFFSET in set(names):
        below = {BACKGROUND: given.background, EXPONENT: given.exponent}
        for known in (priors, differences):
            known.update({name: free if width is None else width for name, width in below.items()})
    return Unknown(priors, differences, given.model)
