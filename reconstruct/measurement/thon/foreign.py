"""What is in a power spectrum and is no Thon ring: spots of crystals and gratings, narrow rings of ice and other polycrystals.

They are found twice: in the spectrum as it is, where they stand out from their neighbours more than Thon rings can, and in the residual of a fit. A wrong fit
leaves rings in its residual too: only few and narrow ones that are brighter than the fit are taken for foreign, so that a wrong fit stays one.
"""

import math
from typing import cast

import numpy as np
from scipy.ndimage import binary_dilation, label, maximum, median_filter, uniform_filter
from scipy.stats import gamma, norm

from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.thon.spectrum import Plane

NEIGHBOURS = 7
"""Blocks along a side whose median is the level of a spot's surroundings."""
SPOT_CHANCE, EDGE_CHANCE = 1e-3, 1e-3
"""Probability of one spot in a spectrum without any, and of a block at the edge of one to belong to it."""
ABOVE_RINGS = 2.0
"""How many times the mean a ring's power rises at most above the median of its neighbours: sin^2 has a maximum of twice its mean."""
ABOVE_FIT = 1.2
"""The same of a fit: what its smooth parts may miss."""
SHELLS = 160
"""Shells of |q| in which narrow rings are looked for; fewer where an image has fewer frequencies."""
NARROW = 0.1
"""Width of a foreign ring at most, of its |q|; Thon rings as narrow as that are at least the fifth."""
BELOW, ABOVE = 0.25, 0.5
"""Shares of |q| below and above a shell from which the power of other rings is taken; more above, where the next Thon ring of the second lies."""
BRIGHT, EDGE = 1.8, 1.12
"""Power of a foreign ring over that of other rings, at least, where there is no fit yet; and over a fit, or at its edges."""
SIGNIFICANCE = 6.0
"""Standard deviations of the same."""
MAX_SHARE = 0.2
"""Share of the shells that may be foreign."""
UNKNOWN = 1e30
"""Level about shells that have too few neighbours: nothing stands out from it."""
SECTORS, BANDS = 24, 40
"""Blocks of the residual in which arcs and blurred spots are looked for."""


def spots(plane: Plane, expected: np.ndarray | None = None) -> np.ndarray:
    """Blocks [ny, nx] that stand out from ``expected`` [ny, nx], or else from their surroundings, as no exponentially distributed power does, with what
    touches them."""
    use, looks = plane.weight > 0, plane.looks
    if expected is None:
        # at a border of the used frequencies the median is of other power
        whole = uniform_filter(use.astype(float), NEIGHBOURS, mode="nearest") > 0.99
        level = np.array(median_filter(np.where(use, plane.power, 0.0), NEIGHBOURS, mode="nearest"))
        expected = level * (looks / float(gamma.median(looks)))
        high, low = (ABOVE_RINGS * limit for limit in _chances(int(use.sum()), looks))
    else:
        whole, (high, low) = use, (ABOVE_FIT * limit for limit in _chances(int(use.sum()), looks))
    ratio = np.where(use & whole, plane.power / np.maximum(expected, 1e-12), 0.0)
    groups, count = _groups(ratio > low)
    if count == 0:
        return np.zeros_like(use)
    highest = np.array([0.0, *np.atleast_1d(np.asarray(maximum(ratio, groups, np.arange(1, count + 1))))])
    marked = (highest > high)[groups]
    return np.logical_and(np.asarray(binary_dilation(marked, np.ones((3, 3)))), use) if marked.any() else marked


def _groups(marked: np.ndarray) -> tuple[np.ndarray, int]:
    """Number of the group of marked neighbours, diagonal ones too, to which each belongs (0: none), and how many groups there are."""
    return cast("tuple[np.ndarray, int]", label(marked, np.ones((3,) * marked.ndim)))


def _chances(blocks: int, looks: float) -> tuple[float, float]:
    """Ratios to the mean that one of all blocks, and any block, exceeds with `SPOT_CHANCE` and `EDGE_CHANCE`."""
    return tuple(float(gamma.isf(chance, looks)) / looks for chance in (SPOT_CHANCE / max(blocks, 1), EDGE_CHANCE))  # type: ignore[return-value]


