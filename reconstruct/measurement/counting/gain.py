"""Counts per electron of an image by its noise: the variance of counts grows with their mean by the gain (photon transfer).

Noise is told from structure by differences of first, second and third order between neighbours: of white noise they have the same variance (after their
weights), of structure higher orders have less, and of noise that neighbours share (the camera's point spread, interpolation) they differ too. Where they
differ the gain is not told, since shared noise makes the variance of a pixel too small by an unknown factor.
Source: J. R. Janesick, Photon Transfer (SPIE Press, 2007).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

TILE = 8
"""Rows and columns over which mean and variance are taken."""
LEAST_TILES = 64
LARGEST_ERROR = 0.1
"""Relative error from which a gain is not told: the image is as bright everywhere."""
AGREE, AGREE_FLOOR = 3.0, 0.01
"""Standard deviations, and share beyond these, by which the variances of two orders of difference may differ."""
DIFFERENCES = (
    (np.array([1.0, -1.0]), 2.0),
    (np.array([1.0, -2.0, 1.0]), 6.0),
    (np.array([1.0, -3.0, 3.0, -1.0]), 20.0),
)


class Gain(NamedTuple):
    """``value`` in counts per electron with its rms ``error``; ``offset``: the mean at which the noise of counting vanishes, where readout has none."""

    value: float
    error: float
    offset: float


def gain_of(image: np.ndarray) -> Gain | str:
    """The gain of ``image`` [ny, nx] in counts, or why it is not told."""
    values = np.asarray(image, np.float64)
    rows, columns = (size // TILE for size in values.shape)
    if rows * columns < LEAST_TILES:
        return f"{rows * columns} tiles of {TILE} x {TILE} pixels are too few"
    values = values[: rows * TILE, : columns * TILE]
    means = _tiles(values).mean(axis=-1)
    finite = np.isfinite(means)
    if not finite.all():
        return "pixels are missing"
    variances = [_variances(values, kernel, norm) for kernel, norm in DIFFERENCES]
    count = means.size * TILE * (TILE - 3)
    totals = [float(np.mean(variance)) for variance in variances]
    if not totals[2] > 0.0:
        return "there is no noise"
    spread = math.sqrt(2.0 / count) * 1.5
    for lower, higher in ((totals[0], totals[2]), (totals[1], totals[2])):
        if abs(lower / higher - 1.0) > AGREE * spread + AGREE_FLOOR:
            ratio = f"differences of first and third order have variances in the ratio {lower / higher:.3g}"
            return f"neighbouring pixels share structure or noise: {ratio}"
    return _line(means.ravel(), variances[1].ravel())


def _line(means: np.ndarray, variances: np.ndarray) -> Gain | str:
    """The line of variance over mean, by least squares with the scatter of a variance as weight, and its error by the scatter about it."""
    design = np.stack([np.ones_like(means), means], axis=1)
    expected = np.full_like(means, variances.mean())
    solution = np.zeros(2)
    for _ in range(4):
        weight = 1.0 / expected
        solution = np.linalg.lstsq(design * weight[:, None], variances * weight, rcond=None)[0]
        expected = np.maximum(design @ solution, 0.05 * float(variances.mean()))
    weighted = design / expected[:, None]
    inverse = np.linalg.inv(weighted.T @ weighted)
    residual = (variances - design @ solution) / expected
    meat = (weighted * residual[:, None]).T @ (weighted * residual[:, None])
    error = math.sqrt(float((inverse @ meat @ inverse)[1, 1]))
    if not error < LARGEST_ERROR * solution[1]:
        return "the noise does not change enough over the image: gain and readout noise are not told apart"
    return Gain(float(solution[1]), error, float(-solution[0] / solution[1]))


def _tiles(values: np.ndarray) -> np.ndarray:
    rows, columns = values.shape[0] // TILE, values.shape[1] // TILE
    return values.reshape(rows, TILE, columns, TILE).swapaxes(1, 2).reshape(rows, columns, TILE * TILE)


def _variances(values: np.ndarray, kernel: np.ndarray, norm: float) -> np.ndarray:
    """Variance of each tile [rows, columns] by differences along rows and columns within it, alike for all orders in white noise."""
    rows, columns = values.shape[0] // TILE, values.shape[1] // TILE
    blocks = values.reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    taps = len(kernel)
    across = sliding_window_view(blocks, taps, axis=-1) @ kernel
    down = sliding_window_view(blocks, taps, axis=-2) @ kernel
    return 0.5 * ((across**2).mean(axis=(-2, -1)) + (down**2).mean(axis=(-2, -1))) / norm
