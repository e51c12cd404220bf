"""Power and false alarms of a plan's own tests on counts by abTEM, at the doses where the plan promises them.

The prediction is the planner's. Each trial has one recording's settings and layers, a column that is tested and the others of the field as references.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from learn.information import AveragedTests
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.plan.trials.predicted import PHONONS, Crystal, Predicted, crystals_of, predicted
from tests.benchmarks.plan.trials.specimens import studies
from tests.benchmarks.plan.trials.trial import FALSE_ALARMS, tried, true_fields

POWERS = (0.5, 0.8, 0.95)
TRIALS = (200, 100, 6)
ANALYSED = 12
"""Configurations of thermal motion, others than the plan's, of which tests of a recording are made."""
RECORDINGS, CONFIGURATIONS = (16, 16, 4), ((20, 3), (20, 3), (2, 1))
"""Of the truth: recordings, and configurations of thermal motion without layers and with them."""
SHORT = {Form.SHORT: ("O vacancy in SrTiO3", "S vacancy in MoS2"), Form.SMOKE: ("S vacancy in MoS2",)}
EACH, POOLED, APART = 0.12, 0.05, 1.5
"""By how much powers may differ in a case and over all, and ratio of doses from which on techniques must be ranked rightly."""


class Tried(NamedTuple):
    """A case: the ``doses`` (electrons per square angstrom) at which the planner ``promised`` powers, and the powers and rates of false alarms ``measured``."""

    study: str
    technique: str
    doses: np.ndarray
    promised: np.ndarray
    measured: np.ndarray
    alarms: np.ndarray

    @property
    def difference(self) -> float:
        """Of measured and promised power where they differ most."""
        return float(np.abs(self.measured - self.promised).max())

    @property
    def dose(self) -> float:
        """At which the power measured is 0.8: on a line of the powers' normal quantiles over the logarithm of dose."""
        quantiles = norm.ppf(np.clip(self.measured, 0.005, 0.995))
        slope, start = np.polyfit(np.log(self.doses), quantiles, 1)
        return float(np.exp((norm.ppf(0.8) - start) / max(slope, 1e-9)))


def cases(short: Form, progress: Callable[..., None], seed: int = 0) -> list[Case]:
    """Power and false alarms of each case, of all, the order of techniques, and the same of a planner to whom nothing is unknown."""
    chosen = [each for each in studies() if not short or each.name in SHORT[short]]
    honest: list[Tried] = []
    sure: list[Tried] = []
    rows: list[Case] = []
    count = TRIALS[short]
    for study in chosen:
        few = {"phonons": 2, "settings": 1, "layers": 4} if short is Form.SMOKE else {}
        made = predicted(study, **few)
        fields = true_fields(study, made, RECORDINGS[short], CONFIGURATIONS[short], progress, seed)
        progress(f"trials, {study.name}")
        seeds = tuple(range(100, 100 + (2 if short is Form.SMOKE else ANALYSED)))
        honest += _tried(made, fields, count, crystals_of(study, seeds, len(made.crystals) > 1))
        certain = predicted(study, phonons=few.get("phonons", PHONONS), settings=0, layers=0)
        sure += _tried(certain, fields, count)
    for each in honest:
        for row in zip(each.doses, each.promised, each.measured, strict=True):
            dose, promised, measured = row
            name = f"{each.study}, {each.technique}, {dose:.3g} e/A^2: power measured ({promised:.2f} promised)"
            rows.append(case(name, measured))
    for each in honest:
        name = f"{each.study}, {each.technique}: largest difference of power"
        rows.append(case(name, each.difference, "", f"at most {EACH}", each.difference <= EACH))
    for each in honest:
        rows.append(_alarms(f"{each.study}, {each.technique}", each.alarms, count))
    rows.append(_pooled("all", honest, True))
    rows.append(_alarms("all", np.concatenate([each.alarms for each in honest]), count))
    rows.append(_ranked(honest))
    rows.append(_pooled("a planner to whom nothing is unknown", sure, False))
    return rows


def _tried(made: Predicted, fields: dict[str, np.ndarray], count: int, crystals: Sequence[Crystal] = ()) -> list[Tried]:
    results, study = [], made.study
    for name, signatures in made.signatures.items():
        tests = AveragedTests(signatures, study.repeats[0] * study.repeats[1] - 1)
        doses = [tests.dose(power, FALSE_ALARMS) for power in POWERS]
        if not np.all(np.isfinite(doses)):
            raise ValueError(f"{study.name}, {name}: no dose gives power {POWERS[-1]}; this technique cannot be tried")
        trials = tried(made, doses, fields, name, count, 1, crystals)
        measured, alarms = (np.array([each[which].mean() for each in trials]) for which in range(2))
        results.append(Tried(study.name, name, np.array(doses) / made.window.area, np.array(POWERS), measured, alarms))
    return results


def _alarms(name: str, rates: np.ndarray, count: int) -> Case:
    """Three standard deviations are allowed."""
    error = 3.0 * float(np.sqrt(FALSE_ALARMS * (1.0 - FALSE_ALARMS) / (count * len(rates))))
    rate = float(rates.mean())
    return case(
        f"{name}: false alarms", rate, "", f"{FALSE_ALARMS} within {error:.4f}", abs(rate - FALSE_ALARMS) <= error
    )


def _pooled(name: str, tried: Sequence[Tried], agrees: bool) -> Case:
    difference = float(np.mean([each.measured - each.promised for each in tried]))
    within = abs(difference) <= POOLED
    bar = f"{'at most' if agrees else 'must exceed'} {POOLED} either way"
    return case(f"{name}: power measured less promised, mean", difference, "", bar, within == agrees)


def _ranked(tried: Sequence[Tried]) -> Case:
    """Pairs of techniques for one question whose doses differ enough, in the order that was predicted."""
    right = [
        (first.doses[1] < other.doses[1]) == (first.dose < other.dose)
        for first, other in itertools.combinations(tried, 2)
        if first.study == other.study and max(first.doses[1] / other.doses[1], other.doses[1] / first.doses[1]) >= APART
    ]
    name = f"pairs of techniques in the right order, of {len(right)}"
    return case(name, sum(right), "", f"all whose doses differ by {APART}", all(right))
