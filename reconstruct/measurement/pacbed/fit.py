"""Maxima of a pattern's posterior by Gauss-Newton, the model's error marginalised and its size estimated from the image."""

import dataclasses
import math

import numpy as np

from reconstruct.inference.damped_newton import minimise_single
from reconstruct.measurement.pacbed.model import Frame
from reconstruct.measurement.pacbed.model_error import ModelError, Whitened, cosines
from reconstruct.measurement.pacbed.prior import Prior

MAXIMISED_STARTS = 4
"""Starts that are maximised to convergence, at most."""
NEAR_COST = 15.0
"""Above the best one's cost under a rough error, from which a start but the second is not maximised."""
COST_TOLERANCE = 0.02
"""Of minus the log posterior, at a maximum."""
ERROR_SIZES = np.exp(np.linspace(np.log(0.003), np.log(0.6), 41))
"""Sizes of the relative error that an image may ask for."""


@dataclasses.dataclass(frozen=True)
class Maximum:
    """A maximum: parameters [18], their covariance, minus log evidence, what was expected, and the size of the model's error."""

    theta: np.ndarray
    covariance: np.ndarray
    cost: float
    misfit: float
    relative: float
    expected: np.ndarray
    residual: np.ndarray


class Fit:
    """One image and what is known before: ``data`` [y, x] in counts at the pixels of ``mask``, and the ``prior``."""

    def __init__(self, frame: Frame, data: np.ndarray, mask: np.ndarray, prior: Prior, error: ModelError):
        self.frame, self.data, self.mask, self.prior, self.error = frame, data, mask, prior, error
        self.mean, self.sd = prior.mean, prior.sd
        x, y = frame.directions(prior.mean, fine=False)
        self.field = cosines(x[mask], y[mask], error.length)

    def variance(self, counts: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """Of single pixels, counts^2, from images [y, x], the rate being no lower than a thousandth of the brightest.

        Where a camera spreads its noise this is the noise power at low frequencies, where patterns have their structure: more than it has at high ones.
        """
        camera = self.frame.camera
        steep = np.hypot(*np.gradient(signal))[self.mask] * self.error.edge
        counts, signal = counts[self.mask], signal[self.mask]
        signal_counts = np.maximum(counts - float(camera.dark), 1e-3 * signal.max())
        camera_variance = float(camera.readout) ** 2 + float(camera.dark_noise) ** 2
        gains = self.frame.gains[self.mask]
        return (
            gains * signal_counts / float(camera.efficiency)
            + camera_variance
            + (self.error.grain * signal) ** 2
            + steep**2
        )

    def _system(self, theta: np.ndarray, white: Whitened, relative: float):
        """Cost, its gradient and curvature by z = (theta - mean) / sd, projected columns, expected counts and signal."""
        counts, signal, slopes = self.frame.linearised(theta)
        mask = self.mask
        columns = np.concatenate([(self.data - counts)[mask][:, None], (slopes[:, mask] * self.sd[:, None]).T], axis=1)
        projected = white.project(columns)
        quadratic = white.quadratic(projected, projected, relative)
        z = (theta - self.mean) / self.sd
        cost = 0.5 * quadratic[0, 0] + 0.5 * z @ z
        return cost, z - quadratic[1:, 0], quadratic[1:, 1:] + np.eye(len(z)), projected, counts, signal

    def whitened(self, theta: np.ndarray) -> Whitened:
        counts, signal, _ = self.frame.linearised(theta)
        signal = np.maximum(signal, 0.0)
        return Whitened(self.field, signal[self.mask], self.variance(counts, signal))

    def maximise(self, theta: np.ndarray, relative: float, max_steps: int) -> tuple[np.ndarray, float]:
        """Parameters of the maximum from ``theta`` and its cost, under an error fixed there."""
        white = self.whitened(theta)

        def quadratic(z: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            cost, gradient, curvature, *_ = self._system(self.mean + self.sd * z, white, relative)
            return cost, gradient, curvature

        start, low, high = ((values - self.mean) / self.sd for values in (theta, self.prior.low, self.prior.high))
        minimum = minimise_single(quadratic, start, max_steps, COST_TOLERANCE, low, high)
        return self.mean + self.sd * minimum.position, minimum.cost

    def fit_error_size(self, theta: np.ndarray) -> float:
        """The size of the model's error with most evidence, linearised here, under its prior."""
        white = self.whitened(theta)
        _, _, _, projected, *_ = self._system(theta, white, self.error.relative)
        z = (theta - self.mean) / self.sd
        best, chosen = math.inf, self.error.relative
        for relative in ERROR_SIZES:
            quadratic = white.quadratic(projected, projected, relative)
            descent, curvature = quadratic[1:, 0] - z, quadratic[1:, 1:] + np.eye(len(z))
            step = np.linalg.solve(curvature, descent)
            cost = 0.5 * quadratic[0, 0] + 0.5 * z @ z - 0.5 * descent @ step + 0.5 * white.volume(relative)
            cost += 0.5 * np.linalg.slogdet(curvature)[1]
            cost += self._size_cost(relative)
            if cost < best:
                best, chosen = cost, float(relative)
        return chosen

    def _size_cost(self, relative: float) -> float:
        """Minus log prior of the model's error."""
        return 0.5 * (math.log(relative / self.error.relative) / self.error.spread) ** 2

    def maximum(self, theta: np.ndarray, relative: float) -> Maximum:
        """The maximum with its covariance and evidence; counting that is more uneven than it should be widens it."""
        white = self.whitened(theta)
        cost, _, curvature, projected, counts, _ = self._system(theta, white, relative)
        residual = (projected[0][:, :1], projected[1][:, :1])
        chi_square = float(white.quadratic(residual, residual, relative)[0, 0])
        pixels = int(self.mask.sum())
        misfit = chi_square / max(pixels - len(theta), 1)
        covariance = np.linalg.inv(curvature) * max(1.0, misfit)
        residual_image = np.full(self.data.shape, np.nan)
        residual_image[self.mask] = residual[0][:, 0]
        evidence = cost / max(1.0, misfit) + 0.5 * pixels * math.log(max(1.0, misfit)) + self._size_cost(relative)
        # the volume is that of the covariance less that of counting, which the slope of the variance hardly changes
        evidence += (
            0.5 * white.volume(relative)
            + 0.5 * float(np.linalg.slogdet(curvature)[1])
            - float(np.log(white.root).sum())
        )
        return Maximum(
            theta, covariance * np.outer(self.sd, self.sd), evidence, misfit, relative, counts, residual_image
        )


def find_maxima(fit: Fit, starts: list[np.ndarray]) -> list[Maximum]:
    """Maxima, the likeliest first: all ``starts`` refined in a few steps under a rough error, the best of them to convergence."""
    error = dataclasses.replace(fit.error, length=3.0 * fit.error.length, relative=4.0 * fit.error.relative)
    rough = Fit(fit.frame, fit.data, fit.mask, fit.prior, error)
    fits = sorted((rough.maximise(start, rough.error.relative, 4) for start in starts), key=lambda item: item[1])
    positions, relative = [], 2.0 * fit.error.relative
    for number, (theta, cost) in enumerate(fits[:MAXIMISED_STARTS]):
        if number and cost > fits[0][1] + (200.0 if number == 1 else NEAR_COST):
            continue
        if any(np.abs(theta - other)[0] < 1.0 and np.abs(theta - other)[1:3].max() < 5e-5 for other in positions):
            continue
        for _ in range(3):
            theta, _ = fit.maximise(theta, relative, 8)
            if number == 0:
                relative = fit.fit_error_size(theta)
        positions.append(theta)
    maxima = sorted((fit.maximum(theta, relative) for theta in positions), key=lambda candidate: candidate.cost)
    distinct: list[Maximum] = []
    for maximum in maxima:
        near = any(
            np.all(np.abs(maximum.theta - other.theta)[:3] < 2.0 * np.sqrt(np.diag(other.covariance))[:3])
            for other in distinct
        )
        if not near and maximum.cost < maxima[0].cost + 10.0:
            distinct.append(maximum)
    return distinct
