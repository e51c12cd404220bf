"""Steps of gain between the parts of a camera: halves, quadrants and tiles of 256 pixels that are read out by amplifiers of their own, and its borders.

A step stands between two pixels, runs straight along a whole line, and multiplies what is bright and what is dark alike. The specimen's edges are blurred
over pixels, or cross a line at few places. Steps are looked for in the middle of the frame and at multiples of 256 pixels, and equalised; a border of another
gain, up to some pixels wide, is masked.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from reconstruct.measurement.outcome import Defect

TILE = 256
"""Pixels along the side of a tile."""
MIN_SIDE = 32
"""Pixels along a side below which no step is looked for."""
BORDER = 24
"""Pixels that a border of another gain may be wide."""
WIDTHS = (1, 2, 4)
"""Pixels of the strips to either side that are compared."""
LOCAL_SIGNIFICANCE = 3.0
"""Standard deviations by which the two pixels at the step must show it by themselves: edges of the specimen are blurred."""
BLOCKS, MIN_ROWS = 16, 4
"""Parts of a line that must agree on its step, and rows of each at least."""
MIN_STEP, MAX_STEP = 0.004, 0.5
"""Relative steps of amplifiers: smaller ones are not told, larger ones are the specimen's, or an aperture's edge."""
NULL_FACTOR, NULL_QUANTILE, LARGEST_FACTOR = 4.0, 0.95, 2.0
"""By how much a step must exceed what nearly all other lines of the frame have, and the largest of them."""
MIN_SIGNIFICANCE = 7.0
"""Standard deviations by which it must differ from none."""
MIN_AGREEING = 0.8
"""Share of the parts, by their weight, that must tell the same step."""
MIN_TELLING = 0.35
"""Share of all parts that must tell it by themselves: an aperture's edge is along the line for a short way only."""


class Equalised(NamedTuple):
    """``values`` with parts of the camera brought to one gain and borders of another one NaN; ``defects`` say which."""

    values: np.ndarray
    defects: tuple[Defect, ...]


class _Lines(NamedTuple):
    """Relative steps ``ratio`` [blocks, n] between pixels q - 1 and q of each block of rows, and their standard deviations ``error``; inf where not known;
    of strips of ``width`` pixels to either side."""

    ratio: np.ndarray
    error: np.ndarray
    width: int


def equalise(values: np.ndarray) -> Equalised:
    """``values`` [ny, nx], NaN where not known, without steps of gain between parts of the camera."""
    gain, defects = _relative_gain(values)
    return Equalised(values / gain, defects) if defects else Equalised(values, ())


def equalise_scan(values: np.ndarray) -> Equalised:
    """The same of patterns ``values`` [ny, nx, ky, kx] of a scan, by their mean."""
    known = np.isfinite(values)
    count = known.sum(axis=(0, 1))
    mean = np.sum(values, axis=(0, 1), where=known) / np.maximum(count, 1)
    gain, defects = _relative_gain(np.where(count > 0, mean, np.nan))
    return Equalised(values / gain, defects) if defects else Equalised(values, ())


