"""Cross-sections for the displacement of atoms by fast electrons: Mott scattering, exact or to second order in alpha
Z (McKinley and Feshbach).

An atom at rest that scatters an electron by the angle theta receives T = T_max s^2, s = sin(theta / 2). With the
ratio R(s) of the cross-section to Rutherford's, a polynomial, and s_d^2 = T_d / T_max at the threshold,

    sigma = pi (r_e Z / (gamma beta^2))^2 int_(s_d)^1 2 R(s) / s^3 ds.

W. A. McKinley and H. Feshbach, Phys. Rev. 74, 1759 (1948): R = 1 - beta^2 s^2 + pi alpha Z beta s (1 - s). The exact
ratio is a fit to partial waves (`mott`).
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.polynomial.legendre import leggauss

from twin.checks import electron_energy
from twin.damage.mott import FINE_STRUCTURE, mott_polynomial
from twin.damage.transfer import largest_transfer
from twin.eels.atoms.solver.configurations import atomic_number
from twin.optics.electrons import REST_ENERGY_EV
from twin.sample.cif.elements import weight

ELECTRON_RADIUS = 2.8179403205e-5
"""Classical electron radius, angstrom (CODATA 2022)."""
BARN = 1e-8
"""One barn in angstrom^2."""
SIGMAS, POINTS = 8.0, 400
"""Thermal velocities beyond this many standard deviations are left out; points of the quadrature over the others."""
Method = Literal["mckinley-feshbach", "mott"]


def displacement_cross_section(
    energy: float,
    element: str,
    threshold: float,
    velocity: float = 0.0,
    mass: float | None = None,
    method: Method = "mckinley-feshbach",
) -> float:
    """Cross-section in angstrom^2 with which electrons of ``energy`` eV give an atom of ``element`` more than
    ``threshold`` eV (a barn is 1e-8 angstrom^2).

    ``velocity``: rms velocity of the atom along the beam in angstrom / s (`thermal_velocity`; Gaussian, after J. C.
    Meyer et al., Phys. Rev. Lett. 108, 196102 (2012)); 0 for a lattice at rest. ``mass`` in atomic mass units, the
    natural mean by default. 0 below the threshold.

    ``method``: "mckinley-feshbach", the closed form that is in use, or "mott", exact for a point charge. The closed
    form is too low for heavy atoms. For thresholds of 0.1 to 0.9 of the largest transfer and 60 keV to 1 MeV it is
    off by at most 0.5 % (Z = 6), 3 % (14), 11 % (29), 22 % (42), 58 % (74), 63 % (79), most near the threshold
    (benchmark `plan`). ValueError for an energy, element, threshold or velocity out of range.

    >>> f"{displacement_cross_section(120e3, 'C', 22.0) / BARN:.3f}"
    '3.812'
    """
    charge = atomic_number(element)
    energy, mass = electron_energy(energy), weight(element) if mass is None else mass
    if not (math.isfinite(threshold) and threshold > 0.0):
        raise ValueError(f"the displacement threshold of {element} is {threshold} eV; give a positive number of eV")
    if not (math.isfinite(velocity) and velocity >= 0.0):
        raise ValueError(f"the rms velocity of {element} is {velocity} angstrom / s; give 0 or a positive number")
    if method not in ("mckinley-feshbach", "mott"):
        raise ValueError(f"there is no method {method!r}; use mckinley-feshbach or mott")
    ratio = mott_polynomial(energy, charge) if method == "mott" else _mckinley_feshbach(energy, charge)
    at_rest = largest_transfer(energy, mass)
    if velocity == 0.0:
        return float(_integrated(charge, energy, ratio, threshold / np.array([at_rest]))[0])
    # From the slowest atom on that can be displaced, since the integrand has a kink there.
    unit = math.sqrt(largest_transfer(energy, mass, velocity)) - math.sqrt(at_rest)
    slowest = max(-SIGMAS, (math.sqrt(threshold) - math.sqrt(at_rest)) / unit)
    if slowest >= SIGMAS:
        return 0.0
    nodes, shares = leggauss(POINTS)
    moves = slowest + (SIGMAS - slowest) * (nodes + 1.0) / 2.0
    largest = np.maximum(math.sqrt(at_rest) + moves * unit, 1e-6) ** 2
    density = np.exp(-0.5 * moves**2) / math.sqrt(2.0 * math.pi)
    values = _integrated(charge, energy, ratio, threshold / largest)
    return float((SIGMAS - slowest) / 2.0 * (shares * density) @ values)


def _beta(energy: float) -> tuple[float, float]:
    gamma = 1.0 + energy / REST_ENERGY_EV
    return gamma, math.sqrt(1.0 - 1.0 / gamma**2)


def _mckinley_feshbach(energy: float, charge: int) -> tuple[float, ...]:
    """Coefficients of R(s) in powers of s, from 0 on."""
    _, beta = _beta(energy)
    second = math.pi * FINE_STRUCTURE * charge * beta
    return 1.0, second, -(beta**2) - second


def _integrated(charge: int, energy: float, ratio: Sequence[float], share: np.ndarray) -> np.ndarray:
    """The cross-section for each ``share`` of the threshold in the largest transfer, angstrom^2; 0 where it is 1 and
    more. ``ratio``: coefficients of R(s).
    """
    gamma, beta = _beta(energy)
    s = np.sqrt(np.minimum(share, 1.0))
    total = np.zeros_like(s)
    for power, coefficient in enumerate(ratio):
        exponent = power - 2
        total += coefficient * (-2.0 * np.log(s) if exponent == 0 else 2.0 / exponent * (1.0 - s**exponent))
    return math.pi * (ELECTRON_RADIUS * charge / (gamma * beta**2)) ** 2 * np.maximum(total, 0.0)
