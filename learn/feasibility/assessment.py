"""How well each option answers a question, at which dose, and what stands in the way."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from learn.feasibility.scanned import Detector, Scanned, Unknown, Variations, signatures_of
from learn.feasibility.scans import ABOVE
from learn.information import AveragedTests

DOSES = np.geomspace(1.0, 1e8, 81)
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
    middle, with their difference in standard deviations ``sigmas`` at ``dose``; the ``tests`` themselves; ``titles`` of the images (None: the usual)."""

    curve: Float[np.ndarray, " d"]
    dose: float
    efficiency: float
    costs: dict[str, float]
    perfect: Float[np.ndarray, "c ny nx"]
    changed: Float[np.ndarray, "c ny nx"]
    sigmas: Float[np.ndarray, "c ny nx"]
    tests: AveragedTests
    titles: tuple[str, str] | None = None
    inseparable: tuple[str, ...] = ()
    """Unknowns that stand in the way where no dose is enough: of a change they are not told apart."""


def assess(
    scan: Scanned,
    detector: Detector,
    unknown: Unknown,
    asked: Asked,
    variations: Variations | None = None,
) -> Assessment:
    """The power of one detector of a ``scan`` to answer what is ``asked``; ``variations`` of columns as in `signatures_of`.

    Where columns are compared with one another, these tell the settings: power is averaged over the scan's others. Else settings are fitted to the column.
    """
    signatures, names = signatures_of(scan, detector, unknown, variations)
    test, area = AveragedTests(signatures if asked.references else signatures[:1], asked.references), scan.window.area
    rates = asked.false_alarms, asked.tests
    powers = np.array([test.power(dose * area, *rates) for dose in DOSES])
    dose = test.dose(asked.power, *rates) / area
    # the shift that a test of one known way needs, by the electrons that have it at the quantum limit
    shift = norm.isf(-math.expm1(math.log1p(-asked.false_alarms) / asked.tests)) + norm.isf(1.0 - asked.power)
    efficiency = float(shift**2 / np.mean(scan.quantum) / area / dose)
    costs: dict[str, float] = {}
    if math.isfinite(dose):
        # the halves' chance would hide small factors, and is the same for both
        certain = test.certain()
        least = certain.dose(asked.power, *rates)
        for name in [each for each in names if each != ABOVE]:
            own = [
                number for number, other in enumerate(names) if other == name or (other, name) == (ABOVE, "thickness")
            ]
            if certain.each[0].widths[own].any():
                costs[name] = least / certain.known(*own).dose(asked.power, *rates)
    middle = len(scan.quantum) // 2
    shape = scan.window.shape
    images = [detector.counted(each).T.reshape(-1, *shape) for each in (scan.rates, scan.changed[middle])]
    electrons = (dose if math.isfinite(dose) else DOSES[-1]) * area / len(scan.rates)
    spread = np.sqrt(np.maximum(electrons * images[0] + detector.readout, 1e-300))
    return Assessment(
        powers, dose, efficiency, costs, images[0], images[1], electrons * (images[1] - images[0]) / spread, test
    )


def averaged(assessments: Sequence[Assessment], power: float) -> Assessment:
    """One assessment of several that are as likely (thicknesses), the first standing for what is not averaged: mean power, and the dose that it needs for
    ``power``."""
    first, curve = assessments[0], np.mean([each.curve for each in assessments], axis=0)
    dose = math.inf
    if curve[-1] >= power:
        # power rises with dose but for the last digits
        dose = math.exp(float(np.interp(power, np.maximum.accumulate(curve), np.log(DOSES))))
    scale = dose / first.dose if math.isfinite(dose) and math.isfinite(first.dose) else 1.0
    quantum = np.mean([each.efficiency * each.dose if math.isfinite(each.dose) else 0.0 for each in assessments])
    return first._replace(
        curve=curve, dose=dose, efficiency=float(quantum / dose), sigmas=first.sigmas * math.sqrt(scale),
        costs=first.costs if math.isfinite(dose) else {},
    )  # fmt: skip
