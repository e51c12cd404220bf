"""The ring about a disk's edge in sectors, each with levels and slopes of its own, and what each says of the place and the width of the edge.

Levels are fitted with the edge where it is thought to be; where it is instead follows from the likelihood's slope and curvature there (Fisher scoring),
with what the levels take of both removed. Sectors of few electrons thereby add up to the likelihood of one common edge: none follows its own noise.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import stats

from reconstruct.measurement.disk.profile import edge_profile

SECTOR_LENGTH = 4.0
"""Length of a sector along the edge in pixels, at least."""
SECTOR_ELECTRONS = 250.0
"""Electrons of a sector, at least."""
MIN_SECTORS, MAX_SECTORS = 8, 180
LEVEL_STEPS = 5
FAR_SHARE = 1e-3
"""Share of the inside's level below which a pixel is well outside."""
SLOPE_SPREAD = 0.5
"""Prior rms of the slope inside and outside: share of the level by which it changes across the ring."""
TAIL_FREEDOM, TAIL_START = 3.0, 9.0
"""Degrees of freedom of the t distribution of what sectors say, and squared standard deviations from which it is used: below, counting noise may be skew."""
MIN_WIDTH = 12**-0.5
"""Rms width in pixels of a sharp edge that pixels blur."""
MIN_KNOWN = 0.25
"""Share of a sector's pixels that must be known."""
MIN_CONTRAST = 1.2
"""Level inside over that outside from which a sector has an edge."""


@dataclasses.dataclass(frozen=True)
class Outline:
    """An edge at radius (1 + a cos 2phi + b sin 2phi) about (x, y), of rms ``width``, which a motion (x, y) in pixels smears: most where it faces along it."""

    radius: float
    x: float
    y: float
    a: float = 0.0
    b: float = 0.0
    width: float = 1.0
    motion: tuple[float, float] = (0.0, 0.0)

    def distance(self, azimuth: np.ndarray) -> np.ndarray:
        """Of the edge from the centre, at ``azimuth`` in radian."""
        distance = self.radius * (1.0 + self.a * np.cos(2.0 * azimuth) + self.b * np.sin(2.0 * azimuth))
        # the mean of a circle that moves along x lies inside the circle where it looks along y
        across = np.sin(azimuth) * self.motion[0] - np.cos(azimuth) * self.motion[1]
        return distance - across**2 / (24.0 * self.radius)

    def motion_across(self, azimuth: np.ndarray) -> np.ndarray:
        """Pixels that the edge moved across itself."""
        return np.abs(np.cos(azimuth) * self.motion[0] + np.sin(azimuth) * self.motion[1])


@dataclasses.dataclass(frozen=True)
class Ring:
    """Pixels [n] of a ring about an outline, in the order of their ``sector``: ``counts``, and ``offset`` from the outline; ``starts`` [s + 1] of the sectors,
    their ``azimuth`` [s] and which are ``complete`` [s]; ``index`` [n] in the pattern and the ring's ``half_width``."""

    counts: np.ndarray
    offset: np.ndarray
    sector: np.ndarray
    starts: np.ndarray
    azimuth: np.ndarray
    complete: np.ndarray
    index: np.ndarray
    half_width: float

    def summed(self, values: np.ndarray) -> np.ndarray:
        """Sums [..., s] of ``values`` [..., n] over each sector."""
        running = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
        return running[..., self.starts[1:]] - running[..., self.starts[:-1]]


class Edges(NamedTuple):
    """Of each sector [s] at ``azimuth``: ``step`` [s, 2], by how much the edge lies farther out and its variance is larger than was assumed; the
    ``information`` [s, 2, 2] of both for counts of one electron; which are ``usable``; the ``contrast`` [s]; minus log likelihood ``cost`` [s]; and of each
    pixel the ``model`` [n]. ``dispersion`` is the variance of counts over their mean."""

    azimuth: np.ndarray
    step: np.ndarray
    information: np.ndarray
    usable: np.ndarray
    contrast: np.ndarray
    cost: np.ndarray
    model: np.ndarray
    dispersion: float


