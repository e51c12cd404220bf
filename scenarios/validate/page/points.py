"""What each statement of the evidence says of one field, taken by itself."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.measurement import Component
from reconstruct.validation.estimates import Estimate, estimates
from reconstruct.validation.evidence import Evidence
from reconstruct.validation.recording import Validated
from reconstruct.validation.verdict import numbers
from twin.channels import field

STEPS, CLOSE = 12, 1e-6
"""Steps to the solution, of which all but those on the high tension need one; relative change at which they end."""
LEAST_WEIGHT = 0.03
"""Readings of less weight are not drawn."""


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
    """Readings of all statements on a numeric field, each solved for it with the other fields as claimed; none where the claim gives no start."""
    ruled_out = {item.field: item for item in recording.contradictions if item.field != name}
    values = numbers(recording.claims, ruled_out)
    if name not in values:
        return []
    terms = {name, "wavelength"} if name == "high_tension" else {name}
    result = []
    for item in recording.evidence:
        for number, statement in enumerate(item.statements):
            if terms & set(statement.terms) and not set(item.rests_on) & set(ruled_out):
                result += _readings(name, item, number, values)
    return result


def _readings(name: str, item: Evidence, number: int, values: Mapping[str, float]) -> list[Point]:
    total = sum(part.weight for part in item.components)
    points = []
    for part in item.readings:
        if part.weight < LEAST_WEIGHT * total:
            continue
        variance = float(part.covariance[number, number])
        single = dataclasses.replace(
            item, statements=(item.statements[number],), tolerance=(), pictures=(),
            components=(Component(1.0, part.mean[number : number + 1], np.array([[variance]])),),
        )  # fmt: skip
        found = _solved(name, single, values)
        if found is not None:
            relative = 1.0 / found.value if field(name).form == "scale" else 1.0
            error = found.error * relative
            slack = item.tolerance[number] if item.tolerance else 0.0
            points.append(
                Point(
                    item.name, item.source, found.value, error, slack * error / math.sqrt(variance), part.weight / total
                )
            )
    return points


def _solved(name: str, single: Evidence, values: Mapping[str, float]) -> Estimate | None:
    about = field(name)
    found = None
    for _ in range(STEPS):
        start = values[name] if found is None else found.value
        if not math.isfinite(start) or (about.form == "scale" and not about.low <= start <= about.high):
            return found if found is None or math.isfinite(found.value) else None
        found = estimates([single], {**values, name: start}, [name]).get(name)
        if found is None or abs(found.value - start) <= CLOSE * abs(found.value):
            break
    return found
