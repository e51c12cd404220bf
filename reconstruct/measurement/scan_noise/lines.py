"""The frequency of a periodic displacement of a scanning probe, in cycles per pixel along the row, and its harmonics.

A displacement is told from the specimen by three things: all reflections have its satellites in the same relation (`satellites`); its frequency lies outside
of the crystal's first Brillouin zone, as that of a slow modulation of the crystal would not (the phase of the mains goes on from row to row by any amount);
and no frequency inside explains the same satellites as well, as those of other reflections. So a scan that waits for the mains at each row, whose
displacement is that of a fixed distortion, shows none.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import gamma

from reconstruct.measurement.scan_noise.line import Reading, curve, refined
from reconstruct.measurement.scan_noise.satellites import APART, PADDED
from reconstruct.measurement.scan_noise.search import Searched, aliases, candidates, consistent, search

LEAST_PIXELS, MOST_PIXELS = 128, 2**20
"""Rows and columns of an image that shows lines, and pixels of the part (all columns of its middle rows) that is looked at."""
ALIKE = 10.0
"""Nats by which a reading is less likely than the best and may still be it."""
GRID_LOSS = 0.5
"""Share of the power of a line that is seen where it falls between frequencies, at least."""
HIGHEST_HARMONIC, HARMONIC_CHANCE = 5, 1e-5
"""Largest multiple of the basic frequency that is looked for, and the rate at which noise makes one."""
SKIRTS = 0.05
"""Cycles per row of the skirts that drift gives a line."""
LEAST_PRECISE = 0.2
"""Relative error from which a frequency along the row is none: too small a part of a period lies in it."""


class Periodic(NamedTuple):
    """A periodic displacement: ``readings`` of its basic frequency, likeliest first, the ``multiples`` of it that are seen, and the ``displacement`` in
    pixels (rms) of the strongest; ``curve`` [3, p]: kx, the power that displacements explain over noise and jitter at the line's ky, and that of the
    line alone."""

    readings: tuple[Reading, ...]
    multiples: tuple[int, ...]
    displacement: float
    curve: np.ndarray


def find_periodic(image: np.ndarray) -> Periodic | str:
    """The displacement of the probe over the crystal in ``image`` [ny, nx] that recurs with one frequency, or why none is seen."""
    rows, columns = image.shape
    if min(rows, columns) < LEAST_PIXELS:
        return f"{columns} x {rows} pixels are too few"
    if not np.isfinite(image).all():
        return "pixels are missing"
    kept = min(rows, max(MOST_PIXELS // columns, LEAST_PIXELS))
    part = image[(rows - kept) // 2 : (rows - kept) // 2 + kept]
    searched = search(part)
    if searched is None:
        return "the image shows no lattice"
    for cell in candidates(searched):
        readings = _readings(searched, cell)
        if any(reading.error > LEAST_PRECISE * reading.kx for reading in readings):
            return "too small a part of a period lies in a row"
        if readings:
            return _with_harmonics(searched, cell, readings)
    return "no periodic displacement is seen"


def _readings(searched: Searched, cell: tuple[int, int]) -> list[Reading]:
    """The frequencies that explain the line at ``cell`` about as well, likeliest first; none where it may be the specimen's."""
    fits, shape = searched.fits, (searched.values.shape[0], searched.values.shape[1])
    if not consistent(searched, cell) or searched.in_zone(cell):
        return []
    if searched.lattice.multiple(*searched.frequency(cell), shape):
        return []
    cell = searched.largest(*searched.frequency(cell), 2.0) or cell
    # a modulation of another kind, such as of the intensity, that may be the specimen's
    total = fits.explained + fits.left
    if any(searched.in_zone(other) and total[other] > total[cell] for other in aliases(searched, cell, True)):
        return []
    others = {other for other in aliases(searched, cell) if fits.explained[other] > GRID_LOSS * fits.explained[cell]}
    alike = [(other, *fitted) for other in {cell, *others} if (fitted := refined(searched, other)) is not None]
    if cell not in {other for other, _, _ in alike}:
        return []
    best = max(strength for _, _, strength in alike)
    alike = [item for item in alike if item[2] > best - ALIKE]
    if any(searched.in_zone(other) or not consistent(searched, other) for other, _, _ in alike):
        return []
    readings: list[Reading] = []
    for _, reading, strength in sorted(alike, key=lambda item: -item[2]):
        folded = reading if reading.kx >= 0.0 else reading._replace(kx=-reading.kx, ky=-reading.ky)
        apart = [max(abs(folded.kx - other.kx) * shape[1], abs(folded.ky - other.ky) * shape[0]) for other in readings]
        if all(bins > APART for bins in apart):
            readings.append(folded._replace(weight=math.exp(strength - best)))
    total = sum(reading.weight for reading in readings)
    return [reading._replace(weight=reading.weight / total) for reading in readings]


