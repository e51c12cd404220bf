"""The square-root Kalman filter and smoother: compiled time and measurement updates.

A run is a sequence of steps; a step predicts the state (mean' = A mean + shift, cov_sqrt' = triangle of [A cov_sqrt, L]) and then
updates it with its scalar readings, each by Potter's update (Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, ch. II).
The covariance is cov_sqrt cov_sqrt^T throughout, so it stays positive.

A reading is good with probability 1 - ``outlier_probability``, else an outlier, with a standard deviation `OUTLIER_STD_RATIO` times that
of a good reading given the state (so that a first reading can be rejected too). Its weight is the probability that it is good: its variance is
divided by that weight (a step of expectation maximisation for contaminated normal errors), and below `MIN_WEIGHT` it is left out. A reading
rounded to coarse steps is used only while the state's variance is above its ``floor``: repeated equal readings must not average to certainty.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from twin import checks

OUTLIER_STD_RATIO = 30.0
MIN_WEIGHT = 1e-2
"""Weight below which a reading is left out."""
MIN_COARSE_INNOVATION = 2.0
"""Normalised innovation from which a coarse reading is always used."""


class Steps(NamedTuple):
    """Steps of a run: ``transition_index`` [t] of the distinct transitions ``transition`` [u, n, n] and square roots of the process noise ``noise`` [u, n, n];
    ``shift`` [t, n]; ``stop`` [t], the number of readings up to the end of each step."""

    transition_index: Any
    transition: Any
    noise: Any
    shift: Any
    stop: Any


class KernelReadings(NamedTuple):
    """Scalar readings of a run, in the order of steps, [r] each: index of the row, seconds from the step's end (<= 0), value without
    offset, variance, variance of the state below which a coarse reading is not used, and the prior probability of an outlier."""

    row: Any
    time_from_end: Any
    value: Any
    variance: Any
    floor: Any
    outlier_probability: Any


class KernelResult(NamedTuple):
    """Means [k, n], cov_sqrt [k, n, n], log evidence [k]; per reading the first component's normalised innovation and weight [r];
    with ``keep_steps`` ``filtered`` has the means and cov_sqrt after every step ([t, k, n], [t, k, n, n])."""

    means: Any
    cov_sqrt: Any
    evidence: Any
    innovation: Any
    weight: Any
    filtered: tuple[Any, Any]


SUBNORMAL_LIMIT = 1e-100
"""Values below this are set to zero: entries that decay for hours become subnormal, and arithmetic with those is a hundred times slower."""


def _flushed(cov_sqrt):
    return jnp.where(jnp.abs(cov_sqrt) < SUBNORMAL_LIMIT, 0.0, cov_sqrt)


def _potter_update(mean, cov_sqrt, evidence, row, value, variance, floor, outlier_probability):
    """Update one Gaussian with one scalar reading (Potter)."""
    phi = row @ cov_sqrt
    spread = phi @ phi
    innovation = value - row @ mean
    total = spread + variance
    square = innovation * innovation / total
    log_odds = (
        jnp.log(outlier_probability)
        - jnp.log1p(-outlier_probability)
        - jnp.log(OUTLIER_STD_RATIO)
        + 0.5 * square * (1.0 - OUTLIER_STD_RATIO**-2)
    )
    weight = 1.0 / (1.0 + jnp.exp(jnp.minimum(log_odds, 500.0)))
    counts = (weight >= MIN_WEIGHT) & ((spread > floor) | (square > MIN_COARSE_INNOVATION**2))
    variance = variance / jnp.maximum(weight, MIN_WEIGHT)
    inflated_total = spread + variance
    alpha = jnp.where(counts, 1.0 / inflated_total, 0.0)
    gamma = alpha / (1.0 + jnp.sqrt(variance / inflated_total))
    gain = cov_sqrt @ phi
    mean = mean + (alpha * innovation) * gain
    cov_sqrt = cov_sqrt - (gamma * gain)[:, None] * phi[None, :]
    good = jnp.log1p(-outlier_probability) - 0.5 * (square + jnp.log(total))
    bad = (
        jnp.log(outlier_probability)
        - jnp.log(OUTLIER_STD_RATIO)
        - 0.5 * (square / OUTLIER_STD_RATIO**2 + jnp.log(total))
    )
    evidence = evidence + jnp.logaddexp(good, bad)
    return mean, cov_sqrt, evidence, innovation / jnp.sqrt(total), jnp.where(weight >= MIN_WEIGHT, weight, 0.0)


@jax.jit(static_argnames="keep_steps")
def run(
    means: Float[Array, "k n"],
    cov_sqrts: Float[Array, "k n n"],
    steps: Steps,
    readings: KernelReadings,
    rows: Float[Array, "c n"],
    slopes: Float[Array, "c n"],
    count: Int[Array, ""],
    keep_steps: bool = False,
) -> KernelResult:
    """Filter the first ``count`` steps with their readings. ``rows`` are those of sensors, ``slopes`` the rows times the drift matrix (1/s)."""
    checks.require_float64()
    k, n = means.shape
    take = jax.vmap(_potter_update, in_axes=(0, 0, 0, None, None, None, None, None))

    def read(index, carry):
        means, cov_sqrts, evidence, innovation, weight = carry
        source = readings.row[index]
        row = rows[source] + readings.time_from_end[index] * slopes[source]
        means, cov_sqrts, evidence, z, w = take(
            means,
            cov_sqrts,
            evidence,
            row,
            readings.value[index],
            readings.variance[index],
            readings.floor[index],
            readings.outlier_probability[index],
        )
        return means, cov_sqrts, evidence, innovation.at[index].set(z[0]), weight.at[index].set(w[0])

    def step(number, carry):
        (means, cov_sqrts, *rest), filtered = carry
        transition_index = steps.transition_index[number]
        transition = steps.transition[transition_index]
        means = means @ transition.T + steps.shift[number][None, :]
        noise = jnp.broadcast_to(steps.noise[transition_index], (k, n, n))
        grown = jnp.concatenate([transition @ cov_sqrts, noise], axis=2)
        cov_sqrts = _flushed(jnp.swapaxes(jnp.linalg.qr(jnp.swapaxes(grown, 1, 2), mode="r"), 1, 2))
        first = jnp.where(number == 0, 0, steps.stop[jnp.maximum(number - 1, 0)])
        carry = jax.lax.fori_loop(first, steps.stop[number], read, (means, cov_sqrts, *rest))
        if keep_steps:
            filtered = (filtered[0].at[number].set(carry[0]), filtered[1].at[number].set(carry[1]))
        return carry, filtered

    size = len(steps.transition_index) if keep_steps else 0
    start = (means, cov_sqrts, jnp.zeros(k), jnp.zeros_like(readings.value), jnp.zeros_like(readings.value))
    filtered = (jnp.zeros((size, k, n)), jnp.zeros((size, k, n, n)))
    (means, cov_sqrts, evidence, innovation, weight), filtered = jax.lax.fori_loop(0, count, step, (start, filtered))
    return KernelResult(means, cov_sqrts, evidence, innovation, weight, filtered)


@jax.jit
def rts_smooth(
    mean: Float[Array, " n"],
    cov_sqrt: Float[Array, "n n"],
    before: tuple[Float[Array, "t n"], Float[Array, "t n n"]],
    steps: Steps,
    count: Int[Array, ""],
) -> tuple[Float[Array, "t n"], Float[Array, "t n n"]]:
    """Smoothed means and cov_sqrt at the start of each of the first ``count`` steps, from those at the end of the last.

    ``before`` are the filtered ones at the start of each step. Rauch, Tung and Striebel's recursion in square-root form (AIAA J. 3, 1445,
    1965; Park and Kailath, Int. J. Control 62, 1049, 1995): the triangle of [[A S, L], [S, 0]] holds the cov_sqrt of the prediction, the
    gain, and the cov_sqrt of the state given the next one.
    """
    checks.require_float64()
    size, n = before[0].shape

    def backward_step(reverse, carry):
        mean, cov_sqrt, means, cov_sqrts = carry
        number = count - 1 - reverse
        transition_index = steps.transition_index[number]
        transition, noise = steps.transition[transition_index], steps.noise[transition_index]
        filtered, filtered_cov_sqrt = before[0][number], before[1][number]
        stacked = jnp.block([[transition @ filtered_cov_sqrt, noise], [filtered_cov_sqrt, jnp.zeros((n, n))]])
        lower = _flushed(jnp.linalg.qr(stacked.T, mode="r").T)
        # an entry known exactly has zero row and column
        ahead = lower[:n, :n] + jnp.diag(jnp.where(jnp.diag(lower[:n, :n]) == 0.0, 1.0, 0.0))
        gain = _flushed(jax.scipy.linalg.solve_triangular(ahead, lower[n:, :n].T, lower=True, trans=1).T)
        mean = filtered + gain @ (mean - transition @ filtered - steps.shift[number])
        cov_sqrt = _flushed(jnp.linalg.qr(jnp.concatenate([lower[n:, n:], gain @ cov_sqrt], axis=1).T, mode="r").T)
        return mean, cov_sqrt, means.at[number].set(mean), cov_sqrts.at[number].set(cov_sqrt)

    start = (mean, cov_sqrt, jnp.zeros((size, n)), jnp.zeros((size, n, n)))
    return jax.lax.fori_loop(0, count, backward_step, start)[2:]