def narrow_rings(plane: Plane, expected: np.ndarray | None = None) -> list[tuple[float, float]]:
    """(low, high) in 1/angstrom of narrow rings brighter than their surroundings: in the power itself or in its ratio to ``expected`` [ny, nx]."""
    use = plane.weight > 0
    shells = min(SHELLS, int(plane.highest * min(plane.size) / max(plane.block)))
    shell = np.minimum((plane.frequency / plane.highest * shells).astype(int), shells - 1)[use]
    ratio = plane.power[use] if expected is None else plane.power[use] / expected[use]
    weight = plane.weight[use]
    count = np.bincount(shell, weight, shells)
    mean = np.bincount(shell, weight * ratio, shells) / np.maximum(count, 1e-12)
    level = _surroundings(mean, count > 0, ring_tops=expected is None)
    spread = level * np.sqrt(plane.tied / np.maximum(count, 1.0))
    excess = (mean - level) / np.maximum(spread * np.sqrt(1.0 + 2.0 / (BELOW * np.arange(1, shells + 1))), 1e-12)
    seed = (count > 0) & (mean > (BRIGHT if expected is None else EDGE) * level) & (excess > SIGNIFICANCE)
    limits = EDGE if expected is None else 1.0 + 0.5 * (EDGE - 1.0)
    groups, number = _groups((count > 0) & (mean > limits * level) & (excess > 2.0))
    candidates = []
    for group in range(1, number + 1):
        members = np.flatnonzero(groups == group)
        low, high = members[0] - 1, members[-1] + 2
        if seed[members].any() and len(members) <= max(2.0, NARROW * members.mean()):
            candidates.append(
                (float((mean / level)[members].max()), low / shells * plane.highest, high / shells * plane.highest)
            )
    candidates.sort(reverse=True)
    rings, total = [], 0.0
    for _, low, high in candidates:
        total += (high - low) / plane.highest
        if total <= MAX_SHARE:
            rings.append((low, high))
    return rings


def _surroundings(mean: np.ndarray, use: np.ndarray, ring_tops: bool) -> np.ndarray:
    """Level about each shell, without those next to it: of the power the larger of the nine-tenths quantiles on both sides, of a residual the median."""
    level = np.full(len(mean), UNKNOWN)
    for at in np.flatnonzero(use):
        near = max(2, math.ceil(0.6 * NARROW * at))
        low, high = max(near + 4, math.ceil(BELOW * at)), max(near + 4, math.ceil((ABOVE if ring_tops else BELOW) * at))
        below, above = (
            np.arange(max(at - low, 0), max(at - near, 0)),
            np.arange(min(at + near + 1, len(mean)), min(at + high + 1, len(mean))),
        )
        sides = [mean[side[use[side]]] for side in (below, above)]
        if ring_tops:
            tops = [float(np.quantile(side, 0.9)) for side in sides if len(side) >= 3]
            # of low rings too few are there to tell one that is brighter
            level[at] = max(tops) if len(tops) == 2 else (1.5 * tops[0] if tops else UNKNOWN)
        elif sum(map(len, sides)) >= 3:
            level[at] = max(float(np.median(np.concatenate(sides))), 1e-12)
    return level


def arcs(plane: Plane, expected: np.ndarray) -> np.ndarray:
    """Blocks [ny, nx] of the spectrum in sectors and bands whose mean ratio to ``expected`` is far above 1, while their surroundings' is not."""
    use = plane.weight > 0
    sector = np.minimum((plane.azimuth / np.pi * SECTORS).astype(int), SECTORS - 1)
    band = np.minimum((plane.frequency / plane.highest * BANDS).astype(int), BANDS - 1)
    cell = sector * BANDS + band
    count = np.bincount(cell[use], plane.weight[use], SECTORS * BANDS)
    total = np.bincount(cell[use], (plane.weight * plane.power / expected)[use], SECTORS * BANDS)
    mean = total / np.maximum(count, 1e-12)
    limit = norm.isf(SPOT_CHANCE / (SECTORS * BANDS))
    looks = np.maximum(count / plane.tied, 1e-3)
    # of a gamma distribution, with a tenth for what the model's smooth parts miss
    high = 1.1 * gamma.isf(norm.sf(limit), looks) / looks + 0.4
    marked = (count > 0) & (mean > high)
    if marked.sum() > 0.05 * (count > 0).sum():
        return np.zeros_like(use)
    return marked[cell] & use


def without(plane: Plane, rings: list[tuple[float, float]], blocks: np.ndarray | None = None) -> Plane:
    """The plane with no weight in ``rings`` and ``blocks``."""
    weight = plane.weight.copy()
    size = plane.frequency
    for low, high in rings:
        weight[(size >= low) & (size <= high)] = 0.0
    if blocks is not None:
        weight[blocks] = 0.0
    return plane._replace(weight=weight)


def defects(rings: list[tuple[float, float]], blocks: np.ndarray) -> tuple[Defect, ...]:
    """What was masked, in words."""
    result = [
        Defect("ring", None, "masked", f"ring at {2.0 / (low + high):.2g} Å in the power spectrum")
        for low, high in merged(rings)
    ]
    if blocks.any():
        count = _groups(blocks)[1]
        result.append(Defect("spots", count, "masked", f"{count} spot{'s' * (count > 1)} in the power spectrum"))
    return tuple(result)


def merged(rings: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Rings that overlap as one."""
    result: list[tuple[float, float]] = []
    for low, high in sorted(rings):
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return result
