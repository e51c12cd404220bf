"""The quantities that a log of sensors tells of, over its time: by the model of a sensor table where that holds the channel, else from its readings alone.

Where the readings around a time contradict the model (a step that it does not know of), they stand there too.
A channel tells of the field that the table names for it, or of the one that it is an alias of (`twin.channels.FIELDS`). Echoes tell of no field. A channel
with a constant error of its own (a divider) is never smoothed by a model that takes its true value from a command: its readings stand, less the bias's
prior mean, and the prior's width is in the error.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from reconstruct.validation.sensors.assumed import assumed
from reconstruct.validation.sensors.local_level import LocalLevel, fit_local_level
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.smoothed import Fault, Smoothed
from twin.channels import FIELDS, Field
from twin.channels import field as field_of
from twin.sensors.model import Model
from twin.sensors.sensor import Sensor

GRID = 400
"""Times at which a track is known for drawings and searches."""
CONTRADICTED = 5.0
"""Standard deviations between the smoothed state and the readings around it from which these are believed."""
COMMANDED = ".commanded"
"""How the names of channels end that repeat the command for another one."""
_ALIASES = {alias: item for item in FIELDS for alias in (item.name, *item.aliases)}


class Track:
    """One ``field`` by one channel of a log. ``kind`` is "smoothed" (a model) or "local"; ``bias`` its constant error (rms), ``noise`` that of one reading.

    ``shift``: prior mean of the constant error, taken off the readings. ``level``: the channel as a random walk.
    """

    def __init__(
        self, field: Field, logged: LoggedSensor, kind: str, level: LocalLevel, bias: float, shift: float, noise: float, faults: tuple[Fault, ...] = ()
    ):  # fmt: skip
        self.field, self.logged, self.kind, self.level, self.faults = field, logged, kind, level, faults
        self.bias, self.shift, self.noise = bias, shift, noise
        self._known: dict[int, tuple[float, float, bool]] = {}

    @property
    def channel(self) -> str:
        return self.logged.channel

    def missing(self, times: Iterable[int]) -> list[int]:
        """Those of ``times`` at which it is not known yet."""
        return [time for time in dict.fromkeys(times) if time not in self._known]

    def learn(self, times: Sequence[int], seconds: np.ndarray, smoothed: np.ndarray | None = None) -> None:
        """Keep what it is at ``times`` (ns; ``seconds`` [t] of its level): by its level, or as ``smoothed`` (mean and standard deviation, [2, t]) where the
        readings around allow that."""
        mean, std = self.level.at(seconds)
        mean, local = mean - self.shift, np.ones(len(mean), bool)
        if smoothed is not None:
            local = self._contradicted(seconds, smoothed[0], smoothed[1])
            mean, std = np.where(local, mean, smoothed[0]), np.where(local, std, smoothed[1])
        self._known |= dict(zip(times, zip(mean.tolist(), std.tolist(), local.tolist(), strict=True), strict=True))

    def _contradicted(self, seconds: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Where the readings before and after a time are both above, or both below, a smoothed mean by more than its error and theirs allow [t].

        Beyond the last reading (before the first) as at the nearest time that is asked for within them.
        """
        read, values = self.level.seconds, self.level.values - self.shift
        if len(read) < 2:
            return np.zeros(len(mean), bool)
        after = np.clip(np.searchsorted(read, seconds), 1, len(read) - 1)
        limit = CONTRADICTED * np.hypot(std, self.noise)
        below, above = values[after - 1] - mean, values[after] - mean
        contradicted = (np.minimum(below, above) > limit) | (np.maximum(below, above) < -limit)
        within = np.flatnonzero((seconds >= read[0]) & (seconds <= read[-1]))
        if not len(within):
            return np.zeros(len(mean), bool)
        first, last = within[np.argmin(seconds[within])], within[np.argmax(seconds[within])]
        return np.where(
            seconds > read[-1], contradicted[last], np.where(seconds < read[0], contradicted[first], contradicted)
        )

    def at(self, times: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation [t] at ``times`` (ns), without the constant error; `SensorTracks.prepare` has been asked for them."""
        pairs = np.array([self._known[time][:2] for time in times])
        return pairs[:, 0], pairs[:, 1]

    def local(self, times: Sequence[int]) -> bool:
        """Whether at any of ``times`` (ns) it rests on the readings alone."""
        return any(self._known[time][2] for time in times)

    def fault(self, first: int, last: int) -> Fault | None:
        """A fault of the sensor between two times (ns)."""
        return next((fault for fault in self.faults if fault.since <= last and fault.until >= first), None)

    def nearest(self, time: int) -> float:
        """Seconds to the nearest reading."""
        return float(np.abs(self.logged.times - time).min()) * 1e-9


class SensorTracks:
    """All tracks of one log: ``tracks`` by field, ``echoes`` and ``empty`` channels by field, and the readings of ``commands`` for a field. The model runs over
    the log once, at the first request.

    ``model``: of the sensor table that the log's format has, or of the user's (`reconstruct.api.models.load_model`); None where there is none.
    """

    def __init__(self, record: SensorRecord, model: Model | None = None):
        self.record, self.model = record, model
        self._smoothed: Smoothed | None = None
        self.tracks: dict[str, tuple[Track, ...]] = {}
        self.echoes: dict[str, str] = {}
        self.empty: dict[str, str] = {}
        self.commands: dict[str, tuple[LoggedSensor, ...]] = {}
        described = {} if model is None else {sensor.channel: sensor for sensor in model.sensors}
        for item in record.sensors:
            self._add(item, described.get(item.channel))

    def _add(self, item: LoggedSensor, sensor: Sensor | None) -> None:
        named = sensor.field if sensor is not None else ""
        field = field_of(named) if named else _ALIASES.get(item.channel)
        kind = item.kind or (sensor.kind if sensor is not None else "measured")
        commanded = field or _ALIASES.get(item.channel.removesuffix(COMMANDED))
        if kind == "echo" and commanded is not None and item.unit == commanded.unit:
            self.commands[commanded.name] = (*self.commands.get(commanded.name, ()), item)
        if field is None or item.unit != field.unit or field.form in ("text", "time"):
            return
        if kind == "echo":
            self.echoes.setdefault(field.name, item.channel)
        elif not np.isfinite(item.values).any():
            self.empty.setdefault(field.name, item.channel)
        else:
            finite = np.isfinite(item.values)
            kept = finite & _new_values(item.values) if kind == "last-measured" else finite
            item = LoggedSensor(item.channel, item.unit, item.times[kept], item.values[kept], kind, item.bias)
            self.tracks[field.name] = (*self.tracks.get(field.name, ()), self._track(field, item, sensor))

    def _track(self, field: Field, item: LoggedSensor, sensor: Sensor | None) -> Track:
        assumption = assumed(field, float(np.median(item.values)))
        level = fit_local_level(self._seconds(item.times), item.values, assumption.drift**2, assumption.noise**2)
        bias, shift, noise = item.bias or assumption.bias, 0.0, math.sqrt(level.noise)
        if sensor is None or self.model is None:
            return Track(field, item, "local", level, bias, shift, noise)
        faults = self._stream.faults(item.channel)
        if sensor.bias:
            entry = self.model.layout.entries[self.model.layout.index(sensor.bias)]
            share = sensor.coefficients[sensor.bias]
            bias, shift = item.bias or abs(share) * entry.std, share * entry.mean
        elif self._stream.usable(item.channel):
            return Track(field, item, "smoothed", level, bias, shift, math.sqrt(sensor.variance), faults)
        return Track(field, item, "local", level, bias, shift, noise, faults)

    def _seconds(self, times: np.ndarray) -> np.ndarray:
        return (times - self.record.start) * 1e-9

    @property
    def _stream(self) -> Smoothed:
        if self._smoothed is None:
            assert self.model is not None
            self._smoothed = Smoothed(self.record, self.model)
        return self._smoothed

    def prepare(self, times: Iterable[int]) -> None:
        """Know every track at ``times`` (ns): one pass of the smoother for the times of all files together."""
        asked = list(dict.fromkeys(times))
        every = [track for several in self.tracks.values() for track in several]
        smoothed = [track for track in every if track.kind == "smoothed"]
        missing = list(dict.fromkeys(time for track in smoothed for time in track.missing(asked)))
        if missing:
            # at the ends of the readings too: beyond them a model is believed as far as it is there
            ends = {int(track.logged.times[index]) for track in smoothed for index in (0, -1)}
            times = [*missing, *ends.difference(missing)]
            mean, std = self._stream.at([track.channel for track in smoothed], times)
            for column, track in enumerate(smoothed):
                track.learn(
                    times, self._seconds(np.array(times, np.int64)), np.stack([mean[:, column], std[:, column]])
                )
        for track in every:
            if missing := track.missing(asked):
                track.learn(missing, self._seconds(np.array(missing, np.int64)))

    def grid(self) -> list[int]:
        """`GRID` times over the log (ns), evenly spaced, at which the tracks are known after this."""
        first, length = self.record.start, max(self.record.end - self.record.start, GRID)
        grid = [first + length * index // (GRID - 1) for index in range(GRID)]
        self.prepare(grid)
        return grid


def _new_values(values: np.ndarray) -> np.ndarray:
    """Readings that differ from the one before: a last-measured value that is repeated is no new measurement."""
    return np.concatenate([[True], np.diff(values) != 0])
