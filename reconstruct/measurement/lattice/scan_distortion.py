"""Path of a probe with scan distortion, estimated from short pieces of lines: a Gaussian process whose trend is a linear map.

Displacements u(t) in pixels along x and y are the sum of two Ornstein-Uhlenbeck processes, a quick one (vibration) and a slow one (wandering drift,
between a small share of a frame and a random walk), and noise of every piece on its own (jitter quicker than a piece). Their sizes are learnt, and
the answer averaged over what one frame leaves open of them. Beside them what all lines share: a random walk across the line (its scan coils), and hum at
the mains' frequency if lines begin at the same phase of it; and the slow scan's settling at the start of a frame. The trend is D p for pixel p.

Pieces give information matrices and scores; states in time make a banded matrix, and the trend and what lines share its border.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky_banded
from scipy.linalg.lapack import dtbtrs  # pyright: ignore[reportAttributeAccessIssue]  # made by f2py
from scipy.optimize import brentq, minimize
from scipy.special import ndtr, ndtri

LOG_SIZE_SPREADS = np.array([1.5, 1.5, 1.5, 1.2, 1.5, 1.2])
"""Prior spread of the logarithms of the sizes of a `Path`: each is known to within a factor of five or so."""
HUM_RMS = 0.05
"""Prior rms of the hum that lines share, and of what the start of a frame is off, in periods of the lattice."""
SETTLING_TIME = 0.01
"""Time constant of the slow scan's settling in frames."""
BORDER_COLUMNS = 12
"""Columns of the border before those of the shared distortion: trend 4, level 2, hum 4, settling 2."""
DRAWS = 40
"""Draws of an axis's sizes that the answer is averaged over."""
T_FREEDOM = 5
"""Degrees of freedom of the t distribution that they come from, whose tails cover those of their posterior."""


class Pieces(NamedTuple):
    """Likelihood of pieces of lines: ``information`` [n, 2, 2] (1/pixel^2) and ``score`` [n, 2] of displacements (x, y); ``times`` [n] in lines, rising;
    ``centres`` [n, 2] (x, y) in pixels from the centre; ``column`` [n] which part of the line; ``hum`` [n, 2] cosine and sine of the mains' phase
    if all lines begin at the same (0 where it is not known)."""

    information: np.ndarray
    score: np.ndarray
    times: np.ndarray
    centres: np.ndarray
    column: np.ndarray
    hum: np.ndarray


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


def initial_path(pieces: Pieces, period: float) -> Path:
    """The path with sizes learnt as if they were the same along x and y, quickly: a start for `fit_path`."""
    prior = prior_medians(period, float(pieces.times[-1]))
    sizes = _minimise(
        lambda flat: _negative_log_posterior(pieces, np.tile(flat, (2, 1)), period), prior[0], prior[0], 15
    )
    return _path(pieces, np.tile(sizes, (2, 1)), period)


def fit_path(pieces: Pieces, period: float, begin: np.ndarray, spread: bool = False) -> Path:
    """The path given the sizes ``begin``, or, if ``spread``, with sizes learnt from there and what they leave open in the covariance of the trend."""
    if not spread:
        return _path(pieces, begin, period)
    prior = prior_medians(period, float(pieces.times[-1]))
    sizes = _minimise(
        lambda flat: _negative_log_posterior(pieces, flat.reshape(2, 6), period), begin.ravel(), prior.ravel(), 30
    ).reshape(2, 6)
    path = _path(pieces, sizes, period)
    trend, covariance = path.trend.T.ravel(), path.covariance.copy()
    for axis in range(2):
        entries = [axis, axis + 2]
        weights, trends, covariances = _draws(pieces, sizes, period, axis)
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
    return minimize(cost, begin, method="L-BFGS-B", bounds=limits, options={"maxiter": max_iterations, "ftol": 1e-6}).x


def _negative_log_posterior(pieces: Pieces, sizes: np.ndarray, period: float) -> float:
    """Minus the logarithm of the posterior of ``sizes`` [2, 6]."""
    deviation = (sizes - prior_medians(period, float(pieces.times[-1]))) / LOG_SIZE_SPREADS
    return 0.5 * float((deviation**2).sum()) - _solve_path(pieces, sizes, HUM_RMS * period).evidence


def _path(pieces: Pieces, sizes: np.ndarray, period: float) -> Path:
    solved = _solve_path(pieces, sizes, HUM_RMS * period)
    return Path(solved.trend, solved.covariance, _displacement(pieces, sizes, solved), sizes)


