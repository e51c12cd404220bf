"""Damped Gauss-Newton fits of many sets of a column's constants at once, each with a Gaussian prior about its anchor."""

import math

import numpy as np

from reconstruct.calibration.evaluation import Evaluation
from reconstruct.calibration.quantities import bounded, difference


class DampedGaussNewton:
    """Unit normals ``u`` [k, p] with their costs ``cost`` [k], minus twice a log posterior about ``anchor`` [k, p] given ``target`` [k, n] on the rows' scales.

    Distances from focus are compared as sines. ``freedom`` is that of Student's t by which rows are weighed, Gaussian if infinite.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        u: np.ndarray,
        anchor: np.ndarray | None = None,
        target: np.ndarray | None = None,
        freedom: float = math.inf,
    ):
        self.evaluation, self.u, self.freedom = evaluation, u, freedom
        self.anchor = np.zeros_like(u) if anchor is None else anchor
        kind, value = evaluation.table.kind, evaluation.table.value
        self.target = np.broadcast_to(bounded(kind, value)[0] if target is None else target, (len(u), len(value)))
        self.damping = np.full(len(u), 1e-2)
        self.cost = np.full(len(u), np.inf)

    def gap(self) -> np.ndarray:
        """Target less expected [k, n] on the rows' scales."""
        return self._gap(self.u)

    def steps(self, sigma: np.ndarray, count: int) -> None:
        """``count`` steps with errors ``sigma`` [n]; a step that does not lower the cost is not taken."""
        size = self.evaluation.size
        gap = self.gap() / sigma
        self.cost = self._cost(gap, self.u)
        for _ in range(count):
            weight = 1.0 if math.isinf(self.freedom) else (self.freedom + 1) / (self.freedom + gap**2)
            slopes = self._slopes() / sigma[:, None]
            slopes = np.where(np.isfinite(slopes), slopes, 0.0)
            weighted_slopes = slopes * np.broadcast_to(weight, gap.shape)[..., None]
            normal = slopes.transpose(0, 2, 1) @ weighted_slopes
            gradient = (weighted_slopes.transpose(0, 2, 1) @ gap[..., None])[..., 0] - (self.u - self.anchor)
            damping_terms = 1.0 + self.damping[:, None] * (1.0 + np.einsum("kpp->kp", normal))
            normal[:, np.arange(size), np.arange(size)] += damping_terms
            trial = self.u + np.clip(np.linalg.solve(normal, gradient[..., None])[..., 0], -1.0, 1.0)
            trial_gap = self._gap(trial) / sigma
            trial_cost = self._cost(trial_gap, trial)
            better = trial_cost < self.cost
            self.u = np.where(better[:, None], trial, self.u)
            gap, self.cost = np.where(better[:, None], trial_gap, gap), np.where(better, trial_cost, self.cost)
            self.damping = np.clip(np.where(better, self.damping / 4, self.damping * 5), 1e-6, 1e6)

    def keep(self, chosen: np.ndarray) -> None:
        """Keep the sets with indices ``chosen``."""
        self.u, self.anchor, self.target = self.u[chosen], self.anchor[chosen], self.target[chosen]
        self.damping, self.cost = self.damping[chosen], self.cost[chosen]

    def _gap(self, u: np.ndarray) -> np.ndarray:
        kind = self.evaluation.table.kind
        return difference(kind, self.target, bounded(kind, self.evaluation.values(u))[0])

    def _slopes(self) -> np.ndarray:
        slopes = bounded(self.evaluation.table.kind, self.evaluation.values(self.u), self.evaluation.slopes(self.u))[1]
        assert slopes is not None
        return slopes

    def _cost(self, gap: np.ndarray, u: np.ndarray) -> np.ndarray:
        rows = gap**2 if math.isinf(self.freedom) else (self.freedom + 1) * np.log1p(gap**2 / self.freedom)
        cost = rows.sum(axis=-1) + ((u - self.anchor) ** 2).sum(axis=-1)
        return np.where(np.isfinite(cost), cost, np.inf)
