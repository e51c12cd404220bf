"""Pixels of an image or a pattern that are not of the specimen: hot, dead and saturated pixels, lines of them, cosmic rays, blocks without a reading.

Nothing is known of gain and black level: the variance of a pixel is taken as a straight line in its level, fitted to the image itself, and values are
compared by the square root that makes the variance one (Anscombe, Biometrika 35, 246, 1948; with readout noise Murtagh, Starck & Bijaoui, Astron.
Astrophys. Suppl. 112, 179, 1995). What stands out must do so from its neighbours, and by a multiple of what the image's own structure does: columns of
atoms that are sharp and frequent are no defects.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import find_objects, label, maximum_filter, minimum_filter, uniform_filter

from reconstruct.measurement.outcome import Defect

MIN_SIGNIFICANCE = 7.0
"""Standard deviations from which a pixel is a defect: of Gaussian noise once in 10^12."""
STRUCTURE_FACTOR = 3.0
"""By how much a defect must exceed what ``STRUCTURE_QUANTILE`` of all pixels stay below."""
STRUCTURE_QUANTILE = 0.98
LINE_FACTOR, LINE_QUANTILE = 4.0, 0.9
"""The same for rows and columns."""
LINE_PIXELS = 300
"""Pixels of a line by which it is judged, about."""
MIN_LINE_SHARE = 0.3
"""Share of a line's pixels that must be known."""
HOT_CLUSTER, DEAD_CLUSTER = 4, 1
"""Neighbours of a hot or dead pixel, in the 24 around it, that may be so too: cosmic rays leave tracks."""
SAMPLE = 40_000
"""Pixels by which structure is judged."""
DARKEST = 0.01
"""Share of the pixels that are as dark as a dead one may be."""
BLOCK_SIDE = 6
"""Pixels along the sides of a block without a reading, at least; a row or column of one value may be as narrow as a pixel."""
MIN_EXPECTED = 30.0
"""Electrons that a block without a reading would have had, at least."""
MIN_SATURATED = 10
"""Pixels at the very same highest value, at least."""
MAX_STRUCK_SHARE = 0.02
"""Share of a scan's patterns in which one pixel of the camera is struck by cosmic rays, at most."""
LEVEL_BINS = 24
TRIMMED = 0.005
"""Share of the largest squares that is left out of a variance."""
FEW_LEVELS = 256
"""Values of which there are no more, evenly spaced, are counts: a step is at least an electron."""


class DefectMask(NamedTuple):
    """``mask`` [ny, nx], True where a pixel is a defect, and the ``defects`` in words."""

    mask: np.ndarray
    defects: tuple[Defect, ...]


def find_defects(values: np.ndarray) -> DefectMask:
    """Defects of ``values`` [ny, nx], NaN where a pixel is not known."""
    known = np.isfinite(values)
    mask, defects = np.zeros(values.shape, bool), []
    if min(values.shape) < 8 or known.sum() < 64 or np.ptp(values[known]) == 0.0:
        return DefectMask(mask, ())

    def add(part: np.ndarray, kind: str, count: int, description: str) -> None:
        mask[part] = True
        defects.append(Defect(kind, count, "masked", description))

    for kind, block, count, words in _blocks(values, known):
        add(block, kind, count, words)
    stable = stabilised(values, known & ~mask)
    for axis, word in ((0, "column"), (1, "row")):
        lines = _lines(stable, known & ~mask, axis)
        if lines.size:
            part = np.zeros(values.shape, bool)
            part[(slice(None), lines) if axis == 0 else (lines, slice(None))] = True
            where = ", ".join(str(line) for line in lines[:5]) + (" ..." if len(lines) > 5 else "")
            add(part & known, f"{word}s", len(lines), f"{_number(len(lines), word)}: {where}")
    for sign, cluster, word in ((1.0, HOT_CLUSTER, "hot pixel"), (-1.0, DEAD_CLUSTER, "dead pixel")):
        pixels = _pixels(sign * stable, known & ~mask, cluster)
        if sign < 0.0:
            # a dead pixel reads no more than the darkest of the image: a fringe may be sharp
            pixels &= stable < float(np.quantile(stable[known & ~mask], DARKEST)) + 3.0
        count = int(pixels.sum())
        if count:
            add(pixels, f"{word}s", count, _number(count, word))
    saturated = _saturated(values, known & ~mask)
    if saturated is not None:
        count = int(saturated.sum())
        add(saturated, "saturated pixels", count, f"{_number(count, 'pixel')} saturated at {values[saturated][0]:.6g}")
    return DefectMask(mask, tuple(defects))


