"""The job `replay-titanate`: the Ti L2,3 map of a recorded spectrum image from few of its spectra.

The HAADF of the whole area is free. Spectra are asked for one by one: first spread out over positions and what the image shows, then
where they lower the uncertainty of the whole map most, and a few at random as audits, until the largest standard deviation of the
predicted map is within tolerance, and still is after a batch of audits. Only when the decisions are over are the other spectra read,
and only to score them.
"""

import math
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.stats import chi2, norm

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.design.sampling import most_informative, spread_out
from learn.gp.spectra import MapModel, MapPrediction, image_features
from learn.scores import coverage
from reconstruct.eels.edge_signal import COUNTS_PER_ELECTRON, TITANIUM_L, counts_per_electron_of, edge_signal
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress, SilentProgress
from twin.records import Frame, Scan

SCHEMA = "emtwin.acquire/2"
INITIAL = 16
BATCH = 4
SPREAD_OVER = 8.0
"""How many standard deviations of a feature the length of the map counts for when the first pixels are spread out."""
FALSE_ALARM = 1e-4
PRIOR_WEIGHT = 10.0
"""How many well predicted measurements the belief that the model's variances are right is worth at the start."""
Z90 = float(norm.ppf(0.95))


class Taken(NamedTuple):
    """One measured pixel: index, net counts with variance, reason of its choice, and prediction (nan for the first ones)."""

    pixel: int
    value: float
    variance: float
    decision: str
    predicted: float
    predicted_std: float


class _Recorder:
    """Asks the instrument for spectra and writes down what it gives; a spectrum the journal already has is not asked for again."""

    def __init__(self, instrument: Instrument, journal: Journal | None):
        self._instrument, self._journal = instrument, journal
        self._kept: dict[tuple[str, int, int], Frame] = {}
        for row in journal.rows("frame") if journal is not None else ():
            frame = journal.frame(row) if journal is not None else None
            if frame is not None:
                self._kept[self._key(frame)] = frame

    @staticmethod
    def _key(frame: Frame) -> tuple[str, int, int]:
        if frame.scan.detector != "EELS":
            return frame.scan.detector, 0, 0
        return "EELS", int(frame.settings["pixel.y"]), int(frame.settings["pixel.x"])

    def image(self) -> Frame:
        return self._kept.get(("HAADF", 0, 0)) or self._acquire("HAADF", None)

    def spectrum(self, row: int, column: int) -> tuple[Frame, bool]:
        """The frame, and whether it is new to the journal."""
        cached = self._kept.get(("EELS", row, column))
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


def run(instrument: Instrument, journal: Journal | None = None, **options: Any) -> dict[str, Any]:
    """`acquire_map` without its arrays: the result that `--json` prints."""
    return acquire_map(instrument, journal, **options)[0]


