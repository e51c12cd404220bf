"""The measurements of a map session: spectra from the instrument or the journal, the predicted map, and tests of its model."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.gp.spectra import GPMap, MapPrediction
from reconstruct.eels.edge_signal import TITANIUM_L, edge_signal
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from twin.records import Frame, Scan

FALSE_ALARM = 1e-4
"""Probability that a valid model is distrusted."""
PRIOR_WEIGHT = 10.0
"""Weight of the prior that the model's variances are right, in measurements."""


class MeasuredPixel(NamedTuple):
    """One measured pixel: index, net counts with variance, reason of its choice, and prediction (nan for the first ones)."""

    pixel: int
    value: float
    variance: float
    decision: str
    predicted: float
    predicted_std: float


class SpectrumRecorder:
    """Spectra from the instrument, recorded in the journal; a spectrum that the journal already holds is not measured again."""

    def __init__(self, instrument: Instrument, journal: Journal | None):
        self._instrument, self._journal = instrument, journal
        self._recorded: dict[tuple[str, int, int], Frame] = {}
        for row in journal.rows("frame") if journal is not None else ():
            frame = journal.frame(row) if journal is not None else None
            if frame is not None:
                self._recorded[self._key(frame)] = frame

    @staticmethod
    def _key(frame: Frame) -> tuple[str, int, int]:
        if frame.scan.detector != "EELS":
            return frame.scan.detector, 0, 0
        return "EELS", int(frame.settings["pixel.y"]), int(frame.settings["pixel.x"])

    def image(self) -> Frame:
        return self._recorded.get(("HAADF", 0, 0)) or self._acquire("HAADF", None)

    def spectrum(self, row: int, column: int) -> tuple[Frame, bool]:
        """The frame, and whether it is new to the journal."""
        cached = self._recorded.get(("EELS", row, column))
        return (cached, False) if cached is not None else (self._acquire("EELS", (row, column)), True)

    def _acquire(self, detector: str, pixel: tuple[int, int] | None) -> Frame:
        if pixel is not None:
            changes = {"pixel.y": float(pixel[0]), "pixel.x": float(pixel[1])}
            when = self._instrument.apply(changes)
            self.note("command", {"name": "apply", "changes": changes}, when)
        frame = self._instrument.acquire(Scan(detector=detector, settle=0.0))
        if self._journal is not None:
            self._journal.append_frame(frame)
        return frame

    def unrecorded(self, row: int, column: int) -> Frame:
        """A spectrum for scoring: it leaves no frame in the journal."""
        self._instrument.apply({"pixel.y": float(row), "pixel.x": float(column)})
        return self._instrument.acquire(Scan(detector="EELS", settle=0.0))

    def note(
        self, kind: str, payload: dict[str, Any], when: int | None = None, arrays: dict[str, np.ndarray] | None = None
    ) -> None:
        if self._journal is not None:
            self._journal.append(kind, payload, when, arrays)


