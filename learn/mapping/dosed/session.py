"""A running map by exposures: the data so far, the predicted map, and tests of its model."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, norm

from learn.gp.spectra import MapPrediction
from learn.mapping.dosed.choice import Exposure, conditioned
from learn.mapping.dosed.exposures import Exposures
from learn.mapping.dosed.plan import DosedPlan
from learn.mapping.models import MapModel
from learn.mapping.session import FALSE_ALARM, Progress

REASONS = {
    "initial": "one of the first pixels, spread out over position and features of the survey",
    "measure": "lowers the variance of the map most per electron",
    "audit": "drawn at random, to check the model",
}
PATIENCE = 3.0
"""Times as many exposures as when the model was distrusted, after which the session ends if it still is."""
MOST_MISFIT = 1.5
"""Mean squared error of predictions over their variance up to which the variances are scaled, and beyond which the model is distrusted."""
SURE = 0.9
"""Probability with which the root mean square error of a map is to be within what is asked."""
FACTOR_PRIOR, MOST_FACTOR = 0.3, 3.0
"""Prior standard deviation, and largest size, of the logarithm of the factor on the model's variances."""
LEAST_CHECKED = 30
"""Predictions by which that factor is found at least; else the later half, since the model changes as it learns."""
STEP, LEAST_STEP = 0.35, 8
"""The parameters of the model are estimated anew when there are so many more exposures, as a share, and at least so many."""


@runtime_checkable
class DosedSource(Protocol):
    """Where exposures come from, and where the steps of a session are recorded."""

    @property
    def electrons(self) -> float:
        """Electrons spent so far, the survey included."""
        ...

    @property
    def seconds(self) -> float:
        """Time of the instrument since the session began."""
        ...

    def expose(self, row: int, column: int, dwells: int) -> np.ndarray:
        """The data of a pixel by one exposure of so many shortest dwell times."""
        ...

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """Record a step."""
        ...


def variance_factor(checked: Sequence[tuple[float, float, float]]) -> float:
    """By how much the variances of a model are to be multiplied, as the errors of its predictions tell: the most probable factor of normal errors, with a
    log-normal prior about 1.

    ``checked``: of each prediction its error, the variance by the model and that by counting noise, which is known.
    """
    if not checked:
        return 1.0
    off, variance, noise = np.array(checked).T

    def loss(log_factor: float) -> float:
        total = math.exp(log_factor) * variance + noise
        return 0.5 * float((np.log(total) + off**2 / total).sum()) + 0.5 * (log_factor / FACTOR_PRIOR) ** 2

    best = minimize_scalar(loss, bounds=(-MOST_FACTOR, MOST_FACTOR), method="bounded")
    return math.exp(float(best.x))  # pyright: ignore[reportAttributeAccessIssue]


