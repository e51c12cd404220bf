"""The search: each technique's settings by descents of the smooth dose, judged by the exact one."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from learn.feasibility.assessment import Assessment
from learn.feasibility.layers import Covered
from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import scanned
from learn.feasibility.scans import Probe
from learn.feasibility.search.climbing import Found, climb
from learn.feasibility.search.front import Candidate, front
from learn.feasibility.search.imaging import images_of
from learn.feasibility.search.scanning import narrowed, scans_of
from learn.feasibility.search.smooth import log_dose
from scenarios.io.progress import Progress
from scenarios.plan.kinds.detect import asked_of, unknown_of
from scenarios.plan.planned import Weighed
from scenarios.plan.readings import lens_of
from scenarios.plan.scene import Scene
from scenarios.plan.search.found import Advice, Searched
from scenarios.plan.search.settings import given_of, inside, ranges_of, told, with_settings
from scenarios.question.options import (
    AnnularOption,
    CameraOption,
    ImageOption,
    OptionPlan,
    PatternOption,
    SegmentedOption,
)
from scenarios.question.parts import SearchPlan
from scenarios.question.tables import Question
from twin import checks
from twin.optics.aberrations import index

Weigh = Callable[[Scene, OptionPlan, Mapping[str, float]], Weighed]
"""How an option of a scene is judged, with settings of its probe."""
Seconds = Callable[[Weighed, float], float]
"""Time that an option takes at a dose."""
Objective = Callable[[Mapping[str, Any], Any], Array]


class Task(NamedTuple):
    """What is searched: the ``objective`` of settings and ``data``, and the part of it that is for a probe too wide for the field, ``crowding``."""

    objective: Objective
    data: Any
    crowding: Callable[[Mapping[str, Any]], Array]


ERRORS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Probabilities of not detecting what is there, for which the front is told."""
CROWDED = 20.0
"""What the logarithm of the dose gains for a probe twice as wide as the field."""
GAINED = 0.98
"""Share of the given settings' dose below which others are advised."""


def settled(scene: Scene, semiangle: float, defocus: float) -> Scene:
    """The scene with a probe of a ``semiangle`` in radian, at most its own, and another ``defocus`` in angstrom, over the same places."""
    vector = np.array(scene.probe.coefficients)
    if math.isclose(semiangle, scene.grid.semiangle, rel_tol=1e-6) and vector[index("C10")] == -defocus:
        return scene
    vector[index("C10")] = -defocus
    probe = Probe(vector, scene.probe.source)
    others = tuple(Probe(each.coefficients + vector - scene.probe.coefficients, each.source) for each in scene.others)

    def narrow(matrices: Matrices) -> Matrices:
        return narrowed(matrices, semiangle, scene.grid.soft)

    matrices = tuple(narrow(each) for each in scene.matrices)
    thicker = None if scene.thicker is None else narrow(scene.thicker)
    layers = scene.layers
    if layers is not None:
        layers = Covered(narrow(layers.bare), tuple(narrow(each) for each in layers.covered))
    return scene._replace(
        grid=scene.grid._replace(semiangle=semiangle), matrices=matrices, probe=probe, others=others, thicker=thicker, layers=layers,
        scan=scanned(matrices[0], matrices[1:], scene.window, probe, others, thicker),
    )  # fmt: skip


def search(
    question: Question, wide: Scene, options: Sequence[Weighed], weigh: Weigh, seconds: Seconds, progress: Progress
) -> tuple[Searched, list[Weighed]]:
    """Advice for every technique of the weighed ``options`` (but CBED), and the options that are advised. ``wide`` is the scene of the largest semi-angle."""
    plan = question.search
    assert plan is not None
    advices, advised = [], []
    kinds = (AnnularOption, SegmentedOption, CameraOption, ImageOption)
    groups = [[each for each in options if isinstance(each.option, kind)] for kind in kinds]
    for number, group in enumerate([each for each in groups if each]):
        progress.stage(f"searching settings of {_technique(group[0].option)}", number / len(groups))
        advice, option = _advice(question, plan, wide, group, weigh)
        advices.append(advice)
        if option is not None:
            advised.append(option)
    return Searched(tuple(advices), _front(question, [*options, *advised], wide, seconds)), advised


