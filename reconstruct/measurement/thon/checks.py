"""Whether the rings of a fit are those of the spectrum: predictions of sectors and rings that were left out, and what rings say of numbers that were stated."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.outcome import FitCheck
from reconstruct.measurement.thon.fit import Fit, Prior, fit_rings, score_blocks
from reconstruct.measurement.thon.model import C30, PSI, Model
from reconstruct.measurement.thon.spectrum import Power

SECTORS, SHELLS, FOLDS = 12, 90, 4
"""Blocks of the spectrum that are predicted, and the parts in which they are left out, as fields of a chess board of four colours."""
SIGNIFICANCE = 4.0
"""Standard deviations of counting that are taken off a statistic before it is compared."""
MAX_UNEXPLAINED = 0.15
"""Share of the rings' structure that a fit may leave."""
MAX_DEVIATION = 5.0
"""Standard deviations between a number that was stated and what the rings say."""
C30_TOLERANCE, PSI_TOLERANCE = (0.05, 1e5), 0.35
"""How well a lens's C30 is known (share, and angstrom), and by how much psi may differ for the amplitude contrast of a film (radian)."""

SPHERICAL = "spherical aberration by the rings"
"""Name of the check that measures it."""


class Prediction(NamedTuple):
    """Of blocks [b]: mean ``ratio`` of power to prediction, effective ``count`` of frequencies, mean prediction (``rings``) and mean power (``smooth_ratio``)
    over a spectrum without rings."""

    ratio: np.ndarray
    count: np.ndarray
    rings: np.ndarray
    smooth_ratio: np.ndarray


def predict_left_out(power: Power, model: Model, fit: Fit, smooth: np.ndarray) -> Prediction:
    """The power of blocks of sectors and shells as predicted by fits from which they were left out, each a Fisher step away from ``fit``; ``smooth`` [m] is
    the logarithm of a spectrum without rings."""
    block = score_blocks(power, SECTORS, SHELLS)
    colour = (block // SHELLS) % 2 + 2 * ((block % SHELLS) % 2)
    log, rows = model(fit.values)
    share = power.weight / power.tied
    score = rows * (share * (1.0 - power.power * np.exp(-log)))
    weighted = rows * share
    scale = np.sqrt((weighted * rows).sum(axis=1) + 1e-12)
    predicted = np.empty_like(log)
    for fold in range(FOLDS):
        out = colour == fold
        kept = (weighted[:, ~out] @ rows[:, ~out].T) / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
        # at the fit the scores of all add up to what the prior pulls: without those left out the rest have their negative
        step = np.linalg.solve(kept, score[:, out].sum(axis=1) / scale) / scale
        step[C30] = 0.0
        predicted[out] = log[out] + np.clip(step @ rows[:, out], -1.0, 1.0)
    weight = np.bincount(block, power.weight, SECTORS * SHELLS)
    use = weight > 6.0 * power.tied

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(block, power.weight * values, SECTORS * SHELLS)[use] / weight[use]

    return Prediction(
        mean(power.power * np.exp(-predicted)),
        weight[use] / power.tied,
        mean(np.exp(predicted - smooth)),
        mean(power.power * np.exp(-smooth)),
    )


def unexplained(prediction: Prediction) -> float:
    """Share of the structure beyond a smooth spectrum that the prediction misses, `SIGNIFICANCE` standard deviations of counting taken off."""
    ratio, count, rings, smooth = prediction
    missed = float((count * rings**2 * ((ratio - 1.0) ** 2 - 1.0 / count)).sum())
    spread = math.sqrt(float((rings**4 * (2.0 + 6.0 / count)).sum()))
    there = float((count * (smooth - 1.0) ** 2 - smooth**2 * count / (count + 1.0)).sum())
    predicted = float((count * (rings - 1.0) ** 2).sum())
    return float(missed - SIGNIFICANCE * spread) / max(there, predicted, 1.0)


def ring_check(prediction: Prediction) -> FitCheck:
    """Whether rings that were left out are predicted."""
    finding = (
        "its rings do not pass through those of the power spectrum; the defocus may be beyond the span that was searched, the energy, pixel or spherical "
        "aberration another, or the power not of an amorphous film: look at the figure, or use another part of the image"
    )
    return FitCheck("unexplained share of the rings", max(unexplained(prediction), 0.0), MAX_UNEXPLAINED, finding)


def stated_checks(power: Power, model: Model, fit: Fit, prior: Prior, free_phase: bool) -> tuple[FitCheck, ...]:
    """What the rings say of spherical aberration and phase where these are free, against what was stated."""
    checks = []
    free = dataclasses.replace(prior, c30_spread=abs(prior.c30) + 1e8)
    freed = fit_rings(power, model, fit.values, free)
    value, std = freed.values[C30], freed.std[C30]
    tolerance = C30_TOLERANCE[0] * abs(prior.c30) + C30_TOLERANCE[1]
    finding = (
        f"its rings have the distances of a spherical aberration of {value / 1e7:.3g} ± {std / 1e7:.2g} mm, not {prior.c30 / 1e7:.3g} mm: the energy, "
        "the pixel or the spherical aberration is another than stated"
    )
    deviation = float(max(abs(value - prior.c30) - tolerance, 0.0) / std)
    measured = float(value), float(std)
    checks.append(FitCheck(SPHERICAL, deviation, MAX_DEVIATION, finding, measured))
    if not free_phase:
        freed = fit_rings(power, model, fit.values, dataclasses.replace(prior, psi_spread=1.0))
        off, std = freed.values[PSI] - prior.psi, freed.std[PSI]
        off = (off + 0.5 * math.pi) % math.pi - 0.5 * math.pi
        finding = (
            f"its rings are shifted by {math.degrees(off):.0f} ± {math.degrees(std):.1g} degrees: a phase plate, or the energy, the pixel or the spherical "
            'aberration is another than stated; with a phase plate give its phase shift, or "free"'
        )
        deviation = float(max(abs(off) - PSI_TOLERANCE, 0.0) / std)
        checks.append(FitCheck("phase of the rings", deviation, MAX_DEVIATION, finding))
    return tuple(checks)
