"""Series of exposures out of candidates whose information is known: one by one by loss reduction per electron, then exchanged while that helps.

Quantities are Gaussian and exposures independent, so that informations add. A-optimal: trace of weights times covariance; D-optimal: log determinant of the
covariance. Chaloner & Verdinelli, Stat. Sci. 10, 273 (1995); exchanges after Fedorov, Theory of Optimal Experiments (1972).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Criterion = Literal["A", "D"]
MIN_IMPROVEMENT = 1e-6
"""Relative fall of the loss below which exchanges end."""


def loss(covariance: np.ndarray, weights: np.ndarray, criterion: Criterion = "A") -> float:
    """Loss of a covariance [n, n]: trace(``weights`` covariance), or its log determinant."""
    if criterion == "A":
        return float(np.trace(weights @ covariance))
    scale = np.sqrt(np.diag(covariance))
    return float(np.linalg.slogdet(covariance / np.outer(scale, scale))[1] + 2.0 * np.log(scale).sum())


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse [n, n] of a symmetric positive definite matrix whose entries differ by many orders of magnitude."""
    scale = 1.0 / np.sqrt(np.diag(matrix))
    inverted = np.linalg.inv(matrix * np.outer(scale, scale)) * np.outer(scale, scale)
    return 0.5 * (inverted + inverted.T)


def gains(
    informations: Sequence[np.ndarray], electrons: np.ndarray, covariance: np.ndarray, weights: np.ndarray, criterion: Criterion
) -> np.ndarray:  # fmt: skip
    """Loss reduction per electron [k] of each candidate alone."""
    before, precision = loss(covariance, weights, criterion), inverse(covariance)
    after = [loss(inverse(precision + information), weights, criterion) for information in informations]
    return (before - np.array(after)) / electrons


def best_series(
    informations: Sequence[np.ndarray], electrons: np.ndarray, covariance: np.ndarray, weights: np.ndarray, criterion: Criterion, count: int,
    budget: float,
) -> list[int]:  # fmt: skip
    """Indices of at most ``count`` exposures for at most ``budget`` electrons; a candidate may be repeated. An exchange spends no more than ``budget``."""
    chosen: list[int] = []
    now = covariance
    while len(chosen) < count:
        fits = electrons[chosen].sum() + electrons <= budget * (1.0 + 1e-9)
        gain = np.where(fits, gains(informations, electrons, now, weights, criterion), -np.inf)
        best = int(np.argmax(gain))
        if not gain[best] > 0.0:
            break
        chosen.append(best)
        now = inverse(inverse(now) + informations[best])
    return _exchanged(chosen, informations, electrons, inverse(covariance), weights, criterion, budget)


def _exchanged(
    chosen: list[int], informations: Sequence[np.ndarray], electrons: np.ndarray, precision: np.ndarray, weights: np.ndarray, criterion: Criterion,
    budget: float,
) -> list[int]:  # fmt: skip
    """``chosen`` with single exposures exchanged while that lowers the loss."""

    def expected_loss(indices: list[int]) -> float:
        if electrons[indices].sum() > budget * (1.0 + 1e-9):
            return np.inf
        return loss(inverse(precision + np.sum([informations[i] for i in indices], axis=0)), weights, criterion)

    if not chosen:
        return chosen
    best, before = expected_loss(chosen), np.inf
    while best < before - MIN_IMPROVEMENT * abs(best):
        before = best
        for position in range(len(chosen)):
            tried = [[*chosen[:position], other, *chosen[position + 1 :]] for other in range(len(informations))]
            losses = [expected_loss(indices) for indices in tried]
            if min(losses) < best:
                chosen, best = tried[int(np.argmin(losses))], min(losses)
    return chosen
