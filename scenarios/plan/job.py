"""`plan_question`: the options of a question, each with its merit, dose, time and data, and a verdict."""

import time
from typing import Any

from learn.feasibility.assessment import DOSES
from scenarios.io.progress import Progress, SilentProgress
from scenarios.plan.costs import costs_of, over_limits
from scenarios.plan.damage import Damage, damage_of
from scenarios.plan.kinds import detect, distinguish, measure, spectral
from scenarios.plan.planned import Merit, Planned, Weighed
from scenarios.plan.readings import Reading, reading_of
from scenarios.plan.report.words import obstacle
from scenarios.plan.scene import Scene
from scenarios.question.tables import Question
from twin.compiled_programs import double_precision

SCHEMA = "emtwin.plan/1"
KINDS = {"detect": detect, "measure": measure, "distinguish": distinguish}
"""Modules that answer each kind of question: `scene`, `merit` and `judge`."""


def plan_question(question: Question, progress: Progress | None = None) -> Planned:
    """Weigh the options of ``question``. Float64 is switched on for the time it takes. BadInput, naming the key, for what cannot be computed."""
    with double_precision():
        return _planned(question, progress or SilentProgress())


def _planned(question: Question, progress: Progress) -> Planned:
    begun = time.monotonic()
    kind = spectral if question.kind == "measure" and spectral.answers(question) else KINDS[question.kind]
    scene = kind.scene(question, progress)
    damages = damage_of(question, scene.hypotheses.perfect)
    merit = kind.merit(question, scene)
    weighed: list[Weighed] = []
    for number, option in enumerate(question.options()):
        progress.stage("weighing the options", number / len(question.options()))
        reading = reading_of(option, scene, progress)
        weighed.append(_weighed(scene, reading, kind.judge(question, scene, reading), merit, damages))
    weighed.sort(key=lambda each: (not each.feasible, each.assessment.dose))
    return Planned(
        question, merit, tuple(weighed), scene.hypotheses, scene.window, damages, time.monotonic() - begun
    )  # fmt: skip


def _weighed(scene: Scene, reading: Reading, judged: Any, merit: Merit, damages: tuple[Damage, ...]) -> Weighed:
    extent, window = scene.hypotheses.perfect.extent, reading.seen.window
    places = len(window.positions) * extent[0] * extent[1] / window.area
    costs = costs_of(
        scene.question, reading.option, judged.dose, extent, places, reading.detector.weights.shape[0]
    )  # fmt: skip
    obstacles = over_limits(scene.question, judged.dose, merit.text, costs, damages, obstacle(judged.inseparable))
    return Weighed(reading.option, reading.name, judged, costs, obstacles)


def result_of(planned: Planned) -> dict[str, Any]:
    """What `--json` prints."""
    best, merit = planned.best, planned.merit
    return {
        "schema": SCHEMA,
        "question": planned.question.name,
        "kind": planned.question.kind,
        "asked": {"name": merit.name, "value": merit.asked, "unit": merit.unit},
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
                f"{merit.name}s": [float(f"{value:.5g}") for value in each.assessment.curve],
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
