"""White noise and drift of a channel by maximum likelihood, with errors.

Four processes with white noise are compared by the Bayesian information criterion (Schwarz, Ann. Stat. 6, 461, 1978): a constant level, a random walk,
an integrated random walk (the slope walks), and a level that relaxes to a mean with a time constant (Ornstein-Uhlenbeck). Likelihoods are exact at
irregular times (Kalman filter with a diffuse initial state; Durbin & Koopman, Time Series Analysis by State Space Methods, 2nd ed., chapters 2 and 5).
"""

import dataclasses
import math
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

Process = Literal["steady", "walk", "trend", "wander"]

MIN_VARYING_VALUES = 12
"""Smallest number of different successive values from which noise and drift are separated."""

MAX_VALUES = 600
"""Number of values, the latest, in the likelihood: more would not change the estimate."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number estimated from a log: ``value`` +- ``error`` (one standard deviation) in ``unit``; ``at_most``: an upper limit (95 %)."""

    value: float
    error: float | None
    unit: str
    at_most: bool = False


@dataclasses.dataclass(frozen=True)
class TooFew:
    """No estimate, since the log holds too little: ``needed`` and ``present`` count ``what``."""

    needed: int
    present: int
    what: str = "values that vary"

    def __str__(self) -> str:
        return f"too few: {self.present} of {self.needed} {self.what}"


@dataclasses.dataclass(frozen=True)
class Drift:
    """Noise and drift of a channel. ``noise``: rms of the white part, without that of rounding to steps.

    ``drift``: rate of a random walk (unit/sqrt(s)), of a walking slope (unit/s^1.5), or rms of an Ornstein-Uhlenbeck process (unit), which has a
    ``time_constant`` (s). ``bic`` of each process that was tried, relative to the best. ``note`` says what contradicts the process chosen.
    """

    process: Process
    noise: Estimate
    drift: Estimate | None
    time_constant: Estimate | None
    bic: dict[str, float]
    used: int
    note: str = ""


def learn_drift(
    times: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], step: float = 0.0, unit: str = ""
) -> Drift | TooFew:
    """Noise and drift of ``values`` (``unit``) at ``times`` (s), reported in steps of ``step`` (0: none)."""
    t, x = np.asarray(times[-MAX_VALUES:], dtype=np.float64), np.asarray(values[-MAX_VALUES:], dtype=np.float64)
    changes = int((np.diff(x) != 0).sum()) + 1 if len(x) > 1 else len(x)
    if changes < MIN_VARYING_VALUES:
        return TooFew(MIN_VARYING_VALUES, changes if changes > 1 else 0)
    gaps = np.diff(t)
    second, scale = float(np.median(gaps)), float(np.std(np.diff(x))) or float(np.std(x))
    problem = _Problem((gaps / second).tolist(), ((x - x[0]) / scale).tolist(), max((step / scale) ** 2 / 12, 1e-10))
    fits = {process: problem.fit(process) for process in ("steady", "walk", "trend", "wander")}
    count = {"steady": 1, "walk": 2, "trend": 2, "wander": 3}
    bic = {key: count[key] * math.log(len(x)) - 2 * fit[1] for key, fit in fits.items()}
    chosen: Process = min(bic, key=bic.__getitem__)  # type: ignore[assignment]
    logs, _ = fits[chosen]
    errors = problem.errors(chosen, logs)
    factors = {"steady": (), "walk": (second**-0.5,), "trend": (second**-1.5,), "wander": (1.0, second)}[chosen]
    units = {"steady": (), "walk": (f"{unit}/√s",), "trend": (f"{unit}/s^1.5",), "wander": (unit, "s")}[chosen]
    terms = [
        problem.estimate(chosen, logs, errors, index, scale * factor if index < 2 else factor, name)
        for index, (factor, name) in enumerate(zip((1.0, *factors), (unit, *units), strict=True))
    ]
    best = min(bic.values())
    return Drift(
        chosen, terms[0], terms[1] if len(terms) > 1 else None, terms[2] if len(terms) > 2 else None,
        {key: value - best for key, value in bic.items()}, len(x), problem.complaint(chosen, logs),
    )  # fmt: skip


