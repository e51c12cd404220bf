"""What a measurement of a file comes to: the quantities, what the file claimed against them, and what disagrees."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from reconstruct.measure.measurement import Component, Measurement
from scenarios.measure.data.inputs import Given
from twin.units import rounded, scale

CONTRADICTED = 0.997
"""Central interval of a quantity in which a file's claim must lie not to be contradicted."""
MISFIT = 2.0
"""Sum of squares over degrees of freedom from which a fit disagrees with its data."""
REFUSED = "the structure does not fit"
"""How the estimators of a known crystal begin when the image is of another."""


class Claim(NamedTuple):
    """What the file says of a ``quantity``, in the measurement's unit, in ``words``."""

    quantity: str
    value: float
    words: str


class Found(NamedTuple):
    """A measurement of a ``kind`` made of ``given`` files; ``judged``: its misfit is 1 for a model that is right."""

    kind: str
    given: tuple[Given, ...]
    measurement: Measurement
    claims: tuple[Claim, ...] = ()
    judged: bool = True


def place(measurement: Measurement, name: str, value: float) -> float:
    """The chance that a quantity is below ``value``."""
    at = measurement.index(name)
    return float(
        sum(
            one.weight * ndtr((value - one.mean[at]) / math.sqrt(one.covariance[at, at]))
            for one in measurement.components
        )
    )


def contradictions(found: Found) -> list[dict[str, object]]:
    """Each claim against what was measured: its values, and whether it agrees; those of what is undetermined are left out."""
    told, measured = [], found.measurement
    for one in found.claims:
        if one.quantity not in measured.names or one.quantity in measured.undetermined:
            continue
        at = measured.index(one.quantity)
        likeliest = readings(measured)[0]
        mean, std, unit = float(likeliest.mean[at]), math.sqrt(likeliest.covariance[at, at]), measured.units[at]
        agrees = abs(place(measured, one.quantity, one.value) - 0.5) <= 0.5 * CONTRADICTED
        factor, word = scale(max(abs(mean), std), unit, one.quantity)
        number, error = rounded(mean * factor, std * factor)
        claimed = f"{one.value * factor:.5g} {word}".rstrip()
        told.append({
            "quantity": one.quantity, "claimed": one.value, "measured": mean, "error": std, "unit": unit, "agrees": agrees,
            "words": f"the file claims {one.words} of {claimed}, measured {number} ± {error} {word}".rstrip(),
        })  # fmt: skip
    return told


def disagreements(found: Found) -> list[str]:
    """What disagrees, as sentences: claims, a misfit that is far above 1, a structure that does not fit."""
    said = [str(one["words"]) for one in contradictions(found) if not one["agrees"]]
    measured = found.measurement
    refused = [why for why in measured.undetermined.values() if why.startswith(REFUSED)]
    if refused:
        said.append(refused[0])
    if found.judged and math.isfinite(measured.misfit) and measured.misfit > MISFIT:
        said.append(f"the misfit is {measured.misfit:.2g}, where a model that is right leaves 1")
    return list(dict.fromkeys(said))


def chosen(measurement: Measurement, names: dict[str, tuple[str, str, float]]) -> Measurement:
    """Only the quantities ``names``: {name: (new name, unit, factor)}."""
    places = [measurement.index(name) for name in names]
    factors = np.array([factor for _, _, factor in names.values()])
    parts = tuple(
        Component(
            one.weight,
            one.mean[places] * factors,
            one.covariance[np.ix_(places, places)] * np.outer(factors, factors),
        )
        for one in measurement.components
    )
    return dataclasses.replace(
        measurement,
        names=tuple(new for new, _, _ in names.values()),
        units=tuple(unit for _, unit, _ in names.values()),
        components=parts,
        undetermined={names[name][0]: why for name, why in measurement.undetermined.items() if name in names},
    )


def readings(measurement: Measurement) -> list[Component]:
    """The mixture with components that lie within each other's errors taken together: what a person would call its readings, likeliest first."""
    groups: list[list[Component]] = []
    for one in sorted(measurement.components, key=lambda part: -part.weight):
        for group in groups:
            if any(_near(one, other) for other in group):
                group.append(one)
                break
        else:
            groups.append([one])
    merged = []
    for group in groups:
        weight = sum(one.weight for one in group)
        mean = np.sum([one.weight * one.mean for one in group], axis=0) / weight
        spread = np.sum(
            [one.weight * (one.covariance + np.outer(one.mean - mean, one.mean - mean)) for one in group], axis=0
        )
        merged.append(Component(float(weight), mean, spread / weight))
    return sorted(merged, key=lambda part: -part.weight)


def _near(one: Component, other: Component) -> bool:
    wide = np.sqrt(np.diag(one.covariance) + np.diag(other.covariance))
    return bool((np.abs(one.mean - other.mean) < 3.0 * wide).all())
