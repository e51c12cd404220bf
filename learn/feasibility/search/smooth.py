"""The logarithm of the dose that a question asks for, smooth in the settings of an option.

`learn.information.Tests` in JAX, but for one thing: instead of the power averaged over the ways of a change, the mean square of the shifts of their own
tests is what one known way needs for that power. The two doses differ by a factor that hardly depends on settings.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import norm

from learn.feasibility.assessment import Asked
from learn.feasibility.scanned import Unknown

STEPS = 12
"""At most, of Newton's method for the dose: its logarithm is nearly linear in the one of the shifts' square, and exactly so where nothing has a width."""
LEAST_SLOPE = 0.05
"""Of the logarithm of the shifts' square: below it more dose gains next to nothing."""
LEAST, MOST = math.log(1e-3), math.log(1e14)
"""Logarithms of the electrons over the window between which the dose is looked for."""
CLOSE = 1e-4
"""Of the logarithm of the shifts' square: where the search for the dose ends. What lacks is added by its slope."""


class Signals(NamedTuple):
    """`learn.information.Signature` of JAX arrays: ``rates`` [m] and ``changed`` [k, m] for each electron over the window, derivatives ``nuisances`` [m, p]
    with their ``priors`` and ``differences`` [p], ``wrong`` [m] (an rms error of the model) and ``halves`` [2, k, m]; ``readout`` is a variance."""

    rates: Float[Array, " m"]
    changed: Float[Array, "k m"]
    nuisances: Float[Array, "m p"]
    priors: np.ndarray
    differences: np.ndarray
    wrong: Float[Array, " m"]
    halves: Float[Array, "2 k m"] | None
    readout: float = 0.0


def signals_of(
    rates: Float[Array, "p c"],
    changed: Float[Array, "k p c"],
    derivatives: Mapping[str, Float[Array, "p c"]],
    halves: Float[Array, "2 k p c"] | None,
    unknown: Unknown,
    readout: float = 0.0,
) -> Signals:
    """`learn.feasibility.scanned.signature_of` for what channels [p, c] count, instead of patterns."""
    places = rates.shape[0]
    columns = {**derivatives, "gain": rates}
    if rates.shape[1] == 1:
        columns["background"] = jnp.full_like(rates, jnp.mean(rates))
    used = [name for name in columns if unknown.priors.get(name, math.inf) > 0.0]
    nuisances = jnp.stack([columns[name].ravel() for name in used], axis=1) if used else jnp.zeros((rates.size, 0))
    wrong = unknown.model * (rates - rates.mean(0, keepdims=True))
    return Signals(
        rates.ravel() / places, changed.reshape(len(changed), -1) / places, nuisances / places,
        np.array([unknown.priors.get(name, math.inf) for name in used]),
        np.array([unknown.differences.get(name, 0.0) for name in used]), wrong.ravel() / places,
        None if halves is None else halves.reshape(2, len(changed), -1) / places, readout,
    )  # fmt: skip


def needed(asked: Asked) -> float:
    """The shift, in standard deviations, that a test of one known way needs for what is asked."""
    rate = -math.expm1(math.log1p(-asked.false_alarms) / asked.tests)
    return float(norm.isf(rate) + norm.isf(1.0 - asked.power))


