"""Damped Gauss-Newton fits of many sets of a column's constants at once, each with a Gaussian prior about its anchor."""

import math

import numpy as np

from reconstruct.calibration.evaluation import Evaluation
from reconstruct.calibration.quantities import bounded, difference
from reconstruct.inference.damped_newton import Quadratic, minimise

MAX_CHANGE = 1.0
"""Largest change of a constant in a step, in standard deviations of its prior."""


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
        self.cost = np.full(len(u), np.inf)
        self.expected = self._expected(u)

    def gap(self) -> np.ndarray:
        """Target less expected [k, n] on the rows' scales."""
        return difference(self.evaluation.table.kind, self.target, self.expected[0])

    def steps(self, sigma: np.ndarray, count: int) -> None:
        """``count`` steps with errors ``sigma`` [n]; a step that does not lower the cost is not taken."""
        minimum = minimise(
            lambda u: self._quadratic(u, *self._expected(u), sigma),
            self.u,
            count,
            max_change=MAX_CHANGE,
            first=self._quadratic(self.u, *self.expected, sigma),
        )
        values, slopes = minimum.details
        self.u, self.cost, self.expected = minimum.position, 2.0 * minimum.cost, (values, slopes)

    def keep(self, chosen: np.ndarray) -> None:
        """Keep the sets with indices ``chosen``."""
        self.u, self.anchor, self.target = self.u[chosen], self.anchor[chosen], self.target[chosen]
        self.cost, self.expected = self.cost[chosen], (self.expected[0][chosen], self.expected[1][chosen])

    def _expected(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values [k, n] and slopes [k, n, p] at ``u``; slopes that are not finite are 0."""
        kind = self.evaluation.table.kind
        values, slopes = bounded(kind, self.evaluation.values(u), self.evaluation.slopes(u))
        assert slopes is not None
        return values, np.where(np.isfinite(slopes), slopes, 0.0)

    def _quadratic(self, u: np.ndarray, values: np.ndarray, slopes: np.ndarray, sigma: np.ndarray) -> Quadratic:
        """Half the cost at ``u`` [k, p], the rows reweighted there (iteratively reweighted least squares)."""
        deviation = u - self.anchor
        gap = difference(self.evaluation.table.kind, self.target, values) / sigma
        if math.isinf(self.freedom):
            loss, weight = gap**2, np.ones_like(gap)
        else:
            loss = (self.freedom + 1) * np.log1p(gap**2 / self.freedom)
            weight = (self.freedom + 1) / (self.freedom + gap**2)
        scaled = slopes / sigma[:, None]
        transposed = (scaled * weight[..., None]).transpose(0, 2, 1)
        return Quadratic(
            0.5 * (loss.sum(axis=-1) + (deviation**2).sum(axis=-1)),
            deviation - (transposed @ gap[..., None])[..., 0],
            transposed @ scaled + np.eye(u.shape[1]),
            (values, slopes),
        )
