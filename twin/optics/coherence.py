"""Quasi-coherent envelopes: the damping of interference between the direct and a scattered beam by partial coherence.

A linear image is made by the direct beam k0 (the illumination's tilt) and a beam at k0 + q. When a defocus or a tilt is spread with a
Gaussian, the phase between them is spread too, and its average is exp(-variance / 2), the phase taken to first order in the spread.
Amplitudes at q are multiplied by it. It holds for weak specimens, where beams interfere with the direct one alone (Frank, Optik 38, 519,
1973; Ishizuka, Ultramicroscopy 5, 55, 1980); explicit averaging is `twin.optics.averaging.averaged_image`.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from twin import checks
from twin.optics.aberrations import phase_gradient
from twin.optics.probe import Tilt
from twin.optics.source import Scalar


def defocus_phase(
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    wavelength: float,
    tilt: Tilt = (0.0, 0.0),
) -> Float[Array, " *n"]:
    """Phase in radian per angstrom of C10, pi lambda (|k0 + q|^2 - |k0|^2), between the beams k0 + q and k0 = ``tilt`` / lambda."""
    x, y = checks.float64(kx), checks.float64(ky)
    towards = checks.float64(tilt)
    return jnp.pi * (wavelength * (x**2 + y**2) + 2.0 * (towards[0] * x + towards[1] * y))


def temporal_envelope(
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    wavelength: float,
    focal_spread: Scalar,
    tilt: Tilt = (0.0, 0.0),
) -> Float[Array, " *n"]:
    """exp(-(pi lambda Delta q^2)^2 / 2) for an rms ``focal_spread`` Delta in angstrom, at q = (``kx``, ``ky``) in 1/angstrom from the direct beam.

    The 1/2 goes with the rms; with a 1/e half-width, which is sqrt(2) rms, it is 1/4.
    """
    angle = focal_spread * defocus_phase(kx, ky, wavelength, tilt)
    return jnp.exp(-0.5 * angle**2)


def spatial_envelope(
    coefficients: Float[Array | np.ndarray, " 25"],
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    wavelength: float,
    convergence: Scalar,
    tilt: Tilt = (0.0, 0.0),
) -> Float[Array, " *n"]:
    """exp(-(s / lambda)^2 |grad chi(k0 + q) - grad chi(k0)|^2 / 2), s the rms ``convergence`` along one axis in radian.

    Tilting the illumination by t turns the phase between the beams by (t / lambda) . (grad chi(k0 + q) - grad chi(k0)) to first order in t, and
    t is Gaussian with covariance s^2 along both axes. With all aberrations, through `phase_gradient`.
    """
    start = checks.float64(tilt) / wavelength
    x, y = jnp.broadcast_arrays(checks.float64(kx) + start[0], checks.float64(ky) + start[1])
    # the direct beam in the same call: a second one would double the program
    points = (jnp.concatenate([part.reshape(-1), first[None]]) for part, first in zip((x, y), start, strict=True))
    slopes = phase_gradient(coefficients, *points, wavelength)
    scattered, direct = slopes[:, :-1].reshape(2, *x.shape), slopes[:, -1].reshape(2, *(1,) * x.ndim)
    return jnp.exp(-0.5 * (convergence / wavelength) ** 2 * jnp.sum((scattered - direct) ** 2, axis=0))
