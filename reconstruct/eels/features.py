"""Features of an energy-loss spectrum in channels, whatever its energy axis: the zero loss, plasmon and onsets of edges. Spectra are counts [channels]."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter

EMPTY, EMPTY_WIDTHS = 0.02, 4.0
"""Share of the zero loss's maximum that is left before it, at this many widths and more."""
LEAST_WIDTHS = 3.0
"""Widths of the zero loss that must be recorded before that."""
WIDTHS = (6, 10, 16, 26)
"""Channels over which the rise at an edge is summed."""
THRESHOLD, LEAST_RISE = 5.5, 0.03
"""Standard deviations, and share of the background, from which a rise is an onset."""
MAX_ONSETS = 8
SMOOTHINGS, STEEP = (1.0, 1.6, 2.5, 4.0, 6.0), 6.0
"""Smoothings in channels that are tried for the place of an onset, and the standard deviations that its slope must have."""
SECOND = np.array([1.0, -2.0, 1.0]) / np.sqrt(6.0)
"""Second difference that leaves white noise its variance."""
CHI_MEDIAN = 0.455
"""Median of a squared standard Gaussian."""
LEAST_VARIANCE = 1e-18
"""Of logarithms of counts: spectra without noise have rounding errors."""
MOST_SHARED = 8.0
"""Largest ratio of the variance of sums of channels to that of single ones: cameras share noise between channels (an Enfinium: 10 against 28 counts an
electron), and have a fixed pattern of their gain."""


class Peak(NamedTuple):
    """``centre`` in channels, its rms ``error`` by counting and shape, and full ``width`` at half maximum."""

    centre: float
    error: float
    width: float


class Rise(NamedTuple):
    """A steep rise at a ``channel``, known to ``error`` (rms, channels), ``significance`` in standard deviations, as a share ``rise`` of the background."""

    channel: float
    error: float
    significance: float
    rise: float


def zero_loss(counts: np.ndarray) -> Peak | str:
    """The zero loss of a spectrum: the highest peak, before which nothing is; else why none is seen."""
    values = np.asarray(counts, np.float64)
    values = values - np.quantile(values, 0.02)
    if not values.max() > 0.0:
        return "the spectrum is empty"
    top = int(np.argmax(values))
    peak = _peak(values, top)
    if peak is None:
        return "the highest peak is not wholly within the spectrum"
    before = values[: max(int(peak.centre - EMPTY_WIDTHS * peak.width), 0)]
    if len(before) < max(LEAST_WIDTHS * peak.width, 3.0):
        return "the highest peak is at the beginning of the spectrum: whether it is the zero loss is not seen"
    noise = float(np.median(np.abs(np.diff(values)))) * 3.0
    if float(np.abs(before).mean()) > EMPTY * values[top] or values[top] < 10.0 * noise:
        return "no zero loss: the highest peak does not stand out of what is before it"
    return peak


def plasmon(counts: np.ndarray, zero: Peak) -> Peak | None:
    """The highest peak after the zero loss, where it is one."""
    values = np.asarray(counts, np.float64)
    begin = int(zero.centre + EMPTY_WIDTHS * zero.width) + 1
    smooth = gaussian_filter1d(values, max(0.5 * zero.width, 1.0))
    falling = np.flatnonzero(np.diff(smooth[begin:]) > 0.0)  # past the zero loss's tail
    if not len(falling):
        return None
    begin += int(falling[0])
    top = begin + int(np.argmax(smooth[begin:]))
    return _peak(smooth - smooth[begin], top) if begin < top < len(smooth) - 2 else None


def onsets(counts: np.ndarray) -> list[Rise]:
    """Steep rises above a background that falls off evenly, most significant first."""
    values = np.asarray(counts, np.float64)
    measured: list[Rise] = []
    for width in WIDTHS:
        if len(values) < 8 * width:
            break
        measured += _rises(values, width)
    chosen: list[Rise] = []
    for rise in sorted(measured, key=lambda rise: -rise.significance):
        if all(abs(rise.channel - other.channel) > WIDTHS[0] for other in chosen):
            chosen.append(rise)
    return chosen[:MAX_ONSETS]


