"""Aberrations against abTEM's, names, and the Cartesian, polar and CEOS forms."""

import jax
import numpy as np
import pytest

from twin.optics.aberrations import CEOS, NAMES, coefficients, from_ceos, from_polar, index, phase, to_ceos, to_polar
from twin.optics.electrons import wavelength

ENERGY = 200e3
LENGTH = wavelength(ENERGY)
SIZES = {1: 100.0, 2: 1e3, 3: 1e4, 4: 1e5, 5: 1e6}


def grid():
    angle = np.linspace(0.0, 25e-3, 7)
    azimuth = np.linspace(-np.pi, np.pi, 13)
    return angle[:, None] * np.ones(13)[None, :], azimuth[None, :] * np.ones(7)[:, None]


def by_abtem(polar):
    """exp(-i chi) as abTEM has it."""
    import abtem

    angle, azimuth = grid()
    with abtem.config.set({"precision": "float64"}):
        return abtem.transfer.Aberrations(polar, energy=ENERGY)._evaluate_from_angular_grid(angle, azimuth)


def ours(cartesian):
    angle, azimuth = grid()
    kx, ky = angle * np.cos(azimuth) / LENGTH, angle * np.sin(azimuth) / LENGTH
    return np.exp(-1j * np.asarray(phase(coefficients(cartesian), kx, ky, LENGTH)))


@pytest.mark.parametrize("name", sorted({name[:3] for name in NAMES}))
@pytest.mark.filterwarnings("default")
def test_every_coefficient_with_azimuth_is_abtems(name):
    size, azimuth = SIZES[int(name[1])], 0.3
    polar = {name: size} | ({f"phi{name[1:]}": azimuth} if name[2] != "0" else {})
    np.testing.assert_allclose(ours(from_polar(name, size, azimuth)), by_abtem(polar), atol=2e-7)


@pytest.mark.parametrize(
    "name,krivanek,factor",
    [
        ("C1", "C10", 1),
        ("A1", "C12", 1),
        ("B2", "C21", 3),
        ("A2", "C23", 1),
        ("C3", "C30", 1),
        ("S3", "C32", 4),
        ("A3", "C34", 1),
    ],
)
@pytest.mark.filterwarnings("default")
def test_ceos_names_are_abtems_krivanek_with_azimuth(name, krivanek, factor):
    size = SIZES[int(krivanek[1])]
    polar = {krivanek: factor * size} | ({f"phi{krivanek[1:]}": 0.45} if krivanek[2] != "0" else {})
    np.testing.assert_allclose(ours(from_ceos(name, size, 0.45)), by_abtem(polar), atol=2e-7)
    magnitude, azimuth = to_ceos(name, coefficients(from_ceos(name, size, 0.45)))
    assert abs(magnitude - size) < 1e-9 * size
    assert abs(azimuth - (0.45 if krivanek[2] != "0" else 0.0)) < 1e-12
    assert name in CEOS


def test_order_of_the_vector():
    assert len(NAMES) == 25
    assert NAMES[:8] == ("C10", "C12a", "C12b", "C21a", "C21b", "C23a", "C23b", "C30")
    assert NAMES[-7:] == ("C50", "C52a", "C52b", "C54a", "C54b", "C56a", "C56b")
    assert [index(name) for name in NAMES] == list(range(25))
    with pytest.raises(ValueError, match="C99"):
        index("C99")
    with pytest.raises(ValueError, match="Z9"):
        from_ceos("Z9", 1.0)


def test_defocus_only_is_the_parabola():
    kx = np.array([0.0, 0.3, -0.5])
    found = phase(coefficients({"C10": 80.0}), kx, np.zeros(3), LENGTH)
    np.testing.assert_allclose(found, np.pi * LENGTH * 80.0 * kx**2, rtol=1e-12)


def test_polar_goes_there_and_back():
    vector = coefficients(from_polar("C23", 300.0, -0.7) | from_polar("C30", -2e4))
    assert np.allclose(to_polar("C23", vector), (300.0, -0.7))
    assert to_polar("C30", vector) == (-2e4, 0.0)


def test_derivative_is_finite_at_the_axis():
    slope = jax.grad(lambda k: phase(np.ones(25), k, k, LENGTH))(0.0)
    assert np.isfinite(slope)
