"""What a fit of a film leaves: each camera pixel predicted from all others at its scan frequency, against the counting noise.

Noise that is fitted absorbs what the model misses. But counting noise is alike at all scan frequencies, and what the model misses is where the film's signal
is: over shells of scan frequency the error of the prediction is a line in the power, whose slope is the share of the signal that is not explained and whose
value without signal is the noise, in units of what counting says. Neither needs the gain.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.film.likelihood import Block, left_out_pixels

SHELLS = 8


class Residuals(NamedTuple):
    """Share of the signal that is ``unexplained`` with its standard deviation ``std``; the ``noise`` over what counting says; and the error of each camera
    pixel's prediction over its expectation, ``pixels`` [exposures] of [pixels]."""

    unexplained: float
    std: float
    noise: float
    pixels: list[np.ndarray]


def residuals(blocks: list[Block], parameters: np.ndarray) -> Residuals:
    """`Residuals` of a fit at ``parameters`` [n]."""
    power, error, weight, pixels = [], [], [], []
    for part in blocks:
        squared, expected = left_out_pixels(part, parameters)
        observed = np.abs(np.asarray(part.z)) ** 2
        pixels.append((squared / expected).mean(axis=0))
        for rows in np.array_split(np.arange(len(observed)), min(SHELLS, len(observed))):
            power.append(observed[rows].mean())
            error.append(squared[rows].mean())
            weight.append(observed[rows].size)
    power, error = np.array(power), np.array(error)
    weight = np.array(weight) / np.maximum(error, 1e-12) ** 2
    middle = np.average(power, weights=weight)
    spread = float((weight * (power - middle) ** 2).sum())
    slope = float((weight * (power - middle) * error).sum()) / max(spread, 1e-12)
    level = float(np.average(error, weights=weight)) - slope * middle
    # without signal, power and error are both the noise
    noise = level / max(1.0 - slope, 1e-3)
    return Residuals(slope, max(spread, 1e-12) ** -0.5, noise, pixels)
