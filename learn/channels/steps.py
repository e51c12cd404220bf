"""The reporting step of a channel: the spacing of the grid that its values lie on."""

import numpy as np
from jaxtyping import Float

GRID_TOLERANCE = 0.05
"""Largest distance of a value from the grid, in steps. By chance one value in ten lies within it."""

MIN_DISTANCES = 5
"""Number of different distances between values that must agree with a grid: by chance, once in 10^5."""


MIN_STEP_SHARE = 2e-3
"""A grid finer than this share of the median change is not the step of a converter."""


def reporting_step(values: Float[np.ndarray, " n"]) -> float:
    """The step (the channel's unit) of the coarsest grid that 97 % of the ``values`` lie on; 0 if there is none.

    A few values that recur are a grid too, even an uneven one (codes of a converter behind a nonlinear sensor): then the step is the median change.
    A grid much finer than the median change is the format of printing, not a step.
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
        return float(gaps.min()) if (np.abs(counted - np.round(counted)) < GRID_TOLERANCE).all() else typical
    distances = np.unique(np.concatenate([gaps, np.abs(finite - finite[0])]))
    distances = distances[distances > apart]
    if distances.size < MIN_DISTANCES:
        return 0.0
    for part in range(1, 11):
        step = _refined(distances, float(distances.min()) / part)
        near = distances[distances < 2000.0 * step] / step
        if near.size >= MIN_DISTANCES and (np.abs(near - np.round(near)) < GRID_TOLERANCE).mean() > 0.97:
            return step if step >= MIN_STEP_SHARE * typical else 0.0
    return 0.0


def few_levels(values: Float[np.ndarray, " n"]) -> bool:
    """Whether a channel takes at most eight values, each five times on average."""
    levels = np.unique(values).size
    return 2 <= levels <= 8 and len(values) >= 5 * levels


def _refined(distances: Float[np.ndarray, " d"], step: float) -> float:
    """The step that fits best, from short distances to long ones, so that no distance is counted one step off."""
    for reach in (20.0, 200.0, 2000.0):
        near = distances[distances < reach * step]
        count = np.round(near / step)
        if (count**2).sum() > 0:
            step = float((count * near).sum() / (count**2).sum())
    return step
