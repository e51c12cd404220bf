"""Evidence for a Gaussian process: the log density of each measured value, predicted from the others.

Leave-one-out densities of one process in closed form: Rasmussen & Williams (2006), eq. 5.10 to 5.12. Over draws of its parameters given all values they are
reweighted by importance sampling (Gelfand, Dey & Chang 1992), the weights truncated (Ionides 2008).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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


def pooled(log_density: Float[np.ndarray, "k m"], weights: Float[np.ndarray, " k"]) -> Float[np.ndarray, " m"]:
    """Log density of each left-out value over k draws of parameters given all values, with their posterior ``weights``.

    >>> pooled(np.log([[0.5, 0.2], [0.5, 0.1]]), np.ones(2) / 2).round(4).tolist()
    [-0.6931, -2.0149]
    """
    share = left_out_weights(log_density, weights)
    return np.log(np.maximum((share * np.exp(log_density)).sum(0), 1e-300))


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


class Comparison(NamedTuple):
    """Which of two models predicts the measured values better, each from the others: ``difference`` of the summed log densities (second minus first, in
    nats) with its standard ``error`` over the values (Vehtari, Gelman & Gabry, Stat. Comput. 27, 1413, 2017)."""

    used: str
    difference: float
    error: float

    def __str__(self) -> str:
        return f"{self.used} is used: {self.difference:+.1f} ± {self.error:.1f} nats for the deep kernel, each value predicted from the others"


def compare(plain: Float[np.ndarray, " m"], deep: Float[np.ndarray, " m"]) -> Comparison:
    """The better of two models by the log densities of the same left-out values.

    >>> compare(np.array([-1.0, -2.0, -1.5]), np.array([-0.5, -1.0, -1.5])).used
    'the deep kernel'
    """
    if plain.shape != deep.shape:
        raise ValueError(
            f"log densities of {plain.size} and {deep.size} values; compare models of the same measurements"
        )
    each = deep - plain
    difference = float(each.sum())
    used = "the deep kernel" if difference > 0 else "the plain kernel"
    return Comparison(used, difference, float(np.sqrt(each.size) * each.std()))
