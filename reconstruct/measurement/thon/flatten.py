"""An image of a film before its power spectrum: level, unknown pixels, outliers and dark regions taken out, and a window over what is left.

Small holes are filled with the local mean, which adds a white part to the spectrum and nothing that looks like a ring; the window fades at the borders of
large ones.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    binary_opening,
    distance_transform_edt,
    gaussian_filter,
    maximum_filter,
    minimum_filter,
)
from scipy.signal.windows import tukey

from reconstruct.measurement.outcome import Defect

TAPER = 0.3
"""Share of the image that is faded in and out at its edges, which need not fit together."""
COARSE = 128
"""Blocks along the longer side in which the local mean is taken."""
MEAN_WIDTH = 1.0 / 12.0
"""Rms width of the local mean as a share of the shorter side: of the lowest frequencies that are fitted (6 cycles) it takes less than 1 % away."""
OUTLIER, MAX_OUTLIERS = 8.0, 0.005
"""Standard deviations beyond which a pixel is an outlier, if they are at most such a share: of few electrons each pixel with one would be."""
MAX_LINES = 0.1
"""The same of rows and of columns."""
DARK = 0.5
"""Share of the median level below which a region has no beam."""
HOLE = 1.0 / 32.0
"""Share of the shorter side from which an unknown region is faded, not filled."""
FADE = 0.06
"""Width of that fading, of the shorter side."""
MIN_SIDE = 64
"""Pixels along a side, and along that of the square of the area that is known, below which rings are not told apart."""


class FlatImage(NamedTuple):
    """``values`` [ny, nx]: the image less its local mean, times the ``window`` [ny, nx] (0 to 1, 0 where nothing is known); ``electrons``: sum of what is
    known; ``defects`` that were found."""

    values: np.ndarray
    window: np.ndarray
    electrons: float
    defects: tuple[Defect, ...]


def flatten(image: np.ndarray) -> FlatImage | None:
    """The image ready for its spectrum; None of a flat one. ValueError for one that is too small, or of which too little is known."""
    if image.ndim != 2 or min(image.shape) < MIN_SIDE:
        raise ValueError(f"image has shape {image.shape}; give [ny, nx], at least {MIN_SIDE} pixels each way")
    known = np.isfinite(image)
    if not known.any():
        raise ValueError("image holds no number: all its pixels are NaN or infinite; give one with intensities")
    values = np.where(known, image, 0.0).astype(float)
    if np.ptp(values[known]) == 0.0:
        return None
    dark = _dark_regions(values, known)
    known &= ~dark
    outliers, lines = _outliers(values, known)
    known &= ~(outliers | lines)
    window = _window(known)
    side = window.sum() / np.sqrt((window**2).sum())
    if side < 0.5 * MIN_SIDE:
        share = 100.0 * known.mean()
        raise ValueError(
            f"of the image {share:.0f} % is known, in pieces too small for rings; give a part of {MIN_SIDE} x {MIN_SIDE} pixels or more that is known"
        )
    flat = np.where(known, values - _local_mean(values, known), 0.0) * window
    # window and holes leave a mean, which would leak into the lowest frequencies
    flat -= window * (flat.sum() / window.sum())
    defects = []
    if outliers.any():
        count = int(outliers.sum())
        defects.append(Defect("outliers", count, "masked", f"{count} pixel{'s' * (count > 1)} far from the others"))
    if lines.any():
        count = int(lines.all(axis=0).sum() + lines.all(axis=1).sum())
        defects.append(Defect("lines", count, "masked", f"{count} rows or columns far from the others"))
    if dark.any():
        defects.append(Defect("dark region", int(dark.sum()), "masked", f"dark region, {dark.mean():.1%} of the image"))
    return FlatImage(flat, window, float(values[known].sum()), tuple(defects))


def _block(shape: tuple[int, ...]) -> int:
    return max(1, -(-max(shape) // COARSE))


def _block_sums(values: np.ndarray) -> np.ndarray:
    """Sums of blocks, those at the far edges smaller."""
    block = _block(values.shape)
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], block), axis=0)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], block), axis=1)


def _local_mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of the known values about each pixel, with Gaussian weights, interpolated between blocks."""
    block = _block(values.shape)
    width = MEAN_WIDTH * min(values.shape) / block
    total, count = (
        gaussian_filter(_block_sums(part), width, mode="constant")
        for part in (np.where(known, values, 0.0), known.astype(float))
    )
    mean = total / np.maximum(count, 1e-12)
    weights = []
    for size, blocks in zip(values.shape, mean.shape, strict=True):
        position = np.clip((np.arange(size) + 0.5) / block - 0.5, 0.0, blocks - 1.0)
        weights.append(np.maximum(1.0 - np.abs(position[:, None] - np.arange(blocks)), 0.0))
    return weights[0] @ mean @ weights[1].T


def _dark_regions(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels of blocks that are darker than the others by far, with a block around them: a beam stop, a border, a shadow."""
    count = _block_sums(known.astype(float))
    mean = _block_sums(values) / np.maximum(count, 1.0)
    level = float(np.median(mean[count > 0]))
    # of those above the median: many may be dark
    spread = 1.4826 * float(np.median(mean[(count > 0) & (mean >= level)] - level))
    dark = (count > 0) & (mean < level - max(DARK * level, OUTLIER * spread))
    if level <= 0.0 or dark[count > 0].mean() > 0.5:
        return np.zeros(values.shape, bool)
    # single dark rows and columns have their power on the axes of the spectrum, which are not used; what lies outside the image is as dark
    dark = binary_opening(np.pad(dark, 2, constant_values=True), np.ones((3, 3)))[2:-2, 2:-2]
    block, dark = _block(values.shape), binary_dilation(dark, np.ones((3, 3)))
    return np.repeat(np.repeat(dark, block, axis=0), block, axis=1)[: values.shape[0], : values.shape[1]]


def _outliers(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Single pixels far from the local mean, and whole rows and columns whose mean is far from it."""
    low, high = np.quantile(values[known], (MAX_OUTLIERS, 1.0 - MAX_OUTLIERS))
    deviation = np.where(known, values - _local_mean(np.clip(values, low, high), known), 0.0)
    low, high = np.quantile(deviation[known], (MAX_OUTLIERS, 1.0 - MAX_OUTLIERS))
    usual = deviation[known & (deviation >= low) & (deviation <= high)]
    limit = OUTLIER * float(usual.std())
    far, lines = known & (np.abs(deviation) > limit), np.zeros_like(known)
    if limit == 0.0 or far[known].mean() > MAX_OUTLIERS:
        far[:] = False
    for axis in range(2):
        mean = np.clip(deviation, -limit, limit).sum(axis) / np.maximum(known.sum(axis), 1)
        off = np.abs(mean - np.median(mean))
        odd = off > OUTLIER * 1.4826 * np.median(off)
        if odd.mean() <= MAX_LINES:
            lines |= np.expand_dims(odd, axis)
    return far & ~lines, lines


def _window(known: np.ndarray) -> np.ndarray:
    ny, nx = known.shape
    window = tukey(ny + 2, TAPER)[1:-1, None] * tukey(nx + 2, TAPER)[1:-1]
    hole = 2 * round(0.5 * HOLE * min(ny, nx)) + 1
    # an opening by filters that take a side after the other
    regions = maximum_filter(
        minimum_filter((~known).astype(np.uint8), hole, mode="constant"), hole, mode="constant"
    ).astype(bool)
    if regions.any():
        distance = distance_transform_edt(~regions)
        window = window * np.sin(0.5 * np.pi * np.minimum(distance / (FADE * min(ny, nx)), 1.0)) ** 2
    return window
