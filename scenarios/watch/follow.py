"""A source followed by a `reconstruct.stream.stream.Stream`, with what a screen and a figure want besides: expected readings, and how it went."""

import dataclasses

import numpy as np

from reconstruct.stream.readings.health import Health
from reconstruct.stream.resets import Event
from reconstruct.stream.stream import Stream
from scenarios.watch.sources import Piece
from twin.sensors.model import Model
from twin.sensors.sensor import Sensor

KEPT = 4000
"""Points of history at most; beyond it every other one is dropped."""
FORESEEN = 3600 * 10**9
"""How far (ns) a belief is taken ahead for a reading that claims a later time."""
FINE = ("ok", "held", "no evidence", "silent", "waiting")
"""Verdicts that are no disagreement. "waiting": heard, but too lately to be judged."""


@dataclasses.dataclass
class Channel:
    """A channel as it stands: its newest value and time (ns), what was expected of it (mean, std of a reading) before it came, and the innovation in
    standard deviations. ``sensor`` is None where the table does not know it, ``innovations`` are (ns, sigma), ``verdicts`` (ns, from then on)."""

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
    """What sensors should read, from a belief taken before they did: offset + row @ state + inputs."""

    def __init__(self, stream: Stream, at: int):
        belief = stream.belief(min(max(at, stream.now), stream.now + FORESEEN))
        self._mean, self._root, self._stream = belief.means[0], belief.cov_sqrt[0], stream

    def of(self, sensor: Sensor, time: int) -> tuple[float, float]:
        """Mean and standard deviation of a reading at ``time`` (ns); NaN where it hangs on a command that was never told."""
        row, inputs = sensor.row(self._stream.model.layout), self._stream.inputs
        driven = sum(share * inputs.value(name, time) for name, share in sensor.inputs.items())
        spread = row @ self._root
        return float(sensor.offset + row @ self._mean + driven), float(np.sqrt(spread @ spread + sensor.variance))


class Follower:
    """Follows a source from ``start`` (ns). ``units`` of channels that the table does not know; ``names`` are the quantities, then the entries."""

    def __init__(self, model: Model, start: int, units: dict[str, str | None]):
        self.model, self.stream, self._units = model, Stream(model, start), units
        self.quantities = [one.name for one in model.quantities]
        entries = [one for one in model.layout.names if one not in self.quantities]
        self.names = [*self.quantities, *entries]
        self.unit = {one.name: one.unit for one in (*model.layout.entries, *model.quantities)}
        self.channels = {one.channel: Channel(one.channel, one, one.unit) for one in model.sensors}
        self.times: list[int] = []
        self.means: list[np.ndarray] = []
        self.stds: list[np.ndarray] = []
        self.readings = 0
        self._events: list[Event] = []
        self._jumps = dict.fromkeys(model.sources, 0)
        self._places = [model.layout.index(one) for one in entries]

    def hear(self, piece: Piece) -> None:
        """Take in what is new."""
        stream = self.stream
        for at, changes in piece.commands:
            stream.command(at, changes)
        newest = max((int(one.times.max()) for one in piece.batches if len(one.times)), default=None)
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
        """Nothing more will come: judge what is still open. The last belief is kept as the history's last point."""
        stream = self.stream
        stream.settle(stream.now + stream.span)
        self._judge(stream.now)

    @property
    def events(self) -> list[Event]:
        """Zero resets, uncommanded jumps, sensors that are stuck, saturated or recovered, clocks that were reset; in order of time."""
        return sorted([*self.stream.events, *self._events], key=lambda one: one.time)

    @property
    def disagrees(self) -> bool:
        """Whether a sensor or a part of the model is not as the table says."""
        bad = any(one.verdict not in FINE for one in self.channels.values())
        return bad or self.stream.monitors.distrust is not None

    def clock(self, source: str) -> tuple[float, float] | None:
        """Offset and its standard deviation (s) of a source's clock now, where arrivals have told something of it."""
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
        """Mean, standard deviation and unit of every quantity and entry, as last known."""
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
            if len(channel.innovations) > KEPT:
                del channel.innovations[:-2:2]

    def _look(self, until: int) -> None:
        stream = self.stream
        belief = stream.belief(max(until, stream.now))
        mean, std = np.zeros(0), np.zeros(0)
        if self.quantities:
            mean, covariance = stream.quantities(self.quantities, belief.time)
            std = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        own = np.linalg.norm(belief.cov_sqrt[0], axis=1)
        self.times.append(belief.time)
        self.means.append(np.concatenate([mean, belief.means[0][self._places]]))
        self.stds.append(np.concatenate([std, own[self._places]]))
        if len(self.times) > KEPT:
            for kept in (self.times, self.means, self.stds):
                del kept[:-2:2]
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
