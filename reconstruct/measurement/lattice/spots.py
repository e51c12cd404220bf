"""Lattice spots in the power spectrum of an image. Spatial frequencies k = (kx, ky) are in cycles per pixel."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

SPOT_THRESHOLD = 30.0
"""Power over that of its surroundings (median / ln 2) from which a peak is a spot: noise gets there once in 10^13."""
MIN_POWER_SHARE = 0.01
"""Spots weaker than this share of the strongest need no explanation: streaks and satellites of scan distortion look like them."""
LEAST_PERIODS = 3.0
"""Periods across the image from which a spot is not of slow changes."""
MATCH_BINS = 2.5
"""Frequency bins within which a spot matches a predicted frequency."""


class Spots(NamedTuple):
    """``frequencies`` [n, 2] (kx, ky) in cycles per pixel, one of each Friedel pair, strongest first; ``powers`` [n] over their surroundings."""

    frequencies: np.ndarray
    powers: np.ndarray


class Spectrum(NamedTuple):
    """``power`` [ny, nx] under a Hann window with k = 0 at (ny // 2, nx // 2), the same ``relative`` to its surroundings in |k|, the noise's ``level`` and
    its ``noise_variance`` in a pixel."""

    power: np.ndarray
    relative: np.ndarray
    level: float
    noise_variance: float


def power_spectrum(image: np.ndarray) -> Spectrum:
    """The spectrum of ``image`` [ny, nx]."""
    ny, nx = image.shape
    window = np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]
    level = (image * window).sum() / window.sum()
    power = np.abs(np.fft.fftshift(np.fft.fft2((image - level) * window))) ** 2
    ky, kx = _frequencies(image.shape)
    ring = np.minimum((np.hypot(kx, ky) * min(ny, nx) / 4.0).astype(int), min(ny, nx) // 8)
    order = np.argsort(ring, axis=None, kind="stable")
    edges = np.searchsorted(ring.ravel()[order], np.arange(ring.max() + 2))
    sorted_power = power.ravel()[order]
    medians = np.array([np.median(sorted_power[i:j]) if j > i else 0.0 for i, j in itertools.pairwise(edges)])  # fmt: skip
    level = float(medians[medians > 0.0].min(initial=np.inf)) / np.log(2.0) if (medians > 0.0).any() else 0.0
    return Spectrum(
        power, power / np.maximum(medians[ring] / np.log(2.0), 1e-300), level, level / float((window**2).sum())
    )


def _frequencies(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = shape
    return (np.arange(ny) - ny // 2)[:, None] / ny, (np.arange(nx) - nx // 2)[None, :] / nx


def find_spots(relative: np.ndarray, slowest: float = 0.0) -> Spots:
    """Spots of a `power_spectrum`, those slower than ``slowest`` or of fewer than `LEAST_PERIODS` across the image left out; frequencies by parabolas through
    the logarithm."""
    ny, nx = relative.shape
    ky, kx = _frequencies(relative.shape)
    bins = np.hypot(ky * ny, kx * nx)
    peak = (
        (relative == local_maximum(relative))
        & (relative > SPOT_THRESHOLD)
        & (bins >= LEAST_PERIODS)
        & (np.hypot(kx, ky) >= slowest)
    )
    peak &= (ky > 0) | ((ky == 0) & (kx > 0))
    rows, columns = np.nonzero(peak)
    order = np.argsort(-relative[rows, columns])[:60]
    rows, columns = rows[order], columns[order]
    log = np.log(np.maximum(relative, 1e-300))
    # the spectrum of an image is periodic: beyond the highest frequency comes the lowest
    shift_y = _vertex(log[rows - 1, columns], log[rows, columns], log[(rows + 1) % ny, columns])
    shift_x = _vertex(log[rows, columns - 1], log[rows, columns], log[rows, (columns + 1) % nx])
    frequencies = np.stack([(columns - nx // 2 + shift_x) / nx, (rows - ny // 2 + shift_y) / ny], axis=1)
    return Spots(frequencies, relative[rows, columns])


def _vertex(left: np.ndarray, centre: np.ndarray, right: np.ndarray) -> np.ndarray:
    bend = left - 2.0 * centre + right
    return np.clip(0.5 * (left - right) / np.where(bend < 0, bend, -1.0), -0.5, 0.5)


def second_rows(spots: Spots, shape: tuple[int, int]) -> np.ndarray:
    """Spots that are not on the row of the first, by more than scan distortion smears (3 bins across it), strongest first."""
    if not len(spots.powers):
        return np.zeros(0, int)
    first = spots.frequencies[0]
    across = np.abs(spots.frequencies[:, 0] * first[1] - spots.frequencies[:, 1] * first[0]) / np.hypot(*first)
    angle = across / np.hypot(*spots.frequencies.T)
    return np.flatnonzero((across * min(shape) > 3.0) & (angle > 0.2) & (spots.powers > 1e-3 * spots.powers[0]))


def local_maximum(relative: np.ndarray) -> np.ndarray:
    """The largest of 5 x 5 frequencies about each."""
    return maximum_filter(relative, 5, mode="wrap")


def small_reflections(highest: int) -> np.ndarray:
    """Reflections [m, 2] with indices up to ``highest``, (0, 0) left out."""
    reflections = np.array([(i, j) for i in range(-highest, highest + 1) for j in range(-highest, highest + 1)])
    return reflections[(reflections != 0).any(axis=1)]


def upper_factor(matrix: np.ndarray) -> np.ndarray:
    """The upper triangular factor [2, 2] with positive diagonal of an orthogonal matrix times it."""
    factor = np.linalg.qr(matrix)[1]
    return factor * np.sign(np.diag(factor))[:, None]


def rotation_angle(matrix: np.ndarray) -> float:
    """Angle in radian from +x towards +y to which ``matrix`` [2, 2] takes +x."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))
