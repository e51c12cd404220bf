"""A column's constants as unit normals, the coordinates of fits and of draws from the prior."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.column.column import Column


@functools.partial(jax.jit, static_argnames="column", inline=True)
def scaled(column: Column, u: Float[Array, " p"]) -> Float[Array, " n"]:
    """Constants [n] from unit normals ``u`` [p], one for each that is not exact."""
    free = np.array([i for i, constant in enumerate(column.constants) if constant.std > 0])
    positive = np.array([column.constants[i].positive for i in free])
    mean, std = (np.array([getattr(column.constants[i], name) for i in free]) for name in ("mean", "std"))
    logs = np.where(positive, std / np.where(positive, mean, 1.0), 0.0)
    values = jnp.where(positive, mean * jnp.exp(logs * u), mean + std * u)
    return jnp.asarray(column.nominal()).at[free].set(values)


def prior_draws(column: Column, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` constants [count, n] of the prior."""
    free = sum(constant.std > 0 for constant in column.constants)
    u = generator.standard_normal((count, free))
    return np.asarray(jax.vmap(lambda normals: scaled(column, normals))(jnp.asarray(u)))
