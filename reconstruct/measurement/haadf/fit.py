"""The posterior of optics and specimen given the mean unit cells of one or more images of it: its value, slopes and curvature, the model's error
marginalised."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from reconstruct.inference.damped_newton import minimise_single
from reconstruct.measurement.haadf.cell import Cell
from reconstruct.measurement.haadf.model import POSITION, SHARED, cell_derivatives, cell_harmonics
from reconstruct.measurement.haadf.model_error import MarginalisedInformation, ModelError, error_columns
from twin import checks
from twin.scattering.gram.model import GramModel

MAX_STEPS = 25
COST_TOLERANCE = 1e-2
"""Of minus the log posterior, at a maximum."""
ERROR_SIZES = np.exp(np.linspace(np.log(0.002), np.log(0.5), 34))
"""Sizes of the model's relative error that an image may ask for."""
BATCH = 64


@dataclasses.dataclass(frozen=True)
class Maximum:
    """A maximum in units of the prior, ``position`` [p + 1] with the size of the model's error last, Laplace's ``covariance`` [p + 1, p + 1] and the logarithm
    of ``evidence``; ``relative`` is that size."""

    position: np.ndarray
    covariance: np.ndarray
    evidence: float
    relative: float


class Problem:
    """Images' ``data``, known changes ``offsets`` of their C10, and the prior ``mean`` and ``sd`` of `SHARED` followed by `POSITION` of each image; entries
    with an ``sd`` of 0 are fixed. Parameters z [p] are the free ones less their mean over their sd."""

    def __init__(
        self,
        model: GramModel,
        data: list[Cell],
        offsets: tuple[float, ...],
        angles: list[float],
        mean: np.ndarray,
        sd: np.ndarray,
        fixed: np.ndarray,
        nominal: float,
        error: ModelError,
    ):
        self.model, self.data, self.offsets, self.angles, self.error = model, data, offsets, angles, error
        self.mean, self.sd, self.fixed, self.nominal = mean, sd, fixed, nominal
        self.free = np.flatnonzero(sd > 0.0)
        self.inverted = np.zeros(len(data))
        self.columns: list[np.ndarray] = []
        self.marginalised: list[MarginalisedInformation] = []
        self.relative = 2.0 * error.relative

    def theta(self, z: np.ndarray) -> np.ndarray:
        """Parameters [s, q] of all images for free ones z [s, p]."""
        parameters = np.repeat(self.mean[None], len(z), axis=0)
        parameters[:, self.free] += z * self.sd[self.free][None]
        return parameters

    def _inputs(self, theta: np.ndarray, image: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """What `cell_harmonics` takes for one image: parameters [s, ...], fixed aberrations [s, 25], and numbers."""
        start = len(SHARED) + len(POSITION) * image
        parameters = np.concatenate([theta[:, : len(SHARED)], theta[:, start : start + len(POSITION)]], axis=1)
        fixed = np.repeat(self.fixed[None], len(parameters), axis=0)
        fixed[:, 0] += self.offsets[image]
        numbers = (self.angles[image], self.inverted[image], self.nominal)
        return parameters, fixed, tuple(checks.float64(number) for number in numbers)

    def harmonics(self, theta: np.ndarray, image: int) -> np.ndarray:
        """Of one image, [s, c], for parameters [s, q]."""
        parameters, fixed, numbers = self._inputs(theta, image)
        # one compiled size
        parameters, fixed = (
            np.concatenate([array, np.repeat(array[-1:], -len(array) % BATCH, axis=0)]) for array in (parameters, fixed)
        )
        slices = [slice(start, start + BATCH) for start in range(0, len(parameters), BATCH)]
        results = [
            np.asarray(cell_harmonics(self.model, jnp.asarray(parameters[part]), jnp.asarray(fixed[part]), *numbers))
            for part in slices
        ]
        return np.concatenate(results)[: len(theta)]

    def cost(self, z: np.ndarray) -> np.ndarray:
        """Minus the logarithm of the posterior [s], up to a constant, at z [s, p + 1]: the last is the logarithm of the model's error in units of its prior."""
        theta, total = self.theta(z[:, :-1]), 0.5 * (z**2).sum(axis=1)
        relative = self.error.relative * np.exp(self.error.spread * z[:, -1])
        for image, (cell, marginalised) in enumerate(zip(self.data, self.marginalised, strict=True)):
            residual = cell.mean[None] - self.harmonics(theta, image)
            total = total + 0.5 * marginalised.squares(residual, relative)
        return total

    def weights(self, relative: float) -> list[np.ndarray]:
        """Inverse covariances [c, c] of the images' harmonics."""
        return [marginalised.weight(relative) for marginalised in self.marginalised]

    def linearise(self, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of every image at z [p]: data less model [c], and the model's slopes [c, p]."""
        results, theta = [], self.theta(z[None])
        for image, cell in enumerate(self.data):
            parameters, fixed, numbers = self._inputs(theta, image)
            value, derivatives = (
                np.asarray(a)[0]
                for a in cell_derivatives(self.model, jnp.asarray(parameters), jnp.asarray(fixed), *numbers)
            )
            start = len(SHARED) + len(POSITION) * image
            jacobian = np.zeros((len(value), len(self.mean)))
            jacobian[:, : len(SHARED)] = derivatives[:, : len(SHARED)]
            jacobian[:, start : start + len(POSITION)] = derivatives[:, len(SHARED) :]
            results.append((cell.mean - value, jacobian[:, self.free] * self.sd[self.free][None]))
        return results

    def gauss_newton(
        self, z: np.ndarray, weights: list[np.ndarray], linearised: list[tuple[np.ndarray, np.ndarray]] | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Cost, its gradient [p] and Gauss-Newton curvature [p, p] at z [p], from the result of `linearise` there."""
        cost, gradient, curvature = 0.5 * float(z @ z), z, np.eye(len(z))
        for (residual, jacobian), weight in zip(linearised or self.linearise(z), weights, strict=True):
            cost += 0.5 * float(residual @ weight @ residual)
            gradient = gradient - jacobian.T @ weight @ residual
            curvature = curvature + jacobian.T @ weight @ jacobian
        return cost, gradient, curvature

    def update_model_error(self, z: np.ndarray) -> None:
        """Set the model's error from the signal at z."""
        theta = self.theta(z[None])
        black = SHARED.index("black")
        self.columns = []
        for image, cell in enumerate(self.data):
            signal = self.harmonics(theta, image)[0]
            signal[0] -= theta[0, black]
            self.columns.append(error_columns(signal, cell.g, self.model.cell, self.error.length))
        self.marginalised = [
            MarginalisedInformation(cell.information, columns)
            for cell, columns in zip(self.data, self.columns, strict=True)
        ]

    def fit_error_size(self, z: np.ndarray) -> Maximum:
        """The maximum at z [p] with the size of the model's error that has most evidence there, and how well that is known."""
        linearised = self.linearise(z)
        costs, curvatures = np.full(len(ERROR_SIZES), 0.5 * float(z @ z)), np.eye(len(z))[None]
        for (residual, jacobian), marginalised in zip(linearised, self.marginalised, strict=True):
            squares, information = marginalised.products(residual, jacobian, ERROR_SIZES)
            costs, curvatures = costs + 0.5 * squares, curvatures + information
        unit = np.log(ERROR_SIZES / self.error.relative) / self.error.spread
        logs = -costs - 0.5 * np.linalg.slogdet(curvatures)[1]
        logs = logs - 0.5 * sum(marginalised.volume(ERROR_SIZES) for marginalised in self.marginalised) - 0.5 * unit**2
        shares = np.exp(logs - logs.max())
        step = float(unit[1] - unit[0])
        evidence = float(logs.max() + np.log(shares.sum() * step) - 0.5 * np.log(2.0 * np.pi))
        shares = shares / shares.sum()
        best = int(shares.argmax())
        covariance = np.zeros((len(z) + 1,) * 2)
        covariance[:-1, :-1] = np.linalg.inv(curvatures[best])
        covariance[-1, -1] = float(shares @ (unit - shares @ unit) ** 2) + step**2 / 12.0
        return Maximum(np.append(z, unit[best]), 0.5 * (covariance + covariance.T), evidence, float(ERROR_SIZES[best]))

    def maximise(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """Position and cost of the maximum from z, the model's error having its last estimated size."""
        weights = self.weights(self.relative)
        minimum = minimise_single(lambda at: self.gauss_newton(at, weights), z, MAX_STEPS, COST_TOLERANCE)
        return minimum.position, minimum.cost

    def misfit(self, z: np.ndarray) -> float:
        """Chi square of the harmonics at z, the model's error taken out, over their number."""
        cost, *_ = self.gauss_newton(z, self.weights(self.relative))
        count = sum(len(cell.mean) for cell in self.data)
        return (2.0 * cost - float(z @ z)) / count

    def free_index(self, name: str) -> int | None:
        """Index of an entry of `SHARED` among the free parameters; None if it is fixed."""
        index = np.flatnonzero(self.free == SHARED.index(name))
        return int(index[0]) if len(index) else None