def _advice(
    question: Question, plan: SearchPlan, wide: Scene, group: Sequence[Weighed], weigh: Weigh
) -> tuple[Advice, Weighed | None]:
    template = min(group, key=lambda each: each.assessment.dose)
    alpha, reach = 1e3 * wide.grid.semiangle, 1e3 * wide.grid.reach
    ranges = ranges_of(template.option, plan, alpha, reach)
    given = [given_of(each.option, question) for each in [template, *(each for each in group if each is not template)]]
    start = told(given[0])
    kept = Advice(
        _technique(template.option), template.name, start, template.assessment.dose, template.name, start, template.assessment.dose, {}, 0
    )  # fmt: skip
    if not ranges:
        return kept, None
    task, sectors, descent = _descended(question, plan, wide, template.option, ranges, given)
    settings = told(descent.best.settings)
    option = with_settings(template.option, settings, sectors)
    settings.update({name: getattr(option, name) for name in settings if hasattr(option, name)})
    probe = {name: settings[name] for name in ("semiangle_mrad", "defocus") if not isinstance(option, ImageOption)}
    scene = wide
    if probe:
        scene = settled(wide, 1e-3 * probe["semiangle_mrad"], probe["defocus"])
    weighed = weigh(scene, option, probe)
    if not weighed.assessment.dose < GAINED * template.assessment.dose:
        return kept._replace(evaluations=descent.evaluations), None
    gains = _gains(task, settings, {name: start[name] for name in told(dict.fromkeys(ranges, 0.0))})
    if isinstance(option, SegmentedOption) and isinstance(template.option, SegmentedOption):
        start["sectors"], settings["sectors"] = float(template.option.sectors), float(option.sectors)
    advice = kept._replace(
        name=weighed.name, advised=settings, dose=weighed.assessment.dose, gains=gains, evaluations=descent.evaluations
    )
    return advice, weighed


def _gains(task: Task, settings: Mapping[str, float], start: Mapping[str, float]) -> dict[str, float]:
    """How many times more dose it would take with one setting as at the ``start``; of probes only that the field holds."""
    evaluate = jax.jit(task.objective)
    best, gains = float(evaluate(_arrays(inside(settings)), task.data)), {}
    for name, value in start.items():
        others = _arrays(inside({**settings, name: value}))
        if value != settings[name] and float(task.crowding(others)) == 0.0:
            gains[name] = math.exp(float(evaluate(others, task.data)) - best)
    return gains


def _descended(
    question: Question,
    plan: SearchPlan,
    wide: Scene,
    option: OptionPlan,
    ranges: Mapping[str, tuple[float, float]],
    given: Sequence[Mapping[str, float]],
) -> tuple[Task, int | None, Found]:
    """The task, the number of sectors, and where its descents ended."""
    best: tuple[Task, int | None, Found] | None = None
    choices: tuple[int | None, ...] = (None,)
    if isinstance(option, SegmentedOption):
        choices = (option.sectors,)
        if "sectors" in plan.varied:
            choices = tuple(dict.fromkeys((option.sectors, *plan.choices)))
    for sectors in choices:
        task = _task(question, wide, option, sectors)
        descent = climb(task.objective, task.data, ranges, given, plan.starts)
        if best is None or descent.best.value < best[2].best.value:
            best = (task, sectors, descent)
    assert best is not None
    return best


def _task(question: Question, wide: Scene, option: OptionPlan, sectors: int | None) -> Task:
    """The logarithm of the electrons over the window that an option needs, and the waves it is computed of."""
    unknown, asked = unknown_of(question), asked_of(question, wide)
    noise, perfect, changed = option.readout**2, wide.matrices[0], wide.matrices[1:]
    if isinstance(option, ImageOption):
        images = images_of(perfect, changed, wide.window, lens_of(option, wide.grid.energy), unknown, noise)
        return Task(
            lambda settings, data: log_dose(images.signals(settings, data), asked),
            images.waves,
            lambda _: jnp.zeros(()),
        )
    form = (
        "annular" if isinstance(option, AnnularOption) else "dpc" if isinstance(option, SegmentedOption) else "4d-stem"
    )
    pixel = 1e-3 * option.pixel_mrad if isinstance(option, CameraOption | PatternOption) else 1e-3
    scans = scans_of(
        perfect, changed, wide.window, wide.probe, form, unknown, wide.grid.semiangle, wide.grid.reach,
        sectors=sectors or 1, pixel=pixel, readout=noise, thickness=wide.hypotheses.perfect.thickness,
    )  # fmt: skip

    def objective(settings: Mapping[str, Any], data: Any) -> Array:
        return log_dose(scans.signals(settings, data), asked) + CROWDED * scans.crowding(settings)

    return Task(objective, scans.waves, scans.crowding)


def _front(question: Question, options: Sequence[Weighed], scene: Scene, seconds: Seconds) -> tuple[Candidate, ...]:
    """Of all options at several probabilities of error: no other needs less of dose, time and error."""
    asked, area = asked_of(question, scene), scene.window.area
    candidates = []
    for each in options:
        assert isinstance(each.assessment, Assessment)
        for error in ERRORS:
            dose = each.assessment.tests.dose(1.0 - error, asked.false_alarms, asked.tests) / area
            candidates.append(Candidate(dose, seconds(each, dose), error, each.name))
    return front(candidates)


def _technique(option: OptionPlan) -> str:
    return str(option.__struct_config__.tag)


def _arrays(settings: Mapping[str, float]) -> dict[str, Array]:
    return {name: checks.float64(value) for name, value in settings.items()}
