"""A bank of Kalman filters for the level and trend of one channel, weighted by their past predictions.

The scale of each model is estimated from its last few errors (West & Harrison, Bayesian Forecasting and Dynamic Models, 2nd ed., section 10.8), so
its prediction is a Student's t distribution. A slope is permanent or relaxes with a time constant. Time is counted in seconds or in reports, since a
channel that reports on change makes equal changes in unequal times. Weights are Bayesian with a small share for every model (Herbster & Warmuth,
Machine Learning 32, 151, 1998), so that another model can take over.
"""

import itertools

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, stdtr

# (noise, random walk of the level, of the slope) relative to a scale that is estimated; the time unit is the median interval.
LEVELS = ((1, 0.01, 0), (1, 0.1, 0), (1, 1, 0), (0, 1, 0))
TRENDS = ((1, 0, 1e-3), (1, 0, 1e-2), (1, 0, 0.1), (1, 0, 1), (0, 1, 1e-2), (0, 1, 0.1), (0, 1, 1), (0, 0, 1))
NO_RELAXATION = 1e9
RELAXATIONS = (NO_RELAXATION, 8.0, 30.0)
MEMORIES = (5.0, 15.0, 60.0)
"""Number of errors from which the scale of a model is estimated: a short memory follows a changing scale, a long one is precise for a constant
scale.
"""

CAPS = (np.inf, 9.0)
"""Largest squared error, in predicted variances, that may change the scale: unlimited, or the limit of an outlier."""

SHARED_WEIGHT = 0.02


def _models() -> Float[np.ndarray, "7 k"]:
    common = (MEMORIES, CAPS, (0.0, 1.0))
    levels = [(*kind, NO_RELAXATION, *rest) for kind, *rest in itertools.product(LEVELS, *common)]
    trends = [(*kind, tau, *rest) for kind, tau, *rest in itertools.product(TRENDS, RELAXATIONS, *common)]
    return np.array(levels + trends, dtype=np.float64).T


class TrendBank:
    """All models of one channel; call ``predict`` and ``update`` in turn."""

    def __init__(self, first: float, scale: float, interval: float, step: float):
        """``first`` value; ``scale``: typical change between reports; ``interval``: median time between reports (s); ``step`` of reporting (0:
        none).
        """
        self.noise, self.level_walk, self.slope_walk, self.relaxation, self.memory, self.cap, self.by_report = _models()
        size = self.noise.size
        self.interval, self.floor, self.least = interval, step**2 / 12.0, 1e-12 * scale**2
        self.level, self.slope = np.full(size, first), np.zeros(size)
        self.p00, self.p01, self.p11 = np.maximum(self.noise, 1e-6), np.zeros(size), np.full(size, 10.0)
        self.scale, self.dof = np.full(size, scale**2), np.ones(size)
        self.weights = np.full(size, 1.0 / size)

    def predict(self, elapsed: float) -> None:
        """Propagate all models by ``elapsed`` seconds and set ``mean``, ``std`` and ``dof`` [k] of their predictions."""
        s = np.where(self.by_report > 0, 1.0, elapsed / self.interval)
        lasting = self.relaxation >= NO_RELAXATION
        tau = np.where(lasting, 1.0, self.relaxation)
        keep = np.where(lasting, 1.0, np.exp(-s / tau))
        reach = np.where(lasting, s, tau * -np.expm1(-s / tau))
        to_level = np.where(lasting, s**3 / 3, tau**2 * (s - 2 * reach + tau * (1 - keep**2) / 2))
        to_both = np.where(lasting, s**2 / 2, reach**2 / 2)
        to_slope = np.where(lasting, s, tau * (1 - keep**2) / 2)
        self.mean, self.slope = self.level + reach * self.slope, keep * self.slope
        self.p00 = (
            self.p00
            + 2 * reach * self.p01
            + reach**2 * self.p11
            + self.level_walk * s
            + self.slope_walk * np.maximum(to_level, 0.0)
        )
        self.p01 = keep * (self.p01 + reach * self.p11) + self.slope_walk * to_both
        self.p11 = keep**2 * self.p11 + self.slope_walk * to_slope
        self.expected = self.p00 + self.noise
        self.std = np.sqrt(self.scale * self.expected + self.floor)

    def distribution(self, values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Probability that the next value is at most each of ``values``."""
        return self.weights @ stdtr(self.dof[:, None], (values - self.mean[:, None]) / self.std[:, None])

    def update(self, value: float, step: float) -> None:
        """Update weights and states with a new ``value``. The likelihood is that of the value's rounding cell if values come in steps."""
        z = (value - self.mean) / self.std
        if step > 0:
            half = 0.5 * step / self.std
            chance = stdtr(self.dof, z + half) - stdtr(self.dof, z - half)
        else:
            norm = gammaln((self.dof + 1) / 2) - gammaln(self.dof / 2) - 0.5 * np.log(self.dof * np.pi)
            chance = np.exp(norm - (self.dof + 1) / 2 * np.log1p(z**2 / self.dof)) / self.std
        posterior = self.weights * (chance + 1e-300)
        self.weights = (1 - SHARED_WEIGHT) * posterior / posterior.sum() + SHARED_WEIGHT / posterior.size
        known = np.minimum(self.dof + 1, self.memory)
        self.scale = np.maximum(self.scale * (1 + (np.minimum(z**2, self.cap) - 1) / known), self.least)
        self.dof = known
        gain, turn = self.p00 / self.expected, self.p01 / self.expected
        error = value - self.mean
        self.level, self.slope = self.mean + gain * error, self.slope + turn * error
        self.p11 = self.p11 - turn * self.p01
        self.p01 = self.p01 - gain * self.p01
        self.p00 = np.maximum(self.p00 * (1 - gain), 1e-9)
