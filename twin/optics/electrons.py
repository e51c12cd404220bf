"""Relativistic electrons: wavelength, interaction constant, and the chromatic factor kappa.

Energies are kinetic energies in eV. Constants are CODATA values (h, c and e exact since 2019).
"""

import math

ELEMENTARY_CHARGE = 1.602176634e-19
"""Charge of the electron in coulomb."""
PLANCK_EV_S = 6.62607015e-34 / ELEMENTARY_CHARGE
"""Planck constant, eV s."""
LIGHT_ANGSTROM_S = 2.99792458e18
"""Speed of light, angstrom / s."""
REST_ENERGY_EV = 510998.95069
"""Electron rest energy m c^2, eV (CODATA 2022)."""
_HC = PLANCK_EV_S * LIGHT_ANGSTROM_S


def _checked(energy: float) -> float:
    if not (math.isfinite(energy) and energy > 0.0):
        raise ValueError(
            f"electron energy must be positive and finite, got {energy}; give it in electronvolts, e.g. 200e3"
        )
    return float(energy)


def wavelength(energy: float) -> float:
    """Relativistic de Broglie wavelength in angstrom of electrons of kinetic ``energy`` eV."""
    energy = _checked(energy)
    return _HC / math.sqrt(energy * (energy + 2.0 * REST_ENERGY_EV))


def interaction_constant(energy: float) -> float:
    """Phase per projected potential, sigma = 2 pi m e lambda / h^2, in rad / (V angstrom), with the relativistic mass."""
    energy = _checked(energy)
    return 2.0 * math.pi * (energy + REST_ENERGY_EV) * wavelength(energy) / _HC**2


def momentum_times_velocity(energy: float) -> float:
    """p v in eV: 2 E for slow electrons, E for fast ones. A magnetic field that deflects momentum p moves an electron of a loss dE by dE / (p v) of that
    deflection, and theta_E = dE / (p v) (Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed., 2011, sections 2.1 and 3.2)."""
    energy = _checked(energy)
    return energy * (energy + 2.0 * REST_ENERGY_EV) / (energy + REST_ENERGY_EV)


def kappa(energy: float) -> float:
    """Relativistic factor of the high tension in chromatic aberration: dC10 = Cc (2 dI/I - kappa dV/V). Dimensionless."""
    energy = _checked(energy)
    return (1.0 + energy / REST_ENERGY_EV) / (1.0 + energy / (2.0 * REST_ENERGY_EV))
