"""Counting noise of means of every size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.counting import GAUSSIAN_FROM, poisson, sample_electrons


@pytest.mark.parametrize("mean", [0.3, 50.0, 0.9 * GAUSSIAN_FROM, 1e6, 4e7])
def test_variance_is_the_mean_however_large(mean: float):
    drawn = np.asarray(poisson(jax.random.key(2), jnp.full(40_000, mean)))
    assert (drawn == np.round(drawn)).all()
    assert drawn.var() / mean == pytest.approx(1.0, abs=0.025)
    assert drawn.mean() == pytest.approx(mean, abs=5.0 * np.sqrt(mean / 40_000))


def test_small_means_keep_their_numbers():
    fraction = jnp.linspace(0.0, 1.0, 50)
    drawn = sample_electrons(jax.random.key(4), fraction, 1e4)
    np.testing.assert_array_equal(drawn, jax.random.poisson(jax.random.key(4), 1e4 * fraction))
