"""The rules for the next pixels, each by what it promises."""

import inspect

import numpy as np
import pytest

from learn.design.acquisition import expected_improvement, next_pixels
from learn.design.sampling import most_informative
from learn.gp.spectra import MapPrediction

MEASURED = np.array([0])


def _prediction() -> MapPrediction:
    """Six pixels: 0 measured at 1.0; 1 and 2 uncertain and alike; 3 large and known; 4 above 3 perhaps; 5 small and uncertain."""
    std = np.array([0.05, 2.0, 1.9, 0.1, 1.5, 1.0])
    correlation = np.eye(6)
    correlation[1, 2] = correlation[2, 1] = 0.99
    return MapPrediction(np.array([1.0, 0.0, 0.0, 2.5, 2.0, -9.0]), correlation * std[:, None] * std)


def test_novelty_is_the_largest_standard_deviation_not_what_the_batch_already_tells() -> None:
    chosen = next_pixels("novelty", _prediction(), np.full(6, 1e-3), np.arange(1, 6), 2, MEASURED)
    assert chosen.tolist() == [1, 4]


def test_improvement_and_confidence_look_for_the_largest() -> None:
    noise, allowed = np.full(6, 1e-3), np.arange(1, 6)
    assert next_pixels("improvement", _prediction(), noise, allowed, 1, MEASURED).tolist() == [3]
    assert next_pixels("confidence", _prediction(), noise, allowed, 1, MEASURED).tolist() == [4]
    assert 5 not in next_pixels("improvement", _prediction(), noise, allowed, 4, MEASURED)
    # what may still be larger than the largest so far, which is then pixel 3
    assert next_pixels("improvement", _prediction(), noise, allowed, 2, MEASURED).tolist() == [3, 4]


def test_variance_is_the_present_rule() -> None:
    noise, allowed, prediction = np.full(6, 0.1), np.arange(1, 6), _prediction()
    expected = most_informative(prediction.covariance, noise, allowed, 3)[0]
    np.testing.assert_array_equal(next_pixels("variance", prediction, noise, allowed, 3, MEASURED), expected)


def test_expected_improvement_is_a_mean_over_draws() -> None:
    draws = np.random.default_rng(0).normal(0.3, 0.8, 400_000)
    expected = np.maximum(draws - 0.5, 0.0).mean()
    assert expected_improvement(np.array([0.3]), np.array([0.8]), 0.5)[0] == pytest.approx(expected, rel=0.01)
    assert expected_improvement(np.array([0.3]), np.array([0.0]), 0.5)[0] == 0.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="no rule"):
        inspect.unwrap(next_pixels)("curiosity", _prediction(), np.ones(6), np.arange(6), 1, MEASURED)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="measured"):
        next_pixels("improvement", _prediction(), np.ones(6), np.arange(6), 1, MEASURED[:0])
    assert set(next_pixels("novelty", _prediction(), np.ones(6), np.array([2, 3]), 9, MEASURED)) == {2, 3}
