"""The incident wave."""

import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import frequencies
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe
from twin.scattering.multislice import intensities

ENERGY, SHAPE, EXTENT = 200e3, (120, 96), (9.6, 12.0)


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
    found = [np.angle(value) / (2 * np.pi) * side % side for value, side in zip(circular, EXTENT, strict=True)]
    np.testing.assert_allclose(found, position, atol=2e-3)


def test_many_positions_at_once():
    window = aperture(SHAPE, EXTENT, ENERGY, 21.4e-3)
    spots = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[0.0, 0.0], [9.0, 1.0], [2.0, 2.0]]])
    vector = coefficients({"C10": 50.0, "C21b": 300.0})
    waves = probe(vector, spots, window, EXTENT, ENERGY)
    assert waves.shape == (2, 3, *SHAPE)
    np.testing.assert_allclose(waves[1, 2], probe(vector, spots[1, 2], window, EXTENT, ENERGY), atol=1e-4)


def test_soft_aperture_counts_beams_by_their_share():
    hard, soft = (aperture(SHAPE, EXTENT, ENERGY, 21.4e-3, soft=one) for one in (False, True))
    assert np.count_nonzero(soft) > np.count_nonzero(hard)
    assert len(np.unique(np.round(hard, 12))) == 2
    with pytest.raises(ValueError, match="radian"):
        aperture(SHAPE, EXTENT, ENERGY, 21.4)
