"""The camera: sample statistics against stated moments, conservation of electrons, saturation, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.camera import Camera, covariance, dqe, expected, noise_power, sample, saturated, variance
from twin.detection.transfer import Mixture, Table, nyquist_shares

MTF = Mixture(gaussians=((0.3, 0.9),), lorentzians=((0.7, 0.35),))
NTF = Mixture(gaussians=((0.3, 1.2),), lorentzians=((0.5, 0.6),), floor=0.2)
CAMERA = Camera(MTF, NTF, efficiency=0.7, gain=12.0, dark=50.0, dark_noise=4.0, readout=9.0)
SIDE, FRAMES, ELECTRONS = 64, 100, 30.0


@pytest.fixture(scope="module")
def flat() -> np.ndarray:
    """Frames [FRAMES, SIDE, SIDE] of even light."""
    fraction = jnp.ones((FRAMES, SIDE, SIDE))
    return np.asarray(sample(jax.random.key(3), CAMERA, fraction, ELECTRONS)[0])


def test_mean_and_variance_of_flat_fields(flat):
    uniform = jnp.ones((SIDE, SIDE))
    mean, stated = expected(CAMERA, uniform, ELECTRONS), variance(CAMERA, uniform, ELECTRONS)
    np.testing.assert_allclose(mean, 12.0 * ELECTRONS + 50.0)
    # The mean's error is set by the power at zero frequency.
    error = np.sqrt((144.0 * ELECTRONS / 0.7 + 97.0) / flat.size)
    assert abs(flat.mean() - 410.0) < 4 * error
    assert flat.var() == pytest.approx(float(stated[0, 0]), rel=0.02)
    # The mean of the noise power over all frequencies is the variance (Parseval).
    q = 2.0 * np.hypot(np.fft.fftfreq(SIDE)[None, :], np.fft.fftfreq(SIDE)[:, None])
    np.testing.assert_allclose(noise_power(CAMERA, q, ELECTRONS).mean(), stated[0, 0], rtol=1e-12)


def test_noise_power_and_dqe_of_flat_fields(flat):
    """Measured as in the laboratory: transform of the flat frames, in rings, and the MTF from the image of a point."""
    power = (np.abs(np.fft.fft2(flat - 410.0)) ** 2).mean(0) / SIDE**2
    q = 2.0 * np.hypot(np.fft.fftfreq(SIDE)[None, :], np.fft.fftfreq(SIDE)[:, None])
    point = jnp.zeros((SIDE, SIDE)).at[0, 0].set(1.0)
    mtf = np.abs(np.fft.fft2(np.asarray(expected(CAMERA, point, 1.0)) - 50.0)) / 12.0
    measured = 144.0 * ELECTRONS * mtf**2 / power
    for low, high in ((0.0, 0.15), (0.2, 0.4), (0.6, 0.8), (1.0, 1.2)):
        ring = (q >= low) & (q < high)
        error = 4.0 / np.sqrt(0.5 * ring.sum() * FRAMES)
        stated = np.asarray(noise_power(CAMERA, q[ring], ELECTRONS))
        assert np.mean(power[ring] / stated) == pytest.approx(1.0, abs=error)
        ratio = np.mean(measured[ring]) / np.mean(np.asarray(dqe(CAMERA, q[ring], ELECTRONS)))
        assert ratio == pytest.approx(1.0, abs=1.5 * error + 0.02)
    bright = float(dqe(CAMERA, np.zeros(1), 1e9)[0])
    assert bright == pytest.approx(0.7, rel=1e-6)
    assert float(dqe(CAMERA, np.zeros(1), 1.0)[0]) < 0.5


def test_neighbours_share_noise_as_stated(flat):
    uniform = jnp.ones((SIDE, SIDE))
    pixel_variance = float(variance(CAMERA, uniform, ELECTRONS)[0, 0])
    for shift in ((0, 1), (1, 1), (3, -2), (20, 20)):
        measured = np.mean((flat - 410.0) * (np.roll(flat, (-shift[0], -shift[1]), axis=(1, 2)) - 410.0))
        stated = float(covariance(CAMERA, uniform, ELECTRONS, shift)[0, 0])
        assert measured == pytest.approx(stated, abs=0.01 * pixel_variance)
    assert float(covariance(CAMERA, uniform, ELECTRONS, (0, 1))[0, 0]) > 0.05 * pixel_variance


def test_covariance_of_an_uneven_frame_with_a_gain_map():
    """Against the sum over pixels that the docstring writes, with the point spread made by brute force."""
    random = np.random.default_rng(0)
    fraction, gains = random.random((6, 5)), 1.0 + 0.1 * random.random((6, 5))
    camera = Camera(MTF, gain=3.0, gain_map=gains, readout=2.0, efficiency=0.6)
    spread = np.asarray(expected(Camera(MTF), jnp.zeros((6, 5)).at[0, 0].set(1.0), 1.0))
    h = np.array([[np.roll(spread, (y, x), (0, 1)).ravel() for x in range(5)] for y in range(6)]).reshape(30, 30)
    full = 9.0 / 0.6 * (h.T * (100.0 * fraction.ravel())[None, :]) @ h
    full = gains.ravel()[:, None] * full * gains.ravel()[None, :] + 4.0 * np.eye(30)
    pixel = np.arange(30).reshape(6, 5)
    for shift in ((0, 0), (0, 1), (2, -1)):
        other = np.roll(pixel, (-shift[0], -shift[1]), (0, 1))
        computed = covariance(camera, jnp.asarray(fraction), 100.0, shift)
        np.testing.assert_allclose(
            np.asarray(computed).ravel(), full[pixel.ravel(), other.ravel()], rtol=1e-10, atol=1e-9
        )


@pytest.mark.parametrize(
    "shape,mtf", [((20, 20), MTF), ((15, 18), Table(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.6, 0.2])))]
)
def test_flux_is_conserved_by_the_mtf(shape, mtf):
    fraction = jnp.asarray(np.random.default_rng(0).random((2, *shape)))
    counts = expected(Camera(mtf, gain=2.0), fraction, 10.0)
    np.testing.assert_allclose(counts.sum((-2, -1)), 20.0 * fraction.sum((-2, -1)), rtol=1e-12)


def test_whole_electrons_are_spread_out():
    fraction = jnp.asarray(np.random.default_rng(0).random((20, 20)))
    frame = np.asarray(sample(jax.random.key(0), Camera(MTF), fraction, 10.0)[0])
    assert frame.sum() == pytest.approx(round(frame.sum()), abs=1e-9)
    assert np.abs(frame - np.round(frame)).max() > 0.1


def test_a_modulation_is_left_with_the_mtf():
    x = np.arange(32)
    wave = 1.0 + 0.5 * np.cos(2 * np.pi * 6 * x / 32)
    image = np.asarray(expected(Camera(MTF), jnp.asarray(np.tile(wave, (8, 1))), 1.0))
    ratio = (image.max() - image.min()) / (wave.max() - wave.min())
    assert ratio == pytest.approx(0.3 * np.exp(-((0.375 / 0.9) ** 2)) + 0.7 / (1 + (0.375 / 0.35) ** 2), rel=1e-9)
    assert nyquist_shares((8, 32))[0, 16] == 1.0


def test_saturated_pixels_are_clipped_and_reported():
    fraction = jnp.full((20, 20), 0.1).at[5, 7].set(30.0).at[11, 3].set(40.0)
    camera = Camera(gain=10.0, dark=20.0, readout=1.0, saturation=2000.0)
    counts, flags = sample(jax.random.key(0), camera, fraction, 100.0)
    assert [tuple(pixel) for pixel in np.argwhere(np.asarray(flags))] == [(5, 7), (11, 3)]
    assert counts[5, 7] == counts[11, 3] == 2000.0
    assert float(jnp.where(flags, 0.0, counts).max()) < 1000.0
    np.testing.assert_array_equal(saturated(camera, fraction, 100.0), flags)


def test_the_same_key_gives_the_same_frame_in_the_precision_asked_for():
    fraction = jnp.full((20, 20), 0.5, jnp.float32)
    first, second = (sample(jax.random.key(k), CAMERA, fraction, 50.0)[0] for k in (1, 1))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == jnp.float32
    assert expected(CAMERA, fraction, 50.0).dtype == jnp.float32
    assert variance(CAMERA, fraction, 50.0).dtype == jnp.float32


def test_derivatives_in_the_cameras_numbers():
    fraction = jnp.asarray(np.random.default_rng(0).random((12, 10)))
    weights = jnp.asarray(np.random.default_rng(1).random((12, 10)))

    @jax.jit
    def loss(u):
        mtf = Mixture(gaussians=((u[0], u[1]),), lorentzians=((u[2], u[3]),), floor=u[4])
        camera = Camera(mtf, gain=u[5], efficiency=u[6], dark=u[7], readout=u[8])
        return jnp.sum(weights * expected(camera, fraction, 20.0)) + jnp.sum(weights * variance(camera, fraction, 20.0))

    at, step = np.array([0.3, 0.9, 0.6, 0.4, 0.1, 3.0, 0.8, 5.0, 2.0]), 1e-6
    gradient = jax.grad(loss)(jnp.asarray(at))
    expected_ = [(loss(at + step * unit) - loss(at - step * unit)) / (2 * step) for unit in np.eye(9)]
    np.testing.assert_allclose(gradient, expected_, rtol=1e-6)
    assert np.abs(gradient).min() > 1e-3


def test_a_measured_mtf_can_be_differentiated_in():
    q = np.linspace(0.0, 1.5, 7)
    fraction = jnp.asarray(np.random.default_rng(0).random((12, 10)))
    loss = jax.jit(lambda v: jnp.sum(expected(Camera(Table(q, v)), fraction, 20.0) ** 2))
    at, step = 1.0 / (1.0 + 2.0 * q), 1e-6
    gradient = jax.grad(loss)(jnp.asarray(at))
    differences = [(loss(at + step * unit) - loss(at - step * unit)) / (2 * step) for unit in np.eye(7)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: Camera(gain=0.0), "gain"),
        (lambda: Camera(gain=float("nan")), "gain"),
        (lambda: Camera(efficiency=1.2), "efficiency"),
        (lambda: Camera(dark=100.0, saturation=100.0), "saturation"),
        (lambda: Camera(readout=-1.0), "readout"),
        (lambda: Camera(NTF, MTF), "NTF"),
        (lambda: Table(np.array([0.0, 1.0]), np.array([1.0, 1.1])), "from 0 to 1"),
        (lambda: Table(np.array([0.0, 1.0]), np.array([0.9, 0.5])), "divide"),
        (lambda: Table(np.array([0.1, 1.0]), np.array([1.0, 0.5])), "rise from 0"),
        (lambda: Mixture(gaussians=((1.0, 0.0),)), "width"),
        (lambda: Mixture(gaussians=((-1.0, 0.5),)), "zero or more"),
        (lambda: Mixture(), "floor=1.0"),
        (lambda: expected(Camera(), jnp.ones((4, 4)), 0.0), "dose"),
        (lambda: sample(jax.random.key(0), Camera(), jnp.ones((4, 4)), -1.0), "dose"),
        (lambda: expected(Camera(), jnp.ones((4, 4)).at[1, 1].set(jnp.nan), 1.0), "finite"),
        (lambda: expected(Camera(), -jnp.ones((4, 4)), 1.0), "zero or more"),
        (lambda: expected(Camera(gain_map=np.ones((3, 3))), jnp.ones((4, 4)), 1.0), "gain_map"),
    ],
)
def test_impossible_cameras_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
