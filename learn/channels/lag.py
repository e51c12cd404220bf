"""The first-order lag of a channel behind its set value, by maximum likelihood."""

import dataclasses

import numpy as np
from jaxtyping import Float

from learn.channels.noise import Estimate, TooFew

MIN_STEP_TO_SCATTER = 10.0
"""A step of the set value is used if it is this many times the scatter of the one-step changes."""

MIN_VALUES_AFTER_STEP = 6
"""Smallest number of values after a step, for a time constant."""


@dataclasses.dataclass(frozen=True)
class Lag:
    """``time_constant`` (s) of the response; its final value is gain * set value + ``offset``; ``rms`` of the residuals."""

    time_constant: Estimate
    gain: float
    offset: float
    rms: float


def learn_lag(
    times: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    set_times: Float[np.ndarray, " m"],
    set_values: Float[np.ndarray, " m"],
) -> Lag | TooFew:
    """The lag of ``values`` at ``times`` (s) behind ``set_values``, each valid from its time in ``set_times`` on."""
    x, t = np.asarray(values, dtype=np.float64), np.asarray(times, dtype=np.float64)
    moves = np.flatnonzero(np.diff(set_values) != 0) + 1
    scatter = 1.4826 * float(np.median(np.abs(np.diff(x) - np.median(np.diff(x))))) if len(x) > 2 else 0.0
    ends = np.append(set_times[moves], np.inf)
    counts = [
        int(((t >= ends[number]) & (t < ends[number + 1])).sum())
        for number, at in enumerate(moves)
        if abs(set_values[at] - set_values[at - 1]) > MIN_STEP_TO_SCATTER * scatter
    ]
    most = max(counts, default=0)
    if most < MIN_VALUES_AFTER_STEP or len(x) < MIN_VALUES_AFTER_STEP + 2:
        return TooFew(MIN_VALUES_AFTER_STEP, most, "values after one step of what it follows")
    spacing = float(np.median(np.diff(t)))
    grid = np.geomspace(0.02 * spacing, max(10.0 * spacing, float(np.ptp(t))), 160)
    fits = [_response(t, x, set_times, set_values, tau) for tau in grid]
    left = np.array([fit[2] for fit in fits])
    best = int(left.argmin())
    if best > 0:  # once more, finely, where the likelihood is
        near = np.flatnonzero(len(x) * np.log(left / left[best]) < 9.0)
        grid = np.geomspace(grid[max(near[0] - 1, 0)], grid[min(near[-1] + 1, len(grid) - 1)], 160)
        fits = [_response(t, x, set_times, set_values, tau) for tau in grid]
        left = np.array([fit[2] for fit in fits])
        best = int(left.argmin())
    # twice the log likelihood falls by n log(S/S0), with the noise's size and the two linear coefficients at their best
    fall = len(x) * np.log(left / left[best])
    near = grid[fall < 1.0]
    gain, offset, square = fits[best]
    rms = float(np.sqrt(square / max(len(x) - 3, 1)))
    if best == 0 or near[0] == grid[0]:
        limit = float(grid[fall < 2.71][-1])
        return Lag(Estimate(limit, None, "s", at_most=True), gain, offset, rms)
    error = max(0.5 * float(near[-1] - near[0]), float(grid[best] * (grid[1] / grid[0] - 1)))
    return Lag(Estimate(float(grid[best]), error, "s"), gain, offset, rms)


def _response(
    t: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], set_times: Float[np.ndarray, " m"], set_values: Float[np.ndarray, " m"], tau: float
) -> tuple[float, float, float]:  # fmt: skip
    """Gain, offset and residual sum of squares for time constant ``tau``, by least squares."""
    moves = np.flatnonzero(np.diff(set_values) != 0) + 1
    answer = np.full(t.shape, float(set_values[0]))
    for at in moves:
        since = t - set_times[at]
        answer += (set_values[at] - set_values[at - 1]) * np.where(
            since > 0, -np.expm1(-np.maximum(since, 0.0) / tau), 0.0
        )
    design = np.stack([answer, np.ones_like(t)], axis=1)
    solved, *_ = np.linalg.lstsq(design, x, rcond=None)
    left = x - design @ solved
    return float(solved[0]), float(solved[1]), float(left @ left) + 1e-300
