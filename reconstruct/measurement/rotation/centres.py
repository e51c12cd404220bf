"""Centres of mass of the patterns of a scan, without pixels of the camera that are not known or do not count electrons."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter, rank_filter
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import splu

from reconstruct.measurement.outcome import Defect

SPIKE_SIGMAS, SPIKE_ELECTRONS = 12.0, 20.0
"""A value is a spike that is so many of its pixel's standard deviations, and so many electrons, above the pixel's mean over the scan."""
HOT_FACTOR = 3.0
"""Mean, or variance over the mean, of a camera pixel over the third largest around it from which it is hot."""
DEAD_ELECTRONS = 50.0
"""Electrons over the scan of a pixel near one that is dead."""
MIN_CAMERA = 12
"""Pixels along a side of a camera whose hot pixels can be told from a beam."""
MAX_MASKED = 0.5
"""Share of a camera's pixels that may be unknown."""


class Centres(NamedTuple):
    """Centres of mass (x, y) of patterns in camera pixels [2, ny, nx] from the middle, electrons [ny, nx] (NaN and 0 where there is none), the variance of one
    part of a centre [ny, nx] from counting alone, and the ``defects`` that were left out."""

    field: np.ndarray
    electrons: np.ndarray
    variance: np.ndarray
    defects: tuple[Defect, ...] = ()


class Cleaned(NamedTuple):
    """``counts`` [ny, nx, ky, kx] without spikes, which camera pixels are ``masked`` [ky, kx], and the ``defects`` in words."""

    counts: np.ndarray
    masked: np.ndarray
    defects: tuple[Defect, ...]


def clean_patterns(patterns: np.ndarray) -> Cleaned:
    """``patterns`` [ny, nx, ky, kx] in counts without what is no electron: hot pixels of the camera masked, spikes of single patterns at the pixel's mean.

    ValueError for what is no scan or too small.
    """
    if patterns.ndim != 4 or min(patterns.shape[:2]) < 6 or min(patterns.shape[2:]) < 4:
        raise ValueError(
            f"patterns have shape {patterns.shape}; give [ny, nx, ky, kx], at least 6 x 6 patterns of 4 x 4 pixels"
        )
    known = np.isfinite(patterns)
    lit = known.any(axis=(2, 3))
    unknown = known[lit].mean(axis=0) < 0.5 if lit.any() else np.zeros(patterns.shape[2:], bool)
    counts, defects = _filled(patterns, known), []
    mean, variance = _statistics(counts)
    spikes = counts > mean + np.maximum(SPIKE_SIGMAS * np.sqrt(variance), SPIKE_ELECTRONS)
    if spikes.any():
        count = int(spikes.sum())
        counts = np.where(spikes, mean, counts)
        defects.append(Defect("cosmic rays", count, "masked", f"{count} spike{'s' * (count > 1)} in single patterns"))
        mean, variance = _statistics(counts)
    masked, of_camera = _defects(mean, variance, int(np.prod(counts.shape[:2])), unknown)
    return Cleaned(counts, masked, (*defects, *of_camera))


def camera_defects(patterns: np.ndarray) -> tuple[np.ndarray, tuple[Defect, ...]]:
    """Pixels of a camera [ky, kx] that hold no number, are hot or dead, by some ``patterns`` [n, ky, kx] in electrons; and these defects in words."""
    known = np.isfinite(patterns)[:, None]
    unknown = known.mean(axis=(0, 1)) < 0.5
    mean, variance = _statistics(_filled(patterns[:, None], known))
    return _defects(mean, variance, len(patterns), unknown)


def _defects(
    mean: np.ndarray, variance: np.ndarray, patterns: int, unknown: np.ndarray
) -> tuple[np.ndarray, tuple[Defect, ...]]:
    """Pixels that are ``unknown``, hot or dead, and the latter two in words."""
    hot = _hot(mean, variance, patterns, ~unknown)
    dead = _dead(mean, patterns, ~(unknown | hot))
    defects = []
    for name, marked in (("hot", hot), ("dead", dead)):
        if marked.any():
            count = int(marked.sum())
            text = f"{count} {name} pixel{'s' * (count > 1)} of the camera"
            defects.append(Defect(f"{name} pixels", count, "masked", text))
    return unknown | hot | dead, tuple(defects)


