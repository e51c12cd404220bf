"""Ingest of readings: checked, aligned with their source's clock, counted, and put into their time bins."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reconstruct.stream.readings.clocks import SourceClock
from reconstruct.stream.readings.health import Health
from reconstruct.stream.readings.preprocess import Traits
from reconstruct.stream.readings.time_bins import TimeBins
from reconstruct.stream.serialization import State, put, taken
from twin.dynamics.inputs import Inputs
from twin.records import Readings
from twin.sensors.model import Model
from twin.sensors.sensor import Sensor

MAX_AHEAD = 0.1
"""Seconds by which an aligned reading may be ahead of its arrival, beside the uncertainty of its clock."""
MAX_SOURCE_GAP = 3600.0
"""Seconds by which one of several sources may be ahead of the others in a log without arrival times."""


class Ingest:
    """Puts readings into the open ``bins`` of a stream and commands into its ``inputs``. Times are int64 ns."""

    def __init__(self, model: Model, traits: Traits, start: int, span: int, inputs: Inputs):
        self.model, self.start, self.span, self.inputs = model, start, span, inputs
        self.health: dict[str, Health] = {}
        self.now = start
        self.bins = TimeBins(model, traits, start, span, inputs)
        self.settled = -1
        self._sensors = {sensor.channel: sensor for sensor in model.sensors}
        self._clocks = {name: SourceClock(clock) for name, clock in model.sources.items()}
        self._sensor_indices = {sensor.channel: index for index, sensor in enumerate(model.evidence)}
        self._heard: set[str] = set()

    def clock(self, source: str) -> SourceClock:
        """The clock of a source; ValueError if there is none of that name."""
        if source not in self._clocks:
            raise ValueError(f"there is no source {source!r}; the sources are {', '.join(self._clocks)}")
        return self._clocks[source]

    def health_of(self, channel: str) -> Health:
        """The health of a channel, created on first use."""
        return self.health.setdefault(channel, Health())

    def take(self, batches: Iterable[Readings], arrival: int | None) -> int | None:
        """Add batches of readings; the earliest time (ns) from which something has changed, or None."""
        by_source: dict[str, list[tuple[Sensor, np.ndarray, np.ndarray]]] = {}
        if arrival is not None:
            self.now = max(self.now, arrival)
        for batch in batches:
            sensor = self._sensors.get(batch.channel)
            times, values = np.asarray(batch.times), np.asarray(batch.values)
            if sensor is None or times.shape != values.shape or times.dtype != np.int64 or values.dtype != np.float64:
                self.health_of(batch.channel).ignored += values.size
            elif len(values):
                by_source.setdefault(sensor.source, []).append((sensor, times, values))
        touched: list[int] = []
        for source, of_source in by_source.items():
            touched += self._sort_in(source, of_source, arrival)
        return min(touched) if touched else None

    def _sort_in(
        self, source: str, batches: list[tuple[Sensor, np.ndarray, np.ndarray]], arrival: int | None
    ) -> list[int]:
        """Check the batches of one source together and add them; the times (ns) from which something has changed."""
        sizes = [len(values) for *_, values in batches]
        batch_index = np.repeat(np.arange(len(batches)), sizes)
        times, values = np.concatenate([batch[1] for batch in batches]), np.concatenate([batch[2] for batch in batches])

        def leave_out(bad: np.ndarray, counter: str) -> None:
            nonlocal batch_index, times, values
            if bad.any():
                for number, count in enumerate(np.bincount(batch_index[bad], minlength=len(batches)).tolist()):
                    health = self.health_of(batches[number][0].channel)
                    setattr(health, counter, getattr(health, counter) + count)
                batch_index, times, values = batch_index[~bad], times[~bad], values[~bad]

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
        touched, sensor_index = [], np.full(len(batches), -1)
        edges = np.searchsorted(batch_index, np.arange(len(batches) + 1))
        for number, (sensor, *_) in enumerate(batches):
            of_batch = slice(edges[number], edges[number + 1])
            if edges[number] == edges[number + 1]:
                continue
            health, channel = self.health_of(sensor.channel), sensor.channel
            newest = int(times[of_batch][-1])
            health.heard = newest if health.heard is None else max(health.heard, newest)
            if channel in self.inputs.sources:
                pairs = zip(times[of_batch].tolist(), values[of_batch].tolist(), strict=True)
                changed = [at for time, value in pairs if (at := self.inputs.tell(channel, time, value)) is not None]
                if changed:
                    self.bins.change(min(changed))
                    touched += changed
            if channel in self.bins.dependency_channels:
                touched += self.bins.add_dependency(channel, times[of_batch], values[of_batch])
            if not sensor.evidence:
                health.ignored += int(edges[number + 1] - edges[number])
            elif sensor.kind != "last-measured":
                sensor_index[number] = self._sensor_indices[channel]
        accepted = sensor_index[batch_index] >= 0
        if accepted.any():
            self.bins.add(sensor_index[batch_index][accepted], times[accepted], values[accepted])
            touched.append(int(times[accepted].min()))
        return touched

    def to_state(self) -> State:
        """All that changes, as plain values and arrays by name."""
        values = {
            "now": self.now,
            "heard": sorted(self._heard),
            "health": {name: dataclasses.asdict(health) for name, health in self.health.items()},
            "clocks": {name: clock.to_state() for name, clock in self._clocks.items()},
        }
        arrays: dict[str, np.ndarray] = {}
        put("bins", self.bins.to_state(), values, arrays)
        return values, arrays

    def from_state(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray], settled: int) -> None:
        """Restore what `to_state` saved; ``settled`` is the number of the last settled span."""
        self.now, self.settled = values["now"], settled
        self._heard = set(values["heard"])
        self.health.update({name: Health(**health) for name, health in values["health"].items()})
        for name, state in values["clocks"].items():
            self._clocks[name].from_state(state)
        self.bins.from_state(*taken("bins", values, arrays))

    def _aligned(self, source: str, times: np.ndarray, arrival: int) -> np.ndarray:
        clock, stamps, at = self._clocks[source], (times - self.start) * 1e-9, (arrival - self.start) * 1e-9
        clock.add(at, stamps)
        shift = np.round((stamps - clock.aligned(stamps, at)) * 1e9)
        return times - shift.astype(np.int64) if shift.any() else times

    def _out_of_time(self, source: str, times: np.ndarray, arrival: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Which readings are too late, and which are ahead of their arrival."""
        clock_model = self.model.sources[source]
        oldest = self.start + (self.settled + 1) * self.span
        if arrival is not None:
            clock = self._clocks[source]
            doubt = clock.offset((arrival - self.start) * 1e-9)[1] if clock.closed >= 0 else clock_model.latest / 4.0
            ahead = arrival + round((MAX_AHEAD + 4.0 * doubt) * 1e9)
            oldest = max(oldest, arrival - round((clock_model.latest + MAX_AHEAD + 4.0 * doubt) * 1e9))
        elif len(self._heard | {source}) > 1:
            ahead = self.now + round(MAX_SOURCE_GAP * 1e9)
        else:
            ahead = np.iinfo(np.int64).max
        self._heard.add(source)
        return times < oldest, times > ahead

    def settle(self, number: int) -> None:
        """Spans up to ``number`` are settled: readings of theirs come too late from now on."""
        self.settled = number
        self.bins.settle(number)
        self.inputs.settle(self.start + (number + 1) * self.span)
