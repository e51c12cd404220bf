"""The posterior of optics and specimen given the mean unit cells of one or more images of it: its value, slopes and curvature, the model's error
marginalised."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from reconstruct.measure.haadf.cell import Cell
from reconstruct.measure.haadf.model import POSITION, SHARED, cells, slopes
from reconstruct.measure.haadf.model_error import Lowered, ModelError, field
from twin import checks
from twin.scattering.gram.model import GramModel

STEPS = 25
"""Of a climb."""
SIZES = np.exp(np.linspace(np.log(0.002), np.log(0.5), 34))
"""Sizes of the model's relative error that an image may ask for."""
BATCH = 64


@dataclasses.dataclass(frozen=True)
class Top:
    """A maximum in units of the prior, ``place`` [p + 1] with the size of the model's error last, Laplace's ``covariance`` [p + 1, p + 1] and the logarithm
    of ``evidence``; ``relative`` is that size."""

    place: np.ndarray
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
        self.lowered: list[Lowered] = []
        self.relative = 2.0 * error.relative

    def theta(self, z: np.ndarray) -> np.ndarray:
        """Parameters [s, q] of all images for free ones z [s, p]."""
        found = np.repeat(self.mean[None], len(z), axis=0)
        found[:, self.free] += z * self.sd[self.free][None]
        return found

    def _inputs(self, theta: np.ndarray, image: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """What `cells` takes for one image: parameters [s, ...], fixed aberrations [s, 25], and numbers."""
        own = len(SHARED) + len(POSITION) * image
        at = np.concatenate([theta[:, : len(SHARED)], theta[:, own : own + len(POSITION)]], axis=1)
        fixed = np.repeat(self.fixed[None], len(at), axis=0)
        fixed[:, 0] += self.offsets[image]
        numbers = (self.angles[image], self.inverted[image], self.nominal)
        return at, fixed, tuple(checks.float64(one) for one in numbers)

    def harmonics(self, theta: np.ndarray, image: int) -> np.ndarray:
        """Of one image, [s, c], for parameters [s, q]."""
        at, fixed, numbers = self._inputs(theta, image)
        # one compiled size
        at, fixed = (np.concatenate([one, np.repeat(one[-1:], -len(one) % BATCH, axis=0)]) for one in (at, fixed))
        parts = [slice(start, start + BATCH) for start in range(0, len(at), BATCH)]
        found = [np.asarray(cells(self.model, jnp.asarray(at[p]), jnp.asarray(fixed[p]), *numbers)) for p in parts]
        return np.concatenate(found)[: len(theta)]

    def cost(self, z: np.ndarray) -> np.ndarray:
        """Minus the logarithm of the posterior [s], up to a constant, at z [s, p + 1]: the last is the logarithm of the model's error in units of its prior."""
        theta, total = self.theta(z[:, :-1]), 0.5 * (z**2).sum(axis=1)
        relative = self.error.relative * np.exp(self.error.spread * z[:, -1])
        for image, (one, lowered) in enumerate(zip(self.data, self.lowered, strict=True)):
            away = one.mean[None] - self.harmonics(theta, image)
            total = total + 0.5 * lowered.squares(away, relative)
        return total

    def weights(self, relative: float) -> list[np.ndarray]:
        """Inverse covariances [c, c] of the images' harmonics."""
        return [one.weight(relative) for one in self.lowered]

    def sloped(self, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of every image at z [p]: data less model [c], and the model's slopes [c, p]."""
        found, theta = [], self.theta(z[None])
        for image, one in enumerate(self.data):
            at, fixed, numbers = self._inputs(theta, image)
            value, slope = (np.asarray(a)[0] for a in slopes(self.model, jnp.asarray(at), jnp.asarray(fixed), *numbers))
            own = len(SHARED) + len(POSITION) * image
            whole = np.zeros((len(value), len(self.mean)))
            whole[:, : len(SHARED)] = slope[:, : len(SHARED)]
            whole[:, own : own + len(POSITION)] = slope[:, len(SHARED) :]
            found.append((one.mean - value, whole[:, self.free] * self.sd[self.free][None]))
        return found

    def linear(
        self, z: np.ndarray, weights: list[np.ndarray], sloped: list[tuple[np.ndarray, np.ndarray]] | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Cost, downhill gradient [p] and Gauss-Newton curvature [p, p] at z [p], from what `sloped` gave there."""
        cost, down, curvature = 0.5 * float(z @ z), -z, np.eye(len(z))
        for (away, slope), weight in zip(sloped or self.sloped(z), weights, strict=True):
            cost += 0.5 * float(away @ weight @ away)
            down = down + slope.T @ weight @ away
            curvature = curvature + slope.T @ weight @ slope
        return cost, down, curvature

    def weigh(self, z: np.ndarray) -> None:
        """Make the model's error what the signal at z makes it."""
        theta = self.theta(z[None])
        black = SHARED.index("black")
        self.columns = []
        for image, one in enumerate(self.data):
            signal = self.harmonics(theta, image)[0]
            signal[0] -= theta[0, black]
            self.columns.append(field(signal, one.g, self.model.cell, self.error.length))
        self.lowered = [Lowered(one.information, c) for one, c in zip(self.data, self.columns, strict=True)]

    def size(self, z: np.ndarray) -> Top:
        """The maximum at z [p] with the size of the model's error that has most evidence there, and how well that is known."""
        sloped = self.sloped(z)
        linear = [self.linear(z, self.weights(relative), sloped) for relative in SIZES]
        unit = np.log(SIZES / self.error.relative) / self.error.spread
        logs = np.array([-cost - 0.5 * np.linalg.slogdet(curvature)[1] for cost, _, curvature in linear])
        logs = logs - 0.5 * sum(one.volume(SIZES) for one in self.lowered) - 0.5 * unit**2
        shares = np.exp(logs - logs.max())
        step = float(unit[1] - unit[0])
        evidence = float(logs.max() + np.log(shares.sum() * step) - 0.5 * np.log(2.0 * np.pi))
        shares = shares / shares.sum()
        best = int(shares.argmax())
        covariance = np.zeros((len(z) + 1,) * 2)
        covariance[:-1, :-1] = np.linalg.inv(linear[best][2])
        covariance[-1, -1] = float(shares @ (unit - shares @ unit) ** 2) + step**2 / 12.0
        return Top(np.append(z, unit[best]), 0.5 * (covariance + covariance.T), evidence, float(SIZES[best]))

    def climb(self, z: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Levenberg-Marquardt with the model's error as large as it was last found: place, cost and curvature."""
        weights = self.weights(self.relative)
        cost, down, curvature = self.linear(z, weights)
        damping = 1e-2
        for _ in range(STEPS):
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), down)
            new, *rest = self.linear(z + step, weights)
            if new < cost:
                gained, z, cost, (down, curvature) = cost - new, z + step, new, rest
                damping = max(0.2 * damping, 1e-6)
                if gained < 1e-2:
                    break
            else:
                damping *= 6.0
                if damping > 1e5:
                    break
        return z, cost, curvature

    def misfit(self, z: np.ndarray) -> float:
        """Chi square of the harmonics at z, the model's error taken out, over their number."""
        cost, *_ = self.linear(z, self.weights(self.relative))
        count = sum(len(one.mean) for one in self.data)
        return (2.0 * cost - float(z @ z)) / count

    def place(self, name: str) -> int | None:
        """Of an entry of `SHARED` among the free parameters; None if it is fixed."""
        where = np.flatnonzero(self.free == SHARED.index(name))
        return int(where[0]) if len(where) else None
