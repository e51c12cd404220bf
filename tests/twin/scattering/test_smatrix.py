"""The scattering matrix: exact without interpolation, close with it while the probe is within the window, and within its memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import band_limit
from twin.optics.aberrations import coefficients, index
from twin.optics.probe import aperture, probe
from twin.sample.specimen import srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission
from twin.scattering.stem.beams import beams
from twin.scattering.stem.smatrix import exit_waves, scattering_matrix

ENERGY, SEMIANGLE, SHAPE, CELLS = 200e3, 21.4e-3, (96, 96), (4, 4, 3)
ABERRATIONS = coefficients({"C10": 20.0, "C12b": 10.0, "C21a": 200.0})
SPOTS = np.array([[0.0, 0.0], [1.3, 0.4], [7.7, 14.9]])


@pytest.fixture(scope="module")
def setting():
    specimen = srtio3(CELLS)
    slices = specimen.slices(SHAPE, 6, specimen.displacements(5))
    functions = transmission(slices.array, ENERGY, band_limit(SHAPE, slices.extent))
    return functions, propagator(SHAPE, slices.extent, ENERGY, slices.spacing, (5e-3, 2e-3)), slices.extent


def built(setting, interpolation=1, **options):
    functions, kernel, extent = setting
    return scattering_matrix(functions, kernel, extent, ENERGY, SEMIANGLE, interpolation, **options)


@pytest.fixture(scope="module")
def exact(setting):
    functions, kernel, extent = setting
    waves = probe(ABERRATIONS, SPOTS, aperture(SHAPE, extent, ENERGY, SEMIANGLE), extent, ENERGY)
    return np.asarray(multislice(waves, functions, kernel))


@pytest.fixture(scope="module")
def matrix(setting):
    return built(setting)


def test_without_interpolation_it_is_multislice(matrix, exact):
    computed = np.asarray(exit_waves(matrix, ABERRATIONS, SPOTS))
    assert np.abs(computed - exact).max() < 2e-4 * np.abs(exact).max()


def test_with_interpolation_the_exit_wave_is_near_in_its_window(setting, exact):
    interpolated = built(setting, 2)
    assert len(interpolated.indices) < 0.3 * len(beams(setting[2], ENERGY, SEMIANGLE).indices)
    computed = np.asarray(intensities(exit_waves(interpolated, ABERRATIONS, SPOTS)))
    assert computed.shape == (3, 48, 48)
    exact_patterns = np.asarray(intensities(jnp.asarray(exact)))

    # inside and outside the aperture, the shares of the beam agree to within the share outside the 7.8 angstrom window
    def shares(patterns):
        ky = np.fft.fftfreq(patterns.shape[-2], 1.0 / patterns.shape[-2])[:, None]
        kx = np.fft.fftfreq(patterns.shape[-1], 1.0 / patterns.shape[-1])[None, :]
        angle = np.hypot(kx, ky) * 0.0250793 / (15.62 * patterns.shape[-1] / 96)
        return np.array([patterns[:, angle < 30e-3].sum(axis=1), patterns[:, angle >= 30e-3].sum(axis=1)])

    ours, theirs = shares(computed), shares(exact_patterns)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0.03)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0.15)
    assert np.abs(ours - theirs).max() > 1e-5


@pytest.mark.parametrize("interpolation", [1, 2])
def test_the_result_does_not_depend_on_memory_or_workers(setting, interpolation, matrix):
    expected = matrix if interpolation == 1 else built(setting, interpolation)
    required_bytes = expected.waves.nbytes + 2 * 4 * SHAPE[0] * SHAPE[1] * 8
    rebuilt = built(setting, interpolation, memory=required_bytes, workers=2)
    np.testing.assert_allclose(rebuilt.waves, expected.waves, atol=1e-6 * np.abs(expected.waves).max())
    with pytest.raises(ValueError, match="memory bound"):
        built(setting, interpolation, memory=required_bytes - 1, workers=2)


def test_a_grid_that_is_no_multiple_is_refused(setting):
    with pytest.raises(ValueError, match="does not divide the grid"):
        built(setting, 5)


@pytest.mark.slow
def test_derivatives_against_differences(matrix):
    def central(values, position):
        wave = exit_waves(matrix, values, position[None])[0]
        return intensities(wave)[3, 5] * 1e4

    start = (jnp.asarray(ABERRATIONS), jnp.asarray([1.3, 0.4]))
    gradient = jax.grad(central, (0, 1))(*start)
    for name, step in (("C10", 1.0), ("C21a", 30.0)):
        ends = [central(start[0].at[index(name)].add(sign * step), start[1]) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[0][index(name)], (ends[0] - ends[1]) / (2 * step), rtol=5e-3)
    ends = [central(start[0], start[1].at[1].add(sign * 0.02)) for sign in (1, -1)]
    np.testing.assert_allclose(gradient[1][1], (ends[0] - ends[1]) / 0.04, rtol=5e-3)
