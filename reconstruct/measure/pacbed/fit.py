"""The climb: maxima of a pattern's posterior by Gauss-Newton, the model's error marginalised, its size learnt from the image."""

import dataclasses
import math

import numpy as np

from reconstruct.measure.pacbed.model import Frame
from reconstruct.measure.pacbed.model_error import ModelError, Whitened, cosines

KEPT = 2
"""How many of the starts are climbed from to the top."""
SIZES = np.exp(np.linspace(np.log(0.003), np.log(0.6), 41))
"""Sizes of the relative error that an image may ask for."""


@dataclasses.dataclass(frozen=True)
class Top:
    """A maximum: parameters [16], their covariance, minus log posterior, what was expected, and the size of the model's error."""

    theta: np.ndarray
    covariance: np.ndarray
    cost: float
    misfit: float
    relative: float
    expected: np.ndarray
    residual: np.ndarray


class Fit:
    """One image and what is known before: ``data`` [y, x] in counts at its ``kept`` pixels, prior ``mean`` and ``sd`` [16] of NAMES."""

    def __init__(
        self, frame: Frame, data: np.ndarray, kept: np.ndarray, mean: np.ndarray, sd: np.ndarray, error: ModelError
    ):
        self.frame, self.data, self.kept, self.mean, self.sd, self.error = frame, data, kept, mean, sd, error
        x, y = frame.directions(mean, fine=False)
        self.field = cosines(x[kept], y[kept], error.length)
        self.low = mean - 6.0 * sd
        self.high = mean + 6.0 * sd
        made = frame.made
        self.low[0], self.high[0] = made.thinnest, made.thickest
        for place in (1, 2):
            self.low[place], self.high[place] = -made.tilted, made.tilted
        self.low[[12, 14]], self.high[[12, 14]] = -0.05, 0.6
        self.low[[13, 15]] = 0.0, 0.3

    def variance(self, counts: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """Of single pixels, counts^2, from images [y, x], the rate being no lower than a thousandth of the brightest.

        Where a camera spreads its noise this is the noise power at low frequencies, where patterns have their structure: more than it has at high ones.
        """
        camera = self.frame.camera
        steep = np.hypot(*np.gradient(signal))[self.kept] * self.error.edge
        counts, signal = counts[self.kept], signal[self.kept]
        arrived = np.maximum(counts - float(camera.dark), 1e-3 * signal.max())
        own = float(camera.readout) ** 2 + float(camera.dark_noise) ** 2
        gains = self.frame.gains[self.kept]
        return gains * arrived / float(camera.efficiency) + own + (self.error.grain * signal) ** 2 + steep**2

    def _system(self, theta: np.ndarray, white: Whitened, relative: float):
        counts, signal, slopes = self.frame.linearised(theta)
        kept = self.kept
        columns = np.concatenate([(self.data - counts)[kept][:, None], (slopes[:, kept] * self.sd[:, None]).T], axis=1)
        made = white.project(columns)
        everything = white.quadratic(made, made, relative)
        z = (theta - self.mean) / self.sd
        cost = 0.5 * everything[0, 0] + 0.5 * z @ z
        return cost, everything[1:, 0] - z, everything[1:, 1:] + np.eye(len(z)), made, counts, signal

    def whitened(self, theta: np.ndarray) -> Whitened:
        counts, signal, _ = self.frame.linearised(theta)
        signal = np.maximum(signal, 0.0)
        return Whitened(self.field, signal[self.kept], self.variance(counts, signal))

    def climb(self, theta: np.ndarray, relative: float, steps: int) -> tuple[np.ndarray, float]:
        """Gauss-Newton with damping under an error fixed where it begins."""
        white = self.whitened(theta)
        cost, down, curvature, *_ = self._system(theta, white, relative)
        damping = 1e-3
        for _ in range(steps):
            lifted = curvature + damping * np.diag(np.diag(curvature))
            trial = np.clip(theta + self.sd * np.linalg.solve(lifted, down), self.low, self.high)
            new, *rest = self._system(trial, white, relative)
            if new < cost:
                gained, theta, cost, (down, curvature, *_) = cost - new, trial, new, rest
                damping = max(0.1 * damping, 1e-6)
                if gained < 0.02:
                    break
            else:
                damping *= 10.0
                if damping > 1e4:
                    break
        return theta, cost

    def size(self, theta: np.ndarray) -> float:
        """The size of the model's error with most evidence, linearised here, under its prior."""
        white = self.whitened(theta)
        _, _, _, made, *_ = self._system(theta, white, self.error.relative)
        z = (theta - self.mean) / self.sd
        best, chosen = math.inf, self.error.relative
        for relative in SIZES:
            all_ = white.quadratic(made, made, relative)
            down, curvature = all_[1:, 0] - z, all_[1:, 1:] + np.eye(len(z))
            step = np.linalg.solve(curvature, down)
            cost = 0.5 * all_[0, 0] + 0.5 * z @ z - 0.5 * down @ step + 0.5 * white.volume(relative)
            cost += 0.5 * np.linalg.slogdet(curvature)[1]
            cost += 0.5 * (math.log(relative / self.error.relative) / self.error.spread) ** 2
            if cost < best:
                best, chosen = cost, float(relative)
        return chosen

    def top(self, theta: np.ndarray, relative: float) -> Top:
        """The maximum with all that is told of it; counting that is more uneven than it should be widens it."""
        white = self.whitened(theta)
        cost, _, curvature, made, counts, _ = self._system(theta, white, relative)
        residual = (made[0][:, :1], made[1][:, :1])
        whole = float(white.quadratic(residual, residual, relative)[0, 0])
        misfit = whole / max(int(self.kept.sum()) - len(theta), 1)
        covariance = np.linalg.inv(curvature) * max(1.0, misfit)
        shown = np.full(self.data.shape, np.nan)
        shown[self.kept] = residual[0][:, 0]
        evidence = cost / max(1.0, misfit) + 0.5 * white.volume(relative) + 0.5 * float(np.linalg.slogdet(curvature)[1])
        return Top(theta, covariance * np.outer(self.sd, self.sd), evidence, misfit, relative, counts, shown)


def climbed(fit: Fit, rough: Fit, starts: list[np.ndarray]) -> list[Top]:
    """Maxima, the likeliest first: all ``starts`` climbed a little under a ``rough`` error, the best of them to the top."""
    tried = sorted((rough.climb(one, rough.error.relative, 4) for one in starts), key=lambda item: item[1])
    found, relative = [], 2.0 * fit.error.relative
    for number, (theta, cost) in enumerate(tried[:KEPT]):
        if number and cost > tried[0][1] + 200.0:
            continue
        for _ in range(3):
            theta, _ = fit.climb(theta, relative, 8)
            if number == 0:
                relative = fit.size(theta)
        found.append(theta)
    tops = sorted((fit.top(theta, relative) for theta in found), key=lambda one: one.cost)
    kept: list[Top] = []
    for one in tops:
        near = any(
            np.all(np.abs(one.theta - other.theta)[:3] < 2.0 * np.sqrt(np.diag(other.covariance))[:3]) for other in kept
        )
        if not near and one.cost < tops[0].cost + 10.0:
            kept.append(one)
    return kept
