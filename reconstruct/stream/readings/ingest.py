"""Readings as they come in: checked, aligned by their source's clock, counted, and put into the cell that their time says."""

from collections.abc import Iterable

import numpy as np

from reconstruct.stream.readings.clocks import SourceClock
from reconstruct.stream.readings.health import Health
from reconstruct.stream.readings.preprocess import Traits
from reconstruct.stream.readings.time_bins import Cells
from twin.dynamics.inputs import Inputs
from twin.records import Readings
from twin.sensors.model import Model
from twin.sensors.sensor import Sensor

AHEAD = 0.1
"""Seconds by which an aligned reading may be ahead of its arrival, beside what is not known of its clock."""
GAP = 3600.0
"""Seconds by which one of several sources may be ahead of the others in a log without arrival times."""


class Inbox:
    """The way in to the open ``cells`` of a stream. Times are int64 ns; ``inputs`` hears what channels tell of commands."""

    def __init__(self, model: Model, traits: Traits, start: int, span: int, inputs: Inputs):
        self.model, self.start, self.span, self.inputs = model, start, span, inputs
        self.health: dict[str, Health] = {}
        self.now = start
        self.cells = Cells(model, traits, start, span, inputs)
        self.settled = -1
        self._sensors = {one.channel: one for one in model.sensors}
        self._clocks = {name: SourceClock(clock) for name, clock in model.sources.items()}
        self._places = {one.channel: place for place, one in enumerate(model.evidence)}
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
        by_source: dict[str, list[tuple[Sensor, np.ndarray, np.ndarray]]] = {}
        if arrival is not None:
            self.now = max(self.now, arrival)
        for batch in batches:
            sensor = self._sensors.get(batch.channel)
            times, values = np.asarray(batch.times), np.asarray(batch.values)
            if sensor is None or times.shape != values.shape or times.dtype != np.int64 or values.dtype != np.float64:
                self.of(batch.channel).ignored += values.size
            elif len(values):
                by_source.setdefault(sensor.source, []).append((sensor, times, values))
        touched: list[int] = []
        for source, heard in by_source.items():
            touched += self._sort_in(source, heard, arrival)
        return min(touched) if touched else None

    def _sort_in(
        self, source: str, heard: list[tuple[Sensor, np.ndarray, np.ndarray]], arrival: int | None
    ) -> list[int]:
        """All that one source says at once: checked together, then told to whom it concerns."""
        sizes = [len(values) for *_, values in heard]
        who = np.repeat(np.arange(len(heard)), sizes)
        times, values = np.concatenate([one[1] for one in heard]), np.concatenate([one[2] for one in heard])

        def leave_out(bad: np.ndarray, counter: str) -> None:
            nonlocal who, times, values
            if bad.any():
                for one, count in enumerate(np.bincount(who[bad], minlength=len(heard)).tolist()):
                    health = self.of(heard[one][0].channel)
                    setattr(health, counter, getattr(health, counter) + count)
                who, times, values = who[~bad], times[~bad], values[~bad]

        leave_out(~np.isfinite(values), "not_a_number")
        if arrival is not None and len(times):
            times = self._aligned(source, times, arrival)
        late, future = self._out_of_time(source, times, arrival)
        leave_out(late, "late")
        leave_out(future[~late], "future")
        if not len(times):
            return []
        if arrival is None:
            self.now = max(self.now, int(times.max()))
        touched, place = [], np.full(len(heard), -1)
        edges = np.searchsorted(who, np.arange(len(heard) + 1))
        for one, (sensor, *_) in enumerate(heard):
            mine = slice(edges[one], edges[one + 1])
            if edges[one] == edges[one + 1]:
                continue
            health, channel = self.of(sensor.channel), sensor.channel
            newest = int(times[mine][-1])
            health.heard = newest if health.heard is None else max(health.heard, newest)
            if channel in self.inputs.sources:
                pairs = zip(times[mine].tolist(), values[mine].tolist(), strict=True)
                told = [at for time, value in pairs if (at := self.inputs.tell(channel, time, value)) is not None]
                if told:
                    self.cells.change(min(told))
                    touched += told
            if channel in self.cells.tellers:
                touched += self.cells.told(channel, times[mine], values[mine])
            if not sensor.evidence:
                health.ignored += int(edges[one + 1] - edges[one])
            elif sensor.kind != "last-measured":
                place[one] = self._places[channel]
        here = place[who] >= 0
        if here.any():
            self.cells.add(place[who][here], times[here], values[here])
            touched.append(int(times[here].min()))
        return touched

    def _aligned(self, source: str, times: np.ndarray, arrival: int) -> np.ndarray:
        clock, stamps, at = self._clocks[source], (times - self.start) * 1e-9, (arrival - self.start) * 1e-9
        clock.hear(at, stamps)
        shift = np.round((stamps - clock.aligned(stamps, at)) * 1e9)
        return times - shift.astype(np.int64) if shift.any() else times

    def _out_of_time(self, source: str, times: np.ndarray, arrival: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Which readings are too late, and which are ahead of what can be."""
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
        return times < oldest, times > ahead

    def settle(self, number: int) -> None:
        """Spans up to ``number`` are settled: readings of theirs come too late from now on."""
        self.settled = number
        self.cells.settle(number)
        self.inputs.settle(self.start + (number + 1) * self.span)
