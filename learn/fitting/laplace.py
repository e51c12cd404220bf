"""The maximum of a log posterior and its covariance there (Laplace's approximation), from values of the log likelihood alone.

Coordinates are scaled so that the prior is standard normal. The maximum is found by a quasi-Newton method (L-BFGS-B; Byrd, Lu, Nocedal and Zhu, SIAM J.
Sci. Comput. 16, 1190, 1995) on central differences with steps of a tenth of the posterior width, which is found by second differences. Coordinates
without influence on the likelihood are left at the prior mean.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

SEARCH_LIMIT = 4.0
"""Bound of the search, in prior standard deviations from the prior mean."""
GRADIENT_STEP = 0.1
"""Step of first differences, in posterior standard deviations."""
CURVATURE_STEP = 0.5
"""Step of second differences, in posterior standard deviations."""
GRADIENT_TOLERANCE = 0.03
"""Largest slope at convergence, per posterior standard deviation; also the error of the maximum in those."""
MAX_ROUNDS = 3
MIN_INFLUENCE = 1e-6
"""Change of the log likelihood over half a prior standard deviation below which a coordinate has no influence."""
MIN_EIGENVALUE = 1e-3
"""Smallest eigenvalue of the curvature, scaled to a unit diagonal, of a positive definite curvature."""
NO_LIKELIHOOD_PENALTY = 1e6
"""Value of the objective where the likelihood is not finite."""


@dataclasses.dataclass(frozen=True)
class Peak:
    """The maximum ``where`` [d] of the log posterior and its ``covariance`` [d, d].

    ``silent`` [d]: coordinates without influence; not ``determined`` [d]: without a maximum in the curvature (both stay at the prior); ``beyond`` [d]: at
    the limit of the search (variance NaN). ``start`` and ``height``: log likelihood at the prior mean and at the maximum, ``without`` [d]: with one coordinate
    at its prior mean. ``complete`` is False if interrupted.
    """

    where: np.ndarray
    covariance: np.ndarray
    silent: np.ndarray
    determined: np.ndarray
    beyond: np.ndarray
    start: float
    height: float
    without: np.ndarray
    complete: bool


class _Objective:
    """Minus the log posterior, with a cache of its values; ``report`` is called with the best point after each evaluation."""

    def __init__(self, log_likelihood: Callable[[np.ndarray], float], report: Callable[[str, np.ndarray, float], None]):
        self._log_likelihood, self._report, self.values_at = log_likelihood, report, {}
        self.stage, self.best, self.lowest = "start", np.zeros(0), np.inf

    def likelihood(self, where: np.ndarray) -> float:
        key = np.asarray(where, dtype=float).tobytes()
        if key not in self.values_at:
            self.values_at[key] = float(self._log_likelihood(where))
            value = self(where)
            if value < self.lowest:
                self.best, self.lowest = where.copy(), value
            self._report(self.stage, self.best, self.values_at[self.best.tobytes()])
        return self.values_at[key]

    def __call__(self, where: np.ndarray) -> float:
        log_likelihood = self.likelihood(where)
        return 0.5 * float(where @ where) - log_likelihood if np.isfinite(log_likelihood) else NO_LIKELIHOOD_PENALTY

    def beside(self, where: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objective at plus and minus ``steps`` [d] along each coordinate, [d] each; NaN where a step is zero."""
        both = np.full((2, len(where)), np.nan)
        for index in np.flatnonzero(steps):
            for row, sign in enumerate((1.0, -1.0)):
                shifted = where.copy()
                shifted[index] += sign * steps[index]
                both[row, index] = self(shifted)
        return both[0], both[1]


def peak(
    log_likelihood: Callable[[np.ndarray], float],
    count: int,
    report: Callable[[str, np.ndarray, float], None] = lambda stage, best, height: None,
) -> Peak:
    """The maximum of ``log_likelihood`` times a standard normal prior in ``count`` coordinates; -inf where it has no value.

    ``report`` is called with stage, best point and its log likelihood after each evaluation. A KeyboardInterrupt in either function ends the search with the
    best point so far. ValueError if the likelihood is not finite at the prior mean.
    """
    objective, zero = _Objective(log_likelihood, report), np.zeros(count)
    silent = beyond = np.zeros(count, dtype=bool)
    try:
        if not np.isfinite(objective.likelihood(zero)):
            raise ValueError(
                "the log evidence is not finite at the constants' assumed values; look at the table and the data"
            )
        objective.stage = "which constants matter"
        silent = _silent(objective, count)
        open_, where, curvature = ~silent, zero, np.eye(count)
        while open_.any():
            where = _climb(objective, zero, open_)
            objective.stage, beyond = "errors", np.abs(where) > SEARCH_LIMIT - 0.01
            curvature = _curvature(objective, where, open_ & ~beyond)
            odd = _odd(curvature, open_ & ~beyond)
            if odd is None:
                break
            open_[odd] = False
        else:
            where, beyond = zero, np.zeros(count, dtype=bool)
        objective.stage = "gains"
        height = objective.likelihood(where)
        without = np.full(count, height)
        for index in np.flatnonzero(where):
            without[index] = objective.likelihood(np.where(np.arange(count) == index, 0.0, where))
        covariance = np.linalg.inv(curvature)
        covariance = 0.5 * (covariance + covariance.T)
        covariance[beyond, beyond] = np.nan
        return Peak(
            where, covariance, silent, open_ | silent, beyond, objective.likelihood(zero), height, without, True
        )
    except KeyboardInterrupt:
        best = objective.best if len(objective.best) else zero
        start, height = (objective.values_at.get(point.tobytes(), np.nan) for point in (zero, best))
        nan = np.full((count, count), np.nan)
        return Peak(best, nan, silent, ~silent, beyond, start, height, nan[0], False)


