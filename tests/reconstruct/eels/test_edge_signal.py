"""Net edge counts and their variances: unbiased on synthetic spectra, with intervals of the right width."""

import numpy as np
import pytest

from reconstruct.eels.edge_signal import TITANIUM_L, Edge, edge_signal

ENERGIES = 350.0 + 0.5 * np.arange(1024)
CAMERA = 28.0


def _spectra(count: int, edge: float, seed: int = 0, level: float = 2500.0, exponent: float = 2.5) -> np.ndarray:
    """Counts [count, channels] with a power law, a Gaussian edge of ``edge`` counts in all, and counting noise of the camera."""
    mean = level * (ENERGIES / 420.0) ** -exponent
    mean = mean + edge * np.exp(-((ENERGIES - 463.0) ** 2) / 8.0) * 0.5 / np.sqrt(8.0 * np.pi)
    rng = np.random.default_rng(seed)
    return CAMERA * rng.poisson(mean / CAMERA, (count, ENERGIES.size)).astype(np.float64)


def test_without_noise_the_edge_is_exact() -> None:
    mean = 2500.0 * (ENERGIES / 420.0) ** -2.5
    inside = (ENERGIES >= 455) & (ENERGIES <= 475)
    signal = edge_signal(ENERGIES, mean + 100.0 * inside)
    assert float(signal.net) == pytest.approx(100.0 * inside.sum(), rel=1e-8)
    assert float(signal.exponent) == pytest.approx(2.5, rel=1e-8)


@pytest.mark.parametrize("edge", [0.0, 20e3])
def test_unbiased_with_the_right_variance(edge: float) -> None:
    signal = edge_signal(ENERGIES, _spectra(2000, edge), TITANIUM_L, CAMERA)
    predicted = float(np.mean(signal.variance))
    error = np.sqrt(predicted / 2000)
    assert abs(float(signal.net.mean()) - edge) < 4 * error + 0.002 * edge  # the window cuts a little of the edge off
    assert float(signal.net.var()) == pytest.approx(predicted, rel=0.12)  # four standard errors of a variance


def test_the_background_is_part_of_the_variance() -> None:
    single = edge_signal(ENERGIES, _spectra(1, 0.0), TITANIUM_L, CAMERA)
    inside = (ENERGIES >= 455) & (ENERGIES <= 475)
    counting = CAMERA * _spectra(1, 0.0)[0, inside].sum()
    assert float(single.variance[0]) > 1.3 * counting


def test_shapes_are_kept() -> None:
    assert edge_signal(ENERGIES, _spectra(6, 1e4).reshape(2, 3, -1)).net.shape == (2, 3)


def test_bad_input_is_refused() -> None:
    good = _spectra(2, 0.0)
    with pytest.raises(ValueError, match="windows"):
        edge_signal(ENERGIES, good, Edge("C K", (250.0, 280.0), (284.0, 310.0)))
    with pytest.raises(ValueError, match="no counts"):
        edge_signal(ENERGIES, 0.0 * good)
    broken = good.copy()
    broken[1, 230] = np.nan
    with pytest.raises(ValueError, match="finite"):
        edge_signal(ENERGIES, broken)
    with pytest.raises(ValueError, match="counts_per_electron"):
        edge_signal(ENERGIES, good, TITANIUM_L, 0.0)
