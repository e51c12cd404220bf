"""The camera by its noise: gain, correlation of channels, readout noise, and the filter that makes the noise white."""

import numpy as np
import pytest
from scipy.linalg import toeplitz

from reconstruct.eels.camera import camera_by_background, noise_of, precision, whitening
from tests.synthetic.eels.spectra import recorded

CHANNELS = 60


def _matrix(taps: np.ndarray) -> np.ndarray:
    return np.sum([np.diag(row[lag:], -lag) for lag, row in enumerate(taps)], axis=0)


def test_autoregressive_noise_becomes_white() -> None:
    first, second = 0.5, -0.2
    rho = [1.0, first / (1.0 - second)]
    for _ in range(CHANNELS):
        rho.append(first * rho[-1] + second * rho[-2])
    whiten = _matrix(whitening(tuple(rho[1:4]), CHANNELS))
    covariance = toeplitz(rho[:CHANNELS])
    assert np.allclose(whiten @ covariance @ whiten.T, np.eye(CHANNELS), atol=1e-10)


def test_the_precision_is_that_of_the_whitening() -> None:
    taps = whitening((0.43, 0.1), CHANNELS)
    whiten, bands = _matrix(taps), precision(taps)
    full = whiten.T @ whiten
    for lag in range(len(bands)):
        assert np.allclose(np.diag(full, lag), bands[lag, : CHANNELS - lag])


def test_the_camera_is_learnt_from_its_noise() -> None:
    generator = np.random.default_rng(3)
    mean = np.exp(np.linspace(3.0, 7.0, 2000)) * np.ones((60, 1))
    electrons = generator.poisson(mean / 20.0) - mean / 20.0
    light = 0.6 * electrons
    light[:, 1:] += 0.2 * electrons[:, :-1]
    light[:, :-1] += 0.2 * electrons[:, 1:]
    camera = noise_of(20.0 * light + 12.0 * generator.standard_normal(mean.shape), mean, 1.0, fit_readout=True)
    assert camera.readout == pytest.approx(12.0, rel=0.05)
    plain = noise_of(20.0 * light, mean, 1.0, fit_readout=True)
    assert plain.readout == 0.0
    assert plain.gain == pytest.approx(20.0 * (0.6**2 + 2 * 0.2**2), rel=0.03)
    assert plain.counts_per_electron == pytest.approx(20.0, rel=0.05)
    assert plain.correlation[:2] == pytest.approx((0.24 / 0.44, 0.04 / 0.44), abs=0.03)


def test_white_noise_has_no_correlation() -> None:
    noise = np.random.default_rng(0).standard_normal((50, 1000))
    camera = noise_of(noise, np.ones_like(noise), 1.0)
    assert (camera.correlation, camera.readout) == ((), 0.0)
    assert camera.gain == pytest.approx(1.0, rel=0.03)
    assert camera.error == pytest.approx(np.sqrt(2.0 / 50_000))


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_the_camera_by_the_scatter_about_power_laws(spread: float) -> None:
    """Neighbouring channels that share noise, and a fixed pattern of their gains; sums of channels have the counts per electron."""
    energies = 350.0 + 0.5 * np.arange(220)
    mean = np.broadcast_to(2500.0 / 28.0 * (energies / 420.0) ** -2.5, (60, len(energies)))
    counts = recorded(mean, 5, gain=28.0, spread=spread, pattern=0.046)
    camera = camera_by_background(energies, counts, (352.0, 450.0))
    assert camera.counts_per_electron == pytest.approx(28.0, rel=0.08)
    assert (len(camera.correlation) > 0) == (spread > 0.0)
    assert camera.error < 0.03
    with pytest.raises(ValueError, match="give at least 8 with 96"):
        camera_by_background(energies, counts[:7], (352.0, 450.0))
