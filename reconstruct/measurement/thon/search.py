"""Starting values for Thon rings: the power spectrum in sectors of azimuth, matched with rings of every defocus.

In a sector at azimuth phi the defocus is C10 + C12a cos 2 phi + C12b sin 2 phi, so that one table of sectors by defocus serves every astigmatism
(as CTFFIND tries them all; Rohou & Grigorieff, J. Struct. Biol. 192, 216, 2015).
"""

from typing import Any

import numpy as np

SECTORS, SHELLS = 24, 240
ASTIGMATISM_STEPS = 12
"""Values of each part of C12 that are tried, each way from zero."""
STARTS_PER_SIGN = 5
"""Starts of each sign of defocus."""


def starting_points(power: Any, wavelength: float, c30: float, span: float, astigmatism: float) -> list[np.ndarray]:
    """The likeliest (C10, C12a, C12b) in angstrom of a `Power`, `STARTS_PER_SIGN` of each sign of C10, within ``span`` and 2.5 times ``astigmatism``."""
    q = np.hypot(power.kx, power.ky)
    azimuth = np.arctan2(power.ky, power.kx) % np.pi
    sector = np.minimum((azimuth / np.pi * SECTORS).astype(int), SECTORS - 1)
    # shells of equal width in q^2, in which rings of a defocus have equal distances
    shell = np.minimum((power.share**2 * SHELLS).astype(int), SHELLS - 1)
    cell = sector * SHELLS + shell
    count = np.bincount(cell, minlength=SECTORS * SHELLS).reshape(SECTORS, SHELLS)
    mean = np.bincount(cell, power.power, SECTORS * SHELLS).reshape(SECTORS, SHELLS) / np.maximum(count, 1)
    level = _smooth(mean.sum(axis=0) / np.maximum((count > 0).sum(axis=0), 1))
    contrast = np.where(count > 0, mean / np.maximum(level, 1e-12) - 1.0, 0.0)
    square = (np.arange(SHELLS) + 0.5) / SHELLS * float(q.max()) ** 2
    step = 0.4 / (np.pi * wavelength * float(q.max()) ** 2)
    widest = span + 5.0 * astigmatism
    defocus = np.arange(-widest, widest + step, step)
    chi = np.pi * wavelength * square * defocus[:, None] + 0.5 * np.pi * wavelength**3 * c30 * square**2
    # rings narrower than two shells cannot be matched; the mean of sin^2 over the neighbours goes first
    phase = np.abs(np.gradient(chi, axis=1))
    rings = np.where(phase < 1.2, -0.5 * np.cos(2.0 * chi), 0.0)
    rings = rings - np.apply_along_axis(_smooth, 1, rings)
    weight = np.maximum(count, 0)
    size = np.sqrt((weight.sum(axis=0) * rings**2).sum(axis=1) / SECTORS) + 1e-9
    table = (contrast * weight) @ rings.T / size  # [sectors, defocus]
    middle = (np.arange(SECTORS) + 0.5) / SECTORS * np.pi
    parts = np.linspace(-2.5, 2.5, 2 * ASTIGMATISM_STEPS + 1) * astigmatism
    combinations = []
    inside = np.flatnonzero(np.abs(defocus) <= span)
    for a in parts:
        for b in parts:
            shift = np.round((a * np.cos(2 * middle) + b * np.sin(2 * middle)) / step).astype(int)
            score = np.zeros(len(inside))
            for row in range(SECTORS):
                score += table[row, np.clip(inside + shift[row], 0, len(defocus) - 1)]
            combinations.append((a, b, score))
    scores = np.array([score for _, _, score in combinations])
    pairs = np.array([(a, b) for a, b, _ in combinations])
    selected = []
    for sign in (-1.0, 1.0):
        side = np.where(np.sign(defocus[inside]) == sign, scores, -np.inf)
        for _ in range(STARTS_PER_SIGN):
            combination, index = np.unravel_index(int(np.argmax(side)), side.shape)
            if not np.isfinite(side[combination, index]):
                break
            selected.append(
                np.array([defocus[inside][index], combinations[combination][0], combinations[combination][1]])
            )
            # the next differs by several rings' phase in C10 or either part of C12
            distances = [
                np.abs(values - centre)
                for values, centre in (
                    (defocus[inside][None], defocus[inside][index]),
                    (pairs[:, :1], combinations[combination][0]),
                    (pairs[:, 1:], combinations[combination][1]),
                )
            ]
            side = np.where(np.maximum(np.maximum(*distances[:2]), distances[2]) < 6.0 * step, -np.inf, side)
    return selected


def _smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a tenth of the shells, shrunk at the ends."""
    width = SHELLS // 10
    kernel = np.ones(2 * width + 1)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")
