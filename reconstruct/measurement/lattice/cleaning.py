"""Pixels of a lattice image that are out of the ordinary or show no lattice, and what stands in their place while the spectrum is looked at.

Lines and columns of the camera that are constant or brighter than everything else are masked. Single bright pixels are only limited here: the fit finds
them by its residual. Unknown pixels are filled with the strong periodic part of the image (Papoulis, IEEE Trans. Circuits Syst. 22, 735, 1975).
Vacuum, a hole, the edge of a specimen, another grain or a thick contamination show nothing of the lattice; they would count as an image of it that is known.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, zoom

from reconstruct.measurement.outcome import Defect

FILL_STEPS = 8
"""Iterations of the fill; the share of the largest Fourier coefficient that is kept falls from one half to a tenth."""
LOW, HIGHS = 0.1, (0.9, 0.98, 1.0)
"""Quantiles between which pixels are ordinary: the first of the upper ones that differs from the lower."""

WIDTH = 1.0
"""Standard deviation of the neighbourhood that is looked at, in periods."""
BEAT = 0.56
"""Standard deviations of the neighbourhood in wavelengths of a beat that it is to leave nothing of (e^-6)."""
ABSENT, FAINT, NOISES = 0.03, 0.15, 6.0
"""Share of the typical power of the reflections below which the lattice is absent, or, where it is not above so many times the noise, below the second."""
MIN_SIGNAL = 4.0
"""Typical power over that limit of noise from which an absence can be seen."""
MIN_ABSENT = 0.02
"""Share of an image from which an absence is one: less are chance and scan distortion."""


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


def lattice_region(image: np.ndarray, known: np.ndarray, strong: np.ndarray, noise_variance: float) -> np.ndarray:
    """Where the lattice of the frequencies ``strong`` [2, 2] is seen in the filled ``image`` [ny, nx] with ``noise_variance`` a pixel, of which ``known`` were
    recorded: [ny, nx]; everywhere where that cannot be said, or nearly everywhere."""
    everywhere = np.ones(image.shape, bool)
    period = 1.0 / float(np.linalg.norm(strong, axis=1).min())
    # frequencies that are seen near to one another beat, unless the neighbourhood is as wide as the beat
    first, second = strong
    beats = np.array([first, second, 2.0 * first, 2.0 * second, first - second, first + second])
    nearest = float(np.hypot(*(beats - np.round(beats)).T).min())
    width_pixels = max(WIDTH * period, BEAT / max(nearest, 1e-9))
    if width_pixels > min(image.shape) / 5.0:
        return everywhere
    size = max(1, int(0.25 * period))
    ny, nx = image.shape[0] // size * size, image.shape[1] // size * size
    width = width_pixels / size

    def coarse(values: np.ndarray) -> np.ndarray:
        means = values[:ny, :nx].reshape(ny // size, size, nx // size, size).mean(axis=(1, 3))
        return gaussian_filter(means, width, mode="constant")

    share = np.maximum(coarse(known.astype(float)), 1e-3)
    mean = coarse(np.where(known, image, 0.0)) / share
    level = np.pad(
        mean.repeat(size, axis=0).repeat(size, axis=1),
        ((0, image.shape[0] - ny), (0, image.shape[1] - nx)),
        mode="edge",
    )
    deviation = np.where(known, image - level, 0.0)
    power = np.zeros_like(share)
    for wave in strong:
        beat = np.exp(-2j * np.pi * wave[1] * np.arange(image.shape[0]))[:, None]
        beat = beat * np.exp(-2j * np.pi * wave[0] * np.arange(image.shape[1]))[None]
        product = deviation * beat
        power += (coarse(product.real) ** 2 + coarse(product.imag) ** 2) / share**2
    usable = share > 0.3
    if not usable.any():
        return everywhere
    noise = 2.0 * noise_variance / (4.0 * np.pi * width_pixels**2)
    typical = float(np.quantile(power[usable], 0.8))
    if typical < MIN_SIGNAL * NOISES * noise:
        return everywhere
    limit = max(ABSENT * typical, min(FAINT * typical, NOISES * noise))
    # what is narrower than the neighbourhood is chance; the lattice ends half its width before its power does
    absent = gaussian_filter(((power < limit) & usable).astype(float), width) > 0.5
    absent = maximum_filter(absent, 2 * round(0.5 * width_pixels / size) + 1)
    if absent.mean() < MIN_ABSENT:
        return everywhere
    fine = np.asarray(zoom(absent.astype(float), size, order=1, grid_mode=True, mode="nearest")) < 0.5
    return np.pad(fine, ((0, image.shape[0] - ny), (0, image.shape[1] - nx)), mode="edge")
