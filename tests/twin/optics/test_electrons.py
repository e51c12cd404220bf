"""Wavelength, interaction constant and kappa against published figures."""

import numpy as np
import pytest

from twin.optics.electrons import ELEMENTARY_CHARGE, interaction_constant, kappa, momentum_times_velocity, wavelength


def test_two_hundred_kilovolts():
    assert abs(wavelength(200e3) - 0.0250793) < 5e-8
    assert abs(interaction_constant(200e3) - 7.28840e-4) < 5e-9


@pytest.mark.parametrize(
    "energy,expected",
    [(10e3, 2.599), (60e3, 1.1356), (100e3, 0.9244), (200e3, 0.7288), (300e3, 0.6526), (800e3, 0.5503)],
)
def test_kirklands_interaction_constants(energy, expected):
    """Kirkland, Advanced Computing in Electron Microscopy: sigma in 1e-3 rad / (V angstrom)."""
    digits = 3 if energy == 10e3 else 4
    assert abs(interaction_constant(energy) * 1e3 - expected) <= 0.5001 * 10**-digits + 5e-5 * (digits == 4)


def test_kappa_is_the_relative_slope_of_focal_length_in_voltage():
    """A magnetic lens has f ~ V (1 + eV / 2mc^2); kappa is its logarithmic derivative, and chi of dC10 = -Cc kappa dV/V."""
    energy, step = 200e3, 1.0
    rest_energy = 510998.95

    def focal(value):
        return value * (1.0 + value / (2.0 * rest_energy))

    slope = (focal(energy + step) - focal(energy - step)) / (2 * step) * energy / focal(energy)
    np.testing.assert_allclose(kappa(energy), slope, rtol=1e-7)
    assert abs(kappa(1.0) - 1.0) < 1e-5


MASS, LIGHT = 9.1093837139e-31, 299792458.0
"""Of the electron in kg, of light in m/s (CODATA 2022)."""


def momentum_of(energy: float) -> float:
    """kg m/s, by the energy-momentum relation."""
    total = energy * ELEMENTARY_CHARGE + MASS * LIGHT**2
    return np.sqrt(total**2 - (MASS * LIGHT**2) ** 2) / LIGHT


def sector_exit(energy: float, field: float, radius: float, steps: int = 4000) -> float:
    """Distance in m from the centre of a sector magnet of 90 degrees at which an electron leaves its uniform ``field`` (T), which it enters at right angles
    at ``radius``: the equation of motion dp/dt = e v x B by Runge and Kutta."""

    def slope(state: np.ndarray) -> np.ndarray:
        momentum = state[2:]
        gamma = np.sqrt(1.0 + (momentum @ momentum) / (MASS * LIGHT) ** 2)
        velocity = momentum / (gamma * MASS)
        force = ELEMENTARY_CHARGE * field * np.array([-velocity[1], velocity[0]])
        return np.concatenate([velocity, force])

    momentum = momentum_of(energy)
    state = np.array([radius, 0.0, 0.0, momentum])
    step = 1.1 * 0.5 * np.pi * radius / (0.5 * LIGHT) / steps
    while True:
        k1 = slope(state)
        k2 = slope(state + 0.5 * step * k1)
        k3 = slope(state + 0.5 * step * k2)
        k4 = slope(state + step * k3)
        after = state + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        if after[0] <= 0.0:
            share = state[0] / (state[0] - after[0])
            return float(state[1] + share * (after[1] - state[1]))
        state = after


@pytest.mark.parametrize("energy", [60e3, 200e3, 300e3])
def test_a_sector_magnet_disperses_by_momentum_times_velocity(energy):
    """Of 90 degrees: a loss moves an electron at the exit by radius x loss / (p v), to first order in the loss."""
    radius, loss = 0.1, 50.0
    field = momentum_of(energy) / (ELEMENTARY_CHARGE * radius)
    moved = [sector_exit(energy - sign * loss, field, radius) for sign in (1.0, -1.0)]
    dispersion = (moved[1] - moved[0]) / (2.0 * loss)
    assert dispersion == pytest.approx(radius / momentum_times_velocity(energy), rel=1e-4)
    # the classical limit 2 E is another number already
    assert abs(dispersion * 2.0 * energy / radius - 1.0) > 0.04


@pytest.mark.parametrize("energy", [0.0, -200e3, float("nan"), float("inf")])
def test_an_impossible_energy_is_refused(energy):
    with pytest.raises(ValueError, match="electronvolts"):
        wavelength(energy)
