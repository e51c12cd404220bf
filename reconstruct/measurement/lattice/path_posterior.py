"""Posterior of a scan's path and trend given the sizes of its distortion: a banded matrix in time with a border.

States in time (a slow and a quick process for each axis) make a banded precision matrix; the trend and what lines share make its border. `Border` holds what
does not depend on the sizes, so that many of them can be tried.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky_banded
from scipy.linalg.lapack import dtbtrs  # pyright: ignore[reportAttributeAccessIssue]  # made by f2py

SETTLING_TIME = 0.01
"""Time constant of the slow scan's settling in frames."""
BORDER_COLUMNS = 12
"""Columns of the border before those of the shared distortion: trend 4, level 2, hum 4, settling 2."""


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


class Border(NamedTuple):
    """What trend, level, hum (if known), settling and shared distortion give the displacement of pieces along ``x`` and ``y`` [p, n]; their prior precision
    [p, p]: what is ``fixed``, and what the ``shared`` [2, p, p] distortion along each axis adds for a step of one pixel."""

    x: np.ndarray
    y: np.ndarray
    fixed: np.ndarray
    shared: np.ndarray


class PathPosterior(NamedTuple):
    """Log ``evidence`` of sizes, ``trend`` and its ``covariance`` given them; ``smooth`` [n, 2] displacement of pieces without each one's own part, and the
    information [3, n] (xx, xy, yy) and score [2, n] that are left of pieces with noise of their own."""

    evidence: float
    trend: np.ndarray
    covariance: np.ndarray
    smooth: np.ndarray
    information: np.ndarray
    score: np.ndarray

    def displacement(self, sizes: np.ndarray) -> np.ndarray:
        """Displacement [n, 2] of pieces: what is smooth, and each piece's own part of what is left, for logarithms of ``sizes`` [2, 6]."""
        xx, xy, yy = self.information
        smooth_x, smooth_y = self.smooth.T
        left = np.stack([self.score[0] - xx * smooth_x - xy * smooth_y, self.score[1] - xy * smooth_x - yy * smooth_y])
        return self.smooth + left.T * np.exp(2.0 * sizes[:, 0])


def path_posterior(pieces: Pieces, border: Border, sizes: np.ndarray) -> PathPosterior:
    """The posterior of path and trend given the logarithms of ``sizes`` [2, 6], by a banded Cholesky factor and the Schur complement of the border."""
    p, n = border.x.shape
    white, slow_step, rms, time, across, memory = np.exp(sizes).T
    information, score, evidence = _without_own_noise(pieces, white**2)
    xx, xy, yy = information
    steps = np.diff(pieces.times)
    band = np.zeros((5, n, 4))  # band[d, i, s]: between state s of piece i and the state d places on
    for axis in range(2):
        slow = slow_step[axis] * np.sqrt(0.5 * memory[axis])
        evidence += _add_process(band, 2 * axis, steps, slow, memory[axis])
        evidence += _add_process(band, 2 * axis + 1, steps, rms[axis], time[axis])
    for state in range(2):
        band[0, :, state] += xx
        band[0, :, 2 + state] += yy
        band[2, :, state] += xy
    band[1, :, 0], band[1, :, 1], band[1, :, 2] = xx, xy, yy
    band[3, :, 0] += xy
    band_factor = cholesky_banded(band.reshape(5, 4 * n), lower=True, overwrite_ab=True, check_finite=False)
    evidence -= np.log(band_factor[0]).sum()

    prior = border.fixed + np.tensordot(1.0 / across**2, border.shared, axes=1)
    evidence += 0.5 * np.linalg.slogdet(prior[6:, 6:])[1]
    weighted_x, weighted_y = xx * border.x + xy * border.y, xy * border.x + yy * border.y
    sides = np.empty((p + 1, n, 4))
    sides[:p, :, 0] = sides[:p, :, 1] = weighted_x
    sides[:p, :, 2] = sides[:p, :, 3] = weighted_y
    sides[p, :, 0] = sides[p, :, 1] = score[0]
    sides[p, :, 2] = sides[p, :, 3] = score[1]
    # products of the inverse of the band need one of its triangles only
    half, _ = dtbtrs(band_factor, sides.reshape(p + 1, 4 * n).T, uplo="L", overwrite_b=True)
    half = half.T
    schur = weighted_x @ border.x.T + weighted_y @ border.y.T + prior - half[:p] @ half[:p].T
    right = border.x @ score[0] + border.y @ score[1] - half[:p] @ half[p]
    scale = np.sqrt(np.diag(schur))
    lower = np.linalg.cholesky(schur / np.outer(scale, scale))
    evidence -= np.log(np.diag(lower)).sum() + np.log(scale).sum()
    beta = np.linalg.solve(lower.T, np.linalg.solve(lower, right / scale)) / scale
    evidence += 0.5 * float(half[p] @ half[p] + right @ beta)
    spread = np.linalg.solve(lower, np.diag(1.0 / scale))
    state, _ = dtbtrs(band_factor, (half[p] - beta @ half[:p])[:, None], uplo="L", trans="T", overwrite_b=True)
    smooth = state[:, 0].reshape(n, 2, 2).sum(axis=2) + np.stack([beta @ border.x, beta @ border.y], axis=1)
    trend = np.array([[beta[0], beta[2]], [beta[1], beta[3]]])
    return PathPosterior(float(evidence), trend, (spread.T @ spread)[:4, :4], smooth, information, score)


