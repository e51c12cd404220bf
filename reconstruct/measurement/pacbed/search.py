"""Starting values of centre, thickness and tilt of a position-averaged pattern, by a coarse search over the whole library."""

import functools

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve

from reconstruct.measurement.pacbed.model import Frame
from twin.scattering.pacbed.patterns import Library, coarse

COARSE_PIXEL = 1.6e-3
"""Pixel of the coarse search in radian."""
DEPTH_STEP, TILT_STEP = 12.0, 1.2e-3
"""Thickness in angstrom and tilt in radian between what is tried."""
COARSE_ERROR = 0.1
"""Relative error of a coarse pattern at a thickness and tilt between these."""


def centres(electrons: np.ndarray, usable: np.ndarray, radius: float, limit: int = 4) -> list[tuple[float, float]]:
    """Where (x, y; pixels from the middle) a disk of ``radius`` pixels stands out from a ring around it, most so first: overlapping disks do, too.

    ``electrons`` [y, x] of pixels that are not ``usable`` take no part.
    """
    ny, nx = electrons.shape
    score, half = _disk_score(electrons, usable, radius)
    score = score[half:-half, half:-half]
    tops = np.argwhere((score == maximum_filter(score, 3)) & (score > 0.0))
    tops = sorted(tops.tolist(), key=lambda pixel: -score[pixel[0], pixel[1]])[:limit]

    def peak(values: np.ndarray, index: int) -> float:
        if not 0 < index < len(values) - 1:
            return float(index)
        left, here, right = values[index - 1 : index + 2]
        bend = left - 2.0 * here + right
        return index + (0.5 * (left - right) / bend if bend < 0.0 else 0.0)

    return [
        (peak(score[row], column) + 0.5 - 0.5 * nx, peak(score[:, column], row) + 0.5 - 0.5 * ny)
        for row, column in tops
    ]


def _disk_score(electrons: np.ndarray, usable: np.ndarray, radius: float) -> tuple[np.ndarray, int]:
    """Mean root of the counts in a disk about each pixel less that in a ring around it, in sigmas of counting, of a frame that is padded by the returned
    number of pixels."""
    half = int(np.ceil(1.25 * radius)) + 1
    y, x = np.meshgrid(*(np.arange(-half, half + 1),) * 2, indexing="ij")
    away = np.hypot(x, y)
    disk = np.clip(radius - away + 0.5, 0.0, 1.0)
    ring = np.clip(1.25 * radius - away + 0.5, 0.0, 1.0) - disk
    root = np.pad(np.where(usable, np.sqrt(np.maximum(electrons, 0.0)), 0.0), half)
    # beyond the frame there is nothing that is known, and taken as dark
    there = np.pad(usable.astype(np.float64), half, constant_values=1.0)
    means, seen = [], []
    for part in (disk, ring):
        weight = np.maximum(fftconvolve(there, part, mode="same"), 1e-6)
        means.append(fftconvolve(root, part, mode="same") / weight)
        seen.append(weight / part.sum())
    return (means[0] - means[1]) * np.clip(2.0 * np.minimum(*seen), 0.0, 1.0), half