def find_scan_defects(values: np.ndarray) -> DefectMask:
    """Defects of patterns ``values`` [ny, nx, ky, kx] of a scan: pixels of the camera by the mean pattern, and single readings (cosmic rays) by the highest
    of each pixel; ``mask`` [ny, nx, ky, kx]."""
    known = np.isfinite(values)
    whole = bool(known.all())  # scans are large: no copies where nothing is missing
    top = (values if whole else np.where(known, values, -np.inf)).max(axis=(0, 1))
    struck, usable = np.zeros(values.shape, bool), np.isfinite(top)
    if min(top.shape) >= 8 and usable.sum() >= 64 and np.ptp(top[usable]) > 0.0:
        single = _pixels(stabilised(np.where(usable, top, np.nan), usable), usable, HOT_CLUSTER)
        row, column = np.nonzero(single)
        readings = values[:, :, row, column]
        # readings far above all others of their pixel; a hot pixel is bright in every pattern
        limit = 0.5 * (top[row, column] + np.nanquantile(readings, 1.0 - MAX_STRUCK_SHARE, axis=(0, 1)))
        hit = readings > limit
        struck[:, :, row, column] = hit & (hit.mean(axis=(0, 1)) <= MAX_STRUCK_SHARE)
    number = int(struck.sum())
    good = known & ~struck
    count = good.sum(axis=(0, 1))
    total = (values if whole and not number else np.where(good, values, 0.0)).sum(axis=(0, 1))
    camera, defects = find_defects(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    if number:
        words = f"{_number(number, 'reading')} struck by cosmic rays"
        defects = (*defects, Defect("cosmic rays", number, "masked", words))
    return DefectMask(struck | camera, defects)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def stabilised(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``values`` [ny, nx] on a scale where noise has a standard deviation of about 1 at every level; 0 where not ``known``."""
    intercept, slope = noise_line(values, known)
    variance = np.maximum(intercept + slope * np.where(known, values, 0.0), 0.0)
    if slope <= 0.0:
        return np.where(known, values, 0.0) / np.sqrt(max(intercept, 1e-300))
    return np.where(known, 2.0 / slope * np.sqrt(variance + 0.375 * slope**2), 0.0)


def noise_line(values: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """(intercept, slope) of the variance of pixels as a line in their level, by bins of level, from second differences of 2 x 2 pixels: of these whatever
    varies linearly over them has none. What the specimen varies beyond that is part of it."""
    level = _local_mean(values, known)
    whole = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]
    filled = np.where(known, values, 0.0)
    second = (filled[:-1, :-1] - filled[1:, :-1] - filled[:-1, 1:] + filled[1:, 1:])[whole] / 2.0
    at = level[:-1, :-1][whole]
    stride = max(1, len(at) // (5 * SAMPLE))
    second, at = second[::stride], at[::stride]
    if len(at) < LEVEL_BINS:
        return float(np.var(values[known])), 0.0
    order = np.argsort(at, kind="stable")
    levels, variances = [], []
    for part in np.array_split(order, LEVEL_BINS):
        squares = np.sort(second[part] ** 2)
        # of a normal distribution the median of squares is 0.4549 of the variance; of few counts it is zero
        variance = float(np.median(squares)) / 0.4549 or float(
            squares[: max(int((1 - TRIMMED) * len(squares)), 1)].mean()
        )
        if variance > 0.0:
            levels.append(float(at[part].mean()))
            variances.append(variance)
    least = _quantum(values[known])
    x, y = np.array(levels), np.array(variances)
    if len(x) < 2 or np.ptp(x) <= 1e-9 * max(np.abs(x).max(), 1e-300):
        return (float(np.median(y)) if len(y) else float(np.var(values[known]))), least
    # variances are as uncertain as they are large
    slope, intercept = np.polyfit(x, y, 1, w=1.0 / y)
    if slope <= 0.0:
        return float(np.median(y)), least
    return (float(intercept), float(slope)) if slope > least else (max(float(intercept), 0.0), least)


def _quantum(values: np.ndarray) -> float:
    """The step of values that are counts of few electrons; 0 for others."""
    distinct = np.unique(values[:: max(1, len(values) // SAMPLE)])
    if not 2 <= len(distinct) <= FEW_LEVELS:
        return 0.0
    steps = np.diff(distinct)
    step = float(steps.min())
    return step if np.abs(steps / step - np.round(steps / step)).max() < 1e-3 else 0.0


def _local_mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of the known of 5 x 5 pixels, the highest and lowest thousandth of the image clipped."""
    low, high = np.quantile(values[known], (1e-3, 1.0 - 1e-3))
    filled = np.where(known, np.clip(values, low, high), 0.0)
    share = uniform_filter(known.astype(float), 5, mode="nearest")
    return uniform_filter(filled, 5, mode="nearest") / np.maximum(share, 0.04)


def _pixels(stable: np.ndarray, known: np.ndarray, cluster: int) -> np.ndarray:
    """Pixels [ny, nx] that exceed all but ``cluster`` of their 24 neighbours by far more than the image's structure does."""
    mean = _local_mean(stable, known)
    candidates = np.flatnonzero((known & (stable - mean > 0.5 * MIN_SIGNIFICANCE)).ravel())
    every = np.flatnonzero(known.ravel())
    sample = every[:: max(1, len(every) // SAMPLE)]
    usual = float(np.quantile(_excess(stable, known, sample, cluster), STRUCTURE_QUANTILE))
    defective = np.zeros(stable.size, bool)
    defective[candidates] = _excess(stable, known, candidates, cluster) > max(
        MIN_SIGNIFICANCE, STRUCTURE_FACTOR * usual
    )
    return defective.reshape(stable.shape)


def _excess(stable: np.ndarray, known: np.ndarray, pixels: np.ndarray, cluster: int) -> np.ndarray:
    """By how much ``pixels`` (flat indices [n]) exceed the largest but ``cluster`` of their neighbours; those that are not known count as low."""
    ny, nx = stable.shape
    row, column = np.divmod(pixels, nx)
    lowest = float(stable[known].min())
    neighbours = []
    for down in range(-2, 3):
        for across in range(-2, 3):
            if down or across:
                y, x = row + down, column + across
                inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
                y, x = np.clip(y, 0, ny - 1), np.clip(x, 0, nx - 1)
                neighbours.append(np.where(inside & known[y, x], stable[y, x], lowest))
    if not len(pixels):
        return np.zeros(0)
    rank = len(neighbours) - 1 - cluster
    return stable.ravel()[pixels] - np.partition(np.array(neighbours), rank, axis=0)[rank]


def _lines(stable: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
    """Indices of columns (``axis`` 0) or rows (1) that are above, or below, the two lines to either side in most of their pixels.

    The two outer lines have neighbours on one side only: they are judged by what lines are above the two that follow them.
    """
    lines, there = (stable.T, known.T) if axis == 0 else (stable, known)
    count, stride = len(lines), max(1, lines.shape[1] // LINE_PIXELS)
    lines, there = np.ascontiguousarray(lines[:, ::stride]), np.ascontiguousarray(there[:, ::stride])
    both = _standing_out(lines, there, (-2, -1, 1, 2))
    outliers = both > max(MIN_SIGNIFICANCE, LINE_FACTOR * float(np.quantile(both, LINE_QUANTILE)))
    for steps, ends in (((1, 2), [0, 1]), ((-2, -1), [count - 2, count - 1])):
        single = _standing_out(lines, there, steps)
        inside = np.delete(single, ends)
        limit = max(
            MIN_SIGNIFICANCE, LINE_FACTOR * float(np.quantile(inside, LINE_QUANTILE)), 1.5 * float(inside.max())
        )
        outliers[ends] = single[ends] > limit
    return np.flatnonzero(outliers)


def _standing_out(lines: np.ndarray, known: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """By how much [n] each of ``lines`` [n, pixels] is above all those that are ``steps`` away, or below all, in the median of its pixels and in sigmas of it;
    0 for neither."""
    size, at = np.zeros(len(lines)), np.arange(len(lines))
    for sign in (1.0, -1.0):
        around = np.full(lines.shape, -np.inf)
        for step in steps:
            beside = np.clip(at + step, 0, len(lines) - 1)
            inside = known[beside] & (beside == at + step)[:, None]
            around = np.maximum(around, np.where(inside, sign * lines[beside], -np.inf))
        above = np.where(known & np.isfinite(around), sign * lines - around, np.nan)
        pixels = np.isfinite(above).sum(axis=1)
        usable = pixels > MIN_LINE_SHARE * lines.shape[1]
        middle = np.zeros(len(lines))
        middle[usable] = np.nanmedian(above[usable], axis=1)
        size = np.maximum(size, middle * np.sqrt(pixels))
    return size


def _saturated(values: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """Pixels at the highest value, if far more have it than values just below."""
    top = float(values[known].max())
    full = known & (values == top)
    if full.sum() < MIN_SATURATED:
        return None
    rest = known & ~full
    if rest.sum() < 64:
        return None
    intercept, slope = noise_line(values, rest)
    width = 2.0 * np.sqrt(max(intercept + slope * top, 0.0))
    next_value = float(values[rest].max())
    below = values[rest & (values >= next_value - width)]
    return full if full.sum() > 5 * len(below) / len(np.unique(below)) else None


def _blocks(values: np.ndarray, known: np.ndarray) -> list[tuple[str, np.ndarray, int, str]]:
    """Rectangles in which all pixels read the same and their surroundings do not: (kind, pixels, how many, words)."""
    blocks = []
    for value in {float(values[known].min()), float(values[known].max())}:
        same = known & (values == value)
        # what hangs together with a block by few pixels is not of it; lines across the whole image may be narrow
        for size in ((BLOCK_SIDE, BLOCK_SIDE), (1, values.shape[1]), (values.shape[0], 1)):
            regions: np.ndarray = label(_opened(same, size))[0]  # type: ignore[index]
            slope: float | None = None
            for number, box in enumerate(find_objects(regions), 1):
                inside = regions[box] == number
                masked = np.logical_or.reduce([part[box] for _, part, _, _ in blocks], initial=False)
                # both arms of a border are blocks, though they share a corner
                if np.mean(masked) > 0.5 or inside.size == values.size or inside.mean() < 0.98:
                    continue
                if slope is None:
                    _, slope = noise_line(values, known & (regions == 0))
                if not _missing(values, known & (regions != number), box, value, slope):
                    continue
                part = np.zeros(values.shape, bool)
                part[box] = same[box] & ~masked
                spans = [
                    f"{side.start}" if side.stop == side.start + 1 else f"{side.start} to {side.stop - 1}"
                    for side in box
                ]
                where = f"rows {spans[0]}, columns {spans[1]}"
                blocks.append(("block", part, int(part.sum()), f"a block that reads {value:.6g} throughout: {where}"))
    return blocks


def _opened(where: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Morphological opening of ``where`` [ny, nx] by a rectangle of ``size``, one axis after the other: the time does not grow with the rectangle."""
    eroded = minimum_filter(where.view(np.uint8), size, mode="constant", cval=0)
    origin = [side % 2 - 1 for side in size]  # the reflected rectangle, where its sides are even
    return maximum_filter(eroded, size, mode="constant", cval=0, origin=origin).astype(bool)  # pyright: ignore[reportArgumentType]  # takes one for each axis


def _missing(values: np.ndarray, others: np.ndarray, box: tuple[slice, ...], value: float, slope: float) -> bool:
    """Whether a ``box`` that reads ``value`` throughout lacks far more electrons than chance would, by the level of what surrounds it; ``slope``: counts of
    an electron."""
    sides = tuple(
        slice(max(side.start - 2, 0), min(side.stop + 2, size)) for side, size in zip(box, values.shape, strict=True)
    )
    around = values[sides][others[sides]]
    if not around.size:
        return False
    area = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    return abs(float(np.median(around)) - value) * area > MIN_EXPECTED * max(slope, 1e-300)
