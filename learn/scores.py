"""Scores of predictive distributions: coverage, continuous ranked probability score, normalised estimation error squared."""

import numpy as np


def coverage(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of ``truth`` within [low, high]; not-a-number pairs are left out, and none at all gives nan."""
    known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
    return float(((truth >= low) & (truth <= high))[known].mean()) if known.any() else float("nan")


def crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of an ensemble [s, ...] against truth [...], with the fair (unbiased) spread term.

    Gneiting & Raftery, JASA 102, 359 (2007), eq. 21; the spread is over distinct pairs (Ferro 2014).
    """
    count = len(samples)
    ordered = np.sort(samples, axis=0)
    ranks = (2 * np.arange(count) + 1 - count).reshape(-1, *([1] * (samples.ndim - 1)))
    spread = (ranks * ordered).sum(axis=0) / (count * (count - 1))
    return np.abs(samples - truth[None]).mean(axis=0) - spread


def nees(error: np.ndarray, covariance: np.ndarray) -> float:
    """Normalised estimation error squared e^T P^-1 e, divided by its dimension: 1 on average if the covariance is right (Bar-Shalom 2001)."""
    scale = np.sqrt(np.diag(covariance))
    unit = error / scale
    return float(unit @ np.linalg.solve(covariance / scale[:, None] / scale[None, :], unit)) / len(error)
