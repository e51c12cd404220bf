"""Path of a probe with scan distortion, estimated from short pieces of lines: a Gaussian process whose trend is a linear map.

Displacements u(t) in pixels along x and y are the sum of two Ornstein-Uhlenbeck processes, a quick one (vibration) and a slow one (wandering drift,
between a small share of a frame and a random walk), and noise of every piece on its own (jitter quicker than a piece). Their sizes are learnt, and
the answer averaged over what one frame leaves open of them. Beside them what all lines share: a random walk across the line (its scan coils), and hum at
the mains' frequency if lines begin at the same phase of it; and the slow scan's settling at the start of a frame. The trend is D p for pixel p.

The posterior given the sizes is that of `path_posterior`.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import gammaincinv, ndtr, ndtri
from scipy.stats import qmc

from reconstruct.measurement.lattice.path_posterior import Border, PathPosterior, Pieces, make_border, path_posterior

LOG_SIZE_SPREADS = np.array([1.5, 1.5, 1.5, 1.2, 1.5, 1.2])
"""Prior spread of the logarithms of the sizes of a `Path`: each is known to within a factor of five or so."""
HUM_RMS = 0.05
"""Prior rms of the hum that lines share, and of what the start of a frame is off, in periods of the lattice."""
TOLERANCE = 0.02
"""Change of the logarithm of the posterior from which sizes are no longer improved: the draws about them reach far beyond it."""
DRAWS = 32
"""Draws of an axis's sizes about their mode, and as many again from what the first ones say, that the answer is averaged over."""
WIDER, LARGEST_WEIGHT = 0.05, 0.125
"""Of the second proposal: the share of the first one's covariance that is added, and the largest weight of a single draw in it."""
T_FREEDOM = 5
"""Degrees of freedom of the t distribution that they come from, whose tails cover those of their posterior."""


class Path(NamedTuple):
    """The fit: ``trend`` D [2, 2] and covariance [4, 4] of (D_xx, D_yx, D_xy, D_yy); ``displacement`` [n, 2] of every piece, trend included; the
    logarithms of ``sizes`` [2, 6] (see `prior_medians`)."""

    trend: np.ndarray
    covariance: np.ndarray
    displacement: np.ndarray
    sizes: np.ndarray


def prior_medians(period: float, frame: float) -> np.ndarray:
    """Prior medians [2, 6] per axis: logarithms of the noise of a piece, the slow part's step a line, the rms of the quick part (pixels), its time
    (lines), the step across the line (pixels) and the slow part's memory (lines); for a lattice of ``period`` pixels and a ``frame`` of lines."""
    medians = [0.004 * period, 0.004 * period, 0.01 * period, 2.0, 0.002 * period, 0.3 * frame]
    return np.log(np.tile([medians], (2, 1)))


class _Sizes(NamedTuple):
    """The posterior of the logarithms of sizes [2, 6]: likelihood of ``pieces``, their ``border``, and the prior's ``medians`` [2, 6]."""

    pieces: Pieces
    border: Border
    medians: np.ndarray

    def posterior(self, sizes: np.ndarray) -> tuple[float, PathPosterior]:
        """The logarithm of the posterior of ``sizes`` [2, 6], and what follows from them."""
        solved = path_posterior(self.pieces, self.border, sizes)
        return solved.evidence - 0.5 * float((((sizes - self.medians) / LOG_SIZE_SPREADS) ** 2).sum()), solved

    def cost(self, sizes: np.ndarray) -> float:
        """Minus the logarithm of the posterior."""
        return -self.posterior(sizes)[0]

    def path(self, sizes: np.ndarray) -> Path:
        """The path with these ``sizes``."""
        solved = path_posterior(self.pieces, self.border, sizes)
        return Path(solved.trend, solved.covariance, solved.displacement(sizes), sizes)


def _sizes(pieces: Pieces, period: float) -> _Sizes:
    border = make_border(pieces, HUM_RMS * period)
    return _Sizes(pieces, border, prior_medians(period, float(pieces.times[-1])))


def initial_path(pieces: Pieces, period: float) -> Path:
    """The path with sizes learnt as if they were the same along x and y, quickly: a start for `fit_path`."""
    problem = _sizes(pieces, period)
    medians = problem.medians[0]
    return problem.path(
        np.tile(_minimise(lambda flat: problem.cost(np.tile(flat, (2, 1))), medians, medians, 15), (2, 1))
    )


def fit_path(pieces: Pieces, period: float, begin: np.ndarray, spread: bool = False) -> Path:
    """The path given the sizes ``begin``, or, if ``spread``, with sizes learnt from there and what they leave open in the covariance of the trend."""
    problem = _sizes(pieces, period)
    if not spread:
        return problem.path(begin)
    medians = problem.medians.ravel()
    sizes = _minimise(lambda flat: problem.cost(flat.reshape(2, 6)), begin.ravel(), medians, 30).reshape(2, 6)
    path = problem.path(sizes)
    trend, covariance = path.trend.T.ravel(), path.covariance.copy()
    for axis in range(2):
        entries = [axis, axis + 2]
        weights, trends, covariances = _draws(problem, sizes, axis)
        trend[entries] = weights @ trends[:, entries]
        deviations = trends[:, entries] - trend[entries]
        wider = np.einsum("s,sij->ij", weights, covariances[:, entries][:, :, entries]) + np.einsum(
            "s,si,sj->ij", weights, deviations, deviations
        )
        variances = np.diagonal(covariances, axis1=1, axis2=2)[:, entries]
        spans = [_interval_std(weights, deviations[:, k], variances[:, k]) for k in range(2)]
        covariance[np.ix_(entries, entries)] = (
            wider * np.outer(spans, spans) / np.sqrt(np.outer(np.diag(wider), np.diag(wider)))
        )
    ratio = np.sqrt(np.diag(covariance) / np.diag(path.covariance))
    for i, j in ((0, 1), (0, 3), (2, 1), (2, 3)):
        covariance[i, j] = covariance[j, i] = path.covariance[i, j] * ratio[i] * ratio[j]
    if np.linalg.eigvalsh(covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))).min() < 1e-6:
        covariance[np.ix_([0, 2], [1, 3])] = covariance[np.ix_([1, 3], [0, 2])] = 0.0
    return path._replace(trend=trend.reshape(2, 2).T, covariance=covariance)


