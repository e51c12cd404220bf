"""What the evidence says a field should be, with its error, and how well a fault of it would have been seen."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reconstruct.validation.evidence import Evidence
from reconstruct.validation.judgement.causes import BROKEN_RULE, critical
from reconstruct.validation.judgement.likelihood import Stack, Values, derived, magnitudes, residual, stacks
from reconstruct.validation.judgement.significance import deviation, log_significance, readings, statement_mixture
from twin.channels import field

DRAWS = 4000
"""Draws of correlated statements by which a power is computed."""


class Estimate(NamedTuple):
    """The ``value`` of a field by the evidence, and its rms ``error``, in inside units."""

    value: float
    error: float


def estimates(evidence: Sequence[Evidence], values: Values, names: Sequence[str]) -> dict[str, Estimate]:
    """What the evidence says of the fields ``names``, all others as in ``values``: generalised least squares from there.

    Of fields that the evidence does not tell apart (only a ratio is known) the last ones of ``names`` are left out and taken as they are. Of several readings
    the likeliest is given, with the moments of its components.
    """
    present = [name for name in names if name in values]
    problems = stacks(evidence, values, [{name: 1.0} for name in present])
    if not present or not len(problems[0].residual):
        return {}
    kept = _told_apart(problems[0])
    if not kept:
        return {}
    solved = [_solved(dataclasses.replace(problem, jacobian=problem.jacobian[:, kept])) for problem in problems]
    result = {}
    for position, index in enumerate(kept):
        name = present[index]
        mean, error = _likeliest(
            [
                (log, float(means[position]), math.sqrt(covariance[position, position]))
                for log, means, covariance in solved
            ]
        )
        if field(name).form == "scale":
            value = values[name] * math.exp(mean)
            result[name] = Estimate(value, value * error)
        else:
            result[name] = Estimate(values[name] + mean, error)
    return result


def _told_apart(problem: Stack) -> list[int]:
    """Indices of the fields that the evidence determines together, first ones first."""
    weight = np.linalg.inv(problem.covariance)
    information = problem.jacobian.T @ weight @ problem.jacobian
    kept: list[int] = []
    for index in range(len(information)):
        trial = [*kept, index]
        if information[index, index] > 0.0 and np.linalg.matrix_rank(
            _unit(information[np.ix_(trial, trial)]), tol=1e-9
        ) == len(trial):
            kept = trial
    return kept


def _solved(problem: Stack) -> tuple[float, np.ndarray, np.ndarray]:
    """Logarithm of the weight of a combination of components, where the fields may have any value; their means [n] and covariance [n, n]."""
    mean, covariance = magnitudes(problem, [math.inf] * problem.jacobian.shape[1])
    left = problem.residual - problem.jacobian @ mean
    misfit = float(left @ np.linalg.solve(problem.covariance, left))
    log = (
        problem.log_weight
        - 0.5 * misfit
        - 0.5 * float(np.linalg.slogdet(problem.covariance)[1])
        + 0.5 * float(np.linalg.slogdet(covariance)[1])
    )
    return log, mean, covariance


def _likeliest(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Mean and standard deviation of the reading with the most weight, of components (log weight, mean, std)."""
    logs, means, stds = (np.array(column) for column in zip(*parts, strict=True))
    weights = np.exp(logs - logs.max())
    group = max(readings(means, stds), key=lambda indices: float(weights[indices].sum()))
    share = weights[group] / weights[group].sum()
    mean = float(share @ means[group])
    return mean, math.sqrt(float(share @ (stds[group] ** 2 + (means[group] - mean) ** 2)))


def power(evidence: Sequence[Evidence], truth: Values, claimed: Values, false_alarms: float) -> float:
    """The probability that a file which claims ``claimed`` is found to be wrong, where ``truth`` are the values and the evidence has the errors that it states.

    The evidence is drawn about the truth with its covariance and tails, readings that it does not tell apart included; the largest deviation is compared with
    the limit at a rate of ``false_alarms`` for the file, that of arithmetic with its own.
    """
    generator = np.random.default_rng(0)
    counted = sum(len(item.statements) for item in evidence if item.source != "arithmetic")
    missed = np.ones(DRAWS, bool)
    for item in evidence:
        weights = np.array([part.weight for part in item.components])
        taken = generator.choice(len(weights), DRAWS, p=weights / weights.sum())
        roots = [np.linalg.cholesky(part.covariance) for part in item.components]
        noise = np.stack(
            [
                roots[index] @ draw
                for index, draw in zip(taken, generator.standard_normal((DRAWS, len(item.statements))), strict=True)
            ]
        )
        limit = BROKEN_RULE if item.source == "arithmetic" else critical(counted, false_alarms)
        for number, statement in enumerate(item.statements):
            offsets, stds, weights = statement_mixture(item, number, claimed)
            shift = residual(statement, statement.of(derived(truth)), derived(claimed))
            if not len(offsets) or not math.isfinite(shift):
                continue
            groups = readings(offsets, stds)
            # the reading that is true lies at the truth, the others as far from it as they are
            apart = offsets - offsets[np.argmax(weights)]
            tolerance = item.tolerance[number] if item.tolerance else 0.0
            drawn = shift + noise[:, number, None] + apart
            if statement.form == "circle" and statement.period > 0:
                drawn = (drawn + 0.5 * statement.period) % statement.period - 0.5 * statement.period
            drawn = np.sign(drawn) * np.maximum(np.abs(drawn) - tolerance, 0.0)
            missed &= deviation(log_significance(drawn, stds, weights, groups)) <= limit
    return float(1.0 - missed.mean())


def _unit(matrix: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.diag(matrix))
    return matrix / np.outer(scale, scale)
