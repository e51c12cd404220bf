"""Quantities of single spectra: right values, variances that are those of the scatter, and spectra that hold none."""

from typing import Any

import numpy as np
import pytest

from reconstruct.measurement.scanned import PixelQuantity, pixel_data, pixel_quantity, quantity_named
from tests.synthetic.eels.spectra import background, edge, low_loss
from twin.errors import BadInput
from twin.records import Axis

FIRST = 16
LOW = Axis("Energy loss", 512, 0.1, -6.0, "electronvolt")
CORE = Axis("Energy loss", 1024, 0.5, 350.0, "electronvolt")
ENERGIES = 350.0 + 0.5 * np.arange(1024)
CLAIMS: dict[str, Any] = {"high_tension": 200e3, "collection_semiangle": 0.033, "convergence_semiangle": 0.021}


def _quantity(text: str, axis: Axis, gain: float | None = None, **windows: Any) -> PixelQuantity:
    return pixel_quantity(quantity_named(text, **windows), pixel_data((axis,), CLAIMS, "", gain))


def _core(count: int, gain: float, seed: int, titanium: float = 4e4) -> np.ndarray:
    curve = edge("Ti", ENERGIES, name="L")
    mean = background(ENERGIES, 1e6) + titanium * curve / curve[(ENERGIES > 455) & (ENERGIES < 492)].sum()
    return gain * np.random.default_rng(seed).poisson(mean, (count, len(mean))).astype(float)


@pytest.mark.parametrize("gain", [1.0, 12.0])
def test_an_edge_with_the_noise_that_its_spectra_show(gain: float) -> None:
    spectra = _core(200, gain, 0)
    made = _quantity("Ti L", CORE)
    determined = made.learn(spectra[:FIRST])
    assert determined["counts_per_electron"] == pytest.approx(gain, rel=0.15)
    values, variances = made.values(spectra)
    assert values.mean() == pytest.approx(4e4 * gain, rel=0.03)
    assert values.std() == pytest.approx(np.sqrt(variances.mean()), rel=0.15)


def test_an_axis_that_is_off_and_another_edge_before_move_the_windows() -> None:
    made = _quantity("Ti L", Axis("Energy loss", 1024, 0.5, 354.0, "electronvolt"))
    determined = made.learn(_core(FIRST, 1.0, 1))
    assert determined["signal_eV"][0] == pytest.approx(459.0, abs=1.5)
    curve = edge("Ti", ENERGIES, name="L")
    mean = background(ENERGIES, 4e6) + 6e5 * curve / curve.sum()
    both = np.random.default_rng(2).poisson(mean, (FIRST, len(mean))).astype(float)
    oxygen = _quantity("O K", CORE).learn(both)
    assert oxygen["background_eV"][0] > 465.0
    assert any("another edge" in note for note in oxygen["notes"])


@pytest.mark.parametrize(("text", "truth", "error"), [("t/lambda", 0.765, 0.01), ("zero-loss position", 0.0, 0.02)])
def test_low_losses(text: str, truth: float, error: float) -> None:
    """Of t/lambda 0.8 the recorded 45 eV hold 0.765: ln(counts up to there / zero loss)."""
    spectra = np.random.default_rng(3).poisson(low_loss(512, -6.0, 0.1, 2e5, 0.8), (200, 512)).astype(float)
    made = _quantity(text, LOW)
    determined = made.learn(spectra[:FIRST])
    assert determined["counts_per_electron"] == pytest.approx(1.0, abs=0.15)
    values, variances = made.values(spectra)
    assert values.mean() == pytest.approx(truth, abs=error)
    assert values.std() == pytest.approx(np.sqrt(variances.mean()), rel=0.2)


def test_a_window_whose_spectra_differ_in_shape_shows_the_noise_alone() -> None:
    rows = [low_loss(512, -6.0, 0.1, 1e5, thickness) for thickness in np.linspace(0.3, 0.9, FIRST)]
    spectra = 7.0 * np.random.default_rng(4).poisson(np.array(rows)).astype(float)
    made = _quantity("10-20 eV", LOW)
    assert made.learn(spectra)["counts_per_electron"] == pytest.approx(7.0, rel=0.3)
    inside = (LOW.offset + LOW.scale * np.arange(512) >= 10.0) & (LOW.offset + LOW.scale * np.arange(512) <= 20.0)
    np.testing.assert_allclose(made.values(spectra)[0], spectra[:, inside].sum(axis=1))


@pytest.mark.slow
def test_the_plasmon_follows_its_energy() -> None:
    means = [low_loss(512, -6.0, 0.1, 3e5, 0.6, energy=energy) for energy in (14.0, 15.0, 16.0)]
    spectra = np.random.default_rng(5).poisson(np.repeat(means, 4, axis=0)).astype(float)
    made = _quantity("plasmon energy", LOW, 1.0)
    made.learn(spectra)
    values, variances = made.values(spectra)
    np.testing.assert_allclose(values, np.repeat([14.0, 15.0, 16.0], 4), atol=0.1)
    assert (np.sqrt(variances) < 0.1).all()


def test_channels_without_numbers_are_interpolated_and_dead_spectra_have_no_value() -> None:
    spectra = _core(FIRST, 1.0, 6)
    whole, _ = _values(spectra)
    holed = spectra.copy()
    holed[:, 300] = np.nan
    holed[3] = np.nan
    holed[5] = 0.0
    values, determined = _values(holed)
    assert np.isnan(values[[3, 5]]).all()
    rest = np.setdiff1d(np.arange(FIRST), [3, 5])
    np.testing.assert_allclose(values[rest], whole[rest], rtol=0.02)
    assert any("interpolated" in note for note in determined["notes"])
    with pytest.raises(ValueError, match="hold numbers"):
        _quantity("Ti L", CORE).learn(np.full((FIRST, 1024), np.nan))


def _values(spectra: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    made = _quantity("Ti L", CORE, background=(395.0, 450.0), signal=(455.0, 475.0))
    determined = made.learn(spectra)
    return made.values(spectra)[0], determined


def test_what_the_spectra_do_not_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="350 to 861"):
        _quantity("C K", CORE)
    with pytest.raises(ValueError, match="zero loss"):
        _quantity("t/lambda", LOW).learn(np.random.default_rng(0).poisson(100.0, (FIRST, 512)).astype(float))
    nothing = pixel_data((LOW,), {})
    with pytest.raises(BadInput, match="energy of the electrons"):
        pixel_quantity(quantity_named("plasmon energy"), nothing)
