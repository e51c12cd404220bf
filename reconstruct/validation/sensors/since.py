"""Since when a claim is stale: the last time before a file at which a log's track agreed with it."""

import dataclasses

import numpy as np

from reconstruct.validation.sensors.tracks import SensorTracks, Track

BAND = 2.0
"""Standard deviations within which a claim agrees."""
DISAGREES = 3.0
"""Standard deviations from which it does not agree at the time of the file."""


@dataclasses.dataclass(frozen=True)
class Since:
    """A claim last agreed at ``time`` (ns), known to ``error`` (ns, rms)."""

    time: int
    error: int


def stale_since(tracks: SensorTracks, track: Track, value: float, step: float, until: int) -> Since | None:
    """When ``value`` (rounded to ``step``) last agreed with ``track`` before ``until`` (ns); None where it does not disagree there, or never agreed.

    The claim is within its band where it is at most `BAND` standard deviations and half a step away. The error is half of the time from one to three standard
    deviations, in which the track moves by two, and not below a third of the grid's spacing.
    """
    grid = np.array([time for time in tracks.grid() if time <= until], np.int64)
    if len(grid) < 2:
        return None
    grid = np.append(grid, until) if grid[-1] < until else grid
    tracks.prepare(grid.tolist())
    mean, std = track.at(grid.tolist())
    error = np.sqrt(std**2 + track.noise**2 + track.bias**2)
    away = np.maximum(np.abs(value - mean) - 0.5 * step, 0.0) / error
    if away[-1] <= DISAGREES or not (away <= BAND).any():
        return None
    left, early, late = (_crossing(grid, away, band) for band in (BAND, BAND - 1.0, BAND + 1.0))
    assert left is not None  # some point is within the band
    spread = float(grid[-1]) - left
    if early is not None and late is not None:
        spread = max((late - early) / 2.0, float(np.diff(grid).max()) / 3.0)
    return Since(int(left), round(spread))


def _crossing(grid: np.ndarray, away: np.ndarray, band: float) -> float | None:
    """The last time at which ``away`` passes ``band`` upwards, between two points of the grid; None where it is above from the beginning."""
    inside = np.flatnonzero(away <= band)
    if not len(inside):
        return None
    index = int(inside[-1])
    if index == len(grid) - 1:
        return float(grid[-1])
    low, high = away[index], away[index + 1]
    share = (band - low) / (high - low) if high > low else 0.0
    return float(grid[index]) + share * float(grid[index + 1] - grid[index])
