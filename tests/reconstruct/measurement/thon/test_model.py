"""The model of a spectrum: the twin's transfer, its derivatives, and what windows and blocks leave of rings."""

import numpy as np
import pytest

from reconstruct.measurement.thon.flatten import flatten
from reconstruct.measurement.thon.model import C30, PSI, REST, SIZE, Model
from reconstruct.measurement.thon.spectrum import LAGS, average, power_plane, used
from tests.synthetic.films import ENERGY
from twin.optics.aberrations import index
from twin.optics.contrast import amplitude_contrast, phase_contrast
from twin.optics.transfer import Imaging


def noise_plane(shape=(64, 64)):
    image = flatten(np.random.default_rng(0).standard_normal(shape))
    assert image is not None
    return power_plane(image, 1.0, 100.0)


@pytest.mark.slow
def test_the_model_is_the_twins_transfer_and_its_derivatives_are_right():
    power = used(noise_plane())
    lens = np.zeros(25)
    lens[index("C30")] = 1e7
    model = Model(power, Imaging(lens, ENERGY, focal_spread=20.0))
    values = np.zeros(SIZE)
    values[: PSI + 1] = -900.0, 80.0, -40.0, 1e7, 0.07
    values[PSI + 1 :] = np.linspace(0.5, -0.5, SIZE - PSI - 1)
    rows = model(values)[1]
    for parameter in range(SIZE):
        step = np.zeros(SIZE)
        step[parameter] = 1e-3 if parameter < C30 else 1e-5
        step[parameter] = 10.0 if parameter == C30 else step[parameter]
        slope = (model(values + step)[0] - model(values - step)[0]) / (2.0 * step[parameter])
        # the window's autocorrelation is interpolated: its slope jumps where lags are held
        assert np.median(np.abs(slope - rows[parameter])) < 2e-4 * np.abs(rows[parameter]).max()
    model.table = np.ones_like(model.table)
    values[PSI + 1 :] = 0.0
    values[REST.start] = -60.0
    lens[[index("C10"), index("C12a"), index("C12b")]] = values[:3]
    imaging = Imaging(lens, ENERGY, focal_spread=20.0)
    expected = phase_contrast(imaging, power.kx, power.ky) * np.cos(0.07)
    expected = expected - np.sin(0.07) * amplitude_contrast(imaging, power.kx, power.ky)
    np.testing.assert_allclose(np.exp(model(values)[0]), np.abs(np.asarray(expected)) ** 2 + 1e-6, rtol=1e-6, atol=1e-9)


def test_blocks_leave_of_rings_what_their_mean_does():
    plane = noise_plane((128, 96))
    blocks = average(plane, (4, 3))
    assert blocks.block == (4, 3)
    displacement = np.array([11.0, -7.0])  # y, x in angstrom
    waves = [
        np.exp(2j * np.pi * k * shift) for k, shift in zip((plane.ky[:4], plane.kx[:3]), displacement, strict=True)
    ]
    expected = abs(waves[0].mean()) * abs(waves[1].mean())
    lag = LAGS + displacement * LAGS / np.array(plane.size)
    ratio = blocks.retained() / np.maximum(plane.retained(), 1e-9)
    y, x = np.floor(lag).astype(int)
    near = ratio[y : y + 2, x : x + 2]
    assert near.min() <= expected * 1.01
    assert near.max() >= expected * 0.99
    assert (blocks.weight.sum(), (blocks.weight * blocks.power).sum()) == pytest.approx(
        (plane.weight.sum(), (plane.weight * plane.power).sum())
    )


def test_the_windows_autocorrelation_is_that_of_its_pixels():
    image = np.random.default_rng(1).standard_normal((128, 128))
    image[40:90, 60:120] = np.nan
    flat = flatten(image)
    assert flat is not None
    table = power_plane(flat, 1.0, 100.0).window
    window = flat.window
    for y, x in ((0, 0), (10, 0), (0, 25), (17, -30)):
        shifted = np.zeros_like(window)
        rows, columns = slice(max(y, 0), 128 + min(y, 0)), slice(max(x, 0), 128 + min(x, 0))
        shifted[rows, columns] = window[max(-y, 0) : 128 - max(y, 0), max(-x, 0) : 128 - max(x, 0)]
        assert table[LAGS + y, LAGS + x] == pytest.approx((window * shifted).sum() / (window**2).sum(), abs=2e-3)