def tail_factor(square: np.ndarray) -> np.ndarray:
    """By how much the variances of sectors are larger whose ``square`` of standard deviations is large: lines and other disks cross them."""
    return np.maximum((TAIL_FREEDOM + square) / (TAIL_FREEDOM + TAIL_START), 1.0)


def ring_of(filled: np.ndarray, known: np.ndarray, outline: Outline, half_width: float, electron: float) -> Ring:
    """The ring of ``half_width`` about ``outline`` in counts ``filled`` [ny, nx] where ``known``; ``electron``: counts of one electron."""
    reach = outline.radius * (1.0 + np.hypot(outline.a, outline.b)) + half_width + 1.0
    rows = slice(max(int(outline.y - reach), 0), max(int(outline.y + reach) + 2, 0))
    columns = slice(max(int(outline.x - reach), 0), max(int(outline.x + reach) + 2, 0))
    y, x = np.mgrid[rows.start : min(rows.stop, len(filled)), columns.start : min(columns.stop, filled.shape[1])]
    distance, azimuth = np.hypot(x - outline.x, y - outline.y), np.arctan2(y - outline.y, x - outline.x)
    offset = distance - outline.distance(azimuth)
    inside = known[rows, columns] & (np.abs(offset) < half_width)
    counts, offset, azimuth = filled[rows, columns][inside], offset[inside], azimuth[inside]
    electrons = float(counts[offset < 0].sum()) / electron / SECTOR_ELECTRONS
    longest = 2.0 * np.pi * outline.radius / SECTOR_LENGTH
    sectors = int(np.clip(min(longest, electrons), MIN_SECTORS, MAX_SECTORS))
    sector = np.minimum(((azimuth + np.pi) / (2.0 * np.pi) * sectors).astype(int), sectors - 1)
    order = np.argsort(sector, kind="stable")
    expected = 2.0 * half_width * 2.0 * np.pi * outline.radius / sectors
    complete = np.bincount(sector, minlength=sectors) > MIN_KNOWN * expected
    for side in (offset > 0.0, offset < 0.0):
        complete &= np.bincount(sector[side], minlength=sectors) > 0.5 * MIN_KNOWN * expected
        # both sides of the edge itself
        near = side & (np.abs(offset) < 0.4 * half_width)
        complete &= np.bincount(sector[near], minlength=sectors) > 0.15 * MIN_KNOWN * expected
    starts = np.searchsorted(sector[order], np.arange(sectors + 1))
    middle = (np.arange(sectors) + 0.5) / sectors * 2.0 * np.pi - np.pi
    index = y[inside][order] * filled.shape[1] + x[inside][order]
    return Ring(counts[order], offset[order], sector[order], starts, middle, complete, index, half_width)


def fit_edges(ring: Ring, outline: Outline, shift: np.ndarray, floor: float, electron: float) -> Edges:
    """What each sector says, with its edge ``shift`` [s] pixels beyond the outline.

    ``floor``: counts whose noise is that of a pixel without electrons, ``electron``: counts of one.
    """
    azimuth = ring.azimuth[ring.sector]
    share, density, change = edge_profile(
        ring.offset - shift[ring.sector], outline.width, outline.motion_across(azimuth)
    )
    depth = np.clip(ring.offset / ring.half_width, -1.0, 1.0)
    columns = np.stack([1.0 - share, share, np.minimum(depth, 0.0) * share, np.maximum(depth, 0.0) * (1.0 - share)])
    # the noise of a camera is that of counts that are always there (Murtagh, Starck & Bijaoui, Astron. Astrophys. Suppl. 112, 179, 1995)
    counts = np.maximum(ring.counts, -0.9 * floor)
    levels, model, inverse, left, level_cost = _fit_levels(ring, columns, counts, floor, electron)
    outside, inside = levels[:, 0], levels[:, 1]
    local = levels[ring.sector]
    height = (local[:, 1] + local[:, 2] * np.minimum(depth, 0.0)) - (local[:, 0] + local[:, 3] * np.maximum(depth, 0.0))
    slopes = np.stack([height * density, height * change])
    weight = 1.0 / (model + floor)
    own = ring.summed(slopes[:, None] * slopes * weight)
    shared = ring.summed(slopes[:, None] * columns * weight)
    information = np.einsum("pqs->spq", own) - np.einsum("pks,skl,qls->spq", shared, inverse, shared)
    score = ring.summed(slopes * (counts - model) * weight).T - np.einsum("pks,skl,sl->sp", shared, inverse, left)
    information = information + 1e-9 * np.eye(2) * np.einsum("spp->s", information)[:, None, None] + 1e-12 * np.eye(2)
    step = np.linalg.solve(information, score[:, :, None])[:, :, 0]
    noise = np.sqrt(np.maximum(inverse[:, 0, 0] + inverse[:, 1, 1], 0.0) * electron)
    usable = ring.complete & (inside > MIN_CONTRAST * outside) & (inside - outside > 4.0 * noise)
    pixels = ring.complete[ring.sector]
    freedom = max(int(pixels.sum()) - 6 * int(ring.complete.sum()), 1)
    squares = float(((counts - model) ** 2)[pixels].sum() / max(float((model + floor)[pixels].sum()), 1e-300))
    dispersion = squares * pixels.sum() / freedom
    cost = ring.summed(model - (counts + floor) * np.log(model + floor)) + level_cost
    return Edges(ring.azimuth, step, information, usable, inside - outside, cost, model, max(dispersion, 1e-6))


