"""Starting values for Thon rings: the power spectrum in sectors of azimuth, matched with rings of every defocus.

In a sector at azimuth phi the defocus is C10 + C12a cos 2 phi + C12b sin 2 phi, so that one table of sectors by defocus serves every astigmatism
(as CTFFIND tries them all; Rohou & Grigorieff, J. Struct. Biol. 192, 216, 2015). Large values are told by low frequencies, where they have enough rings, small
ones by all: each level has twice the frequency and a quarter of the range of the one before.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter1d

from reconstruct.measurement.thon.spectrum import Power

SECTORS, SHELLS = 36, 240
RINGS = 12.0
"""Rings of the largest defocus of a level within its frequencies."""
STEP = 0.5
"""Step of C10 in phase (radian) at the highest frequency of a level; that of either part of C12 is twice as large."""
HIGHEST_CONTRAST = 1.5
"""Contrast of a shell over the local level beyond which it is left out: rings of sin^2 have no more, ice has."""
RESOLVED = 1.2
"""Phase between two shells from which rings are too narrow to be matched."""
KEPT = 0.6
"""Starts of less than this share of the best signal-to-noise ratio are left out."""


class Start(NamedTuple):
    """C10, C12a, C12b in angstrom and psi in radian; ``ratio``: signal to noise of rings there."""

    values: np.ndarray
    psi: float
    ratio: float


def starting_points(
    power: Power, wavelength: float, c30: float, span: float, psi: float | None, count: int = 4
) -> list[Start]:
    """The likeliest starts within ``span`` of C10 and of C12, up to ``count`` of each sign of C10; ``psi`` None tries every phase."""
    top = float(np.hypot(power.kx, power.ky).max())
    lowest = min(top, np.sqrt(RINGS / (wavelength * span)))
    levels = [lowest * 2.0**k for k in range(20) if lowest * 2.0**k < top] + [top]
    starts: list[Start] = []
    for highest in levels:
        reach = min(span, RINGS / (wavelength * highest**2))
        starts += _level(power, wavelength, c30, highest, reach, span, psi, count)
    selected = []
    for sign in (-1.0, 1.0):
        side = sorted((start for start in starts if start.values[0] * sign > 0.0), key=lambda start: -start.ratio)
        distinct: list[Start] = []
        near = 2.0 * STEP / (np.pi * wavelength * top**2)
        for start in side:
            if all(np.abs(start.values - other.values).max() > near for other in distinct):
                distinct.append(start)
        selected += distinct[:count]
    best = max((start.ratio for start in selected), default=0.0)
    of_sign = [max((s.ratio for s in selected if s.values[0] * sign > 0.0), default=0.0) for sign in (-1.0, 1.0)]
    return [start for start in selected if start.ratio >= KEPT * best or start.ratio in of_sign]


def _cells(power: Power, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contrast over the local level and weight [sectors, shells], and |q|^2 [shells], in shells of equal width in |q|^2, in which rings of a defocus have
    equal distances."""
    square = power.kx**2 + power.ky**2
    near = square < highest**2
    sector = np.minimum((power.azimuth[near] / np.pi * SECTORS).astype(int), SECTORS - 1)
    shell = np.minimum((square[near] / highest**2 * SHELLS).astype(int), SHELLS - 1)
    cell = sector * SHELLS + shell
    weight = np.bincount(cell, power.weight[near], SECTORS * SHELLS).reshape(SECTORS, SHELLS)
    total = np.bincount(cell, power.weight[near] * power.power[near], SECTORS * SHELLS).reshape(SECTORS, SHELLS)
    for _ in range(2):
        count = weight.sum(axis=0)
        level = _smooth(total.sum(axis=0)) / np.maximum(_smooth(count), 1e-12)
        excess = total.sum(axis=0) / np.maximum(count * level, 1e-12) - 1.0
        bright = excess > HIGHEST_CONTRAST + 3.0 * np.sqrt(power.tied / np.maximum(count, 1.0))
        weight[:, bright], total[:, bright] = 0.0, 0.0
    contrast = np.where(weight > 0, total / np.maximum(weight * level, 1e-12) - 1.0, 0.0)
    return contrast, weight, (np.arange(SHELLS) + 0.5) / SHELLS * highest**2


def _level(
    power: Power,
    wavelength: float,
    c30: float,
    highest: float,
    reach: float,
    span: float,
    psi: float | None,
    count: int,
) -> list[Start]:
    """The best starts of each sign among C10 and C12 up to ``reach``, by frequencies up to ``highest``."""
    contrast, weight, square = _cells(power, highest)
    step = STEP / (np.pi * wavelength * highest**2)
    half = int(np.ceil(reach / step))
    defocus = np.arange(-2 * half, 2 * half + 1) * step
    chi = np.pi * wavelength * square * defocus[:, None] + 0.5 * np.pi * wavelength**3 * c30 * square**2
    resolved = np.abs(np.gradient(chi, axis=1)) < RESOLVED
    tables = []
    for phase in (0.0, 0.25 * np.pi) if psi is None else (psi,):
        rings = np.where(resolved, -0.5 * np.cos(2.0 * (chi - phase)), 0.0)
        rings = rings - _smooth(rings)
        noise = np.sqrt(power.tied * (weight.sum(axis=0) * rings**2).sum(axis=1)) + 1e-9
        tables.append(((contrast * weight) @ rings.T / noise).astype(np.float32))
    middle = 2.0 * (np.arange(SECTORS) + 0.5) / SECTORS * np.pi
    parts = np.arange(-half // 2, half // 2 + 1) * 2.0 * step
    inside = min(half, int(span / step))
    values = np.arange(-inside, inside + 1) * step
    grid = np.full((len(tables), len(parts), len(parts), len(values)), -np.inf, np.float32)
    for i, a in enumerate(parts):
        for j, b in enumerate(parts):
            if np.hypot(a, b) > reach:
                continue
            shift = np.round((a * np.cos(middle) + b * np.sin(middle)) / step).astype(int) + 2 * half - inside
            grid[:, i, j] = 0.0
            for table, total in zip(tables, grid[:, i, j], strict=True):
                for row, at in zip(table, shift.tolist(), strict=True):
                    total += row[at : at + len(values)]
    score = grid[0] if psi is not None else np.where(np.isfinite(grid[0]), np.hypot(*grid), -np.inf)
    starts = []
    for cell in _maxima(score, values, count):
        phase = psi if psi is not None else 0.5 * math.atan2(grid[1][cell], grid[0][cell])
        i, j, at = cell
        starts.append(Start(np.array([values[at], parts[i], parts[j]]), phase, float(score[cell])))
    return starts


def _maxima(score: np.ndarray, values: np.ndarray, count: int) -> list[tuple[int, ...]]:
    """Places of the highest local maxima of each sign of ``values``, which are along the last axis: neighbouring ripples may rival each other."""
    peaks = np.isfinite(score) & (score == maximum_filter(score, 3)) & (score > 0.0)
    cells = []
    for sign in (-1.0, 1.0):
        own = np.flatnonzero(peaks & (np.sign(values) == sign))
        best = own[np.argsort(-score.ravel()[own], kind="stable")[:count]]
        cells += [tuple(int(index) for index in np.unravel_index(at, score.shape)) for at in best]
    return cells


def _smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a fifth of the shells, shrunk at the ends."""
    width = 2 * (SHELLS // 10) + 1
    total = uniform_filter1d(values, width, axis=-1, mode="constant")
    return total / uniform_filter1d(np.ones(values.shape[-1]), width, mode="constant")
