"""Chebyshev polynomials in JAX against numpy's, and their derivatives at the ends of the interval."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebvander

from twin.chebyshev import chebyshev


@pytest.mark.parametrize("count", [1, 2, 3, 32])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_values_are_those_of_numpy(count, shape):
    x = np.random.default_rng(0).uniform(-1.0, 1.0, shape)
    values = chebyshev(jnp.asarray(x), count)
    assert values.shape == (*shape, count)
    np.testing.assert_allclose(values, chebvander(x, count - 1).reshape(values.shape), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_derivatives_at_the_ends_are_the_squares_of_the_orders(end):
    derivative = jax.jacfwd(lambda x: chebyshev(x, 8))(jnp.asarray(end))
    order = np.arange(8)
    np.testing.assert_allclose(derivative, end ** (order + 1) * order**2, rtol=1e-12)
