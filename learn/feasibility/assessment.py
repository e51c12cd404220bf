"""How well each option answers a question, at which dose, and what stands in the way."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from learn.feasibility.scanned import Detector, Scanned, signature_of
from learn.information import Signature, detection_of, dose_for

DOSES = np.geomspace(1e2, 1e8, 61)
"""Electrons per square angstrom at which power is told."""


class Asked(NamedTuple):
    """``power`` at a rate of ``false_alarms`` over ``tests`` places, compared with ``references`` columns recorded alike (0: with the prediction)."""

    power: float
    false_alarms: float
    tests: int
    references: int


class Assessment(NamedTuple):
    """Power (``curve``) at `DOSES` electrons per square angstrom, the ``dose`` at which the power asked for is reached (inf: never), the ``efficiency`` (the
    dose that the best of all detectors would need within the angles that are computed, all else being known, as a share of it), how many times more dose each
    unknown costs (``costs`` by name), and images ``perfect`` and ``changed`` [channels, ny, nx], rates for each electron on a place, of the way nearest to the
    middle, with their difference in standard deviations ``sigmas`` at ``dose``."""

    curve: Float[np.ndarray, " d"]
    dose: float
    efficiency: float
    costs: dict[str, float]
    perfect: Float[np.ndarray, "c ny nx"]
    changed: Float[np.ndarray, "c ny nx"]
    sigmas: Float[np.ndarray, "c ny nx"]
    signature: Signature


def assess(
    scan: Scanned, detector: Detector, priors: Mapping[str, float], model_error: float, asked: Asked
) -> Assessment:
    """The power of one detector of a ``scan`` to answer what is ``asked``."""
    signature = signature_of(scan, detector, priors, model_error)
    area = scan.window.area
    powers = np.array(
        [
            detection_of(signature, dose * area, asked.references).power(asked.false_alarms, asked.tests)
            for dose in DOSES
        ]
    )
    dose = _dose(signature, asked) / area
    # the shift that a test of one known way needs, by the electrons that have it at the quantum limit
    shift = norm.isf(-math.expm1(math.log1p(-asked.false_alarms) / asked.tests)) + norm.isf(1.0 - asked.power)
    efficiency = float(shift**2 / np.mean(scan.quantum) / area / dose)
    costs: dict[str, float] = {}
    if math.isfinite(dose):
        # the halves' chance would hide small factors, and is the same for both
        least = _dose(signature._replace(halves=None), asked)
        for name in (*scan.derivatives, "gain"):
            known = signature_of(scan, detector, {**priors, name: 0.0}, model_error)
            costs[name] = least / _dose(known._replace(halves=None), asked)
    middle = len(scan.changed) // 2
    shape = scan.window.shape
    images = [(each @ detector.weights.T).T.reshape(-1, *shape) for each in (scan.rates, scan.changed[middle])]
    electrons = (dose if math.isfinite(dose) else DOSES[-1]) * area / len(scan.rates)
    spread = np.sqrt(np.maximum(electrons * images[0] + detector.readout, 1e-300))
    return Assessment(
        powers, dose, efficiency, costs, images[0], images[1], electrons * (images[1] - images[0]) / spread, signature
    )


def _dose(signature: Signature, asked: Asked) -> float:
    """Electrons over the window."""
    return dose_for(signature, asked.power, asked.false_alarms, asked.references, asked.tests)
