"""The posterior about its maxima by adaptive importance sampling, as a few Gaussians.

Near focus an image is quadratic in defocus and astigmatism, and Laplace's approximation of a maximum fails; it serves as a proposal only (population Monte
Carlo: Cappe et al., Stat. Comput. 18, 447, 2008). Draws of all rounds count, each weighed by the mixture of all proposals (adaptive multiple importance
sampling: Cornuet et al., Scand. J. Stat. 39, 798, 2012): those of one round leave odds of readings uncertain by a factor of two.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, logsumexp

DRAWS, ROUNDS = 1536, 3
T_FREEDOM = 6.0
PROPOSAL_WIDENING = 1.1
MIN_PROPOSAL_SHARE = 0.5
"""No maximum is drawn from less often, so that its weight is known."""
MIN_WEIGHT = 1e-6
"""Components of less weight are left out."""


@dataclasses.dataclass(frozen=True)
class PosteriorSample:
    """``weights`` [k], ``means`` [k, p] and ``covariances`` [k, p, p] of the components; ``effective`` sample size; ``draws`` [n, p] of weights ``shares``."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    effective: float
    draws: np.ndarray
    shares: np.ndarray


def importance_sample(
    cost: Callable[[np.ndarray], np.ndarray],
    positions: np.ndarray,
    covariances: np.ndarray,
    logs: np.ndarray,
    generator: np.random.Generator,
) -> PosteriorSample:
    """From Laplace's approximations at ``positions`` [k, p] with logarithms of evidence ``logs`` [k]; ``cost`` is minus the log posterior [n] at [n, p]."""
    k, p = positions.shape
    means, spreads = positions.copy(), covariances.copy()
    weights = np.exp(logs - logsumexp(logs))
    draws, costs, proposals = np.zeros((0, p)), np.zeros(0), []
    shares, responsibilities = np.zeros(0), np.zeros((0, k))
    effective = 0.0
    for _ in range(ROUNDS):
        proposal = np.maximum(weights, MIN_PROPOSAL_SHARE / k)
        count = np.maximum(np.round(DRAWS * proposal / proposal.sum()).astype(int), 64)
        roots = [np.linalg.cholesky(_regularised(PROPOSAL_WIDENING**2 * covariance)) for covariance in spreads]
        proposals.append((count, means, roots))
        new = [_draw_student(means[part], roots[part], int(count[part]), generator) for part in range(k)]
        draws = np.concatenate([draws, *new])
        costs = np.concatenate([costs, *(cost(part) for part in new)])
        density = np.logaddexp.reduce([_log_densities(draws, *of) for of in proposals], axis=0) - np.log(len(draws))
        total = np.logaddexp.reduce(density, axis=0)
        log_weights = -costs - total
        log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
        importance = np.exp(log_weights - logsumexp(log_weights))
        # truncated, as a lucky draw in a thin tail must not be the answer (Ionides, J. Comput. Graph. Stat. 17, 295, 2008)
        importance = np.minimum(importance, 1.0 / np.sqrt(len(draws)))
        shares = importance / importance.sum()
        effective = float(1.0 / (shares**2).sum())
        responsibilities = np.exp(density - total).T * shares[:, None]
        weights = responsibilities.sum(axis=0)
        new_means, new_spreads = means.copy(), spreads.copy()
        for component in range(k):
            responsibility = responsibilities[:, component] / max(weights[component], 1e-300)
            size = 1.0 / max(float((responsibility**2).sum()), 1e-300)
            shrink = p / (size + p)
            mean = responsibility @ draws
            deviation = (draws - mean) * np.sqrt(responsibility)[:, None]
            new_means[component] = shrink * means[component] + (1.0 - shrink) * mean
            new_spreads[component] = _regularised(
                (1.0 - shrink) * (deviation.T @ deviation) + shrink * spreads[component]
            )
        means, spreads = new_means, new_spreads
    heavy = np.flatnonzero(weights > MIN_WEIGHT * weights.max())
    weights = weights[heavy] / weights[heavy].sum()
    return PosteriorSample(weights, means[heavy], spreads[heavy], effective, draws, shares)


def _draw_student(
    mean: np.ndarray, root: np.ndarray, count: int, generator: np.random.Generator
) -> Float[np.ndarray, "count p"]:
    tails = np.sqrt(T_FREEDOM / generator.chisquare(T_FREEDOM, count))
    return mean + (generator.standard_normal((count, len(mean))) * tails[:, None]) @ root.T


def _log_densities(
    draws: np.ndarray, count: np.ndarray, means: np.ndarray, roots: list[np.ndarray]
) -> Float[np.ndarray, "k n"]:
    """Logarithm of the ``count`` of each component times its density at all draws."""
    return np.stack(
        [np.log(n) + _log_student(draws - mean, root) for n, mean, root in zip(count, means, roots, strict=True)]
    )


def _regularised(covariance: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    return (vectors * np.maximum(values, 1e-8)) @ vectors.T * np.outer(scale, scale)


def _log_student(deviation: np.ndarray, cov_sqrt: np.ndarray) -> np.ndarray:
    """Logarithm of a multivariate t density [n]."""
    p = deviation.shape[1]
    square = (np.linalg.solve(cov_sqrt, deviation.T) ** 2).sum(axis=0)
    constant = gammaln(0.5 * (T_FREEDOM + p)) - gammaln(0.5 * T_FREEDOM) - 0.5 * p * np.log(T_FREEDOM * np.pi)
    return constant - np.log(np.diag(cov_sqrt)).sum() - 0.5 * (T_FREEDOM + p) * np.log1p(square / T_FREEDOM)
