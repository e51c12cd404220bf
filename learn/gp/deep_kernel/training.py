"""Training of a deep kernel as measurements come in: a climb of the penalised marginal likelihood, then draws of the parameters about it.

With few values a network trained to the maximum of the marginal likelihood fits features to noise, and its intervals are too narrow (Ober, Rasmussen & van der
Wilk, The promises and pitfalls of deep kernel learning, UAI 2021). The guard is to average over the posterior of all weights, by Hamiltonian Monte Carlo in
several chains (Neal 2011): a few dozen values allow its exact gradient, and a new value changes the posterior so little that chains go on from where they are.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from learn.gp.deep_kernel.network import Layout
from learn.gp.deep_kernel.process import Data, log_posterior

LEAPS = 8
"""Leapfrog steps of a trajectory."""
ACCEPTED = 0.75
"""Share of trajectories accepted, towards which the step is changed."""
ADAPTION = 0.3
RATE = 0.05


class Chains(NamedTuple):
    """``states`` [k, q] of k chains and the ``step`` of their trajectories."""

    states: Float[Array, "k q"]
    step: Float[Array, ""]


@partial(jax.jit, static_argnames=("layout", "steps"))
def climb(states: Float[Array, "k q"], data: Data, layout: Layout, steps: int) -> Float[Array, "k q"]:
    """The states after ``steps`` of Adam (Kingma & Ba 2015) up the penalised log marginal likelihood, the best of each path."""
    optimiser = optax.adam(RATE)
    descend = jax.value_and_grad(lambda vector: -log_posterior(vector, data, layout))

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        vector, state, least, best = carry
        value, gradient = descend(vector)
        better = value < least
        changes, state = optimiser.update(jnp.nan_to_num(gradient), state)
        carried = optax.apply_updates(vector, changes), state, jnp.where(better, value, least)
        return (*carried, jnp.where(better, vector, best)), None

    def path(vector: Float[Array, " q"]) -> Float[Array, " q"]:
        start = vector, optimiser.init(vector), jnp.array(jnp.inf, dtype=vector.dtype), vector
        return jax.lax.scan(step, start, None, length=steps)[0][3]

    return jax.vmap(path)(states)


@partial(jax.jit, static_argnames=("layout", "rounds"))
def explore(
    chains: Chains, key: Array, data: Data, layout: Layout, rounds: int
) -> tuple[Chains, Float[Array, "rounds k q"], Float[Array, ""]]:
    """``rounds`` trajectories of each chain: the chains after it, their states after each round, and the share accepted in the last half."""

    def turn(carry: Chains, key: Array) -> tuple[Chains, tuple[Array, Array]]:
        keys = jax.random.split(key, carry.states.shape[0])
        states, accepted = jax.vmap(_trajectory, (0, None, 0, None, None))(carry.states, carry.step, keys, data, layout)
        share = accepted.mean()
        return Chains(states, carry.step * jnp.exp(ADAPTION * (share - ACCEPTED))), (states, share)

    after, (states, shares) = jax.lax.scan(turn, chains, jax.random.split(key, rounds))
    return after, states, shares[rounds // 2 :].mean()


def _trajectory(
    vector: Float[Array, " q"], step: Float[Array, ""], key: Array, data: Data, layout: Layout
) -> tuple[Float[Array, " q"], Float[Array, ""]]:
    """One trajectory from ``vector``, accepted or not, with the probability of that; its step is jittered against periods."""
    density = jax.value_and_grad(lambda at: log_posterior(at, data, layout))
    first, second, third = jax.random.split(key, 3)
    momentum = jax.random.normal(first, vector.shape, dtype=vector.dtype)
    size = step * jax.random.uniform(third, (), vector.dtype, 0.8, 1.2)
    begun, gradient = density(vector)

    def leap(carry: tuple, _: None) -> tuple[tuple, None]:
        at, speed, slope, _value = carry
        speed = speed + 0.5 * size * slope
        at = at + size * speed
        value, slope = density(at)
        return (at, speed + 0.5 * size * slope, slope, value), None

    (end, speed, _, ended), _ = jax.lax.scan(leap, (vector, momentum, gradient, begun), None, length=LEAPS)
    log_ratio = ended - begun - 0.5 * (speed @ speed - momentum @ momentum)
    ratio = jnp.where(jnp.isfinite(log_ratio), jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
    taken = jax.random.uniform(second, (), vector.dtype) < ratio
    return jnp.where(taken, end, vector), ratio
