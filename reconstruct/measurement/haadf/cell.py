"""The mean unit cell of a crystal in one image: its harmonics by weighted least squares, with their information.

Pixel positions are those of the tracked lattice, scan distortion removed.
Counting gives a pixel the variance gain * (signal) + readout^2; what varies more than that (tears
within a line, contamination) widens all alike.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.haadf.model import waves

PIXEL_BATCH = 16384
"""Pixels at a time."""
ITERATIONS = 2
"""Least squares, the second with the first's variance."""
MIN_SIGNAL_SHARE = 0.05
"""No pixel counts as darker than this share of the mean signal."""


class Cell(NamedTuple):
    """``mean`` [c] harmonics in counts, ``information`` [c, c] of them (inverse covariance), and of the least squares the ``misfit`` (chi square over its
    degrees of freedom) by which that information was lowered; ``fitted`` and ``variance`` [ny, nx] of pixels, ``g`` [n, 2] ``positions`` [ny, nx, 2]."""

    mean: np.ndarray
    information: np.ndarray
    misfit: float
    fitted: np.ndarray
    variance: np.ndarray
    g: np.ndarray
    positions: np.ndarray


def mean_cell(
    image: np.ndarray,
    known: np.ndarray,
    positions: np.ndarray,
    g: np.ndarray,
    cell: tuple[float, float],
    gain: float,
    readout: float,
    gain_known: bool,
) -> Cell:
    """Harmonics ``g`` [n, 2] (1/angstrom, zero first) of a ``cell`` (x, y) of ``image`` [ny, nx] in counts above black where ``known``, at ``positions``
    [ny, nx, 2] in angstrom.

    ``gain`` in counts per electron and ``readout`` in counts rms; if the gain is not known well, noise may also be less than it says.
    """
    flat, mask = positions.reshape(-1, 2), known.ravel()
    data = np.where(known, image, 0.0).ravel()
    count = 2 * len(g) - 1
    bright = max(float(data[mask].mean()), 1e-9)
    fitted = np.full(data.shape, bright)
    mean, information = np.zeros(count), np.eye(count)
    parts = [slice(start, start + PIXEL_BATCH) for start in range(0, len(data), PIXEL_BATCH)]
    variance = fitted
    for _ in range(ITERATIONS):
        variance = gain * np.maximum(fitted, MIN_SIGNAL_SHARE * bright) + readout**2
        information, rhs = np.zeros((count, count)), np.zeros(count)
        for part in parts:
            columns = waves(g, flat[part], cell)
            weighted = columns * (mask[part] / variance[part])[:, None]
            information += weighted.T @ columns
            rhs += weighted.T @ data[part]
        size = np.trace(information) / count
        mean = np.linalg.solve(information + 1e-9 * size * np.eye(count), rhs)
        fitted = np.concatenate([waves(g, flat[part], cell) @ mean for part in parts])
    misfit = float((((data - fitted) ** 2 / variance)[mask]).sum() / max(int(mask.sum()) - count, 1))
    variance_factor = max(misfit, 1.0) if gain_known else misfit
    shape = image.shape
    return Cell(
        mean,
        information / variance_factor,
        misfit,
        fitted.reshape(shape),
        variance_factor * variance.reshape(shape),
        g,
        positions,
    )
