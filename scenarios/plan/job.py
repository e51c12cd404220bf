"""`plan_question`: the options of a question, each with its merit, dose, time and data, and a verdict."""

import time
from collections.abc import Mapping
from typing import Any

from learn.feasibility.assessment import DOSES
from learn.feasibility.scans import Window
from scenarios.io.progress import Progress, SilentProgress
from scenarios.plan.costs import Costs, costs_of, over_limits
from scenarios.plan.damage import Damage, damage_of
from scenarios.plan.kinds import detect, distinguish, measure, spectral
from scenarios.plan.planned import Judged, Merit, Planned, Weighed
from scenarios.plan.readings import Reading, reading_of
from scenarios.plan.report.words import obstacle
from scenarios.plan.scene import Scene
from scenarios.plan.search.found import searched_result
from scenarios.plan.search.searching import search, settled
from scenarios.plan.search.settings import widened
from scenarios.plan.what_if import what_if
from scenarios.question.options import OptionPlan
from scenarios.question.parts import WhatIfPlan
from scenarios.question.tables import Question
from twin.compiled_programs import double_precision

SCHEMA = "emtwin.plan/1"
KINDS = {"detect": detect, "measure": measure, "distinguish": distinguish}
"""Modules that answer each kind of question: `scene`, `merit` and `judge`."""


def plan_question(question: Question, progress: Progress | None = None) -> Planned:
    """Weigh the options of ``question``. Float64 is switched on for the time it takes. BadInput, naming the key, for what cannot be computed."""
    told = progress or SilentProgress()
    with double_precision():
        planned = _planned(question, told)
        return planned if question.what_if is None else _with_what_if(planned, question.what_if, told)


def _kind_of(question: Question) -> Any:
    """The module that answers the question."""
    return spectral if question.kind == "measure" and spectral.answers(question) else KINDS[question.kind]


def _with_what_if(planned: Planned, plan: WhatIfPlan, progress: Progress) -> Planned:
    begun, kind = time.monotonic(), _kind_of(planned.question)

    def judge(question: Question) -> Judged:
        scene = kind.scene(question, progress)
        return kind.judge(question, scene, reading_of(question.options()[0], scene, progress))

    changed = what_if(planned, plan, judge)
    return planned._replace(changed=changed, seconds=planned.seconds + time.monotonic() - begun)


def _planned(question: Question, progress: Progress) -> Planned:
    begun, kind = time.monotonic(), _kind_of(question)
    wide = kind.scene(widened(question), progress)
    scene = settled(wide, 1e-3 * question.instrument.semiangle_mrad, question.instrument.defocus)
    damages = damage_of(question, scene.hypotheses.perfect)
    merit = kind.merit(question, scene)

    def weigh(scene: Scene, option: OptionPlan, probe: Mapping[str, float] = {}) -> Weighed:
        reading = reading_of(option, scene, progress)
        return _weighed(scene, reading, kind.judge(question, scene, reading), merit, damages)._replace(probe=probe)

    weighed: list[Weighed] = []
    for number, option in enumerate(question.options()):
        progress.stage("weighing the options", number / len(question.options()))
        weighed.append(weigh(scene, option))
    searched = None
    if question.search is not None:

        def seconds(each: Weighed, dose: float) -> float:
            return _costs(scene, each.option, scene.window, dose, 1).seconds

        searched, advised = search(question, wide, weighed, weigh, seconds, progress)
        weighed += advised
    weighed.sort(key=lambda each: (not each.feasible, each.assessment.dose))
    took = time.monotonic() - begun
    return Planned(question, merit, tuple(weighed), scene.hypotheses, scene.window, damages, took, searched)


def _weighed(scene: Scene, reading: Reading, judged: Any, merit: Merit, damages: tuple[Damage, ...]) -> Weighed:
    costs = _costs(scene, reading.option, reading.seen.window, judged.dose, len(reading.detector.weights))
    obstacles = over_limits(scene.question, judged.dose, merit.text, costs, damages, obstacle(judged.inseparable))
    return Weighed(reading.option, reading.name, judged, costs, obstacles)


def _costs(scene: Scene, option: OptionPlan, window: Window, dose: float, channels: int) -> Costs:
    extent = scene.hypotheses.perfect.extent
    places = len(window.positions) * extent[0] * extent[1] / window.area
    return costs_of(scene.question, option, dose, extent, places, channels)


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
                "probe": dict(each.probe),
                "obstacles": list(each.obstacles),
            }
            for each in planned.options
        ],
        "search": searched_result(planned.searched),
        "what_if": [
            {"what": each.what, "option": each.option, merit.name: each.merit, "dose": each.dose}
            for each in planned.changed
        ],
        "seconds": planned.seconds,
    }