def acquire_map(
    instrument: Instrument,
    journal: Journal | None = None,
    tolerance: float = 0.15,
    max_measured: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    audit_share: float = 0.1,
    counts_per_electron: float = COUNTS_PER_ELECTRON,
    withheld: frozenset[int] = frozenset(),
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measure until the map is known within ``tolerance`` (largest standard deviation over range).

    Returns the result that `--json` prints, and arrays over the map [rows, columns]: predicted, predicted_std (without counting noise),
    measured, order (-1 where not measured), recorded, recorded_std (nan where not known); beside them
    the image, and history_measured with history_uncertainty, one entry a prediction.

    ``instrument`` has controls pixel.x, pixel.y and detectors HAADF and EELS (a `ReplayInstrument`, or one over the wire). ``max_measured``
    stops earlier. With a ``journal`` every step is written down, and spectra it already holds are used instead of measured anew, so that
    an interrupted session goes on to the same end. ``withheld`` pixels (row order) are never measured before scoring: for benchmarks.
    The same seed gives the same result. Raises BadInput for an instrument, tolerance or number that cannot be used.
    """
    begun = time.monotonic()
    progress = progress or SilentProgress()
    rows, columns = _grid(instrument)
    count = rows * columns
    limit = count - len(withheld) if max_measured is None else min(max_measured, count - len(withheld))
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise BadInput("tolerance", f"{tolerance!r} is no share of a range", "Give a positive number such as 0.15.")
    if limit < INITIAL:
        raise BadInput("max_measured", f"{limit} spectra are too few to start from", f"Allow {INITIAL} or more.")
    recorder = _Recorder(instrument, journal)
    progress.stage("recording the HAADF image")
    image = recorder.image().data
    if image.ndim != 2 or image.shape[0] % rows or image.shape[1] * rows != image.shape[0] * columns:
        problem = f"its image of {image.shape} pixels does not fit {rows} x {columns} spectra"
        raise BadInput("instrument", problem, "Use a recording whose image covers the spectra on a finer grid.")
    with jax.enable_x64(True):
        features = image_features(image.astype(np.float64), image.shape[0] // rows)
        model = MapModel((rows, columns), features)
        session = _Session(recorder, model, counts_per_electron, progress, tolerance)
        rng = np.random.default_rng(seed)
        allowed = np.array(sorted(set(range(count)) - withheld))
        points = np.concatenate([model.positions * SPREAD_OVER / max(rows, columns), features], axis=1)
        for pixel in spread_out(points, INITIAL, allowed, rng):
            session.measure(int(pixel), "initial", None)
        prediction = session.predict()
        while not session.confirmed and len(session.taken) < limit:
            left = np.setdiff1d(allowed, session.pixels)
            size = min(BATCH, limit - len(session.taken))
            confirming = session.within(prediction)
            if confirming:  # a first claim to be sure is checked at random pixels before it is believed
                batch, audits = rng.choice(left, size, replace=False), np.ones(size, dtype=bool)
            else:
                noise = np.full(count, float(np.mean(session.variances)))
                batch, _ = most_informative(prediction.covariance, noise, left, size)
                audits = rng.random(batch.size) < audit_share
                others = np.setdiff1d(left, batch)
                audits &= others.size >= batch.size
                if audits.any():
                    batch[audits] = rng.choice(others, int(audits.sum()), replace=False)
            for pixel, audit in zip(batch, audits, strict=True):
                session.measure(int(pixel), "audit" if audit else "measure", prediction)
            session.check(batch, prediction)
            prediction = session.predict()
            session.confirmed = confirming and session.within(prediction)
    recorder.note("sealed", {"measured": len(session.taken), "uncertainty": prediction.uncertainty})
    truth, truth_variance = _score_data(session, recorder, instrument, (rows, columns), progress)
    result, arrays = _summary(session, prediction, image, truth, truth_variance, seed, withheld)
    result["seconds"] = time.monotonic() - begun
    recorder.note("score", {name: result[name] for name in ("r2", "rmse", "rmse_always", "coverage90")}, None, arrays)
    recorder.note("result", result)
    return result, arrays


def _grid(instrument: Instrument) -> tuple[int, int]:
    description = instrument.describe()
    controls = {control.name: control for control in description.controls}
    missing = [name for name in ("pixel.x", "pixel.y") if name not in controls]
    missing += [name for name in ("HAADF", "EELS") if name not in description.detectors]
    if missing:
        problem = f"{description.name!r} ({description.kind}) has no {', '.join(missing)}"
        raise BadInput("instrument", problem, "Connect to `emtwin instrument serve replay --data FOLDER`.")
    return int(controls["pixel.y"].highest) + 1, int(controls["pixel.x"].highest) + 1


class _Session:
    """What has been measured so far, what it says, and whether the model is trusted."""

    def __init__(self, recorder: _Recorder, model: MapModel, camera: float, progress: Progress, tolerance: float):
        self.recorder, self.model, self.camera, self.progress = recorder, model, camera, progress
        self.tolerance = tolerance
        self.taken: list[Taken] = []
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
        """Is the map known within tolerance, by a model that is trusted?"""
        return prediction.uncertainty <= self.tolerance and not self.distrusted

    def measure(self, pixel: int, decision: str, prediction: MapPrediction | None) -> None:
        """Take one spectrum and note what had been predicted for it."""
        row, column = divmod(pixel, self.model.shape[1])
        frame, new = self.recorder.spectrum(row, column)
        self.energies = energies_of(frame)
        signal = edge_signal(self.energies, frame.data.astype(np.float64), TITANIUM_L, self.camera)
        mean = float(prediction.mean[pixel]) if prediction is not None else math.nan
        std = float(prediction.std[pixel]) if prediction is not None else math.nan
        spectrum = Taken(pixel, float(signal.net), float(signal.variance), decision, mean, std)
        self.taken.append(spectrum)
        self.spectra.append(frame.data)
        self.electrons += frame.exposure.total
        error = prediction.uncertainty if prediction is not None else None
        why = {
            "initial": "one of the first, spread out over positions and image",
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
        """Factor on the model's variances, learnt from how measurements missed what had been predicted of them; 1 or more."""
        return max((PRIOR_WEIGHT + self.misfit) / (PRIOR_WEIGHT + self.freedom), 1.0)

    def predict(self) -> MapPrediction:
        """The map from all measurements so far, its variances scaled by the discrepancy."""
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
        """Compare a batch with what had been predicted of it, jointly; distrust the model if all batches so far are too unlikely."""
        new = self.taken[len(self.taken) - len(chosen) :]
        off = np.array([spectrum.value - spectrum.predicted for spectrum in new])
        model_covariance = (
            prediction.covariance[np.ix_(chosen, chosen)] / self.discrepancy
        )  # the model's own, as before the factor
        expected = model_covariance + np.diag([spectrum.variance for spectrum in new])
        self.misfit += float(off @ np.linalg.solve(expected, off))
        self.freedom += len(chosen)
        unlikely = float(chi2.sf(self.misfit, self.freedom))
        if unlikely < FALSE_ALARM and not self.distrusted:
            self.distrusted = True
            evidence = {"misfit": self.misfit, "freedom": self.freedom, "probability": unlikely}
            text = f"{self.freedom} predictions miss what was measured by {self.misfit / self.freedom:.1f} times their variance"
            self.recorder.note("finding", {"kind": "model_distrusted", "text": text, "evidence": evidence})


def energies_of(frame: Frame) -> np.ndarray:
    """Energy loss (eV) of each channel, as the frame's source claims; BadInput if it claims none."""
    first, step = frame.meta.get("energy.first"), frame.meta.get("energy.step")
    if not isinstance(first, int | float) or not isinstance(step, int | float) or not step > 0:
        raise BadInput("instrument", "its spectra come without an energy axis", "Use a recording that has one.")
    return float(first) + float(step) * np.arange(frame.data.size, dtype=np.float64)


def _score_data(
    session: _Session, recorder: _Recorder, instrument: Instrument, shape: tuple[int, int], progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """The recorded map and its counting variance, at all pixels of a replay; elsewhere nan where nothing was measured."""
    values, variances = np.full(shape, np.nan), np.full(shape, np.nan)
    for spectrum in session.taken:
        values.flat[spectrum.pixel], variances.flat[spectrum.pixel] = spectrum.value, spectrum.variance
    if instrument.describe().kind != "replay":
        return values, variances
    left = np.setdiff1d(np.arange(values.size), session.pixels)
    for done, pixel in enumerate(left):
        row, column = divmod(int(pixel), shape[1])
        progress.stage("reading the other spectra, to score the map", done / len(left))
        data = recorder.unrecorded(row, column).data.astype(np.float64)
        signal = edge_signal(session.energies, data, TITANIUM_L, session.camera)
        values.flat[pixel], variances.flat[pixel] = float(signal.net), float(signal.variance)
    return values, variances


def _summary(
    session: _Session,
    prediction: MapPrediction,
    image: np.ndarray,
    truth: np.ndarray,
    truth_variance: np.ndarray,
    seed: int,
    withheld: frozenset[int],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The result and the arrays of the score row. What only recorded spectra can tell is None where there are none."""
    shape, taken = session.model.shape, len(session.taken)
    audits = [spectrum for spectrum in session.taken if spectrum.decision == "audit"]
    scores = score(prediction, truth, truth_variance, session.pixels, withheld)
    measured = np.zeros(shape, dtype=bool)
    measured.flat[session.pixels] = True
    camera, camera_error = counts_per_electron_of(session.energies, np.stack(session.spectra))
    spent = session.electrons if math.isfinite(session.electrons) else None
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "scenario": "replay-titanate",
        "seed": seed,
        "requests": truth.size,
        "measured": taken,
        "simulated": truth.size - taken,
        "audited": len(audits),
        **scores,
        "dose_spent": spent,
        "dose_saved": spent * (truth.size - taken) / taken if spent is not None else None,
        "spectra_saved": truth.size - taken,
        "model_distrusted": session.distrusted,
        "misfit_per_measurement": session.misfit / session.freedom if session.freedom else None,
        "discrepancy": session.discrepancy,
        "uncertainty": prediction.uncertainty,
        "tolerance": session.tolerance,
        "tolerance_reached": session.confirmed,
        "counts_per_electron_assumed": session.camera,
        "counts_per_electron_seen": [camera, camera * camera_error],
    }
    order = np.full(shape, -1, dtype=np.int32)
    order.flat[session.pixels] = np.arange(taken)
    arrays = {
        "image": image.astype(np.float32),
        "predicted": prediction.mean.reshape(shape),
        "predicted_std": prediction.std.reshape(shape),
        "measured": measured.astype(np.uint8),
        "order": order,
        "recorded": truth,
        "recorded_std": np.sqrt(truth_variance),
        "history_measured": np.array([count for count, _ in session.history], dtype=np.int32),
        "history_uncertainty": np.array([share for _, share in session.history]),
    }
    return result, arrays


def score(
    prediction: MapPrediction,
    truth: np.ndarray,
    truth_variance: np.ndarray,
    pixels: np.ndarray,
    withheld: frozenset[int] = frozenset(),
) -> dict[str, float | None]:
    """How the map compares with recorded spectra that were not measured (only with ``withheld`` ones, if there are any).

    ``r2``: share of their variance explained, their counting noise included. ``rmse``: RMS deviation over mean, with that noise;
    ``rmse_noise_free``: the same with its expected share of noise taken off; ``rmse_always``: RMS counting noise over mean, the error of
    measuring every pixel and taking it raw. ``coverage90``: share within the 90 % interval for a noisy value. None without such spectra.
    """
    others = np.array(sorted(withheld)) if withheld else np.setdiff1d(np.arange(truth.size), pixels)
    others = others[np.isfinite(truth.flat[others])] if others.size else others
    if others.size < 2:
        names = ("r2", "rmse", "rmse_noise_free", "rmse_always", "coverage90")
        return dict.fromkeys(names)
    value, noise = truth.flat[others], truth_variance.flat[others]
    off = value - prediction.mean[others]
    half = Z90 * np.sqrt(prediction.std[others] ** 2 + noise)
    mean = float(value.mean())
    return {
        "r2": float(1 - (off**2).sum() / ((value - mean) ** 2).sum()),
        "rmse": float(np.sqrt((off**2).mean()) / mean),
        "rmse_noise_free": float(np.sqrt(max((off**2).mean() - noise.mean(), 0.0)) / mean),
        "rmse_always": float(np.sqrt(noise.mean()) / mean),
        "coverage90": coverage(value, prediction.mean[others] - half, prediction.mean[others] + half),
    }


def map_arrays(journal: Journal) -> dict[str, np.ndarray]:
    """The arrays of a finished session's map, by name (see `figures`); BadInput if the session did not come to its end."""
    last = None
    for row in journal.rows("score"):
        last = row
    if last is None:
        raise BadInput(str(journal.folder), "has no finished map", "Resume the session first.")
    return last.arrays


__all__ = ["Taken", "acquire_map", "energies_of", "map_arrays", "run", "score"]
