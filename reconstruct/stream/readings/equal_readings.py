"""Classification of a run of equal readings: the quantity is held, the sensor is stuck, or it is saturated, whichever is most probable.

- held: the quantity is at rest and the sensor repeats it. A sensor whose noise is its own repeats itself only by chance; a sensor that is
  quieter at rest than its table says always does. The readings before the run decide between these: scatter above rounding and the
  uncertain time of a changing quantity is noise of the sensor, which does not vanish at rest. A rest that the model did not predict is an
  uncommanded change. Where other sensors of the quantity contradict this one, it is not held.
- stuck: the sensor repeats its last value whatever the quantity does.
- saturated: as stuck, but at the largest or smallest value so far, with the readings before the run extrapolating beyond it.
"""

import math
from typing import NamedTuple

import numpy as np

STICKING_PROBABILITY = 1e-5
"""Assumed probability, at each reading, that a sensor sticks."""
QUIET_AT_REST_PROBABILITY = 0.05
"""Assumed probability that a sensor is quieter at rest than its table says."""
UNCOMMANDED_REST_PROBABILITY = 1e-3
"""Assumed probability that a quantity is brought to rest, or moved again, at that time without a command."""
OUTLIER_PROBABILITY = 0.01
"""Probability that a reading of a working sensor is an outlier."""
SATURATION_SIGMAS = 3.0
"""Standard deviations by which earlier readings must extrapolate beyond the value of a saturated sensor."""
CORRELATED = 3
"""Neighbouring residuals that share a reading."""
MIN_READINGS = 5
"""Readings before a run needed to judge their scatter."""


class EqualRun(NamedTuple):
    """``count`` repeats of ``value``, each with probability ``repeat`` by the table's noise; ``excess`` is the log likelihood ratio for noise
    that stays at rest (`scatter_excess`); ``low`` and ``high`` bound all readings before; the model's prediction is ``away`` from the value by so
    many standard deviations, and the readings before lead ``beyond`` it by so many (both signed); by ``refused`` readings in a row the run
    and other sensors of the same quantity contradict each other."""

    count: float
    repeat: float
    value: float
    excess: float
    low: float
    high: float
    away: float
    beyond: float
    refused: int


def explanation(run: EqualRun) -> str:
    """The most probable of "held", "stuck", "saturated" and "" (noise that repeats by chance)."""
    odds = math.log(QUIET_AT_REST_PROBABILITY) - math.log1p(-QUIET_AT_REST_PROBABILITY) - run.excess
    chance = -float(np.logaddexp(0.0, odds)) + run.count * math.log(run.repeat)
    rest = max(-0.5 * run.away**2, math.log(UNCOMMANDED_REST_PROBABILITY))
    # outliers by chance, in a row somewhere in the run
    contradicted = (
        min(run.refused * math.log(OUTLIER_PROBABILITY) + math.log(max(run.count, 1.0)), 0.0) if run.refused else 0.0
    )
    held = -float(np.logaddexp(0.0, -odds)) + rest + contradicted
    if max(chance, held) > math.log(STICKING_PROBABILITY):
        return "held" if held > chance else ""
    above = run.value >= run.high and run.beyond > SATURATION_SIGMAS
    below = run.value <= run.low and run.beyond < -SATURATION_SIGMAS
    return "saturated" if above or below else "stuck"


def scatter_excess(times: np.ndarray, values: np.ndarray, step: float) -> float:
    """Log likelihood ratio of noise that stays at rest to none, from ``values`` [n] at ``times`` [n] (ns), reported in steps of ``step``.

    The residuals are those of each reading from the line between its neighbours. Without noise of its own, what is left is rounding and,
    where the quantity moves, a time that is uncertain by up to one interval: slope^2 interval^2 / 12. Zero where that explains the scatter.
    """
    if len(values) < MIN_READINGS:
        return 0.0
    t = (times - times[0]) * 1e-9
    whole = t[2:] - t[:-2]
    share = (t[1:-1] - t[:-2]) / whole
    residual = values[1:-1] - (1.0 - share) * values[:-2] - share * values[2:]
    slope = (values[2:] - values[:-2]) / whole
    weight = 1.0 + share**2 + (1.0 - share) ** 2
    explained = weight * (step**2 + (0.5 * whole * slope) ** 2) / 12.0
    # the median, which outliers do not move, as a part of that of a chi-square of one degree of freedom
    ratio = float(np.median(residual**2 / np.maximum(explained, 1e-300))) / 0.455
    if ratio <= 1.0:
        return 0.0
    return 0.5 * len(residual) / CORRELATED * (ratio - 1.0 - math.log(ratio))


def led_beyond(times: np.ndarray, values: np.ndarray, until: int, value: float) -> float:
    """Signed number of standard deviations by which the line through ``values`` [n] at ``times`` [n] (ns) lies beyond ``value`` at ``until`` (ns)."""
    if len(values) < MIN_READINGS:
        return 0.0
    t = (times - until) * 1e-9
    design = np.stack([np.ones(len(t)), t / np.abs(t).max()], axis=1)
    line, *_ = np.linalg.lstsq(design, values - value, rcond=None)
    residual = values - value - design @ line
    scatter = float(residual @ residual) / (len(t) - 2)
    # the line's own error, and that of one reading
    variance = scatter * (1.0 + float(np.linalg.inv(design.T @ design)[0, 0]))
    return float(line[0]) / math.sqrt(variance) if variance > 0 else 0.0
