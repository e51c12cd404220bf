"""Pixels of a lattice image that are out of the ordinary, and what stands in their place while the spectrum is looked at.

Lines and columns of the camera that are constant or brighter than everything else are masked. Single bright pixels are only limited here: the fit finds
them by its residual. Unknown pixels are filled with the strong periodic part of the image (Papoulis, IEEE Trans. Circuits Syst. 22, 735, 1975).
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from reconstruct.measurement.outcome import Defect

FILL_STEPS = 8
"""Iterations of the fill; the share of the largest Fourier coefficient that is kept falls from one half to a tenth."""
LOW, HIGHS = 0.1, (0.9, 0.98, 1.0)
"""Quantiles between which pixels are ordinary: the first of the upper ones that differs from the lower."""


class Cleaned(NamedTuple):
    """``known`` [ny, nx] pixels, ``limited`` the image between the limits of ordinary values, unknown pixels filled, and the ``defects`` masked."""

    known: np.ndarray
    limited: np.ndarray
    defects: tuple[Defect, ...]


def clean_image(image: np.ndarray, known: np.ndarray) -> Cleaned:
    """``image`` [ny, nx] where ``known``, without lines and columns that carry no image."""
    unknown = np.where(known, image, np.nan)
    columns = _lines_without_image(unknown, 1)
    lines = _lines_without_image(np.where(columns[None], np.nan, unknown), 0)
    columns |= _lines_without_image(np.where(lines[:, None], np.nan, unknown), 1)
    usable = known & ~lines[:, None] & ~columns[None]
    if usable.mean() < 0.25:  # hardly an image at all: the lattice has to be found in it as it is
        usable, lines, columns = known, np.zeros_like(lines), np.zeros_like(columns)
    defects = []
    for noun, count in (("line", int(lines.sum())), ("column", int(columns.sum()))):
        if count:
            words = f"{count} {noun}{'s' * (count > 1)} without an image (constant, or brighter than all else)"
            defects.append(Defect(f"{noun}s", count, "masked", words))
    return Cleaned(usable, fill_unknown(np.clip(image, *ordinary_range(image[usable])), usable), tuple(defects))


def ordinary_range(values: np.ndarray) -> tuple[float, float]:
    """Limits that hold all but stray ``values`` [n] of a lattice image: beyond its 10 % and 90 % quantiles by three times their distance."""
    low, *highs = np.quantile(values, [LOW, *HIGHS])
    # of few electrons most pixels hold none
    high = next((high for high in highs if high > low), low)
    slack = 3.0 * (high - low) + 1e-9 * abs(high)
    return float(low - slack), float(high + slack)


def _lines_without_image(image: np.ndarray, axis: int) -> np.ndarray:
    """Lines (``axis`` 0) or columns (1) of all one value, or nearly all brighter than the brightest of the rest."""
    ordered = np.sort(image if axis == 0 else image.T, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    result = np.zeros(len(ordered), bool)
    enough = np.flatnonzero(count >= 8)
    if len(enough) < 3 or np.nanmax(image) == np.nanmin(image):
        return result

    def quantile(share: float) -> np.ndarray:
        return ordered[enough, np.round(share * (count[enough] - 1)).astype(int)]

    low, high = quantile(0.1), quantile(0.9)
    constant = quantile(0.0) == quantile(1.0)
    result[enough] = constant | (low > np.median(high) + 1.5 * np.median(high - low))
    return result


def fill_unknown(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``image`` [ny, nx] with what is not ``known`` filled: first by the mean of what is near, then by the strong Fourier coefficients of the whole."""
    if known.all():
        return image.astype(float)
    level = float(image[known].mean())
    deviation = np.where(known, image - level, 0.0)
    share = gaussian_filter(known.astype(float), 4.0)
    filled = np.where(known, deviation, gaussian_filter(deviation, 4.0) / np.maximum(share, 0.05))
    if known.mean() > 0.99:
        return filled + level
    for kept in np.geomspace(0.5, 0.1, FILL_STEPS):
        wave = np.fft.rfft2(filled)
        size = np.abs(wave)
        size[0, 0] = 0.0
        periodic = np.fft.irfft2(np.where(size > kept * size.max(), wave, 0.0), s=image.shape)
        filled = np.where(known, deviation, periodic)
    return filled + level