def _draws(pieces: Pieces, sizes: np.ndarray, period: float, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Importance-weighted draws of one axis's sizes about their mode: weights [s], trends [s, 4], covariances [s, 4, 4]."""

    def shifted(step: np.ndarray) -> np.ndarray:
        return sizes + step * (np.arange(2) == axis)[:, None]

    def cost(step: np.ndarray) -> float:
        return _negative_log_posterior(pieces, shifted(step), period)

    width, unit = 0.3, np.eye(6)
    centre_cost = cost(np.zeros(6))
    up, down = (np.array([cost(sign * width * row) for row in unit]) for sign in (1.0, -1.0))
    curvature = np.diag(up + down - 2.0 * centre_cost)
    for i, j in itertools.combinations(range(6), 2):
        pair_cost = cost(width * (unit[i] + unit[j]))
        curvature[i, j] = curvature[j, i] = pair_cost - up[i] - up[j] + centre_cost
    values, vectors = np.linalg.eigh(curvature / width**2)
    # nothing is known less well than beforehand
    cov_sqrt = vectors / np.sqrt(np.maximum(values, 0.5 / LOG_SIZE_SPREADS.max() ** 2))
    generator = np.random.default_rng(axis)
    stretch = np.sqrt(T_FREEDOM / generator.chisquare(T_FREEDOM, DRAWS))
    normal = generator.standard_normal((DRAWS, 6)) * stretch[:, None]
    logs, trends, covariances = [], [], []
    for row in normal:
        draw_sizes = shifted(cov_sqrt @ row)
        solved = _solve_path(pieces, draw_sizes, HUM_RMS * period)
        deviation = (draw_sizes - prior_medians(period, float(pieces.times[-1]))) / LOG_SIZE_SPREADS
        logs.append(
            solved.evidence
            - 0.5 * float((deviation**2).sum())
            + 0.5 * (T_FREEDOM + 6) * np.log1p(row @ row / T_FREEDOM)
        )
        trends.append(solved.trend.T.ravel())
        covariances.append(solved.covariance)
    weights = np.exp(np.array(logs) - max(logs))
    return weights / weights.sum(), np.array(trends), np.array(covariances)


class PathPosterior(NamedTuple):
    """Log ``evidence`` of sizes, trend and its covariance given them, and what displacements are made of (see `_displacement`)."""

    evidence: float
    trend: np.ndarray
    covariance: np.ndarray
    beta: np.ndarray
    state: np.ndarray
    border: np.ndarray
    data: np.ndarray
    score: np.ndarray


def _displacement(pieces: Pieces, sizes: np.ndarray, solved: PathPosterior) -> np.ndarray:
    """Displacement [n, 2] of pieces: state, what the border gives, and each piece's own part of what is left."""
    smooth = solved.state + solved.border @ solved.beta
    residual = solved.score - np.einsum("nij,nj->ni", solved.data, smooth)
    return smooth + residual * np.exp(2.0 * sizes[:, 0])


def _solve_path(pieces: Pieces, sizes: np.ndarray, hum: float) -> PathPosterior:
    """The posterior of path and trend given ``sizes`` [2, 6], by a banded Cholesky factor and the Schur complement of the border."""
    n = len(pieces.times)
    white, slow_step, rms, time, across, memory = np.exp(sizes).T
    data, score, evidence = _without_own_noise(pieces, white**2)
    steps = np.diff(pieces.times)
    band = np.zeros((5, n, 4))  # band[d, i, s]: between state s of piece i and the state d places on
    for axis in range(2):
        slow = slow_step[axis] * np.sqrt(0.5 * memory[axis])
        evidence += _add_process(band, 2 * axis, steps, slow, memory[axis])
        evidence += _add_process(band, 2 * axis + 1, steps, rms[axis], time[axis])
    xx, xy, yy = data[:, 0, 0], data[:, 0, 1], data[:, 1, 1]
    band[0] += np.stack([xx, xx, yy, yy], axis=1)
    band[1] += np.stack([xx, xy, yy, np.zeros(n)], axis=1)
    band[2, :, :2] += xy[:, None]
    band[3, :, 0] += xy
    band_factor = cholesky_banded(band.reshape(5, 4 * n), lower=True, overwrite_ab=True, check_finite=False)
    evidence -= np.log(band_factor[0]).sum()

    border, prior = _border(pieces, across, hum)
    evidence += 0.5 * np.linalg.slogdet(prior[6:, 6:])[1]
    weighted = np.einsum("nij,njp->nip", data, border)
    sides = np.empty((4 * n, border.shape[2] + 1), order="F")
    sides[:, :-1] = np.repeat(weighted, 2, axis=1).reshape(4 * n, -1)
    sides[:, -1] = np.repeat(score, 2, axis=1).reshape(4 * n)
    # products of the inverse of the band need one of its triangles only
    half, _ = dtbtrs(band_factor, sides, uplo="L", overwrite_b=True)
    flat = border.reshape(2 * n, -1)
    schur = flat.T @ weighted.reshape(2 * n, -1) + prior - half[:, :-1].T @ half[:, :-1]
    right = flat.T @ score.ravel() - half[:, :-1].T @ half[:, -1]
    scale = np.sqrt(np.diag(schur))
    lower = np.linalg.cholesky(schur / np.outer(scale, scale))
    evidence -= np.log(np.diag(lower)).sum() + np.log(scale).sum()
    beta = np.linalg.solve(lower.T, np.linalg.solve(lower, right / scale)) / scale
    evidence += 0.5 * float(half[:, -1] @ half[:, -1] + right @ beta)
    spread = np.linalg.solve(lower, np.diag(1.0 / scale))
    remainder = np.asfortranarray((half[:, -1] - half[:, :-1] @ beta)[:, None])
    state, _ = dtbtrs(band_factor, remainder, uplo="L", trans="T", overwrite_b=True)
    trend = np.array([[beta[0], beta[2]], [beta[1], beta[3]]])
    total = state[:, 0].reshape(n, 2, 2).sum(axis=2)
    return PathPosterior(float(evidence), trend, (spread.T @ spread)[:4, :4], beta, total, border, data, score)


def _without_own_noise(pieces: Pieces, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Information [n, 2, 2] and score [n, 2] of pieces with noise of ``variance`` [2] of their own, and the logarithm of what that does to the likelihood."""
    (xx, xy), (yx, yy) = np.moveaxis(pieces.information, 0, -1)
    system = np.array([[1.0 + xx * variance[0], xy * variance[1]], [yx * variance[0], 1.0 + yy * variance[1]]])
    determinant = system[0, 0] * system[1, 1] - system[0, 1] * system[1, 0]
    inverse = np.array([[system[1, 1], -system[0, 1]], [-system[1, 0], system[0, 0]]]) / determinant
    data = np.einsum("ijn,njk->nik", inverse, pieces.information)
    score = np.einsum("ijn,nj->ni", inverse, pieces.score)
    evidence = -0.5 * float(np.log(determinant).sum()) + 0.5 * float(((pieces.score * score) * variance).sum())
    return data, score, evidence


def _add_process(band: np.ndarray, state: int, steps: np.ndarray, rms: float, time: float) -> float:
    """Put the precision of an Ornstein-Uhlenbeck process into ``band`` at index ``state``; half the logarithm of its determinant."""
    decay = np.exp(-steps / time)
    innovation = -np.expm1(-2.0 * steps / time) * rms**2
    band[0, 1:, state] += 1.0 / innovation
    band[0, :-1, state] += decay**2 / innovation
    band[0, 0, state] += 1.0 / rms**2
    band[4, :-1, state] = -decay / innovation
    return -0.5 * float(np.log(innovation).sum()) - float(np.log(rms))


def _border(pieces: Pieces, across: np.ndarray, hum: float) -> tuple[np.ndarray, np.ndarray]:
    """What trend, level, hum (if known), settling and shared distortion give the displacement of pieces, [n, 2, p], and their prior precision [p, p]."""
    n, columns = len(pieces.times), int(pieces.column.max()) + 1
    x, y = pieces.centres.T
    border = np.zeros((n, 2, BORDER_COLUMNS + 2 * columns))
    prior = np.zeros((BORDER_COLUMNS + 2 * columns, BORDER_COLUMNS + 2 * columns))
    border[:, 0, 0] = border[:, 1, 1] = x
    border[:, 0, 2] = border[:, 1, 3] = y
    border[:, 0, 4] = border[:, 1, 5] = 1.0
    border[:, 0, 6:8] = border[:, 1, 8:10] = pieces.hum
    border[:, 0, 10] = border[:, 1, 11] = np.exp(-pieces.times / (SETTLING_TIME * pieces.times[-1]))
    prior[range(6, 12), range(6, 12)] = 1.0 / hum**2
    chain = 2.0 * np.eye(columns) - np.eye(columns, k=1) - np.eye(columns, k=-1)
    chain[0, 0] = chain[-1, -1] = 1.0
    chain += np.ones((columns, columns))  # its level is that of the path
    for axis in range(2):
        part = slice(BORDER_COLUMNS + axis * columns, BORDER_COLUMNS + (axis + 1) * columns)
        border[np.arange(n), axis, BORDER_COLUMNS + axis * columns + pieces.column] = 1.0
        prior[part, part] = chain / across[axis] ** 2
    if not pieces.hum.any():
        used = np.delete(np.arange(len(prior)), range(6, 10))
        border, prior = border[:, :, used], prior[np.ix_(used, used)]
    return border, prior
