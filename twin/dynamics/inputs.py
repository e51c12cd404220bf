"""Inputs of the model from commanded values: their value at any time, with hysteresis of lenses and creep of the stage.

The field of a magnetic lens lags behind its current by an amount that depends on the path of the current: a sum of play operators (Prandtl-Ishlinskii;
Visintin, Differential Models of Hysteresis, 1994, ch. III), each of which follows only changes larger than its width. Normalising
resets the path. A stage creeps after a move, in proportion to its size, with the logarithm of time.
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
    """An input computed from commanded values: see `Inputs`.

    ``kind`` "commanded": the value of ``of`` (a channel, or "control:NAME") times ``scale`` plus ``offset``, but not below ``least``; "play": the
    lag of a play operator of ``width`` behind the input ``of``, reset when the input ``reset`` changes; "creep": the last step of the input ``of``
    times ln(1 + t/``time``).
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
        """The input when ``of`` has ``value``."""
        number = self.scale * value + self.offset
        return number if self.least is None else max(number, self.least)


class Inputs:
    """The history of commanded values, and the inputs that follow from it. Times are int64 ns."""

    def __init__(self, inputs: Sequence[Input]):
        self._inputs = {spec.name: spec for spec in inputs}
        self._paths: dict[str, Path] = {}
        for spec in inputs:
            if spec.kind == "commanded":
                # a control is 0 until it is set
                self._paths[spec.of] = Path([NEVER], [0.0]) if spec.of.startswith("control:") else Path()

    @property
    def sources(self) -> frozenset[str]:
        """The channels and "control:NAME"s that the inputs depend on."""
        return frozenset(self._paths)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._inputs)

    def tell(self, of: str, time: int, value: float) -> int | None:
        """Record that ``of`` had ``value`` at ``time``; times may come in any order. The time from which this changes the history, or None."""
        return self._paths[of].add(time, value)

    def settle(self, time: int) -> None:
        """No more values come for times before ``time``: remove repeated values."""
        for path in self._paths.values():
            path.settle(time)

    def at(self, time: int) -> dict[str, float]:
        """Every input at ``time``; NaN where its source has no value yet (a control is 0 until it is set)."""
        return {name: self._value(spec, time) for name, spec in self._inputs.items()}

    def value(self, name: str, time: int) -> float:
        """One input at ``time``; see `at`."""
        return self._value(self._inputs[name], time)

    def series(self, name: str, times: np.ndarray) -> np.ndarray:
        """One input at each of ``times`` [n] (int64 ns)."""
        spec = self._inputs[name]
        if len(times) and spec.kind == "commanded" and not self.steps(name, int(times.min()) - 1, int(times.max())):
            return np.full(len(times), self._value(spec, int(times[0])))
        return np.array([self._value(spec, time) for time in times.tolist()])

    def steps(self, name: str, since: int, until: int) -> list[tuple[int, float]]:
        """Changes of a commanded input in (since, until]: times and sizes."""
        spec = self._inputs[name]
        changes = self._paths[spec.of].steps(since, until)
        steps = [(time, spec.read(value) - spec.read(before)) for time, before, value in changes]
        return [(time, step) for time, step in steps if step != 0.0]

    def _value(self, spec: Input, time: int) -> float:
        if spec.kind == "commanded":
            path = self._paths[spec.of]
            value = path.at(time)
            return float("nan") if value is None else spec.read(value)
        if spec.kind == "play":
            return self._play(spec, time)
        return self._creep(spec, time)

    def _play(self, spec: Input, time: int) -> float:
        since = NEVER
        if spec.reset:
            resets = self.steps(spec.reset, NEVER, time)
            since = resets[-1][0] if resets else since
        start, path = self._walk(spec.of, since, time)
        if start is None:
            return float("nan")
        follower = now = start
        for now in path:
            follower = min(max(follower, now - spec.width), now + spec.width)
        return follower - now

    def _walk(self, name: str, since: int, until: int) -> tuple[float | None, list[float]]:
        """The value of a commanded input at ``since`` (or its first value), and its values from then until ``until``."""
        spec = self._inputs[name]
        start, path = self._paths[spec.of].between(since, until)
        if start is None:
            return None, []
        return spec.read(start), [spec.read(value) for value in path]

    def _creep(self, spec: Input, time: int) -> float:
        moves = self.steps(spec.of, NEVER, time)
        if not moves:
            return 0.0
        move_time, step = moves[-1]
        return step * math.log1p((time - move_time) * 1e-9 / spec.time)

    def to_state(self) -> dict[str, list]:
        """All that was told, as plain lists."""
        return {of: [list(path.times), list(path.values)] for of, path in self._paths.items()}

    def from_state(self, state: Mapping[str, list]) -> None:
        """Restore what `to_state` saved."""
        for of, (times, values) in state.items():
            self._paths[of] = Path([int(time) for time in times], [float(value) for value in values])


class Path:
    """The values of one source, sorted by time; repeated values are kept until `settle`, since earlier ones may still come."""

    def __init__(self, times: list[int] | None = None, values: list[float] | None = None):
        self.times, self.values = times or [], values or []

    def add(self, time: int, value: float) -> int | None:
        """Insert ``value`` at ``time``. The time from which this changes the path (the first value holds before it, too), or None."""
        index = bisect.bisect_left(self.times, time)
        if index < len(self.times) and self.times[index] == time:
            # of two values at one time the larger is kept, in any order of arrival
            value = max(value, self.values[index])
            changed = value != self.values[index]
            self.values[index] = value
            return (NEVER if index == 0 else time) if changed else None
        self.times.insert(index, time)
        self.values.insert(index, value)
        if index == 0:
            return NEVER
        return None if self.values[index - 1] == value else time

    def settle(self, time: int) -> None:
        stop = bisect.bisect_left(self.times, time)
        kept_indices = [i for i in range(stop) if i == 0 or self.values[i] != self.values[i - 1]]
        if len(kept_indices) < stop:
            self.times[:stop] = [self.times[i] for i in kept_indices]
            self.values[:stop] = [self.values[i] for i in kept_indices]

    def at(self, time: int) -> float | None:
        """The last value up to ``time``; before the first value, the first; None if there is none."""
        if not self.times:
            return None
        return self.values[max(bisect.bisect_right(self.times, time) - 1, 0)]

    def between(self, since: int, until: int) -> tuple[float | None, list[float]]:
        if not self.times:
            return None, []
        first = bisect.bisect_right(self.times, since)
        return self.at(since), self.values[first : bisect.bisect_right(self.times, until)]

    def measured(self, since: int, until: int) -> list[tuple[int, float]]:
        """(time, value) of the first value and of each change, in (since, until]."""
        first = bisect.bisect_right(self.times, since)
        last = bisect.bisect_right(self.times, until)
        return [
            (self.times[i], self.values[i])
            for i in range(first, last)
            if i == 0 or self.values[i] != self.values[i - 1]
        ]

    def steps(self, since: int, until: int) -> list[tuple[int, float, float]]:
        """(time, value before, value) of each change in (since, until]."""
        first = bisect.bisect_right(self.times, since)
        last = bisect.bisect_right(self.times, until)
        return [
            (self.times[i], self.values[i - 1], self.values[i])
            for i in range(max(first, 1), last)
            if self.values[i] != self.values[i - 1]
        ]
