"""Which pixel to expose next, and for how long: the largest expected fall of the map's loss per electron.

The loss is a weighted sum of the map's variances. An exposure of pixel i with the noise variance v lowers it by sum_j w_j C_ij^2 / (C_ii + v) (Gaussian
conditioning; A-optimal design: Krause, Singh & Guestrin, JMLR 9, 235, 2008).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from learn.gp.spectra import MapPrediction

SHARPNESS = 3
"""Power of the variances by which pixels count where the map is to be known everywhere: the largest ones nearly alone."""


class Exposure(NamedTuple):
    """An exposure of ``pixel`` for ``dwells`` shortest dwell times, its ``price`` and by how much it lowers the loss (``fall``)."""

    pixel: int
    dwells: int
    price: float
    fall: float


class Prices(NamedTuple):
    """What an exposure costs: ``dwell`` for the shortest dwell time, and ``visit`` for going to a pixel; in electrons, or in seconds."""

    dwell: float
    visit: float

    def of(self, dwells: int) -> float:
        """The price of an exposure of so many shortest dwell times."""
        return self.visit + dwells * self.dwell


def loss_weights(variances: Float[np.ndarray, " n"], everywhere: bool) -> Float[np.ndarray, " n"]:
    """What each pixel's variance counts in the loss, with the mean 1: all alike, or those nearly alone that are largest."""
    if not everywhere:
        return np.ones_like(variances)
    weights = (variances / max(float(variances.max()), 1e-300)) ** SHARPNESS
    return weights / max(float(weights.mean()), 1e-300)


def worthwhile(
    variances: Float[np.ndarray, " n"], unit_noise: Float[np.ndarray, " n"], std: float, dwells: tuple[int, ...]
) -> Bool[np.ndarray, "n d"]:
    """Dwell times [pixel, dwell time] that bring a pixel to the standard deviation asked for, or half of the way: one visit costs less than many short ones,
    of which each would look best at its time."""
    needed = unit_noise * np.maximum(1.0 / std**2 - 1.0 / np.maximum(variances, 1e-300), 0.0)
    least = np.clip(needed / 2.0, dwells[0], dwells[-1])
    return np.array(dwells)[None, :] >= least[:, None] - 1e-9


def best_exposure(
    covariance: Float[np.ndarray, "n n"],
    noise: Float[np.ndarray, "n d"],
    weights: Float[np.ndarray, " n"],
    dwells: tuple[int, ...],
    prices: Prices,
    allowed: Bool[np.ndarray, "n d"],
) -> Exposure | None:
    """The exposure that lowers the loss most per price; None where none is ``allowed`` [pixel, dwell time].

    ``noise``: noise variance of a value by each of the ``dwells``.

    >>> covariance, noise = np.diag([1.0, 4.0]), np.array([[1.0, 0.125]] * 2)
    >>> made = best_exposure(covariance, noise, np.ones(2), (1, 8), Prices(1.0, 100.0), np.ones((2, 2), bool))
    >>> made.pixel, made.dwells, round(made.fall, 3)
    (1, 8, 3.879)
    """
    if not allowed.any():
        return None
    strength = (covariance**2) @ weights / len(weights)
    times = np.array(dwells, float)
    falls = strength[:, None] / (np.diag(covariance)[:, None] + noise)
    paid = prices.visit + prices.dwell * times
    worth = np.where(allowed, falls / paid[None, :], -1.0)
    pixel, number = np.unravel_index(int(worth.argmax()), worth.shape)
    return Exposure(int(pixel), int(dwells[number]), float(paid[number]), float(falls[pixel, number]) * len(weights))


def conditioned(prediction: MapPrediction, pixel: int, value: float, noise: float) -> MapPrediction:
    """The map after one more measurement of a pixel with the ``noise`` variance (Gaussian conditioning)."""
    column = prediction.covariance[:, pixel]
    gain = column / (column[pixel] + noise)
    mean = prediction.mean + gain * (value - prediction.mean[pixel])
    return MapPrediction(mean, prediction.covariance - np.outer(gain, column))
