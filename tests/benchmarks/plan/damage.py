"""Damage by the beam: transferred energies and displacement cross-sections against quadrature, exact scattering and published values."""

import math
import time
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.twin.damage.published import FITS, published_ratio
from twin.damage import critical_dose, displacement_cross_section, largest_transfer, stopping_power
from twin.damage.mott import mott_ratio
from twin.eels.atoms.solver.configurations import SYMBOLS
from twin.optics.electrons import REST_ENERGY_EV
from twin.sample.cif.elements import weight

ENERGIES = ((60e3, 80e3, 100e3, 120e3, 200e3, 300e3, 1e6), (60e3, 300e3), (100e3,))
ELEMENTS = (("C", "O", "Si", "S", "Cu", "Mo", "W", "Au"), ("C", "Au"), ("C",))
SHARES = (0.02, 0.1, 0.5, 0.9)
"""Thresholds as shares of the largest transfer."""


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Transfers, the closed form, exact scattering, the law of critical doses."""
    carbon = largest_transfer(100e3, weight("C"))
    magnesium = largest_transfer(480e3, weight("Mg"))
    published = "published 64 +- 2 eV"
    rows = [
        case("carbon at 100 keV: largest transfer", carbon, "eV", "20.1 eV within 0.05", abs(carbon - 20.1) < 0.05),
        case("Mg in MgO at the onset, 480 kV", magnesium, "eV", published, abs(magnesium - 64.0) <= 2.0),
    ]
    progress("closed form")
    grid = [
        (energy, element, share * largest_transfer(energy, weight(element)))
        for energy in ENERGIES[short]
        for element in ELEMENTS[short]
        for share in SHARES
    ]
    off = max(abs(displacement_cross_section(*point) / _by_angles(*point) - 1) for point in grid)
    name = f"McKinley-Feshbach closed form over quadrature of angles, {len(grid)} cases: largest deviation"
    rows.append(case(name, off, "", "at most 1e-6", off <= 1e-6))
    progress("exact scattering")
    for element in ELEMENTS[short]:
        own = [point for point in grid if point[1] == element]
        exact = [displacement_cross_section(*point, method="mott") for point in own]
        worst = min(displacement_cross_section(*point) / value - 1 for point, value in zip(own, exact, strict=True))
        rows.append(case(f"McKinley-Feshbach over exact scattering, {element}: lowest", 100 * worst, "%"))
    off = max(_beside_published(charge, energy) for charge in FITS for energy in ENERGIES[short] if energy < 1e6)
    name = "exact scattering by W and Au, 30 to 150 degrees, over published fits: largest deviation"
    rows.append(case(name, 100 * off, "%", "at most 2 %: their degree leaves 2.2 % here", off <= 0.02))
    start = time.perf_counter()
    for energy, element, threshold in grid:
        displacement_cross_section(energy, element, threshold, 5e12, method="mott")
    rows.append(case("exact cross-section with thermal motion", 1e3 * (time.perf_counter() - start) / len(grid), "ms"))
    ratio = critical_dose("quartz", 300e3).dose / critical_dose("quartz", 100e3).dose
    rows.append(case("critical dose at 300 over 100 keV (measured by Peet et al.: 1.57; 1 / beta^2: 2.01)", ratio))
    water = stopping_power(100e3)
    bar = "ESTAR 4.115 within 0.1 %"
    rows.append(case("stopping power of water at 100 keV", water, "MeV cm2/g", bar, abs(water / 4.115 - 1) < 1e-3))
    return rows


def _by_angles(energy: float, element: str, threshold: float) -> float:
    """The differential cross-section integrated over the angles that transfer more than ``threshold``."""
    beta, charge = _beta(energy), SYMBOLS.index(element) + 1
    rutherford = (charge * 2.8179403205e-5 / (2 * beta**2)) ** 2 * (1 - beta**2)
    second = math.pi * charge * beta * 7.2973525643e-3

    def integrand(theta: float) -> float:
        s = math.sin(theta / 2)
        return 2 * math.pi * math.sin(theta) * rutherford / s**4 * (1 - beta**2 * s**2 + second * s * (1 - s))

    first = 2 * math.asin(math.sqrt(threshold / largest_transfer(energy, weight(element))))
    return quad(integrand, first, math.pi, epsrel=1e-11, limit=200)[0]


def _beta(energy: float) -> float:
    return math.sqrt(1 - (1 + energy / REST_ENERGY_EV) ** -2)


def _beside_published(charge: int, energy: float) -> float:
    """Largest deviation from a published fit."""
    sines = np.sin(np.radians(np.arange(30.0, 151.0, 10.0)) / 2)
    return float(np.abs(mott_ratio(energy, charge, sines) / published_ratio(charge, _beta(energy), sines) - 1).max())
