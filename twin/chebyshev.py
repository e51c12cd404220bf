"""Chebyshev polynomials in JAX: those of `numpy.polynomial.chebyshev.chebvander`, with derivatives."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def chebyshev(x: Float[Array, "*n"], count: int) -> Float[Array, "*n count"]:
    """T_0 ... T_(count - 1) at ``x``, along a new last axis, by their recurrence T_(n+1) = 2 x T_n - T_(n-1).

    Unlike cos(n arccos x), the recurrence has finite derivatives at -1 and 1.

    >>> chebyshev(jnp.asarray(0.5), 3).tolist()
    [1.0, 0.5, -0.5]
    """
    rows = [jnp.ones_like(x), x]
    for _ in range(count - 2):
        rows.append(2.0 * x * rows[-1] - rows[-2])
    return jnp.stack(rows[:count], axis=-1)
