"""Drifts in a log: intervals in which a quantity moves by more than its error and by more than matters, without a command."""

import dataclasses
import math
from collections.abc import Collection, Iterator
from typing import Literal

import numpy as np

from reconstruct.validation.sensors.assumed import assumed
from reconstruct.validation.sensors.local_level import scatter
from reconstruct.validation.sensors.tracks import SensorTracks, Track
from twin.units import period, shown, value_text

SIGNIFICANT = 5.0
"""Standard deviations of a difference of two times of a track from which it moved: any of some hundred times of a log may be compared."""
PROGRESS = 0.25
"""Share of what is significant by which a track must go on, or it pauses."""
PAUSE = 3
"""Times of the grid for which a short movement may pause; a long one may for as long as it has lasted."""
ENDS, QUIET = 0.02, 2.0
"""Share of a movement, and standard deviations, that are cut off at its beginning and end: where it is slow, and where the extreme was one of noise."""
FOLLOWS_NOISE = 1.5
"""Ratio of the scatter of readings to the noise that their walk was fitted with from which the walk follows the noise: its error is the scatter then."""
LAG = 60.0
"""Seconds between a command and the beginning of what it moves: assumed."""
Command = Literal["none", "not logged", "lenses stayed"]
COMMANDS: dict[Command, str] = {
    "none": "without a command",
    "not logged": "commands are not logged",
    "lenses stayed": "the lenses that move it stayed",
}


@dataclasses.dataclass(frozen=True)
class Drift:
    """A ``field`` moved by ``change`` +- ``error`` (rms, inside unit) from ``first`` to ``last`` (ns, of a clock in ``zone``) by a ``channel`` of ``log``; both
    are empty, and the error is 0, where it is claims of files that moved.

    ``command``: the log has commands for it, and none moved it; or it has not, and it may have been commanded; or the lens settings in the files stayed.
    """

    field: str
    unit: str
    channel: str
    log: str
    first: int
    last: int
    change: float
    error: float
    command: Command
    zone: str = "UTC"

    @property
    def words(self) -> str:
        """In a sentence."""
        size = shown(self.change, self.error, self.unit) if self.error > 0.0 else value_text(self.change, self.unit)
        size = f"{'+' if self.change > 0.0 else ''}{size}"
        return (
            f"{self.field} moved by {size} from {period(self.first, self.last, self.zone)} ({COMMANDS[self.command]})"
        )


def drifts_of(log: SensorTracks, names: Collection[str]) -> list[Drift]:
    """The drifts of the fields ``names`` that a log follows, in time."""
    moved = [drift for name in names for track in log.tracks.get(name, ()) for drift in _of_track(log, track)]
    return sorted(moved, key=lambda drift: drift.first)


def _of_track(log: SensorTracks, track: Track) -> Iterator[Drift]:
    if track.logged.kind == "last-measured" or len(track.logged.times) < 2:
        return
    first, last = int(track.logged.times[0]), int(track.logged.times[-1])
    grid = [first, *(time for time in log.grid() if first < time < last), last]
    log.prepare(grid)
    mean, std = track.at(grid)
    rough = math.sqrt(scatter(track.level.seconds, track.level.values))
    if rough > FOLLOWS_NOISE * track.noise:
        std = np.maximum(std, rough)
    least = assumed(track.field, float(np.median(track.logged.values))).matters
    commands = log.commands.get(track.field.name, ())
    for begin, end in movements(np.array(grid, np.int64), mean, std, least):
        change, error = float(mean[end] - mean[begin]), math.hypot(std[begin], std[end])
        commanded = any(_changed(item.times, item.values, grid[begin], grid[end], change) for item in commands)
        if not commanded and track.fault(grid[begin], grid[end]) is None:
            told: Command = "none" if commands else "not logged"
            times, record = (grid[begin], grid[end]), log.record
            yield Drift(
                track.field.name,
                track.field.unit,
                track.channel,
                record.title,
                *times,
                change,
                error,
                told,
                record.zone,
            )


def _changed(times: np.ndarray, values: np.ndarray, first: int, last: int, change: float) -> bool:
    """Whether a command changed the same way as a movement from ``first`` to ``last``, by a share of it that counts as progress."""
    start = max(int(np.searchsorted(times, first - round(LAG * 1e9), "right")) - 1, 0)
    stop = int(np.searchsorted(times, last, "right"))
    steps = np.diff(values[start:stop]) * math.copysign(1.0, change)
    return bool(steps.size) and float(steps[steps > 0.0].sum()) >= PROGRESS * abs(change)


def movements(times: np.ndarray, mean: np.ndarray, std: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Begin and end (indices) of the movements of a track of ``mean`` and ``std`` [t] at ``times`` [t] (ns) by at least ``least``.

    A movement begins at the lowest (highest) value since the last one, and ends where it turns back or pauses for longer than it has lasted.
    """

    def needed(first: int, second: int) -> float:
        return max(least, SIGNIFICANT * math.hypot(std[first], std[second]))

    result: list[tuple[int, int]] = []
    low = high = 0
    index = 1
    while index < len(mean):
        up = mean[index] - mean[low] >= needed(low, index)
        down = mean[high] - mean[index] >= needed(high, index)
        if not (up or down):
            low, high = (index if mean[index] < mean[low] else low), (index if mean[index] > mean[high] else high)
            index += 1
            continue
        begin, sign = (low, 1.0) if up else (high, -1.0)
        end = _end(times, sign * mean, begin, index, needed)
        result.append(_trimmed(sign * mean, std, begin, end))
        low = high = end
        index = end + 1
    return result


def _end(times: np.ndarray, mean: np.ndarray, begin: int, index: int, needed) -> int:
    """Where a rising movement that is significant at ``index`` ends: its highest value before it turns or pauses."""
    step, top, progress = PROGRESS * needed(begin, index), index, index
    for later in range(index + 1, len(mean)):
        if mean[later] > mean[top]:
            top = later
        if mean[later] >= mean[progress] + step:
            progress = later
        patience = max(times[progress] - times[begin], PAUSE * (times[later] - times[later - 1]))
        if mean[top] - mean[later] >= needed(top, later) or times[later] - times[progress] > patience:
            break
    return top


def _trimmed(mean: np.ndarray, std: np.ndarray, begin: int, end: int) -> tuple[int, int]:
    """A rising movement without the parts at its ends in which it hardly moves."""
    slack = max(ENDS * (mean[end] - mean[begin]), QUIET * max(std[begin], std[end]))
    rising = mean[begin : end + 1]
    first = begin + int(np.flatnonzero(rising <= mean[begin] + slack)[-1])
    last = begin + int(np.flatnonzero(rising >= mean[end] - slack)[0])
    return (first, last) if first < last else (begin, end)
