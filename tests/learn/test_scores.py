"""Scores against closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from learn.scores import coverage, crps, nees


@pytest.mark.smoke
@pytest.mark.parametrize("truth", [0.0, 1.3, -4.0])
def test_crps_of_a_gaussian(truth):
    """sigma [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)], Gneiting & Raftery (2007)."""
    sigma = 1.7
    samples = sigma * np.random.default_rng(0).standard_normal((200_000, 1))
    z = truth / sigma
    expected = sigma * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert crps(samples, np.array([truth]))[0] == pytest.approx(expected, abs=0.01)


def test_crps_is_fair_to_small_ensembles():
    """Its expectation does not depend on the number of samples."""
    generator = np.random.default_rng(1)
    truth = generator.standard_normal(40_000)
    small = crps(generator.standard_normal((3, 40_000)), truth).mean()
    assert small == pytest.approx(1 / np.sqrt(np.pi), abs=0.015)


def test_nees_is_one_where_the_covariance_is_right():
    generator = np.random.default_rng(2)
    root = np.tril(generator.standard_normal((4, 4))) * np.array([1e4, 1.0, 1e-6, 10.0])[:, None] + np.diag(
        [1e4, 1.0, 1e-6, 10.0]
    )
    covariance = root @ root.T
    mean_score = np.mean([nees(root @ generator.standard_normal(4), covariance) for _ in range(4000)])
    assert mean_score == pytest.approx(1.0, abs=0.05)
    assert nees(np.array([2.0, 0.0]), np.eye(2)) == pytest.approx(2.0)


def test_coverage():
    truth = np.array([0.0, 1.0, 2.0, np.nan])
    assert coverage(truth, np.array([-1.0, 1.0, 3.0, 0.0]), np.array([1.0, 1.5, 4.0, 1.0])) == pytest.approx(2 / 3)
    assert np.isnan(coverage(truth[3:], truth[:1], truth[:1]))
    generator = np.random.default_rng(3)
    assert coverage(
        generator.standard_normal(20_000), np.full(20_000, -1.645), np.full(20_000, 1.645)
    ) == pytest.approx(0.9, abs=0.01)
