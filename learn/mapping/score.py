"""The result of a map session: comparison of the predicted map with what was recorded, and its arrays."""

import math
from typing import Any

import numpy as np
from scipy.stats import chi2, norm

from learn.gp.spectra import MapPrediction
from learn.mapping.session import MapSession
from learn.scores import coverage

Z90 = float(norm.ppf(0.95))
CHUNK = 64
"""Pixels whose values are computed together."""
NO_CONTRAST = 0.05
"""Probability of a scatter as large by counting noise alone from which a map shows no contrast."""


def recorded_map(session: MapSession) -> tuple[np.ndarray, np.ndarray]:
    """The recorded map and its counting variance [rows, columns]: nan where a pixel has no value, or is not known."""
    shape = session.model.shape
    values, variances = np.full(shape, np.nan), np.full(shape, np.nan)
    for pixel in session.taken:
        values.flat[pixel.pixel], variances.flat[pixel.pixel] = pixel.value, pixel.variance
    left = np.setdiff1d(np.arange(values.size), session.pixels)
    for start in range(0, len(left), CHUNK):
        session.progress.stage("reading the other pixels, to score the map", start / len(left))
        chunk = left[start : start + CHUNK]
        data = [session.source.unrecorded(*divmod(int(pixel), shape[1])) for pixel in chunk]
        known = [number for number, each in enumerate(data) if each is not None]
        if not known:
            break
        stack = np.stack([np.asarray(data[number], np.float64) for number in known])
        values.flat[chunk[known]], variances.flat[chunk[known]] = session.quantity.values(stack)
    return values, variances


def result_of(
    session: MapSession, prediction: MapPrediction, truth: np.ndarray, variance: np.ndarray, withheld: frozenset[int]
) -> dict[str, Any]:
    """The result in numbers. Scores without recorded pixels are None."""
    count = len(session.taken)
    return {
        "requests": truth.size,
        "measured": count,
        "simulated": truth.size - count,
        "audited": sum(pixel.decision == "audit" for pixel in session.taken),
        "without_value": count - len(session.usable),
        **score(prediction, truth, variance, session.pixels, withheld),
        "pixels_saved": truth.size - count,
        "model_distrusted": session.distrusted,
        "misfit_per_measurement": session.misfit / session.freedom if session.freedom else None,
        "discrepancy": session.discrepancy,
        "uncertainty": prediction.uncertainty,
        "tolerance": session.tolerance,
        "tolerance_reached": session.confirmed,
        "contrast": _has_contrast(session),
    }


def _has_contrast(session: MapSession) -> bool:
    """Whether the measured values scatter more than counting noise does."""
    values, variances = np.array([pixel.value for pixel in session.usable]), session.variances
    mean = (values / variances).sum() / (1.0 / variances).sum()
    return bool(chi2.sf(((values - mean) ** 2 / variances).sum(), len(values) - 1) < NO_CONTRAST)


def arrays_of(
    session: MapSession, prediction: MapPrediction, survey: np.ndarray, truth: np.ndarray, variance: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrays over the map: see `learn.mapping.loop.acquire_map`."""
    shape, pixels = session.model.shape, session.pixels
    measured, order = np.zeros(shape, dtype=np.uint8), np.full(shape, -1, dtype=np.int32)
    measured.flat[pixels] = 1
    order.flat[pixels] = np.arange(len(pixels))
    return {
        "image": survey.astype(np.float32),
        "predicted": prediction.mean.reshape(shape),
        "predicted_std": prediction.std.reshape(shape),
        "measured": measured,
        "order": order,
        "recorded": truth,
        "recorded_std": np.sqrt(variance),
        "history_measured": np.array([count for count, _ in session.history], dtype=np.int32),
        "history_uncertainty": np.array([share for _, share in session.history]),
    }


def score(
    prediction: MapPrediction,
    truth: np.ndarray,
    truth_variance: np.ndarray,
    pixels: np.ndarray,
    withheld: frozenset[int] = frozenset(),
) -> dict[str, float | None]:
    """Compare the map with recorded pixels that were not measured (only with ``withheld`` ones, if given).

    ``r2``: share of their variance explained, counting noise included. ``rmse``: RMS deviation over mean, with that noise; ``rmse_noise_free``: without its
    expected share; ``rmse_always``: RMS counting noise over mean, the error of measuring every pixel; these are None where the mean lies within the scatter
    of the values about zero. ``coverage90``: share within the 90 % interval of a noisy value. None without such pixels.
    """
    others = np.array(sorted(withheld)) if withheld else np.setdiff1d(np.arange(truth.size), pixels)
    others = others[np.isfinite(truth.flat[others])] if others.size else others
    if others.size < 2:
        names = ("r2", "rmse", "rmse_noise_free", "rmse_always", "coverage90")
        return dict.fromkeys(names)
    value, noise = truth.flat[others], truth_variance.flat[others]
    off = value - prediction.mean[others]
    half = Z90 * np.sqrt(prediction.std[others] ** 2 + noise)
    mean, scatter = float(value.mean()), float(((value - value.mean()) ** 2).sum())
    relative = abs(mean) > float(
        value.std()
    )  # of quantities about zero, and of positions, a share of the mean says nothing

    def share(square: float) -> float | None:
        return math.sqrt(square) / abs(mean) if relative else None

    return {
        "r2": float(1 - (off**2).sum() / scatter) if scatter > 0.0 else None,
        "rmse": share(float((off**2).mean())),
        "rmse_noise_free": share(max(float((off**2).mean() - noise.mean()), 0.0)),
        "rmse_always": share(float(noise.mean())),
        "coverage90": coverage(value, prediction.mean[others] - half, prediction.mean[others] + half),
    }
