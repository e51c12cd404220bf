"""What was commanded, as numbers that the model is driven by: at any time, with the memory that lenses and stages have of their path.

A magnetic lens lags behind its current by an amount that depends on the path it came: here a sum of play operators (Prandtl-Ishlinskii;
Visintin, Differential Models of Hysteresis, 1994, ch. III), each of which follows only when pushed by more than its width. Normalising
wipes the path out. A stage creeps after a move, in proportion to it, with the logarithm of time.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

NEVER = -(2**62)
"""A time before all others (ns)."""


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that follows from what was commanded: see `Inputs`.

    ``kind`` "commanded": what ``of`` (a channel, or "control:NAME") says, times ``scale`` plus ``offset``, but not below
    ``least``; "play": the lag of a play operator of ``width`` behind the input ``of``, forgotten when the input ``reset`` changes; "creep": the
    last step of the input ``of`` times ln(1 + t/``time``).
    """

    name: str
    kind: Literal["commanded", "play", "creep"]
    of: str
    scale: float = 1.0
    offset: float = 0.0
    least: float | None = None
    width: float = 0.0
    reset: str = ""
    time: float = 1.0
    doc: str = ""

    def read(self, value: float) -> float:
        """The input, where ``of`` says ``value``."""
        number = self.scale * value + self.offset
        return number if self.least is None else max(number, self.least)


class Inputs:
    """The history of what was told, and the inputs that follow from it. Times are int64 ns."""

    def __init__(self, inputs: Sequence[Input]):
        self._inputs = {one.name: one for one in inputs}
        self._paths: dict[str, Path] = {}
        for one in inputs:
            if one.kind == "commanded":
                # a control stands at nought until it is told otherwise
                self._paths[one.of] = Path([NEVER], [0.0]) if one.of.startswith("control:") else Path()

    @property
    def sources(self) -> frozenset[str]:
        """The channels and "control:NAME"s that are listened to."""
        return frozenset(self._paths)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._inputs)

    def tell(self, of: str, time: int, value: float) -> int | None:
        """``of`` said ``value`` at ``time``, in any order of times; the time from which that changes what is known of its path, if it does."""
        return self._paths[of].add(time, value)

    def settle(self, before: int) -> None:
        """Nothing more will be told of times before ``before``: forget what repeats."""
        for path in self._paths.values():
            path.settle(before)

    def at(self, time: int) -> dict[str, float]:
        """Every input at ``time``; NaN where it follows from something that has never been told (a control counts as 0 until it is)."""
        return {name: self._value(one, time) for name, one in self._inputs.items()}

    def value(self, name: str, time: int) -> float:
        """One input at ``time``; see `at`."""
        return self._value(self._inputs[name], time)

    def series(self, name: str, times: np.ndarray) -> np.ndarray:
        """One input at each of ``times`` [n] (int64 ns)."""
        one = self._inputs[name]
        if len(times) and one.kind == "commanded" and not self.steps(name, int(times.min()) - 1, int(times.max())):
            return np.full(len(times), self._value(one, int(times[0])))
        return np.array([self._value(one, time) for time in times.tolist()])

    def steps(self, name: str, after: int, until: int) -> list[tuple[int, float]]:
        """Changes of a commanded input in (after, until]: times and sizes."""
        one = self._inputs[name]
        found = self._paths[one.of].steps(after, until)
        steps = [(time, one.read(value) - one.read(before)) for time, before, value in found]
        return [(time, step) for time, step in steps if step != 0.0]

    def _value(self, one: Input, time: int) -> float:
        if one.kind == "commanded":
            path = self._paths[one.of]
            value = path.at(time)
            return float("nan") if value is None else one.read(value)
        if one.kind == "play":
            return self._play(one, time)
        return self._creep(one, time)

    def _play(self, one: Input, time: int) -> float:
        since = NEVER
        if one.reset:
            resets = self.steps(one.reset, NEVER, time)
            since = resets[-1][0] if resets else since
        start, path = self._walk(one.of, since, time)
        if start is None:
            return float("nan")
        follower = now = start
        for now in path:
            follower = min(max(follower, now - one.width), now + one.width)
        return follower - now

    def _walk(self, name: str, since: int, until: int) -> tuple[float | None, list[float]]:
        """Where a commanded input stood at ``since`` (or where it was first told), and where it went until ``until``."""
        one = self._inputs[name]
        start, path = self._paths[one.of].between(since, until)
        if start is None:
            return None, []
        return one.read(start), [one.read(value) for value in path]

    def _creep(self, one: Input, time: int) -> float:
        moves = self.steps(one.of, NEVER, time)
        if not moves:
            return 0.0
        at, step = moves[-1]
        return step * math.log1p((time - at) * 1e-9 / one.time)

    def to_state(self) -> dict[str, list]:
        """All that was told, as plain lists."""
        return {of: [list(path.times), list(path.values)] for of, path in self._paths.items()}

    def from_state(self, state: Mapping[str, list]) -> None:
        """Restore what `to_state` saved."""
        for of, (times, values) in state.items():
            self._paths[of] = Path([int(time) for time in times], [float(value) for value in values])


class Path:
    """What one source said and when, sorted by time; repeats are kept until `settle`, since earlier ones may still come."""

    def __init__(self, times: list[int] | None = None, values: list[float] | None = None):
        self.times, self.values = times or [], values or []

    def add(self, time: int, value: float) -> int | None:
        """``value`` was said at ``time``; the time from which that changes things (what is said first holds before it, too), or None."""
        place = bisect.bisect_left(self.times, time)
        if place < len(self.times) and self.times[place] == time:
            # of two that claim one moment the larger stands, whichever came first
            value = max(value, self.values[place])
            changed = value != self.values[place]
            self.values[place] = value
            return (NEVER if place == 0 else time) if changed else None
        self.times.insert(place, time)
        self.values.insert(place, value)
        if place == 0:
            return NEVER
        return None if self.values[place - 1] == value else time

    def settle(self, before: int) -> None:
        stop = bisect.bisect_left(self.times, before)
        keep = [i for i in range(stop) if i == 0 or self.values[i] != self.values[i - 1]]
        if len(keep) < stop:
            self.times[:stop] = [self.times[i] for i in keep]
            self.values[:stop] = [self.values[i] for i in keep]

    def at(self, time: int) -> float | None:
        """The last value up to ``time``; before the first that was told, the first; None if nothing was."""
        if not self.times:
            return None
        return self.values[max(bisect.bisect_right(self.times, time) - 1, 0)]

    def between(self, since: int, until: int) -> tuple[float | None, list[float]]:
        if not self.times:
            return None, []
        first = bisect.bisect_right(self.times, since)
        return self.at(since), self.values[first : bisect.bisect_right(self.times, until)]

    def measured(self, after: int, until: int) -> list[tuple[int, float]]:
        """(time, value) of what was first told and of each change since, in (after, until]."""
        first = bisect.bisect_right(self.times, after)
        last = bisect.bisect_right(self.times, until)
        return [
            (self.times[i], self.values[i])
            for i in range(first, last)
            if i == 0 or self.values[i] != self.values[i - 1]
        ]

    def steps(self, after: int, until: int) -> list[tuple[int, float, float]]:
        """(time, value before, value) of each change in (after, until]."""
        first = bisect.bisect_right(self.times, after)
        last = bisect.bisect_right(self.times, until)
        return [
            (self.times[i], self.values[i - 1], self.values[i])
            for i in range(max(first, 1), last)
            if self.values[i] != self.values[i - 1]
        ]
