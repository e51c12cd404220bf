"""Estimates from images on their way into a belief: quantities with their covariance, made linear where the state is, and never trusted blindly."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import chdtrc

from reconstruct.stream.batching import Jump, Step
from twin.sensors.model import Model

SURPRISE = 1e-5
"""Probability of an estimate, given the belief, below which the column is taken to have jumped untold."""
ROUNDS = 3
"""How often a curved quantity is made linear anew, at what the estimate says of the state."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """Quantities ``names`` seen at ``time`` (ns): ``value`` [m], covariance factor factor^T + diag(noise^2) (``factor`` [m, k], ``noise`` [m])."""

    name: str
    time: int
    names: tuple[str, ...]
    value: np.ndarray
    noise: np.ndarray
    factor: np.ndarray | None = None

    @property
    def covariance(self) -> np.ndarray:
        """[m, m]."""
        return np.diag(self.noise**2) + (0.0 if self.factor is None else self.factor @ self.factor.T)

    @property
    def usable(self) -> bool:
        """Whether it is finite, with a covariance that is one."""
        covariance = self.covariance
        if not (np.isfinite(self.value).all() and np.isfinite(covariance).all() and (np.diag(covariance) > 0).all()):
            return False
        scale = np.sqrt(np.diag(covariance))
        return bool(np.linalg.eigvalsh(covariance / scale[:, None] / scale[None]).min() > 1e-10)


@dataclasses.dataclass(frozen=True)
class Surprise:
    """An estimate that the belief did not allow: at ``time``, with probability ``chance``; ``away`` [m] are normalised errors of its quantities."""

    name: str
    time: int
    names: tuple[str, ...]
    chance: float
    away: np.ndarray


def seen_through(
    model: Model, names: Iterable[str], mean: np.ndarray, cov_sqrt: np.ndarray, inputs: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Means [m] and covariance [m, m] of quantities of a Gaussian state, exact for quantities up to second order."""
    quantities = [model.quantity(name) for name in names]
    rows = np.stack([one.linear(model.layout, mean, inputs)[0] for one in quantities])
    spread = rows @ cov_sqrt
    value = np.array([one.value(model.layout, mean, inputs) for one in quantities])
    curved = [cov_sqrt.T @ one.curvature(model.layout, inputs) @ cov_sqrt for one in quantities]
    value = value + np.array([0.5 * np.trace(one) for one in curved])
    covariance = spread @ spread.T
    for i, one in enumerate(curved):
        for j, other in enumerate(curved):
            covariance[i, j] += 0.5 * (one * other).sum()
    return value, covariance


def as_step(
    model: Model, seen: Observation, mean: np.ndarray, cov_sqrt: np.ndarray, inputs: Mapping[str, float]
) -> tuple[list[Step], float, Surprise | None]:
    """The steps that take an observation into the belief ``mean`` [n], ``cov_sqrt`` [n, n], and the square of its normalised innovation.

    Where the belief gives it a chance below `SURPRISE`, the column has moved without anybody being told: entries behind the quantities
    are widened first, by as much as it takes to allow it. A quantity that hangs on a command never told is left out.
    """
    quantities = [model.quantity(name) for name in seen.names]
    known = [i for i, one in enumerate(quantities) if np.isfinite(one.value(model.layout, mean, inputs))]
    if not known:
        return [], 0.0, None
    quantities = [quantities[i] for i in known]
    noise, value = seen.covariance[np.ix_(known, known)], seen.value[known]
    point, rows, offset = mean, np.zeros((0, 0)), np.zeros(0)
    curved = np.zeros((len(known), len(known)))
    for _ in range(ROUNDS):
        pairs = [one.linear(model.layout, point, inputs) for one in quantities]
        rows, offset = np.stack([row for row, _ in pairs]), np.array([constant for _, constant in pairs])
        spread = rows @ cov_sqrt
        total = spread @ spread.T + noise
        after = mean + cov_sqrt @ spread.T @ np.linalg.solve(total, value - offset - rows @ mean)
        if all(not (one.curvature(model.layout, inputs)).any() for one in quantities):
            break
        point = after
    bends = [cov_sqrt.T @ one.curvature(model.layout, inputs) @ cov_sqrt for one in quantities]
    # what a tangent leaves out, as if it were noise: at most what it is before the estimate has been taken in
    curved = np.array([[0.5 * (one * other).sum() for other in bends] for one in bends])
    narrowed = np.linalg.norm(spread, axis=1) ** 2
    shrink = np.diag(noise) / (np.diag(noise) + narrowed)
    noise = noise + curved * np.sqrt(np.outer(shrink, shrink))
    away = value - offset - rows @ mean
    total = spread @ spread.T + noise
    square = float(away @ np.linalg.solve(total, away))
    chance = float(chdtrc(len(away), square))
    steps: list[Step] = []
    surprise = None
    if chance < SURPRISE:
        surprise = Surprise(
            seen.name, seen.time, tuple(one.name for one in quantities), chance, away / np.sqrt(np.diag(total))
        )
        steps.append(Step(seen.time, _widened(rows, cov_sqrt, away, total)))
    lower = np.linalg.cholesky(noise)
    white = solve_triangular(lower, np.column_stack([rows, value - offset]), lower=True)
    m = len(away)
    steps.append(
        Step(
            seen.time,
            Jump(np.eye(len(mean)), np.zeros(len(mean)), np.zeros((len(mean), len(mean)))),
            -1 - np.arange(m),
            np.full(m, seen.time),
            white[:, -1],
            np.ones(m),
            np.zeros(m),
            white[:, :-1],
        )
    )
    return steps, square, surprise


def _widened(rows: np.ndarray, cov_sqrt: np.ndarray, away: np.ndarray, total: np.ndarray) -> Jump:
    """A jump of the entries behind quantities that are off, each in proportion to its share in what was expected of the quantity's error."""
    n = rows.shape[1]
    std = np.sqrt((cov_sqrt**2).sum(axis=1))
    shares = (rows * std[None]) ** 2
    shares = shares / shares.sum(axis=1, keepdims=True)
    excess = np.maximum(away**2 - np.diag(total), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(rows != 0, shares * excess[:, None] / rows**2, 0.0)
    return Jump(np.eye(n), np.zeros(n), np.diag(np.sqrt(own.max(axis=0))))
