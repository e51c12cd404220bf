"""Energy that a fast electron transfers to a nucleus, at rest or in thermal motion.

Two-body kinematics, exact: an electron of kinetic energy E and rest energy m c^2 that is scattered straight back from
a nucleus of rest energy M c^2 leaves it with T = 2 E (E + 2 m c^2) M c^2 / ((m + M)^2 c^4 + 2 M c^2 E). A nucleus
that moves along the beam with velocity v has (sqrt(T) + v sqrt(M / 2))^2 afterwards (J. C. Meyer et al., Phys. Rev.
Lett. 108, 196102 (2012)).
"""

import math

from scipy.integrate import quad

from twin.checks import electron_energy
from twin.optics.electrons import ELEMENTARY_CHARGE, LIGHT_ANGSTROM_S, REST_ENERGY_EV

DALTON_EV = 931494103.72
"""Rest energy of the atomic mass unit, eV (CODATA 2022)."""
BOLTZMANN_EV = 1.380649e-23 / ELEMENTARY_CHARGE
"""Boltzmann constant, eV / K (exact since 2019)."""


def checked_mass(mass: float) -> float:
    """``mass`` in atomic mass units; ValueError unless it is that of an atom."""
    if not 0.5 <= mass <= 300.0:
        raise ValueError(f"the mass of an atom is {mass} u; give atomic mass units between 0.5 and 300, e.g. 12.011")
    return float(mass)


def largest_transfer(energy: float, mass: float, velocity: float = 0.0) -> float:
    """Largest kinetic energy in eV of a nucleus after a collision with an electron of kinetic ``energy`` eV.

    ``mass`` of the atom in atomic mass units; ``velocity`` of the atom along the beam before, in angstrom / s,
    positive away from the source. ValueError for an energy or mass out of range. Equations in the module's text.

    >>> round(largest_transfer(100e3, 12.011), 1)
    20.1
    """
    energy, rest = electron_energy(energy), checked_mass(mass) * DALTON_EV
    total = (REST_ENERGY_EV + rest) ** 2 + 2.0 * rest * energy
    head_on = 2.0 * energy * (energy + 2.0 * REST_ENERGY_EV) * rest / total
    if not math.isfinite(velocity):
        raise ValueError(
            f"the velocity of the atom is {velocity}; give angstrom / s along the beam, 0 for an atom at rest"
        )
    root = math.sqrt(head_on) + velocity / LIGHT_ANGSTROM_S * math.sqrt(rest / 2.0)
    return max(root, 0.0) ** 2


def threshold_energy(transfer: float, mass: float) -> float:
    """Kinetic energy in eV of electrons whose `largest_transfer` to an atom of ``mass`` at rest is ``transfer`` eV:
    the beam energy from which on an atom with that threshold is displaced. ValueError for a transfer that is not
    positive.

    >>> round(threshold_energy(20.06, 12.011) / 1e3)
    100
    """
    if not (math.isfinite(transfer) and transfer > 0.0):
        raise ValueError(
            f"the transferred energy is {transfer} eV; give a positive number, e.g. 22 for carbon in graphene"
        )
    rest = checked_mass(mass) * DALTON_EV
    # 2 M E^2 + 2 M (2 m - T) E - T (m + M)^2 = 0
    half = REST_ENERGY_EV - transfer / 2.0
    return math.sqrt(half**2 + transfer * (REST_ENERGY_EV + rest) ** 2 / (2.0 * rest)) - half


def thermal_velocity(mass: float, debye_temperature: float, temperature: float) -> float:
    """Rms velocity of an atom along one axis, angstrom / s, in the Debye model with zero-point motion.

    ``mass`` in atomic mass units, temperatures in kelvin. M v^2 / 2 is half of a third of the energy per atom,
    9/8 k Theta + 9 k T (T / Theta)^3 int_0^(Theta / T) x^3 / (e^x - 1) dx. ValueError for temperatures out of range.

    >>> f"{thermal_velocity(12.011, 1287.0, 0.0):.2e}"
    '5.78e+12'
    """
    if not (math.isfinite(debye_temperature) and debye_temperature > 0.0 and 0.0 <= temperature < math.inf):
        raise ValueError(
            f"the Debye temperature is {debye_temperature} K and the temperature {temperature} K; give a positive and a non-negative number of kelvin"
        )
    energy = 9.0 / 8.0 * debye_temperature
    if temperature > 0.0:
        integral, _ = quad(lambda x: x**3 / math.expm1(x), 0.0, min(debye_temperature / temperature, 200.0))
        energy += 9.0 * temperature * (temperature / debye_temperature) ** 3 * integral
    return LIGHT_ANGSTROM_S * math.sqrt(BOLTZMANN_EV * energy / (3.0 * checked_mass(mass) * DALTON_EV))