def _peak(values: np.ndarray, top: int) -> Peak | None:
    """The peak about its highest channel: the middle between its flanks at half maximum."""
    half = 0.5 * values[top]
    left, right = top, top
    while left > 0 and values[left] > half:
        left -= 1
    while right < len(values) - 1 and values[right] > half:
        right += 1
    if values[left] > half or values[right] > half:
        return None
    start = left + (half - values[left]) / (values[left + 1] - values[left])
    stop = right - (half - values[right]) / (values[right - 1] - values[right])
    width = float(stop - start)
    middle = float(0.5 * (start + stop))
    # what its maximum and the middle of its flanks differ by is shape
    return Peak(
        middle, float(np.hypot(0.05 * width, 0.5 * (middle - top) if abs(middle - top) > 0.5 else 0.0)) + 0.02, width
    )


def _rises(values: np.ndarray, width: int) -> list[Rise]:
    """Rises over ``width`` channels: mean logarithm after a channel less that before it, less what is usual around, since backgrounds fall off."""
    smooth = gaussian_filter1d(values, 0.5 * width)
    usable = smooth > 0.02 * max(float(np.median(smooth)), 1e-300)
    logs = np.log(np.maximum(values, 0.25 * np.maximum(smooth, 1e-300)))
    kernel = np.concatenate([-np.ones(width), np.ones(width)]) / width
    rise = np.convolve(logs, kernel[::-1], mode="valid")
    channels = width + np.arange(len(rise))
    rise = rise - median_filter(rise, 16 * width + 1, mode="nearest")
    significance = rise / np.sqrt(np.maximum(2.0 * _variance(logs, width)[channels], LEAST_VARIANCE))
    peak = (
        (significance == maximum_filter1d(significance, 2 * width + 1))
        & (significance > THRESHOLD)
        & (rise > LEAST_RISE)
    )
    measured = []
    for index in np.flatnonzero(peak):
        channel = int(channels[index])
        if usable[channel - width : channel + width].all():
            position, error = _steepest(logs, channel, width)
            measured.append(Rise(position, error, float(significance[index]), float(rise[index])))
    return measured


def _variance(logs: np.ndarray, width: int) -> np.ndarray:
    """Variance of means over ``width`` channels at each channel: that of single channels around, times what neighbours share."""
    steps = np.convolve(logs, SECOND, mode="same") ** 2
    steps[:2], steps[-2:] = steps[2], steps[-3]
    window = 8 * width + 1
    clipped = np.minimum(steps, np.quantile(steps, 0.95))
    single = np.convolve(np.pad(clipped, window // 2, mode="edge"), np.ones(window) / window, mode="valid")
    # means over one width side by side, against single channels; edges are few among them
    blocks = logs[: len(logs) // width * width].reshape(-1, width).mean(axis=1)
    scatter = np.convolve(blocks, SECOND, mode="valid") ** 2 * width
    shared = (
        float(np.median(scatter / np.maximum(single[width + width // 2 :: width][: len(scatter)], 1e-300))) / CHI_MEDIAN
    )
    return min(max(shared, 1.0), MOST_SHARED) * single / width


def _steepest(logs: np.ndarray, channel: int, width: int) -> tuple[float, float]:
    """Channel of the steepest rise near one and its error, with as little smoothing as noise allows."""
    low, high = max(channel - width, 1), min(channel + width, len(logs) - 1)
    around = slice(max(channel - 12 * width, 0), channel + 12 * width)
    top, slope, spread = channel, logs, 0.0
    for spread in SMOOTHINGS:
        slope = gaussian_filter1d(logs, spread, order=1)
        top = low + int(np.argmax(slope[low:high]))
        noise = 1.4826 * float(np.median(np.abs(slope[around] - np.median(slope[around]))))
        if slope[top] > STEEP * noise:
            break
    left, here, right = slope[top - 1], slope[top], slope[top + 1]
    bend = left - 2.0 * here + right
    shift = float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0
    return top + shift, spread
