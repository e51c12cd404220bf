"""Which image to take next: the one by which the quantity is known well enough with the fewest electrons in all.

Expected variances are those of a linear Gaussian update by the information of each image about the state (`learn.design`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky

from learn.design.exposure_design import Exposure
from scenarios.acquire.alignment import exposed
from twin.records import Scan

DEFOCI = (-90.0, -60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 90.0)
"""Candidate values of C10 (angstrom)."""
DWELLS = (1, 2, 4, 8)
"""Candidate dwell times, in units of the scan's."""
MOST_REPEATS = 64
"""Images that are planned ahead at most."""


class Candidate(NamedTuple):
    """An image: ``c10`` in angstrom and ``scan``."""

    c10: float
    scan: Scan


class Choice(NamedTuple):
    """The ``number`` of the candidate, the standard deviation ``expected`` after it, and how many ``images`` like it and ``electrons`` would reach the target
    (None: not within `MOST_REPEATS`)."""

    number: int
    expected: float
    images: int | None
    electrons: float


def candidates(scan: Scan) -> list[Candidate]:
    """All images that are weighed."""
    return [Candidate(c10, exposed(scan, dwells)) for c10 in DEFOCI for dwells in DWELLS]


def choose(covariance: np.ndarray, row: np.ndarray, asked: float, exposures: Sequence[Exposure]) -> Choice:
    """The candidate by whose repetition the standard deviation of ``row`` @ state is ``asked`` for the fewest electrons; where none reaches it, the one that
    lowers it most per electron."""
    now = float(row @ covariance @ row)
    made = [_repeated(covariance, row, asked, each) for each in exposures]
    reaching = [number for number, (count, _) in enumerate(made) if count is not None]
    if reaching:
        best = min(reaching, key=lambda number: _total(made[number][0], exposures[number]))
    else:
        best = max(
            range(len(made)),
            key=lambda number: np.log(now / max(made[number][1], 1e-300)) / exposures[number].electrons,
        )
    count, variance = made[best]
    return Choice(best, float(np.sqrt(variance)), count, _total(count or MOST_REPEATS, exposures[best]))


def _total(count: int | None, exposure: Exposure) -> float:
    return float(count or MOST_REPEATS) * exposure.electrons


def _repeated(covariance: np.ndarray, row: np.ndarray, asked: float, exposure: Exposure) -> tuple[int | None, float]:
    """How many images reach what is asked (None: not within `MOST_REPEATS`), and the variance after the first."""
    size = np.sqrt(np.maximum(np.diag(exposure.information), 1e-300))
    scaled = exposure.information / np.outer(size, size)
    root = cholesky(scaled + 1e-9 * np.eye(len(size)), lower=False) * size[None, :]
    seen = root @ exposure.jacobian
    across = seen @ covariance
    inner, cross = across @ seen.T, across @ row
    before, after = float(row @ covariance @ row), 0.0
    # n images are one with n times the information
    values, vectors = np.linalg.eigh(inner)
    parts = (vectors.T @ cross) ** 2
    for count in range(1, MOST_REPEATS + 1):
        variance = before - float(np.sum(parts * count / (1.0 + count * np.maximum(values, 0.0))))
        after = variance if count == 1 else after
        if variance <= asked**2:
            return count, after
    return None, after