def _relative_gain(values: np.ndarray) -> tuple[np.ndarray, tuple[Defect, ...]]:
    """The gain [ny, nx] of the parts of the camera over their geometric mean, NaN in a border of another gain, and what was found."""
    gain, defects = np.ones(values.shape), []
    if min(values.shape) < MIN_SIDE or not np.nansum(values) > 0.0:
        return gain, ()
    for across in (True, False):
        turned = values if across else values.T
        logs = np.zeros(turned.shape)
        lines, word = _steps(turned), "column" if across else "row"
        size, blocks = turned.shape[1], len(lines[0].ratio)
        places = sorted({size // 2, *range(TILE, size - BORDER, TILE)})
        for place in places:
            for first, last, (step, error) in _parts(lines, place, places):
                rows = slice(*(round(end * len(turned) / blocks) for end in (first, last)))
                logs[rows, place:] += np.log1p(step)
                where = f"{word} {place}"
                if last - first < blocks:
                    where += f", {'rows' if across else 'columns'} {rows.start} to {rows.stop - 1}"
                words = f"a gain step of {100 * step:+.2g} ± {100 * error:.1g} % at {where}"
                defects.append(Defect("gain step", 1, "equalised", words))
        relative = np.exp(logs - logs.mean())
        gain *= relative if across else relative.T
    for border, words in _borders(values / gain):
        gain[border] = np.nan
        defects.append(Defect("border", int(border.sum()), "masked", words))
    return gain, tuple(defects)


def _steps(values: np.ndarray) -> tuple[_Lines, ...]:
    """Steps between neighbouring columns, by straight lines through two strips to either side, of blocks of rows; for each of `WIDTHS`."""
    return tuple(_steps_of(values, width) for width in WIDTHS)


def _steps_of(values: np.ndarray, width: int) -> _Lines:
    ny, nx = values.shape
    blocks = max(min(BLOCKS, ny // MIN_ROWS), 1)
    bounds = np.linspace(0, ny, blocks + 1).astype(int)[:-1]
    windows = sliding_window_view(values, width, axis=1).mean(axis=-1)
    strips = np.full((4, ny, nx), np.nan)
    first, last = 2 * width, nx - 2 * width
    for number, shift in enumerate((-2, -1, 0, 1)):
        strips[number, :, first : last + 1] = windows[:, first + shift * width : last + shift * width + 1]
    known = np.isfinite(strips.sum(axis=0))
    step = np.where(known, 1.5 * (strips[2] - strips[1]) - 0.5 * (strips[3] - strips[0]), 0.0)
    level = np.where(known, strips.mean(axis=0), 0.0)
    count = np.add.reduceat(known, bounds, axis=0, dtype=float)
    total, levels = np.add.reduceat(step, bounds, axis=0), np.add.reduceat(level, bounds, axis=0)
    squares = np.add.reduceat(step**2, bounds, axis=0)
    # the scatter between rows is noise and structure, both of which a step must stand out of
    variance = (squares - total**2 / np.maximum(count, 1.0)) * count / np.maximum(count - 1.0, 1.0)
    use = (count >= MIN_ROWS) & (levels > 0.0) & (variance > 1e-12 * levels**2)
    ratio = np.divide(total, levels, out=np.zeros_like(total), where=use)
    error = np.full_like(total, np.inf)
    error[use] = np.sqrt(variance[use]) / levels[use]
    return _Lines(ratio, error, width)


def _weights(error: np.ndarray) -> np.ndarray:
    """Weights [blocks, n] of steps with standard deviations ``error``: none has more than twice the mean of its line."""
    weight = np.where(np.isfinite(error), 1.0 / np.maximum(error, 1e-9) ** 2, 0.0)
    return np.minimum(weight, 2.0 * weight.sum(axis=0) / np.maximum((weight > 0.0).sum(axis=0), 1))


def _weighted_median(ratio: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians [n] over blocks [blocks, n] by their weight, and their standard deviations; inf where nothing is known."""
    weight = _weights(error)
    order = np.argsort(ratio, axis=0)
    cumulated = np.cumsum(np.take_along_axis(weight, order, 0), 0)
    index = (cumulated >= 0.5 * cumulated[-1]).argmax(axis=0)
    middle = np.take_along_axis(np.take_along_axis(ratio, order, 0), index[None], 0)[0]
    total, spread = weight.sum(axis=0), np.full(middle.shape, np.inf)
    there = total > 0.0
    variance = (weight * np.where(weight > 0.0, error, 0.0)) ** 2
    # a median is less certain than a mean by a quarter
    spread[there] = 1.25 * np.sqrt(variance.sum(axis=0)[there]) / total[there]
    return np.where(there, middle, 0.0), spread


def _parts(lines: tuple[_Lines, ...], place: int, places: list[int]) -> list[tuple[int, int, tuple[float, float]]]:
    """The step at ``place``: (first block, last, (step, error)) of the whole line, or of its halves where these differ; empty for none."""
    blocks = len(lines[0].ratio)
    halves = ((0, blocks // 2), (blocks // 2, blocks))
    found = [(*half, step) for half in halves if (step := _step_at(lines, place, places, half)) is not None]
    whole = _step_at(lines, place, places, (0, blocks))
    if whole is None:
        return found
    if len(found) == 2 and abs(found[0][2][0] - found[1][2][0]) > 4.0 * np.hypot(found[0][2][1], found[1][2][1]):
        return found
    return [(0, blocks, whole)]


def _step_at(
    lines: tuple[_Lines, ...], place: int, places: list[int], part: tuple[int, int]
) -> tuple[float, float] | None:
    """The relative step and its error at ``place`` in a ``part`` of the blocks, where it stands out in strips of any width and in the two pixels beside
    it; None otherwise."""
    local = lines[0]
    middle, spread = _weighted_median(local.ratio[slice(*part)], local.error[slice(*part)])
    here, error = float(middle[place]), float(spread[place])
    if not abs(here) > LOCAL_SIGNIFICANCE * error:
        return None
    steps = [step for each in lines if (step := _standing_out(each, place, places, part)) is not None]
    if not steps:
        return None
    step, spread_of_step = min(steps, key=lambda pair: pair[1])
    if abs(here - step) > LOCAL_SIGNIFICANCE * error:
        return None
    # of straight lines the step is the difference of the levels to either side over their mean
    return step / (1.0 - 0.5 * step), spread_of_step


def _standing_out(lines: _Lines, place: int, places: list[int], part: tuple[int, int]) -> tuple[float, float] | None:
    """The step over the mean level and its error, of strips of one width, if it is far larger than at all other places and told by most parts of the line."""
    ratio, error = lines.ratio[slice(*part)], lines.error[slice(*part)]
    middle, spread = _weighted_median(ratio, error)
    others = np.isfinite(spread) & (spread > 0.0)
    for candidate in places:
        others[max(candidate - 3 * lines.width, 0) : candidate + 3 * lines.width + 1] = False
    if others.sum() < 16 or not np.isfinite(spread[place]):
        return None
    step, null = float(middle[place]), np.abs(middle[others])
    beside = np.abs(middle[max(place - lines.width, 0) : place + lines.width + 1])
    if abs(step) < float(beside.max()):
        return None
    largest = float((null / spread[others]).max())
    if not MIN_STEP < abs(step) < MAX_STEP or abs(step) < max(MIN_SIGNIFICANCE, LARGEST_FACTOR * largest) * float(
        spread[place]
    ):
        return None
    well_known = spread[others] <= 2.0 * float(np.median(spread[others]))
    usual = NULL_FACTOR * float(np.quantile(null, NULL_QUANTILE))
    if abs(step) < max(usual, LARGEST_FACTOR * float(null[well_known].max(initial=0.0))):
        return None
    here, errors = ratio[:, place], error[:, place]
    weight = _weights(errors[:, None])[:, 0]
    agreeing = np.abs(here - step) < 0.5 * abs(step) + 3.0 * np.where(weight > 0.0, errors, 0.0)
    telling = (weight > 0.0) & (2.0 * errors < abs(step))
    if weight[agreeing].sum() < MIN_AGREEING * weight.sum() or telling.mean() < MIN_TELLING:
        return None
    return step, float(spread[place])


def _borders(values: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Borders of another gain: (pixels, words)."""
    found = []
    for axis, word in ((1, "column"), (0, "row")):
        lines, size = _steps(values if axis == 1 else values.T), values.shape[axis]
        if size < 4 * BORDER:
            continue
        near = [*range(2, BORDER), *range(size - BORDER, size - 1)]
        for side, places in (("low", range(2, BORDER)), ("high", range(size - BORDER, size - 1))):
            steps = {
                place: step
                for place in places
                if (step := _step_at(lines, place, near, (0, len(lines[0].ratio)))) is not None
            }
            if not steps:
                continue
            place = max(steps, key=lambda at: abs(steps[at][0]) / steps[at][1])
            edge = slice(0, place) if side == "low" else slice(place, size)
            part = np.zeros(values.shape, bool)
            part[(slice(None), edge) if axis == 1 else (edge, slice(None))] = True
            first, last = edge.start, edge.stop - 1
            found.append((part & np.isfinite(values), f"a border of another gain: {word}s {first} to {last}"))
    return found
