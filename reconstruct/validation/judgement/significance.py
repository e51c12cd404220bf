"""How significant it is that a claim lies off the evidence, where the evidence is a mixture of Gaussians.

Components about one value are one reading whose error has tails; components apart are readings that the evidence cannot tell from one another. A claim is
held against each reading, and agrees with the evidence if it agrees with one.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from reconstruct.validation.evidence import Evidence
from reconstruct.validation.judgement.likelihood import Values, derived, residual

NEAR = 3.0
"""Components whose means differ by less than so many of the larger standard deviation are one reading."""
RARE = 0.05
"""Weight of a reading below which agreement with it counts in proportion."""


def readings(means: np.ndarray, stds: np.ndarray) -> list[np.ndarray]:
    """Indices of the components [k] of each reading."""
    groups: list[list[int]] = []
    for index in np.argsort(-stds):
        for group in groups:
            if any(abs(means[index] - means[other]) < NEAR * max(stds[index], stds[other]) for other in group):
                group.append(int(index))
                break
        else:
            groups.append([int(index)])
    return [np.array(group) for group in groups]


def log_significance(
    offsets: np.ndarray, stds: np.ndarray, weights: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    """Logarithm of the two-sided p-value [...] of ``offsets`` [..., k] of each component's mean from the claim, with ``stds`` and ``weights`` [k]."""
    best = np.full(offsets.shape[:-1], -np.inf)
    for group in groups:
        share = weights[group].sum()
        tails = math.log(2.0) + log_ndtr(-np.abs(offsets[..., group]) / stds[group]) + np.log(weights[group] / share)
        highest = tails.max(axis=-1)
        total = highest + np.log(np.exp(tails - highest[..., None]).sum(axis=-1))
        best = np.maximum(best, np.minimum(total, 0.0) + min(math.log(share / RARE), 0.0))
    return np.asarray(best)


def deviation(log_p: np.ndarray) -> np.ndarray:
    """The standard deviations of a Gaussian that a two-sided p-value stands for, from its logarithm."""
    return np.asarray(-ndtri_exp(np.minimum(log_p, -1e-300) - math.log(2.0)))


def statement_mixture(item: Evidence, number: int, values: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of the components from what ``values`` make of a statement (tolerance taken off), their standard deviations and weights, [k] each; empty where
    a field is missing."""
    full = derived(values)
    tolerance = item.tolerance[number] if item.tolerance else 0.0
    statement = item.statements[number]
    offsets = np.array([residual(statement, float(part.mean[number]), full, tolerance) for part in item.components])
    if not np.isfinite(offsets).all():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    stds = np.array([math.sqrt(part.covariance[number, number]) for part in item.components])
    return offsets, stds, np.array([part.weight for part in item.components])
