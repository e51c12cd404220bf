"""Predictive distributions for the next report of a channel, from its past values.

The distribution is a mixture of a bank of trend models, the recent values (a channel that switches between levels returns to one of them) and the last
value (a channel at rest); the mixture weights are updated with every report. A mixture of calibrated forecasts is too wide (Ranjan & Gneiting,
J. R. Stat. Soc. B 72, 71, 2010), so its distribution function is passed through a symmetric beta function whose sharpness is estimated as well.
If a channel reports in steps, a value stands for its rounding cell, half a step to either side.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.special import betainc, ndtr

from learn.channels.bank import TrendBank
from learn.channels.steps import reporting_step

MIN_VALUES = 10
"""Smallest number of values to start a forecaster."""

RECALLED = 300
SHARES = np.array([8.0, 1.0, 1.0])
SHARES_MEMORY = 300.0
SHARPNESS = np.array([0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0])
SHARPNESS_PRIOR = -0.5 * (np.log(SHARPNESS) / 0.7) ** 2
SHARPNESS_MEMORY = 50.0


@dataclasses.dataclass(frozen=True)
class OneStep:
    """Forecast of one value: distribution function, quantiles, density. All in the channel's unit."""

    forecaster: "Forecaster"

    def below(self, values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Probability that the value is at most each of ``values``."""
        return self.forecaster._sharpened(self.forecaster._mixed(np.asarray(values, dtype=np.float64)))

    def quantile(self, chances: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Quantiles at the probabilities ``chances``, by bisection."""
        chances = np.asarray(chances, dtype=np.float64)
        centre, width = self.forecaster._outline()
        low, high = np.full(chances.shape, centre - width), np.full(chances.shape, centre + width)
        for _ in range(200):
            short, long = self.below(low) > chances, self.below(high) < chances
            if not (short.any() or long.any()):
                break
            width *= 2.0
            low, high = np.where(short, low - width, low), np.where(long, high + width, high)
        for _ in range(50):
            middle = 0.5 * (low + high)
            under = self.below(middle) < chances
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return 0.5 * (low + high)

    @property
    def mean(self) -> float:
        """The median: a mixture of Student's t distributions of few degrees of freedom need not have a mean."""
        return float(self.quantile(np.array([0.5]))[0])

    @property
    def std(self) -> float:
        """Half the width of the central 68.27 % interval: the standard deviation of a Gaussian."""
        low, high = self.quantile(np.array([0.158655, 0.841345]))
        return float(high - low) / 2.0

    def cell(self, value: float) -> tuple[float, float]:
        """Probabilities below the lower and the upper edge of the rounding cell of ``value``; equal if values come without steps."""
        half = 0.5 * self.forecaster.step
        low, high = self.below(np.array([value - half, value + half]))
        return float(low), float(high)

    def log_density(self, value: float) -> float:
        """Log of the probability density at ``value`` (1/unit); for values in steps, log of the cell's probability divided by the step."""
        return self.forecaster._log_density(value)[0]


class Forecaster:
    """Forecasts of one channel: initialised with some values, then ``predict`` and ``update`` in turn. Only past values enter."""

    def __init__(self, times: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]):
        """Start from ``values`` at ``times`` (s, increasing). ValueError if there are fewer than MIN_VALUES or all are equal."""
        if len(values) < MIN_VALUES:
            raise ValueError(f"{len(values)} values are too few to forecast from; give {MIN_VALUES} or more")
        changes = np.abs(np.diff(values))
        if not (changes > 0).any():
            raise ValueError(
                f"all {len(values)} values are the same: there is nothing to forecast; give some that vary"
            )
        self.step = reporting_step(values)
        self.scale = float(np.median(changes[changes > 0]))
        self.bank = TrendBank(float(values[0]), self.scale, float(np.median(np.diff(times))), self.step)
        self.shares = SHARES.copy()
        self.sharpness = SHARPNESS_PRIOR.copy()
        self.time, self.past = float(times[0]), [float(values[0])]
        for time, value in zip(times[1:], values[1:], strict=True):
            self.predict(float(time))
            self.update(float(value))

    def predict(self, time: float) -> OneStep:
        """Forecast of a value at ``time`` (s), later than all before. Call ``update`` next."""
        if not time > self.time:
            raise ValueError(f"time {time!r} is not after {self.time!r}; give later ones only")
        self.bank.predict(time - self.time)
        self.time = time
        self._recalled = np.array(self.past[-RECALLED:])
        self._wide = max(self.scale, self.step / 3.0)
        self._narrow = max(self.step / 6.0, 1e-3 * self.scale)
        return OneStep(self)

    def update(self, value: float) -> None:
        """Update with the observed value."""
        _, parts, factors = self._log_density(value)
        shares = self.shares / self.shares.sum() * parts
        self.shares = np.maximum(self.shares * (1 - 1 / SHARES_MEMORY) + shares / shares.sum(), 0.05)
        log_likelihoods = (self.sharpness - SHARPNESS_PRIOR) * (1 - 1 / SHARPNESS_MEMORY)
        self.sharpness = SHARPNESS_PRIOR + log_likelihoods + np.log(factors)
        self.bank.update(value, self.step)
        self.past.append(value)

    def _parts(self, values: Float[np.ndarray, " m"]) -> Float[np.ndarray, "3 m"]:
        recalled = ndtr((values - self._recalled[:, None]) / self._wide).mean(axis=0)
        return np.stack([self.bank.distribution(values), recalled, ndtr((values - self.past[-1]) / self._narrow)])

    def _mixed(self, values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        return (self.shares / self.shares.sum()) @ self._parts(values)

    def _weights(self) -> Float[np.ndarray, " s"]:
        weights = np.exp(self.sharpness - self.sharpness.max())
        return weights / weights.sum()

    def _sharpened(self, chances: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        return self._weights() @ betainc(SHARPNESS[:, None], SHARPNESS[:, None], np.clip(chances, 0.0, 1.0))

    def _log_density(self, value: float) -> tuple[float, Float[np.ndarray, " 3"], Float[np.ndarray, " s"]]:
        """Log density at a value; densities of the three components; factor on the mixture density for each sharpness."""
        cell = self.step or 1e-4 * min(self._narrow, float(self.bank.std.min()))
        edges = value + 0.5 * cell * np.array([-1.0, 1.0])
        ends = self._parts(edges)
        parts = np.maximum((ends[:, 1] - ends[:, 0]) / cell, 1e-300)
        share = self.shares / self.shares.sum()
        low, high = np.clip(share @ ends, 0.0, 1.0)
        sharp = betainc(SHARPNESS, SHARPNESS, high) - betainc(SHARPNESS, SHARPNESS, low)
        factors = np.clip(sharp / max(high - low, 1e-300), 1e-6, None)
        return float(np.log(max(share @ parts, 1e-300)) + np.log(self._weights() @ factors)), parts, factors

    def _outline(self) -> tuple[float, float]:
        """A centre and a width that contain most of the distribution."""
        centre = float(self.bank.weights @ self.bank.mean)
        return centre, 10.0 * float(self.bank.weights @ self.bank.std) + self.scale


@dataclasses.dataclass(frozen=True)
class ForecastScores:
    """One-step forecasts compared with the values observed.

    ``inside`` [m] is the share of each value's cell within its interval (0 or 1 without steps).
    """

    log_density: np.ndarray
    centre_inside: np.ndarray
    inside: np.ndarray
    step: float


def score_forecasts(
    times: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], begin: int, share: float = 0.9, width: float = 1.0
) -> ForecastScores:
    """Forecast each value from index ``begin`` on from the values before it, and check central intervals of probability ``share``.

    ``width`` other than 1 scales the intervals about their median, to test the check itself.
    """
    forecaster = Forecaster(times[:begin], values[:begin])
    density, centre, inside = [], [], []
    ends = np.array([0.5 - share / 2, 0.5 + share / 2])
    for time, value in zip(times[begin:], values[begin:], strict=True):
        forecast = forecaster.predict(float(time))
        low, high = ends
        if width != 1.0:
            middle, *edges = forecast.quantile(np.array([0.5, *ends]))
            low, high = forecast.below(middle + width * (np.array(edges) - middle))
        under, over = forecast.cell(float(value))
        at = float(forecast.below(np.array([value]))[0])
        centre.append(low <= at <= high)
        held = np.clip(over, low, high) - np.clip(under, low, high)
        inside.append(held / (over - under) if over > under else float(centre[-1]))
        density.append(forecast.log_density(float(value)))
        forecaster.update(float(value))
    return ForecastScores(np.array(density), np.array(centre, dtype=float), np.array(inside), forecaster.step)


def last_value_baseline(values: Float[np.ndarray, " n"], begin: int) -> float:
    """Mean log density of the values from ``begin`` on under a Gaussian about the last value, with the rms of earlier one-step changes."""
    rms = float(np.std(np.diff(values[:begin])))
    changes = np.diff(values)[begin - 1 :]
    if rms == 0:
        return float("-inf")
    return float((-0.5 * (changes / rms) ** 2 - np.log(rms * np.sqrt(2 * np.pi))).mean())
