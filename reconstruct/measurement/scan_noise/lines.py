"""The frequency of a periodic displacement of a scanning probe, in cycles per pixel along the row, and its harmonics.

A displacement is told from the specimen by three things: all reflections have its satellites in the same relation (`satellites`); its frequency lies outside
of the crystal's first Brillouin zone, as a slow modulation of the crystal would not (line time is not the mains' period, so that the phase goes on from row
to row by any amount); and the satellites are not as well explained as those of other reflections by a frequency inside.
"""

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
    explain,
    explain_all,
    find_carriers,
    hann,
    local_median,
    places,
    spectra,
    steady,
    windowed,
)

LEAST_PIXELS, MOST_PIXELS = 128, 2**20
"""Rows and columns of an image that shows lines, and pixels of the part (all columns of its middle rows) that is looked at."""
FALSE_ALARMS, LEFT_OUT = 1e-5, 0.05
"""Rate of images without displacement in which noise makes a line; and of lines that are left out by chance."""
MODEL_ERROR = 0.1
"""Share of the satellites' power that is left by other reasons than noise: distortions smear reflections unlike each other."""
ZONE = 0.6
"""Share of the shortest reflection's frequency inside of which a modulation may be the specimen's."""
ALIKE = 10.0
"""Nats by which a reading is less likely than the best and may still be it."""
MEDIAN_SLACK = 1.15
"""Factor by which the median of some frequencies is off by chance."""
BIAS = 0.015
"""Frequency bins rms by which a line is off for other reasons than noise: distortions, and what other reflections leave beside it."""
GRID_LOSS = 0.5
"""Share of the power of a line that is seen where it falls between frequencies, at least."""
MOST_CANDIDATES = 40
HIGHEST_HARMONIC, HARMONIC_CHANCE = 5, 1e-5
"""Largest multiple of the basic frequency that is looked for, and the rate at which noise makes one."""
SKIRTS = 0.05
"""Cycles per row of the skirts that drift gives a line."""
CURVE, CURVE_BINS = 4.0, 16.0
"""Multiple of the line's frequency, and frequency bins, up to which the curve is shown."""
LEAST_PRECISE = 0.2
"""Relative error from which a frequency along the row is none: too small a part of a period lies in it."""


class Reading(NamedTuple):
    """A frequency ``kx`` in cycles per pixel of a row with its rms ``error``, its ``weight`` among the readings, and ``ky`` in cycles per row."""

    kx: float
    error: float
    weight: float
    ky: float


class Periodic(NamedTuple):
    """A periodic displacement: ``readings`` of its basic frequency, likeliest first, the ``multiples`` of it that are seen, and the ``displacement`` in
    pixels (rms) of the strongest; ``curve`` [3, p]: kx, the power that displacements explain over noise and jitter at the line's ky, and that of the
    line alone."""

    readings: tuple[Reading, ...]
    multiples: tuple[int, ...]
    displacement: float
    curve: np.ndarray


class _Searched(NamedTuple):
    """What was looked at: ``values`` [M, N] under their window, its reflections and their ``lattice``, displacements ``found`` [M, p], and
    the ``power`` [M, p] that they explain over that which noise and random jitter do."""

    values: np.ndarray
    carriers: list[Carrier]
    lattice: Carriers
    found: Explained
    power: np.ndarray

    @property
    def zone(self) -> float:
        """Cycles per pixel below which a modulation may be the specimen's."""
        return ZONE * min(float(np.hypot(*carrier.g)) for carrier in self.carriers)

    @property
    def step(self) -> float:
        """Cycles per pixel from column to column of what was found."""
        return 1.0 / (PADDED * self.values.shape[1])

    def frequency(self, place: tuple[int, int]) -> tuple[float, float]:
        """(kx, ky) of a place [row, column], in cycles per pixel and per row."""
        number = len(self.values)
        return (place[1] + 1) * self.step, (place[0] if 2 * place[0] < number else place[0] - number) / number

    def in_zone(self, place: tuple[int, int]) -> bool:
        """Whether a line at that place may be the specimen's."""
        return float(np.hypot(*self.frequency(place))) < self.zone

    def largest(self, kx: float, ky: float, bins: float) -> tuple[int, int] | None:
        """The place that explains most within ``bins`` of a frequency; None outside of what was looked at."""
        if kx < 0.0:
            kx, ky = -kx, -ky
        number, size = self.power.shape
        middle, reach = round(kx / self.step) - 1, round(PADDED * bins)
        columns = np.arange(max(middle - reach, 0), min(middle + reach + 1, size))
        rows = np.mod(np.arange(round(ky * number - bins), round(ky * number + bins) + 1), number)
        if not len(columns):
            return None
        power = self.found.explained[rows[:, None], columns]
        row, column = np.unravel_index(int(power.argmax()), power.shape)
        return int(rows[row]), int(columns[column])


