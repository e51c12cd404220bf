"""The largest lit part of a camera's image: where a beam is, before anything is fitted to it."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_fill_holes, label


class LitRegion(NamedTuple):
    """``inside`` [ny, nx] without holes, its centre (``x``, ``y``) and the ``radius`` of a disk of its area in pixels, the share of that disk that is
    ``filled``, and whether it lies ``whole`` in the frame."""

    inside: np.ndarray
    x: float
    y: float
    radius: float
    filled: float
    whole: bool


def lit_region(bright: np.ndarray) -> LitRegion | None:
    """The largest part of ``bright`` [ny, nx] (bool) that hangs together; None where nothing is bright."""
    parts, number = label(bright)  # type: ignore[misc]
    if number == 0:
        return None
    inside = np.asarray(binary_fill_holes(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))), bool)
    rows, columns = np.nonzero(inside)
    y, x = float(rows.mean()), float(columns.mean())
    radius = float(np.sqrt(len(rows) / np.pi))
    ys, xs = np.ogrid[: inside.shape[0], : inside.shape[1]]
    within = np.hypot(ys - y, xs - x) < radius
    # a disk smaller than the distance of pixels holds none
    filled = float(inside[within].mean()) if within.any() else 1.0
    whole = not (inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any())
    return LitRegion(inside, x, y, radius, filled, whole)
