"""The low loss as core losses have it: its kernel, what counting noise changes, and the thickness of single spectra."""

import numpy as np
import pytest

from reconstruct.eels.low_loss.scattering import Recorded, scattering_of
from reconstruct.measurement.eels.low import kernel_of, low_loss_of
from reconstruct.measurement.eels.spectra import spectra_of
from tests.synthetic.eels.spectra import low_loss

OFFSET, STEP, CHANNELS = -20.0, 0.5, 640
LOSSES = OFFSET + STEP * np.arange(CHANNELS)


def _recorded(counts: np.ndarray) -> Recorded:
    influence = np.ones((1, CHANNELS)) * np.linspace(0.0, 1.0, CHANNELS)
    return Recorded(counts, LOSSES, 1.2, influence, np.zeros(0))


def test_changes_are_those_of_counts() -> None:
    """A bin's counts one standard error up: kernel, electrons and parameters as they are computed anew."""
    counts = low_loss(CHANNELS, OFFSET, STEP, 4000.0, 0.6, 22.0, 6.0, 1.2)
    made = scattering_of(_recorded(counts), 1.0, 256.0)
    assert made.kernel.sum() == pytest.approx(1.0)
    assert made.kernel[0] == pytest.approx(np.exp(-0.6), rel=0.03)
    borders = np.flatnonzero(LOSSES <= 2.4)
    zero = counts[borders].sum()
    more = counts.copy()
    more[borders] *= 1.0 + 1e-4 / np.sqrt(zero)
    again = scattering_of(_recorded(more), 1.0, 256.0)
    assert np.allclose((again.kernel - made.kernel) / 1e-4, made.parts[0], atol=1e-6)
    assert made.log_counts[0] == pytest.approx(np.log(more.sum() / counts.sum()) / 1e-4, rel=1e-3)
    change = (np.linspace(0.0, 1.0, CHANNELS) * (more - counts)).sum() / 1e-4
    assert made.values[0, 0] == pytest.approx(change, rel=1e-6)
    # all bins together: the noise of the logarithm of all counts
    assert (made.log_counts**2).sum() == pytest.approx(1.0 / counts.sum(), rel=1e-6)
    assert not len(made.without_noise().parts)


def test_each_spectrum_has_its_thickness_with_its_error() -> None:
    generator = np.random.default_rng(0)
    thickness = 0.6 + 0.1 * generator.standard_normal(36)
    few, many = (low_loss(CHANNELS, OFFSET, STEP, 2000.0, t, 22.0, 6.0, 1.2) for t in (0.5, 0.7))
    # between two thicknesses spectra change evenly enough
    lows = few + (thickness[:, None] - 0.5) / 0.2 * (many - few)
    spectra = spectra_of(generator.poisson(lows).astype(float).reshape(6, 6, -1), OFFSET, STEP)
    low = low_loss_of(spectra, 200e3, None, 1.0, None)
    each = kernel_of(spectra, low, 1.0, 256.0, spectra.valid).scattering.each
    assert each is not None
    mean, spread = each.prior(1.0)
    off = (mean - (thickness - thickness.mean())) / spread
    assert np.sqrt((off**2).mean()) == pytest.approx(1.0, abs=0.3)
    assert spread.max() < 0.05
    assert np.corrcoef(mean, thickness)[0, 1] > 0.9
