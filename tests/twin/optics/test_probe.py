"""Incident waves: position, aperture, tilt, sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import frequencies
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, check_sampling, nearest_tilt, plane_wave, probe, reach
from twin.scattering.multislice import intensities

ENERGY, SHAPE, EXTENT = 200e3, (120, 96), (9.6, 12.0)


@pytest.mark.smoke
def test_intensity_is_one_and_lies_within_the_aperture():
    window = aperture(SHAPE, EXTENT, ENERGY, 21.4e-3, soft=False)
    pattern = np.asarray(intensities(probe(np.zeros(25), np.array([1.0, 2.0]), window, EXTENT, ENERGY)))
    kx, ky = frequencies(SHAPE, EXTENT)
    angle = wavelength(ENERGY) * np.hypot(kx[None, :], ky[:, None])
    assert abs(pattern.sum() - 1.0) < 1e-5
    assert pattern[angle > 21.4e-3].sum() < 1e-9
    inside = pattern[angle <= 21.4e-3]
    assert inside.max() < 1.001 * inside.min()


@pytest.mark.parametrize("position", [(2.0, 7.0), (9.5, 0.1)])
def test_position_is_x_then_y_and_sub_pixel(position):
    window = aperture(SHAPE, EXTENT, ENERGY, 21.4e-3)
    wave = np.asarray(probe(np.zeros(25), np.asarray(position), window, EXTENT, ENERGY, jnp.complex128))
    intensity = np.abs(wave) ** 2
    x = np.arange(SHAPE[1]) * EXTENT[0] / SHAPE[1]
    y = np.arange(SHAPE[0]) * EXTENT[1] / SHAPE[0]
    circular = [
        np.sum(intensity.sum(axis) * np.exp(2j * np.pi * at / side))
        for axis, at, side in [(0, x, EXTENT[0]), (1, y, EXTENT[1])]
    ]
    computed = [np.angle(value) / (2 * np.pi) * side % side for value, side in zip(circular, EXTENT, strict=True)]
    np.testing.assert_allclose(computed, position, atol=2e-3)


def test_many_positions_at_once():
    window = aperture(SHAPE, EXTENT, ENERGY, 21.4e-3)
    spots = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[0.0, 0.0], [9.0, 1.0], [2.0, 2.0]]])
    vector = coefficients({"C10": 50.0, "C21b": 300.0})
    waves = probe(vector, spots, window, EXTENT, ENERGY)
    assert waves.shape == (2, 3, *SHAPE)
    np.testing.assert_allclose(waves[1, 2], probe(vector, spots[1, 2], window, EXTENT, ENERGY), atol=1e-4)


def test_soft_aperture_counts_beams_by_their_share():
    hard, soft = (aperture(SHAPE, EXTENT, ENERGY, 21.4e-3, soft=is_soft) for is_soft in (False, True))
    assert np.count_nonzero(soft) > np.count_nonzero(hard)
    assert len(np.unique(np.round(hard, 12))) == 2
    with pytest.raises(ValueError, match="radian"):
        aperture(SHAPE, EXTENT, ENERGY, 21.4)


@pytest.mark.parametrize("semiangle", [18.3e-3, 20e-3, 21.1e-3])
def test_edge_of_electrons_passes_those_of_the_stated_circle(semiangle):
    step = wavelength(ENERGY) / 16.0
    areas = {}
    for edge in (True, "electrons"):
        window = aperture((192, 192), (16.0, 16.0), ENERGY, semiangle, edge)
        areas[edge] = float(np.sum((window / window.max()) ** 2)) * step**2
    radius = np.sqrt(areas["electrons"] / np.pi)
    assert radius == pytest.approx(semiangle, abs=0.02 * step)
    # amplitudes that are shares of cells have squares that miss a sixth of a step
    assert np.sqrt(areas[True] / np.pi) == pytest.approx(semiangle - step / 6.0, abs=0.03 * step)


def test_soft_edge_is_linear_and_one_step_wide():
    shape, extent = (256, 256), (20.0, 20.0)
    window = aperture(shape, extent, ENERGY, 20e-3)
    kx, _ = frequencies(shape, extent)
    inside = (20e-3 - wavelength(ENERGY) * np.abs(kx)) / (wavelength(ENERGY) / 20.0) + 0.5
    np.testing.assert_allclose(window[0] / window[0, 0], np.clip(inside, 0.0, 1.0), atol=1e-12)
    assert np.sum((window[0] > 0) & (window[0] < window[0, 0])) > 0
    np.testing.assert_allclose(np.sum(window**2), 1.0, rtol=1e-12)


@pytest.mark.parametrize("soft", [True, False])
def test_tilted_cone_is_the_probe_times_a_plane_wave(soft):
    """Aperture and axis moved by a tilt of the grid: the same intensity, and the phase of the tilted plane wave."""
    tilt = nearest_tilt(EXTENT, ENERGY, (8e-3, -5e-3))
    vector, spot = coefficients({"C10": 80.0, "C12b": 30.0, "C21a": 400.0, "C30": 1e5}), np.array([3.0, 5.0])
    straight = aperture(SHAPE, EXTENT, ENERGY, 18e-3, soft)
    shifted = aperture(SHAPE, EXTENT, ENERGY, 18e-3, soft, centre=tilt)
    computed = np.asarray(probe(vector, spot, shifted, EXTENT, ENERGY, jnp.complex128, axis=tilt))
    wave = np.asarray(plane_wave(SHAPE, EXTENT, ENERGY, tilt, jnp.complex128))
    expected = np.asarray(probe(vector, spot, straight, EXTENT, ENERGY, jnp.complex128)) * wave
    turn = np.exp(-2j * np.pi * np.dot(tilt, spot) / wavelength(ENERGY))
    np.testing.assert_allclose(computed, expected * turn, atol=1e-9)
    without_axis = np.asarray(probe(vector, spot, shifted, EXTENT, ENERGY, jnp.complex128))
    assert np.abs(np.abs(without_axis) ** 2 - np.abs(computed) ** 2).max() > 0.05 * np.abs(computed).max() ** 2


def test_derivatives_in_the_axis_and_the_coefficients_are_differences():
    shape = (32, 32)
    window = aperture(shape, (8.0, 8.0), ENERGY, 18e-3, centre=(4e-3, 2e-3))

    @jax.jit
    def loss(p):
        wave = probe(p[2:], jnp.asarray([4.0, 3.0]), window, (8.0, 8.0), ENERGY, jnp.complex128, axis=p[:2])
        return jnp.sum((wave.real**2 + wave.imag**2) ** 2)

    start = jnp.asarray([3e-3, -1e-3, *coefficients({"C10": 60.0, "C12a": 20.0, "C21b": 300.0, "C30": 1e5})])
    slopes = jax.grad(loss)(start)
    for row, step in ((0, 1e-7), (1, 1e-7), (2, 1e-3), (3, 1e-3), (6, 1e-2), (9, 1.0)):
        ends = [float(loss(start.at[row].add(sign * step))) for sign in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slopes[row], difference, rtol=1e-5)
        assert abs(difference) * step > 1e-9 * float(loss(start))


def test_aperture_off_the_axis_moves_a_defocused_probe():
    """Rays at tilt t meet the plane displaced by C10 t: the centre of the probe's intensity."""
    shape, extent, tilt, c10 = (128, 128), (20.0, 20.0), (6e-3, -4e-3), 200.0
    window = aperture(shape, extent, ENERGY, 12e-3, centre=tilt)
    intensity = (
        np.abs(
            np.asarray(
                probe(coefficients({"C10": c10}), np.array([10.0, 10.0]), window, extent, ENERGY, jnp.complex128)
            )
        )
        ** 2
    )
    line = np.arange(128) * 20.0 / 128
    total = intensity.sum()
    centre = (intensity.sum(0) @ line / total, intensity.sum(1) @ line / total)
    np.testing.assert_allclose(centre, [10.0 + c10 * tilt[0], 10.0 + c10 * tilt[1]], atol=0.03)


