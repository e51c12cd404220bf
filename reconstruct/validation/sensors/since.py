"""Since when a claim is stale: the last time before a file at which a log's track agreed with it, and how probable such a claim is."""

import math

import numpy as np
from scipy.special import ndtr

from reconstruct.validation.evidence import Since
from reconstruct.validation.sensors.tracks import SensorTracks, Track

BAND = 2.0
"""Standard deviations within which a claim agrees."""
DISAGREES = 3.0
"""Standard deviations from which it does not agree at the time of the file."""
RECENT = 60.0
"""Age (s) of a stale value up to which all ages are as likely, and beyond which all magnitudes of age are: assumed. Values are written anew when something
is set or recorded, which happens within minutes or within hours."""
FLAT = 1e-3
"""Standard deviations by which a track moves between two times and still counts as at rest."""


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
    away = np.copysign(np.maximum(np.abs(value - mean) - 0.5 * step, 0.0) / error, value - mean)
    left, early, late = (_leaves(grid, away, band) for band in (BAND, BAND - 1.0, BAND + 1.0))
    if abs(away[-1]) <= DISAGREES or left is None:
        return None
    spread = float(grid[-1]) - left
    if early is not None and late is not None:
        spread = max((late - early) / 2.0, float(np.diff(grid).max()) / 3.0)
    ages = (until - grid) * 1e-9
    density = _density(ages, mean, np.hypot(error, step / math.sqrt(12.0)), value)
    return Since(track.field.name, int(left), round(spread), density, tracks.record.zone)


def _density(ages: np.ndarray, mean: np.ndarray, error: np.ndarray, value: float) -> float:
    """Probability density of ``value`` as what a track of ``mean`` and ``error`` [t] was at a time whose age is as likely as `RECENT` says.

    ``ages`` [t] (s) fall to 0; between them the track is a straight line. A value at which the track rested is probable, one that it passed is not.
    """
    share = np.log((ages[:-1] + RECENT) / (ages[1:] + RECENT)) / math.log((ages[0] + RECENT) / RECENT)
    width = 0.5 * (error[:-1] + error[1:])
    rise = np.diff(mean)
    first, last = (value - mean[:-1]) / width, (value - mean[1:]) / width
    at_rest = np.exp(-0.125 * (first + last) ** 2) / (width * math.sqrt(2.0 * math.pi))
    moves = np.abs(rise) > FLAT * width
    passing = (ndtr(first) - ndtr(last)) / np.where(moves, rise, 1.0)
    return float(share @ np.where(moves, passing, at_rest))


def _leaves(grid: np.ndarray, away: np.ndarray, band: float) -> float | None:
    """The last time at which ``away`` [t], with its sign, leaves -``band`` to ``band``; None where it never is within.

    Between points of the grid it is a straight line.
    """
    within = np.abs(away) <= band
    passes = np.append(away[:-1] * away[1:] < 0.0, False)
    index = int(np.flatnonzero(within | passes)[-1]) if (within | passes).any() else -1
    if index < 0:
        return None
    if index == len(grid) - 1:
        return float(grid[-1])
    first, last = away[index], away[index + 1]
    share = (math.copysign(band, last) - first) / (last - first)
    return float(grid[index]) + share * float(grid[index + 1] - grid[index])
