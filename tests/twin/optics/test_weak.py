"""The linear response of a scan against multislice of a weak phase object."""

import jax.numpy as jnp
import numpy as np
import pytest

from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture
from twin.optics.weak import THIRD, response, sidebands, smear
from twin.phases import cis
from twin.scattering.multislice import propagator
from twin.scattering.reciprocity import rows, scan_images

ENERGY, SEMIANGLE, SIDE, N = 200e3, 30e-3, 16.0, 80
CHI = coefficients({"C10": 80.0, "C12a": 25.0, "C12b": -40.0, "C21a": 500.0, "C23b": 900.0, "C30": 2e4})


@pytest.mark.slow
def test_a_scan_over_a_weak_object_has_the_response_at_every_frequency():
    generator = np.random.default_rng(0)
    phi = 1e-4 * generator.normal(size=(N, N))
    spectrum = np.fft.fft2(phi) / N**2
    step = wavelength(ENERGY) / SIDE
    for tilt in ((0, 0), (5, -3)):
        indices = np.array([[0, 0], [6, 2], [-4, 9], [-12, -5]]) + np.array(tilt)
        kernel = propagator((N, N), (SIDE, SIDE), ENERGY, 0.0, dtype=np.complex128, cutoff=10.0)
        plane_waves = rows(indices, jnp.asarray(np.exp(1j * phi))[None], kernel)
        centre = (tilt[0] * step, tilt[1] * step)
        amplitude = aperture((N, N), (SIDE, SIDE), ENERGY, SEMIANGLE, False, centre)
        images = np.asarray(scan_images(plane_waves, CHI, amplitude, (SIDE, SIDE), ENERGY, (N, N)))
        spectra = np.fft.fft2(images / images.mean(axis=(1, 2), keepdims=True)) / N**2
        at = np.array([[3, 0], [5, 11], [-7, 20], [1, -8]])
        bands = sidebands(at / SIDE, (indices - np.array(tilt)) * step, centre, ENERGY, SEMIANGLE, 1e-6)
        expected = np.asarray(response(bands, CHI[:THIRD], 0.0))
        for transfer, (x, y) in zip(expected, at, strict=True):
            expected_spectrum = transfer * spectrum[y, x]
            np.testing.assert_allclose(spectra[:, y, x], expected_spectrum, atol=3e-3 * np.abs(spectrum).max())


@pytest.mark.slow
def test_a_wide_pixel_is_the_mean_of_its_points():
    q, width = np.array([[0.3, 0.1], [-0.1, 0.4]]), 4e-3
    middle = np.array([[5e-3, -8e-3]])
    lower, upper = smear(CHI, q, middle, (1e-3, 2e-3), ENERGY, width)
    part = ((np.arange(16) + 0.5) / 16 - 0.5) * width
    points = middle + np.stack(np.meshgrid(part, part), axis=-1).reshape(-1, 2)
    bands = sidebands(q, points, (1e-3, 2e-3), ENERGY, SEMIANGLE, 1e-6)
    for phases, factor in ((bands.minus, lower), (bands.plus, upper)):
        mean = np.abs(np.asarray(cis(phases @ CHI[:THIRD])).mean(axis=1))
        np.testing.assert_allclose(np.abs(np.asarray(factor)[:, 0]), mean, atol=0.01)
        assert mean.min() < 0.97


def test_depth_is_defocus():
    q = np.array([[0.2, 0.5]])
    bands = sidebands(q, np.array([[0.0, 4e-3]]), (0.0, 0.0), ENERGY, SEMIANGLE, 1e-3)
    deeper = np.eye(25)[0] * 30.0
    deep = response(bands, CHI[:THIRD], 30.0)
    right = response(bands, (CHI + deeper)[:THIRD], 0.0)
    assert np.asarray(deep) == pytest.approx(np.asarray(right))