def _statistics(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance [ky, kx] of each camera pixel over the scan."""
    mean = counts.mean(axis=(0, 1))
    square = np.einsum("abij,abij->ij", counts, counts) / np.prod(counts.shape[:2])
    return mean, np.maximum(square - mean**2, 0.0)


def centres_of_mass(patterns: np.ndarray | Cleaned) -> Centres:
    """First moments of ``patterns`` [ny, nx, ky, kx] in counts, or of what `clean_patterns` left of them.

    What masked pixels would count follows from their neighbours in the same pattern (the mean of four, solved for all at once), so that a pattern that moves
    moves there too.
    """
    cleaned = patterns if isinstance(patterns, Cleaned) else clean_patterns(patterns)
    return moments(*cleaned)


def _filled(patterns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values that are unknown in single patterns are the pixel's mean over the scan."""
    if known.all():
        return patterns
    number = np.maximum(known.sum(axis=(0, 1)), 1)
    mean = np.where(known, patterns, 0.0).sum(axis=(0, 1)) / number
    return np.where(known, patterns, np.where(known.any(axis=(2, 3), keepdims=True), mean, 0.0))


def _hot(mean: np.ndarray, variance: np.ndarray, patterns: int, known: np.ndarray) -> np.ndarray:
    """Camera pixels [ky, kx] that count, or scatter, far more than those around them."""
    if min(mean.shape) < MIN_CAMERA:
        return np.zeros(mean.shape, bool)
    level = np.where(known, mean, 0.0)
    # of a few neighbours some may be hot themselves
    around = rank_filter(level, -6, footprint=_neighbours(), mode="nearest")
    hot = level > HOT_FACTOR * around + 8.0 * np.sqrt(np.maximum(around, 1.0) / patterns)
    scatter = np.where(known, variance / np.maximum(mean, 1e-3), 0.0)
    usual = rank_filter(scatter, -6, footprint=_neighbours(), mode="nearest")
    hot |= (scatter > HOT_FACTOR * np.maximum(usual, 1.0)) & (scatter > 5.0 * np.median(scatter))
    return hot & known


def _dead(mean: np.ndarray, patterns: int, known: np.ndarray) -> np.ndarray:
    """Camera pixels [ky, kx] that never count where those around them do."""
    if min(mean.shape) < MIN_CAMERA:
        return np.zeros(mean.shape, bool)
    around = maximum_filter(np.where(known, mean, 0.0), size=5, mode="nearest") * patterns
    return known & (mean == 0.0) & (around > DEAD_ELECTRONS)


def _neighbours() -> np.ndarray:
    footprint = np.ones((5, 5), bool)
    footprint[2, 2] = False
    return footprint


def moments(counts: np.ndarray, masked: np.ndarray, defects: tuple[Defect, ...] = ()) -> Centres:
    """First moments of ``counts`` [ny, nx, ky, kx] in electrons without ``masked`` pixels [ky, kx]; see `centres_of_mass`."""
    y, x = np.meshgrid(*(np.arange(size) - 0.5 * (size - 1) for size in masked.shape), indexing="ij")
    weights = np.stack([np.ones_like(x), x, y, x**2 + y**2]).reshape(4, -1)
    if masked.any() and masked.mean() <= MAX_MASKED:
        weights = weights + _from_neighbours(weights, masked)
    weights = np.where(masked.ravel(), 0.0, weights)
    total, along_x, along_y, second = (counts.reshape(-1, masked.size) @ weights.T).T.reshape(4, *counts.shape[:2])
    with np.errstate(divide="ignore", invalid="ignore"):
        field = np.where(total > 0, np.stack([along_x, along_y]) / total, np.nan)
        variance = 0.5 * np.maximum(second / total - (field**2).sum(axis=0), 0.0) / total
    return Centres(field, np.maximum(total, 0.0), variance, defects)


def _from_neighbours(weights: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """What the weights [w, n] of masked pixels add to those of the others, where a masked pixel is the mean of its neighbours."""
    rows, columns = masked.shape
    number = np.cumsum(masked.ravel()) - 1
    index, other, own = [], [], []
    degree = np.zeros(int(masked.sum()))
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = np.nonzero(masked)
        inside = (y + down >= 0) & (y + down < rows) & (x + across >= 0) & (x + across < columns)
        here, there = (y * columns + x)[inside], ((y + down) * columns + x + across)[inside]
        index.append(number[here])
        other.append(there)
        own.append(masked.ravel()[there])
        np.add.at(degree, number[here], 1.0)
    index, other, own = (np.concatenate(parts) for parts in (index, other, own))
    count = len(degree)
    inner = csr_matrix((np.full(int(own.sum()), -1.0), (index[own], number[other[own]])), (count, count))
    inner = inner + csr_matrix((degree, (np.arange(count), np.arange(count))), (count, count))
    outer = csr_matrix((np.ones(int((~own).sum())), (index[~own], other[~own])), (count, masked.size))
    shares = splu(inner.T.tocsc()).solve(weights[:, masked.ravel()].T)
    return (outer.T @ shares).T
