"""Low loss: the zero loss taken apart, t/lambda and the plasmon with errors that hold."""

import jax
import numpy as np
import pytest

from reconstruct.eels.features import Peak, plasmon, zero_loss
from reconstruct.eels.low_loss.fit import fit_low_loss
from reconstruct.eels.low_loss.separation import separate
from tests.synthetic.eels.spectra import low_loss

STEP, OFFSET, CHANNELS = 0.1, -6.0, 512


@pytest.mark.slow
@pytest.mark.parametrize(("thickness", "seed"), [(0.3, 0), (1.0, 1)])
def test_thickness_and_plasmon_are_recovered(thickness: float, seed: int) -> None:
    mean = low_loss(CHANNELS, OFFSET, STEP, 3e6, thickness)
    counts = np.random.default_rng(seed).poisson(mean).astype(float)
    peak = zero_loss(counts)
    assert isinstance(peak, Peak)
    zero = separate(counts, peak)
    assert zero.centre * STEP + OFFSET == pytest.approx(0.0, abs=0.5 * STEP)
    assert zero.counts == pytest.approx(3e6 * np.exp(-thickness), rel=0.01)
    fit = fit_low_loss(counts, zero, STEP, 200e3, None, plasmon(counts, peak), 1.0)
    # the zero loss's shape is one that was recorded, with its noise: the misfit says a little more than counting
    assert fit.misfit < 1.3
    for name, truth in (("t_over_lambda", thickness), ("plasmon1.energy", 15.0), ("plasmon1.width", 2.0)):
        value, error = fit.value(name)
        assert value == pytest.approx(truth, rel=0.02)
        assert abs(value - truth) < 4.0 * error + 2e-3 * truth


@pytest.mark.slow
def test_errors_of_the_plasmon_are_those_of_the_scatter() -> None:
    mean = low_loss(CHANNELS, OFFSET, STEP, 1e5, 0.5)
    generator = np.random.default_rng(5)
    off = []
    for _ in range(4):
        counts = generator.poisson(mean).astype(float)
        peak = zero_loss(counts)
        assert isinstance(peak, Peak)
        fit = fit_low_loss(counts, separate(counts, peak), STEP, 200e3, None, Peak(210.0, 1.0, 20.0))
        value, error = fit.value("plasmon1.energy")
        off.append((value - 15.0) / error)
    assert 0.3 < np.sqrt(np.mean(np.square(off))) < 2.0


def test_a_spectrum_without_losses_is_refused() -> None:
    counts = low_loss(CHANNELS, OFFSET, STEP, 1e6, 0.0)
    peak = zero_loss(counts)
    assert isinstance(peak, Peak)
    with pytest.raises(ValueError, match="no losses"):
        fit_low_loss(counts, separate(counts, peak), STEP, 200e3, None, None)


def test_a_second_spectrum_of_about_the_size_needs_no_new_program(caplog: pytest.LogCaptureFixture) -> None:
    """Another number of channels, place of the zero loss and dispersion."""

    def fit(channels: int, offset: float, step: float) -> float:
        counts = np.random.default_rng(7).poisson(low_loss(channels, offset, step, 1e6, 0.5)).astype(float)
        peak = zero_loss(counts)
        assert isinstance(peak, Peak)
        zero = separate(counts, peak)
        return fit_low_loss(counts, zero, step, 200e3, None, plasmon(counts, peak), 1.0).value("t_over_lambda")[0]

    assert fit(CHANNELS, OFFSET, STEP) == pytest.approx(0.5, rel=0.02)
    with jax.log_compiles():
        caplog.clear()
        assert fit(CHANNELS - 4, OFFSET + 0.5, 1.02 * STEP) == pytest.approx(0.5, rel=0.02)
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]
