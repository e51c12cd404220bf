"""Detectors: angles, counts and noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.detectors import Annular, annular, counts_variance, expected_counts, sample_counts


def test_ring_of_true_angles():
    length = 0.025
    k = np.array([0.0, 59e-3, 61e-3, 94e-3, 96e-3]) / length
    np.testing.assert_array_equal(annular(k, np.zeros(5), length, 60e-3, 95e-3), [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(annular(np.zeros(5), -k, length, 60e-3, 95e-3), [0, 0, 1, 1, 0])
    edged = annular(np.array([59e-3, 60e-3, 61e-3]) / length, np.zeros(3), length, 60e-3, 95e-3, edge=4e-3)
    np.testing.assert_allclose(edged, [0.25, 0.5, 0.75])
    assert annular(np.zeros(1), np.zeros(1), length, 0.0, 20e-3, edge=1e-3)[0] == 1.0


def test_response_over_the_ring():
    detector = Annular(40e-3, 80e-3, response=(1.0, -0.2))
    k = np.array([41e-3, 60e-3, 79e-3]) / 0.025
    np.testing.assert_allclose(detector.weights(k, np.zeros(3), 0.025), [1.19, 1.0, 0.81], atol=1e-6)


@pytest.mark.parametrize("inner,outer", [(95e-3, 60e-3), (-1e-3, 10e-3), (0.0, float("nan")), (0.0, float("inf"))])
def test_an_impossible_ring_is_refused(inner, outer):
    with pytest.raises(ValueError, match="inner < outer"):
        Annular(inner, outer)


def test_counts_have_the_mean_and_variance_of_the_model():
    fraction = jnp.full((40000,), 0.03)
    counts = np.asarray(sample_counts(jax.random.key(1), fraction, 600.0, 20.0, 100.0, 5.0))
    mean = float(expected_counts(fraction, 600.0, 20.0, 100.0)[0])
    variance = float(counts_variance(fraction, 600.0, 20.0, 5.0)[0])
    assert mean == pytest.approx(460.0)
    assert variance == pytest.approx(20.0**2 * 18.0 + 25.0)
    assert abs(counts.mean() - mean) < 5 * np.sqrt(variance / 40000)
    assert abs(counts.var() / variance - 1.0) < 0.05
    np.testing.assert_array_equal(counts, sample_counts(jax.random.key(1), fraction, 600.0, 20.0, 100.0, 5.0))
