"""Pairs of atoms near each other in a periodic cell of any shape."""

import itertools

import numpy as np
from scipy.spatial import KDTree


def pairs(cell: np.ndarray, fractions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms i <= j and their distance, for every pair (images included) nearer than ``reach`` angstrom.

    ``cell`` [3, 3] vectors as rows, ``fractions`` [n, 3]. An atom and its own image count as i = j.
    """
    inside = fractions % 1.0
    spacing = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    ranges = [
        range(-int(np.ceil(reach / plane_spacing)), int(np.ceil(reach / plane_spacing)) + 1)
        for plane_spacing in spacing
    ]
    shifts = np.array(list(itertools.product(*ranges)), dtype=np.float64)
    # only images that can lie within reach of the cell
    spread = (inside[None] + shifts[:, None]).reshape(-1, 3)
    owner = np.tile(np.arange(len(inside)), len(shifts))
    margin = reach / spacing + 1e-9
    near = np.all((spread > -margin[None]) & (spread < 1.0 + margin[None]), axis=1)
    spread, owner = spread[near], owner[near]
    home, images = KDTree(inside @ cell), KDTree(spread @ cell)
    matrix = home.sparse_distance_matrix(images, reach, output_type="ndarray")
    i, j, distance = matrix["i"].astype(int), owner[matrix["j"].astype(int)], matrix["v"]
    keep = (i <= j) & ~((i == j) & (distance < 1e-9))
    return i[keep], j[keep], distance[keep]


def shortest(cell: np.ndarray, fractions: np.ndarray, occupancies: np.ndarray) -> tuple[float, int, int]:
    """The shortest distance in angstrom between atoms that can be there together, and which two: pairs whose occupancies sum to 1 or less may be
    alternatives of each other and are passed over."""
    reach = 3.0
    while reach < 200.0:
        i, j, distance = pairs(cell, fractions, reach)
        together = occupancies[i] + occupancies[j] > 1.0 + 1e-6
        if together.any():
            best = int(np.argmin(np.where(together, distance, np.inf)))
            return float(distance[best]), int(i[best]), int(j[best])
        separate = distance > 0.5
        if separate.any() and reach > 12.0:  # no two atoms certainly coexist: take those at different positions
            best = int(np.argmin(np.where(separate, distance, np.inf)))
            return float(distance[best]), int(i[best]), int(j[best])
        reach *= 2.0
    return float("inf"), 0, 0
