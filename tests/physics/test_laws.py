"""Analytic laws: free propagation, a weak phase object, conservation of flux, reversal, and the geometry of tilt."""

import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from twin.grid import band_limit, frequencies
from twin.optics.aberrations import coefficients, phase
from twin.optics.electrons import interaction_constant, wavelength
from twin.optics.probe import aperture, gauss_hermite, probe, source_offsets
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission

ENERGY = 200e3
SHAPE, EXTENT = (96, 128), (16.0, 12.0)


def grid_points():
    x = np.arange(SHAPE[1]) * EXTENT[0] / SHAPE[1]
    y = np.arange(SHAPE[0]) * EXTENT[1] / SHAPE[0]
    return x[None, :], y[:, None]


@pytest.mark.smoke
def test_fresnel_propagation_of_a_gaussian():
    """exp(-r^2 / w^2) spreads as 1 / (1 + i z / z0) exp(-r^2 / (w^2 (1 + i z / z0))), z0 = pi w^2 / lambda."""
    width, depth = 0.9, 60.0
    x, y = grid_points()
    square = (x - EXTENT[0] / 2) ** 2 + (y - EXTENT[1] / 2) ** 2
    wave = jnp.asarray(np.exp(-square / width**2).astype(np.complex128))
    vacuum = jnp.ones((3, *SHAPE), jnp.complex128)
    kernel = propagator(SHAPE, EXTENT, ENERGY, depth / 3, dtype=jnp.complex128)
    computed = np.asarray(multislice(wave, vacuum, kernel))
    bend = 1.0 + 1j * depth / (np.pi * width**2 / wavelength(ENERGY))
    expected = np.exp(-square / (width**2 * bend)) / bend
    assert np.abs(computed - expected).max() < 1e-6
    assert abs(bend) > 1.1


def test_tilted_propagation_moves_a_wave_against_the_lean():
    """Specimen tilt tau is beam tilt -tau: in the frame of the columns a wave moves by -z tan(tau)."""
    width, depth, tilt = 0.9, 60.0, (8e-3, -5e-3)
    x, y = grid_points()

    def gaussian(x0, y0):
        return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / width**2)

    kernel = propagator(SHAPE, EXTENT, ENERGY, depth, tilt, dtype=jnp.complex128)
    straight = propagator(SHAPE, EXTENT, ENERGY, depth, dtype=jnp.complex128)
    vacuum = jnp.ones((1, *SHAPE), jnp.complex128)
    computed = np.asarray(multislice(jnp.asarray(gaussian(8.0, 6.0) + 0j), vacuum, kernel))
    displaced = gaussian(8.0 - depth * np.tan(tilt[0]), 6.0 - depth * np.tan(tilt[1]))
    expected = np.asarray(multislice(jnp.asarray(displaced + 0j), vacuum, straight))
    assert np.abs(computed - expected).max() < 1e-6


def test_tilt_equals_leaning_columns():
    """A crystal tilted by the propagator diffracts like one whose slices are displaced by +z tan(tau) step by step."""
    specimen = srtio3((3, 3, 5))
    shape, count = (128, 128), 10
    tilt = np.array([6e-3, -3e-3])
    slices = specimen.slices(shape, count, dtype=np.float64)
    limit = band_limit(shape, specimen.extent)
    wave = probe(
        np.zeros(25),
        np.array([1.3, 0.4]),
        aperture(shape, specimen.extent, ENERGY, 21.4e-3),
        specimen.extent,
        ENERGY,
        jnp.complex128,
    )
    tilted = propagator(shape, specimen.extent, ENERGY, slices.spacing, tilt, dtype=jnp.complex128)
    computed = intensities(multislice(wave, transmission(slices.array, ENERGY, limit), tilted))
    number = np.floor(specimen.positions[:, 2] / slices.spacing)
    lean = np.zeros_like(specimen.positions)
    lean[:, :2] = (number * slices.spacing)[:, None] * np.tan(tilt)[None, :]
    leaning = specimen.slices(shape, count, lean, dtype=np.float64)
    straight = propagator(shape, specimen.extent, ENERGY, slices.spacing, dtype=jnp.complex128)
    expected = intensities(multislice(wave, transmission(leaning.array, ENERGY, limit), straight))
    untilted = intensities(multislice(wave, transmission(slices.array, ENERGY, limit), straight))
    difference = float(jnp.abs(computed - expected).sum())
    assert difference < 2e-3
    assert float(jnp.abs(computed - untilted).sum()) > 50 * difference


def test_weak_phase_object():
    """A weak grating V cos(2 pi g.x) scatters (sigma V / 2)^2 of a plane wave into each of +g and -g."""
    x, _ = grid_points()
    order, strength = 5, 2.0
    potential = strength * np.cos(2 * np.pi * order * x / EXTENT[0]) * np.ones(SHAPE)
    function = transmission(jnp.asarray(potential[None]), ENERGY)
    kernel = propagator(SHAPE, EXTENT, ENERGY, 1.0, dtype=jnp.complex128)
    pattern = np.asarray(intensities(multislice(jnp.ones(SHAPE, jnp.complex128), function, kernel)))
    expected = (interaction_constant(ENERGY) * strength / 2.0) ** 2
    np.testing.assert_allclose(pattern[0, [order, -order]], expected, rtol=1e-5)
    np.testing.assert_allclose(pattern.sum(), 1.0, atol=1e-9)


