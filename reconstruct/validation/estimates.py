"""What the evidence says a field should be, with its error, and how well a fault of it would have been seen."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reconstruct.validation.causes import critical
from reconstruct.validation.evidence import Evidence
from reconstruct.validation.likelihood import Values, derived, log_evidence, magnitudes, residual, stacks
from twin.channels import field

DRAWS = 4000
"""Draws of correlated statements by which a power is computed."""


class Estimate(NamedTuple):
    """The ``value`` of a field by the evidence, and its rms ``error``, in inside units."""

    value: float
    error: float


def estimates(evidence: Sequence[Evidence], values: Values, names: Sequence[str]) -> dict[str, Estimate]:
    """What the evidence says of the fields ``names``, all others as in ``values``: generalised least squares from there, of the likeliest readings.

    Fields that the evidence does not tell apart (only a ratio is known) are left out.
    """
    present = [name for name in names if name in values]
    if not present:
        return {}
    directions = [{name: 1.0} for name in present]
    problems = stacks(evidence, values, directions)
    problem = max(problems, key=lambda item: log_evidence(item, [0.0] * len(present)))
    sensitive = np.abs(problem.jacobian).sum(axis=0) > 0
    weight = np.linalg.inv(problem.covariance) if len(problem.residual) else np.zeros((0, 0))
    information = problem.jacobian.T @ weight @ problem.jacobian
    result = {}
    kept = [index for index in range(len(present)) if sensitive[index]]
    while kept and np.linalg.matrix_rank(_unit(information[np.ix_(kept, kept)]), tol=1e-9) < len(kept):
        kept.pop()
    if not kept:
        return {}
    reduced = dataclasses.replace(problem, jacobian=problem.jacobian[:, kept])
    mean, covariance = magnitudes(reduced, [math.inf] * len(kept))
    for position, index in enumerate(kept):
        name = present[index]
        error = math.sqrt(covariance[position, position])
        if field(name).form == "scale":
            value = values[name] * math.exp(mean[position])
            result[name] = Estimate(value, value * error)
        else:
            result[name] = Estimate(values[name] + float(mean[position]), error)
    return result


def power(evidence: Sequence[Evidence], truth: Values, claimed: Values, false_alarms: float) -> float:
    """The probability that a file which claims ``claimed`` is found to be wrong, where ``truth`` are the values and the evidence has the errors that it states.

    Statements are drawn with their covariance; the largest deviation is compared with the limit at a rate of ``false_alarms`` for the file.
    """
    problem = stacks(evidence, truth, testing=True)[0]
    full, wrong = derived(truth), derived(claimed)
    if not len(problem.residual):
        return 0.0
    statements = [evidence[index].statements[number] for index, number in problem.owners]
    tolerances = [
        evidence[index].tolerance[number] if evidence[index].tolerance else 0.0 for index, number in problem.owners
    ]
    scale = np.sqrt(np.diag(problem.covariance))
    shifts = [residual(item, item.of(full), wrong, slack) for item, slack in zip(statements, tolerances, strict=True)]
    shift = np.nan_to_num(np.array(shifts) / scale, nan=math.inf, posinf=1e6, neginf=-1e6)
    limit = critical(len(scale), false_alarms)
    root = np.linalg.cholesky(problem.covariance / np.outer(scale, scale) + 1e-12 * np.eye(len(scale)))
    draws = np.random.default_rng(0).standard_normal((DRAWS, len(scale))) @ root.T + shift
    return float((np.abs(draws).max(axis=1) > limit).mean())


def _unit(matrix: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.diag(matrix))
    return matrix / np.outer(scale, scale)
