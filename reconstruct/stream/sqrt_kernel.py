"""The inner loop of estimation: time and measurement updates of square-root Gaussians, compiled.

A run is a sequence of steps; a step moves the state (mean' = A mean + shift, root' = triangle of [A root, L]) and then takes the scalar
readings that belong to it, each by Potter's update (Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, ch. II).
The covariance is root root^T throughout, so it cannot lose its positivity.

A reading is good with probability 1 - ``share``, else it may be anywhere: `WIDE` times as far off as a good one may be, given what is
known of the state by then (so that a first reading can be refused too). It counts with the probability that it is good: its variance
is divided by that weight (a step of expectation maximisation for contaminated normal errors), and below `LEAST` it does not count. A
reading rounded to coarse steps counts only while more is unknown than its ``floor``: what says the same again and again must not be
averaged into certainty.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from twin import checks

WIDE = 30.0
LEAST = 1e-2
"""Weight below which a reading is left out altogether."""
SURPRISING = 2.0
"""Normalised innovation from which on a coarse reading counts whatever is known."""


class Steps(NamedTuple):
    """Steps of a run: ``which`` [t] of the distinct transitions ``move`` [u, n, n] and roots of the noise ``noise`` [u, n, n];
    ``shift`` [t, n]; ``stop`` [t], the number of readings up to the end of each step."""

    which: Any
    move: Any
    noise: Any
    shift: Any
    stop: Any


class Scalars(NamedTuple):
    """Scalar readings of a run, in the order of steps, [r] each: row's place, seconds from the step's end (<= 0), value without offset,
    variance, variance below which a coarse reading says nothing, and the prior probability of an outlier."""

    row: Any
    when: Any
    value: Any
    variance: Any
    floor: Any
    share: Any


class Ran(NamedTuple):
    """Means [k, n], roots [k, n, n], log evidence [k]; per reading the first component's normalised innovation and weight [r];
    with ``keep`` the means and roots after every step ([t, k, n], [t, k, n, n]), else those of no step."""

    means: Any
    cov_sqrt: Any
    evidence: Any
    innovation: Any
    weight: Any
    kept: tuple[Any, Any]


NOTHING = 1e-100
"""What decays for hours becomes subnormal, and arithmetic with such numbers is a hundred times slower: below this it is nought."""


def _flushed(cov_sqrt):
    return jnp.where(jnp.abs(cov_sqrt) < NOTHING, 0.0, cov_sqrt)


def _take(mean, cov_sqrt, evidence, row, value, variance, floor, share):
    """One scalar reading into one Gaussian."""
    phi = row @ cov_sqrt
    spread = phi @ phi
    away = value - row @ mean
    total = spread + variance
    square = away * away / total
    log_odds = jnp.log(share) - jnp.log1p(-share) - jnp.log(WIDE) + 0.5 * square * (1.0 - WIDE**-2)
    weight = 1.0 / (1.0 + jnp.exp(jnp.minimum(log_odds, 500.0)))
    counts = (weight >= LEAST) & ((spread > floor) | (square > SURPRISING**2))
    variance = variance / jnp.maximum(weight, LEAST)
    whole = spread + variance
    alpha = jnp.where(counts, 1.0 / whole, 0.0)
    gamma = alpha / (1.0 + jnp.sqrt(variance / whole))
    gain = cov_sqrt @ phi
    mean = mean + (alpha * away) * gain
    cov_sqrt = cov_sqrt - (gamma * gain)[:, None] * phi[None, :]
    good = jnp.log1p(-share) - 0.5 * (square + jnp.log(total))
    bad = jnp.log(share) - jnp.log(WIDE) - 0.5 * (square / WIDE**2 + jnp.log(total))
    evidence = evidence + jnp.logaddexp(good, bad)
    return mean, cov_sqrt, evidence, away / jnp.sqrt(total), jnp.where(weight >= LEAST, weight, 0.0)


@jax.jit(static_argnames="keep")
def run(
    means: Float[Array, "k n"],
    cov_sqrts: Float[Array, "k n n"],
    steps: Steps,
    readings: Scalars,
    rows: Float[Array, "c n"],
    slopes: Float[Array, "c n"],
    count: Int[Array, ""],
    keep: bool = False,
) -> Ran:
    """The first ``count`` steps, and their readings. ``rows`` are those of sensors, ``slopes`` the same times the drift matrix (1/s)."""
    checks.require_float64()
    k, n = means.shape
    take = jax.vmap(_take, in_axes=(0, 0, 0, None, None, None, None, None))

    def read(place, carry):
        means, cov_sqrts, evidence, innovation, weight = carry
        source = readings.row[place]
        row = rows[source] + readings.when[place] * slopes[source]
        means, cov_sqrts, evidence, z, w = take(
            means,
            cov_sqrts,
            evidence,
            row,
            readings.value[place],
            readings.variance[place],
            readings.floor[place],
            readings.share[place],
        )
        return means, cov_sqrts, evidence, innovation.at[place].set(z[0]), weight.at[place].set(w[0])

    def step(number, carry):
        (means, cov_sqrts, *rest), kept = carry
        which = steps.which[number]
        move = steps.move[which]
        means = means @ move.T + steps.shift[number][None, :]
        noise = jnp.broadcast_to(steps.noise[which], (k, n, n))
        grown = jnp.concatenate([move @ cov_sqrts, noise], axis=2)
        cov_sqrts = _flushed(jnp.swapaxes(jnp.linalg.qr(jnp.swapaxes(grown, 1, 2), mode="r"), 1, 2))
        first = jnp.where(number == 0, 0, steps.stop[jnp.maximum(number - 1, 0)])
        carry = jax.lax.fori_loop(first, steps.stop[number], read, (means, cov_sqrts, *rest))
        if keep:
            kept = (kept[0].at[number].set(carry[0]), kept[1].at[number].set(carry[1]))
        return carry, kept

    size = len(steps.which) if keep else 0
    start = (means, cov_sqrts, jnp.zeros(k), jnp.zeros_like(readings.value), jnp.zeros_like(readings.value))
    kept = (jnp.zeros((size, k, n)), jnp.zeros((size, k, n, n)))
    (means, cov_sqrts, evidence, innovation, weight), kept = jax.lax.fori_loop(0, count, step, (start, kept))
    return Ran(means, cov_sqrts, evidence, innovation, weight, kept)


@jax.jit
def retrace(
    mean: Float[Array, " n"],
    cov_sqrt: Float[Array, "n n"],
    before: tuple[Float[Array, "t n"], Float[Array, "t n n"]],
    steps: Steps,
    count: Int[Array, ""],
) -> tuple[Float[Array, "t n"], Float[Array, "t n n"]]:
    """Smoothed means and roots at the start of each of the first ``count`` steps, from those at the end of the last.

    ``before`` are the filtered ones at the start of each step. Rauch, Tung and Striebel's recursion in square-root form (AIAA J. 3, 1445,
    1965; Park and Kailath, Int. J. Control 62, 1049, 1995): the triangle of [[A S, L], [S, 0]] holds the root of the prediction, the gain
    and the root of what the future cannot tell.
    """
    checks.require_float64()
    size, n = before[0].shape

    def back(reverse, carry):
        mean, cov_sqrt, means, cov_sqrts = carry
        number = count - 1 - reverse
        which = steps.which[number]
        move, noise = steps.move[which], steps.noise[which]
        filtered, own = before[0][number], before[1][number]
        stacked = jnp.block([[move @ own, noise], [own, jnp.zeros((n, n))]])
        lower = _flushed(jnp.linalg.qr(stacked.T, mode="r").T)
        # an entry that is known exactly has nothing to learn: its row and column are nought
        ahead = lower[:n, :n] + jnp.diag(jnp.where(jnp.diag(lower[:n, :n]) == 0.0, 1.0, 0.0))
        gain = _flushed(jax.scipy.linalg.solve_triangular(ahead, lower[n:, :n].T, lower=True, trans=1).T)
        mean = filtered + gain @ (mean - move @ filtered - steps.shift[number])
        cov_sqrt = _flushed(jnp.linalg.qr(jnp.concatenate([lower[n:, n:], gain @ cov_sqrt], axis=1).T, mode="r").T)
        return mean, cov_sqrt, means.at[number].set(mean), cov_sqrts.at[number].set(cov_sqrt)

    start = (mean, cov_sqrt, jnp.zeros((size, n)), jnp.zeros((size, n, n)))
    return jax.lax.fori_loop(0, count, back, start)[2:]
