"""Which causes explain the evidence best: the posterior of every single fault, and further ones one at a time until nothing is left to explain."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from reconstruct.validation.evidence import Evidence
from reconstruct.validation.judgement.faults import Change, changes
from reconstruct.validation.judgement.likelihood import Stack, Values, corrected, log_evidence, magnitudes, stacks
from reconstruct.validation.judgement.significance import deviation, log_significance, readings, statement_mixture
from reconstruct.validation.judgement.stale import stale_changes

MAX_CAUSES = 4
"""Faults of one file that are looked for at most."""
BROKEN_RULE = 5.0
"""Standard deviations beyond its rounding from which a rule of arithmetic is broken."""
LISTED = 0.02
"""Posterior probability from which an explanation is listed."""


class Rejection(NamedTuple):
    """A statement that the claims contradict: which ``evidence`` and ``statement``, its ``z`` (evidence minus claim, in standard deviations)."""

    evidence: int
    statement: int
    z: float


class Explanation(NamedTuple):
    """A set of ``changes`` that together explain the evidence, with its posterior ``probability`` among those compared."""

    changes: tuple[Change, ...]
    probability: float


def critical(tests: int, false_alarms: float) -> float:
    """Standard deviations beyond which the largest of ``tests`` Gaussian statements is rejected, at a rate of ``false_alarms`` for all of them together."""
    return float(-ndtri(0.5 * false_alarms / max(tests, 1)))


def rejections(evidence: Sequence[Evidence], values: Values, false_alarms: float) -> list[Rejection]:
    """Statements that ``values`` contradict, by Holm's step-down test: any false one in a file at a rate of at most ``false_alarms``.

    That holds whatever their dependence. Arithmetic has no noise but rounding, which its statements allow for: it is contradicted from `BROKEN_RULE` on, and
    takes no share of the rate. A statement with several readings is contradicted if all are: the nearest is tested.
    Source: S. Holm, Scand. J. Statist. 6, 65 (1979).
    """
    everything = deviations(evidence, values)
    rejected = [
        item for item in everything if evidence[item.evidence].source == "arithmetic" and abs(item.z) > BROKEN_RULE
    ]
    tested = [item for item in everything if evidence[item.evidence].source != "arithmetic"]
    for rank, item in enumerate(sorted(tested, key=lambda item: -abs(item.z))):
        if abs(item.z) <= critical(len(tested) - rank, false_alarms):
            break
        rejected.append(item)
    return rejected


def deviations(evidence: Sequence[Evidence], values: Values) -> list[Rejection]:
    """Every usable statement with its deviation in standard deviations, of the reading that is nearest; its sign is that of evidence minus claim."""
    rejected = []
    for index, item in enumerate(evidence):
        for number in range(len(item.statements)):
            offsets, stds, weights = statement_mixture(item, number, values)
            if len(offsets):
                size = float(deviation(log_significance(offsets, stds, weights, readings(offsets, stds))))
                nearest = offsets[np.argmin(np.abs(offsets) / stds)]
                rejected.append(Rejection(index, number, math.copysign(size, nearest)))
    return rejected


def explain(evidence: Sequence[Evidence], values: Values, false_alarms: float) -> list[Explanation]:
    """Explanations of what the claims contradict, likeliest first; empty where nothing is contradicted.

    Causes are added one at a time, each time the one that makes the evidence most probable, until every statement agrees or no cause helps. The other
    explanations have another cause in place of one of these, with its probability among all that were compared there.
    """
    chosen: tuple[Change, ...] = ()
    rivals: list[list[tuple[float, Change]]] = []
    current: Values = values
    touched = {name for item in evidence for name in item.fields}
    touched |= {"high_tension"} if "wavelength" in touched else set()
    every = [*changes(values), *stale_changes(evidence, values)]
    while len(chosen) < MAX_CAUSES and rejections(evidence, current, false_alarms):
        taken = {name for change in chosen for name in change.fields}
        candidates = [change for change in every if not taken & set(change.fields) and touched & set(change.fields)]
        scored = [(_score(evidence, values, (*chosen, change)), change) for change in candidates]
        scored = [(score, change) for score, change in scored if math.isfinite(score)]
        before = _score(evidence, values, chosen)
        if not scored or max(score for score, _ in scored) <= before:
            break
        total = float(np.logaddexp.reduce([score for score, _ in scored]))
        ranked = sorted(((math.exp(score - total), change) for score, change in scored), key=lambda pair: -pair[0])
        rivals.append([pair for pair in ranked[1:] if pair[0] >= LISTED])
        chosen = (*chosen, ranked[0][1])
        current = best(evidence, values, chosen)
    if not chosen:
        return []
    shares = [1.0 - sum(share for share, _ in others) for others in rivals]
    others = [
        Explanation((*chosen[:step], change, *chosen[step + 1 :]), share)
        for step, pairs in enumerate(rivals)
        for share, change in pairs
    ]
    return [Explanation(chosen, min(shares)), *sorted(others, key=lambda item: -item.probability)]


def best(evidence: Sequence[Evidence], values: Values, explanation: Sequence[Change]) -> dict[str, float]:
    """The likeliest values of the fields under an explanation."""
    problem, sizes = _likeliest(evidence, values, explanation)
    if problem is None:
        return corrected(values, explanation)
    mean, _ = magnitudes(problem, sizes)
    return corrected(values, explanation, mean.tolist())


def _score(evidence: Sequence[Evidence], values: Values, explanation: Sequence[Change]) -> float:
    """Logarithm of prior times probability of the evidence."""
    directions, sizes = _free(explanation)
    problems = stacks(evidence, corrected(values, explanation), directions)
    if len(problems[0].residual) < len(stacks(evidence, values)[0].residual):
        return -math.inf  # it explains a statement by making it none
    total = float(np.logaddexp.reduce([log_evidence(problem, sizes) for problem in problems]))
    return total + sum(math.log(change.rate) + change.support for change in explanation)


def _likeliest(
    evidence: Sequence[Evidence], values: Values, explanation: Sequence[Change]
) -> tuple[Stack | None, list[float]]:
    directions, sizes = _free(explanation)
    problems = stacks(evidence, corrected(values, explanation), directions)
    return (max(problems, key=lambda problem: log_evidence(problem, sizes)) if directions else None), sizes


def _free(explanation: Sequence[Change]) -> tuple[list[Mapping[str, float]], list[float]]:
    free = [pair for change in explanation for pair in change.free]
    return [direction for direction, _ in free], [size for _, size in free]
