"""Where to begin: centre, thickness and tilt of a position-averaged pattern from a coarse look at all there may be."""

import functools

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve

from reconstruct.measure.pacbed.model import Frame
from twin.scattering.pacbed.patterns import Library, coarse

BIN = 1.6e-3
"""Pixel of the coarse look in radian."""
DEPTH_STEP, TILT_STEP = 12.0, 1.2e-3
"""Thickness in angstrom and tilt in radian between what is tried."""
ROUGH = 0.1
"""Relative error of a coarse pattern at a thickness and tilt between these."""


def centres(electrons: np.ndarray, radius: float, most: int = 4) -> list[tuple[float, float]]:
    """Where (x, y; pixels from the middle) a disk of ``radius`` pixels stands out from a ring around it, most so first: overlapping disks do, too."""
    ny, nx = electrons.shape
    half = int(np.ceil(1.25 * radius)) + 1
    y, x = np.meshgrid(*(np.arange(-half, half + 1),) * 2, indexing="ij")
    away = np.hypot(x, y)
    disk = np.clip(radius - away + 0.5, 0.0, 1.0)
    ring = np.clip(1.25 * radius - away + 0.5, 0.0, 1.0) - disk
    root = np.pad(np.sqrt(np.maximum(electrons, 0.0)), half)
    score = fftconvolve(root, disk / disk.sum() - ring / ring.sum(), mode="same")[half:-half, half:-half]
    tops = np.argwhere((score == maximum_filter(score, 3)) & (score > 0.0))
    tops = sorted(tops.tolist(), key=lambda place: -score[place[0], place[1]])[:most]

    def peak(values: np.ndarray, at: int) -> float:
        if not 0 < at < len(values) - 1:
            return float(at)
        left, here, right = values[at - 1 : at + 2]
        bend = left - 2.0 * here + right
        return at + (0.5 * (left - right) / bend if bend < 0.0 else 0.0)

    return [
        (peak(score[row], column) + 0.5 - 0.5 * nx, peak(score[:, column], row) + 0.5 - 0.5 * ny)
        for row, column in tops
    ]


@functools.lru_cache(maxsize=4)
def _looks(made: "_Once", half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thicknesses [d], tilts [t, 2] and coarse patterns [t, d, y, x] of a library."""
    curves = made.library.rocking
    every = max(1, round(DEPTH_STEP / float(curves.depths[1] - curves.depths[0])))
    rows = np.arange(0, len(curves.depths), every)
    count = int(made.library.tilted / TILT_STEP)
    axis = np.arange(-count, count + 1) * TILT_STEP
    tilts = np.array([(x, y) for x in axis for y in axis if np.hypot(x, y) <= made.library.tilted])
    images = np.stack([coarse(made.library, tuple(tilt), rows, BIN, half) for tilt in tilts]).astype(np.float32)
    return curves.depths[rows], tilts, images


class _Once:
    """A library as a key: the same object, the same looks."""

    def __init__(self, library: Library):
        self.library = library

    def __hash__(self) -> int:
        return id(self.library.rocking.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and other.library.rocking.table is self.library.rocking.table


def prepare(made: Library, radius: float) -> None:
    """Make the coarse patterns about the beam within ``radius`` radian now rather than with the first fit."""
    _looks(_Once(made), int(radius / BIN))


def candidates(
    frame: Frame, theta: np.ndarray, electrons: np.ndarray, kept: np.ndarray, radius: float, most: int
) -> list[tuple[float, float, tuple[float, float]]]:
    """Up to ``most`` triples (likeness, thickness, tilt) that look like the image ``electrons`` [y, x] on its ``kept`` pixels, best first, none near another.

    ``theta`` are the parameters with the geometry that is thought likeliest; likeness is the share of the image's structure that such a pattern has.
    """
    half = int(radius / BIN)
    depths, tilts, images = _looks(_Once(frame.made), half)
    x, y = frame.directions(theta, fine=False)
    width = 2 * half + 1
    place = [np.rint(v / BIN).astype(int) + half for v in (x, y)]
    inside = kept & (place[0] >= 0) & (place[0] < width) & (place[1] >= 0) & (place[1] < width)
    flat = (place[1] * width + place[0])[inside]
    count = np.bincount(flat, minlength=width**2)
    area = (frame.geometry.pixel / BIN) ** 2
    used = count * area > 0.6
    data = np.bincount(flat, electrons[inside], width**2)[used] / (count[used] * area)
    noise = np.maximum(data / (count[used] * area), 1.0) + (ROUGH * data) ** 2
    away = (np.arange(width) - half) * BIN
    square = (away[:, None] ** 2 + away[None, :] ** 2).ravel()[used]
    soft = np.exp(-0.5 * square / frame.made.semiangle**2)
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
    found: list[tuple[float, float, tuple[float, float]]] = []
    score = score / float(target @ target)
    for place_ in np.argsort(-score.ravel()):
        t, d = divmod(int(place_), len(depths))
        one = float(score[t, d]), float(depths[d]), (float(tilts[t, 0]), float(tilts[t, 1]))
        near = any(
            abs(one[1] - other[1]) < 2.5 * DEPTH_STEP and np.hypot(*np.subtract(one[2], other[2])) < 1.6 * TILT_STEP
            for other in found
        )
        if not near:
            found.append(one)
        if len(found) == most:
            break
    return found
