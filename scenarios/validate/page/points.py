"""What each statement of the evidence says of one field, taken by itself."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from reconstruct.validation.evidence import Evidence, Statement
from reconstruct.validation.judgement.faults import PAIRS, Change
from reconstruct.validation.judgement.likelihood import Values, corrected, derived, residual, slope
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import Validated
from twin.channels import field

STEPS, CLOSE = 12, 1e-6
"""Steps to the solution, of which all but those on the high tension need one; relative change at which they end."""
LEAST_WEIGHT = 0.03
"""Readings of less weight are not drawn."""
LONGEST = 1.0
"""Longest step (log) of the high tension, on which the wavelength depends by more than a power."""


class Point(NamedTuple):
    """A reading of one statement: the ``value`` of the field with rms ``error``, and half the range ``tolerance`` within which all values are as good, in
    inside units (relative for ``scale`` fields); ``weight`` among the readings of its statement."""

    evidence: str
    source: str
    value: float
    error: float
    tolerance: float
    weight: float


def points_on(name: str, recording: Validated) -> list[Point]:
    """Readings of all statements on a numeric field, each solved for it with the other fields as claimed; none where the claim gives no start.

    Pixel sizes along x and y that stand in one statement change together: it says nothing of their ratio.
    """
    ruled_out = {item.field: item for item in recording.contradictions if item.field != name}
    values = numbers(recording.claims, ruled_out)
    if name not in values:
        return []
    terms = {name, "wavelength"} if name == "high_tension" else {name}
    result = []
    for item in recording.evidence:
        for number, statement in enumerate(item.statements):
            if terms & set(statement.terms) and not set(item.rests_on) & set(ruled_out):
                partners = {other for pair in PAIRS if name in pair for other in pair if other in statement.terms}
                direction = dict.fromkeys((name, *sorted(partners - {name})), 1.0)
                result += _readings(name, item, number, values, direction)
    return result


def _readings(name: str, item: Evidence, number: int, values: Values, direction: Mapping[str, float]) -> list[Point]:
    total = sum(part.weight for part in item.readings)
    points = []
    for part in item.readings:
        solved = _solved(item.statements[number], float(part.mean[number]), values, direction)
        if solved is None or part.weight < LEAST_WEIGHT * total:
            continue
        solution, speed = solved
        error = math.sqrt(float(part.covariance[number, number])) / speed
        slack = item.tolerance[number] / speed if item.tolerance else 0.0
        points.append(Point(item.name, item.source, solution[name], error, slack, part.weight / total))
    return points


def _solved(
    statement: Statement, mean: float, values: Values, direction: Mapping[str, float]
) -> tuple[dict[str, float], float] | None:
    """The values after a move along ``direction`` at which the statement is ``mean``, and its change with the move there; None where there are none."""
    change = Change("", 1.0, "", free=((direction, 1.0),))
    current = dict(values)
    for _ in range(STEPS):
        full = derived(current)
        speed = slope(statement, full, direction)
        step = residual(statement, mean, full) / speed if speed else math.nan
        if not math.isfinite(step):
            return None
        current = corrected(
            current,
            [change],
            [math.copysign(min(abs(step), LONGEST), step) if "wavelength" in statement.terms else step],
        )
        if abs(step) <= CLOSE * (1.0 if field(next(iter(direction))).form == "scale" else max(abs(mean), 1e-300)):
            break
    return current, abs(slope(statement, derived(current), direction))
