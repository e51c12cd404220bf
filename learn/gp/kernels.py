"""Covariance functions for a map over a scanned area: by position, and by what a fine image shows around each pixel.

Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), ch. 4; arrays are float64 since Cholesky factors need it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

CONSTANT_VARIANCE = 25.0
"""Prior variance of the map's mean level, in units of the spread of the measured values: it says nearly nothing."""


def matern32(squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Matern covariance of smoothness 3/2 at squared scaled distances."""
    r = jnp.sqrt(3.0 * squared + 1e-12)  # the offset keeps the derivative finite at zero distance
    return (1.0 + r) * jnp.exp(-r)


def matern52(squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Matern covariance of smoothness 5/2 at squared scaled distances."""
    r = jnp.sqrt(5.0 * squared + 1e-12)
    return (1.0 + r + r**2 / 3.0) * jnp.exp(-r)


def squared_distance(
    a: Float[Array, "n d"], b: Float[Array, "m d"], log_lengths: Float[Array, " d"]
) -> Float[Array, "n m"]:
    """Squared distance between rows, each column measured in its own length (automatic relevance determination).

    Written as |a|^2 + |b|^2 - 2 a.b so that it and its derivative are matrix products; rounding is clipped at zero.
    """
    inverse = jnp.exp(-log_lengths)[None, :]
    a, b = a * inverse, b * inverse
    squares = jnp.sum(a**2, axis=1)[:, None] + jnp.sum(b**2, axis=1)[None, :]
    return jnp.maximum(squares - 2.0 * a @ b.T, 0.0)


class Prior(NamedTuple):
    """Independent normal priors of the kernel's parameters, all of them logarithms."""

    mean: Float[np.ndarray, " p"]
    std: Float[np.ndarray, " p"]


class MapParameters(NamedTuple):
    """The parameters by name. Amplitudes in units of the spread of the values, lengths in pixels or standard deviations of a feature."""

    grain: Float[Array, ""]
    smooth: Float[Array, ""]
    smooth_lengths: Float[Array, " 2"]
    local: Float[Array, ""]
    local_lengths: Float[Array, " 2"]
    feature_lengths: Float[Array, " f"]


def unpack(theta: Float[Array, " p"]) -> MapParameters:
    """Parameters of the vector [grain, smooth, lengths y x, local, lengths y x, feature lengths]."""
    return MapParameters(theta[0], theta[1], theta[2:4], theta[4], theta[5:7], theta[7:])


def map_prior(span: float, features: int) -> Prior:
    """Prior for a map ``span`` pixels long with that many standardised features.

    Most of the map varies over a sixth of its length, the rest with the features over an eighth; a feature is taken to matter little until
    the data say otherwise (its length starts at three of its standard deviations); grain, variation from one pixel to the next that nothing
    explains, is a tenth.
    """
    log = np.log
    mean = [
        log(0.1),
        log(0.7),
        log(span / 6),
        log(span / 6),
        log(0.5),
        log(span / 8),
        log(span / 8),
        *[log(3.0)] * features,
    ]
    std = [1.0, *[0.7] * 6, *[1.0] * features]
    return Prior(np.array(mean), np.array(std))


def map_covariance(
    theta: Float[Array, " p"],
    position_a: Float[Array, "n 2"],
    feature_a: Float[Array, "n f"],
    position_b: Float[Array, "m 2"],
    feature_b: Float[Array, "m f"],
    same: Float[Array, "n m"],
) -> Float[Array, "n m"]:
    """Prior covariance of the map between two sets of pixels: a level, a smooth part, a part that follows the image, and grain.

    The part that follows the image is a product over position and features, so that what a feature means may change across the map
    (other columns, other cations). Grain is shared only by a pixel with itself: ``same`` is 1 there and 0 elsewhere.
    """
    p = unpack(theta)
    smooth = jnp.exp(2.0 * p.smooth) * matern32(squared_distance(position_a, position_b, p.smooth_lengths))
    both_a, both_b = jnp.concatenate([position_a, feature_a], axis=1), jnp.concatenate([position_b, feature_b], axis=1)
    lengths = jnp.concatenate([p.local_lengths, p.feature_lengths])
    local = jnp.exp(2.0 * p.local) * matern52(squared_distance(both_a, both_b, lengths))
    return CONSTANT_VARIANCE + smooth + local + jnp.exp(2.0 * p.grain) * same
