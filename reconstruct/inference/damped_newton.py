"""Damped Newton steps from many starts at once: Levenberg-Marquardt, Gauss-Newton and Fisher scoring, which differ only in the curvature.

The caller evaluates a cost (minus a log posterior), its gradient g and a positive semidefinite curvature H: J^T W J of least squares, the expected information,
or the outer products of the scores (Berndt, Hall, Hall & Hausman, Ann. Econ. Soc. Meas. 3, 653, 1974), each with the precision of the prior. A step solves

    (H + damping diag H) step = -g        (Marquardt, J. SIAM 11, 431, 1963)

and is taken where it lowers the cost. The loop runs in NumPy on the host, so that an evaluation may be compiled, marginalise errors or hold masks.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FIRST_DAMPING = 1e-2
LOWERED, RAISED = 0.2, 6.0
"""Factors of the damping after a step that lowered the cost, and after one that did not (Marquardt's are 1/10 and 10; milder ones try fewer steps in vain)."""
MIN_DAMPING, MAX_DAMPING = 1e-6, 1e4
"""A start is given up above the larger: steps so short no longer lower the cost."""


class Quadratic(NamedTuple):
    """``cost`` [k], ``gradient`` [k, p] and ``curvature`` [k, p, p] at k points, and arrays [k, ...] of ``details`` that are wanted at the minimum."""

    cost: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray
    details: tuple[np.ndarray, ...] = ()


class Minimum(NamedTuple):
    """``position`` [k, p] of least cost from each start, what was evaluated there, and the number of ``steps`` that were tried.

    A start has ``converged`` [k] where its last step lowered the cost, by less than the tolerance, or did not, where an undamped step was expected to bring
    less (half the square of the Newton decrement; Boyd & Vandenberghe, Convex Optimization, 9.5.1).
    """

    position: np.ndarray
    cost: np.ndarray
    curvature: np.ndarray
    details: tuple[np.ndarray, ...]
    converged: np.ndarray
    steps: int


class SingleMinimum(NamedTuple):
    """The `Minimum` from a single start: ``position`` [p] and ``curvature`` [p, p]."""

    position: np.ndarray
    cost: float
    curvature: np.ndarray
    converged: bool
    steps: int


def minimise(
    evaluate: Callable[[np.ndarray], Quadratic],
    start: np.ndarray,
    max_steps: int,
    tolerance: float = 0.0,
    low: np.ndarray | float = -np.inf,
    high: np.ndarray | float = np.inf,
    max_change: np.ndarray | float = np.inf,
    first: Quadratic | None = None,
) -> Minimum:
    """Minima of a cost from each ``start`` [k, p], within ``low`` and ``high`` [p]; no step changes a parameter by more than ``max_change`` [p].

    ``evaluate`` gives the `Quadratic` at positions [k, p]. A cost that is not finite is never accepted. Steps end when all starts have converged or are given
    up; ``tolerance`` is of the cost, for the best start, and c times as large for one whose cost is higher by c > 1. ``first`` is the evaluation at ``start``,
    where it is known.
    """
    position = np.clip(np.array(start, dtype=np.float64), low, high)
    first = evaluate(position.copy()) if first is None else first
    cost, gradient, curvature = (np.array(values, dtype=np.float64) for values in first[:3])
    details = tuple(np.array(values) for values in first.details)
    cost[~np.isfinite(cost)] = np.inf
    damping, converged = np.full(len(position), FIRST_DAMPING), np.zeros(len(position), dtype=bool)
    ended, steps = converged, 0
    while steps < max_steps and not ended.all():
        step, expected = _newton_step(position, gradient, curvature, damping, low, high)
        trial = np.clip(position + np.clip(step, -max_change, max_change), low, high)
        tried = evaluate(trial)
        lower = np.isfinite(tried.cost) & (tried.cost < cost)
        decrease = np.subtract(cost, tried.cost, out=expected, where=lower)
        best = position, cost, gradient, curvature, *details
        for values, new in zip(best, (trial, *tried[:3], *tried.details), strict=True):
            values[lower] = np.asarray(new)[lower]
        excess = np.where(np.isfinite(cost), cost, 0.0) - cost.min()
        converged = np.isfinite(cost) & (decrease <= tolerance * np.maximum(1.0, excess))
        damping = np.clip(damping * np.where(lower, LOWERED, RAISED), MIN_DAMPING, RAISED * MAX_DAMPING)
        # what is not lowered is tried again with a shorter step, unless the cost could not show it
        unseen = decrease <= np.finfo(np.float64).eps * np.abs(cost)
        ended = (converged & (lower | unseen)) | (damping > MAX_DAMPING)
        steps += 1
    return Minimum(position, cost, curvature, details, converged, steps)


def minimise_single(
    evaluate: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]],
    start: np.ndarray,
    max_steps: int,
    tolerance: float = 0.0,
    low: np.ndarray | float = -np.inf,
    high: np.ndarray | float = np.inf,
) -> SingleMinimum:
    """The minimum from one ``start`` [p], as `minimise` finds it; ``evaluate`` gives cost, gradient [p] and curvature [p, p]."""

    def batch(position: np.ndarray) -> Quadratic:
        cost, gradient, curvature = evaluate(position[0])
        return Quadratic(np.array([cost]), gradient[None], curvature[None])

    position, cost, curvature, _, converged, steps = minimise(batch, start[None], max_steps, tolerance, low, high)
    return SingleMinimum(position[0], float(cost[0]), curvature[0], bool(converged[0]), steps)


def _newton_step(
    position: np.ndarray,
    gradient: np.ndarray,
    curvature: np.ndarray,
    damping: np.ndarray,
    low: np.ndarray | float,
    high: np.ndarray | float,
) -> tuple[np.ndarray, np.ndarray]:
    """Damped steps [k, p], and by how much [k] the cost is expected to fall by undamped ones.

    Parameters that the gradient pushes against a bound where they are do not move (Bertsekas, SIAM J. Control Optim. 20, 221, 1982), nor does a point whose
    gradient or curvature is not finite.
    """
    usable = np.logical_and(np.isfinite(gradient).all(axis=1), np.isfinite(curvature).all(axis=(1, 2)))
    held = ((position <= low) & (gradient > 0.0)) | ((position >= high) & (gradient < 0.0)) | ~usable[:, None]
    gradient = np.where(held, 0.0, gradient)
    curvature = np.where(held[:, :, None] | held[:, None, :], 0.0, curvature)
    diagonal = np.einsum("kpp->kp", curvature)
    scale = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = curvature / (scale[:, :, None] * scale[:, None, :])
    downhill, unit = -gradient / scale, np.eye(gradient.shape[1])
    step = np.linalg.solve(scaled + damping[:, None, None] * unit, downhill[:, :, None])[:, :, 0]
    undamped = np.linalg.solve(scaled + MIN_DAMPING * unit, downhill[:, :, None])[:, :, 0]
    return step / scale, np.where(usable, 0.5 * (downhill * undamped).sum(axis=1), np.inf)