def find_periodic(image: np.ndarray) -> Periodic | str:
    """The displacement of the probe over the crystal in ``image`` [ny, nx] that recurs with one frequency, or why none is seen."""
    rows, columns = image.shape
    if min(rows, columns) < LEAST_PIXELS:
        return f"{columns} x {rows} pixels are too few"
    if not np.isfinite(image).all():
        return "pixels are missing"
    kept = min(rows, max(MOST_PIXELS // columns, LEAST_PIXELS))
    part = image[(rows - kept) // 2 : (rows - kept) // 2 + kept]
    carriers = find_carriers(part)
    if carriers is None:
        return "the image shows no lattice"
    values = windowed(part)
    reflections = spectra(values, carriers)
    found = explain_all(reflections)
    searched = _Searched(values, reflections, carriers, found, over_jitter(found))
    for place in _candidates(searched):
        readings = _readings(searched, place)
        if any(reading.error > LEAST_PRECISE * reading.kx for reading in readings):
            return "too small a part of a period lies in a row"
        if readings:
            return _with_harmonics(searched, place, readings)
    return "no periodic displacement is seen"


def over_jitter(found: Explained) -> np.ndarray:
    """The power that displacements explain [M, p], of mean 2 where there are random ones alone.

    Random displacements from row to row are seen in all reflections alike, so that their power is not that of independent noise: in one direction of
    displacement it adds the mean of an exponential variable, which the median tells.
    """
    jitter = local_median(found.explained) - MEDIAN_SLACK * float(gamma.median(2))
    return found.explained / (1.0 + np.maximum(jitter, 0.0) / math.log(2.0))


def _candidates(searched: _Searched) -> Iterator[tuple[int, int]]:
    """Places [row, column] of lines that stand out of the noise, strongest first."""
    power = searched.power
    usable = searched.found.freedom > 0
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


def _consistent(found: Explained, place: tuple[int, int]) -> bool:
    """Whether the satellites of all reflections are those of one displacement."""
    limit = float(gamma.isf(LEFT_OUT, max(int(found.freedom[place]), 1)))
    return bool(found.left[place] < limit + MODEL_ERROR * found.explained[place])


def _readings(searched: _Searched, place: tuple[int, int]) -> list[Reading]:
    """The frequencies that explain the line at ``place`` about as well, likeliest first; none where it may be the specimen's."""
    found, shape = searched.found, (searched.values.shape[0], searched.values.shape[1])
    if not _consistent(found, place) or searched.in_zone(place):
        return []
    if searched.lattice.multiple(*searched.frequency(place), shape):
        return []
    place = searched.largest(*searched.frequency(place), 2.0) or place
    aliases = {
        other for other in _aliases(searched, place) if found.explained[other] > GRID_LOSS * found.explained[place]
    }
    alike = [(other, *fitted) for other in {place, *aliases} if (fitted := _refined(searched, other)) is not None]
    if place not in {other for other, _, _ in alike}:
        return []
    best = max(strength for _, _, strength in alike)
    alike = [item for item in alike if item[2] > best - ALIKE]
    if any(searched.in_zone(other) or not _consistent(found, other) for other, _, _ in alike):
        return []
    readings: list[Reading] = []
    for _, reading, strength in sorted(alike, key=lambda item: -item[2]):
        folded = reading if reading.kx >= 0.0 else reading._replace(kx=-reading.kx, ky=-reading.ky)
        apart = [max(abs(folded.kx - other.kx) * shape[1], abs(folded.ky - other.ky) * shape[0]) for other in readings]
        if all(bins > APART for bins in apart):
            readings.append(folded._replace(weight=math.exp(strength - best)))
    total = sum(reading.weight for reading in readings)
    return [reading._replace(weight=reading.weight / total) for reading in readings]


def _aliases(searched: _Searched, place: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Places of the lines that explain some of the same satellites as those of other reflections."""
    kx, ky = searched.frequency(place)
    for shift in (*searched.lattice.strong, *-searched.lattice.strong):
        if np.abs(shift).max() > 1e-6:
            other = searched.largest(kx + shift[0], ky + shift[1], 2.0)
            if other is not None:
                yield other


def _refined(searched: _Searched, place: tuple[int, int]) -> tuple[Reading, float] | None:
    """The frequency near ``place`` that explains most, with its error by noise, and how much that is; kx below zero of the line at -kx, -ky.
    None where no frequency near is a maximum."""
    number, width = searched.values.shape
    kx, ky = searched.frequency(place)
    near = np.mod([place[0] - 1, place[0], place[0] + 1], number)
    ky += _vertex(searched.power[near, place[1]]) / number
    wave = np.exp(2j * np.pi * ky * places(number))
    rows = np.concatenate([[carrier.rows, carrier.rows / wave, carrier.rows * wave] for carrier in searched.carriers])
    columns = (rows.real @ searched.values + 1j * (rows.imag @ searched.values)).reshape(-1, 3, width)
    x = places(width)
    trial = kx + np.arange(-20, 21) * 0.05 / width
    turns = np.exp(-2j * np.pi * trial[:, None] * x[None])
    satellites, variances = [], []
    for carrier, parts in zip(searched.carriers, columns, strict=True):
        own, above, below = parts * np.exp(-2j * np.pi * carrier.g[0] * x)
        flat = steady(own)
        amplitude = own @ flat
        satellites.append([turns @ (above * flat) / amplitude, np.conj(turns) @ (below * flat) / amplitude])
        middle = carrier.spectrum.shape[1] // 2
        variances.append([carrier.noise[place[0], middle + 1 + place[1]], carrier.noise[-place[0] % number, middle - 1 - place[1]]])  # fmt: skip
    plus, minus = np.array(satellites).swapaxes(0, 1)
    power = explain(searched.carriers, plus, minus, np.array(variances)[..., None]).explained
    best = int(power.argmax())
    if not 0 < best < len(power) - 1:
        return None
    kx = float(trial[best] + _vertex(power[best - 1 : best + 2]) * (trial[1] - trial[0]))
    window = hann(width)
    spread = (window**2 * x**2).sum() * window.sum() ** 2 / (window**2).sum() / (window * x**2).sum() ** 2
    strength = float(power[best])
    apart = strength * float(searched.power[place] / searched.found.explained[place])
    error = math.hypot(math.sqrt(0.5 * spread / max(apart - 2.0, 1.0)) / (2.0 * math.pi), BIAS / width)
    return Reading(kx, error, 1.0, ky), strength


def _vertex(three: np.ndarray) -> float:
    """Where the parabola through ``three`` values in a row has its top, from the middle one."""
    bend = three[0] - 2.0 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0


def _with_harmonics(searched: _Searched, place: tuple[int, int], readings: list[Reading]) -> Periodic:
    """The basic frequency of the line and of others that are multiples of it, or it of them."""
    found = searched.found
    displacement = float(np.linalg.norm(found.displacement[place])) / math.sqrt(2.0)
    curve = _curve(searched, place, readings[0].kx)
    if len(readings) > 1:
        return Periodic(tuple(readings), (1,), displacement, curve)
    line = readings[0]
    lines = [(1, line)]
    for order in (1, 2, 3):
        for fold in range(order):
            base = line._replace(kx=line.kx / order, error=line.error / order, ky=(line.ky + fold) / order)
            others = ((n, _harmonic(searched, place, base, n)) for n in range(1, HIGHEST_HARMONIC + 1) if n != order)
            seen = [(order, line), *((n, other) for n, other in others if other is not None)]
            lines = seen if len(seen) > len(lines) else lines
    multiples, seen = zip(*sorted(lines), strict=True)
    values = np.array([reading.kx / multiple for multiple, reading in zip(multiples, seen, strict=True)])
    weights = np.array([(multiple / reading.error) ** 2 for multiple, reading in zip(multiples, seen, strict=True)])
    common = Reading(float(weights @ values / weights.sum()), float(weights.sum() ** -0.5), 1.0, line.ky)
    return Periodic((common,), multiples, displacement, curve)


def _curve(searched: _Searched, place: tuple[int, int], kx: float) -> np.ndarray:
    """Frequencies along the row, the power that displacements explain at the line's frequency from row to row, and that of a line at ``kx`` in noise."""
    power = searched.power[place[0]]
    frequencies = (np.arange(len(power)) + 1) * searched.step
    width = searched.values.shape[1]
    window = hann(width)
    lobe = np.abs(np.exp(-2j * np.pi * (frequencies - kx)[:, None] * places(width)) @ window / window.sum()) ** 2
    shown = frequencies < max(CURVE * kx, CURVE_BINS / width)
    return np.stack([frequencies, power, 2.0 + (power[place[1]] - 2.0) * lobe])[:, shown]


def _harmonic(searched: _Searched, line: tuple[int, int], base: Reading, multiple: int) -> Reading | None:
    """The line at so many times the frequency ``base``, besides that at the place ``line``; None where noise may be all there is."""
    kx, ky = multiple * base.kx, (multiple * base.ky + 0.5) % 1.0 - 0.5
    place = searched.largest(kx, ky, 1.0 + 0.5 * multiple)
    if place is None or searched.in_zone(place) or not searched.found.freedom[place]:
        return None
    own, shape = searched.frequency(line), (searched.values.shape[0], searched.values.shape[1])
    at = searched.frequency(place)
    skirts = abs((at[1] - own[1] + 0.5) % 1.0 - 0.5) < SKIRTS and abs(place[1] - line[1]) <= PADDED * APART
    # the line's own satellites, seen from other reflections
    if skirts or any(
        searched.lattice.multiple(at[0] - sign * own[0], at[1] - sign * own[1], shape) for sign in (1, -1)
    ):
        return None
    cells = (2 * round(PADDED * (1 + 0.5 * multiple)) + 1) * (3 + multiple)
    if searched.power[place] < gamma.isf(HARMONIC_CHANCE / cells, 2) or not _consistent(searched.found, place):  # fmt: skip
        return None
    fitted = _refined(searched, place)
    if fitted is None:
        return None
    reading = fitted[0]
    return reading if abs(reading.kx - kx) < 3.0 * math.hypot(multiple * base.error, reading.error) else None
