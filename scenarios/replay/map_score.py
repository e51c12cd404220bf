"""The result of a map session: comparison of the predicted map with recorded spectra, and its arrays."""

import math
from typing import Any

import numpy as np
from scipy.stats import norm

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from learn.gp.spectra import MapPrediction
from learn.scores import coverage
from reconstruct.eels.camera import camera_by_background
from reconstruct.eels.edge_signal import TITANIUM_L, edge_signal
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.replay.map_session import MapSession, SpectrumRecorder

SCHEMA = "emtwin.acquire/2"
BACKGROUND = (352.0, 450.0)
"""eV: before every edge of the titanate."""
Z90 = float(norm.ppf(0.95))


def recorded_map(
    session: MapSession, recorder: SpectrumRecorder, instrument: Instrument, shape: tuple[int, int], progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """The recorded map and its counting variance at all pixels of a replay; on other instruments nan at unmeasured pixels."""
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


def summary(
    session: MapSession,
    prediction: MapPrediction,
    image: np.ndarray,
    truth: np.ndarray,
    truth_variance: np.ndarray,
    seed: int,
    withheld: frozenset[int],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The result, and the arrays of the score row. Scores without recorded spectra are None."""
    shape, count = session.model.shape, len(session.taken)
    audits = [spectrum for spectrum in session.taken if spectrum.decision == "audit"]
    scores = score(prediction, truth, truth_variance, session.pixels, withheld)
    measured = np.zeros(shape, dtype=bool)
    measured.flat[session.pixels] = True
    camera = camera_by_background(session.energies, np.stack(session.spectra), BACKGROUND)
    seen = camera.counts_per_electron
    spent = session.electrons if math.isfinite(session.electrons) else None
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "scenario": "replay-titanate",
        "seed": seed,
        "requests": truth.size,
        "measured": count,
        "simulated": truth.size - count,
        "audited": len(audits),
        **scores,
        "dose_spent": spent,
        "dose_saved": spent * (truth.size - count) / count if spent is not None else None,
        "spectra_saved": truth.size - count,
        "model_distrusted": session.distrusted,
        "misfit_per_measurement": session.misfit / session.freedom if session.freedom else None,
        "discrepancy": session.discrepancy,
        "uncertainty": prediction.uncertainty,
        "tolerance": session.tolerance,
        "tolerance_reached": session.confirmed,
        "counts_per_electron_assumed": session.camera,
        "counts_per_electron_seen": [seen, seen * camera.error],
    }
    order = np.full(shape, -1, dtype=np.int32)
    order.flat[session.pixels] = np.arange(count)
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
    """Compare the map with recorded spectra that were not measured (only with ``withheld`` ones, if given).

    ``r2``: share of their variance explained, counting noise included. ``rmse``: RMS deviation over mean, with that noise; ``rmse_noise_free``: without its
    expected share; ``rmse_always``: RMS counting noise over mean, the error of measuring every pixel. ``coverage90``: share within the 90 % interval of a
    noisy value. None without such spectra.
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
    """Arrays of a finished session's map, by name (see `figures`); BadInput if the session is not complete."""
    last = None
    for row in journal.rows("score"):
        last = row
    if last is None:
        raise BadInput(str(journal.folder), "has no finished map", "Resume the session first.")
    return last.arrays
