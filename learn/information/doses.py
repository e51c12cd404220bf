"""The dose at which something asked for is reached."""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

LEAST_DOSE, MOST_DOSE = 1e-3, 1e14
"""Electrons between which it is looked for."""


def dose_at(lacking: Callable[[float], float]) -> float:
    """The electrons at which ``lacking`` (of electrons, falling) is zero; inf where it never is, `LEAST_DOSE` where it always was."""

    def at(logarithm: float) -> float:
        return lacking(math.exp(logarithm))

    first, last = math.log(LEAST_DOSE), math.log(MOST_DOSE)
    if at(last) > 0.0:
        return math.inf
    if at(first) <= 0.0:
        return LEAST_DOSE
    return math.exp(float(np.asarray(brentq(at, first, last, xtol=1e-3)).item()))
