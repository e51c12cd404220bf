"""Counts of a detector: the fraction of the beam times the dose and gain, with black level, readout noise and counting noise.

A recording is uncorrelated from pixel to pixel here (a scanned detector, or any intensity at a dose); a camera, whose pixels share
electrons, is in `camera`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twin.checks import Number, finite, known, not_negative, positive, require

Dose = Number | Float[Array, "..."]

ROUNDING_TOLERANCE = 1e-6
"""Negative fractions down to here are rounding of a transform, and count as zero."""


GAUSSIAN_FROM = 1e5
"""Mean from which Poisson numbers are rounded Gaussian ones: JAX draws in float32, with 3 % too much variance at 1e6 and 40 % at 4e7. The Gaussian's
distribution function is off by less than 1 / (6 sqrt(mean)) = 5e-4."""


def check_dose(dose: Dose) -> None:
    """ValueError unless every ``dose`` is finite and above zero; a traced one is not looked at."""
    positive(
        "dose", dose, "without electrons there are no counts: give the electrons per pixel, above zero", "electrons"
    )


def check_fraction(fraction: Float[Array | np.ndarray, "*n"]) -> None:
    """ValueError if a fraction of the beam is NaN, infinite or negative beyond rounding; a traced one is not looked at."""
    finite("fraction", fraction, "look for a grid, potential or aberration that is not finite before counting")
    if known(fraction) and np.size(fraction):
        lowest = float(np.min(np.asarray(fraction)))
        require(
            lowest >= -ROUNDING_TOLERANCE,
            f"fraction goes down to {lowest}; give shares of the incident beam, zero or more",
        )


def expected_counts(fraction: Float[Array, "*n"], dose_per_pixel: Dose, gain: Number, black: Number) -> Array:
    """Mean counts [*n]: ``gain`` (counts per electron) * ``dose_per_pixel`` (electrons) * ``fraction`` of the beam + ``black`` (counts)."""
    check_dose(dose_per_pixel)
    return gain * dose_per_pixel * fraction + black


def counts_variance(
    fraction: Float[Array, "*n"], dose_per_pixel: Dose, gain: Number, readout: Number = 0.0, excess: float = 1.0
) -> Array:
    """Variance [*n] in counts^2: counting (times ``excess``, 1 for an ideal detector, 1/DQE otherwise) and ``readout`` noise (counts rms)."""
    check_dose(dose_per_pixel)
    require(
        np.isfinite(excess) and excess >= 1.0,
        f"excess is {excess}; no detector counts better than Poisson: give 1 or more",
    )
    return excess * gain**2 * dose_per_pixel * jnp.maximum(fraction, 0.0) + readout**2


def poisson(key: PRNGKeyArray | Array, mean: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Poisson numbers of such a ``mean`` [*n], in its dtype; ``key`` is explicit."""
    few = jax.random.poisson(key, jnp.minimum(mean, GAUSSIAN_FROM)).astype(mean.dtype)
    many = jnp.round(mean + jnp.sqrt(mean) * jax.random.normal(jax.random.fold_in(key, 1), mean.shape, mean.dtype))
    return jnp.where(mean > GAUSSIAN_FROM, many, few)


def sample_electrons(key: PRNGKeyArray | Array, fraction: Float[Array, "*n"], dose: Dose) -> Array:
    """Electrons counted where ``dose`` electrons come and ``fraction`` of them arrives: Poisson numbers, shape and dtype of ``fraction``.

    ``key`` is explicit. ValueError for a dose that is not above zero or a fraction that is negative or not finite; where they are
    traced, Equinox raises a runtime error when the values are known.
    """
    check_dose(dose)
    check_fraction(fraction)
    mean = dose * jnp.maximum(fraction, 0.0)
    if not known(fraction, dose):
        invalid = jnp.any(~jnp.isfinite(mean)) | jnp.any(jnp.asarray(dose) <= 0.0)
        mean = eqx.error_if(mean, invalid, "dose must be above zero, and dose and fraction finite")
    return poisson(key, mean).astype(fraction.dtype)


def sample_counts(
    key: PRNGKeyArray | Array,
    fraction: Float[Array, "*n"],
    dose_per_pixel: Dose,
    gain: Number,
    black: Number,
    readout: Number = 0.0,
) -> Array:
    """One noisy recording [*n] in counts: Poisson electrons through ``gain``, plus ``black`` and Gaussian ``readout`` noise. ``key`` is explicit."""
    not_negative("readout", readout, "give zero or more", "counts rms")
    shots, hum = jax.random.split(key)
    electrons = sample_electrons(shots, fraction, dose_per_pixel)
    return gain * electrons + black + readout * jax.random.normal(hum, fraction.shape, fraction.dtype)
