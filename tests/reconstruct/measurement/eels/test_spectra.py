"""Spectra as they are fitted, and each kind of bad ones: named, with what can still be done."""

import numpy as np
import pytest

from reconstruct.measurement.eels.spectra import spectra_of
from tests.synthetic.eels.spectra import low_loss

CHANNELS = 512


def _counts(level: float = 500.0) -> np.ndarray:
    return np.random.default_rng(0).poisson(level * np.exp(-np.arange(CHANNELS) / 300.0), (4, CHANNELS)).astype(float)


def test_the_axis_is_counted_from_the_zero_loss() -> None:
    spectra = spectra_of(low_loss(CHANNELS, -6.0, 0.1, 1e6, 0.4), -5.3, 0.1)
    assert spectra.losses[60] == pytest.approx(0.0, abs=0.05)
    assert spectra.shape == ()


def test_a_falling_axis_is_turned_round() -> None:
    rising, falling = spectra_of(_counts(), 300.0, 1.0), spectra_of(_counts()[:, ::-1], 811.0, -1.0)
    assert np.array_equal(rising.counts, falling.counts)
    assert np.allclose(rising.energies, falling.energies)


@pytest.mark.parametrize("dispersion", [0.0, np.nan])
def test_no_dispersion(dispersion: float) -> None:
    with pytest.raises(ValueError, match=r"dispersion is .* state \{dispersion\}"):
        spectra_of(_counts(), 300.0, dispersion)


def test_saturated_channels_are_refused_and_a_range_leaves_them_out() -> None:
    counts = _counts()
    counts[1, 20:26] = 4095.0
    with pytest.raises(
        ValueError, match=r"6 channels from 320 to 325 eV stand at 4095 counts in 1 of 4.*give \{range\}"
    ):
        spectra_of(counts, 300.0, 1.0)
    assert spectra_of(counts, 300.0, 1.0, window=(330.0, 900.0)).counts.shape == (4, 482)


def test_few_counts_are_not_saturated() -> None:
    assert spectra_of(np.random.default_rng(0).poisson(1.0, (4, CHANNELS)).astype(float), 300.0, 1.0).used.all()


def test_too_much_dark_level() -> None:
    counts = _counts() - 150.0
    with pytest.raises(ValueError, match=r"more dark level was subtracted than there is; state \{black\} -\d+"):
        spectra_of(counts, 300.0, 1.0)
    assert spectra_of(counts, 300.0, 1.0, black=-150.0).counts.min() >= 0.0


def test_noise_about_zero_is_no_dark_level() -> None:
    assert spectra_of(30.0 * np.random.default_rng(0).standard_normal((4, CHANNELS)), 300.0, 1.0).used.all()


def test_channels_and_spectra_without_numbers_are_left_out() -> None:
    counts = _counts()
    counts[0, 7] = np.nan
    counts[3] = np.nan
    spectra = spectra_of(counts, 300.0, 1.0)
    assert list(np.flatnonzero(spectra.used == 0)) == [7]
    assert list(spectra.valid) == [True, True, True, False]
    assert "1 spectra and 1 channels" in spectra.defects[0].description


def test_dark_ends_are_left_out_and_edges_are_not() -> None:
    counts = _counts()
    counts[:, -9:] *= 0.1
    spectra = spectra_of(counts, 300.0, 1.0)
    assert list(np.flatnonzero(spectra.used == 0)) == list(range(CHANNELS - 9, CHANNELS))
    rising = _counts()
    rising[:, -8:] *= 1.6
    assert spectra_of(rising, 300.0, 1.0).used.all()


def test_too_few_channels() -> None:
    with pytest.raises(ValueError, match="30 channels; give at least 64"):
        spectra_of(_counts()[:, :30], 300.0, 1.0)
    with pytest.raises(ValueError, match=r"\{range\} 305 to 310 eV holds 6 channels"):
        spectra_of(_counts(), 300.0, 1.0, window=(305.0, 310.0))
