"""What the usual protocol would cost for the same error: every pixel exposed alike, line by line."""

import math

import numpy as np

from learn.gp.spectra import GPMap
from learn.mapping.dosed.plan import DosedPlan
from learn.mapping.dosed.session import DosedSession

MOST_DENOISED = 1100
"""Pixels up to which the usual protocol is weighed with the model as well: all of them are measured, and their covariance is solved with."""
STEPS, CLOSE = 8, 0.01
"""Evaluations of that at most, and how close in the logarithm of the variance is enough."""


def even_electrons(plan: DosedPlan, shape: tuple[int, int], dwells: float) -> float:
    """Electrons of a scan of ``shape`` with so many shortest dwell times at each pixel; a line ends with the same time as a visit takes."""
    rows, columns = shape
    return plan.current * rows * (columns * dwells * plan.dwell + plan.visit)


def even_dwells(noise: np.ndarray, std: float, everywhere: bool, reading: float = 0.0) -> float:
    """Shortest dwell times (not rounded) at every pixel by which single values, of ``noise`` variance [n] in one of them and that of ``reading`` an exposure,
    have the standard deviation ``std``."""
    half = 0.5 * float(noise.max() if everywhere else noise.mean()) / std**2
    return half + math.sqrt(half**2 + reading / std**2)


def even_dwells_denoised(session: DosedSession, std: float) -> float | None:
    """The same where the session's model, with the parameters that it has, makes a map of all values; None where that would take too long."""
    model = session.model
    if not isinstance(model, GPMap) or len(model.positions) > MOST_DENOISED:
        return None
    asked = std**2 / session.discrepancy

    def excess(log_dwells: float) -> float:
        noise = session.exposures.noise_of(session.noise, math.exp(log_dwells))
        made = model.variances_if_all(np.asarray(noise))
        return math.log(float(made.max() if session.plan.everywhere else made.mean()) / asked)

    # the variance falls as a power of the dwell time, nearly: secants in logarithms
    high = math.log(even_dwells(session.noise, std, session.plan.everywhere, session.exposures.reading))
    low = high - math.log(10.0)
    at_high, at_low = excess(high), excess(low)
    for _ in range(STEPS):
        if abs(at_low) < CLOSE or at_low == at_high:
            break
        step = -at_low * (high - low) / (at_high - at_low)
        high, at_high = low, at_low
        low = low + min(max(step, -3.0), 3.0)
        at_low = excess(low)
    return math.exp(low)
