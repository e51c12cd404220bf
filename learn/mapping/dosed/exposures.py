"""Exposures of the pixels of a scan so far: data summed by pixel, and values with variances of any dwell time."""

from typing import Any

import numpy as np
from scipy.spatial import KDTree

from reconstruct.measurement.scanned import PixelQuantity

NEIGHBOURS = 8
"""Measured pixels over which the noise of a value is averaged: noise that is estimated from the same counts as a value would weigh low values too much."""
COUNTED = "count"
REPEATS = 24
"""Draws of the readout's noise by which its part of a value's variance is found."""


Numbers = np.ndarray | np.floating | float


class Exposures:
    """Sums of the data of exposed pixels, ``dwells`` [n] of each in shortest dwell times.

    Values of counted quantities are shares of the beam: counts over gain and ``electrons`` of the shortest dwell time. Those of the others are the
    quantity's own, of the summed data. ``points`` [n, d]: where pixels lie, position and features of the survey, for neighbours. ``readout``: noise of a
    channel in electrons, rms, of each exposure anew; what it adds to the variance of a value by one shortest dwell time is ``reading``.
    """

    def __init__(
        self, quantity: PixelQuantity, electrons: float, gain: float, points: np.ndarray, readout: float = 0.0
    ):
        self.quantity, self.points, self.reading = quantity, points, 0.0
        self._readout = gain * readout
        self.visits = np.zeros(len(points))
        self.counted = quantity.unit == COUNTED
        self._scale = gain * electrons
        self.dwells = np.zeros(len(points))
        self._sums: dict[int, np.ndarray] = {}
        self._known: dict[int, tuple[float, float]] = {}

    def add(self, pixel: int, data: np.ndarray, dwells: float) -> None:
        """One more exposure of a pixel."""
        self.dwells[pixel] += dwells
        self.visits[pixel] += 1.0
        self._sums[pixel] = self._sums.get(pixel, 0.0) + np.asarray(data, np.float64)
        self._known.pop(pixel, None)

    def learn(self) -> dict[str, Any]:
        """What the exposed pixels tell of all: see `PixelQuantity`."""
        self._known.clear()
        first = np.stack(list(self._sums.values()))
        determined = self.quantity.learn(first)
        if self._readout > 0.0:
            self.reading = self._read(first)
        return determined

    def _read(self, first: np.ndarray) -> float:
        """By how much values scatter where noise of the readout is added to the ``first`` data, times their dwell times squared: the noise of an exposure is
        the same however long it is."""
        rng = np.random.default_rng(0)
        made = np.stack(
            [self.quantity.values(first + self._readout * rng.standard_normal(first.shape))[0] for _ in range(REPEATS)]
        )
        factor = 1.0 / self._scale if self.counted else self.dwells[self.pixels]
        return float(np.nanmedian(np.nanvar(made, axis=0, ddof=1) * factor**2))

    def noise_of(self, unit_noise: Numbers, dwells: Numbers, visits: Numbers = 1.0) -> Numbers:
        """Noise variance of values by so many shortest ``dwells`` in so many ``visits``; ``unit_noise`` as `unit_noise` has it."""
        return unit_noise / dwells + self.reading * visits / dwells**2

    @property
    def pixels(self) -> np.ndarray:
        """The exposed pixels, in the order of their first exposure."""
        return np.array(list(self._sums), dtype=np.int64)

    def value(self, data: np.ndarray, dwells: float) -> tuple[float, float]:
        """The value of one exposure, and its variance as its own counts tell it; NaN where it has none."""
        value, variance = (float(part[0]) for part in self.quantity.values(np.asarray(data, np.float64)[None]))
        factor = 1.0 / (self._scale * dwells) if self.counted else 1.0
        return value * factor, variance * factor**2

    def values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels with a value [m], their values, and the noise variance of one shortest dwell time as their own counts tell it."""
        stale = [pixel for pixel in self._sums if pixel not in self._known]
        if stale:
            values, variances = self.quantity.values(np.stack([self._sums[pixel] for pixel in stale]))
            factor = 1.0 / (self._scale * self.dwells[stale]) if self.counted else np.ones(len(stale))
            made = zip(values * factor, variances * factor**2 * self.dwells[stale], strict=True)
            self._known |= dict(zip(stale, made, strict=True))
        pixels = self.pixels
        both = np.array([self._known[int(pixel)] for pixel in pixels]).reshape(-1, 2)
        known = np.isfinite(both).all(axis=1)
        return pixels[known], both[known, 0], both[known, 1]

    def unit_noise(self) -> np.ndarray:
        """Noise variance [n] of one shortest dwell time at every pixel: the mean over the nearest measured pixels, each weighted by its dwell time."""
        pixels, _, noise = self.values()
        count = min(NEIGHBOURS, len(pixels))
        _, near = KDTree(self.points[pixels]).query(self.points, k=count)
        near = np.asarray(near).reshape(len(self.points), count)
        weights = self.dwells[pixels][near]
        return (noise[near] * weights).sum(axis=1) / weights.sum(axis=1)
