"""State estimation for ``emtwin watch``: a stream, with the predicted reading of each sensor and the history of the estimates."""

import dataclasses

import numpy as np

from reconstruct.stream.readings.health import Health
from reconstruct.stream.resets import Event
from reconstruct.stream.stream import Stream
from scenarios.watch.sources import Piece
from twin.sensors.model import Model
from twin.sensors.sensor import Sensor

HISTORY_POINTS = 4000
"""Largest number of points of the history; beyond it every second one is dropped."""
MAX_LOOKAHEAD = 3600 * 10**9
"""How far (ns) a belief is propagated for a reading with a later time stamp."""
AGREEING_VERDICTS = ("ok", "held", "no evidence", "silent", "waiting")
"""Verdicts that are no disagreement. "waiting": received too recently to be judged."""


@dataclasses.dataclass
class Channel:
    """Status of a channel: newest value and time (ns), prediction for it (mean, std of a reading), and innovation in standard deviations.

    ``sensor`` is None if the table does not have the channel; ``innovations`` are (ns, sigma), ``verdicts`` (ns, valid from then on).
    """

    name: str
    sensor: Sensor | None
    unit: str | None
    last: float | None = None
    heard: int | None = None
    expected: float | None = None
    expected_std: float | None = None
    innovation: float | None = None
    innovations: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    verdicts: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    @property
    def verdict(self) -> str:
        return self.verdicts[-1][1] if self.verdicts else "waiting"

    @property
    def kind(self) -> str:
        return "not modelled" if self.sensor is None else self.sensor.kind

    @property
    def evidence(self) -> bool:
        return self.sensor is not None and self.sensor.evidence


class Expectation:
    """Predicted readings of sensors, from a belief without those readings: offset + row @ state + inputs."""

    def __init__(self, stream: Stream, at: int):
        belief = stream.belief(min(max(at, stream.now), stream.now + MAX_LOOKAHEAD))
        self._mean, self._root, self._stream = belief.means[0], belief.cov_sqrt[0], stream

    def of(self, sensor: Sensor, time: int) -> tuple[float, float]:
        """Mean and standard deviation of a reading at ``time`` (ns); NaN if it depends on a command that was not recorded."""
        row, inputs = sensor.row(self._stream.model.layout), self._stream.inputs
        driven = sum(share * inputs.value(name, time) for name, share in sensor.inputs.items())
        spread = row @ self._root
        return float(sensor.offset + row @ self._mean + driven), float(np.sqrt(spread @ spread + sensor.variance))