def test_plane_waves():
    tilt = (3 * wavelength(ENERGY) / EXTENT[0], -2 * wavelength(ENERGY) / EXTENT[1])
    wave = np.asarray(plane_wave(SHAPE, EXTENT, ENERGY, tilt, jnp.complex128))
    spectrum = np.fft.fft2(wave) / wave.size
    assert abs(spectrum[-2, 3] - 1.0) < 1e-12
    assert abs(np.sum(np.abs(spectrum) ** 2) - 1.0) < 1e-12
    with pytest.raises(ValueError, match="nearest"):
        plane_wave(SHAPE, EXTENT, ENERGY, (1e-3, 0.0))
    with pytest.raises(ValueError, match="more points"):
        plane_wave(SHAPE, EXTENT, ENERGY, (48 * wavelength(ENERGY) / EXTENT[0], 0.0))


def test_a_probe_that_overlaps_itself_is_refused_and_the_cell_that_is_named_holds_it():
    """At the defocus where the edge ray reaches half the cell; the probe has little intensity in the outer tenth of the named cell."""
    angle = 20e-3
    limit = 0.5 * EXTENT[0] / angle
    check_sampling(coefficients({"C10": 0.999 * limit}), SHAPE, EXTENT, ENERGY, angle)
    with pytest.raises(ValueError, match=r"cell of at least \(24\.0, 24\.0\)"):
        check_sampling(coefficients({"C10": 600.0}), SHAPE, EXTENT, ENERGY, angle)
    kx = np.arange(60) / EXTENT[0]
    inside = wavelength(ENERGY) * kx <= angle
    for c10, jumps in ((0.95 * limit, False), (1.3 * limit, True)):
        chi = np.pi * wavelength(ENERGY) * c10 * kx[inside] ** 2
        assert (np.diff(chi).max() > np.pi) == jumps
    vector = coefficients({"C10": 600.0})
    for side, share in ((24.0 * 1.2, 0.02), (12.0, 1.0)):
        shape = (256, 256)
        window = aperture(shape, (side, side), ENERGY, angle)
        wave = np.asarray(probe(vector, np.array([side / 2, side / 2]), window, (side, side), ENERGY, jnp.complex128))
        intensity = np.abs(wave) ** 2 / np.sum(np.abs(wave) ** 2)
        edge = intensity.sum() - intensity[13:-13, 13:-13].sum()
        assert edge < share
        assert share < 1.0 or edge > 0.1


