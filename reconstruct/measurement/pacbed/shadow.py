"""Shadows on a pattern, such as a beam stop's: parts of the disk that are much darker than the same parts beyond its centre.

A crystal near a zone axis has nearly the same pattern at opposite directions; what its tilt changes is no connected part of the disk that is dark.
"""

from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, label, map_coordinates

DARK = 0.6
"""Of the opposite pixel, below which a pixel is in a shadow."""
SIGNIFICANCE = 5.0
"""Standard deviations of counting by which it is darker."""
MIN_PIXELS = 8
"""Connected pixels of a shadow, at least."""
MAX_SHARE = 0.3
"""Of the pixels that are used, at most."""
MARGIN = 2
"""Pixels around a shadow that are left out with it: its border is not sharp."""


def find_shadow(electrons: np.ndarray, mask: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Mask [y, x] of the shadows on ``electrons`` [y, x] at the pixels of ``mask``, the beam at ``centre`` (x, y; pixels from the middle)."""
    ny, nx = electrons.shape
    middle = centre[1] + 0.5 * ny - 0.5, centre[0] + 0.5 * nx - 0.5
    opposite = np.meshgrid(*(2.0 * m - np.arange(n) for m, n in zip(middle, (ny, nx), strict=True)), indexing="ij")
    filled, there = np.where(mask, np.maximum(electrons, 0.0), 0.0), mask.astype(np.float64)
    known = map_coordinates(there, opposite, order=1)
    other = map_coordinates(filled, opposite, order=1) / np.maximum(known, 0.5)
    dark = mask & (known > 0.5) & (filled < DARK * other)
    dark &= other - filled > SIGNIFICANCE * np.sqrt(other + filled + 1.0)
    return _large(dark, mask)


def grown(shadow: np.ndarray, electrons: np.ndarray, expected: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The ``shadow`` with what adjoins it and is darker than ``expected`` [y, x] of a fit beside it: the middle of the pattern has no opposite."""
    lack = expected - np.where(np.isfinite(electrons), electrons, 0.0)
    dark = mask & (lack > SIGNIFICANCE * np.sqrt(np.maximum(expected, 1.0))) & (lack > 0.1 * expected)
    labelled: Any = label(dark | shadow, np.ones((3, 3)))
    parts = labelled[0]
    touched = np.unique(parts[shadow & (parts > 0)])
    return _large(np.isin(parts, touched) & (parts > 0), mask, 1)


def _large(dark: np.ndarray, mask: np.ndarray, margin: int = MARGIN) -> np.ndarray:
    """The connected parts that are large enough, with a margin; none where they are too much of all."""
    labelled: Any = label(dark, np.ones((3, 3)))
    parts = labelled[0]
    sizes = np.bincount(parts.ravel())
    kept = np.isin(parts, np.flatnonzero(sizes >= MIN_PIXELS)) & (parts > 0)
    if kept.any():
        kept = binary_dilation(kept, np.ones((3, 3)), iterations=margin)
    return kept if (kept & mask).sum() <= MAX_SHARE * mask.sum() else np.zeros(dark.shape, bool)
