"""Energies transferred to nuclei, against momentum and energy conservation solved numerically and published onsets."""

import math

import pytest
from scipy.optimize import brentq

from twin.damage import largest_transfer, thermal_velocity, threshold_energy
from twin.damage.transfer import BOLTZMANN_EV, DALTON_EV
from twin.optics.electrons import LIGHT_ANGSTROM_S, REST_ENERGY_EV


def head_on(energy: float, mass: float) -> float:
    """The recoil after scattering straight back, from conservation of energy and momentum of relativistic particles."""
    before, rest = math.sqrt(energy * (energy + 2 * REST_ENERGY_EV)), mass * DALTON_EV

    def unbalanced(recoil: float) -> float:
        after = math.sqrt((energy - recoil) * (energy - recoil + 2 * REST_ENERGY_EV))
        return before + after - math.sqrt(recoil * (recoil + 2 * rest))

    return float(brentq(unbalanced, 1e-9, 0.999 * energy, xtol=1e-9))  # pyright: ignore[reportArgumentType]


@pytest.mark.smoke
def test_carbon_at_100_keV():
    assert largest_transfer(100e3, 12.011) == pytest.approx(20.1, abs=0.05)


@pytest.mark.parametrize(("energy", "mass"), [(60e3, 1.008), (100e3, 12.011), (300e3, 87.62), (1e6, 196.97)])
def test_transfers_conserve_energy_and_momentum(energy, mass):
    assert largest_transfer(energy, mass) == pytest.approx(head_on(energy, mass), rel=1e-9)
    assert threshold_energy(largest_transfer(energy, mass), mass) == pytest.approx(energy, rel=1e-12)


def test_published_onsets():
    """MgO: 480 +- 10 kV are 64 +- 2 eV of Mg (Sharp and Rumsby, Radiat. Eff. 17, 65 (1973))."""
    low, high = (largest_transfer(volts, 24.305) for volts in (470e3, 490e3))
    assert low > 61.5
    assert high < 66.0
    assert threshold_energy(64.0, 24.305) == pytest.approx(480e3, abs=10e3)


def test_a_moving_atom_adds_its_momentum():
    rest, velocity = largest_transfer(80e3, 12.011), 1e13
    momentum = math.sqrt(2 * 12.011 * DALTON_EV * rest) + 12.011 * DALTON_EV * velocity / LIGHT_ANGSTROM_S
    assert largest_transfer(80e3, 12.011, velocity) == pytest.approx(momentum**2 / (2 * 12.011 * DALTON_EV), rel=1e-9)
    assert largest_transfer(80e3, 12.011, -velocity) < rest
    assert largest_transfer(80e3, 12.011, -1e15) == 0.0


def test_thermal_velocities_have_their_limits():
    """Equipartition far above the Debye temperature, 3/8 k Theta a direction at 0 K."""
    scale = 55.845 * DALTON_EV / LIGHT_ANGSTROM_S**2
    hot, cold = thermal_velocity(55.845, 470.0, 20e3), thermal_velocity(55.845, 470.0, 0.0)
    assert scale * hot**2 == pytest.approx(BOLTZMANN_EV * 20e3, rel=1e-3)
    assert scale * cold**2 == pytest.approx(3 / 8 * BOLTZMANN_EV * 470.0, rel=1e-12)
    assert thermal_velocity(55.845, 470.0, 1.0) == pytest.approx(cold, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: largest_transfer(100.0, 12.011), "electronvolts"),
        (lambda: largest_transfer(100e3, -1.0), "mass"),
        (lambda: largest_transfer(100e3, 12.011, math.nan), "velocity"),
        (lambda: threshold_energy(0.0, 12.011), "positive"),
        (lambda: thermal_velocity(12.011, 0.0, 300.0), "Debye"),
    ],
)
def test_numbers_out_of_range_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
