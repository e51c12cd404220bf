"""In which steps a channel reports: the grid that its values lie on, if they lie on one."""

import numpy as np
from jaxtyping import Float

TOLERANCE = 0.05
"""How far from the grid a value may lie, in steps. By chance a value lies this near in one case of ten."""

LEAST = 5
"""Different distances between values that must agree before a grid is believed: by chance, once in 10^5."""


FINEST = 2e-3
"""A grid finer than this, in median changes, is no step of a converter."""


def reporting_step(values: Float[np.ndarray, " n"]) -> float:
    """The step (the channel's unit) of the coarsest grid that 97 % of the ``values`` lie on; 0 where there is none.

    Few values that come again and again are a grid too, even an uneven one (a converter's codes through a nonlinear sensor): then the
    step is the median change. A grid much finer than the median change is how numbers were printed, and no step.
    """
    finite = values[np.isfinite(values)]
    levels = np.unique(finite)
    if levels.size < 2:
        return 0.0
    gaps = np.diff(levels)
    apart = 1e-9 * max(float(np.ptp(levels)), float(np.abs(levels).max()))
    gaps = gaps[gaps > apart]
    changes = np.abs(np.diff(finite))
    if not gaps.size or not (changes > apart).any():
        return 0.0
    typical = float(np.median(changes[changes > apart]))
    if few_levels(finite):
        counted = gaps / gaps.min()
        return float(gaps.min()) if (np.abs(counted - np.round(counted)) < TOLERANCE).all() else typical
    distances = np.unique(np.concatenate([gaps, np.abs(finite - finite[0])]))
    distances = distances[distances > apart]
    if distances.size < LEAST:
        return 0.0
    for part in range(1, 11):
        step = _refined(distances, float(distances.min()) / part)
        near = distances[distances < 2000.0 * step] / step
        if near.size >= LEAST and (np.abs(near - np.round(near)) < TOLERANCE).mean() > 0.97:
            return step if step >= FINEST * typical else 0.0
    return 0.0


def few_levels(values: Float[np.ndarray, " n"]) -> bool:
    """Does a channel take no more than eight values, each five times on average?"""
    levels = np.unique(values).size
    return 2 <= levels <= 8 and len(values) >= 5 * levels


def _refined(distances: Float[np.ndarray, " d"], step: float) -> float:
    """The step that fits best, from the short distances on to the long ones, so that none is counted one step off."""
    for reach in (20.0, 200.0, 2000.0):
        near = distances[distances < reach * step]
        count = np.round(near / step)
        if (count**2).sum() > 0:
            step = float((count * near).sum() / (count**2).sum())
    return step