def test_rays_agree_with_the_round_lens():
    """C30 theta^3 and C10 theta, and C12 stretching x and squeezing y."""
    np.testing.assert_allclose(reach(coefficients({"C30": 1e7}), ENERGY, 10e-3), [10.0, 10.0], rtol=1e-9)
    np.testing.assert_allclose(reach(coefficients({"C10": 300.0, "C12a": 100.0}), ENERGY, 10e-3), [4.0, 2.0], rtol=1e-9)
    x, y = reach(coefficients({"C30": 1e7}), ENERGY, 10e-3, centre=(5e-3, 0.0))
    assert abs(x - 1e7 * 15e-3**3) < 1e-6
    assert y < x


@pytest.mark.parametrize(
    "call,match",
    [
        (lambda: aperture(SHAPE, EXTENT, ENERGY, 0.0), "semiangle"),
        (lambda: aperture(SHAPE, EXTENT, ENERGY, float("nan")), "semiangle"),
        (lambda: aperture(SHAPE, EXTENT, 200.0, 20e-3), "electronvolts"),
        (lambda: aperture(SHAPE, EXTENT, ENERGY, 20e-3, centre=(float("nan"), 0.0)), "centre"),
        (lambda: aperture(SHAPE, EXTENT, ENERGY, 1e-3, centre=(0.19, 0.0)), "no beam"),
        (lambda: check_sampling(np.zeros(25), (32, 32), EXTENT, ENERGY, 50e-3), "points"),
        (lambda: check_sampling(np.full(25, np.nan), SHAPE, EXTENT, ENERGY, 20e-3), "coefficients"),
        (lambda: check_sampling(np.zeros(25), SHAPE, (0.0, 12.0), ENERGY, 20e-3), "extent"),
    ],
)
def test_impossible_illumination_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