class _Levels(NamedTuple):
    """Levels (outside, inside, change inwards, change outwards) [s, 4], the ``model`` [n], the inverse of the levels' information [s, 4, 4], the ``score``
    [s, 4] that is left where they are, and what they add to minus log likelihood, ``cost`` [s]."""

    levels: np.ndarray
    model: np.ndarray
    inverse: np.ndarray
    score: np.ndarray
    cost: np.ndarray


def _fit_levels(ring: Ring, columns: np.ndarray, counts: np.ndarray, floor: float, electron: float) -> _Levels:
    """Levels by the likelihood of counts, with slopes that are not steep, and a level outside that a sector of few electrons shares with the others."""
    mean = float(counts.mean())
    least = 1e-3 * mean + 1e-12
    sides = [ring.summed(counts * column) / np.maximum(ring.summed(column), 1e-9) for column in columns[:2]]
    # what others share is the level well outside, where nothing of the disk is left
    far = 1.0 * (columns[1] < FAR_SHARE)
    outer = ring.summed(counts * far) / np.maximum(ring.summed(far), 1.0)
    around = max(float(stats.trim_mean(outer[ring.complete], 0.1)) if ring.complete.any() else 0.0, 2.0 * least)
    expected = np.array([around, 0.0, 0.0, 0.0])
    levels = np.stack(
        [np.maximum(sides[0], 0.1 * around), np.maximum(sides[1], least), *np.zeros((2, len(sides[0])))], 1
    )
    pairs = columns[:, None] * columns
    for step in range(LEVEL_STEPS + 1):
        model = np.maximum((levels[ring.sector].T * columns).sum(axis=0), least)
        weight = 1.0 / (model + floor)
        prior = np.zeros((len(levels), 4, 4))
        prior[:, 0, 0], prior[:, 1, 1] = electron / around**2, 1e-9 / mean
        for slope, level in ((2, 1), (3, 0)):
            prior[:, slope, slope] = electron / (SLOPE_SPREAD * levels[:, level]) ** 2
        information = np.einsum("pqs->spq", ring.summed(pairs * weight)) + prior
        inverse = np.linalg.inv(information)
        score = ring.summed(columns * weight * (counts - model)).T - np.einsum("spq,sq->sp", prior, levels - expected)
        if step == LEVEL_STEPS:
            break
        levels = levels + np.einsum("spq,sq->sp", inverse, score)
        levels[:, :2] = np.maximum(levels[:, :2], (0.1 * around, least))
        steepest = 0.9 * levels[:, [1, 0]]
        levels[:, 2:] = np.clip(levels[:, 2:], -steepest, steepest)
    deviation = levels - expected
    cost = 0.5 * np.einsum("sp,spq,sq->s", deviation, prior, deviation)
    return _Levels(levels, model, inverse, score, cost)
