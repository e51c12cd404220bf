"""Images by the objective lens: weak specimens by the transfer function, strong ones by averaging, and both against published figures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import band_limit, frequencies
from twin.optics.aberrations import NAMES, coefficients, index, phase
from twin.optics.coherence import spatial_envelope, temporal_envelope
from twin.optics.contrast import (
    amplitude_contrast,
    information_limit,
    phase_contrast,
    point_resolution,
    scherzer_defocus,
)
from twin.optics.electrons import interaction_constant, wavelength
from twin.optics.source import plane, source_offsets
from twin.optics.transfer import (
    Imaging,
    averaged_image,
    coherence_difference,
    focal_series,
    objective_aperture,
    quasi_coherent_image,
    refocused,
)

ENERGY = 200e3
LENGTH = wavelength(ENERGY)
SHAPE, EXTENT = (48, 64), (20.0, 15.0)
GENERAL = {
    **{"C10": -500.0, "C12a": 60.0, "C12b": -40.0, "C21a": 900.0, "C21b": -500.0, "C23a": 700.0, "C30": 1.0e7},
    **{"C32b": 3e5, "C34a": -4e5, "C41a": 2e7, "C45b": 3e7, "C50": 5e8, "C56a": 4e8},
}


def fringe(number, shape=SHAPE, extent=EXTENT):
    """cos(2 pi q.r) on the grid and q (x, y) in 1/angstrom, for whole numbers of periods (x, y) in the cell."""
    x, y = np.arange(shape[1]) / shape[1], np.arange(shape[0]) / shape[0]
    return np.cos(2 * np.pi * (number[0] * x[None, :] + number[1] * y[:, None])), (
        number[0] / extent[0],
        number[1] / extent[1],
    )


def lens(**changes):
    given = {"coefficients": coefficients({"C10": -600.0, "C30": 1.2e7}), "energy": ENERGY} | changes
    return Imaging(**given)


def by_hand(wave, imaging, extent=EXTENT):
    """Coherent image of ``wave``, written out in numpy."""
    shape = wave.shape
    kx, ky = np.meshgrid(*frequencies(shape, extent))
    tilt = np.asarray(imaging.tilt) / LENGTH
    chi = np.asarray(phase(imaging.coefficients, kx + tilt[0], ky + tilt[1], LENGTH))
    return np.abs(np.fft.ifft2(np.fft.fft2(wave) * np.exp(-1j * chi))) ** 2


def harmonic(picture, number):
    """Fourier coefficient of a picture at a fringe, of its mean."""
    return np.fft.fft2(picture)[number[1] % picture.shape[0], number[0] % picture.shape[1]] / picture.sum()


@pytest.mark.parametrize("number", [(3, 0), (2, 3), (5, -4)])
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (1.5e-3, -0.8e-3)])
def test_weak_phase_grating_has_the_contrast_of_the_transfer_function(number, tilt):
    """exp(i a cos(2 pi q.r)) images as 1 + 2 a Re(H exp(2 pi i q.r)), H = sin chi without odd aberrations or tilt; to order a^2."""
    grating, q = fringe(number)
    imaging = lens(coefficients=coefficients(GENERAL), tilt=tilt)
    weak = 1e-4
    found = harmonic(np.asarray(quasi_coherent_image(np.exp(1j * weak * grating), EXTENT, imaging)), number) / weak
    expected = complex(phase_contrast(imaging, np.asarray(q[0]), np.asarray(q[1])))
    assert abs(found - expected) < 1e-7 + 2 * weak
    dark = harmonic(np.asarray(quasi_coherent_image((1.0 - weak * grating) + 0j, EXTENT, imaging)), number) / weak
    assert abs(dark + complex(amplitude_contrast(imaging, np.asarray(q[0]), np.asarray(q[1])))) < 1e-7 + 2 * weak


@pytest.mark.parametrize("number", [(3, 0), (2, 3), (4, -4)])
def test_contrast_is_twice_sigma_v_sine_chi(number):
    grating, q = fringe(number)
    height = 1e-4 / interaction_constant(ENERGY)
    wave = np.exp(1j * interaction_constant(ENERGY) * height * grating)
    imaging = lens()
    picture = np.asarray(quasi_coherent_image(wave, EXTENT, imaging))
    square = q[0] ** 2 + q[1] ** 2
    chi = np.pi * LENGTH * -600.0 * square + 0.5 * np.pi * LENGTH**3 * 1.2e7 * square**2
    np.testing.assert_allclose(picture, 1.0 + 2e-4 * np.sin(chi) * grating, atol=5e-8)
    assert abs(np.sin(chi)) > 0.1


def test_kirklands_row_of_atoms_with_kirklands_atoms():
    """Kirkland, Advanced Computing in Electron Microscopy, Fig. 5.12: C Si Cu Au U in a row at 200 kV, from 0.72 to 1.03."""
    from abtem.parametrizations import KirklandParametrization

    shape, extent = (512, 512), (50.0, 50.0)
    kx, ky = np.meshgrid(*frequencies(shape, extent))
    table = KirklandParametrization()
    spectrum = np.zeros(shape, complex)
    for number, symbol in enumerate(("C", "Si", "Cu", "Au", "U")):
        factor = table.projected_scattering_factor(symbol)(kx**2 + ky**2)
        spectrum += np.asarray(factor) * np.exp(-2j * np.pi * (kx * (5.0 + 10.0 * number) + ky * 25.0))
    potential = np.fft.ifft2(spectrum).real * (512 * 512 / 2500.0)
    wave = np.fft.ifft2(np.fft.fft2(np.exp(1j * interaction_constant(ENERGY) * potential)) * band_limit(shape, extent))
    imaging = lens(coefficients=coefficients({"C10": -700.0, "C30": 1.3e7}), semiangle=10.37e-3)
    picture = np.asarray(quasi_coherent_image(wave, extent, imaging))
    assert round(float(picture.min()), 2) == 0.72
    assert round(float(picture.max()), 2) == 1.03
    assert np.unravel_index(picture.argmin(), shape) == (256, round(45.0 / 50.0 * 512))


def test_vacuum_is_one():
    vacuum = np.ones((2, *SHAPE), np.complex64)
    imaging = lens(semiangle=10e-3, focal_spread=40.0, convergence=2e-4, vibration=(0.5, 0.2, 0.3), tilt=(1e-3, 0.0))
    found = np.asarray(quasi_coherent_image(vacuum, EXTENT, imaging))
    assert found.dtype == np.float32
    assert found.shape == (2, *SHAPE)
    np.testing.assert_allclose(found, 1.0, atol=1e-5)
    np.testing.assert_allclose(averaged_image(vacuum, EXTENT, imaging, 5, 3), 1.0, atol=1e-5)


def test_temporal_envelope_has_a_half_with_an_rms():
    """The average of exp(-i pi lambda C10 k^2) over defoci drawn with rms 35, and the trap: a 1/4 belongs to a 1/e half-width."""
    k, spread = 0.45, 35.0
    defocus = np.linspace(-8 * spread, 8 * spread, 20001)
    weight = np.exp(-0.5 * (defocus / spread) ** 2)
    expected = np.sum(weight * np.cos(np.pi * LENGTH * defocus * k**2)) / weight.sum()
    found = float(temporal_envelope(np.asarray(k), np.asarray(0.0), LENGTH, spread))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert abs(np.exp(-0.25 * (np.pi * LENGTH * spread * k**2) ** 2) / expected - 1.0) > 0.05
    half_width = np.sqrt(2.0) * spread
    np.testing.assert_allclose(found, np.exp(-0.25 * (np.pi * LENGTH * half_width * k**2) ** 2), rtol=1e-12)


def test_spatial_envelope_is_the_average_over_tilts():
    """Directly: the phase between the direct and a scattered beam, averaged over tilts; with every kind of aberration, on and off the axis."""
    vector, spread = coefficients(GENERAL), 2e-5
    tilts, weights = source_offsets(spread, 25)
    for start in ((0.0, 0.0), (2e-3, -1e-3)):
        kx, ky = np.array([0.3, -0.2, 0.1, 0.55]), np.array([0.1, 0.4, -0.5, 0.2])
        k0 = (np.asarray(start)[None] + tilts) / LENGTH
        far = phase(vector, kx[None] + k0[:, :1], ky[None] + k0[:, 1:], LENGTH)
        near = phase(vector, k0[:, 0], k0[:, 1], LENGTH)
        phases = np.asarray(far) - np.asarray(near)[:, None]
        expected = np.abs(weights @ np.exp(-1j * phases))
        found = np.asarray(spatial_envelope(vector, kx, ky, LENGTH, spread, start))
        np.testing.assert_allclose(found, expected, atol=2e-4)
        assert found.min() < 0.9


def test_spatial_envelope_is_the_textbooks_for_a_round_lens():
    """exp(-(pi s)^2 q^2 (C1 + C3 lambda^2 q^2)^2 / ln 2 ...) in one form of many: here (2 pi (C10 theta + C30 theta^3))^2 s^2 / (2 lambda^2)."""
    k, spread = np.linspace(0.0, 0.6, 7), 3e-4
    theta = LENGTH * k
    expected = np.exp(-0.5 * (2 * np.pi * (-600.0 * theta + 1.2e7 * theta**3) * spread / LENGTH) ** 2)
    found = spatial_envelope(coefficients({"C10": -600.0, "C30": 1.2e7}), k, np.zeros(7), LENGTH, spread)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


COHERENCE = {
    "focal spread": {"focal_spread": 60.0},
    "convergence": {"convergence": 1.5e-4},
    "vibration": {"vibration": (0.8, 0.3, 0.5)},
}


@pytest.mark.parametrize("kind", COHERENCE)
def test_envelope_and_average_agree_for_a_weak_specimen_and_not_for_a_strong_one(kind):
    """Difference of the contrast, of the contrast's own size: of the order of the specimen's phase when weak, far larger when strong."""
    imaging = lens(**COHERENCE[kind])
    grating = fringe((5, 0))[0] + fringe((3, 4))[0] + 0.7 * fringe((0, 5))[0]
    apart, damped = {}, {}
    for strength in (1e-3, 0.8):
        wave = np.exp(1j * strength * grating)
        both = coherence_difference(wave, EXTENT, imaging, 15, 9)
        contrast = float(np.std(np.asarray(both.averaged)))
        apart[strength] = both.rms / contrast
        damped[strength] = float(np.std(np.asarray(both.averaged) - by_hand(wave, imaging))) / contrast
        assert both.maximum >= both.rms
        assert both.quadrature < 1e-3
    assert apart[1e-3] < 0.02
    assert damped[1e-3] > 0.05
    assert apart[0.8] > 4 * apart[1e-3]
    assert apart[0.8] > 0.02
