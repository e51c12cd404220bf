"""Aberrations against abTEM's, names, and the Cartesian, polar and CEOS forms."""

import jax
import numpy as np
import pytest

from twin.optics.aberrations import (
    CEOS,
    NAMES,
    basis,
    coefficients,
    from_ceos,
    from_polar,
    index,
    phase,
    phase_gradient,
    to_ceos,
    to_polar,
)
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe

ENERGY = 200e3
LENGTH = wavelength(ENERGY)
SHAPE, EXTENT = (80, 64), (10.0, 12.0)
WINDOW = aperture(SHAPE, EXTENT, ENERGY, 25e-3, soft=False)
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


@pytest.mark.smoke
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
    computed = phase(coefficients({"C10": 80.0}), kx, np.zeros(3), LENGTH)
    np.testing.assert_allclose(computed, np.pi * LENGTH * 80.0 * kx**2, rtol=1e-12)


def test_polar_goes_there_and_back():
    vector = coefficients(from_polar("C23", 300.0, -0.7) | from_polar("C30", -2e4))
    assert np.allclose(to_polar("C23", vector), (300.0, -0.7))
    assert to_polar("C30", vector) == (-2e4, 0.0)


def test_derivative_is_finite_at_the_axis():
    slope = jax.grad(lambda k: phase(np.ones(25), k, k, LENGTH))(0.0)
    assert np.isfinite(slope)


def by_abtem_probe(polar):
    """abTEM's probe off the corner of an oblong cell, of mean intensity 1, as [y, x]."""
    import abtem

    with abtem.config.set({"precision": "float64", "device": "cpu", "fft": "numpy"}):
        beam = abtem.Probe(
            energy=ENERGY,
            semiangle_cutoff=25.0,
            extent=EXTENT,
            gpts=(SHAPE[1], SHAPE[0]),
            aberrations=polar,
            soft=False,
        )
        wave = np.asarray(beam.build(abtem.CustomScan([(1.3, 2.1)]), lazy=False).array).reshape(SHAPE[::-1]).T
    return wave / np.sqrt(np.mean(np.abs(wave) ** 2))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("default")
def test_every_cartesian_number_alone_makes_abtems_probe(name):
    """a is the part along x, b the one turned by pi / 2m; wave by wave, so signs, azimuths and the order of the axes are held."""
    size = SIZES[int(name[1])]
    polar = {name[:3]: size}
    if name.endswith(("a", "b")):
        polar[f"phi{name[1:3]}"] = 0.0 if name.endswith("a") else np.pi / (2 * int(name[2]))
    computed = np.asarray(
        probe(coefficients({name: size}), np.array([1.3, 2.1]), WINDOW, EXTENT, ENERGY, np.complex128)
    )
    np.testing.assert_allclose(computed / np.sqrt(np.mean(np.abs(computed) ** 2)), by_abtem_probe(polar), atol=1e-6)


def test_gradient_is_that_of_the_phase():
    """In closed form against JAX's own derivative, every coefficient alone, on the axis too; and the phase against its basis."""
    kx, ky = np.array([0.0, 0.4, -0.7, 0.2, 0.0]), np.array([0.0, -0.3, 0.5, 0.9, 0.6])
    closed = jax.jit(lambda vector: phase_gradient(vector, kx, ky, LENGTH))
    by_jax = jax.jit(jax.vmap(jax.grad(lambda k, vector: phase(vector, k[0], k[1], LENGTH)), in_axes=(0, None)))
    rows, points = np.asarray(basis(kx, ky, LENGTH)), np.stack([kx, ky], axis=-1)
    for name in NAMES:
        vector = coefficients({name: SIZES[int(name[1])]})
        computed = np.asarray(closed(vector))
        np.testing.assert_allclose(computed, np.asarray(by_jax(points, vector)).T, rtol=1e-12, atol=1e-12)
        assert np.abs(computed).max() > 1e-2
        np.testing.assert_allclose(phase(vector, kx, ky, LENGTH), rows[index(name)] * vector[index(name)], rtol=1e-13)


def test_the_first_coefficients_alone_are_the_others_at_zero():
    vector = np.random.default_rng(4).normal(size=25) * 1e3
    vector[12:] = 0.0
    k = np.array([0.4, -0.7]), np.array([0.3, 0.5])
    np.testing.assert_array_equal(phase_gradient(vector[:12], *k, LENGTH), phase_gradient(vector, *k, LENGTH))


def test_gradient_displaces_by_defocus_times_angle():
    """A ray at angle theta through a lens defocused by C10 meets the plane at C10 theta."""
    computed = np.asarray(phase_gradient(coefficients({"C10": 300.0}), np.array([0.5]), np.array([-0.2]), LENGTH))
    np.testing.assert_allclose(computed[:, 0] / (2 * np.pi), [300.0 * 0.5 * LENGTH, -300.0 * 0.2 * LENGTH], rtol=1e-12)


def test_an_aberration_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="C30"):
        coefficients({"C30": float("nan")})
