"""Spots of a diffraction pattern, and disks of a convergent beam that do not overlap: places and strengths. Positions (x, y) in pixels: column, row.

What is looked for is brighter than the ring around it, in the logarithm of the counts, in which strong and weak spots weigh alike. Small spots are placed by
their centre of mass, disks by their edges (`disks`): the intensity within a disk changes with the angle, and a centre of mass follows it.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.optimize import nnls
from scipy.signal import oaconvolve

from reconstruct.measurement.diffraction.disks import place_disks

RADII = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0, 23.0, 32.0)
"""Radii in pixels of what is looked for."""
THRESHOLD = 6.0
"""Standard deviations of the background's contrast from which a place is a spot."""
MAX_SPOTS = 60
STRONGEST = 12
"""Spots that decide between radii."""
PEAKED, CORE = 0.5, 1.5
"""Core over radius below which spots have tails, and how many times its core a spot's radius is then."""
CORE_LEVEL = 0.2
"""Share of its highest intensity above which a pixel is of a disk, whatever its gradient, or of a spot's core."""
SMALL = 2.3
"""Radius in pixels below which a spot is placed by its centre of mass."""
MAX_PIXELS = 8000
"""Pixels that intensities of disks are fitted to."""
DIFFUSE = (0.1, 0.3, 1.0)
"""Lengths in which the diffuse background falls off, as shares of the farthest disk's distance."""
LARGEST_SHARE = 0.1
"""Largest radius as a share of the shorter side of the pattern: a lattice needs several disks."""


class Spots(NamedTuple):
    """``positions`` [n, 2] (x, y), strongest first; ``strengths`` [n]: net intensity in counts; their common ``radius`` in pixels; whether they are
    ``disks`` with an edge."""

    positions: np.ndarray
    strengths: np.ndarray
    radius: float
    disks: bool = False


def find_spots(pattern: np.ndarray) -> Spots:
    """The spots or disks of ``pattern`` [ny, nx], at most `MAX_SPOTS`; none where nothing stands out."""
    logs = compressed(pattern)
    best: tuple[float, float, np.ndarray] | None = None
    for radius in RADII:
        if radius > LARGEST_SHARE * min(pattern.shape):
            break
        response = _contrast(logs, radius)
        places = _peaks(response, radius)
        if not len(places):
            continue
        strongest = response.contrast[places[:STRONGEST, 1], places[:STRONGEST, 0]]
        # a matched filter's signal over white noise is largest where its radius is theirs
        signal = float(np.sqrt((strongest**2).sum()) * radius)
        if best is None or signal > best[0]:
            best = signal, radius, places
    if best is None:
        return Spots(np.zeros((0, 2)), np.zeros(0), 0.0)
    _, radius, places = best
    core = _core(pattern, places, radius)
    if core < PEAKED * radius:
        radius = max(RADII[0], core)
        places = _peaks(_contrast(logs, radius), radius)
    if len(places) == 0:
        return Spots(np.zeros((0, 2)), np.zeros(0), 0.0)
    if core < SMALL:
        radius = max(RADII[0], CORE * core)
        positions = np.array([_centre_of_mass(pattern, position, radius) for position in places])
    else:
        positions, radius = place_disks(pattern, places, core)
    strengths = net_intensity(pattern, positions, radius)
    order = np.argsort(-strengths, kind="stable")
    return Spots(positions[order], strengths[order], radius, core >= SMALL)


def compressed(pattern: np.ndarray) -> np.ndarray:
    """Logarithm of the counts over a level that noise does not reach."""
    values = np.asarray(pattern, np.float64)
    values = values - np.quantile(values, 0.01)
    steps = np.diff(values, axis=1) ** 2
    noise = np.sqrt(
        0.5 * steps[steps <= np.quantile(steps, 0.9)].mean()
    )  # of the background, also where most pixels hold no electron
    level = max(float(np.median(np.abs(values))), 3.0 * float(noise), 1e-3 * float(values.mean()), 1e-300)
    return np.log1p(np.maximum(values, 0.0) / level)


def net_intensity(pattern: np.ndarray, positions: np.ndarray, radius: float) -> np.ndarray:
    """Counts [n] within ``radius`` of ``positions`` [n, 2] over the median of the ring around; 0 where that is brighter or off the pattern."""
    result = np.zeros(len(positions))
    for index, position in enumerate(positions):
        patch = _patch(pattern, np.round(position).astype(int), radius)
        if patch is not None:
            values, distance = patch[0], np.hypot(*(patch[1] - position).transpose(2, 0, 1))
            inside = distance <= radius + 0.5
            result[index] = max(float((values[inside] - np.median(values[distance > radius + 1.0])).sum()), 0.0)
    return result


