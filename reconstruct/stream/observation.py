"""Observations from images: quantities with their covariance, linearised at the state and tested against the belief."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import chdtrc

from reconstruct.stream.batching import Jump, Step
from reconstruct.stream.serialization import State
from twin.sensors.model import Model

UNCOMMANDED_JUMP_PROBABILITY = 1e-5
"""Probability of an observation, given the belief, below which the state is taken to have jumped without a command."""
LINEARISATIONS = 3
"""Linearisations of a nonlinear quantity, each at the state updated with the previous one."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """Quantities ``names`` observed at ``time`` (ns): ``value`` [m], covariance factor factor^T + diag(noise^2) (``factor`` [m, k], ``noise`` [m]).

    `Stream.observe` takes one; a measurement gives one by its ``observation(time)``. In the units of the stream's model.

    >>> import numpy as np
    >>> seen = Observation("thon", 0, ("C10",), np.array([-120.0]), np.array([3.0]))
    >>> seen.covariance.tolist(), seen.usable
    ([[9.0]], True)
    """

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

    def to_state(self) -> State:
        """The observation as plain values and arrays by name."""
        arrays = {"value": self.value, "noise": self.noise} | ({} if self.factor is None else {"factor": self.factor})
        return {"name": self.name, "time": self.time, "names": list(self.names)}, arrays

    @classmethod
    def from_state(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Observation":
        """The observation that `to_state` saved."""
        names = tuple(values["names"])
        return cls(values["name"], values["time"], names, arrays["value"], arrays["noise"], arrays.get("factor"))

    @property
    def usable(self) -> bool:
        """Whether the value is finite and the covariance positive definite."""
        covariance = self.covariance
        if not (np.isfinite(self.value).all() and np.isfinite(covariance).all() and (np.diag(covariance) > 0).all()):
            return False
        scale = np.sqrt(np.diag(covariance))
        return bool(np.linalg.eigvalsh(covariance / scale[:, None] / scale[None]).min() > 1e-10)


@dataclasses.dataclass(frozen=True)
class UnexpectedObservation:
    """An observation that contradicts the belief, at ``time`` (ns): its ``probability`` and the ``normalised_error`` [m] of its quantities."""

    name: str
    time: int
    names: tuple[str, ...]
    probability: float
    normalised_error: np.ndarray


def predict_quantities(
    model: Model, names: Iterable[str], mean: np.ndarray, cov_sqrt: np.ndarray, inputs: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Means [m] and covariance [m, m] of quantities of a Gaussian state; exact for quantities up to second order."""
    quantities = [model.quantity(name) for name in names]
    rows = np.stack([quantity.linear(model.layout, mean, inputs)[0] for quantity in quantities])
    spread = rows @ cov_sqrt
    value = np.array([quantity.value(model.layout, mean, inputs) for quantity in quantities])
    curvatures = [cov_sqrt.T @ quantity.curvature(model.layout, inputs) @ cov_sqrt for quantity in quantities]
    value = value + np.array([0.5 * np.trace(curvature) for curvature in curvatures])
    covariance = spread @ spread.T
    for i, curvature in enumerate(curvatures):
        for j, other in enumerate(curvatures):
            covariance[i, j] += 0.5 * (curvature * other).sum()
    return value, covariance


def observation_steps(
    model: Model, observation: Observation, mean: np.ndarray, cov_sqrt: np.ndarray, inputs: Mapping[str, float]
) -> tuple[list[Step], float, UnexpectedObservation | None]:
    """The filter steps that update ``mean`` [n], ``cov_sqrt`` [n, n] with an observation, and the square of its normalised innovation.

    Where its probability given the belief is below `UNCOMMANDED_JUMP_PROBABILITY`, the entries behind its quantities are widened first,
    as far as the observation needs. A quantity that depends on a command that was never reported is left out.
    """
    quantities = [model.quantity(name) for name in observation.names]
    available = [i for i, quantity in enumerate(quantities) if np.isfinite(quantity.value(model.layout, mean, inputs))]
    if not available:
        return [], 0.0, None
    quantities = [quantities[i] for i in available]
    noise, value = observation.covariance[np.ix_(available, available)], observation.value[available]
    point, rows, offset = mean, np.zeros((0, 0)), np.zeros(0)
    curved = np.zeros((len(available), len(available)))
    for _ in range(LINEARISATIONS):
        pairs = [quantity.linear(model.layout, point, inputs) for quantity in quantities]
        rows, offset = np.stack([row for row, _ in pairs]), np.array([constant for _, constant in pairs])
        spread = rows @ cov_sqrt
        total = spread @ spread.T + noise
        updated = mean + cov_sqrt @ spread.T @ np.linalg.solve(total, value - offset - rows @ mean)
        if all(not (quantity.curvature(model.layout, inputs)).any() for quantity in quantities):
            break
        point = updated
    curvatures = [cov_sqrt.T @ quantity.curvature(model.layout, inputs) @ cov_sqrt for quantity in quantities]
    # the second-order term as noise: at most its size before the update
    curved = np.array([[0.5 * (curvature * other).sum() for other in curvatures] for curvature in curvatures])
    narrowed = np.linalg.norm(spread, axis=1) ** 2
    shrink = np.diag(noise) / (np.diag(noise) + narrowed)
    noise = noise + curved * np.sqrt(np.outer(shrink, shrink))
    innovation = value - offset - rows @ mean
    total = spread @ spread.T + noise
    square = float(innovation @ np.linalg.solve(total, innovation))
    probability = float(chdtrc(len(innovation), square))
    steps: list[Step] = []
    unexpected = None
    if probability < UNCOMMANDED_JUMP_PROBABILITY:
        unexpected = UnexpectedObservation(
            observation.name,
            observation.time,
            tuple(quantity.name for quantity in quantities),
            probability,
            innovation / np.sqrt(np.diag(total)),
        )
        steps.append(Step(observation.time, _widened(rows, cov_sqrt, innovation, total)))
    lower = np.linalg.cholesky(noise)
    white = solve_triangular(lower, np.column_stack([rows, value - offset]), lower=True)
    m = len(innovation)
    steps.append(
        Step(
            observation.time,
            Jump(np.eye(len(mean)), np.zeros(len(mean)), np.zeros((len(mean), len(mean)))),
            -1 - np.arange(m),
            np.full(m, observation.time),
            white[:, -1],
            np.ones(m),
            np.zeros(m),
            white[:, :-1],
        )
    )
    return steps, square, unexpected


def _widened(rows: np.ndarray, cov_sqrt: np.ndarray, innovation: np.ndarray, total: np.ndarray) -> Jump:
    """A jump that widens the entries behind deviating quantities, each in proportion to its share of the expected variance."""
    n = rows.shape[1]
    std = np.sqrt((cov_sqrt**2).sum(axis=1))
    shares = (rows * std[None]) ** 2
    shares = shares / shares.sum(axis=1, keepdims=True)
    excess = np.maximum(innovation**2 - np.diag(total), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(rows != 0, shares * excess[:, None] / rows**2, 0.0)
    return Jump(np.eye(n), np.zeros(n), np.diag(np.sqrt(variance.max(axis=0))))
