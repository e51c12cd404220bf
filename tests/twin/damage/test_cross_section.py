"""Displacement cross-sections against quadrature over angles, exact Mott scattering, published fits and limits."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from tests.twin.damage.published import published_ratio
from twin.damage import BARN, displacement_cross_section, largest_transfer
from twin.damage.mott import mott_polynomial, mott_ratio
from twin.optics.electrons import REST_ENERGY_EV
from twin.sample.cif.elements import weight

ENERGIES = (60e3, 100e3, 300e3, 1e6)


def beta_of(energy: float) -> float:
    return math.sqrt(1 - (1 + energy / REST_ENERGY_EV) ** -2)


def by_angles(energy: float, charge: int, mass: float, threshold: float) -> float:
    """McKinley and Feshbach's d sigma / d Omega integrated over the angles that transfer more, in their own variables: e^2 / (m c^2) from alpha."""
    beta, alpha = beta_of(energy), 1 / 137.035999
    radius = alpha * 197.3269804e6 * 1e-5 / REST_ENERGY_EV  # alpha hbar c / (m c^2) in angstrom, from eV fm
    rutherford = (charge * radius / (2 * beta**2)) ** 2 * (1 - beta**2)

    def integrand(theta: float) -> float:
        s = math.sin(theta / 2)
        return (
            2
            * math.pi
            * math.sin(theta)
            * rutherford
            / s**4
            * (1 - beta**2 * s**2 + math.pi * charge * alpha * beta * s * (1 - s))
        )

    first = 2 * math.asin(math.sqrt(threshold / largest_transfer(energy, mass)))
    return quad(integrand, first, math.pi, epsrel=1e-11)[0]


@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize(("element", "charge"), [("C", 6), ("S", 16), ("Mo", 42), ("Au", 79)])
def test_the_closed_form_is_the_integral_over_angles(energy, element, charge):
    mass = weight(element)
    for share in (0.02, 0.4, 0.97):
        threshold = share * largest_transfer(energy, mass)
        exact = by_angles(energy, charge, mass, threshold)
        assert displacement_cross_section(energy, element, threshold) == pytest.approx(exact, rel=2e-7)


def test_zero_below_the_threshold_and_continuous_there():
    edge = largest_transfer(100e3, weight("C"))
    for method in ("mckinley-feshbach", "mott"):
        assert displacement_cross_section(100e3, "C", edge, method=method) == 0.0
        assert displacement_cross_section(100e3, "C", 1.5 * edge, method=method) == 0.0
        near = [displacement_cross_section(100e3, "C", edge * (1 - gap), method=method) for gap in (1e-3, 1e-4, 1e-5)]
        assert near[0] > near[1] > near[2] > 0.0
        assert near[1] == pytest.approx(10 * near[2], rel=1e-3)  # linear, so no step


def test_slow_electrons_and_light_atoms_scatter_as_rutherford_says():
    """pi (Z e^2 / (m v^2))^2 (T_max / T_d - 1) within beta^2 and pi alpha Z beta."""
    energy, threshold = 1.2e3, 1.0
    largest, beta = largest_transfer(energy, weight("H")), beta_of(energy)
    rutherford = math.pi * (2.8179403e-5 / beta**2) ** 2 * (largest / threshold - 1)
    assert displacement_cross_section(energy, "H", threshold) == pytest.approx(rutherford, rel=0.01)


def test_mott_of_light_atoms_is_mckinley_and_feshbach():
    """The second order in alpha Z is theirs; what is left goes with (alpha Z)^2."""
    left = []
    for element in ("He", "Be"):
        threshold = 0.5 * largest_transfer(300e3, weight(element))
        exact, closed = (
            displacement_cross_section(300e3, element, threshold, method=m) for m in ("mott", "mckinley-feshbach")
        )
        left.append(exact / closed - 1)
    assert 0 < left[0] < 5e-4
    assert left[1] / left[0] == pytest.approx(4.0, rel=0.25)


@pytest.mark.parametrize("energy", ENERGIES[:3])
@pytest.mark.parametrize("charge", [74, 79])
def test_mott_of_heavy_atoms_is_what_others_publish(energy, charge):
    sines = np.sin(np.radians([60.0, 90.0, 120.0, 150.0]) / 2)
    assert mott_ratio(energy, charge, sines) == pytest.approx(
        published_ratio(charge, beta_of(energy), sines), rel=0.015
    )


def test_the_polynomial_is_the_sum_of_partial_waves():
    sines = np.array([0.13, 0.5, 0.77, 0.985])
    for charge, bar in ((6, 1e-5), (42, 3e-4), (92, 3e-3)):
        fitted = np.polynomial.polynomial.polyval(sines, mott_polynomial(100e3, charge))
        assert fitted == pytest.approx(mott_ratio(100e3, charge, sines), rel=bar)


def test_how_far_the_closed_form_is_off_for_heavy_atoms():
    """The numbers of the docstring."""
    bounds = {"C": 0.005, "Si": 0.03, "Cu": 0.11, "Mo": 0.23, "W": 0.58, "Au": 0.635}
    for element, bound in bounds.items():
        worst = 0.0
        for energy in ENERGIES:
            for share in (0.1, 0.5, 0.9):
                threshold = share * largest_transfer(energy, weight(element))
                exact, closed = (
                    displacement_cross_section(energy, element, threshold, method=m)
                    for m in ("mott", "mckinley-feshbach")
                )
                worst = max(worst, 1 - closed / exact)
        assert 0.8 * bound < worst < bound, element


def test_thermal_motion_opens_the_threshold():
    """Below the static threshold of carbon at 22 eV atoms are displaced that move with the beam; far above it motion changes little."""
    assert displacement_cross_section(100e3, "C", 22.0) == 0.0
    slow, fast = (displacement_cross_section(100e3, "C", 22.0, velocity) for velocity in (4e12, 6e12))
    assert 0.0 < slow < fast < 1.0 * BARN
    still = displacement_cross_section(300e3, "C", 22.0)
    assert displacement_cross_section(300e3, "C", 22.0, 6e12) == pytest.approx(still, rel=0.01)
    assert displacement_cross_section(300e3, "C", 22.0, 1e3) == pytest.approx(still, rel=1e-9)


def test_thermal_motion_is_the_mean_over_velocities():
    """Against a plain sum over random velocities, with its standard error."""
    draws = 5.6e12 * np.random.default_rng(3).standard_normal(4000)
    # an atom that moves is one at rest that receives T_max(v): the same share of it is the threshold
    at_rest = largest_transfer(110e3, weight("C"))
    values = np.array(
        [
            displacement_cross_section(110e3, "C", 22.0 * at_rest / largest_transfer(110e3, weight("C"), float(v)))
            for v in draws
        ]
    )
    mean = displacement_cross_section(110e3, "C", 22.0, 5.6e12)
    assert abs(values.mean() - mean) < 4 * values.std() / math.sqrt(len(values))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: displacement_cross_section(100e3, "Xx", 20.0), "Xx"),
        (lambda: displacement_cross_section(100e3, "C", -1.0), "threshold"),
        (lambda: displacement_cross_section(100e3, "C", math.nan), "threshold"),
        (lambda: displacement_cross_section(100e3, "C", 20.0, -1.0), "velocity"),
        (lambda: displacement_cross_section(80.0, "C", 20.0), "electronvolts"),
    ],
)
def test_bad_numbers_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
