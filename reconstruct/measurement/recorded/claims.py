"""What a recording claims, against what was measured of it."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from reconstruct.measurement.measurement import Component, Measurement
from twin.units import rounded, scale

CLAIM_INTERVAL = 0.997
"""Central interval of a quantity in which a claim must lie not to be contradicted."""


class Claimed(NamedTuple):
    """What a recording says of a ``quantity``, in the measurement's unit, described by ``description``."""

    quantity: str
    value: float
    description: str


def probability_below(measurement: Measurement, name: str, value: float) -> float:
    """The probability that a quantity is below ``value``."""
    index = measurement.index(name)
    return float(
        sum(
            component.weight * ndtr((value - component.mean[index]) / math.sqrt(component.covariance[index, index]))
            for component in measurement.components
        )
    )


def compare_claims(measured: Measurement, claimed: Iterable[Claimed], origin: str) -> list[dict[str, object]]:
    """Each claim of ``origin`` against what was measured: its values, and whether it agrees; those of what is undetermined are left out."""
    comparisons = []
    for claim in claimed:
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
        text = f"{claim.value * factor:.5g} {word}".rstrip()
        comparisons.append({
            "quantity": claim.quantity, "claimed": claim.value, "measured": mean, "error": std, "unit": unit, "agrees": agrees,
            "words": f"{origin} claims {claim.description} of {text}, measured {number} ± {error} {word}".rstrip(),
        })  # fmt: skip
    return comparisons


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