def _with_harmonics(searched: Searched, cell: tuple[int, int], readings: list[Reading]) -> Periodic:
    """The basic frequency of the line and of others that are multiples of it, or it of them."""
    fits = searched.fits
    displacement = float(np.linalg.norm(fits.displacement[cell])) / math.sqrt(2.0)
    shown = curve(searched, cell, readings[0].kx)
    if len(readings) > 1:
        return Periodic(tuple(readings), (1,), displacement, shown)
    line = readings[0]
    lines = [(1, line)]
    for order in (1, 2, 3):
        for fold in range(order):
            base = line._replace(kx=line.kx / order, error=line.error / order, ky=(line.ky + fold) / order)
            others = ((n, _harmonic(searched, cell, base, n)) for n in range(1, HIGHEST_HARMONIC + 1) if n != order)
            seen = [(order, line), *((n, other) for n, other in others if other is not None)]
            lines = seen if len(seen) > len(lines) else lines
    multiples, seen = zip(*sorted(lines), strict=True)
    values = np.array([reading.kx / multiple for multiple, reading in zip(multiples, seen, strict=True)])
    weights = np.array([(multiple / reading.error) ** 2 for multiple, reading in zip(multiples, seen, strict=True)])
    common = Reading(float(weights @ values / weights.sum()), float(weights.sum() ** -0.5), 1.0, line.ky)
    return Periodic((common,), multiples, displacement, shown)


def _harmonic(searched: Searched, line: tuple[int, int], base: Reading, multiple: int) -> Reading | None:
    """The line at so many times the frequency ``base``, besides that at the cell ``line``; None where noise may be all there is."""
    kx, ky = multiple * base.kx, (multiple * base.ky + 0.5) % 1.0 - 0.5
    cell = searched.largest(kx, ky, 1.0 + 0.5 * multiple)
    if cell is None or searched.in_zone(cell) or not searched.fits.freedom[cell]:
        return None
    own, shape = searched.frequency(line), (searched.values.shape[0], searched.values.shape[1])
    at = searched.frequency(cell)
    skirts = abs((at[1] - own[1] + 0.5) % 1.0 - 0.5) < SKIRTS and abs(cell[1] - line[1]) <= PADDED * APART
    # the line's own satellites, seen from other reflections
    if skirts or any(
        searched.lattice.multiple(at[0] - sign * own[0], at[1] - sign * own[1], shape) for sign in (1, -1)
    ):
        return None
    cells = (2 * round(PADDED * (1 + 0.5 * multiple)) + 1) * (3 + multiple)
    if searched.power[cell] < gamma.isf(HARMONIC_CHANCE / cells, 2) or not consistent(searched, cell):  # fmt: skip
        return None
    fitted = refined(searched, cell)
    if fitted is None:
        return None
    reading = fitted[0]
    return reading if abs(reading.kx - kx) < 3.0 * math.hypot(multiple * base.error, reading.error) else None
