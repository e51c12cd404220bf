"""The part of a camera's image that a convergent beam lights, and whether it shows more than counting noise."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter

from reconstruct.measurement.disk.lit import LitRegion, lit_region

SMOOTH = 1.5
"""Pixels rms over which counts are smoothed before their level is looked at."""
LEVEL = 0.5
"""Share of the level inside above which a pixel is lit."""
LARGEST = 192
"""Pixels along the lit part above which it is binned: shadows of a film are many pixels wide."""
LEAST_SIDE = 72
"""Pixels along the lit part from which a spectrum has enough frequencies."""
EDGE = 0.03
"""Share of the radius by which the lit part is made smaller: the aperture's edge has fringes of its own."""
LEAST_FILLED = 0.9
"""Share of the circle of the same area that must be lit, or the lit part is no disk."""
COARSE = 0.1
"""Rms width of the local mean that is taken off, as a share of the disk."""
NOISE, HIGHEST = 0.42, 0.25
"""Cycles a pixel from which on there is noise alone, and below which structure is looked for."""
LEAST_STRUCTURE, SPECKLE = 1.3, 3.0
"""Power over that of noise from which there is structure, and from which a frequency counts."""
FEW, LARGEST_SHARE = 24, 0.35
"""Frequencies, and the share of the power that they hold in the shadow of a film at most."""
LEAST_CYCLES = 8.0
"""Mean number of cycles across the disk, at least."""


class Lit(NamedTuple):
    """``values`` [n, n]: mean counts of the lit part, binned by ``factor``, NaN where it is dark; ``x``, ``y`` [n] of the pixels from the disk's centre, in
    pixels of the camera; ``radius`` in the same; whether the disk lies ``whole`` in the frame."""

    values: np.ndarray
    x: np.ndarray
    y: np.ndarray
    factor: int
    radius: float
    whole: bool


def lit_part(pattern: np.ndarray) -> Lit | str:
    """The disk of ``pattern`` [ny, nx] (counts), or why there is none that can be used."""
    counts = np.asarray(pattern, np.float64)
    counts = np.where(np.isfinite(counts), counts, np.nanmedian(counts))
    smooth = gaussian_filter(counts, SMOOTH)
    dark, bright = (float(level) for level in np.quantile(smooth, (0.01, 0.9)))
    dark = dark if dark < LEVEL * bright else 0.0
    region = lit_region(smooth > dark + LEVEL * _level(smooth, dark, bright))
    if region is None:
        return "nothing is lit"
    if 2.0 * region.radius < LEAST_SIDE:
        return f"the lit disk has a radius of {region.radius:.0f} pixels: too few for a shadow image"
    if region.whole and region.filled < LEAST_FILLED:
        return "the lit part is no disk"
    return _cut(counts, region)


def without_film(lit: Lit) -> str | None:
    """Why the disk cannot be the shadow of a film out of focus, by its spectrum; None where it may be.

    A film has power at very many frequencies, several cycles across the disk and more; a crystal has most of its power at few of them.
    """
    known = np.isfinite(lit.values)
    count = min(lit.values.shape)
    window = gaussian_filter(binary_erosion(known, iterations=max(1, count // 16)).astype(float), count / 32.0)
    flat = np.where(known, lit.values - float(np.nanmean(lit.values)), 0.0)
    flat = flat - gaussian_filter(flat * window, COARSE * count) / np.maximum(
        gaussian_filter(window, COARSE * count), 0.1
    )
    power = np.abs(np.fft.fft2(flat * window)) ** 2
    cycles = count * np.hypot(np.fft.fftfreq(len(power))[:, None], np.fft.fftfreq(power.shape[1]))
    power[cycles < 1.0] = 0.0
    floor = float(np.median(power[cycles > NOISE * count])) / np.log(2.0)
    low = cycles < HIGHEST * count
    if float(power[low].mean()) < LEAST_STRUCTURE * floor:
        return "the disk shows no more than the noise of counting"
    excess = np.maximum(power - SPECKLE * floor, 0.0)[low]
    order = np.sort(excess)[::-1]
    if order[:FEW].sum() > LARGEST_SHARE * order.sum():
        return "few frequencies hold most of the power: a crystal, or a disk without a film"
    if (excess * cycles[low]).sum() < LEAST_CYCLES * excess.sum():
        return "what the disk shows is as large as itself: the film is not far enough out of focus"
    return None


def _level(smooth: np.ndarray, dark: float, bright: float) -> float:
    """Mean of what is lit above the dark level: of a shadow image the brightest pixels say little."""
    level = bright - dark
    for _ in range(4):
        inside = smooth[smooth > dark + LEVEL * level]
        level = float(inside.mean()) - dark if inside.size else level
    return level


def _cut(counts: np.ndarray, region: LitRegion) -> Lit:
    lit, radius = region.inside, region.radius
    if region.whole:
        rows, columns = np.ogrid[: lit.shape[0], : lit.shape[1]]
        inside = np.hypot(rows - region.y, columns - region.x) < (1.0 - EDGE) * radius - SMOOTH
    else:
        inside = binary_erosion(lit, iterations=max(1, int(EDGE * radius + SMOOTH)), border_value=1)
    rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    side = min(len(rows), len(columns))
    top, left = (int(part[0] + (len(part) - side) // 2) for part in (rows, columns))
    factor = max(1, round(side / LARGEST))
    side = side // factor * factor
    part = np.where(inside, counts, np.nan)[top : top + side, left : left + side]
    values = part.reshape(side // factor, factor, side // factor, factor).mean(axis=(1, 3))
    middles = (np.arange(side // factor) + 0.5) * factor - 0.5
    return Lit(values, middles + left - region.x, middles + top - region.y, factor, radius, region.whole)
