"""Where displacements of the probe stand out of noise and random jitter, and whether they can be the specimen's."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.stats import gamma

from reconstruct.measurement.scan_noise.satellites import (
    APART,
    PADDED,
    Carrier,
    Carriers,
    Explained,
    explain_all,
    find_carriers,
    local_median,
    ordinary,
    spectra,
    windowed,
)

FALSE_ALARMS, LEFT_OUT = 1e-9, 0.05
"""Rate of images without displacement in which noise makes a line, if it is exponential: scans that wander have a heavier tail, and at 1e-5 one in a hundred
shows a line; and the rate of lines that are left out by chance."""
MODEL_ERROR = 0.1
"""Share of the satellites' power that is left by other reasons than noise: distortions smear reflections unlike each other."""
ZONE = 0.6
"""Share of the shortest reflection's frequency inside of which a modulation may be the specimen's."""
MEDIAN_SLACK = 1.15
"""Factor by which the median of some frequencies is off by chance."""
MOST_CANDIDATES = 40


class Searched(NamedTuple):
    """What was looked at: ``values`` [M, N] under their window, its reflections and their ``lattice``, the ``fits`` of displacements [M, p], and
    the ``power`` [M, p] that they explain over that which noise and random jitter do."""

    values: np.ndarray
    carriers: list[Carrier]
    lattice: Carriers
    fits: Explained
    power: np.ndarray

    @property
    def zone(self) -> float:
        """Cycles per pixel below which a modulation may be the specimen's."""
        return ZONE * min(float(np.hypot(*carrier.g)) for carrier in self.carriers)

    @property
    def step(self) -> float:
        """Cycles per pixel from column to column of what was looked at."""
        return 1.0 / (PADDED * self.values.shape[1])

    def frequency(self, cell: tuple[int, int]) -> tuple[float, float]:
        """(kx, ky) of a cell [row, column], in cycles per pixel and per row."""
        number = len(self.values)
        return (cell[1] + 1) * self.step, (cell[0] if 2 * cell[0] < number else cell[0] - number) / number

    def in_zone(self, cell: tuple[int, int]) -> bool:
        """Whether a line at that cell may be the specimen's."""
        return float(np.hypot(*self.frequency(cell))) < self.zone

    def largest(self, kx: float, ky: float, bins: float, total: bool = False) -> tuple[int, int] | None:
        """The cell that explains most within ``bins`` of a frequency (``total``: whose satellites hold most); None outside of what was looked at."""
        if kx < 0.0:
            kx, ky = -kx, -ky
        number, size = self.power.shape
        middle, reach = round(kx / self.step) - 1, round(PADDED * bins)
        columns = np.arange(max(middle - reach, 0), min(middle + reach + 1, size))
        rows = np.mod(np.arange(round(ky * number - bins), round(ky * number + bins) + 1), number)
        if not len(columns):
            return None
        power = self.fits.explained[rows[:, None], columns]
        if total:
            power = power + self.fits.left[rows[:, None], columns]
        row, column = np.unravel_index(int(power.argmax()), power.shape)
        return int(rows[row]), int(columns[column])


def search(image: np.ndarray) -> Searched | None:
    """Displacements of all frequencies in ``image`` [M, N]; None where it shows no lattice."""
    values = ordinary(image)
    lattice = find_carriers(values)
    if lattice is None:
        return None
    values = windowed(values)
    carriers = spectra(values, lattice)
    fits = explain_all(carriers)
    return Searched(values, carriers, lattice, fits, over_jitter(fits))


def over_jitter(fits: Explained) -> np.ndarray:
    """The power that displacements explain [M, p], of mean 2 where there are random ones alone.

    Random displacements from row to row are seen in all reflections alike, so that their power is not that of independent noise: in one direction of
    displacement it adds the mean of an exponential variable, which the median tells.
    """
    jitter = local_median(fits.explained) - MEDIAN_SLACK * float(gamma.median(2))
    return fits.explained / (1.0 + np.maximum(jitter, 0.0) / math.log(2.0))


def candidates(searched: Searched) -> Iterator[tuple[int, int]]:
    """Places [row, column] of lines that stand out of the noise, strongest first."""
    power = searched.power
    usable = searched.fits.freedom > 0
    limit = float(gamma.isf(FALSE_ALARMS / max(int(usable.sum()), 1), 2))
    rows, columns = np.nonzero(usable & (power > limit))
    order = np.argsort(-power[rows, columns])
    taken = np.zeros(power.shape, bool)
    number = 0
    for row, column in zip(rows[order], columns[order], strict=True):
        if taken[row, column]:
            continue
        around = np.mod(np.arange(row - APART, row + APART + 1), len(power))
        taken[around[:, None], max(column - PADDED * APART, 0) : column + PADDED * APART + 1] = True
        number += 1
        if number > MOST_CANDIDATES:
            return
        yield int(row), int(column)


def consistent(searched: Searched, cell: tuple[int, int]) -> bool:
    """Whether the satellites of all reflections are those of one displacement."""
    fits = searched.fits
    limit = float(gamma.isf(LEFT_OUT, max(int(fits.freedom[cell]), 1)))
    return bool(fits.left[cell] < limit + MODEL_ERROR * fits.explained[cell])


def aliases(searched: Searched, cell: tuple[int, int], total: bool = False) -> Iterator[tuple[int, int]]:
    """Places of the lines that explain (``total``: have) some of the same satellites as those of other reflections."""
    kx, ky = searched.frequency(cell)
    for shift in (*searched.lattice.strong, *-searched.lattice.strong):
        if np.abs(shift).max() > 1e-6:
            other = searched.largest(kx + shift[0], ky + shift[1], 2.0, total)
            if other is not None:
                yield other