class MapSession:
    """Measurements so far, the predicted map, and whether its model is trusted."""

    def __init__(self, recorder: SpectrumRecorder, model: GPMap, camera: float, progress: Progress, tolerance: float):
        self.recorder, self.model, self.camera, self.progress = recorder, model, camera, progress
        self.tolerance = tolerance
        self.taken: list[MeasuredPixel] = []
        self.spectra: list[np.ndarray] = []
        self.energies = np.zeros(0)
        self.history: list[tuple[int, float]] = []
        self.misfit, self.freedom = 0.0, 0
        self.distrusted = False
        self.confirmed = False
        self.electrons = 0.0

    @property
    def pixels(self) -> np.ndarray:
        return np.array([spectrum.pixel for spectrum in self.taken], dtype=np.int64)

    @property
    def values(self) -> np.ndarray:
        return np.array([spectrum.value for spectrum in self.taken])

    @property
    def variances(self) -> np.ndarray:
        return np.array([spectrum.variance for spectrum in self.taken])

    def within(self, prediction: MapPrediction) -> bool:
        """Whether the map is within tolerance by a trusted model."""
        return prediction.uncertainty <= self.tolerance and not self.distrusted

    def measure(self, pixel: int, decision: str, prediction: MapPrediction | None) -> None:
        """Measure one spectrum and record its prediction."""
        row, column = divmod(pixel, self.model.shape[1])
        frame, new = self.recorder.spectrum(row, column)
        self.energies = energies_of(frame)
        signal = edge_signal(self.energies, frame.data.astype(np.float64), TITANIUM_L, self.camera)
        mean = float(prediction.mean[pixel]) if prediction is not None else math.nan
        std = float(prediction.std[pixel]) if prediction is not None else math.nan
        spectrum = MeasuredPixel(pixel, float(signal.net), float(signal.variance), decision, mean, std)
        self.taken.append(spectrum)
        self.spectra.append(frame.data)
        self.electrons += frame.exposure.total
        error = prediction.uncertainty if prediction is not None else None
        why = {
            "initial": "initial pixel, spread out over position and image features",
            "measure": "lowers the variance of the whole map most",
            "audit": "drawn at random, to check the model",
        }[decision]
        if new:
            payload = {**spectrum._asdict(), "index": len(self.taken) - 1, "row": row, "column": column, "why": why}
            self.recorder.note("measurement", payload, frame.start)
        self.progress.request(
            {
                "index": len(self.taken) - 1,
                "count": len(self.model.positions),
                "decision": "audit" if decision == "audit" else "measure",
                "why": why,
                "distrusted": self.distrusted,
                **({"predicted_error": error} if error is not None else {}),
            }
        )

    @property
    def discrepancy(self) -> float:
        """Factor on the variances of the model, from the errors of checked predictions; at least 1."""
        return max((PRIOR_WEIGHT + self.misfit) / (PRIOR_WEIGHT + self.freedom), 1.0)

    def predict(self) -> MapPrediction:
        """The map from all measurements so far, with variances scaled by the discrepancy."""
        factor = self.discrepancy
        prediction = self.model.predict(self.pixels, self.values, self.variances).inflated(factor)
        self.history.append((len(self.taken), prediction.uncertainty))
        shape = self.model.shape
        arrays = {"mean": prediction.mean.reshape(shape), "std": prediction.std.reshape(shape)}
        payload: dict[str, Any] = {"measured": len(self.taken), "uncertainty": prediction.uncertainty}
        payload |= {"discrepancy": factor, "distrusted": self.distrusted}
        self.recorder.note("prediction", payload, None, arrays)
        return prediction

    def check(self, chosen: np.ndarray, prediction: MapPrediction) -> None:
        """Compare a batch jointly with its prediction; distrust the model if all batches so far are too improbable."""
        new = self.taken[len(self.taken) - len(chosen) :]
        off = np.array([spectrum.value - spectrum.predicted for spectrum in new])
        # covariance of the model before inflation
        model_covariance = prediction.covariance[np.ix_(chosen, chosen)] / self.discrepancy
        expected = model_covariance + np.diag([spectrum.variance for spectrum in new])
        self.misfit += float(off @ np.linalg.solve(expected, off))
        self.freedom += len(chosen)
        unlikely = float(chi2.sf(self.misfit, self.freedom))
        if unlikely < FALSE_ALARM and not self.distrusted:
            self.distrusted = True
            evidence = {"misfit": self.misfit, "freedom": self.freedom, "probability": unlikely}
            text = f"{self.freedom} predictions have a mean squared error of {self.misfit / self.freedom:.1f} times their variance"
            self.recorder.note("finding", {"kind": "model_distrusted", "text": text, "evidence": evidence})


def energies_of(frame: Frame) -> np.ndarray:
    """Energy loss (eV) of each channel from the metadata of the frame; BadInput if missing."""
    first, step = frame.meta.get("energy.first"), frame.meta.get("energy.step")
    if not isinstance(first, int | float) or not isinstance(step, int | float) or not step > 0:
        raise BadInput("instrument", "its spectra come without an energy axis", "Use a recording that has one.")
    return float(first) + float(step) * np.arange(frame.data.size, dtype=np.float64)