def log_dose(signals: Signals, asked: Asked) -> Float[Array, ""]:
    """Logarithm of the electrons over the window at which the mean square of the shifts is the square of what is `needed`, differentiable in the signals.

    Where no dose suffices, that of the largest one and what lacks there: lower is better there too. ValueError where nothing is needed.
    """
    shift = needed(asked)
    if shift <= 0.0:
        raise ValueError(f"power {asked.power} at {asked.false_alarms} false alarms needs no electrons; ask for more")
    target, unit = 2.0 * math.log(shift), None
    if signals.readout == 0.0:
        unit = _moments(signals, jnp.zeros(()))

    def reached(logarithm: Array, own: Signals, sums: Array | None) -> Array:
        second = _moments(own, logarithm) if sums is None else jnp.exp(logarithm) * sums
        return _mean_square(own, second, asked.references)

    # the dose itself is found without derivatives
    at_rest = jax.lax.stop_gradient(unit)
    still = signals._replace(
        rates=jax.lax.stop_gradient(signals.rates), changed=jax.lax.stop_gradient(signals.changed),
        nuisances=jax.lax.stop_gradient(signals.nuisances), wrong=jax.lax.stop_gradient(signals.wrong),
        halves=jax.lax.stop_gradient(signals.halves),
    )  # fmt: skip

    def sloped(logarithm: Array) -> tuple[Array, Array]:
        value, slope = jax.jvp(lambda each: reached(each, still, at_rest), (logarithm,), (jnp.ones_like(logarithm),))
        return value, jnp.maximum(slope, LEAST_SLOPE)

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        number, logarithm, value, slope = state
        nearer = jnp.clip(logarithm + (target - value) / slope, LEAST, MOST)
        return number + 1, nearer, *sloped(nearer)

    begun = jnp.asarray(0.5 * (LEAST + MOST))
    _, root, _, slope = jax.lax.while_loop(
        lambda state: (state[0] < STEPS) & (jnp.abs(target - state[2]) > CLOSE),
        step,
        (jnp.asarray(0), begun, *sloped(begun)),
    )
    # by the theorem of implicit functions: the dose moves by what the shifts lack there, over their slope
    return root + (target - reached(root, signals, unit)) / slope


def _moments(signals: Signals, logarithm: Array) -> Float[Array, "b b"]:
    """Sums over the counts at a dose of products over the variance: of the changes [k], both halves' [2 k], the nuisances [p] and the model's error."""
    parts = [(signals.changed - signals.rates[None]).T]
    if signals.halves is not None:
        parts += [signals.halves[0].T, signals.halves[1].T]
    vectors = jnp.concatenate([*parts, signals.nuisances, signals.wrong[:, None]], axis=1)
    dose = jnp.exp(logarithm)
    variance = dose * signals.rates + signals.readout
    seen = variance > 0.0
    inverse = jnp.where(seen, 1.0 / jnp.where(seen, variance, 1.0), 0.0)
    return dose**2 * (vectors.T @ (vectors * inverse[:, None]))


def _mean_square(signals: Signals, second: Float[Array, "b b"], references: int) -> Float[Array, ""]:
    """Logarithm of the mean over ways of the squared shift of each way's own test."""
    ways, count = len(signals.changed), len(signals.priors)
    widths = signals.differences if references else signals.priors
    start = len(second) - count - 1
    used = start + np.flatnonzero(widths > 0.0)
    finite = np.where(np.isfinite(widths), widths, 0.0)

    def combined(first: int) -> Array:
        """Combinations [b, k] of the vectors: those from ``first`` on, less what nuisances within their widths imitate."""
        those = jnp.zeros((len(second), ways)).at[np.arange(first, first + ways), np.arange(ways)].set(1.0)
        if not used.size:
            return those
        information = second[np.ix_(used, used)] + np.diag(1.0 / np.square(widths[widths > 0.0]))
        size = jnp.sqrt(jnp.maximum(jnp.diag(information), 1e-300))
        cross = second[used, first : first + ways] / size[:, None]
        scaled = information / size[:, None] / size[None, :] + 1e-12 * np.eye(used.size)
        return those.at[used].set(-jnp.linalg.solve(scaled, cross) / size[:, None])

    weights = combined(0)
    means = jnp.diagonal(second[:ways] @ weights)
    if signals.halves is not None:
        crossed = second[ways : 2 * ways] @ combined(2 * ways) + second[2 * ways : 3 * ways] @ combined(ways)
        means = 0.5 * jnp.diagonal(crossed)
    own = jnp.sum(((weights.T @ second[:, start:-1]) * finite[None]) ** 2, axis=1)
    counted = jnp.sum(weights * (second @ weights), axis=0)
    wrong = (weights.T @ second[:, -1]) ** 2
    common = (own + counted) / references if references else wrong
    shifts = jnp.maximum(means, 0.0) / jnp.sqrt(jnp.maximum(own + counted + common, 1e-300))
    return jnp.log(jnp.mean(shifts**2) + 1e-30)
