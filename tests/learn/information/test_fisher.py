"""Fisher information and bounds against closed forms and the scatter of fits."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from learn.information import bound, fisher_information

X = np.linspace(-4.0, 4.0, 81)


def peak(position: float, width: float, level: float) -> np.ndarray:
    return (0.02 + level * np.exp(-0.5 * ((X - position) / width) ** 2)) / len(X)


def slopes(*values: float) -> np.ndarray:
    steps = 1e-5 * np.eye(3)
    return np.stack([(peak(*(values + step)) - peak(*(values - step))) / 2e-5 for step in steps], axis=1)


def test_counts_of_one_rate_have_the_information_of_poisson_numbers() -> None:
    information = fisher_information(np.array([[1.0]]), np.array([0.3]), 50.0)
    assert information[0, 0] == pytest.approx(50.0 / 0.3)
    noisy = fisher_information(np.array([[1.0]]), np.array([0.3]), 50.0, 10.0)
    assert noisy[0, 0] == pytest.approx(50.0**2 / 25.0)
    assert fisher_information(np.array([[1.0]]), np.array([0.0]), 50.0)[0, 0] == 0.0


def test_fits_scatter_by_the_bound() -> None:
    true, dose = np.array([0.3, 0.8, 1.0]), 2e5
    limit = bound(fisher_information(slopes(*true), peak(*true), dose), 1)
    rng, fits = np.random.default_rng(1), []
    for _ in range(150):
        counts = rng.poisson(dose * peak(*true))
        fit = least_squares(
            lambda values, counts=counts: (dose * peak(*values) - counts) / np.sqrt(dose * peak(*true)), true
        )
        fits.append(fit.x[0])
    assert np.std(fits) / limit.std[0] == pytest.approx(1.0, abs=0.15)
    assert limit.known[0] <= limit.std[0]


def test_nuisances_cost_and_priors_help() -> None:
    information = np.array([[4.0, 3.0], [3.0, 4.0]])
    free = bound(information, 1)
    held = bound(information, 1, np.array([np.inf, 0.01]))
    assert free.std[0] == pytest.approx(np.sqrt(4.0 / 7.0))
    assert held.std[0] == pytest.approx(0.5, rel=1e-3)
    assert bound(np.diag([4.0, 0.0]), 1).std[0] == pytest.approx(0.5)


def test_what_counts_do_not_determine_is_refused() -> None:
    with pytest.raises(ValueError, match="do not determine parameter 0"):
        bound(np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match="must not be negative"):
        fisher_information(np.ones((1, 1)), np.array([-1.0]), 1.0)
    with pytest.raises(ValueError, match="zero width"):
        bound(np.eye(2), 1, np.array([np.inf, 0.0]))
