"""What a recording claims, against what was measured of it."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from scipy.special import ndtri

from reconstruct.measurement.measurement import Component, Measurement
from twin.units import rounded, scale

CLAIM_INTERVAL = 0.997
"""Central interval of a reading in which a claim must lie not to be contradicted."""
MAX_DEVIATION = float(ndtri(0.5 + 0.5 * CLAIM_INTERVAL))
"""The same in standard deviations."""


class Claimed(NamedTuple):
    """What a recording says of a ``quantity``, in the measurement's unit, described by ``description``."""

    quantity: str
    value: float
    description: str


def compare_claims(measured: Measurement, claimed: Iterable[Claimed], origin: str) -> list[dict[str, object]]:
    """Each claim of ``origin`` against what was measured: its values, and whether it agrees; those of what is undetermined are left out.

    A claim is held against each reading by itself, on the circle where the quantity has a period: between two readings it agrees with neither. It agrees if the
    reading nearest to it, in standard deviations, has it in its `CLAIM_INTERVAL`.
    """
    comparisons = []
    for claim in claimed:
        if claim.quantity not in measured.names or claim.quantity in measured.undetermined:
            continue
        index, readings = measured.index(claim.quantity), measured.readings
        unit, period = measured.units[index], measured.periods.get(claim.quantity)
        nearest = min(readings, key=lambda reading: _deviation(reading, index, claim.value, period))
        agrees = _deviation(nearest, index, claim.value, period) <= MAX_DEVIATION
        reading = nearest if agrees else readings[0]
        mean, std = float(reading.mean[index]), math.sqrt(reading.covariance[index, index])
        factor, word = scale(max(abs(mean), std), unit, claim.quantity)
        number, error = rounded(mean * factor, std * factor)
        text = f"{claim.value * factor:.5g} {word}".rstrip()
        share = f" (one of {len(readings)} readings, {reading.weight:.1%})" if len(readings) > 1 else ""
        comparisons.append({
            "quantity": claim.quantity, "claimed": claim.value, "measured": mean, "error": std, "unit": unit, "agrees": agrees,
            "words": f"{origin} claims {claim.description} of {text}, measured {number} ± {error} {word}".rstrip() + share,
        })  # fmt: skip
    return comparisons


def _deviation(reading: Component, index: int, value: float, period: float | None) -> float:
    """Standard deviations between a reading and a value."""
    difference = value - float(reading.mean[index])
    if period is not None:
        difference = (difference + 0.5 * period) % period - 0.5 * period
    return abs(difference) / math.sqrt(reading.covariance[index, index])