def _silent(objective: _Objective, count: int) -> np.ndarray:
    here = objective.likelihood(np.zeros(count))
    changes = np.zeros(count)
    for index in range(count):
        for size in (0.5, -0.5):
            shifted = np.zeros(count)
            shifted[index] = size
            log_likelihood_shifted = objective.likelihood(shifted)
            changes[index] = max(
                changes[index], abs(log_likelihood_shifted - here) if np.isfinite(log_likelihood_shifted) else np.inf
            )
    return changes < MIN_INFLUENCE + 1e-12 * abs(here)


def _climb(objective: _Objective, start: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """The maximum along the ``open_`` coordinates."""
    where, width = start, _widths(objective, start, open_)
    for number in range(MAX_ROUNDS):
        objective.stage = f"search, round {number + 1}"
        base, scale, height = where, width[open_], objective(where)

        def at(v: np.ndarray, base=base, scale=scale) -> np.ndarray:
            point = base.copy()
            point[open_] = np.clip(point[open_] + scale * v, -SEARCH_LIMIT, SEARCH_LIMIT)
            return point

        def value(v: np.ndarray, at=at, height=height, width=width) -> tuple[float, np.ndarray]:
            point = at(v)
            up, down = objective.beside(point, np.where(open_, GRADIENT_STEP * width, 0.0))
            return objective(point) - height, (up - down)[open_] / (2 * GRADIENT_STEP)

        bounds = list(zip((-SEARCH_LIMIT - base[open_]) / scale, (SEARCH_LIMIT - base[open_]) / scale, strict=True))
        options = {"gtol": GRADIENT_TOLERANCE, "ftol": 1e-7, "maxiter": 30, "maxls": 10}
        result = minimize(value, np.zeros(len(scale)), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        where = at(np.asarray(result.x))
        best = objective.best
        if (
            objective.lowest < objective(where) - 0.5 * GRADIENT_TOLERANCE**2
            and not best[~open_].any()
            and np.abs(best).max() <= SEARCH_LIMIT
        ):
            where = best.copy()
        width = _widths(objective, where, open_, width)
        change = np.abs(np.log(width[open_] / scale)).max()
        if change < np.log(2.0) and result.success:
            break
    return where


def _widths(objective: _Objective, where: np.ndarray, open_: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
    """Width of the posterior along each open coordinate, the others fixed, by second differences over half a width."""
    width, unsure, here = (np.ones(len(where)) if first is None else first.copy()), open_.copy(), objective(where)
    for _ in range(6):
        step = np.where(unsure, CURVATURE_STEP * width, 0.0)
        up, down = objective.beside(where, step)
        with np.errstate(divide="ignore", invalid="ignore"):
            bend = (up - 2 * here + down) / step**2
            # where it bends the wrong way, or has no value, a narrower look may tell
            new = np.where(
                np.isfinite(bend) & (bend > 0) & (np.maximum(up, down) < NO_LIKELIHOOD_PENALTY),
                bend**-0.5,
                0.25 * width,
            )
        new = np.where(unsure, np.clip(new, 1e-5, 1.0), width)
        unsure &= np.abs(np.log(new / width)) > np.log(1.5)
        width = new
        if not unsure.any():
            break
    return width


def _curvature(objective: _Objective, where: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """Second derivatives [d, d] of minus the log posterior along the open coordinates; identity for the others."""
    steps = np.where(open_, CURVATURE_STEP * _widths(objective, where, open_), 0.0)
    here, (up, down) = objective(where), objective.beside(where, steps)
    hessian = np.eye(len(where))
    free = np.flatnonzero(open_)
    for number, index in enumerate(free):
        hessian[index, index] = (up[index] - 2 * here + down[index]) / steps[index] ** 2
        for other in free[:number]:
            pair = np.zeros(len(where))
            pair[[index, other]] = steps[[index, other]]
            cross = (
                objective(where + pair)
                + objective(where - pair)
                + 2 * here
                - up[index]
                - down[index]
                - up[other]
                - down[other]
            )
            hessian[index, other] = hessian[other, index] = cross / (2 * steps[index] * steps[other])
    return hessian


def _odd(curvature: np.ndarray, open_: np.ndarray) -> int | None:
    """The open coordinate that contributes most to a curvature that is not positive definite; None if it is positive definite."""
    free = np.flatnonzero(open_)
    if not len(free):
        return None
    diagonal = curvature[free, free]
    if not np.isfinite(curvature).all() or (diagonal <= 0).any():
        return int(free[int(np.argmin(np.where(np.isfinite(diagonal), diagonal, -np.inf)))])
    scale = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(curvature[np.ix_(free, free)] / scale[:, None] / scale)
    return int(free[int(np.argmax(np.abs(vectors[:, 0])))]) if values[0] < MIN_EIGENVALUE else None
