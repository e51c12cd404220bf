"""The posterior about its maxima by adaptive importance sampling, as a few Gaussians.

Near focus an image is quadratic in defocus and astigmatism, and Laplace's approximation of a maximum fails; it serves as a proposal only (population Monte
Carlo: Cappe et al., Stat. Comput. 18, 447, 2008).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, logsumexp

DRAWS, ROUNDS = 1536, 4
DEGREES = 6.0
WIDER = 1.1
LEAST_SHARE = 0.1
"""No maximum is drawn from less often, so that its weight is known."""
LIGHT = 1e-3
"""Components of less weight are left out."""


@dataclasses.dataclass(frozen=True)
class Sampled:
    """``weights`` [k], ``means`` [k, p] and ``covariances`` [k, p, p] of the components; ``effective`` sample size; ``draws`` [n, p] of weights ``shares``."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    effective: float
    draws: np.ndarray
    shares: np.ndarray


def sampled(
    cost: Callable[[np.ndarray], np.ndarray],
    places: np.ndarray,
    covariances: np.ndarray,
    logs: np.ndarray,
    generator: np.random.Generator,
) -> Sampled:
    """From Laplace's approximations at ``places`` [k, p] with logarithms of evidence ``logs`` [k]; ``cost`` is minus the log posterior [n] at [n, p]."""
    k, p = places.shape
    means, spreads = places.copy(), covariances.copy()
    weights = np.exp(logs - logsumexp(logs))
    draws, shares, owners = np.zeros((0, p)), np.zeros(0), np.zeros((0, k))
    effective = 0.0
    for _ in range(ROUNDS):
        proposal = np.maximum(weights, LEAST_SHARE / k)
        proposal = proposal / proposal.sum()
        roots = np.array([np.linalg.cholesky(_sound(WIDER**2 * one)) for one in spreads])
        count = np.maximum(np.round(DRAWS * proposal).astype(int), 64)
        parts = []
        for one in range(k):
            tails = np.sqrt(DEGREES / generator.chisquare(DEGREES, count[one]))
            parts.append(means[one] + (generator.standard_normal((count[one], p)) * tails[:, None]) @ roots[one].T)
        draws = np.concatenate(parts)
        density = np.stack(
            [np.log(count[one] / count.sum()) + _student(draws - means[one], roots[one]) for one in range(k)]
        )
        total = logsumexp(density, axis=0)
        logs_ = -cost(draws) - total
        logs_ = np.where(np.isfinite(logs_), logs_, -np.inf)
        importance = np.exp(logs_ - logsumexp(logs_))
        # truncated, as a lucky draw in a thin tail must not be the answer (Ionides, J. Comput. Graph. Stat. 17, 295, 2008)
        importance = np.minimum(importance, 1.0 / np.sqrt(len(draws)))
        shares = importance / importance.sum()
        effective = float(1.0 / (shares**2).sum())
        owners = np.exp(density - total).T * shares[:, None]
        weights = owners.sum(axis=0)
        fresh_means, fresh = means.copy(), spreads.copy()
        for one in range(k):
            own = owners[:, one] / max(weights[one], 1e-300)
            size = 1.0 / max(float((own**2).sum()), 1e-300)
            shrink = p / (size + p)
            mean = own @ draws
            apart = (draws - mean) * np.sqrt(own)[:, None]
            fresh_means[one] = shrink * means[one] + (1.0 - shrink) * mean
            fresh[one] = _sound((1.0 - shrink) * (apart.T @ apart) + shrink * spreads[one])
        means, spreads = fresh_means, fresh
    kept = np.flatnonzero(weights > LIGHT * weights.max())
    weights = weights[kept] / weights[kept].sum()
    return Sampled(weights, means[kept], spreads[kept], effective, draws, shares)


def _sound(covariance: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    return (vectors * np.maximum(values, 1e-8)) @ vectors.T * np.outer(scale, scale)


def _student(away: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Logarithm of a multivariate t density [n]."""
    p = away.shape[1]
    square = (np.linalg.solve(root, away.T) ** 2).sum(axis=0)
    constant = gammaln(0.5 * (DEGREES + p)) - gammaln(0.5 * DEGREES) - 0.5 * p * np.log(DEGREES * np.pi)
    return constant - np.log(np.diag(root)).sum() - 0.5 * (DEGREES + p) * np.log1p(square / DEGREES)
