"""Predicted power against tests of drawn counts: with nuisances, unknown ways, references, readout noise and few counts."""

import numpy as np
import pytest

from learn import information
from learn.information import Detection, Signature, detection_of, dose_for

X = np.linspace(0.0, 1.0, 60)
RATES = (1.0 + 0.5 * np.cos(2.0 * np.pi * X)) / len(X)
BUMPS = np.stack([0.15 * np.exp(-0.5 * ((X - centre) / 0.06) ** 2) / len(X) for centre in (0.35, 0.6)])
SLOPE = np.gradient(RATES, X)


def signature(ways: int = 2, priors: tuple[float, float] = (np.inf, np.inf), readout: float = 0.0) -> Signature:
    """A bump at one of two places, on a gain and a shift that are not known."""
    return Signature(RATES, RATES + BUMPS[:ways], np.stack([RATES, SLOPE], 1), np.array(priors), readout)


def drawn(test: Detection, means: np.ndarray, count: int, readout: float = 0.0, references: int = 0) -> np.ndarray:
    """The statistic of ``count`` recordings with these mean counts."""
    rng = np.random.default_rng(3)
    expected, weights = means[0], test.weights
    assert weights is not None

    def sums(mean: np.ndarray) -> np.ndarray:
        counts = rng.poisson(mean, (count, len(mean))) + np.sqrt(readout) * rng.normal(size=(count, len(mean)))
        return (counts - expected) @ weights.T

    value = sums(means[1])
    if references:
        value = value - np.mean([sums(expected) for _ in range(references)], axis=0)
    return test.statistic(value)


@pytest.mark.parametrize(("dose", "ways", "references"), [(3000.0, 2, 0), (6000.0, 2, 4), (2000.0, 1, 0)])
def test_power_and_false_alarms_are_those_of_trials(dose: float, ways: int, references: int) -> None:
    chosen = signature(ways)
    test = detection_of(chosen, dose, references)
    threshold = test.threshold(0.05)
    without = drawn(test, dose * np.stack([RATES, RATES]), 4000, references=references)
    assert np.mean(without > threshold) == pytest.approx(0.05, abs=0.012)
    detected = [
        np.mean(drawn(test, dose * np.stack([RATES, changed]), 2000, references=references) > threshold)
        for changed in chosen.changed
    ]
    power = test.power(0.05)
    assert 0.3 < power < 0.99
    assert np.mean(detected) == pytest.approx(power, abs=0.03)


def test_what_nuisances_imitate_is_not_counted() -> None:
    """Of a gain and shift that are wrong the statistic knows nothing; without fitting them it would."""
    test = detection_of(signature(), 5000.0)
    gained = drawn(test, 5000.0 * np.stack([RATES, 1.2 * RATES + 0.01 * SLOPE]), 2000)
    assert np.mean(gained > test.threshold(0.05)) < 0.09
    naive = detection_of(signature(priors=(1e-9, 1e-9)), 5000.0)
    assert np.mean(drawn(naive, 5000.0 * np.stack([RATES, 1.2 * RATES]), 2000) > naive.threshold(0.05)) > 0.3
    assert naive.shifts[0] > test.shifts[0]


@pytest.mark.parametrize(("common", "own"), [(0.2, 0.0), (0.2, 0.03)])
def test_of_columns_recorded_alike_only_differences_are_unknown(common: float, own: float) -> None:
    """A gain that is the same in all columns of a recording costs nothing, one that differs from column to column is fitted along."""
    dose, references, count = 6000.0, 6, 3000
    chosen = signature(1, (np.inf, 0.0))._replace(
        nuisances=np.stack([RATES, SLOPE], 1), differences=np.array([own, 0.0])
    )
    test = detection_of(chosen, dose, references)
    rng = np.random.default_rng(5)
    gains = 1.0 + common * rng.normal(size=(count, 1)) + own * rng.normal(size=(count, references + 1))
    sums = []
    for column in range(references + 1):
        mean = chosen.changed[0] if column == 0 else RATES
        assert test.weights is not None
        sums.append((rng.poisson(dose * gains[:, column : column + 1] * mean) - dose * RATES) @ test.weights.T)
    detected = test.statistic(sums[0] - np.mean(sums[1:], axis=0)) > test.threshold(0.05)
    assert np.mean(detected) == pytest.approx(test.power(0.05), abs=0.04)
    alarms = test.statistic(sums[1] - np.mean(sums[2:], axis=0)) > test.threshold(0.05)
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.02)
    free = detection_of(chosen._replace(differences=np.array([np.inf, 0.0])), dose, references)
    assert test.power(0.05) > free.power(0.05)


def test_many_places_ask_for_more() -> None:
    test = detection_of(signature(), 5000.0)
    assert test.power(0.01, tests=100) < test.power(0.01) < test.power(0.1)
    # a rate far out is detected by weighted draws: with one way it is that of the normal distribution
    single = detection_of(signature(1), 8000.0)
    many = Detection(None, np.full((2, 2), single.without[0, 0]), np.repeat(single.counting, 2),
                     np.full((2, 2), single.means[0, 0]), np.full((2, 2, 2), single.with_change[0, 0, 0]))  # fmt: skip
    assert many.power(1e-4) == pytest.approx(single.power(1e-4), abs=0.02)


