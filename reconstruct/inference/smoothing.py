"""Smoothing of a series of beliefs: what later ones know of the state at an earlier time.

Backwards recursion of Rauch, Tung & Striebel (AIAA J. 3, 1445, 1965) for each component of a mixture. A component's weight becomes its expected
share of the predicted density under the smoothed belief that follows, which is exact where that belief is Gaussian; the mixture is then passed on as
one Gaussian with its moments (Kim, J. Econom. 60, 1, 1994). What was learnt between two beliefs counts as learnt at the time of the later one.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import logsumexp

from reconstruct.inference.belief import Belief, cov_sqrt_of
from twin.dynamics import Dynamics

DRAWS = 1000
"""Draws from the later belief with which the weights of the earlier one's components are found."""


def smoothed(
    dynamics: Dynamics, beliefs: Sequence[Belief], jumps: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Belief]:
    """``beliefs`` of rising times, each with what all later ones know; ``jumps`` [len - 1] are the mean [n] and standard deviation [n] of what
    commands added to the state between one and the next. ValueError for a belief with circular uniform entries, or if times fall.
    """
    if any(belief.circular_uniform for belief in beliefs):
        raise ValueError("a belief with circular uniform entries is not Gaussian and cannot be smoothed; leave it out")
    if len(jumps) != max(len(beliefs) - 1, 0):
        raise ValueError(f"{len(beliefs)} beliefs have {max(len(beliefs) - 1, 0)} intervals, not {len(jumps)}")
    out = list(beliefs[-1:])
    for belief, later, jump in zip(reversed(beliefs[:-1]), reversed(beliefs[1:]), reversed(jumps), strict=True):
        out.append(_smoothed_once(dynamics, belief, out[-1], (later.time - belief.time) * 1e-9, jump))
    return out[::-1]


def _smoothed_once(
    dynamics: Dynamics, belief: Belief, later: Belief, interval: float, jump: tuple[np.ndarray, np.ndarray]
) -> Belief:
    """The belief, given the smoothed one ``interval`` seconds later."""
    transition, root = dynamics.discretise(interval)
    noise = root @ root.T + np.diag(jump[1] ** 2)
    shift = dynamics.shift(interval) + jump[0]
    scale = np.sqrt(np.diag(belief.covariance))  # entries span many decades
    mean, covariance = later.mean, later.covariance
    draws = later.sample(DRAWS, np.random.default_rng(0))
    means, cov_sqrt, log_density = [], [], []
    for weight, centre, factor in zip(belief.weights, belief.means, belief.cov_sqrt, strict=True):
        own = factor @ factor.T
        predicted = transition @ own @ transition.T + noise
        expected = transition @ centre + shift
        unit = predicted / scale[:, None] / scale[None, :]
        cholesky = cho_factor(unit, lower=True)
        gain = (cho_solve(cholesky, (transition @ own) / scale[:, None]) / scale[:, None]).T
        means.append(centre + gain @ (mean - expected))
        cov_sqrt.append(cov_sqrt_of(own + gain @ (covariance - predicted) @ gain.T))
        away = solve_triangular(cholesky[0], ((draws - expected) / scale).T, lower=True)
        log_density.append(np.log(weight) - 0.5 * (away**2).sum(axis=0) - np.log(np.diag(cholesky[0])).sum())
    log_density = np.array(log_density)
    weights = np.exp(log_density - logsumexp(log_density, axis=0)).mean(axis=1)
    return dataclasses.replace(
        belief, weights=weights / weights.sum(), means=np.stack(means), cov_sqrt=np.stack(cov_sqrt)
    )