class DosedSession:
    """Exposures so far, the predicted map (``prediction``, once there is one), and whether its model is trusted."""

    def __init__(self, source: DosedSource, model: MapModel, exposures: Exposures, plan: DosedPlan, progress: Progress):
        self.source, self.model, self.exposures, self.plan, self.progress = source, model, exposures, plan, progress
        self.prediction: MapPrediction
        self.noise = np.full(len(model.positions), math.nan)
        self.count, self.audits, self.fitted = 0, 0, 0
        self.misfit, self.freedom = 0.0, 0
        self.discrepancy = 1.0
        self._off: list[tuple[float, float, float]] = []
        self.distrusted = False
        self._doubted = 0
        self.history: list[tuple[float, float]] = []

    @property
    def asked(self) -> float:
        """The standard deviation that is asked for, in the unit of the values."""
        return self.plan.asked * abs(float(self.prediction.mean.mean())) if self.plan.relative else self.plan.asked

    @property
    def std(self) -> float:
        """The predicted standard deviation as it is asked for: root mean square over the area, or the largest."""
        variances = np.maximum(np.diag(self.prediction.covariance), 0.0) * self.discrepancy
        return math.sqrt(float(variances.max() if self.plan.everywhere else variances.mean()))

    @property
    def bound(self) -> float:
        """What the error of the map does not exceed with the probability `SURE`: its root mean square over the area (a quadratic form of normal errors, by its
        mean and variance), or, where every pixel counts, the largest standard deviation."""
        if self.plan.everywhere:
            return self.std
        spread = math.sqrt(2.0 * float((self.prediction.covariance**2).sum())) * self.discrepancy / len(self.noise)
        return math.sqrt(self.std**2 + float(norm.ppf(SURE)) * spread)

    @property
    def reached(self) -> bool:
        """Whether the map is known as well as was asked, by a model that is trusted."""
        return self.bound <= self.asked and not self.distrusted

    @property
    def hopeless(self) -> bool:
        """Whether the model is still distrusted after many more exposures."""
        return self.distrusted and self.count >= PATIENCE * self._doubted

    @property
    def stale(self) -> bool:
        """Whether the parameters of the model are to be estimated anew."""
        return self.count >= self.fitted + max(LEAST_STEP, STEP * self.fitted)

    def first(self, pixel: int, dwells: int) -> None:
        """Expose a pixel before there is a prediction."""
        self._data(pixel, dwells)
        chosen = Exposure(pixel, dwells, self.plan.prices.of(dwells), math.nan)
        self._note(chosen, "initial", math.nan, math.nan, math.nan)

    def expose(self, chosen: Exposure, decision: str) -> None:
        """Expose a pixel, compare it with its prediction, and update the map."""
        before = self.prediction
        data = self._data(chosen.pixel, chosen.dwells)
        value, _ = self.exposures.value(data, float(chosen.dwells))
        noise = float(self.exposures.noise_of(self.noise[chosen.pixel], float(chosen.dwells)))
        variance = float(before.covariance[chosen.pixel, chosen.pixel])
        predicted = float(before.mean[chosen.pixel])
        if math.isfinite(value):
            self._off.append((value - predicted, variance, noise))
            self.prediction = conditioned(before, chosen.pixel, value, noise)
        self.audits += decision == "audit"
        self._note(chosen, decision, predicted, math.sqrt(max(variance, 0.0)), value)

    def _data(self, pixel: int, dwells: int) -> np.ndarray:
        data = self.source.expose(*divmod(pixel, self.model.shape[1]), dwells)
        self.exposures.add(pixel, data, float(dwells))
        self.count += 1
        return data

    def refit(self) -> None:
        """Estimate the parameters of the model from all exposures, and the map by them."""
        pixels, values, _ = self.exposures.values()
        self.noise = self.exposures.unit_noise()
        dwells, visits = self.exposures.dwells[pixels], self.exposures.visits[pixels]
        variances = np.asarray(self.exposures.noise_of(self.noise[pixels], dwells, visits))
        self.prediction = self.model.predict(pixels, values, variances)
        self.fitted = self.count
        self._judge()
        self.history.append((self.source.electrons, self.std))
        shape = self.model.shape
        arrays = {"mean": self.prediction.mean.reshape(shape), "std": self.prediction.std.reshape(shape)}
        payload: dict[str, Any] = {"exposures": self.count, "std": self.std, "bound": self.bound, "asked": self.asked}
        payload |= {"electrons": self.source.electrons, "discrepancy": self.discrepancy, "distrusted": self.distrusted}
        self.source.note("prediction", payload, arrays)

    def _judge(self) -> None:
        """Scale the variances by what the later predictions were wrong by, and distrust the model where these are too improbable, and by much. It is trusted
        again where what it learnt meanwhile predicts rightly."""
        recent = self._off[-max(LEAST_CHECKED, len(self._off) // 2) :]
        self.discrepancy = variance_factor(recent)
        if not recent:
            return
        off, variance, noise = np.array(recent).T
        self.misfit, self.freedom = float((off**2 / (variance + noise)).sum()), len(recent)
        unlikely = float(chi2.sf(self.misfit, self.freedom)) < FALSE_ALARM
        wrong = unlikely and self.misfit > MOST_MISFIT * self.freedom
        if wrong and not self.distrusted:
            self._doubted = self.count
            evidence = {"misfit": self.misfit, "freedom": self.freedom}
            text = f"{self.freedom} predictions have a mean squared error of {self.misfit / self.freedom:.1f} times their variance"
            self.source.note("finding", {"kind": "model_distrusted", "text": text, "evidence": evidence})
        self.distrusted = wrong

    def _note(self, chosen: Exposure, decision: str, predicted: float, std: float, value: float) -> None:
        row, column = divmod(chosen.pixel, self.model.shape[1])
        payload: dict[str, Any] = {**chosen._asdict(), "row": row, "column": column, "index": self.count - 1}
        payload |= {"decision": decision, "why": REASONS[decision], "value": value}
        payload |= {"predicted": predicted, "predicted_std": std, "electrons": self.source.electrons}
        self.source.note("exposure", payload)
        event: dict[str, Any] = {"index": self.count - 1, "decision": "audit" if decision == "audit" else "measure"}
        event |= {
            "why": f"({row}, {column}) x {chosen.dwells}: {REASONS[decision]}",
            "dose_spent": self.source.electrons,
        }
        event |= {"distrusted": self.distrusted, "time": self.source.seconds}
        if decision != "initial":
            event["state"] = {}
            event["predicted_error"] = self.std / max(abs(float(self.prediction.mean.mean())), 1e-300)
        self.progress.request(event)
