"""Wavelength, interaction constant and kappa against published figures."""

import numpy as np
import pytest

from twin.optics.electrons import interaction_constant, kappa, wavelength


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


@pytest.mark.parametrize("energy", [0.0, -200e3, float("nan"), float("inf")])
def test_an_impossible_energy_is_refused(energy):
    with pytest.raises(ValueError, match="electronvolts"):
        wavelength(energy)
