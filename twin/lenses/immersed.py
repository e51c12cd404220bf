"""Cs and Cc of an object immersed in a bell-shaped field: Glaser's closed-form rays in the aberration integrals.

The same integrals as in `twin.lenses.cardinal`, by Gauss-Legendre quadrature over phi, which for these rays (products of sines) converges at once.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.lenses.fields import GlaserBell, Scalar
from twin.lenses.paraxial import larmor, phi_of

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


class Axial(NamedTuple):
    """Cs and Cc in angstrom, referred to the object."""

    spherical: Float[Array, ""]
    chromatic: Float[Array, ""]


def postfield(bell: GlaserBell, specimen: Scalar, energy: Scalar) -> Axial:
    """Aberrations of the field behind the ``specimen`` plane: the imaging half of the objective."""
    return _between(bell, phi_of(bell, specimen), energy)


def prefield(bell: GlaserBell, specimen: Scalar, energy: Scalar) -> Axial:
    """Aberrations of the field before the ``specimen`` plane: the probe-forming half of the objective, by reversing the rays."""
    return _between(bell, jnp.pi - phi_of(bell, specimen), energy)


def _between(bell: GlaserBell, first: Float[Array, ""], energy: Scalar) -> Axial:
    a = checks.float64(bell.half_width)
    k = larmor(checks.float64(bell.peak), energy) * a
    omega = jnp.sqrt(1.0 + k**2)
    phi = 0.5 * first * (1.0 + _NODES)
    weight = 0.5 * first * _WEIGHTS
    s, c = jnp.sin(omega * (first - phi)), jnp.cos(omega * (first - phi))
    sine, cosine = jnp.sin(phi), jnp.cos(phi)
    spread = s**4 * (3 * k**2 * sine**2 + 4 * cosine**2) - s**2 * (omega * c * sine + s * cosine) ** 2
    scale = k**2 * a / jnp.sin(first) ** 2
    return Axial(
        scale / (2 * omega**4 * jnp.sin(first) ** 2) * jnp.sum(weight * spread),
        scale / omega**2 * jnp.sum(weight * s**2),
    )
