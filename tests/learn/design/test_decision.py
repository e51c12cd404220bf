"""Decisions: the budget's limits, and each case of a choice."""

import numpy as np
import pytest

from learn.design.decision import Budget, Choice, after_measuring, choose, relative_error

CASE = {
    "predicted_error": 0.2,
    "expected_after": 0.05,
    "electrons": 1e4,
    "tolerance": 0.1,
    "left": 5,
    "distrusted": False,
    "audit": False,
    "lost": False,
    "gain": 0.3,
}


def decide(**changed) -> Choice:
    return choose(**{**CASE, **changed})


def test_a_budget_is_never_overdrawn():
    budget = Budget(61, 0.5, 4)
    assert budget.left(0) == 30
    assert budget.left(30) == 0
    assert budget.left(45) == 0
    assert budget.left(0, places_to_come=6) == 6
    assert budget.left(6, places_to_come=6) == 0
    assert budget.left(6, places_to_come=5) == 4
    measured = 0
    for index in range(61):
        measured += budget.left(measured, places_to_come=6 - index // 9) > 0
    assert measured <= 30


def test_relative_error():
    mean = np.array([1.0, 2.0, 3.0])
    assert relative_error(np.diag([0.01, 0.04, 0.09]), mean) == pytest.approx(np.sqrt(0.14 / 3) / 2)


def test_measuring_conditions_on_every_pixel():
    generator = np.random.default_rng(0)
    root = generator.standard_normal((6, 6))
    covariance, noise, mean = root @ root.T, generator.uniform(0.5, 2.0, 6), np.full(6, 4.0)
    left = np.linalg.inv(np.linalg.inv(covariance) + np.diag(1 / noise))
    assert after_measuring(covariance, noise, mean) == pytest.approx(np.sqrt(np.trace(left) / 6) / 4)
    assert after_measuring(covariance, 1e12 * noise, mean) == pytest.approx(relative_error(covariance, mean))


@pytest.mark.parametrize(
    ("changed", "decision"),
    [
        ({}, "measure"),
        ({"predicted_error": 0.1}, "answer"),
        ({"predicted_error": 0.1, "audit": True}, "audit"),
        ({"predicted_error": 0.1, "audit": True, "left": 0}, "answer"),
        ({"audit": True}, "measure"),
        ({"left": 0}, "answer"),
        ({"left": 0, "lost": True}, "answer"),
        ({"gain": -0.1}, "answer"),
        ({"gain": 0.001}, "answer"),
        ({"gain": -0.1, "lost": True}, "measure"),
        ({"gain": None}, "measure"),
        ({"gain": None, "expected_after": 0.195}, "answer"),
        ({"distrusted": True, "left": 0, "predicted_error": 0.01}, "distrusted"),
    ],
)
def test_each_case(changed, decision):
    choice = decide(**changed)
    assert choice.decision == decision
    assert choice.measures == (decision != "answer")
    assert choice.why
    assert choice.predicted_error == {**CASE, **changed}["predicted_error"]


def test_the_gain_is_per_electron():
    assert decide().gain_per_electron == pytest.approx(0.3 / 1e4)
    assert decide(gain=None).gain_per_electron == pytest.approx(0.15 / 1e4)
