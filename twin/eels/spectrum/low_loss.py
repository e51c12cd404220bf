"""Losses to valence electrons: the distribution of single losses, of area 1, and their mean free path as formulas.

Terms are Drude-Lindhard oscillators of the loss function, Im(-1/eps) = sum a E w / ((E^2 - E0^2)^2 + (E w)^2): Drude's plasmon for one term (Egerton,
Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed., eq. 3.43), each with the sum rule for itself (Ritchie & Howie, Phil. Mag. 36, 463,
1977). A gap multiplies them by (1 - gap / E)^p above it: p = 1/2 for direct, 3/2 for indirect transitions (Rafferty & Brown, Phys. Rev. B 58, 10326, 1998).
Losses into a collection semi-angle beta go with ln(1 + (beta / theta_E)^2) (Egerton, eq. 3.32).
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.checks import Number, require
from twin.optics.electrons import momentum_times_velocity

TAIL_NODES = 200
"""Quadrature points of the losses beyond the grid."""


def oscillators(
    energies: Float[Array, " n"],
    positions: Float[Array, " terms"],
    widths: Float[Array, " terms"],
    strengths: Float[Array, " terms"],
) -> Float[Array, " n"]:
    """The loss function at ``energies`` (0 at and below 0): terms at ``positions``, ``widths`` at half maximum, in eV, ``strengths`` a in eV^2 each to one
    scale."""
    loss = jnp.maximum(energies, 0.0)[:, None]
    at, width, strength = positions[None], widths[None], strengths[None]
    return (strength * loss * width / ((loss**2 - at**2) ** 2 + (loss * width) ** 2)).sum(-1)


def gap_factor(energies: Float[Array, " n"], gap: Number, softness: Number, exponent: float) -> Float[Array, " n"]:
    """What a band ``gap`` leaves of losses, its onset ``softness`` eV soft."""
    above = softness * jax.nn.softplus((energies - gap) / softness)
    return (above / (above + gap)) ** exponent


def characteristic_angle(energies: Float[Array, " n"], energy: float) -> Float[Array, " n"]:
    """theta_E in radian of losses in eV for a beam of ``energy`` eV: E / (gamma m v^2)."""
    return energies / momentum_times_velocity(energy)


def collected(energies: Float[Array, " n"], energy: float, collection: float) -> Float[Array, " n"]:
    """Angular factor ln(1 + (beta / theta_E)^2) of losses above 0 into the semi-angle ``collection`` in radian; 0 at and below 0, where no loss is."""
    angle = characteristic_angle(jnp.where(energies > 0.0, energies, 1.0), energy)
    return jnp.where(energies > 0.0, jnp.log1p((collection / angle) ** 2), 0.0)


def beyond(last: Number) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """Energies above ``last`` and weights with which a smooth, falling function is integrated from there on."""
    nodes, weights = np.polynomial.legendre.leggauss(TAIL_NODES)
    share = 0.5 * (nodes + 1.0)
    return last / jnp.asarray(share), 0.5 * last * jnp.asarray(weights / share**2)


def iakoubovskii(energy: float, density: float, collection: float, convergence: float = 0.0) -> float:
    """Inelastic mean free path in angstrom at ``density`` g/cm^3, all losses (Iakoubovskii et al., Microsc. Res. Tech. 71, 626, 2008, eq. 9).

    ``energy`` eV, semi-angles in radian. ValueError for a density or an angle that is not above 0.
    """
    require(math.isfinite(density) and density > 0.0, f"the density is {density} g/cm^3, and must be above 0")
    kilovolts, (alpha, beta) = 1e-3 * energy, _angles(collection, convergence)
    factor = _factor(kilovolts)
    least, most = 5.5 * density**0.3 / (factor * kilovolts), 20.0
    common = alpha**2 + beta**2 + abs(alpha**2 - beta**2)
    logarithm = math.log((common + 2.0 * least**2) / (common + 2.0 * most**2) * most**2 / least**2)
    return 10.0 * 200.0 * factor * kilovolts / (11.0 * density**0.3 * logarithm)


def malis(energy: float, composition: Mapping[int, float], collection: float) -> float:
    """Inelastic mean free path in angstrom of a ``composition`` {atomic number: share} (Malis, Cheng & Egerton, J. Electron Microsc. Tech. 8, 193, 1988).

    ``energy`` eV, ``collection`` radian. ValueError where the collection angle is too small for the formula, or the composition is empty.
    """
    require(
        len(composition) > 0 and min(composition.values()) > 0.0,
        "the composition is empty; give shares of elements above 0",
    )
    numbers, shares = np.array(list(composition)), np.array(list(composition.values()))
    effective = float((shares * numbers**1.3).sum() / (shares * numbers**0.3).sum())
    mean_loss, kilovolts = 7.6 * effective**0.36, 1e-3 * energy
    ratio = 2.0 * _angles(collection, 0.0)[1] * kilovolts / mean_loss
    require(
        ratio > 1.5,
        f"a collection semi-angle of {1e3 * collection:g} mrad is too small for the formula of Malis; take Iakoubovskii's, or measure the mean free path",
    )
    return 10.0 * 106.0 * _factor(kilovolts) * kilovolts / (mean_loss * math.log(ratio))


def _angles(collection: float, convergence: float) -> tuple[float, float]:
    """Convergence and collection in mrad; ValueError for such as cannot be."""
    require(
        math.isfinite(collection) and collection > 0.0,
        f"the collection semi-angle is {collection} rad, and must be above 0",
    )
    require(
        math.isfinite(convergence) and convergence >= 0.0,
        f"the convergence semi-angle is {convergence} rad, and must not be negative",
    )
    return 1e3 * convergence, 1e3 * collection


def _factor(kilovolts: float) -> float:
    """Relativistic factor F of both formulas."""
    return (1.0 + kilovolts / 1022.0) / (1.0 + kilovolts / 511.0) ** 2