def _interval_std(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> float:
    """Standard deviation of the Gaussian whose central 90 % interval is as wide as that of a mixture: of long tails the rms would be too wide."""
    std = np.sqrt(variances)
    ends = float((means - 9.0 * std).min()), float((means + 9.0 * std).max())

    def quantile(level: float) -> float:
        return float(np.asarray(brentq(lambda at: float(weights @ ndtr((at - means) / std)) - level, *ends)))

    return (quantile(0.95) - quantile(0.05)) / (2.0 * float(ndtri(0.95)))


def _minimise(
    cost: Callable[[np.ndarray], float], begin: np.ndarray, prior: np.ndarray, max_iterations: int
) -> np.ndarray:
    spreads = np.tile(LOG_SIZE_SPREADS, len(prior) // 6)
    limits = list(zip(prior - 4.0 * spreads, prior + 4.0 * spreads, strict=True))
    # scipy's tolerance is a share of the cost
    options = {"maxiter": max_iterations, "ftol": TOLERANCE / max(abs(cost(begin)), 1.0)}
    return minimize(cost, begin, method="L-BFGS-B", bounds=limits, options=options).x


def _draws(problem: _Sizes, sizes: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Importance-weighted draws of one axis's sizes: weights [s], trends [s, 4], covariances [s, 4, 4].

    The first half is drawn about the mode, the second with mean and covariance of the first; all are weighted against the mixture of both (Cornuet et al.,
    Scand. J. Stat. 39, 798, 2012).
    """

    def shifted(step: np.ndarray) -> np.ndarray:
        return sizes + step * (np.arange(2) == axis)[:, None]

    unit = _t_draws(axis)
    centres, roots = [np.zeros(6)], [_mode_root(lambda step: problem.cost(shifted(step)))]
    steps, logs, solved = np.empty((0, 6)), np.empty(0), []
    for turn in range(2):
        new = centres[turn] + unit[turn * DRAWS : (turn + 1) * DRAWS] @ roots[turn].T
        results = [problem.posterior(shifted(step)) for step in new]
        steps, logs = np.concatenate([steps, new]), np.concatenate([logs, [log for log, _ in results]])
        solved += [posterior for _, posterior in results]
        densities = [_t_log_density(steps, centre, root) for centre, root in zip(centres, roots, strict=True)]
        relative = logs - np.logaddexp.reduce(densities, axis=0)
        weights = np.exp(relative - relative.max())
        if turn == 0:
            limited = np.minimum(weights, LARGEST_WEIGHT * weights.sum())
            limited /= limited.sum()
            centre = limited @ steps
            spread = (steps - centre).T @ ((steps - centre) * limited[:, None])
            centres.append(centre)
            roots.append(np.linalg.cholesky(spread + WIDER * roots[0] @ roots[0].T))
    trends = np.array([posterior.trend.T.ravel() for posterior in solved])
    return weights / weights.sum(), trends, np.array([posterior.covariance for posterior in solved])


def _t_draws(seed: int) -> np.ndarray:
    """Draws [2 `DRAWS`, 6] of a t distribution, more even than chance would make them (Sobol's sequence), always the same for a ``seed``."""
    uniform = qmc.Sobol(7, rng=seed).random(2 * DRAWS)
    # a gamma variable of half the freedom is half a chi square
    stretch = np.sqrt(0.5 * T_FREEDOM / gammaincinv(0.5 * T_FREEDOM, uniform[:, 6]))
    return ndtri(uniform[:, :6]) * stretch[:, None]


def _t_log_density(steps: np.ndarray, centre: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Logarithm of the density of a t distribution of ``centre`` and ``root`` of its matrix at ``steps`` [s, 6], up to what all such have in common."""
    square = (np.linalg.solve(root, (steps - centre).T) ** 2).sum(axis=0)
    return -0.5 * (T_FREEDOM + 6) * np.log1p(square / T_FREEDOM) - float(np.linalg.slogdet(root)[1])


def _mode_root(cost: Callable[[np.ndarray], float]) -> np.ndarray:
    """A root [6, 6] of the covariance of steps from a mode, by the curvature of their ``cost``."""
    width, unit = 0.3, np.eye(6)
    centre_cost = cost(np.zeros(6))
    up, down = (np.array([cost(sign * width * row) for row in unit]) for sign in (1.0, -1.0))
    curvature = np.diag(up + down - 2.0 * centre_cost)
    for i, j in itertools.combinations(range(6), 2):
        pair_cost = cost(width * (unit[i] + unit[j]))
        curvature[i, j] = curvature[j, i] = pair_cost - up[i] - up[j] + centre_cost
    values, vectors = np.linalg.eigh(curvature / width**2)
    # nothing is known less well than beforehand
    return vectors / np.sqrt(np.maximum(values, 0.5 / LOG_SIZE_SPREADS.max() ** 2))
