"""Detectors: which angles they see, how strongly, and the counts they give with black level, gain and counting noise."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


@dataclass(frozen=True)
class Annular:
    """An annular detector: ``inner`` and ``outer`` scattering angle in radian, ``edge`` width of a linear soft edge in radian.

    ``response`` is its polynomial efficiency in (angle - middle) / half-width, constant term first; (1.0,) is uniform.
    """

    inner: float
    outer: float
    edge: float = 0.0
    response: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not (0.0 <= self.inner < self.outer and math.isfinite(self.outer) and self.edge >= 0.0):
            raise ValueError(
                f"an annular detector from {self.inner} to {self.outer} rad with an edge of {self.edge} rad is not possible; "
                "give 0 <= inner < outer in radian"
            )

    def weights(self, kx: np.ndarray, ky: np.ndarray, wavelength: float) -> np.ndarray:
        """Response at spatial frequencies in 1/angstrom (broadcast together): see `annular`."""
        weight = annular(kx, ky, wavelength, self.inner, self.outer, self.edge)
        place = (2.0 * wavelength * np.hypot(kx, ky) - self.inner - self.outer) / (self.outer - self.inner)
        return weight * np.polynomial.polynomial.polyval(np.clip(place, -1.0, 1.0), np.asarray(self.response))


def annular(
    kx: np.ndarray, ky: np.ndarray, wavelength: float, inner: float, outer: float, edge: float = 0.0
) -> np.ndarray:
    """Share of electrons seen at (kx, ky) in 1/angstrom by a ring from ``inner`` to ``outer`` radian, edges ``edge`` radian wide.

    The angle is lambda |k|, the paraxial one in which the propagator and the aberrations are written.
    """
    angle = wavelength * np.hypot(kx, ky)
    if edge <= 0.0:
        return ((angle >= inner) & (angle < outer)).astype(np.float64)
    rise = 1.0 if inner <= 0.0 else np.clip((angle - inner) / edge + 0.5, 0.0, 1.0)
    return rise * np.clip((outer - angle) / edge + 0.5, 0.0, 1.0)


def expected_counts(
    fraction: Float[Array, "*n"],
    dose_per_pixel: float | Float[Array, ""],
    gain: float | Float[Array, ""],
    black: float | Float[Array, ""],
) -> Float[Array, "*n"]:
    """Mean counts: ``gain`` (counts per electron) * ``dose_per_pixel`` (electrons) * ``fraction`` of the beam + ``black`` (counts)."""
    return gain * dose_per_pixel * fraction + black


def counts_variance(
    fraction: Float[Array, "*n"],
    dose_per_pixel: float | Float[Array, ""],
    gain: float | Float[Array, ""],
    readout: float | Float[Array, ""] = 0.0,
    excess: float = 1.0,
) -> Float[Array, "*n"]:
    """Variance in counts^2: counting (times ``excess``, 1 for an ideal detector) and ``readout`` noise (counts rms)."""
    return excess * gain**2 * dose_per_pixel * jnp.maximum(fraction, 0.0) + readout**2


def sample_counts(
    key: PRNGKeyArray | Array,
    fraction: Float[Array, "*n"],
    dose_per_pixel: float | Float[Array, ""],
    gain: float | Float[Array, ""],
    black: float | Float[Array, ""],
    readout: float | Float[Array, ""] = 0.0,
) -> Float[Array, "*n"]:
    """One noisy recording in counts: Poisson electrons through ``gain``, plus ``black`` and Gaussian ``readout`` noise. ``key`` is explicit."""
    shots, hum = jax.random.split(key)
    electrons = jax.random.poisson(shots, dose_per_pixel * jnp.maximum(fraction, 0.0)).astype(fraction.dtype)
    return gain * electrons + black + readout * jax.random.normal(hum, fraction.shape, fraction.dtype)