def fitted_intensity(pattern: np.ndarray, positions: np.ndarray, radius: float, direct: np.ndarray) -> np.ndarray:
    """Counts [n] of even disks of ``radius`` at ``positions`` [n, 2] that fit the pattern together, over a background about the ``direct`` beam: also where
    they touch or overlap. Non-negative least squares with the weights of counting."""
    values = np.asarray(pattern, np.float64)
    values = values - np.quantile(values, 0.01)
    places = np.concatenate([direct[None], positions])
    rows, columns = np.mgrid[: values.shape[0], : values.shape[1]]
    reach = 1.3 * radius + 2.0
    near = np.zeros(values.shape, bool)
    for x, y in np.round(places).astype(int):
        top, left, size = max(y - int(reach), 0), max(x - int(reach), 0), 2 * int(reach) + 1
        near[top : top + size, left : left + size] = True
    at = np.stack([columns[near], rows[near]], axis=1)[:: max(1, int(near.sum()) // MAX_PIXELS)]
    counts = values[at[:, 1], at[:, 0]]
    disks = np.clip(
        radius + 0.5 - np.hypot(at[:, None, 0] - places[None, :, 0], at[:, None, 1] - places[None, :, 1]), 0.0, 1.0
    )
    farthest = float(np.hypot(*(places - direct).T).max()) + radius
    fall = np.hypot(*(at - direct).T)[:, None] / (farthest * np.array(DIFFUSE)[None])
    model = np.concatenate([disks, np.exp(-fall), np.ones((len(at), 1))], axis=1)
    weight = 1.0 / np.sqrt(np.maximum(counts, 0.0) + 0.01 * float(np.abs(counts).mean()) + 1e-300)
    heights = nnls(model * weight[:, None], counts * weight)[0]
    return heights[1 : len(places)] * np.pi * radius**2


def _core(pattern: np.ndarray, places: np.ndarray, radius: float) -> float:
    """Radius of a circle of the area in which the strongest spots are above `CORE_LEVEL` of their maximum: a disk's, or that of a spot's core."""
    radii = []
    for position in places[:STRONGEST]:
        patch = _patch(pattern, position, radius)
        if patch is not None:
            values, distance = patch[0], np.hypot(*(patch[1] - position).transpose(2, 0, 1))
            level = float(np.median(values[distance > radius + 1.0]))
            inside = np.sort(values[distance <= radius + 0.5]) - level
            highest = float(inside[-max(1, len(inside) // 20) :].mean())  # noise and gradients make a single pixel high
            radii.append(math.sqrt(float((inside > CORE_LEVEL * highest).sum()) / math.pi))
    return float(np.median(radii)) if radii else radius


class _Response(NamedTuple):
    """``contrast`` [ny, nx] in the logarithm: mean within a radius less that of the ring around; its ``spread`` over the background."""

    contrast: np.ndarray
    spread: float


def _contrast(logs: np.ndarray, radius: float) -> _Response:
    reach = int(np.ceil(1.5 * radius + 2.5))
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    disk, ring = distance <= radius, (distance > radius + 1.0) & (distance <= 1.5 * radius + 2.5)
    kernel = disk / disk.sum() - ring / ring.sum()
    padded = np.pad(logs, reach, mode="reflect")
    response = oaconvolve(padded, kernel, mode="valid")
    middle = float(np.median(response))
    spread = 1.4826 * float(np.median(np.abs(response - middle)))
    return _Response(response - middle, max(spread, 1e-12 + 1e-6 * float(np.abs(response).max())))


def _peaks(response: _Response, radius: float) -> np.ndarray:
    """Places [n, 2] (x, y) of local maxima above the threshold, strongest first, that lie wholly within."""
    width = 2 * int(np.ceil(radius)) + 1
    edge = int(np.ceil(radius)) + 1
    contrast = response.contrast
    peak = (contrast == maximum_filter(contrast, width)) & (contrast > THRESHOLD * response.spread)
    peak[:edge] = peak[-edge:] = peak[:, :edge] = peak[:, -edge:] = False
    rows, columns = np.nonzero(peak)
    order = np.argsort(-contrast[rows, columns], kind="stable")[:MAX_SPOTS]
    return np.stack([columns[order], rows[order]], axis=1)


def _patch(pattern: np.ndarray, position: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Values about a pixel with their coordinates (x, y); None off the pattern."""
    reach = int(np.ceil(1.5 * radius + 2.5))
    column, row = int(position[0]), int(position[1])
    top, left = max(row - reach, 0), max(column - reach, 0)
    values = np.asarray(pattern[top : row + reach + 1, left : column + reach + 1], np.float64)
    if row < 0 or column < 0 or min(values.shape, default=0) <= reach:
        return None
    rows, columns = np.mgrid[top : top + values.shape[0], left : left + values.shape[1]]
    return values, np.stack([columns, rows], axis=-1).astype(float)


def _centre_of_mass(pattern: np.ndarray, position: np.ndarray, radius: float) -> np.ndarray:
    measured = np.asarray(position, float)
    patch = _patch(pattern, position, radius)
    if patch is None:
        return measured
    values, at = patch
    for _ in range(4):
        distance = np.hypot(*(at - measured).transpose(2, 0, 1))
        weight = np.maximum(values - np.median(values[distance > radius + 1.0]), 0.0) * np.clip(
            radius + 1.5 - distance, 0.0, 1.0
        )
        if not weight.sum() > 0.0:
            break
        moved = (weight[..., None] * at).sum(axis=(0, 1)) / weight.sum()
        measured = moved if np.hypot(*(moved - position)) < radius + 1.0 else measured
    return measured


def pairs(count: int) -> np.ndarray:
    """Pairs [m, 2] of different numbers below ``count``."""
    return np.array(list(itertools.combinations(range(count), 2)), int).reshape(-1, 2)