def test_readout_and_an_error_of_the_model_cost_dose() -> None:
    plain, noisy = (dose_for(signature(readout=level), 0.9, 0.01) for level in (0.0, 100.0))
    assert noisy > 1.5 * plain
    wrong = signature()._replace(model_error=0.2 * BUMPS.sum(0)[:, None])
    assert dose_for(wrong, 0.9, 0.01) > 1.1 * plain
    hopeless = signature()._replace(model_error=2.0 * BUMPS.sum(0)[:, None])
    assert dose_for(hopeless, 0.9, 0.01) == np.inf
    assert dose_for(hopeless, 0.9, 0.01, references=8) < np.inf
    assert detection_of(signature(), dose_for(signature(), 0.9, 0.01)).power(0.01) == pytest.approx(0.9, abs=0.01)


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        detection_of(signature(), 0.0)
    with pytest.raises(ValueError, match="negative"):
        detection_of(signature()._replace(rates=-RATES), 1.0)
    assert detection_of(signature()._replace(changed=RATES[None]), 100.0).power(0.02) == 0.02


def test_ways_that_are_nearly_alike_promise_no_more_than_one() -> None:
    """Two halves of a computation whose chance is larger than the difference of the ways."""
    rng = np.random.default_rng(8)
    halves = np.stack(
        [np.stack([BUMPS[0], BUMPS[0]]) + 0.02 * BUMPS.max() * rng.normal(size=(2, 60)) for _ in range(2)]
    )
    chosen = signature(1)._replace(changed=RATES + halves.mean(0), halves=halves)
    single = chosen._replace(changed=chosen.changed[:1], halves=halves[:, :1])
    assert detection_of(chosen, 5000.0).power(0.05) <= detection_of(single, 5000.0).power(0.05) + 0.03


def test_columns_that_differ_at_random_are_noise_that_no_dose_removes() -> None:
    rng = np.random.default_rng(4)
    shapes = np.stack([np.exp(-0.5 * ((X - centre) / 0.08) ** 2) for centre in np.linspace(0.1, 0.9, 5)]) / len(X)
    varied = 0.03 * rng.normal(size=(400, 5)) @ shapes + 0.5 * rng.normal(size=(400, 1)) * BUMPS[0]
    chosen = signature(1)._replace(variations=varied[:120])
    blind = signature(1)
    references, count = 5, 3000
    tests = information.Tests(chosen, references)
    assert information.dose_for(chosen, 0.9, 0.01, references) == np.inf
    for dose in (5e3, 1e6):
        test = tests.at(dose, weights=True)
        alarms, detected = [], []
        for each, outcome in ((test, alarms), (test, detected), (detection_of(blind, dose, references), alarms)):
            changed = BUMPS[0] if outcome is detected else 0.0
            means = RATES + varied[rng.integers(120, 400, (references + 1, count))]
            counts = rng.poisson(dose * np.maximum(means[0] + changed, 0.0)) - np.mean(
                [rng.poisson(dose * np.maximum(mean, 0.0)) for mean in means[1:]], axis=0
            )
            assert each.weights is not None
            outcome.append(np.mean(each.statistic(counts @ each.weights.T) > each.threshold(0.05)))
        assert alarms[0] == pytest.approx(0.05, abs=0.025)
        assert detected[0] == pytest.approx(test.power(0.05), abs=0.06)
    assert alarms[1] > 0.2  # a test that takes columns to be alike


def test_power_is_averaged_over_settings_that_references_tell() -> None:
    weak = signature(1)._replace(changed=RATES + 0.5 * BUMPS[:1])
    both = information.AveragedTests([signature(1), weak], references=4)
    dose = 6000.0
    each = [detection_of(own, dose, 4).power(0.05) for own in (signature(1), weak)]
    assert both.power(dose, 0.05) == pytest.approx(np.mean(each))
    assert each[1] < both.power(dose, 0.05) < each[0]
    needed = both.dose(0.9, 0.05)
    assert both.power(needed, 0.05) == pytest.approx(0.9, abs=2e-3)
    assert both.known(0, 1).dose(0.9, 0.05) <= needed
    with pytest.raises(ValueError, match="no signature"):
        information.AveragedTests([])


@pytest.mark.parametrize("scale", [0.7, 1.4])
def test_counting_noise_is_that_of_the_counts(scale: float) -> None:
    """Backgrounds other than predicted alter the rate of false alarms of a test that takes the predicted noise, not of one that takes that of the counts."""
    dose, references, trials = 300.0, 3, 8000
    chosen = signature(2)._replace(differences=np.zeros(2))
    test = detection_of(chosen, dose, references)
    assert test.weights is not None
    rng, mean = np.random.default_rng(12), scale * dose * RATES
    counts = rng.poisson(mean, (trials, references + 1, len(RATES))).astype(float)
    threshold = test.threshold(0.05)
    counted = np.mean([test.of_counts(each[0], each[1:]) > threshold for each in counts])
    assert counted == pytest.approx(0.05, abs=0.0075)
    differences = counts[:, 0] - counts[:, 1:].mean(1)
    naive = np.mean(test.statistic(differences @ test.weights.T) > threshold)
    assert abs(naive - 0.05) > 0.015
    with pytest.raises(ValueError, match="one reference"):
        test.of_counts(counts[0, 0], counts[0, :0])
