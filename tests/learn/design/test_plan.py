"""`learn.plan`: the best exposures among all series of their number, within the electrons there are, and refusals."""

import inspect
import itertools

import numpy as np
import pytest

from learn import Exposure, plan
from twin.errors import BadInput

GENERATOR = np.random.default_rng(0)
COVARIANCE = np.diag([4.0, 9.0, 1.0]) + 0.5


def candidates(count: int = 4) -> list[Exposure]:
    made = []
    for _ in range(count):
        jacobian = GENERATOR.normal(size=(2, 3))
        made.append(Exposure(jacobian, np.diag(GENERATOR.uniform(0.2, 2.0, 2)), 1e4))
    return made


def loss_of(series: tuple[int, ...], exposures: list[Exposure], weights: np.ndarray) -> float:
    precision = np.linalg.inv(COVARIANCE)
    for index in series:
        precision = precision + exposures[index].jacobian.T @ exposures[index].information @ exposures[index].jacobian
    return float(np.trace(weights @ np.linalg.inv(precision)))


def test_no_other_series_of_equal_exposures_is_better() -> None:
    exposures, weights = candidates(), np.diag([1.0, 0.2, 3.0])
    made = plan(COVARIANCE, exposures, weights, count=3)
    best = min(loss_of(series, exposures, weights) for series in itertools.combinations_with_replacement(range(4), 3))
    assert made.loss_after == pytest.approx(loss_of(made.chosen, exposures, weights))
    assert made.loss_after == pytest.approx(best)
    assert made.loss_before == pytest.approx(np.trace(weights @ COVARIANCE))
    assert made.next == made.chosen[0]
    assert np.diag(made.covariance) == pytest.approx(made.std**2)
    assert "candidate" in made._repr_html_()


def test_the_first_is_the_best_per_electron_and_the_budget_holds() -> None:
    cheap = Exposure(np.eye(3)[:1], np.array([[0.5]]), 1e3)
    dear = Exposure(np.eye(3), np.eye(3), 1e5)
    made = plan(COVARIANCE, [dear, cheap], electrons=1.5e4)
    assert set(made.chosen) == {1}
    assert made.electrons <= 1.5e4
    assert made.gains[1] > made.gains[0]
    assert plan(COVARIANCE, [dear], electrons=1e3).next is None


@pytest.mark.parametrize(
    ("belief", "options", "words"),
    [
        (np.ones(3), {}, "belief: has shape \\(3,\\)"),
        (np.full((3, 3), np.nan), {}, "not finite"),
        (np.zeros((3, 3)), {}, "not positive definite"),
        ("C10", {}, "belief: is a str"),
        (COVARIANCE, {"weights": np.eye(2)}, "weights: are of 2"),
        (COVARIANCE, {"count": 0}, "count = 0"),
        (COVARIANCE, {"electrons": -1.0}, "electrons = -1"),
        (COVARIANCE, {"criterion": "E"}, "criterion = 'E'"),
        (COVARIANCE, {"candidates": []}, "candidates: is empty"),
        (COVARIANCE, {"candidates": [3.0]}, r"candidates\[0\]: is a float"),
        (np.eye(2), {}, r"candidates\[0\]: has jacobian"),
    ],
)
def test_what_is_no_question_is_refused(belief, options: dict, words: str) -> None:
    options = {"candidates": candidates(1), **options}
    with pytest.raises(BadInput, match=words):
        inspect.unwrap(plan)(belief, **options)  # as users call it: without the checks of types that tests run under
