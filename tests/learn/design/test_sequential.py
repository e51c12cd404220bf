"""Sequential tests against Wald's closed forms, by simulation of normal steps."""

import numpy as np
import pytest

from learn.design.sequential import Errors, Thresholds, best_steps, posterior

ERRORS = Errors(0.9, 0.05)
TRIALS = 4000


def walk(
    thresholds: Thresholds, information: np.ndarray, share: float, present: bool, seed: int, overhead: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Verdicts, information and costs of trials in which the next step is always the best one."""
    rng = np.random.default_rng(seed)
    steps = best_steps(thresholds, share, information, information + overhead)
    ratio, spent, cost = np.zeros(TRIALS), np.zeros(TRIALS), np.zeros(TRIALS)
    open_trials = np.ones(TRIALS, bool)
    while open_trials.any():
        size = information[steps.step(ratio[open_trials])]
        sign = 0.5 if present else -0.5
        ratio[open_trials] += sign * size + np.sqrt(size) * rng.standard_normal(len(size))
        spent[open_trials] += size
        cost[open_trials] += size + overhead
        open_trials &= thresholds.decided(ratio) == 0
    return thresholds.decided(ratio), spent, cost


@pytest.mark.parametrize("present", [False, True])
def test_errors_and_numbers_are_walds(present: bool) -> None:
    """Steps so small that the thresholds are hardly passed."""
    verdicts, spent, _ = walk(ERRORS.thresholds, np.array([0.02]), 0.5, present, 1)
    wrong = np.mean(verdicts == (-1 if present else 1))
    asked = 1.0 - ERRORS.power if present else ERRORS.false_alarms
    assert wrong == pytest.approx(asked, abs=4.0 * np.sqrt(asked / TRIALS) + 0.1 * asked)
    assert spent.mean() == pytest.approx(ERRORS.expected[int(present)], rel=0.08)
    assert spent.mean() < 0.65 * ERRORS.fixed


def test_larger_steps_err_less_and_cost_more() -> None:
    verdicts, spent, _ = walk(ERRORS.thresholds, np.array([2.0]), 0.5, False, 2)
    assert np.mean(verdicts == 1) < ERRORS.false_alarms
    assert spent.mean() > 1.05 * ERRORS.expected[0]


def test_looking_again_and_again_at_a_fixed_test_errs_more() -> None:
    """The control: the threshold of a test of one size, applied after each of many looks, finds what is not there."""
    rng = np.random.default_rng(3)
    steps = ERRORS.fixed / 16
    ratios = np.cumsum(-0.5 * steps + np.sqrt(steps) * rng.standard_normal((TRIALS, 16)), axis=1)
    levels = np.sqrt(steps * np.arange(1, 17))
    shifted = (ratios + 0.5 * levels**2) / levels
    alarms = np.mean(np.any(shifted > 1.645, axis=1))
    assert np.mean(shifted[:, -1] > 1.645) == pytest.approx(0.05, abs=0.015)
    assert alarms > 2.0 * ERRORS.false_alarms


def test_steps_are_chosen_for_the_least_cost() -> None:
    """Against each kind of step alone, of what was expected, and where nothing but electrons costs."""
    sizes, overhead = np.array([0.5, 1.0, 2.0, 4.0]), 1.0
    told = best_steps(ERRORS.thresholds, 0.5, sizes, sizes + overhead)

    def mean_cost(information: np.ndarray) -> float:
        costs = [walk(ERRORS.thresholds, information, 0.5, present, 4, overhead)[2].mean() for present in (False, True)]
        return float(np.mean(costs))

    chosen = mean_cost(sizes)
    assert chosen == pytest.approx(float(told.expected_cost(np.array(0.0))), rel=0.03)
    assert chosen < 1.005 * min(mean_cost(np.array([size])) for size in sizes)
    free = best_steps(ERRORS.thresholds, 0.5, sizes, sizes)
    assert np.all(free.number == 0)
    assert float(free.expected_cost(np.array(0.0))) < float(told.expected_cost(np.array(0.0)))


def test_posteriors_and_refusals() -> None:
    assert posterior(np.array(0.0), 0.1) == pytest.approx(0.1)
    assert posterior(np.array(np.log(9.0)), 0.1) == pytest.approx(0.5)
    assert ERRORS.thresholds.decided(np.array([-9.0, 0.0, 9.0])).tolist() == [-1, 0, 1]
    assert Errors(0.95, 0.05).fixed == pytest.approx(4.0 * 1.6449**2, rel=1e-3)
    with pytest.raises(ValueError, match="is no test"):
        _ = Errors(0.1, 0.2).thresholds
    with pytest.raises(ValueError, match="positive"):
        best_steps(ERRORS.thresholds, 0.5, np.array([0.0]), np.array([1.0]))
