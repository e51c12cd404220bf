"""Standard deviations against dose: closed forms, what unknowns cost, and that chance of frozen phonons is no effect."""

import math

import numpy as np
import pytest

from learn.feasibility.assessment import DOSES
from learn.feasibility.measuring.assessment import measurement
from learn.feasibility.measuring.sensitivity import Sensitivity
from learn.feasibility.scans import window_of
from learn.information import bound, fisher_information

WINDOW = window_of((0.0, 0.0), (4.0, 4.0), 0.5)
PLACES = len(WINDOW.positions)
RNG = np.random.default_rng(3)
CHANNELS = 6
RATES = RNG.uniform(0.05, 0.15, (PLACES, CHANNELS))
SLOPE = 0.02 * RNG.normal(size=(PLACES, CHANNELS))
OTHER = 0.05 * RNG.normal(size=(PLACES, CHANNELS))
AREA = 16.0
KNOWN = {"gain": 0.0}


def made(slopes: np.ndarray, quantum: float = 1.0, **derivatives: np.ndarray) -> Sensitivity:
    return Sensitivity(RATES, slopes, derivatives, WINDOW, quantum)


def exactly(slope: np.ndarray = SLOPE) -> np.ndarray:
    return np.stack([slope] * 4)


def test_standard_deviations_are_those_of_poisson_counts() -> None:
    told = measurement(made(exactly()), KNOWN, 0.0, 0.01, AREA, 1.0)
    information = np.sum(SLOPE**2 / RATES) / PLACES
    np.testing.assert_allclose(told.curve, 1.0 / np.sqrt(information * AREA * DOSES), rtol=2e-3)
    assert told.dose == pytest.approx(1.0 / (information * AREA * 1e-4), rel=1e-3)
    assert told.information == pytest.approx(information)
    assert told.efficiency == pytest.approx(information, rel=1e-3)  # of a limit of 1
    np.testing.assert_allclose(told.limits, 1.0 / np.sqrt(AREA * DOSES))


def test_unknowns_cost_what_the_bound_says() -> None:
    mixed = SLOPE + 0.3 * OTHER
    told = measurement(made(exactly(mixed), defocus=OTHER), {**KNOWN, "defocus": math.inf}, 0.0, 0.01, AREA, 1.0)
    jacobian = np.stack([mixed.ravel(), OTHER.ravel()], 1) / PLACES
    at = bound(fisher_information(jacobian, RATES.ravel() / PLACES, 1e4 * AREA), 1)
    assert np.interp(4.0, np.log10(DOSES), told.curve) == pytest.approx(at.std[0], rel=2e-3)
    assert told.costs["defocus"] == pytest.approx((at.std[0] / at.known[0]) ** 2, rel=5e-3)
    assert told.costs["defocus"] > 1.3
    free = measurement(made(exactly(mixed), defocus=OTHER), {**KNOWN, "defocus": 0.0}, 0.0, 0.01, AREA, 1.0)
    assert free.dose == pytest.approx(told.dose / told.costs["defocus"], rel=1e-3)
    own = measurement(made(exactly(mixed), defocus=OTHER), KNOWN, 0.0, 0.01, AREA, 1.0, ["defocus"])
    assert own.dose == free.dose


def test_what_an_unknown_imitates_is_not_measured_at_any_dose() -> None:
    priors = {**KNOWN, "defocus": math.inf, "x": math.inf}
    told = measurement(made(exactly(2.0 * OTHER), defocus=OTHER, x=SLOPE), priors, 0.0, 0.01, AREA, 1.0)
    assert told.dose == math.inf
    assert told.inseparable == ("defocus",)
    assert np.all(np.isinf(told.curve))
    gained = measurement(made(exactly(RATES)), {}, 0.0, 0.01, AREA, 1.0)
    assert gained.inseparable == ("gain",)


def test_phonons_that_differ_are_no_effect() -> None:
    chance = np.random.default_rng(5).normal(size=(4, PLACES, CHANNELS)) * 0.02
    told = measurement(made(chance), KNOWN, 0.0, 0.01, AREA, 1.0)
    assert told.dose == math.inf
    assert told.inseparable == ("phonons",)
    # taken for an effect, their mean would be measured: the control
    assert measurement(made(exactly(chance.mean(0))), KNOWN, 0.0, 0.01, AREA, 1.0).dose < 1e6
    nothing = measurement(made(np.zeros((4, PLACES, CHANNELS))), KNOWN, 0.0, 0.01, AREA, 1.0)
    assert nothing.dose == math.inf


def test_few_phonons_ask_for_too_much_dose_and_never_for_too_little() -> None:
    rng, true = np.random.default_rng(7), measurement(made(exactly()), KNOWN, 0.0, 0.01, AREA, 1.0).dose
    doses = [
        measurement(made(exactly() + 0.01 * rng.normal(size=(4, PLACES, CHANNELS))), KNOWN, 0.0, 0.01, AREA, 1.0).dose
        for _ in range(20)
    ]
    naive = [
        measurement(
            made(exactly(SLOPE + 0.01 * rng.normal(size=(4, PLACES, CHANNELS)).mean(0))), KNOWN, 0.0, 0.01, AREA, 1.0
        ).dose
        for _ in range(20)
    ]
    assert np.mean(doses) > 1.02 * true
    assert np.mean(naive) < 0.97 * true


def test_the_models_error_is_a_floor_and_readout_costs_dose() -> None:
    told = measurement(made(exactly()), KNOWN, 0.3, 1e-4, AREA, 1.0)
    assert told.dose == math.inf
    assert told.inseparable == ("model",)
    assert told.curve[-1] == pytest.approx(told.curve[-10], rel=0.05)
    assert np.all(np.diff(told.curve) <= 0.0)
    plain, noisy = (
        measurement(made(exactly())._replace(readout=level), KNOWN, 0.0, 0.01, AREA, 1.0) for level in (0.0, 3000.0)
    )
    assert noisy.dose > 1.2 * plain.dose
    many = measurement(made(exactly()), KNOWN, 0.0, 0.01, 4 * AREA, 4.0)
    assert many.dose == pytest.approx(plain.dose / 4.0, rel=1e-3)


def test_cells_far_away_tell_of_a_strain() -> None:
    near = measurement(made(exactly()), KNOWN, 0.0, 0.01, AREA, 9.0)
    far = measurement(made(exactly())._replace(far=OTHER, spread=3.0), KNOWN, 0.0, 0.01, AREA, 9.0)
    assert far.dose < near.dose
    assert far.information == pytest.approx(near.information + 9.0 * np.sum(OTHER**2 / RATES) / PLACES)


def test_a_standard_deviation_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        measurement(made(exactly()), KNOWN, 0.0, 0.0, AREA, 1.0)
