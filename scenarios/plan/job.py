"""`plan_question`: the options of a question, each with its merit, dose, time and data, and a verdict."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from learn.feasibility.assessment import DOSES, averaged
from learn.feasibility.scans import Window
from learn.feasibility.search.front import front
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress, SilentProgress
from scenarios.plan.costs import Costs, costs_of, over_limits
from scenarios.plan.damage import Damage, damage_of
from scenarios.plan.kept import kept_plan
from scenarios.plan.kinds import detect, distinguish, measure, spectral
from scenarios.plan.model_error import learnt_words, with_learnt_error
from scenarios.plan.planned import Judged, Merit, Planned, Weighed
from scenarios.plan.readings import Reading, reading_of
from scenarios.plan.report.words import obstacle
from scenarios.plan.scene import Scene, at_thicknesses
from scenarios.plan.search.found import Searched, searched_result
from scenarios.plan.search.searching import search, settled
from scenarios.plan.search.settings import widened
from scenarios.plan.what_if import what_if
from scenarios.question.options import OptionPlan
from scenarios.question.parts import WhatIfPlan
from scenarios.question.tables import Question
from twin.compiled_programs import double_precision
from twin.optics.aberrations import index

SCHEMA = "emtwin.plan/1"
KINDS = {"detect": detect, "measure": measure, "distinguish": distinguish}
"""Modules that answer each kind of question: `scene`, `merit` and `judge`."""


def plan_question(question: Question, progress: Progress | None = None) -> Planned:
    """Weigh the options of ``question``, or take from the cache folder what was found before. Float64 is switched on for the time it takes. BadInput, naming
    the key, for what cannot be computed."""
    told, asked = progress or SilentProgress(), question
    _kind_of(question)  # what cannot be weighed is said before anything is computed
    question = with_learnt_error(asked)

    def plan() -> Planned:
        planned = _planned(question, told)
        return planned if question.what_if is None else _with_what_if(planned, question.what_if, told)

    with double_precision():
        planned = kept_plan(question, plan, told)
    merit = planned.merit._replace(caption=planned.merit.caption + learnt_words(question, asked))
    return planned._replace(question=asked, merit=merit)


def _kind_of(question: Question) -> Any:
    """The module that answers the question."""
    if question.kind not in KINDS:
        problem = (
            f'key kind: a question of kind "{question.kind}" is answered on an instrument, there is nothing to weigh'
        )
        raise BadInput(question.name, problem, "Run emtwin acquire with it.")
    return spectral if question.kind == "measure" and spectral.answers(question) else KINDS[question.kind]


def _with_what_if(planned: Planned, plan: WhatIfPlan, progress: Progress) -> Planned:
    begun, kind = time.monotonic(), _kind_of(planned.question)

    def judge(question: Question) -> Judged:
        scene = kind.scene(question, progress)
        return kind.judge(question, scene, reading_of(question.options()[0], scene, progress))

    changed = what_if(planned, plan, judge)
    return planned._replace(changed=changed, seconds=planned.seconds + time.monotonic() - begun)


def _planned(question: Question, progress: Progress) -> Planned:
    begun, energies = time.monotonic(), question.instrument.energies_keV
    parts = []
    for energy in energies or [question.instrument.energy_keV]:
        instrument = msgspec.structs.replace(question.instrument, energy_keV=energy)
        each = msgspec.structs.replace(question, instrument=instrument)
        parts.append(_at_energy(each, f" at {energy:g} kV" if len(energies) > 1 else "", progress))
    options = sorted((each for part in parts for each in part.options), key=_order)
    searched = [part.searched for part in parts if part.searched is not None]
    advices = tuple(advice for each in searched for advice in each.advices)
    merged = Searched(advices, front([way for each in searched for way in each.front])) if searched else None
    damages = tuple(each for part in parts for each in part.damages)
    took = time.monotonic() - begun
    # places of the scan and images are those of the option that is best
    base = next(part for part in parts if any(each is options[0] for each in part.options))
    return base._replace(question=question, options=tuple(options), damages=damages, searched=merged, seconds=took)


def _order(option: Weighed) -> tuple[bool, float]:
    return not option.feasible, option.assessment.dose


def _at_energy(question: Question, suffix: str, progress: Progress) -> Planned:
    kind = _kind_of(question)
    questions = at_thicknesses(question)
    wide, *others = (kind.scene(widened(each), progress) for each in questions)
    scene = settled(wide, 1e-3 * question.instrument.semiangle_mrad, question.instrument.defocus)
    damages = damage_of(question, scene.hypotheses.perfect.symbols, suffix)
    merit = kind.merit(question, scene)

    def weigh(scene: Scene, option: OptionPlan, probe: Mapping[str, float] = {}) -> Weighed:
        reading = reading_of(option, scene, progress)
        judged: Any = kind.judge(questions[0], scene, reading)
        if others:
            lens = scene.grid.semiangle, -float(scene.probe.coefficients[index("C10")])
            scenes = [settled(each, *lens) for each in others]
            more: list[Any] = [
                kind.judge(each, there, reading_of(option, there, progress))
                for each, there in zip(questions[1:], scenes, strict=True)
            ]
            judged = averaged([judged, *more], question.asked.power)
        weighed = _weighed(scene, reading, judged, merit, damages)
        if suffix:
            probe = {**probe, "energy_keV": question.instrument.energy_keV}
        return weighed._replace(probe=probe, name=weighed.name + suffix)

    weighed: list[Weighed] = []
    for number, option in enumerate(question.options()):
        progress.stage(f"weighing the options{suffix}", number / len(question.options()))
        weighed.append(weigh(scene, option))
    searched = None
    if question.search is not None:

        def seconds(each: Weighed, dose: float) -> float:
            return _costs(scene, each.option, scene.window, dose, 1).seconds

        searched, advised = search(question, wide, weighed, weigh, seconds, progress)
        weighed += advised
    return Planned(
        question, merit, tuple(sorted(weighed, key=_order)), scene.hypotheses, scene.window, damages, 0.0, searched
    )


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
                "price": each.costs.price if each.costs.price == each.costs.price else None,
                "probe": dict(each.probe),
                "inseparable": list(each.assessment.inseparable),
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
