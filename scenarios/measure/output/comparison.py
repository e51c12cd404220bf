"""The measurement of files, its comparison with the files' claims, and disagreements."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from reconstruct.measure.measurement import Component, Measurement
from scenarios.measure.data.inputs import Recording
from twin.units import rounded, scale

CLAIM_INTERVAL = 0.997
"""Central interval of a quantity in which a file's claim must lie not to be contradicted."""
MAX_MISFIT = 2.0
"""Sum of squares over degrees of freedom from which a fit disagrees with its data."""
NO_FIT = "the structure does not fit"
"""How the estimators of a known crystal begin when the image is of another."""


class Claim(NamedTuple):
    """What the file says of a ``quantity``, in the measurement's unit, described by ``description``."""

    quantity: str
    value: float
    description: str


class FileMeasurement(NamedTuple):
    """A measurement of a ``kind`` from ``recordings``; ``judged``: its misfit is 1 for a model that is right."""

    kind: str
    recordings: tuple[Recording, ...]
    measurement: Measurement
    claims: tuple[Claim, ...] = ()
    judged: bool = True


def probability_below(measurement: Measurement, name: str, value: float) -> float:
    """The probability that a quantity is below ``value``."""
    index = measurement.index(name)
    return float(
        sum(
            component.weight * ndtr((value - component.mean[index]) / math.sqrt(component.covariance[index, index]))
            for component in measurement.components
        )
    )


def compare_claims(file_measurement: FileMeasurement) -> list[dict[str, object]]:
    """Each claim against what was measured: its values, and whether it agrees; those of what is undetermined are left out."""
    comparisons, measured = [], file_measurement.measurement
    for claim in file_measurement.claims:
        if claim.quantity not in measured.names or claim.quantity in measured.undetermined:
            continue
        index = measured.index(claim.quantity)
        likeliest = readings(measured)[0]
        mean, std, unit = (
            float(likeliest.mean[index]),
            math.sqrt(likeliest.covariance[index, index]),
            measured.units[index],
        )
        agrees = abs(probability_below(measured, claim.quantity, claim.value) - 0.5) <= 0.5 * CLAIM_INTERVAL
        factor, word = scale(max(abs(mean), std), unit, claim.quantity)
        number, error = rounded(mean * factor, std * factor)
        claimed = f"{claim.value * factor:.5g} {word}".rstrip()
        comparisons.append({
            "quantity": claim.quantity, "claimed": claim.value, "measured": mean, "error": std, "unit": unit, "agrees": agrees,
            "words": f"the file claims {claim.description} of {claimed}, measured {number} ± {error} {word}".rstrip(),
        })  # fmt: skip
    return comparisons


def disagreements(file_measurement: FileMeasurement) -> list[str]:
    """What disagrees, as sentences: claims, a misfit that is far above 1, a structure that does not fit."""
    messages = [str(comparison["words"]) for comparison in compare_claims(file_measurement) if not comparison["agrees"]]
    measured = file_measurement.measurement
    rejections = [reason for reason in measured.undetermined.values() if reason.startswith(NO_FIT)]
    if rejections:
        messages.append(rejections[0])
    if file_measurement.judged and math.isfinite(measured.misfit) and measured.misfit > MAX_MISFIT:
        messages.append(f"the misfit is {measured.misfit:.2g}, where a model that is right leaves 1")
    return list(dict.fromkeys(messages))


def select_quantities(measurement: Measurement, names: dict[str, tuple[str, str, float]]) -> Measurement:
    """Only the quantities ``names``: {name: (new name, unit, factor)}."""
    indices = [measurement.index(name) for name in names]
    factors = np.array([factor for _, _, factor in names.values()])
    components = tuple(
        Component(
            component.weight,
            component.mean[indices] * factors,
            component.covariance[np.ix_(indices, indices)] * np.outer(factors, factors),
        )
        for component in measurement.components
    )
    return dataclasses.replace(
        measurement,
        names=tuple(new for new, _, _ in names.values()),
        units=tuple(unit for _, unit, _ in names.values()),
        components=components,
        undetermined={names[name][0]: reason for name, reason in measurement.undetermined.items() if name in names},
    )


def readings(measurement: Measurement) -> list[Component]:
    """The mixture with components that lie within each other's errors taken together: what a person would call its readings, likeliest first."""
    groups: list[list[Component]] = []
    for component in sorted(measurement.components, key=lambda part: -part.weight):
        for group in groups:
            if any(_near(component, other) for other in group):
                group.append(component)
                break
        else:
            groups.append([component])
    merged = []
    for group in groups:
        weight = sum(component.weight for component in group)
        mean = np.sum([component.weight * component.mean for component in group], axis=0) / weight
        spread = np.sum(
            [
                component.weight * (component.covariance + np.outer(component.mean - mean, component.mean - mean))
                for component in group
            ],
            axis=0,
        )
        merged.append(Component(float(weight), mean, spread / weight))
    return sorted(merged, key=lambda part: -part.weight)


def _near(first: Component, second: Component) -> bool:
    std = np.sqrt(np.diag(first.covariance) + np.diag(second.covariance))
    return bool((np.abs(first.mean - second.mean) < 3.0 * std).all())