def test_flux_is_lost_only_past_the_band_limit():
    """Without a band limit on the transmission, the loss of each step is exactly the part that its propagator cuts off."""
    specimen = srtio3((3, 3, 2))
    shape = (120, 120)
    slices = specimen.slices(shape, 4, specimen.displacements(5), dtype=np.float64)
    function = transmission(slices.array, ENERGY)
    assert float(jnp.abs(jnp.abs(function) - 1.0).max()) < 1e-12
    kernel = propagator(shape, specimen.extent, ENERGY, slices.spacing, dtype=jnp.complex128)
    wave = probe(
        np.zeros(25),
        np.zeros(2),
        aperture(shape, specimen.extent, ENERGY, 21.4e-3),
        specimen.extent,
        ENERGY,
        jnp.complex128,
    )
    expected = 1.0
    limit = band_limit(shape, specimen.extent)
    for layer in function:
        spread = np.asarray(intensities(wave * layer))
        assert abs(spread.sum() - expected) < 1e-12
        expected = float((spread * limit**2).sum())
        wave = multislice(wave, layer[None], kernel)
        assert abs(float(intensities(wave).sum()) - expected) < 1e-12
    assert 0.98 < expected < 0.9999


def test_backward_undoes_forward():
    """Conjugate propagators and transmissions in reverse order bring the wave back, as far as nothing passed the band limit."""
    x, y = grid_points()
    smooth = 30.0 * np.cos(2 * np.pi * x / EXTENT[0]) * np.cos(4 * np.pi * y / EXTENT[1])
    function = transmission(jnp.asarray(np.stack([smooth, 0.5 * smooth, -smooth])), ENERGY)
    wave = probe(
        np.zeros(25), np.array([8.0, 6.0]), aperture(SHAPE, EXTENT, ENERGY, 15e-3), EXTENT, ENERGY, jnp.complex128
    )
    kernel = propagator(SHAPE, EXTENT, ENERGY, 2.0, dtype=jnp.complex128)
    exit_wave = multislice(wave, function, kernel)
    blank = jnp.ones((1, *SHAPE), jnp.complex128)
    undo = jnp.conj(kernel)
    returned = multislice(exit_wave, blank, undo)
    returned = multislice(returned, jnp.conj(function[::-1]), undo)
    returned = multislice(returned, blank, kernel)
    assert float(jnp.abs(returned - wave).max()) < 1e-4 * float(jnp.abs(wave).max())
    assert float(jnp.abs(exit_wave - wave).max()) > 0.05 * float(jnp.abs(wave).max())


def test_reciprocity_of_stem_and_tem():
    """The amplitude from beam j into beam q equals that from -q into -j through the specimen reversed in z."""
    specimen = srtio3((3, 3, 3))
    shape = (96, 96)
    slices = specimen.slices(shape, 6, specimen.displacements(2), dtype=np.float64)
    function = transmission(slices.array, ENERGY)
    kernel = propagator(shape, specimen.extent, ENERGY, slices.spacing, dtype=jnp.complex128)
    kx, ky = frequencies(shape, specimen.extent)
    x, y = (
        (np.arange(shape[1]) * specimen.extent[0] / shape[1])[None, :],
        (np.arange(shape[0]) * specimen.extent[1] / shape[0])[:, None],
    )

    def beam(index):
        return jnp.asarray(np.exp(2j * np.pi * (kx[index[1]] * x + ky[index[0]] * y)))

    blank = jnp.ones((1, *shape), jnp.complex128)
    source, target = (2, 3), (12, -9)
    forward = multislice(multislice(beam(source), blank, kernel), function, kernel)
    reverse = multislice(multislice(beam((-target[0], -target[1])), blank, kernel), function[::-1], kernel)
    amplitude = np.fft.fft2(np.asarray(forward))[target]
    reciprocal = np.fft.fft2(np.asarray(reverse))[-source[0], -source[1]]
    assert abs(amplitude) > 1.0
    assert abs(amplitude - reciprocal) < 1e-9 * abs(amplitude)


@pytest.mark.parametrize("nodes", [5, 9])
def test_quadratures_average_over_gaussians(nodes):
    offsets, weights = gauss_hermite(3.0, nodes)
    np.testing.assert_allclose(
        [weights.sum(), weights @ offsets**2, weights @ offsets**4], [1.0, 9.0, 243.0], rtol=1e-12
    )
    spots, shares = source_offsets(0.5, nodes)
    np.testing.assert_allclose([shares.sum(), *(shares @ spots**2)], [1.0, 0.25, 0.25], rtol=1e-12)


def test_kirklands_row_of_atoms():
    """Kirkland, Advanced Computing in Electron Microscopy, Fig. 5.12: C Si Cu Au U in a row at 200 kV, from 0.72 to 1.03."""
    row = Atoms(
        ["C", "Si", "Cu", "Au", "U"], positions=[(5.0 + 10.0 * n, 25.0, 1.0) for n in range(5)], cell=[50, 50, 2]
    )
    slices = Specimen.from_atoms(row).slices(512, 1, dtype=np.float64)
    shape = (512, 512)
    behind = np.fft.fft2(np.asarray(transmission(slices.array, ENERGY, band_limit(shape, slices.extent))[0]))
    kx, ky = frequencies(shape, slices.extent)
    chi = phase(coefficients({"C10": -700.0, "C30": 1.3e7}), *np.meshgrid(kx, ky), wavelength(ENERGY))
    stop = wavelength(ENERGY) * np.hypot(kx[None, :], ky[:, None]) <= 10.37e-3
    picture = np.abs(np.fft.ifft2(behind * stop * np.exp(-1j * np.asarray(chi)))) ** 2
    assert abs(picture.min() - 0.72) < 0.006
    assert abs(picture.max() - 1.03) < 0.006
    assert np.unravel_index(picture.argmin(), shape) == (256, round(45.0 / 50.0 * 512))
