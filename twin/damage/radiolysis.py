"""Damage by ionisation: critical doses, and how they go with the energy of the electrons.

A critical dose is taken as an energy per volume, so that the electrons per area go as the reciprocal of the collision
stopping power: M. J. Berger and S. M. Seltzer's form of Bethe's formula (ICRU Report 37 (1984)), 2 pi r_e^2 m c^2 N_A
(Z / A) / beta^2 [ln(tau^2 (tau + 2) / (2 (I / m c^2)^2)) + F], F = 1 - beta^2 + (tau^2 / 8 - (2 tau + 1) ln 2) / (tau
+ 1)^2, tau = E / m c^2, without the density effect. From 100 to 300 keV that is a factor of 1.75 in water; M. J.
Peet, R. Henderson and C. J. Russo (Ultramicroscopy 203, 125 (2019)) measure 1.57 for bacteriorhodopsin and paraffin,
and 1 / beta^2 alone is 2.01.
"""

import math
from typing import NamedTuple

from twin.checks import electron_energy
from twin.damage.cross_section import ELECTRON_RADIUS
from twin.damage.tables import Critical, critical_doses
from twin.optics.electrons import REST_ENERGY_EV

EXCITATION = 75.0
"""Mean excitation energy in eV that is assumed, that of water (ICRU 37). Between 60 and 300 eV a factor from 100 to
300 keV changes by 4 %.
"""
_AVOGADRO = 6.02214076e23


class CriticalDose(NamedTuple):
    """A critical dose in electrons per angstrom^2 at ``energy`` eV, and the measurement that it is from (``record``).

    ``scaled``: whether it was taken to this energy from that of the measurement; not where that states no energy.
    """

    dose: float
    energy: float
    scaled: bool
    record: Critical


def stopping_power(energy: float, excitation: float = EXCITATION, charge_per_mass: float = 0.5551) -> float:
    """Mass collision stopping power in MeV cm^2 / g for electrons of ``energy`` eV; equation in the module's text.

    ``excitation``: mean excitation energy in eV; ``charge_per_mass``: electrons per atomic mass unit, that of water
    by default. ValueError for numbers out of range.

    >>> f"{stopping_power(100e3):.3f} {stopping_power(300e3):.3f}"
    '4.115 2.355'
    """
    if not (0.0 < excitation < energy and 0.0 < charge_per_mass <= 1.0):
        raise ValueError(
            f"the excitation energy is {excitation} eV and there are {charge_per_mass} electrons per mass unit; give e.g. 75 eV and 0.55"
        )
    tau = electron_energy(energy) / REST_ENERGY_EV
    beta2 = 1.0 - 1.0 / (1.0 + tau) ** 2
    logarithm = math.log(tau**2 * (tau + 2.0) / (2.0 * (excitation / REST_ENERGY_EV) ** 2))
    correction = 1.0 - beta2 + (tau**2 / 8.0 - (2.0 * tau + 1.0) * math.log(2.0)) / (tau + 1.0) ** 2
    per_electron = 2.0 * math.pi * (ELECTRON_RADIUS * 1e-8) ** 2 * REST_ENERGY_EV * 1e-6 / beta2
    return per_electron * _AVOGADRO * charge_per_mass * (logarithm + correction)


def critical_dose(material: str, energy: float, temperature: float = 293.0) -> CriticalDose:
    """The critical dose of ``material`` for electrons of ``energy`` eV, in electrons per angstrom^2.

    ``material``: a name of the table, or a class of materials ("protein", "silicate", ...), for which the smallest
    dose of the class counts. Of several temperatures the one nearest to ``temperature`` kelvin is taken; doses are
    not taken to another temperature. The law and what it is worth stand in the module's text. ValueError for a
    material that is not in the table, with the names that are.
    """
    energy = electron_energy(energy)
    records = [entry for entry in critical_doses() if material in (entry.material, entry.material_class)]
    if not records:
        names = sorted(
            {entry.material for entry in critical_doses()} | {entry.material_class for entry in critical_doses()}
        )
        raise ValueError(f"no critical dose of {material!r} is tabulated; there are {', '.join(names)}")
    if material not in {entry.material for entry in records}:
        return min((_at(entry, energy) for entry in records), key=lambda dose: dose.dose)
    return _at(min(records, key=lambda entry: abs((entry.temperature or 293.0) - temperature)), energy)


def _at(entry: Critical, energy: float) -> CriticalDose:
    """A measurement at another energy."""
    if entry.energy is None:
        return CriticalDose(entry.dose, energy, False, entry)
    return CriticalDose(entry.dose * stopping_power(entry.energy) / stopping_power(energy), energy, True, entry)
