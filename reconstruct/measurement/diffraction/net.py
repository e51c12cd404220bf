"""Spots of a pattern -> the two vectors of their reciprocal lattice in pixels, with covariance from the spots' own scatter."""

import dataclasses
import math

import numpy as np
from scipy.stats import binom

from reconstruct.inference.robust_covariance import covariance
from reconstruct.measurement.diffraction.spots import Spots, pairs

TOLERANCE = 1.5
"""Pixels from a node of the lattice within which a spot is on it, while the lattice is looked for."""
MAX_VECTORS, USED = 24, 40
"""Differences between spots that are tried as vectors, and spots that vote for them."""
LEAST_ANGLE = 0.3
"""Sine of the smallest angle between the two vectors."""
LEAST_SPOTS, LEAST_SHARE = 6, 0.7
"""Spots on the lattice, and their share of all, from which it is one."""
CHANCE = 1e-5
"""Probability from which spots at random may have made the lattice."""
CLIP = 4.0
"""Robust standard deviations beyond which a spot is left out."""


@dataclasses.dataclass(frozen=True)
class Net:
    """``vectors`` [2, 2] (rows g1, g2 in pixels, the shortest), ``origin`` (x, y) of one node, ``covariance`` [4, 4] of the vectors, row by row; ``indices``
    [n, 2] of the spots that are ``used`` [n], and their rms ``scatter`` in pixels."""

    vectors: np.ndarray
    origin: np.ndarray
    covariance: np.ndarray
    indices: np.ndarray
    used: np.ndarray
    scatter: float


def find_net(spots: Spots) -> Net | str:
    """The lattice of ``spots``, or why there is none."""
    count = len(spots.positions)
    if count < LEAST_SPOTS:
        return (
            f"{count} spots or disks stand out: too few for a lattice"
            if count
            else "no spots or separate disks stand out"
        )
    candidate = _best_pair(spots)
    if candidate is None:
        return "the spots lie on one line"
    vectors, origin = candidate
    used = np.zeros(count, bool)
    for _ in range(6):
        indices, distance = _nearest(spots.positions, vectors, origin)
        near = distance < TOLERANCE
        if near.sum() < LEAST_SPOTS or np.linalg.matrix_rank(indices[near] - indices[near][0]) < 2:
            return "no lattice goes through enough of the spots"
        scatter = 1.4826 * float(np.median(distance[near])) / math.sqrt(2.0 * math.log(2.0)) + 1e-6
        chosen = near & (distance < max(CLIP * scatter, 0.05))
        chosen = chosen if np.linalg.matrix_rank(indices[chosen] - indices[chosen][:1]) == 2 else near
        solution = np.linalg.lstsq(_design(indices[chosen]), spots.positions[chosen], rcond=None)[0]
        origin, vectors = solution[0], _reduced(solution[1:])
        if np.array_equal(chosen, used):
            break
        used = chosen
    indices, distance = _nearest(spots.positions, vectors, origin)
    on = distance < TOLERANCE
    chance = min(math.pi * TOLERANCE**2 / abs(float(np.linalg.det(vectors))), 1.0)
    by_chance = float(binom.sf(on.sum() - 4, max(count - 3, 1), chance)) * MAX_VECTORS**2
    if used.sum() < LEAST_SPOTS or on.mean() < LEAST_SHARE or by_chance > CHANCE:
        return f"of {count} spots {int(on.sum())} lie on the best lattice: no single crystal along a zone axis"
    design = _design(indices[used])
    residual = spots.positions[used] - design @ np.concatenate([origin[None], vectors])
    return Net(vectors, origin, _covariance(design, residual), indices, used, float(np.sqrt((residual**2).mean())))


def _best_pair(spots: Spots) -> tuple[np.ndarray, np.ndarray] | None:
    """The pair of vectors [2, 2] with the origin at which the spots are least likely to lie by chance."""
    positions = spots.positions[:USED]
    first = pairs(len(positions))
    differences = positions[first[:, 1]] - positions[first[:, 0]]
    differences = np.where(
        (differences[:, :1] < 0) | ((differences[:, :1] == 0) & (differences[:, 1:] < 0)), -differences, differences
    )
    differences = differences[np.hypot(*differences.T) > max(3.0, 1.5 * spots.radius)]
    if not len(differences):
        return None
    both = np.concatenate([differences, -differences])
    votes = np.array([(np.hypot(*(both - difference).T) < TOLERANCE).sum() for difference in differences])
    lengths = np.hypot(*differences.T)
    kept: list[np.ndarray] = []
    for index in np.lexsort((lengths, -votes)):
        difference = differences[index]
        if all(
            min(np.hypot(*(difference - other)), np.hypot(*(difference + other))) > 2.0 * TOLERANCE for other in kept
        ):
            kept.append(difference)
        if len(kept) == MAX_VECTORS:
            break
    best: tuple[float, np.ndarray] | None = None
    origin = spots.positions[0]
    for i, j in pairs(len(kept)):
        vectors = np.array([kept[i], kept[j]])
        area = abs(float(np.linalg.det(vectors)))
        if area < LEAST_ANGLE * float(np.prod(np.linalg.norm(vectors, axis=1))) or area < 3.0 * math.pi * TOLERANCE**2:
            continue
        _, distance = _nearest(spots.positions, vectors, origin)
        score = float((distance < TOLERANCE).sum()) * math.log(area / (math.pi * TOLERANCE**2))
        if best is None or score > best[0]:
            best = score, vectors
    return None if best is None else (_reduced(best[1]), origin)


def _nearest(positions: np.ndarray, vectors: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices [n, 2] of the nodes next to ``positions``, and the distances [n]."""
    indices = np.round((positions - origin) @ np.linalg.inv(vectors))
    return indices, np.hypot(*(positions - origin - indices @ vectors).T)


def _design(indices: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(indices), 1)), indices], axis=1)


def _reduced(vectors: np.ndarray) -> np.ndarray:
    """The shortest vectors of the same lattice (Lagrange's reduction), the shorter first."""
    first, second = sorted(np.asarray(vectors, float), key=lambda vector: float(vector @ vector))
    while True:
        second = second - round(float(second @ first) / float(first @ first)) * first
        if float(second @ second) >= float(first @ first) * (1.0 - 1e-9):
            return np.array([first, second])
        first, second = second, first


def _covariance(design: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Covariance [4, 4] of the vectors row by row (g1x, g1y, g2x, g2y), by the scatter of the spots about the lattice."""
    n = len(design)
    scores, informations = np.zeros((n, 6)), np.zeros((n, 6, 6))
    outer = design[:, :, None] * design[:, None, :]
    for side in range(2):
        scores[:, 3 * side : 3 * side + 3] = design * residual[:, side : side + 1]
        informations[:, 3 * side : 3 * side + 3, 3 * side : 3 * side + 3] = outer
    scale = max(float((residual**2).sum() / max(2 * n - 6, 1)), 1e-12)
    total, _ = covariance(scores / scale, informations / scale, np.zeros((6, 6)))
    order = [1, 4, 2, 5]  # parameters are (origin, g1, g2) along x, then along y
    return total[np.ix_(order, order)]
