"""A crystal of known structure seen along its zone axis: the two periods of its projection and the columns within them.

A lattice vector n = (n1, n2) stands at n1 a + n2 b; a reflection h = (h1, h2) has the spatial frequency g with g . a = h1 and g . b = h2.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np

TOLERANCE = 1e-6
"""Shares of a period, and weights relative to the heaviest, that differ by less are the same (places to a thousand times as much)."""
CONTRAST_EXPONENT = 1.7
"""Exponent of the atomic number in what a column is worth in a high-angle dark-field image (Pennycook & Jesson, Ultramicroscopy 37, 14, 1991)."""


@dataclasses.dataclass(frozen=True)
class Projection:
    """Periods ``a`` and ``b`` (x, y) in angstrom; ``columns`` [n, 2] as shares of a and b and ``weights`` [n] of their signals.

    Weights only say which reflections are to be expected, and how strong: ValueError for periods that span no area or weights that are not above 0.
    """

    a: tuple[float, float]
    b: tuple[float, float]
    columns: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    weights: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        lengths = np.linalg.norm(self.vectors, axis=0)
        if not np.isfinite(lengths).all() or abs(np.linalg.det(self.vectors)) < 0.05 * max(lengths.prod(), 1e-9):
            raise ValueError(f"periods {self.a} and {self.b} angstrom span no area; give two that are not parallel")
        if len(self.columns) != len(self.weights) or not self.weights:
            raise ValueError(f"{len(self.columns)} columns with {len(self.weights)} weights; give one weight each")
        if not (np.isfinite(self.columns).all() and np.isfinite(self.weights).all() and min(self.weights) > 0.0):
            raise ValueError("columns and weights must be finite and weights above 0; leave columns of no signal out")

    @property
    def vectors(self) -> np.ndarray:
        """[2, 2]: a and b as its columns."""
        return np.array([self.a, self.b], float).T

    def amplitudes(self, reflections: np.ndarray) -> np.ndarray:
        """Expected amplitudes [m] of ``reflections`` [m, 2], 1 where all columns are in phase."""
        waves = np.exp(-2j * np.pi * reflections @ np.array(self.columns).T)
        return np.abs(waves @ np.array(self.weights)) / np.sum(self.weights)

    def primitive(self) -> "Projection":
        """The same crystal by its shortest periods: the translations of a centred cell become periods."""
        positions, weights = np.array(self.columns) % 1.0, np.array(self.weights)
        translations = [
            translation
            for translation in _candidates(positions, weights)
            if _is_translation(positions, weights, translation)
        ]
        shifts = np.array([(i, j) for i in range(-2, 3) for j in range(-2, 3)])
        candidates = (np.array(translations)[:, None] + shifts[None]).reshape(-1, 2) @ self.vectors.T
        candidates = candidates[np.linalg.norm(candidates, axis=1) > 1e-6]
        # among equals the one nearest to a, then the one that makes a right-handed pair
        towards = np.array(self.a) / np.hypot(*self.a)
        order = np.lexsort((-np.round(candidates @ towards, 6), np.round(np.linalg.norm(candidates, axis=1), 6)))
        area = abs(np.linalg.det(self.vectors)) / len(translations)
        first = candidates[order[0]]
        cross = candidates[order][:, 1] * first[0] - candidates[order][:, 0] * first[1]
        second = candidates[order][np.flatnonzero(np.abs(cross - area) < 1e-4 * area)[0]]
        change = np.linalg.solve(np.array([first, second]).T, self.vectors)
        wrapped, distinct = (positions @ change.T) % 1.0, []
        for index in range(len(wrapped)):
            if not any(_equal_positions(wrapped[index], wrapped[other]) for other in distinct):
                distinct.append(index)
        return Projection(
            (float(first[0]), float(first[1])),
            (float(second[0]), float(second[1])),
            tuple((float(x), float(y)) for x, y in wrapped[distinct]),
            tuple(float(weights[index]) for index in distinct),
        )

    def fold(self) -> int:
        """2, 4 or 6: turning the crystal by so many parts of a turn leaves the amplitudes of its reflections as they are."""
        reflections = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4)], float)
        for fold in (6, 4):
            angle = 2.0 * np.pi / fold
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            moved = reflections @ (np.linalg.inv(self.vectors) @ turn @ self.vectors)
            whole = np.abs(moved - np.round(moved)).max() < 1e-3
            if whole and np.allclose(self.amplitudes(np.round(moved)), self.amplitudes(reflections), atol=1e-3):
                return fold
        return 2

    def has_mirror(self) -> bool:
        """Whether a mirror line leaves the amplitudes of all reflections as they are: the crystal seen from behind is then the crystal, turned."""
        reflections = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4)], float)
        inverse = np.linalg.inv(self.vectors)
        for entries in itertools.product((-1.0, 0.0, 1.0), repeat=4):
            change = np.array(entries).reshape(2, 2)
            if round(float(np.linalg.det(change))) != -1:
                continue
            isometry = self.vectors @ change @ inverse
            if np.abs(isometry.T @ isometry - np.eye(2)).max() < 1e-3 and np.allclose(
                self.amplitudes(reflections @ change), self.amplitudes(reflections), atol=1e-3
            ):
                return True
        return False


def project(atoms: Any, tolerance: float = 0.05) -> Projection:
    """The projection along c of a unit cell (ASE's Atoms, or anything with ``cell``, ``numbers`` and scaled positions); columns are worth Z^1.7 times
    the occupancy where atoms have such an array.

    c must be along z and a, b across it. Atoms within ``tolerance`` angstrom of one another across the beam are one column.
    """
    cell = np.asarray(atoms.cell.array, float)
    if np.abs(cell[:2, 2]).max() > 1e-3 or np.abs(cell[2, :2]).max() > 1e-3:
        raise ValueError(f"the cell {cell.round(3).tolist()} has no c along the beam; orient it with c along z")
    across = cell[:2, :2]
    places = np.asarray(atoms.get_scaled_positions()[:, :2], float)
    shares = getattr(atoms, "arrays", {}).get("occupancy", np.ones(len(atoms.numbers)))
    first: list[int] = []
    weights: list[float] = []
    for index, (number, share) in enumerate(zip(atoms.numbers, shares, strict=True)):
        distances = np.linalg.norm(((places[index] - places[first] + 0.5) % 1.0 - 0.5) @ across, axis=1)
        if len(first) and distances.min() < tolerance:
            weights[int(np.argmin(distances))] += float(share) * float(number) ** CONTRAST_EXPONENT
        else:
            first.append(index)
            weights.append(float(share) * float(number) ** CONTRAST_EXPONENT)
    positions = places[first]
    return Projection(
        (float(across[0, 0]), float(across[0, 1])),
        (float(across[1, 0]), float(across[1, 1])),
        tuple((float(x), float(y)) for x, y in positions),
        tuple(weights),
    )


def _equal_positions(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.abs((first - second + 0.5) % 1.0 - 0.5).max() < 1e3 * TOLERANCE)


def _candidates(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Translations that may give the same crystal: between columns of the weight that fewest have."""
    alike = np.abs(weights[:, None] - weights[None]) < 1e3 * TOLERANCE * weights.max()
    same = np.flatnonzero(alike[int(np.argmin(alike.sum(axis=1)))])
    return positions[same] - positions[same[0]]


def _is_translation(positions: np.ndarray, weights: np.ndarray, translation: np.ndarray) -> bool:
    """Whether moving every column by ``translation`` gives the same crystal."""
    for position, weight in zip(positions, weights, strict=True):
        apart = np.abs((position + translation - positions + 0.5) % 1.0 - 0.5).max(axis=1)
        if not ((apart < 1e3 * TOLERANCE) & (np.abs(weight - weights) < 1e3 * TOLERANCE * weights.max())).any():
            return False
    return True
