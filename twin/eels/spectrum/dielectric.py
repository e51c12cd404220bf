"""Losses by a dielectric function: in the volume, and by the surfaces of both faces (Egerton, Electron Energy-Loss Spectroscopy, 3rd ed., section 3.3).

Per thickness: dP/dE dz = Im(-1/eps) ln(1 + (beta/theta_E)^2) / (pi a0 m v^2). Both faces of a slab that is thick enough for them not to couple, at normal
incidence: dP/dE = [atan(beta/theta_E)/theta_E - beta/(beta^2 + theta_E^2)] Im[(eps - 1)^2 / (eps (eps + 1))] / (pi a0 k0 T), T = m v^2 / 2. The imaginary
part is 4 Im(-1/(eps + 1)) - Im(-1/eps): the surface plasmon, less the volume losses that the surfaces take away (Begrenzung; Ritchie, Phys. Rev. 106, 874,
1957).
"""

import math
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from twin.checks import require
from twin.eels.atoms.solver.potential import BOHR
from twin.eels.spectrum.low_loss import beyond, characteristic_angle, collected
from twin.optics.electrons import REST_ENERGY_EV, wavelength


class Table(NamedTuple):
    """A dielectric function ``values`` [n] (complex, imaginary part not negative) at rising ``energies`` [n] in eV."""

    energies: Float[np.ndarray, " n"]
    values: Any


def dielectric_table(energies: Float[np.ndarray, " n"], values: Complex[np.ndarray, " n"]) -> Table:
    """A checked `Table`; ValueError for energies that do not rise from above 0, values that are not finite, or gain of energy (imaginary part below 0)."""
    energies, eps = np.asarray(energies, np.float64), cast(Any, np.asarray(values, np.complex128))
    require(
        energies.ndim == 1 and energies.shape == eps.shape and len(energies) >= 4,
        f"the dielectric function has {eps.shape} values at {energies.shape} energies; give as many of each, 4 at least",
    )
    require(
        np.isfinite(energies) & np.isfinite(eps),
        "the dielectric function has values that are not finite; leave them out",
    )
    require(
        bool(energies[0] > 0.0) and bool((np.diff(energies) > 0.0).all()),
        "energies of the dielectric function do not rise from above 0 eV; sort them, each once",
    )
    require(
        eps.imag >= 0.0,
        f"the dielectric function has an imaginary part down to {eps.imag.min():g}, which would give energy to electrons; use eps1 + i eps2, eps2 >= 0",
    )
    return Table(energies, eps)


def volume(table: Table, energies: Float[Array, " n"], energy: float, collection: float) -> Float[Array, " n"]:
    """Losses in the volume, per angstrom and eV, of a beam of ``energy`` eV into the semi-angle ``collection`` in radian."""
    slow = 2.0 * _kinetic(energy)
    return _loss_function(table, energies) * collected(energies, energy, collection) / (math.pi * BOHR * slow)


def surfaces(table: Table, energies: Float[Array, " n"], energy: float, collection: float) -> Float[Array, " n"]:
    """Losses by both faces, per eV, whatever the thickness; negative where the surfaces take volume losses away."""
    positive = energies > 0.0
    angle = characteristic_angle(jnp.where(positive, energies, 1.0), energy)
    angular = jnp.arctan(collection / angle) / angle - collection / (collection**2 + angle**2)
    eps = _interpolated(table, energies)
    shape = ((eps - 1.0) ** 2 / (eps * (eps + 1.0))).imag
    wave_number = 2.0 * math.pi / wavelength(energy)
    known = positive & (energies >= table.energies[0])
    return jnp.where(known, shape * angular, 0.0) / (math.pi * BOHR * wave_number * _kinetic(energy))


def _kinetic(energy: float) -> float:
    """m v^2 / 2 in eV with the rest mass."""
    gamma = 1.0 + energy / REST_ENERGY_EV
    return 0.5 * REST_ENERGY_EV * (1.0 - gamma**-2)


def _interpolated(table: Table, energies: Float[Array, " n"]) -> Complex[Array, " n"]:
    """eps at ``energies``: straight between those of the table, beyond them that of a free-electron gas that goes on from the last."""
    last, end = table.energies[-1], table.values[-1]
    inside = jnp.clip(energies, table.energies[0], last)
    real = jnp.interp(inside, table.energies, table.values.real)
    imaginary = jnp.interp(inside, table.energies, table.values.imag)
    ratio = last / jnp.maximum(energies, last)
    # eps - 1 falls as E^-2, eps2 as E^-3
    return jnp.where(
        energies > last, 1.0 + (end.real - 1.0) * ratio**2 + 1j * end.imag * ratio**3, real + 1j * imaginary
    )


def _loss_function(table: Table, energies: Float[Array, " n"]) -> Float[Array, " n"]:
    eps = _interpolated(table, energies)
    known = energies >= table.energies[0]
    return jnp.where(known, eps.imag / jnp.where(known, eps.real**2 + eps.imag**2, 1.0), 0.0)


def inverse_mean_free_path(table: Table, energy: float, collection: float) -> float:
    """Volume losses per angstrom, over all energies."""
    fine = jnp.asarray(np.linspace(table.energies[0], table.energies[-1], 40 * len(table.energies)))
    inside = jnp.trapezoid(volume(table, fine, energy, collection), fine)
    nodes, weights = beyond(float(table.energies[-1]))
    return float(inside + (weights * volume(table, nodes, energy, collection)).sum())
