"""The next image of a question: variances against a linear Gaussian update, the cheapest way to what is asked."""

import numpy as np
import pytest

from learn.design.exposure_design import Exposure
from scenarios.acquire.question.choice import MOST_REPEATS, choose

COVARIANCE = np.array([[9.0, 2.0, 0.0], [2.0, 4.0, 0.5], [0.0, 0.5, 1.0]])
ROW = np.array([1.0, 0.0, 0.0])
RNG = np.random.default_rng(3)
JACOBIAN = RNG.normal(size=(4, 3))
ROOT = RNG.normal(size=(4, 4))
INFORMATION = 0.02 * ROOT @ ROOT.T


def after(covariance: np.ndarray, information: np.ndarray, count: int) -> float:
    """By adding informations of the state."""
    whole = np.linalg.inv(np.linalg.inv(covariance) + count * JACOBIAN.T @ information @ JACOBIAN)
    return float(ROW @ whole @ ROW)


def test_repeated_images_are_a_gaussian_update() -> None:
    exposure = Exposure(JACOBIAN, INFORMATION, 10.0)
    needed = 7
    asked = np.sqrt(after(COVARIANCE, INFORMATION, needed)) * (1.0 + 1e-6)
    made = choose(COVARIANCE, ROW, asked, [exposure])
    assert made.images == needed
    assert made.electrons == needed * 10.0
    assert made.expected == pytest.approx(np.sqrt(after(COVARIANCE, INFORMATION, 1)), rel=1e-5)


def test_the_fewest_electrons_in_all_are_chosen() -> None:
    weak, strong = Exposure(JACOBIAN, INFORMATION, 10.0), Exposure(JACOBIAN, 5.0 * INFORMATION, 40.0)
    asked = float(np.sqrt(after(COVARIANCE, INFORMATION, 10)))
    assert choose(COVARIANCE, ROW, 1.001 * asked, [weak, strong]).number == 1  # 2 of 40 instead of 10 of 10
    strong = Exposure(JACOBIAN, 5.0 * INFORMATION, 60.0)
    assert choose(COVARIANCE, ROW, 1.001 * asked, [weak, strong]).number == 0


def test_what_no_image_reaches_is_lowered_most_per_electron() -> None:
    blind = Exposure(np.zeros((4, 3)), INFORMATION, 1.0)
    made = choose(COVARIANCE, ROW, 1e-6, [blind, Exposure(JACOBIAN, INFORMATION, 10.0)])
    assert (made.number, made.images) == (1, None)
    assert made.electrons == MOST_REPEATS * 10.0