def _without_own_noise(pieces: Pieces, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Information (xx, xy, yy) [3, n] and score [2, n] of pieces with noise of ``variance`` [2] of their own, and the logarithm of what that does to the
    likelihood."""
    xx, xy, yy = pieces.information[:, 0, 0], pieces.information[:, 0, 1], pieces.information[:, 1, 1]
    score_x, score_y = pieces.score.T
    own_x, own_y = variance
    minor = xx * yy - xy * xy
    determinant = 1.0 + xx * own_x + yy * own_y + minor * (own_x * own_y)
    # the inverse of 1 + I V times I and times the score
    information = np.stack([xx + own_y * minor, xy, yy + own_x * minor]) / determinant
    score = np.stack(
        [
            score_x + own_y * (yy * score_x - xy * score_y),
            score_y + own_x * (xx * score_y - xy * score_x),
        ]
    )
    score /= determinant
    evidence = -0.5 * float(np.log(determinant).sum())
    evidence += 0.5 * float(own_x * (score[0] @ score_x) + own_y * (score[1] @ score_y))
    return information, score, evidence


def _add_process(band: np.ndarray, state: int, steps: np.ndarray, rms: float, time: float) -> float:
    """Put the precision of an Ornstein-Uhlenbeck process into ``band`` at index ``state``; half the logarithm of its determinant."""
    decay = np.exp(-steps / time)
    innovation = -np.expm1(-2.0 * steps / time) * rms**2
    precision = 1.0 / innovation
    band[0, 1:, state] += precision
    band[0, :-1, state] += decay**2 * precision
    band[0, 0, state] += 1.0 / rms**2
    band[4, :-1, state] = -decay * precision
    return -0.5 * float(np.log(innovation).sum()) - float(np.log(rms))


def make_border(pieces: Pieces, hum: float) -> Border:
    """The border of ``pieces``; ``hum`` is the prior rms in pixels of what the mains and the start of a frame displace."""
    n, columns = len(pieces.times), int(pieces.column.max()) + 1
    x, y = pieces.centres.T
    size = BORDER_COLUMNS + 2 * columns
    border, fixed, shared = np.zeros((2, size, n)), np.zeros((size, size)), np.zeros((2, size, size))
    border[0, 0] = border[1, 1] = x
    border[0, 2] = border[1, 3] = y
    border[0, 4] = border[1, 5] = 1.0
    border[0, 6:8] = border[1, 8:10] = pieces.hum.T
    border[0, 10] = border[1, 11] = np.exp(-pieces.times / (SETTLING_TIME * pieces.times[-1]))
    fixed[range(6, 12), range(6, 12)] = 1.0 / hum**2
    chain = 2.0 * np.eye(columns) - np.eye(columns, k=1) - np.eye(columns, k=-1)
    chain[0, 0] = chain[-1, -1] = 1.0
    chain += np.ones((columns, columns))  # its level is that of the path
    for axis in range(2):
        first = BORDER_COLUMNS + axis * columns
        border[axis, first + pieces.column, np.arange(n)] = 1.0
        shared[axis, first : first + columns, first : first + columns] = chain
    if not pieces.hum.any():
        used = np.delete(np.arange(size), range(6, 10))
        border, fixed, shared = border[:, used], fixed[np.ix_(used, used)], shared[:, used][:, :, used]
    return Border(border[0], border[1], fixed, shared)
