"""Descent over settings between bounds from several starts, by their gradient (optax)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from scipy.stats import qmc

Settings = dict[str, float]
Objective = Callable[[Mapping[str, Any], Any], Array]
"""Of settings, and of data that stay the same, given apart so that compiled programs do not contain them."""
Report = Callable[[float], None]
RATE = 0.12
"""First step of a setting, as a share of its range."""
PATIENCE = 6
"""Steps after which a descent ends that gained less than `GAIN`."""
GAIN = 0.01
"""Of the logarithm of the dose: a hundredth of it is less than what the best of the others is uncertain by."""


class Visit(NamedTuple):
    """Settings and the value of the objective there."""

    settings: Settings
    value: float


class Found(NamedTuple):
    """The ``best`` visit; ``ends``, the best of each descent, lowest first; ``given``: those that the descents were asked to begin with; and how many
    ``evaluations`` it took."""

    best: Visit
    ends: tuple[Visit, ...]
    given: tuple[Visit, ...]
    evaluations: int


def climb(
    objective: Objective,
    data: Any,
    ranges: Mapping[str, tuple[float, float]],
    given: Sequence[Mapping[str, float]],
    starts: int = 3,
    tried: int = 16,
    steps: int = 24,
    report: Report | None = None,
) -> Found:
    """The lowest value of ``objective`` of ``data`` and of settings within ``ranges`` (lowest, highest), from the ``given`` settings and others.

    All given settings and a quasi-random set of ``tried`` ones are evaluated; from the ``starts`` lowest, the lowest given one among them, Adam descends
    with a falling rate, held within the bounds. Settings that are given but have no range stay as they are. ValueError for ranges that are
    empty or reversed, or without a given setting.
    """
    names = tuple(ranges)
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"{name} cannot vary from {low} to {high}: give a lower and a higher bound")
    if not given or not names:
        raise ValueError("a search needs settings to begin with, and at least one range")
    lows = np.array([ranges[name][0] for name in names])
    spans = np.array([ranges[name][1] for name in names]) - lows
    fixed = {name: float(value) for name, value in given[0].items() if name not in ranges}

    def at(shares: Array, data: Any) -> Array:
        values = lows + spans * shares
        return objective({**fixed, **{name: values[index] for index, name in enumerate(names)}}, data)

    value_of, slope_of = jax.jit(at), jax.jit(jax.value_and_grad(at))

    def visit(shares: np.ndarray, value: float) -> Visit:
        return Visit({**fixed, **dict(zip(names, (lows + spans * shares).tolist(), strict=True))}, value)

    begun = [np.clip((np.array([each[name] for name in names]) - lows) / spans, 0.0, 1.0) for each in given]
    others = list(qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(0)).random(tried)) if tried else []
    values = [float(value_of(jnp.asarray(shares), data)) for shares in (*begun, *others)]
    first = int(np.argmin(values[: len(begun)]))
    order = [first, *(int(index) for index in np.argsort(values) if index != first)]
    chosen = _apart(order, [*begun, *others], values, starts)
    evaluations, ends = len(values), []
    for number, index in enumerate(chosen):
        best, used = _descent(lambda shares: slope_of(shares, data), (*begun, *others)[index], steps)
        evaluations += used
        ends.append(visit(*min((best, ((*begun, *others)[index], values[index])), key=lambda pair: pair[1])))
        if report is not None:
            report((number + 1) / len(chosen))
    ends.sort(key=lambda each: each.value)
    told = tuple(visit(shares, value) for shares, value in zip(begun, values[: len(begun)], strict=True))
    return Found(ends[0], tuple(ends), told, evaluations)


def _apart(order: Sequence[int], places: Sequence[np.ndarray], values: Sequence[float], count: int) -> list[int]:
    """The first ``count`` of ``order`` that are finite and at least a tenth of the ranges apart."""
    chosen: list[int] = []
    for index in order:
        near = any(np.abs(places[index] - places[other]).max() < 0.1 for other in chosen)
        if len(chosen) < count and math.isfinite(values[index]) and not near:
            chosen.append(index)
    return chosen or [order[0]]


def _descent(
    slope_of: Callable[[Array], tuple[Array, Array]], start: np.ndarray, steps: int
) -> tuple[tuple[np.ndarray, float], int]:
    """The lowest visit of one descent, and how many evaluations it took."""
    shares = jnp.asarray(start)
    rule = optax.adam(optax.cosine_decay_schedule(RATE, steps, 0.05), b1=0.8, b2=0.9)
    state, best, marks = rule.init(shares), (np.asarray(start), math.inf), []
    number = 0
    while True:
        number += 1
        value, slope = slope_of(shares)
        if float(value) < best[1]:
            best = (np.asarray(shares), float(value))
        marks.append(best[1])
        stalled = number > PATIENCE and marks[-1 - PATIENCE] - marks[-1] < GAIN
        if number >= steps or stalled or not bool(jnp.all(jnp.isfinite(slope))):
            return best, number
        updates, state = rule.update(slope, state, shares)
        shares = optax.projections.projection_box(optax.apply_updates(shares, updates), 0.0, 1.0)
