"""Deconvolution by habit, on spectra that are exact sums of orders of scattering."""

import numpy as np
import pytest

from reconstruct.eels.edge_signal import edge_signal
from reconstruct.eels.habit.fourier_log import fourier_log
from reconstruct.eels.habit.fourier_ratio import fourier_ratio
from reconstruct.eels.habit.power_law import subtract_power_law

CHANNELS, ZERO, STEP = 2048, 100, 0.1
LOSSES = STEP * (np.arange(CHANNELS) - ZERO)
SIZE = 16 * CHANNELS


def _shifted(values: np.ndarray) -> np.ndarray:
    return np.fft.rfft(np.roll(np.pad(values, (0, SIZE - len(values))), -ZERO))


def _back(transform: np.ndarray) -> np.ndarray:
    return np.roll(np.fft.irfft(transform, SIZE), ZERO)[:CHANNELS]


@pytest.fixture(scope="module")
def zero() -> np.ndarray:
    shape = np.exp(-0.5 * (LOSSES / 0.3) ** 2)
    return shape / shape.sum()


@pytest.fixture(scope="module")
def single() -> np.ndarray:
    losses = STEP * np.arange(SIZE)
    curve = losses * 30.0 / ((losses**2 - 225.0) ** 2 + (2.0 * losses) ** 2)
    return np.fft.rfft(curve / curve.sum())


@pytest.mark.parametrize("thickness", [0.3, 2.0, 4.0])
def test_fourier_log_recovers_single_scattering(thickness: float, zero: np.ndarray, single: np.ndarray) -> None:
    spectrum = 1e6 * _back(_shifted(zero) * np.exp(thickness * (single - 1.0)))
    elastic = 1e6 * np.exp(-thickness) * zero
    detected = fourier_log(spectrum, elastic, ZERO)
    wanted = thickness * _back(_shifted(elastic) * single)
    assert detected.relative_thickness == pytest.approx(thickness, rel=5e-3)
    assert np.abs(detected.distribution - wanted).max() < 0.01 * wanted.max()


def test_fourier_ratio_takes_plural_scattering_out(zero: np.ndarray, single: np.ndarray) -> None:
    thickness = 1.5
    edge = np.where(LOSSES > 50.0, (np.maximum(LOSSES, 50.0) / 50.0) ** -3.0, 0.0)
    poisson = np.exp(thickness * (single - 1.0))
    transform = _shifted(edge) * _shifted(zero)
    low, elastic = 1e6 * _back(_shifted(zero) * poisson), 1e6 * np.exp(-thickness) * zero
    detected = fourier_ratio(_back(transform * poisson), low, elastic, ZERO)
    wanted = np.exp(-thickness) * _back(transform)
    inside = slice(200, 1900)
    assert np.abs(detected - wanted)[inside].max() < 0.01 * wanted.max()


def test_a_power_law_is_subtracted_with_its_error() -> None:
    energies = 350.0 + 0.5 * np.arange(1024)
    mean = 2500.0 * (energies / 420.0) ** -2.8
    spectra = 28.0 * np.random.default_rng(0).poisson(mean / 28.0, (1500, 1024))
    net = subtract_power_law(energies, spectra, (395.0, 450.0), 28.0)
    at = np.searchsorted(energies, [470.0, 600.0, 800.0])
    assert np.allclose(net.counts[:, at].var(axis=0), net.variance[:, at].mean(axis=0), rtol=0.15)
    inside = (energies >= 455.0) & (energies <= 475.0)
    assert np.allclose(net.counts[:, inside].sum(axis=1), edge_signal(energies, spectra.astype(float)).net)
    with pytest.raises(ValueError, match="does not lie within"):
        subtract_power_law(energies, spectra, (300.0, 340.0))


def test_what_cannot_be_deconvolved_is_refused(zero: np.ndarray) -> None:
    with pytest.raises(ValueError, match="holds no counts"):
        fourier_log(zero, np.zeros_like(zero), ZERO)
    with pytest.raises(ValueError, match="one each"):
        fourier_log(zero, zero[:-1], ZERO)
    with pytest.raises(ValueError, match="one spectrum each"):
        fourier_ratio(zero, zero, zero[:-1], ZERO)
    with pytest.raises(ValueError, match="no counts"):
        fourier_ratio(zero, np.zeros_like(zero), zero, ZERO)
