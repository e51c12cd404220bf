"""Left-out densities against processes conditioned anew, and against a model whose posterior is known."""

import inspect

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from learn.gp.evidence import calibration, compare, left_out, log_normal, pooled


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


def test_pooled_densities_are_those_without_the_value() -> None:
    """A normal mean with a normal prior: draws given all values, reweighted, predict each value as the posterior of the others does."""
    rng = np.random.default_rng(1)
    values = np.append(rng.standard_normal(9), 2.5)
    draws = values.sum() / 11.0 + rng.standard_normal(4000) / np.sqrt(11.0)
    made = pooled(norm.logpdf(values, draws[:, None]), np.full(4000, 1 / 4000))
    expected = norm.logpdf(values, (values.sum() - values) / 10.0, np.sqrt(1.1))
    np.testing.assert_allclose(made, expected, atol=0.05)
    naive = np.log(np.exp(norm.logpdf(values, draws[:, None])).mean(0))
    assert naive[-1] - expected[-1] > 0.2  # a value helps to predict itself


def test_the_comparison_has_an_error() -> None:
    rng = np.random.default_rng(2)
    plain = rng.standard_normal(50)
    made = compare(plain, plain - 0.2 + 0.1 * rng.standard_normal(50))
    assert made.used == "the plain kernel"
    assert made.difference == pytest.approx(-10.0, abs=3 * 0.71)
    assert made.error == pytest.approx(0.71, rel=0.3)
    with pytest.raises(ValueError, match="same measurements"):
        inspect.unwrap(compare)(plain, plain[:-1])


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