class Follower:
    """Estimates the state of a source from ``start`` (ns).

    ``units``: of channels that are not in the table; ``names``: the quantities, then the entries.
    """

    def __init__(self, model: Model, start: int, units: dict[str, str | None]):
        self.model, self.stream, self._units = model, Stream(model, start), units
        self.quantities = [quantity.name for quantity in model.quantities]
        entries = [name for name in model.layout.names if name not in self.quantities]
        self.names = [*self.quantities, *entries]
        self.unit = {entry.name: entry.unit for entry in (*model.layout.entries, *model.quantities)}
        self.channels = {sensor.channel: Channel(sensor.channel, sensor, sensor.unit) for sensor in model.sensors}
        self.times: list[int] = []
        self.means: list[np.ndarray] = []
        self.stds: list[np.ndarray] = []
        self.readings = 0
        self._events: list[Event] = []
        self._jumps = dict.fromkeys(model.sources, 0)
        self._entry_indices = [model.layout.index(name) for name in entries]

    def update(self, piece: Piece) -> None:
        """Process new readings and commands."""
        stream = self.stream
        for at, changes in piece.commands:
            stream.command(at, changes)
        newest = max((int(batch.times.max()) for batch in piece.batches if len(batch.times)), default=None)
        expected = None
        if newest is not None:
            expected = Expectation(stream, newest if piece.arrival is None else piece.arrival)
        if piece.batches or piece.arrival is not None:
            stream.push(piece.batches, piece.arrival)
        for batch in piece.batches:
            self.readings += len(batch.values)
            if len(batch.values) and expected is not None:
                self._note(batch.channel, int(batch.times[-1]), float(batch.values[-1]), expected)
        self._look(piece.until)

    def settle(self) -> None:
        """Finish: evaluate what is still open, after the last reading."""
        stream = self.stream
        stream.settle(stream.now + stream.span)
        self._judge(stream.now)

    @property
    def events(self) -> list[Event]:
        """Zero resets, uncommanded jumps, sensors stuck, saturated or recovered, and clock resets, in order of time."""
        return sorted([*self.stream.events, *self._events], key=lambda event: event.time)

    @property
    def disagrees(self) -> bool:
        """Whether a sensor or a part of the model disagrees with the table."""
        bad = any(channel.verdict not in AGREEING_VERDICTS for channel in self.channels.values())
        return bad or self.stream.monitors.distrust is not None

    def clock(self, source: str) -> tuple[float, float] | None:
        """Offset and standard deviation (s) of the clock of a source now, if it was estimated."""
        clock = self.stream.clock(source)
        if clock.closed < 0:
            return None
        return clock.offset((self.stream.now - self.stream.start) * 1e-9)

    def health(self, channel: str) -> Health:
        return self.stream.health.get(channel, Health())

    def age(self, channel: Channel) -> float | None:
        """Seconds since a channel was heard."""
        return None if channel.heard is None else (self.stream.now - channel.heard) * 1e-9

    def now(self) -> dict[str, tuple[float, float, str]]:
        """Mean, standard deviation and unit of every quantity and entry, as last estimated."""
        if not self.times:
            return {}
        pairs = zip(self.names, self.means[-1].tolist(), self.stds[-1].tolist(), strict=True)
        return {name: (mean, std, self.unit[name]) for name, mean, std in pairs}

    # --- inside

    def _note(self, name: str, time: int, value: float, expected: Expectation) -> None:
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name, None, self._units.get(name))
        before, channel.last = channel.last, value
        heard = self.stream.health.get(name, Health()).heard
        channel.heard = time if heard is None or channel.sensor is None else heard
        sensor = channel.sensor
        if sensor is None or not sensor.evidence or (sensor.kind == "last-measured" and value == before):
            return
        mean, std = expected.of(sensor, time)
        channel.expected, channel.expected_std = mean, std
        away = (value - mean) / std
        channel.innovation = away if np.isfinite(away) else None
        if channel.innovation is not None:
            channel.innovations.append((self.stream.now, channel.innovation))
            if len(channel.innovations) > HISTORY_POINTS:
                del channel.innovations[:-2:2]

    def _look(self, until: int) -> None:
        stream = self.stream
        belief = stream.belief(max(until, stream.now))
        mean, std = np.zeros(0), np.zeros(0)
        if self.quantities:
            mean, covariance = stream.quantities(self.quantities, belief.time)
            std = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        entry_std = np.linalg.norm(belief.cov_sqrt[0], axis=1)
        self.times.append(belief.time)
        self.means.append(np.concatenate([mean, belief.means[0][self._entry_indices]]))
        self.stds.append(np.concatenate([std, entry_std[self._entry_indices]]))
        if len(self.times) > HISTORY_POINTS:
            for history in (self.times, self.means, self.stds):
                del history[:-2:2]
        self._judge(stream.now)

    def _judge(self, now: int) -> None:
        for name, verdict in self.stream.verdicts().items():
            channel = self.channels.get(name)
            if channel is None:
                channel = self.channels[name] = Channel(name, None, self._units.get(name))
            health = self.health(name)
            if verdict == "silent" and channel.heard is not None and not health.seen:
                verdict = "waiting"
            if channel.sensor is not None and channel.sensor.kind == "echo" and verdict == "ok":
                verdict = "no evidence"
            before = channel.verdict
            if verdict != before or not channel.verdicts:
                channel.verdicts.append((now, verdict))
        for source in self.model.sources:
            jumps = self.stream.clock(source).jumps
            if jumps > self._jumps[source]:
                self._jumps[source] = jumps
                self._events.append(Event("clock_reset", source, now, 0.0))
