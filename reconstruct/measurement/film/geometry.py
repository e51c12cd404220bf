"""What is stated of scan and aperture, tested by the data: the scan's rotation, the scale of its frequencies, the semi-angle, a phase within the aperture.

The places of the overlaps are where wavelength x scan frequency shifts the disk, and their phases those of aberrations to third order, so data test both
without knowing the film. From the maximum of the likelihood one Newton step along each, the other parameters following, gives how far off it is and the error
of that; the score scatters from frequency to frequency as the data have it (White, Econometrica 50, 1, 1982).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.film.blocks import Prepared, block, filled, prepare
from reconstruct.measurement.film.likelihood import Block, values_and_scores
from reconstruct.measurement.film.orientation import Orientation, scan_axes
from reconstruct.measurement.film.search import sum_exposures
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD, Sidebands

PHASE_RADII = {"phase within a quarter": 0.25, "phase within a half": 0.5, "phase within three quarters": 0.75}
"""Shares of the aperture's radius within which a phase is tried."""
STEPS = {"rotation": 0.02, "scale": 0.01, "semiangle": 0.01, **dict.fromkeys(PHASE_RADII, 0.05)}
"""Changes whose differences give slopes: radian, logs of ratios, radian of phase."""
UNSEEN_STD = 1e3
"""Standard deviation of what the data do not show, as the rotation of a scan seen by one pixel on the axis."""


class Deviation(NamedTuple):
    """``value`` of a deviation from what is stated, its standard deviation ``std``, and ``slope`` [n]: how the fitted parameters follow it."""

    value: float
    std: float
    slope: np.ndarray

    @property
    def significance(self) -> float:
        """Standard deviations that it is from 0."""
        return abs(self.value) / self.std


class Evaluated(NamedTuple):
    """Log likelihoods ``values`` [q] and ``scores`` [q, n] of frequencies, exposures that scan alike summed, and the scores of each ``exposure``."""

    values: np.ndarray
    scores: np.ndarray
    exposures: list[np.ndarray]


def moved(data: list[Prepared], orientation: Orientation, log_scale: float = 0.0) -> list[Prepared]:
    """``data``, prepared as if scan and camera had one x and y, for a scan at an ``orientation``, with frequencies exp(``log_scale``) times as large."""
    if orientation == Orientation() and log_scale == 0.0:
        return data
    matrix = np.exp(log_scale) * scan_axes(orientation)
    return [prepare(dataclasses.replace(part.spectra, q=part.spectra.q @ matrix.T), part.optics) for part in data]


def _opened(data: list[Prepared], log_ratio: float) -> list[Prepared]:
    """With a semi-angle exp(``log_ratio``) times as large; the power's knots stay where they are."""
    changed = [
        prepare(
            part.spectra, dataclasses.replace(part.optics, semiangle=part.optics.semiangle * float(np.exp(log_ratio)))
        )
        for part in data
    ]
    return [dataclasses.replace(new, splines=old.splines) for new, old in zip(changed, data, strict=True)]


def _with_phase(data: list[Prepared], phase: float, radius: float) -> list[Prepared]:
    """With a ``phase`` (radian) of the aperture within ``radius`` of its own."""
    changed = []
    for part in data:
        angles, limit = filled(part.spectra.angles, 0), radius * part.optics.semiangle
        shift = wavelength(part.optics.energy) * part.spectra.q[:, None]

        def inside(places: np.ndarray, limit: float = limit, width: float = part.spectra.setting.width) -> np.ndarray:
            return np.clip((limit - np.hypot(places[..., 0], places[..., 1])) / width + 0.5, 0.0, 1.0)

        middle, below, above = inside(angles)[None], inside(angles - shift), inside(angles + shift)
        factors = [np.exp(1j * phase * less).astype(np.complex64) for less in (middle - below, above - middle)]
        bands = part.bands
        turned = Sidebands(bands.minus, bands.plus, bands.lower * factors[0], bands.upper * factors[1])
        changed.append(dataclasses.replace(part, bands=turned))
    return changed


VARIATIONS: dict[str, Callable[[list[Prepared], float], list[Prepared]]] = {
    "rotation": lambda data, amount: moved(data, Orientation(amount)),
    "scale": lambda data, amount: moved(data, Orientation(), amount),
    "semiangle": _opened,
    **{name: functools.partial(_with_phase, radius=radius) for name, radius in PHASE_RADII.items()},
}


def deviation(
    name: str, data: list[Prepared], base: Evaluated, parameters: np.ndarray, information: np.ndarray
) -> Deviation:
    """How far what is stated of ``name`` (of STEPS) is off, at the maximum ``parameters`` [n] of ``data``, where they are as in ``base``, with curvature
    ``information`` [n, n]: radian for rotation and phases, logs of ratios for the others."""
    step, vary = STEPS[name], VARIATIONS[name]
    forward, backward = (
        evaluated([block(part, parameters[:THIRD]) for part in vary(data, sign * step)], parameters)
        for sign in (1.0, -1.0)
    )
    score = (forward.values - backward.values) / (2.0 * step)
    curvature = -float((forward.values + backward.values - 2.0 * base.values).sum()) / step**2
    cross = -(forward.scores - backward.scores).sum(axis=0) / (2.0 * step)
    slope = -np.linalg.solve(information, cross)
    # what is left of the score once the parameters have followed
    efficient = score + base.scores @ slope
    spread = len(efficient) * float(np.var(efficient))
    remaining = curvature + float(cross @ slope)
    if remaining <= 0.0:
        # no parabola here: the scatter of the score says how sharp the likelihood may be
        remaining = spread
    if remaining < UNSEEN_STD**-2:
        return Deviation(0.0, UNSEEN_STD, slope)
    # a deviation makes the score scatter too, so that it is no error of a value far from 0
    return Deviation(float(score.sum()) / remaining, float(np.sqrt(min(spread, 2.0 * remaining))) / remaining, slope)


def evaluated(blocks: list[Block], parameters: np.ndarray) -> Evaluated:
    """Log likelihoods [q] and scores [q, n], frequencies that exposures share summed."""
    results = [values_and_scores(part, parameters) for part in blocks]
    values = np.concatenate(sum_exposures([value for value, _ in results]))
    return Evaluated(
        values, np.concatenate(sum_exposures([rows for _, rows in results])), [rows for _, rows in results]
    )
