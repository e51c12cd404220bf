"""How probable the evidence is under changes of a file's fields, and what it says of the fields then.

Residuals of all statements are Gaussian (one mixture component of each evidence at a time); free magnitudes of changes have Gaussian priors and are
integrated out, so that an explanation pays for the range of what it could have explained.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from reconstruct.measurement.measurement import Component
from reconstruct.validation.evidence import Evidence, Statement
from reconstruct.validation.judgement.faults import Change
from twin.channels import field
from twin.optics.electrons import wavelength

MAX_COMBINATIONS = 64
"""Combinations of mixture components of all evidence that are summed over, likeliest first."""
LEAST_WEIGHT = 1e-6
"""Mixture components below this weight are left out."""
Values = Mapping[str, float]
Direction = Mapping[str, float]


def derived(values: Values) -> dict[str, float]:
    """``values`` with what follows from them: ``wavelength`` (angstrom) of the electrons."""
    tension = values.get("high_tension", math.nan)
    return {**values, "wavelength": float(wavelength(tension)) if 1e2 < tension < 1e8 else math.nan}


def corrected(values: Values, changes: Sequence[Change], magnitudes: Sequence[float] = ()) -> dict[str, float]:
    """``values`` after ``changes``, with the ``magnitudes`` of their free directions in turn (none given: zero)."""
    result = dict(values)
    for change in changes:
        result.update({name: value for name, value in change.fixed.items() if name in result})
    directions = [direction for change in changes for direction, _ in change.free]
    for direction, magnitude in zip(directions, magnitudes, strict=False):
        for name, coefficient in direction.items():
            if name in result:
                moved = coefficient * magnitude
                result[name] = result[name] * math.exp(moved) if _multiplies(name) else result[name] + moved
    return result


def residual(statement: Statement, mean: float, values: Values, tolerance: float = 0.0) -> float:
    """Evidence minus what ``values`` of the fields make of a statement, on the circle where it is one, less the tolerance; NaN where a field is missing."""
    difference = mean - statement.of(values)
    if statement.form == "circle" and statement.period > 0:
        difference = (difference + 0.5 * statement.period) % statement.period - 0.5 * statement.period
    return math.copysign(max(abs(difference) - tolerance, 0.0), difference) if math.isfinite(difference) else math.nan


def slope(statement: Statement, values: Values, direction: Direction) -> float:
    """Derivative of a statement by the magnitude of a free ``direction`` at ``values`` (with what is `derived`)."""
    speeds = {
        name: coefficient * (values[name] if _multiplies(name) else 1.0)
        for name, coefficient in direction.items()
        if name in values
    }
    if "high_tension" in speeds:
        step = 1e-4 * values["high_tension"]
        above, below = (float(wavelength(values["high_tension"] + sign * step)) for sign in (1.0, -1.0))
        speeds["wavelength"] = (above - below) / (2.0 * step) * speeds["high_tension"]
    total = 0.0
    for name, power in statement.terms.items():
        speed = speeds.get(name, 0.0)
        total += power * (speed / values[name] if statement.form == "log" and speed else speed)
    return total


@dataclasses.dataclass(frozen=True)
class Stack:
    """The usable statements of all evidence as one Gaussian problem: ``residual`` [M] at the fields' values, ``covariance`` [M, M], ``jacobian`` [M, n] by the
    free magnitudes; ``owners`` [M] index the evidence and its statement; ``log_weight`` is that of the mixture components taken."""

    residual: np.ndarray
    covariance: np.ndarray
    jacobian: np.ndarray
    owners: tuple[tuple[int, int], ...]
    log_weight: float = 0.0


def stacks(evidence: Sequence[Evidence], values: Values, directions: Sequence[Direction] = ()) -> list[Stack]:
    """The problem for each combination of mixture components, at ``values`` of the fields; at most `MAX_COMBINATIONS`.

    Within the tolerance of a statement anything is as likely: its variance is added.
    """
    full = derived(values)
    combinations: list[tuple[float, tuple[Component, ...]]] = [(0.0, ())]
    for item in evidence:
        parts = [part for part in item.components if part.weight > LEAST_WEIGHT]
        combinations = [(log + math.log(part.weight), (*taken, part)) for log, taken in combinations for part in parts]
        combinations = sorted(combinations, key=lambda pair: -pair[0])[:MAX_COMBINATIONS]
    usable = [
        [number for number, statement in enumerate(item.statements) if math.isfinite(statement.of(full))] for item in evidence
    ]  # fmt: skip
    owners = tuple((index, number) for index, numbers in enumerate(usable) for number in numbers)
    rows = [
        [slope(evidence[index].statements[number], full, direction) for direction in directions]
        for index, number in owners
    ]
    jacobian = np.array(rows, np.float64).reshape(len(owners), len(directions))
    result = []
    for log_weight, parts in combinations:
        values_of = [
            residual(
                evidence[index].statements[number],
                float(parts[index].mean[number]),
                full,
            )
            for index, number in owners
        ]  # fmt: skip
        covariance = np.zeros((len(owners), len(owners)))
        begin = 0
        for part, numbers in zip(parts, usable, strict=True):
            end = begin + len(numbers)
            covariance[begin:end, begin:end] = part.covariance[np.ix_(numbers, numbers)]
            slack = [_tolerance(evidence[owners[row][0]], owners[row][1]) for row in range(begin, end)]
            covariance[begin:end, begin:end] += np.diag(np.square(slack) / 3.0)
            begin = end
        result.append(Stack(np.array(values_of), covariance, jacobian, owners, log_weight))
    return result


def log_evidence(problem: Stack, sizes: Sequence[float]) -> float:
    """Logarithm of the density of the residuals, free magnitudes of rms ``sizes`` integrated out."""
    spread = problem.jacobian * np.asarray(sizes, np.float64)
    covariance = problem.covariance + spread @ spread.T
    scale = np.sqrt(np.diag(problem.covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale))
    white = np.linalg.solve(root, problem.residual / scale)
    return problem.log_weight - 0.5 * float(white @ white) - float(np.log(np.diag(root)).sum() + np.log(scale).sum())


def magnitudes(problem: Stack, sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean [n] and covariance [n, n] of the free magnitudes with Gaussian priors of rms ``sizes`` (infinite: flat)."""
    scale = np.sqrt(np.diag(problem.covariance))
    root = np.linalg.cholesky(problem.covariance / np.outer(scale, scale))
    slopes = np.linalg.solve(root, problem.jacobian / scale[:, None])
    left = np.linalg.solve(root, problem.residual / scale)
    prior = np.array([0.0 if math.isinf(size) else size**-2.0 for size in sizes])
    # magnitudes are of units as different as angstrom and radian
    units = 1.0 / np.sqrt(np.maximum((slopes**2).sum(axis=0) + prior, 1e-300))
    information = (slopes * units).T @ (slopes * units) + np.diag(prior * units**2)
    covariance = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    return units * (covariance @ ((slopes * units).T @ left)), covariance * np.outer(units, units)


def _multiplies(name: str) -> bool:
    return field(name).form == "scale"


def _tolerance(item: Evidence, number: int) -> float:
    return item.tolerance[number] if item.tolerance else 0.0