@functools.lru_cache(maxsize=4)
def _coarse_patterns(key: "_LibraryKey", half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thicknesses [d], tilts [t, 2] and coarse patterns [t, d, y, x] of a library."""
    curves = key.library.rocking
    stride = max(1, round(DEPTH_STEP / float(curves.depths[1] - curves.depths[0])))
    rows = np.arange(0, len(curves.depths), stride)
    count = int(key.library.tilted / TILT_STEP)
    axis = np.arange(-count, count + 1) * TILT_STEP
    tilts = np.array([(x, y) for x in axis for y in axis if np.hypot(x, y) <= key.library.tilted])
    images = np.stack([coarse(key.library, tuple(tilt), rows, COARSE_PIXEL, half) for tilt in tilts]).astype(np.float32)
    return curves.depths[rows], tilts, images


class _LibraryKey:
    """A library as a cache key: by identity of its table."""

    def __init__(self, library: Library):
        self.library = library

    def __hash__(self) -> int:
        return id(self.library.rocking.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _LibraryKey) and other.library.rocking.table is self.library.rocking.table


def prepare(library: Library, radius: float) -> None:
    """Make the coarse patterns about the beam within ``radius`` radian now rather than with the first fit."""
    _coarse_patterns(_LibraryKey(library), int(radius / COARSE_PIXEL))


def candidates(
    frame: Frame, theta: np.ndarray, electrons: np.ndarray, mask: np.ndarray, radius: float, limit: int
) -> list[tuple[float, float, tuple[float, float]]]:
    """Up to ``limit`` triples (likeness, thickness, tilt) that look like the image ``electrons`` [y, x] within ``mask``, best first, none near another.

    ``theta`` are the parameters with the geometry that is thought likeliest; likeness is the share of the image's structure that such a pattern has.
    """
    half = int(radius / COARSE_PIXEL)
    depths, tilts, images = _coarse_patterns(_LibraryKey(frame.library), half)
    x, y = frame.directions(theta, fine=False)
    width = 2 * half + 1
    bins = [np.rint(v / COARSE_PIXEL).astype(int) + half for v in (x, y)]
    inside = mask & (bins[0] >= 0) & (bins[0] < width) & (bins[1] >= 0) & (bins[1] < width)
    flat = (bins[1] * width + bins[0])[inside]
    count = np.bincount(flat, minlength=width**2)
    area = (frame.geometry.pixel / COARSE_PIXEL) ** 2
    used = count * area > 0.6
    data = np.bincount(flat, electrons[inside], width**2)[used] / (count[used] * area)
    noise = np.maximum(data / (count[used] * area), 1.0) + (COARSE_ERROR * data) ** 2
    away = (np.arange(width) - half) * COARSE_PIXEL
    square = (away[:, None] ** 2 + away[None, :] ** 2).ravel()[used]
    soft = np.exp(-0.5 * square / frame.library.semiangle**2)
    flatness = np.stack([np.ones_like(soft), soft]) / np.sqrt(noise)
    # what is even or broadly rounded is diffuse, amorphous or background: it takes no part
    basis = np.linalg.qr(flatness.T)[0]
    target = data / np.sqrt(noise)
    target = target - basis @ (basis.T @ target)
    trial = images.reshape(-1, width**2)[:, used] / np.sqrt(noise).astype(np.float32)
    trial = trial - (trial @ basis) @ basis.T
    size = np.maximum((trial**2).sum(axis=1), 1e-30)
    match = np.maximum(trial @ target, 0.0) / np.sqrt(size)
    score = (match**2).reshape(len(tilts), len(depths))
    selected: list[tuple[float, float, tuple[float, float]]] = []
    score = score / float(target @ target)
    for index in np.argsort(-score.ravel()):
        t, d = divmod(int(index), len(depths))
        candidate = float(score[t, d]), float(depths[d]), (float(tilts[t, 0]), float(tilts[t, 1]))
        near = any(
            abs(candidate[1] - other[1]) < 2.5 * DEPTH_STEP
            and np.hypot(*np.subtract(candidate[2], other[2])) < 1.6 * TILT_STEP
            for other in selected
        )
        if not near:
            selected.append(candidate)
        if len(selected) == limit:
            break
    return selected


def disk_ratio(
    electrons: np.ndarray,
    usable: np.ndarray,
    radius: float,
    centre: np.ndarray,
    lowest: float = 0.75,
    highest: float = 1.3,
) -> float:
    """How many times larger than ``radius`` (pixels) the disk about ``centre`` (x, y; pixels from the middle) looks."""
    ny, nx = electrons.shape
    row, column = (round(float(v) + 0.5 * n - 0.5) for v, n in zip(centre[::-1], (ny, nx), strict=True))
    ratios = np.arange(lowest, highest, 0.02)
    scores = []
    for ratio in ratios:
        score, half = _disk_score(electrons, usable, ratio * radius)
        around = score[half + row - 2 : half + row + 3, half + column - 2 : half + column + 3]
        scores.append(float(around.max(initial=-np.inf)))
    return float(ratios[int(np.argmax(scores))])
