"""The measurements of a map so far, the predicted map, and tests of its model."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from scipy.stats import chi2

from learn.design.acquisition import Rule
from learn.gp.spectra import MapPrediction
from learn.mapping.models import MapModel
from reconstruct.measurement.scanned.quantity import PixelQuantity, least_values

FALSE_ALARM = 1e-4
"""Probability that a valid model is distrusted."""
PRIOR_WEIGHT = 10.0
"""Weight of the prior that the model's variances are right, in measurements."""
REASONS = {
    "initial": "initial pixel, spread out over position and image features",
    "audit": "drawn at random, to check the model",
}
RULE_REASONS: dict[Rule, str] = {
    "variance": "lowers the variance of the whole map most",
    "novelty": "has the largest standard deviation",
    "improvement": "has the largest expected improvement over the largest value so far",
    "confidence": "has the largest upper bound, mean + 2 standard deviations",
}


@runtime_checkable
class Progress(Protocol):
    """Told what a map session does: steps with their share, and each measured pixel."""

    def stage(self, text: str, fraction: float | None = None) -> None: ...

    def request(self, event: dict[str, Any]) -> None: ...


@runtime_checkable
class Source(Protocol):
    """Where the data of pixels come from, and where the steps of a session are recorded."""

    def data(self, row: int, column: int) -> tuple[np.ndarray, bool]:
        """The data of a pixel, and whether it was measured now (not taken from the record of an interrupted session)."""
        ...

    def unrecorded(self, row: int, column: int) -> np.ndarray | None:
        """The data of a pixel for scoring, without a record; None where they are not known."""
        ...

    def note(self, kind: str, payload: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """Record a step."""
        ...


class MeasuredPixel(NamedTuple):
    """One measured pixel: index, value with variance (nan where it has none), reason of its choice, and prediction (nan for the first ones)."""

    pixel: int
    value: float
    variance: float
    decision: str
    predicted: float
    predicted_std: float


class MapSession:
    """Measurements so far, the predicted map, and whether its model is trusted."""

    def __init__(
        self,
        source: Source,
        model: MapModel,
        quantity: PixelQuantity,
        progress: Progress,
        tolerance: float,
        rule: Rule = "variance",
    ):
        self.rule: Rule = rule
        self._reasons = REASONS | {"measure": RULE_REASONS[rule]}
        self.source, self.model, self.quantity, self.progress = source, model, quantity, progress
        self.tolerance = tolerance
        self.taken: list[MeasuredPixel] = []
        self.history: list[tuple[int, float]] = []
        self.misfit, self.freedom = 0.0, 0
        self.distrusted = False
        self.confirmed = False

    @property
    def pixels(self) -> np.ndarray:
        """Indices of all measured pixels, in order."""
        return np.array([pixel.pixel for pixel in self.taken], dtype=np.int64)

    @property
    def usable(self) -> list[MeasuredPixel]:
        """Measured pixels that have a value."""
        return [pixel for pixel in self.taken if math.isfinite(pixel.value)]

    @property
    def variances(self) -> np.ndarray:
        """Variances of the measured values."""
        return np.array([pixel.variance for pixel in self.usable])

    def within(self, prediction: MapPrediction) -> bool:
        """Whether the map is within tolerance by a trusted model."""
        return prediction.uncertainty <= self.tolerance and not self.distrusted

    def begin(self, pixels: np.ndarray) -> dict[str, Any]:
        """Measure the first ``pixels``, by which the quantity learns noise and defects; returns what it determined. ValueError where they do not hold it."""
        recorded = [self._data(int(pixel)) for pixel in pixels]
        first = np.stack([data for data, _ in recorded])
        determined = self.quantity.learn(first)
        values, variances = self.quantity.values(first)
        if not least_values(values):
            raise ValueError(
                f"{np.isfinite(values).sum()} of the first {len(values)} pixels have a value of it; give another quantity or recording"
            )
        for pixel, (_, new), value, variance in zip(pixels, recorded, values, variances, strict=True):
            self._take(
                MeasuredPixel(int(pixel), float(value), float(variance), "initial", math.nan, math.nan), new, None
            )
        return determined

    def measure(self, pixel: int, decision: str, prediction: MapPrediction) -> None:
        """Measure one pixel and record its prediction."""
        data, new = self._data(pixel)
        value, variance = (float(part[0]) for part in self.quantity.values(data[None]))
        mean, std = float(prediction.mean[pixel]), float(prediction.std[pixel])
        self._take(MeasuredPixel(pixel, value, variance, decision, mean, std), new, prediction.uncertainty)

    def _data(self, pixel: int) -> tuple[np.ndarray, bool]:
        row, column = divmod(pixel, self.model.shape[1])
        data, new = self.source.data(row, column)
        return np.asarray(data, np.float64), new

    def _take(self, pixel: MeasuredPixel, new: bool, error: float | None) -> None:
        self.taken.append(pixel)
        row, column = divmod(pixel.pixel, self.model.shape[1])
        index, why = len(self.taken) - 1, self._reasons[pixel.decision]
        if new:
            payload = {**pixel._asdict(), "index": index, "row": row, "column": column, "why": why}
            self.source.note("measurement", payload)
        event = {
            "index": index,
            "count": len(self.model.positions),
            "decision": "audit" if pixel.decision == "audit" else "measure",
            "why": why,
            "distrusted": self.distrusted,
        }
        self.progress.request(event if error is None else {**event, "predicted_error": error})

    @property
    def discrepancy(self) -> float:
        """Factor on the variances of the model, from the errors of checked predictions; at least 1."""
        return max((PRIOR_WEIGHT + self.misfit) / (PRIOR_WEIGHT + self.freedom), 1.0)

    def predict(self) -> MapPrediction:
        """The map from all measurements so far, with variances scaled by the discrepancy."""
        factor, usable = self.discrepancy, self.usable
        measured = np.array([pixel.pixel for pixel in usable], dtype=np.int64)
        values = np.array([pixel.value for pixel in usable])
        prediction = self.model.predict(measured, values, self.variances).inflated(factor)
        self.history.append((len(self.taken), prediction.uncertainty))
        shape = self.model.shape
        arrays = {"mean": prediction.mean.reshape(shape), "std": prediction.std.reshape(shape)}
        payload: dict[str, Any] = {"measured": len(self.taken), "uncertainty": prediction.uncertainty}
        payload |= {"discrepancy": factor, "distrusted": self.distrusted}
        self.source.note("prediction", payload, arrays)
        return prediction

    def check(self, count: int, prediction: MapPrediction) -> None:
        """Compare the last ``count`` pixels jointly with their prediction; distrust the model if all batches so far are too improbable."""
        new = [pixel for pixel in self.taken[len(self.taken) - count :] if math.isfinite(pixel.value)]
        if not new:
            return
        chosen = np.array([pixel.pixel for pixel in new])
        off = np.array([pixel.value - pixel.predicted for pixel in new])
        # covariance of the model before inflation
        model_covariance = prediction.covariance[np.ix_(chosen, chosen)] / self.discrepancy
        expected = model_covariance + np.diag([pixel.variance for pixel in new])
        self.misfit += float(off @ np.linalg.solve(expected, off))
        self.freedom += len(chosen)
        unlikely = float(chi2.sf(self.misfit, self.freedom))
        if unlikely < FALSE_ALARM and not self.distrusted:
            self.distrusted = True
            evidence = {"misfit": self.misfit, "freedom": self.freedom, "probability": unlikely}
            text = f"{self.freedom} predictions have a mean squared error of {self.misfit / self.freedom:.1f} times their variance"
            self.source.note("finding", {"kind": "model_distrusted", "text": text, "evidence": evidence})
