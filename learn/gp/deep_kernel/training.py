"""Training of a deep kernel as measurements come in: a climb of the penalised marginal likelihood, then draws of the parameters about it.

With few values a network trained to the maximum of the marginal likelihood fits features to noise, and its intervals are too narrow (Ober, Rasmussen & van der
Wilk, The promises and pitfalls of deep kernel learning, UAI 2021). The guard is to average over the posterior of all weights, by Hamiltonian Monte Carlo in
several chains (Neal 2011): a few dozen values allow its exact gradient, and a new value changes the posterior so little that chains go on from where they are.
"""

from collections.abc import Callable
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

    density = jax.value_and_grad(lambda at: log_posterior(at, data, layout))
    trajectory = jax.vmap(partial(_trajectory, density), (0, None, 0))

    def turn(carry: tuple, key: Array) -> tuple[tuple, tuple[Array, Array]]:
        points, step = carry
        points, accepted = trajectory(points, step, jax.random.split(key, chains.states.shape[0]))
        share = accepted.mean()
        return (points, step * jnp.exp(ADAPTION * (share - ACCEPTED))), (points.at, share)

    start = _Point(chains.states, *jax.vmap(density)(chains.states))
    (end, step), (states, shares) = jax.lax.scan(turn, (start, chains.step), jax.random.split(key, rounds))
    return Chains(end.at, step), states, shares[rounds // 2 :].mean()


class _Point(NamedTuple):
    """Parameters, the log of their posterior and its gradient."""

    at: Float[Array, " q"]
    value: Float[Array, ""]
    slope: Float[Array, " q"]


def _trajectory(
    density: Callable[[Array], tuple[Array, Array]], begun: _Point, step: Float[Array, ""], key: Array
) -> tuple[_Point, Float[Array, ""]]:
    """One trajectory, accepted or not, with the probability of that; its step is jittered against periods."""
    first, second, third = jax.random.split(key, 3)
    momentum = jax.random.normal(first, begun.at.shape, dtype=begun.at.dtype)
    size = step * jax.random.uniform(third, (), begun.at.dtype, 0.8, 1.2)

    def leap(carry: tuple[_Point, Array], _: None) -> tuple[tuple[_Point, Array], None]:
        point, speed = carry
        speed = speed + 0.5 * size * point.slope
        at = point.at + size * speed
        value, slope = density(at)
        return (_Point(at, value, slope), speed + 0.5 * size * slope), None

    (ended, speed), _ = jax.lax.scan(leap, (begun, momentum), None, length=LEAPS)
    log_ratio = ended.value - begun.value - 0.5 * (speed @ speed - momentum @ momentum)
    ratio = jnp.where(jnp.isfinite(log_ratio), jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
    taken = jax.random.uniform(second, (), begun.at.dtype) < ratio
    return jax.tree.map(lambda new, old: jnp.where(taken, new, old), ended, begun), ratio
