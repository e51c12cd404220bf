"""The logarithm of the dose that a question asks for, smooth in the settings of an option.

`learn.information.detection` in JAX, but for one thing: instead of the power averaged over the ways of a change, the mean square of the shifts of their
own tests is what a known way needs for that power. Between settings the two doses differ by a factor that hardly depends on them.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import norm

from learn.feasibility.assessment import Asked

STEPS = 12
"""At most, of Newton's method for the dose: its logarithm is nearly linear in the one of the shifts' square, and exactly where nothing has a prior."""
LEAST_SLOPE = 0.05
"""Of the logarithm of the shifts' square: below it more dose gains next to nothing."""
LEAST, MOST = math.log(1e-3), math.log(1e14)
"""Logarithms of the electrons over the window between which the dose is looked for."""


class Signals(NamedTuple):
    """`learn.information.Signature` of JAX arrays: ``rates`` [m] and ``changed`` [k, m] for each electron over the window, derivatives ``nuisances`` [m, p]
    with ``priors`` [p], ``wrong`` [m] (an rms error of the model) and ``halves`` [2, k, m]; ``readout`` is a variance."""

    rates: Float[Array, " m"]
    changed: Float[Array, "k m"]
    nuisances: Float[Array, "m p"]
    priors: np.ndarray
    wrong: Float[Array, " m"]
    halves: Float[Array, "2 k m"] | None
    readout: float = 0.0


def needed(asked: Asked) -> float:
    """The shift, in standard deviations, that a test of one known way needs for what is asked."""
    rate = -math.expm1(math.log1p(-asked.false_alarms) / asked.tests)
    return float(norm.isf(rate) + norm.isf(1.0 - asked.power))


def log_dose(signals: Signals, asked: Asked) -> Float[Array, ""]:
    """Logarithm of the electrons over the window at which the mean square of the shifts is what is `needed`, differentiable in the signals.

    Where no dose suffices, the largest one and what lacks there: lower is better there too.
    """
    shift = needed(asked)
    if shift <= 0.0:
        raise ValueError(f"power {asked.power} at {asked.false_alarms} false alarms needs no electrons; ask for more")
    target = 2.0 * math.log(shift)
    still = jax.tree.map(lambda each: jax.lax.stop_gradient(each) if isinstance(each, jax.Array) else each, signals)

    def reached(logarithm: Array) -> Array:
        return mean_square(still, logarithm, asked.references)

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        number, logarithm, value, slope = state
        nearer = jnp.clip(logarithm + (target - value) / slope, LEAST, MOST)
        return number + 1, nearer, *sloped(nearer)

    def sloped(logarithm: Array) -> tuple[Array, Array]:
        value, slope = jax.jvp(reached, (logarithm,), (jnp.ones_like(logarithm),))
        return value, jnp.maximum(slope, LEAST_SLOPE)

    begun = jnp.asarray(0.5 * (LEAST + MOST))
    _, found, _, slope = jax.lax.while_loop(
        lambda state: (state[0] < STEPS) & (jnp.abs(target - state[2]) > 1e-3), step, (0, begun, *sloped(begun))
    )
    # by the theorem of implicit functions: the dose moves by what the shifts lack there, over their slope
    return found + (target - mean_square(signals, found, asked.references)) / slope


def mean_square(signals: Signals, logarithm: Array | float, references: int) -> Float[Array, ""]:
    """Logarithm of the mean over ways of the squared shift of each way's own test, at a dose of this ``logarithm``."""
    dose = jnp.exp(logarithm)
    variance = dose * signals.rates + signals.readout
    seen = variance > 0.0
    inverse = jnp.where(seen, 1.0 / jnp.where(seen, variance, 1.0), 0.0)
    directions, known = dose * signals.nuisances, np.isfinite(signals.priors)
    priors = np.where(known, signals.priors, 0.0)
    project = _projection(inverse, directions, signals.priors)
    changes = jnp.where(seen, dose * (signals.changed - signals.rates), 0.0)
    weights = project(changes)
    means = jnp.einsum("km,km->k", changes, weights)
    if signals.halves is not None:
        first, second = dose * signals.halves[0], dose * signals.halves[1]
        crossed = jnp.einsum("km,km->k", first, project(second)) + jnp.einsum("km,km->k", second, project(first))
        means = 0.5 * crossed
    own = jnp.sum(((weights @ directions) * priors) ** 2, axis=1)
    counted = jnp.sum(weights**2 * variance, axis=1)
    common = (own + counted) / references if references else (weights @ (dose * signals.wrong)) ** 2
    shifts = jnp.maximum(means, 0.0) / jnp.sqrt(jnp.maximum(own + counted + common, 1e-300))
    return jnp.log(jnp.mean(shifts**2) + 1e-30)


def _projection(inverse: Array, directions: Array, priors: np.ndarray) -> Callable[[Array], Array]:
    """Weights of changes [k, m]: over the variance, less what the directions imitate within their priors."""
    if not directions.shape[1]:
        return lambda changes: changes * inverse
    information = directions.T @ (directions * inverse[:, None]) + np.diag(1.0 / np.square(priors))
    size = jnp.sqrt(jnp.maximum(jnp.diag(information), 1e-300))
    scaled = information / size[:, None] / size[None, :] + 1e-12 * np.eye(len(priors))

    def project(changes: Array) -> Array:
        cross = (directions.T @ (changes * inverse).T) / size[:, None]
        imitated = jnp.linalg.solve(scaled, cross) / size[:, None]
        return (changes - (directions @ imitated).T) * inverse

    return project


def signals_of(
    rates: Float[Array, "p c"],
    changed: Float[Array, "k p c"],
    derivatives: Mapping[str, Float[Array, "p c"]],
    halves: Float[Array, "2 k p c"] | None,
    priors: Mapping[str, float],
    model_error: float,
    readout: float = 0.0,
) -> Signals:
    """`learn.feasibility.scanned.signature_of` for channels [p, c] of an option instead of patterns."""
    places, single = rates.shape[0], rates.shape[1] == 1
    columns = {**derivatives, "gain": rates}
    widths = {name: priors.get(name, math.inf) for name in columns}
    if single:
        columns["background"], widths["background"] = jnp.full_like(rates, jnp.mean(rates)), math.inf
    used = [name for name, width in widths.items() if width > 0.0]
    nuisances = jnp.stack([columns[name].ravel() for name in used], axis=1) if used else jnp.zeros((rates.size, 0))
    wrong = model_error * (rates - rates.mean(0, keepdims=True))
    return Signals(
        rates.ravel() / places, changed.reshape(len(changed), -1) / places, nuisances / places,
        np.array([widths[name] for name in used]), wrong.ravel() / places,
        None if halves is None else halves.reshape(2, len(changed), -1) / places, readout,
    )  # fmt: skip
