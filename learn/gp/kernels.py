"""Covariance functions of a map over a scanned area, by position and by features of a fine image around each pixel.

Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), ch. 4; arrays are float64, as Cholesky factors need.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

CONSTANT_VARIANCE = 25.0
"""Prior variance of the mean level, in units of the spread of the measured values: nearly uninformative."""


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
    """The parameters by name. Amplitudes in units of the spread of the values, lengths in pixels or standard deviations of a feature;
    ``blur`` in angstrom, where the pixels have a response (see `map_covariance`)."""

    grain: Float[Array, ""]
    smooth: Float[Array, ""]
    smooth_lengths: Float[Array, " 2"]
    local: Float[Array, ""]
    local_lengths: Float[Array, " 2"]
    feature_lengths: Float[Array, " f"]
    blur: Float[Array, ""] | None = None


def unpack(theta: Float[Array, " p"], blur: bool = False) -> MapParameters:
    """Parameters of the vector [grain, smooth, lengths y x, local, lengths y x, feature lengths], and last, if it is there, ``blur``."""
    last = theta.shape[0] - blur
    return MapParameters(
        theta[0], theta[1], theta[2:4], theta[4], theta[5:7], theta[7:last], theta[last] if blur else None
    )


def map_prior(span: float, features: int, blur: bool = False) -> Prior:
    """Prior for a map ``span`` pixels long with ``features`` standardised features.

    The smooth part has a correlation length of a sixth of the map, the part with features of an eighth; the length of a feature starts at three of its
    standard deviations (little influence); grain, the unexplained variation between neighbouring pixels, is a tenth.
    ``blur``: with the width of what blurs the response of pixels, 0.6 angstrom within a factor of 1.6 (source size, drift and vibration of a scan).
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
    if blur:
        mean.append(log(0.6))
        std.append(0.5)
    return Prior(np.array(mean), np.array(std))


def responses(
    theta: Float[Array, " p"], harmonics: Float[Array, "n h"], rates: Float[Array, " h"]
) -> Float[Array, " n"]:
    """Relative response of pixels, 1 + sum harmonics exp(-blur^2 rates), for the blur that ends the parameters ``theta``."""
    return 1.0 + harmonics @ jnp.exp(-jnp.exp(2.0 * theta[-1]) * rates)


def map_covariance(
    theta: Float[Array, " p"],
    position_a: Float[Array, "n 2"],
    feature_a: Float[Array, "n f"],
    position_b: Float[Array, "m 2"],
    feature_b: Float[Array, "m f"],
    same: Float[Array, "n m"],
    harmonics_a: Float[Array, "n h"] | None = None,
    harmonics_b: Float[Array, "m h"] | None = None,
    rates: Float[Array, " h"] | None = None,
) -> Float[Array, "n m"]:
    """Prior covariance of the map between two sets of pixels: constant, smooth part, feature part, and grain.

    The feature part is a product over position and features, so that the effect of a feature may vary across the map. Grain is shared only by a pixel with
    itself: ``same`` is 1 there and 0 elsewhere.

    With ``harmonics`` and ``rates`` all but the grain is multiplied by the known relative response of each pixel, 1 + sum harmonics exp(-blur^2 rates),
    so that the process is what a pixel would give if it were like the others (atoms per area).
    """
    responds = rates is not None and rates.size > 0 and harmonics_a is not None and harmonics_b is not None
    p = unpack(theta, responds)
    smooth = jnp.exp(2.0 * p.smooth) * matern32(squared_distance(position_a, position_b, p.smooth_lengths))
    both_a, both_b = jnp.concatenate([position_a, feature_a], axis=1), jnp.concatenate([position_b, feature_b], axis=1)
    lengths = jnp.concatenate([p.local_lengths, p.feature_lengths])
    local = jnp.exp(2.0 * p.local) * matern52(squared_distance(both_a, both_b, lengths))
    process = CONSTANT_VARIANCE + smooth + local
    if rates is not None and p.blur is not None and harmonics_a is not None and harmonics_b is not None:
        process = (
            process * responses(theta, harmonics_a, rates)[:, None] * responses(theta, harmonics_b, rates)[None, :]
        )
    return process + jnp.exp(2.0 * p.grain) * same
