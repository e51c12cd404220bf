"""Images from few probes: what lies between them follows, because no image has frequencies beyond twice the aperture's.

Between probes at places r_i the image is the mean of a Gaussian process (kriging) whose power ends at 2 alpha / lambda: along each axis the
square of an aberration-free lens's incoherent transfer function, that of a round aperture,

    S(g) = T(g)^2,   T(g) = 2 / pi (arccos t - t sqrt(1 - t^2)),   t = |g| lambda / (2 alpha),

as of white detail seen through such a lens. Aberrations move power within that band and not beyond it. The standard deviation of the
process is the stated error: it knows how far apart the probes are, and how near the end of the raster. A Gaussian source is part of what is
asked of the process, not a filter afterwards: exact whether or not the field of view is periodic.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

NOISE = 1e-9
"""Variance of a probe's value that is not the image's, as a share of the image's: single precision."""
STEPS = tuple(0.95 - 0.05 * n for n in range(11))
"""Distances between probes that are tried, as shares of the largest that the band allows, lambda / (4 alpha)."""
BEYOND = 6
"""Most probes beyond either end of the axis, besides those that a source needs."""


class Axis(NamedTuple):
    """Probes ``at`` [n] (angstrom) along one axis, ``weights`` [m, n] of their values in those that are wanted, the process's variance at the worst
    of these, and what it would be without probes, for an image of variance 1 before the source."""

    at: np.ndarray
    weights: np.ndarray
    variance: float
    prior: float


class Raster(NamedTuple):
    """Probes along ``x`` and ``y``; ``spread``: standard deviation of the worst value between them, as a share of the image's rms contrast."""

    x: Axis
    y: Axis
    spread: float

    @property
    def probes(self) -> int:
        """How many there are."""
        return len(self.x.at) * len(self.y.at)

    def spots(self) -> Float[np.ndarray, "p 2"]:
        """Places (x, y) of all probes, line by line."""
        x, y = np.meshgrid(self.x.at, self.y.at)
        return np.stack([x.ravel(), y.ravel()], axis=-1)

    def image(self, values: Float[np.ndarray, "*batch p"]) -> Float[np.ndarray, "*batch my mx"]:
        """The values that are wanted from those of all probes."""
        found = values.reshape(*values.shape[:-1], len(self.y.at), len(self.x.at)).astype(np.float64)
        mean = found.mean(axis=(-2, -1), keepdims=True)
        return mean + self.y.weights @ (found - mean) @ self.x.weights.T


def axis(at: Float[np.ndarray, " n"], wanted: Float[np.ndarray, " m"], reach: float, source: float = 0.0) -> Axis:
    """What probes ``at`` say of the places ``wanted`` (angstrom) in an image with frequencies up to ``reach`` (1/angstrom), averaged over a Gaussian
    source of rms ``source`` angstrom."""
    length = float(np.ptp(np.concatenate([at, wanted])))
    nodes, shares = np.polynomial.legendre.leggauss(32 + math.ceil(4.0 * reach * length))
    g, t = 0.5 * reach * (nodes + 1.0), 0.5 * (nodes + 1.0)
    transfer = 2.0 / math.pi * (np.arccos(t) - t * np.sqrt(1.0 - t**2))
    power = shares * transfer**2 / np.sum(shares * transfer**2)
    blur = np.exp(-2.0 * (math.pi * source * g) ** 2)

    def features(places: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
        angle = 2.0 * math.pi * (places[:, None] - at[0]) * g[None, :]
        return np.concatenate([np.cos(angle) * amplitude[None, :], np.sin(angle) * amplitude[None, :]], axis=1)

    of_probes, of_wanted = features(at, np.sqrt(power)), features(wanted, np.sqrt(power) * blur)
    between = of_wanted @ of_probes.T
    factor = cho_factor(of_probes @ of_probes.T + NOISE * np.eye(len(at)))
    weights = cho_solve(factor, between.T).T
    prior = float(np.sum(power * blur**2))
    variance = prior - np.sum(weights * between, axis=1)
    return Axis(at, weights, max(float(variance.max()), 0.0), prior)


def sparsest(wanted: Float[np.ndarray, " m"], reach: float, source: float = 0.0, spread: float = 1e-3) -> Axis | None:
    """The fewest evenly spaced probes that tell the values ``wanted`` to ``spread`` (as a share of the rms contrast); None if none of those tried do."""
    if source == 0.0 and len(wanted) == 1:
        return Axis(wanted, np.eye(1), 0.0, 1.0)
    low, high = float(wanted.min()), float(wanted.max())
    found: Axis | None = None
    for share in STEPS:
        step = share / (2.0 * reach)
        inside = max(math.ceil((high - low) / step - 1e-9), 1)
        step = min(step, (high - low) / inside) if high > low else step
        least = math.floor(2.0 * source / step)
        for beyond in range(least, least + math.ceil(2.0 * source / step) + BEYOND + 1):
            count = (inside + 1 if high > low else 1) + 2 * beyond
            if found is not None and count >= len(found.at):
                break
            one = axis(low + (np.arange(count) - beyond) * step, wanted, reach, source)
            if one.variance <= spread**2:
                found = one
                break
    if source == 0.0 and (found is None or len(found.at) >= len(wanted)):
        return Axis(wanted, np.eye(len(wanted)), 0.0, 1.0)
    return found


def raster(
    x: Float[np.ndarray, " mx"], y: Float[np.ndarray, " my"], reach: float, source: float = 0.0, spread: float = 1e-3
) -> Raster | None:
    """The fewest probes that tell an image at all pairs of ``x`` and ``y`` to ``spread``; None if none of those tried do."""
    axes = [sparsest(np.asarray(along, np.float64), reach, source, spread / math.sqrt(2.0)) for along in (x, y)]
    if axes[0] is None or axes[1] is None:
        return None
    known = [one.prior - one.variance for one in axes if one is not None]
    variance = axes[0].prior * axes[1].prior - known[0] * known[1]
    return Raster(axes[0], axes[1], math.sqrt(max(variance, 0.0)))
