"""Readings as they come in: checked, aligned by their source's clock, counted, and put where their time says."""

from collections.abc import Iterable

import numpy as np

from reconstruct.clocks import SourceClock
from reconstruct.health import Health
from twin.dynamics.inputs import Inputs, Path
from twin.records import Readings
from twin.sensors.model import Model

AHEAD = 0.1
"""Seconds by which an aligned reading may be ahead of its arrival, beside what is not known of its clock."""
GAP = 3600.0
"""Seconds by which one of several sources may be ahead of the others in a log without arrival times."""

_Open = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


class Inbox:
    """Open readings of a stream, by span. Times are int64 ns; ``inputs`` hears what channels tell of commands."""

    def __init__(self, model: Model, start: int, span: int, inputs: Inputs):
        self.model, self.start, self.span, self.inputs = model, start, span, inputs
        self.health: dict[str, Health] = {}
        self.now = start
        self.settled = -1
        self._sensors = {one.channel: one for one in model.sensors}
        self._places = {one.channel: place for place, one in enumerate(model.evidence)}
        self._clocks = {name: SourceClock(clock) for name, clock in model.sources.items()}
        self._open: dict[int, _Open] = {}
        self._valid = {one.valid: Path() for one in model.sensors if one.valid}
        self._lasting = {one.channel: Path() for one in model.evidence if one.kind == "last-measured"}
        self._offsets = np.array([one.offset for one in model.evidence])
        self._special = [place for place, one in enumerate(model.evidence) if one.valid or one.inputs]
        self._heard: set[str] = set()

    def clock(self, source: str) -> SourceClock:
        """The clock of a source; ValueError if there is none of that name."""
        if source not in self._clocks:
            raise ValueError(f"there is no source {source!r}; the sources are {', '.join(self._clocks)}")
        return self._clocks[source]

    def of(self, channel: str) -> Health:
        """The health of a channel, begun if need be."""
        return self.health.setdefault(channel, Health())

    def take(self, batches: Iterable[Readings], arrival: int | None) -> int | None:
        """Sort batches in; the earliest time from which something has changed, or None."""
        touched: list[int] = []
        if arrival is not None:
            self.now = max(self.now, arrival)
        for batch in batches:
            sensor, health = self._sensors.get(batch.channel), self.of(batch.channel)
            if sensor is None or len(batch.times) != len(batch.values):
                health.ignored += len(batch.values)
                continue
            times, values = np.asarray(batch.times, dtype=np.int64), np.asarray(batch.values, dtype=float)
            finite = np.isfinite(values)
            if not finite.all():
                health.not_a_number += int((~finite).sum())
                times, values = times[finite], values[finite]
            if not len(times):
                continue
            times = self._aligned(sensor.source, times, arrival)
            keep = self._in_time(sensor.source, times, arrival, health)
            if not keep.all():
                times, values = times[keep], values[keep]
            if not len(times):
                continue
            newest = int(times.max())
            health.heard = newest if health.heard is None else max(health.heard, newest)
            if arrival is None:
                self.now = max(self.now, newest)
            touched += self._sort_in(sensor.channel, times, values, health)
        return min(touched) if touched else None

    def _aligned(self, source: str, times: np.ndarray, arrival: int | None) -> np.ndarray:
        if arrival is None:
            return times
        clock, stamps, at = self._clocks[source], (times - self.start) * 1e-9, (arrival - self.start) * 1e-9
        clock.hear(at, stamps)
        shift = stamps - clock.aligned(stamps, at)
        return times - np.round(shift * 1e9).astype(np.int64) if shift.any() else times

    def _in_time(self, source: str, times: np.ndarray, arrival: int | None, health: Health) -> np.ndarray:
        """Which readings are neither too late nor ahead of what can be; the others are counted."""
        own = self.model.sources[source]
        oldest = self.start + (self.settled + 1) * self.span
        if arrival is not None:
            clock = self._clocks[source]
            doubt = clock.offset((arrival - self.start) * 1e-9)[1] if clock.closed >= 0 else own.latest / 4.0
            ahead = arrival + round((AHEAD + 4.0 * doubt) * 1e9)
            oldest = max(oldest, arrival - round((own.latest + AHEAD + 4.0 * doubt) * 1e9))
        elif len(self._heard | {source}) > 1:
            ahead = self.now + round(GAP * 1e9)
        else:
            ahead = np.iinfo(np.int64).max
        self._heard.add(source)
        late, future = times < oldest, times > ahead
        health.late += int(late.sum())
        health.future += int(future.sum())
        return ~(late | future)

    def _sort_in(self, channel: str, times: np.ndarray, values: np.ndarray, health: Health) -> list[int]:
        touched = []
        if channel in self.inputs.sources:
            for time, value in zip(times.tolist(), values.tolist(), strict=True):
                if self.inputs.tell(channel, time, value):
                    touched.append(time)
        if channel in self._valid:
            for time, value in zip(times.tolist(), values.tolist(), strict=True):
                if self._valid[channel].add(time, value):
                    touched.append(time)
        place = self._places.get(channel)
        if place is None:
            health.ignored += len(times)
            return touched
        sensor = self._sensors[channel]
        if sensor.kind == "last-measured":
            path = self._lasting[channel]
            for time, value in zip(times.tolist(), values.tolist(), strict=True):
                if path.add(time, value):
                    touched.append(time)
            return touched
        numbers = np.maximum((times - self.start) // self.span, 0)
        low, high = int(numbers.min()), int(numbers.max())
        for number in [low] if low == high else np.unique(numbers).tolist():
            here = slice(None) if low == high else numbers == number
            when, what = times[here], values[here]
            self._open.setdefault(number, []).append((np.full(len(when), place), when, what))
        return [*touched, int(times.min())]

    def spans(self, first: int, last: int) -> set[int]:
        """Spans from ``first`` to ``last`` that have readings."""
        found = {number for number in self._open if first <= number <= last}
        after, until = self.start + first * self.span - 1, self.start + (last + 1) * self.span - 1
        for path in self._lasting.values():
            found |= {max((time - self.start) // self.span, 0) for time, _ in path.measured(after, until)}
        return found

    def readings(self, number: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Readings of a span up to ``end``: sensor's place, time, value as sent, value without offset and inputs; each [r]. Invalid ones are out."""
        parts = list(self._open.get(number, []))
        begin = self.start + number * self.span if number > 0 else -(2**62)
        for channel, path in self._lasting.items():
            fresh = path.measured(begin - 1, end)
            if fresh:
                times, values = zip(*fresh, strict=True)
                parts.append((np.full(len(fresh), self._places[channel]), np.array(times), np.array(values)))
        if not parts:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)
        place, time, raw = (np.concatenate(column) for column in zip(*parts, strict=True))
        keep = time <= end
        place, time, raw = place[keep], time[keep], raw[keep]
        value = raw - self._offsets[place]
        good = np.ones(len(place), dtype=bool)
        for one in self._special:
            here = np.flatnonzero(place == one)
            sensor = self.model.evidence[one]
            if sensor.valid:
                good[here] = [bool(self._valid[sensor.valid].at(at)) for at in time[here].tolist()]
            for name, size in sensor.inputs.items():
                value[here] -= size * self.inputs.series(name, time[here])
        good &= np.isfinite(value)
        return place[good], time[good], raw[good], value[good]

    def settle(self, number: int) -> None:
        """Spans up to ``number`` are settled: readings of theirs come too late from now on."""
        self.settled = number
        for old in [one for one in self._open if one <= number]:
            del self._open[old]
        before = self.start + (number + 1) * self.span
        self.inputs.settle(before)
        for path in (*self._valid.values(), *self._lasting.values()):
            path.settle(before)
