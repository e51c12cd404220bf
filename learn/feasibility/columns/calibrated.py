"""Settings by what was counted, and what was known of them before: damped by the priors alone (Gauss-Newton)."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Modelled = Callable[[Mapping[str, float], bool], tuple[Float[np.ndarray, " m"], Mapping[str, Float[np.ndarray, " m"]]]]
"""Rates [m] for each electron at deviations by name, and, if they are asked for, their derivatives."""
WITHIN = 3.0
"""Standard deviations of the priors that settings stay within."""


class Settled(NamedTuple):
    """Deviations ``values`` by name with their ``covariance`` [n, n], the ``expected`` counts [m] there, and the ``misfit``: chi-square of the counts and of
    what was known before."""

    values: dict[str, float]
    covariance: Float[np.ndarray, "n n"]
    expected: Float[np.ndarray, " m"]
    misfit: float

    def std(self, name: str) -> float:
        """Standard deviation of one of them."""
        number = list(self.values).index(name)
        return float(np.sqrt(self.covariance[number, number]))


def settled(
    modelled: Modelled,
    widths: Mapping[str, float],
    counts: Float[np.ndarray, " m"],
    electrons: float | Float[np.ndarray, " m"],
    variance: Callable[[np.ndarray], np.ndarray],
    start: Mapping[str, float] | None = None,
    steps: int = 2,
    linear: Collection[str] = (),
) -> Settled:
    """What fits ``counts`` of so many ``electrons`` best, with prior standard deviations ``widths`` (inf: nothing is known), in so many ``steps``.

    ``variance``: of the counts, by those that are expected. ``linear``: names on which ``modelled`` does not depend and that are taken by their derivatives.
    """
    names, bounds = list(widths), np.array(list(widths.values()))
    state = np.array([0.0 if start is None else start[name] for name in names])
    fixed = np.isin(names, list(linear))

    def by_name(values: np.ndarray) -> dict[str, float]:
        return dict(zip(names, (float(each) for each in values), strict=True))

    columns, information = np.zeros((len(counts), len(names))), np.zeros((len(names), len(names)))
    for _ in range(steps):
        rates, slopes = modelled(by_name(state), True)
        columns = np.stack([electrons * slopes[name] for name in names], 1)
        inverse = 1.0 / variance(electrons * rates)
        begun = np.where(fixed, 0.0, state)
        information = columns.T @ (columns * inverse[:, None]) + np.diag(1.0 / bounds**2)
        wanted = columns.T @ (inverse * (counts - electrons * rates)) - begun / bounds**2
        state = np.clip(begun + np.linalg.solve(information, wanted), -WITHIN * bounds, WITHIN * bounds)
    rates, _ = modelled(by_name(state), False)
    base = electrons * rates
    expected = base + columns[:, fixed] @ state[fixed]
    misfit = float(np.sum((counts - expected) ** 2 / variance(base)) + np.sum((state / bounds) ** 2))
    return Settled(by_name(state), np.linalg.inv(information), expected, misfit)
