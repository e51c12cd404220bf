"""How well a Gaussian process predicts values that it does not know: each from the others, and each before it was measured.

Leave-one-out densities of one process in closed form: Rasmussen & Williams (2006), eq. 5.10 to 5.12. Over draws of its parameters given all values they are
reweighted by importance sampling (Gelfand, Dey & Chang 1992), the weights truncated (Ionides 2008).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import expit

LOG_SCALE_STD = 0.3
"""Prior standard deviation of the logarithm of the factor on variances (`calibration`)."""


def left_out(root: Float[Array, "m m"], values: Float[Array, " m"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Deviation of each of the ``values`` from its prediction by the others, and the variance of that; ``root`` is the Cholesky factor of the covariance of
    the values, noise included."""
    inverse = jax.scipy.linalg.cho_solve((root, True), jnp.eye(values.size, dtype=values.dtype))
    precision = jnp.diag(inverse)
    return (inverse @ values) / precision, 1.0 / precision


def log_normal(off: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Log density of normal deviations."""
    return -0.5 * (np.log(2.0 * np.pi * variance) + off**2 / variance)


def left_out_weights(
    log_density: Float[np.ndarray, "k m"], weights: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "k m"]:
    """Weights of k draws of parameters without each value, from their posterior ``weights`` given all and the density of the value by each draw: the share
    that the value itself had is taken back, so that draws that predict it badly count more."""
    log = np.log(np.maximum(weights, 1e-300))[:, None] - log_density
    ratios = np.exp(log - log.max(0))
    ratios = np.minimum(ratios, ratios.mean(0) * np.sqrt(len(weights)))
    return ratios / ratios.sum(0)


def calibration(
    off: Float[np.ndarray, "k m"],
    spread: Float[np.ndarray, "k m"],
    noise: Float[np.ndarray, "k m"],
    weights: Float[np.ndarray, " k"],
) -> float:
    """Factor on the variance of a map by which its left-out predictions (`left_out`, of k draws; ``noise`` is its part of ``spread``) are most probable.

    The logarithm of the factor has a normal prior of standard deviation LOG_SCALE_STD: a few dozen deviations tell it to a fifth only.
    """
    share = left_out_weights(log_normal(off, spread), weights)
    mean = (share * off).sum(0)
    variance = (share * (spread - noise)).sum(0) + (share * (off - mean) ** 2).sum(0)
    level = (share * noise).sum(0)
    factors = np.exp(np.linspace(-1.2, 1.2, 121))
    scores = [
        log_normal(mean, factor * variance + level).sum() - 0.5 * (np.log(factor) / LOG_SCALE_STD) ** 2
        for factor in factors
    ]
    return float(factors[int(np.argmax(scores))])


class Evidence(NamedTuple):
    """``nats``: log of how much more probable the second of two models made ``count`` values before they were measured; ``weight`` of that model."""

    nats: float = 0.0
    count: int = 0

    @property
    def weight(self) -> float:
        """Probability of the second model, both being as probable at first."""
        return float(expit(self.nats))


def log_score(
    mean: Float[np.ndarray, " m"], covariance: Float[np.ndarray, "m m"], values: Float[np.ndarray, " m"]
) -> float:
    """Log density of ``values`` by a normal prediction, noise included: what they say for the model that made it before they were known.

    Summed over batches this is the evidence for a model (Dawid, J. R. Stat. Soc. A 147, 278, 1984). It cannot be raised by training, as values that a model
    was trained on do not enter.
    """
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, values - mean)
    return float(-0.5 * white @ white - np.log(root.diagonal()).sum() - 0.5 * values.size * np.log(2.0 * np.pi))
