"""Left-out densities against processes conditioned anew and a model whose posterior is known; scores of batches against the marginal likelihood."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from learn.gp.evidence import Evidence, calibration, left_out, left_out_weights, log_normal, log_score


def test_left_out_densities_are_those_of_the_rest() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((7, 7))
    covariance, values = root @ root.T + np.eye(7), rng.standard_normal(7)
    off, variance = left_out(jnp.linalg.cholesky(jnp.asarray(covariance)), jnp.asarray(values))
    for k in range(7):
        rest = np.delete(np.arange(7), k)
        weights = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, k])
        std = np.sqrt(covariance[k, k] - weights @ covariance[rest, k])
        assert float(off[k]) == pytest.approx(values[k] - weights @ values[rest])
        assert float(variance[k]) == pytest.approx(std**2)
        expected = norm.logpdf(values[k], weights @ values[rest], std)
        assert log_normal(np.asarray(off), np.asarray(variance))[k] == pytest.approx(expected)


def test_draws_are_reweighted_to_those_without_the_value() -> None:
    """A normal mean with a normal prior: draws given all values, reweighted, are those of the posterior of the others."""
    rng = np.random.default_rng(1)
    values = np.append(rng.standard_normal(9), 2.5)
    draws = values.sum() / 11.0 + rng.standard_normal(4000) / np.sqrt(11.0)
    share = left_out_weights(norm.logpdf(values, draws[:, None]), np.full(4000, 1 / 4000))
    np.testing.assert_allclose(share.T @ draws, (values.sum() - values) / 10.0, atol=0.03)
    assert draws.mean() - share[:, -1] @ draws > 0.1  # a value helps to predict itself


def test_scores_of_batches_are_the_evidence() -> None:
    """Values predicted in two batches, the second given the first: the sum is the marginal likelihood of all; its odds are the weights."""
    rng = np.random.default_rng(2)
    root = rng.standard_normal((5, 5))
    prior, values = root @ root.T + np.eye(5), rng.standard_normal(5)
    gain = np.linalg.solve(prior[:2, :2], prior[:2, 2:]).T
    parts = log_score(np.zeros(2), prior[:2, :2], values[:2])
    parts += log_score(gain @ values[:2], prior[2:, 2:] - gain @ prior[:2, 2:], values[2:])
    whole = -0.5 * (values @ np.linalg.solve(prior, values) + np.linalg.slogdet(2.0 * np.pi * prior)[1])
    assert parts == pytest.approx(whole)
    assert Evidence(np.log(3.0), 5).weight == pytest.approx(0.75)
    assert Evidence().weight == 0.5
    assert Evidence(-1e4, 5).weight == 0.0


def test_the_factor_on_variances_is_found() -> None:
    """Deviations twice as large as promised: nearly a factor of 4 with many values, little with few; what noise explains changes nothing."""
    rng = np.random.default_rng(3)
    single = np.ones(1)

    def factor(count: int, size: float, noise: float = 0.0) -> float:
        spread = np.ones((1, count)) + noise
        off = rng.standard_normal((1, count)) * np.sqrt(size**2 + noise)
        return calibration(off, spread, np.full((1, count), noise), single)

    assert factor(2000, 2.0) == pytest.approx(3.3, rel=0.15)  # the range ends at exp(1.2)
    assert factor(2000, 0.7) == pytest.approx(0.49, rel=0.15)
    assert factor(3, 2.0) < factor(2000, 2.0)
    assert factor(2000, 1.0, noise=1.0) == pytest.approx(1.0, rel=0.15)