class _Problem:
    """Likelihood of one channel in scaled units: time in median intervals, values in rms changes; parameters are logs of rms sizes and time
    constant.
    """

    LOWEST, HIGHEST = math.log(1e-5), math.log(1e4)

    def __init__(self, gaps: list[float], values: list[float], floor: float):
        self.gaps, self.values, self.floor = gaps, values, floor

    def fit(self, process: Process) -> tuple[list[float], float]:
        """Best parameters and their log likelihood, by coordinate search from several starts."""
        beginnings = {
            "steady": ([0.0],),
            "walk": ([-0.7, -0.7], [-3.0, 0.0], [0.0, -3.0]),
            "trend": ([-0.7, -2.0], [-3.0, -1.0], [-0.5, -5.0]),
            "wander": ([-0.7, 0.5, 1.5], [-0.7, 1.0, 3.5]),
        }[process]
        optima = [self._climb(process, list(start)) for start in beginnings]
        return max(optima, key=lambda item: item[1])

    def _climb(self, process: Process, logs: list[float]) -> tuple[list[float], float]:
        best = self.likelihood(process, logs)
        for turn in range(12):
            before = best
            for index in range(len(logs)):
                reach = 3.0 if turn == 0 else 1.0

                def worse(value: float, index: int = index) -> float:
                    return -self.likelihood(process, [*logs[:index], value, *logs[index + 1 :]])

                edges = (max(self.LOWEST, logs[index] - reach), min(self.HIGHEST, logs[index] + reach))
                step: Any = minimize_scalar(
                    worse, bounds=edges, method="bounded", options={"xatol": 0.02, "maxiter": 12}
                )
                if -float(step.fun) > best:
                    logs[index], best = float(step.x), -float(step.fun)
            if best - before < 0.01:
                break
        return logs, best

    def likelihood(self, process: Process, logs: list[float], errors: list[float] | None = None) -> float:
        """Log likelihood; appends the standardised one-step errors to ``errors`` if given."""
        noise = math.exp(2 * logs[0]) + self.floor
        rate = math.exp(2 * logs[1]) if len(logs) > 1 else 0.0
        tau = math.exp(logs[2]) if len(logs) > 2 else 1.0
        # state: level (or mean) and slope (or wandering part); diffuse in the first, and in the slope of a trend
        level, other, p00, p01, p11 = self.values[0], 0.0, noise, 0.0, 0.0
        if process == "trend":
            p11 = 1e4
        elif process == "wander":
            p01, p11 = -rate, rate
            p00 = noise + rate
        total = 0.0
        for gap, value in zip(self.gaps, self.values[1:], strict=True):
            if process == "wander":
                keep = math.exp(-gap / tau)
                other *= keep
                p01, p11 = keep * p01, keep * keep * p11 + rate * (1 - keep * keep)
                expected, h0, h1 = level + other, p00 + p01, p01 + p11
            elif process == "trend":
                level += gap * other
                p00 += 2 * gap * p01 + gap * gap * p11 + rate * gap**3 / 3
                p01 += gap * p11 + rate * gap * gap / 2
                p11 += rate * gap
                expected, h0, h1 = level, p00, p01
            else:
                p00 += rate * gap
                expected, h0, h1 = level, p00, p01
            variance = max((h0 + h1 if process == "wander" else h0) + noise, 1e-12)
            error = value - expected
            total -= 0.5 * (error * error / variance + math.log(variance))
            if errors is not None:
                errors.append(error / math.sqrt(variance))
            level, other = level + h0 / variance * error, other + h1 / variance * error
            p00, p01, p11 = p00 - h0 * h0 / variance, p01 - h0 * h1 / variance, p11 - h1 * h1 / variance
        return total if math.isfinite(total) else -1e12

    def errors(self, process: Process, logs: list[float]) -> list[float]:
        """Standard deviations of the parameters from the curvature of the likelihood; infinite where it is flat."""
        size, reach = len(logs), 0.1
        hessian = np.zeros((size, size))

        def at(*moves: tuple[int, float]) -> float:
            moved = list(logs)
            for index, move in moves:
                moved[index] += move
            return self.likelihood(process, moved)

        centre = at()
        for i in range(size):
            hessian[i, i] = -(at((i, reach)) + at((i, -reach)) - 2 * centre) / reach**2
            for j in range(i):
                mixed = (
                    at((i, reach), (j, reach))
                    - at((i, reach), (j, -reach))
                    - at((i, -reach), (j, reach))
                    + at((i, -reach), (j, -reach))
                )
                hessian[i, j] = hessian[j, i] = -mixed / (4 * reach**2)
        values, vectors = np.linalg.eigh(hessian)
        spread = np.where(values > 1e-3, 1.0 / np.maximum(values, 1e-3), 1e6)
        return np.sqrt((vectors**2) @ spread).tolist()

    def estimate(
        self, process: Process, logs: list[float], errors: list[float], index: int, factor: float, unit: str
    ) -> Estimate:
        """One size with its error, or an upper limit (log likelihood lower by 1.35: 95 % one-sided) if zero is possible."""
        if errors[index] < 0.6:
            value = math.exp(logs[index]) * factor
            return Estimate(value, value * errors[index], unit)
        best, trial = self.likelihood(process, logs), list(logs)
        while trial[index] < self.HIGHEST and self.likelihood(process, trial) > best - 1.35:
            trial[index] += 0.1
        return Estimate(math.exp(trial[index]) * factor, None, unit, at_most=True)

    def complaint(self, process: Process, logs: list[float]) -> str:
        """What contradicts the process: one-step errors that no Gaussian produces."""
        errors: list[float] = []
        self.likelihood(process, logs, errors)
        z = np.abs(np.array(errors[2:]))
        far = int((z > 5).sum())
        return (
            f"{far} of {z.size} changes are jumps, beyond 5 standard deviations (the largest: {z.max():.0f})"
            if far
            else ""
        )
