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
    """Share of the signal that is ``unexplained`` with its standard deviation ``std``; the same of each exposure, ``shares`` with ``stds``; the ``noise`` over
    what counting says; and the error of each camera pixel's prediction over its expectation, ``pixels`` [exposures] of [pixels]."""

    unexplained: float
    std: float
    shares: list[float]
    stds: list[float]
    noise: float
    pixels: list[np.ndarray]


def residuals(blocks: list[Block], parameters: np.ndarray) -> Residuals:
    """`Residuals` of a fit at ``parameters`` [n]."""
    shells, pixels = [], []
    for part in blocks:
        squared, expected = left_out_pixels(part, parameters)
        observed = np.abs(part.data) ** 2
        pixels.append((squared / expected).mean(axis=0))
        rows = np.array_split(np.arange(len(observed)), min(SHELLS, len(observed)))
        shells.append(np.array([(observed[i].mean(), squared[i].mean(), observed[i].size) for i in rows]))
    each = [_line(part) for part in shells]
    slope, std, noise = _line(np.concatenate(shells))
    return Residuals(slope, std, [share for share, *_ in each], [error for _, error, *_ in each], noise, pixels)


def _line(shells: np.ndarray) -> tuple[float, float, float]:
    """Slope of error against power, its standard deviation, and where both are the same, from (power, error, number) [shells, 3]."""
    power, error, number = shells.T
    weight = number / np.maximum(error, 1e-12) ** 2
    middle = np.average(power, weights=weight)
    spread = max(float((weight * (power - middle) ** 2).sum()), 1e-12)
    slope = float((weight * (power - middle) * error).sum()) / spread
    level = float(np.average(error, weights=weight)) - slope * float(middle)
    # without signal, power and error are both the noise
    return slope, spread**-0.5, level / max(1.0 - slope, 1e-3)
