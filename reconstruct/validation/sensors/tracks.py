"""The quantities that a log of sensors tells of, over its time: by the model of a sensor table where that holds the channel, else from its readings alone.

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

GRID = 600
"""Times at which a track is known for drawings and searches."""
_ALIASES = {alias: item for item in FIELDS for alias in (item.name, *item.aliases)}


class Track:
    """One ``field`` by one channel of a log. ``kind`` is "smoothed" (a model) or "local"; ``bias`` its constant error (rms), ``noise`` that of one reading."""

    def __init__(
        self, field: Field, logged: LoggedSensor, kind: str, bias: float, shift: float, noise: float, faults: tuple[Fault, ...] = ()
    ):  # fmt: skip
        self.field, self.logged, self.kind, self.faults = field, logged, kind, faults
        self.bias, self.shift, self.noise = bias, shift, noise
        self._known: dict[int, tuple[float, float]] = {}

    @property
    def channel(self) -> str:
        return self.logged.channel

    def missing(self, times: Iterable[int]) -> list[int]:
        """Those of ``times`` at which it is not known yet."""
        return [time for time in dict.fromkeys(times) if time not in self._known]

    def learn(self, times: Sequence[int], mean: np.ndarray, std: np.ndarray) -> None:
        """Keep what it is at ``times`` (ns): [t] each, in the field's unit."""
        self._known |= dict(zip(times, zip(mean.tolist(), std.tolist(), strict=True), strict=True))

    def at(self, times: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation [t] at ``times`` (ns), without the constant error; `SensorTracks.prepare` has been asked for them."""
        pairs = np.array([self._known[time] for time in times])
        return pairs[:, 0], pairs[:, 1]

    def fault(self, first: int, last: int) -> Fault | None:
        """A fault of the sensor between two times (ns)."""
        return next((fault for fault in self.faults if fault.since <= last and fault.until >= first), None)

    def nearest(self, time: int) -> float:
        """Seconds to the nearest reading."""
        return float(np.abs(self.logged.times - time).min()) * 1e-9


class SensorTracks:
    """All tracks of one log: ``tracks`` by field, ``echoes`` and ``empty`` channels by field. The model runs over the log once, at the first request.

    ``model``: of the sensor table that the log's format has, or of the user's (`reconstruct.api.models.load_model`); None where there is none.
    """

    def __init__(self, record: SensorRecord, model: Model | None = None):
        self.record, self.model = record, model
        self._smoothed: Smoothed | None = None
        self._levels: dict[str, LocalLevel] = {}
        self.tracks: dict[str, tuple[Track, ...]] = {}
        self.echoes: dict[str, str] = {}
        self.empty: dict[str, str] = {}
        described = {} if model is None else {sensor.channel: sensor for sensor in model.sensors}
        for item in record.sensors:
            self._add(item, described.get(item.channel))
        for track in (track for several in self.tracks.values() for track in several):
            if track.kind == "local":
                self._levels[track.channel] = self._level(track)

    def _add(self, item: LoggedSensor, sensor: Sensor | None) -> None:
        named = sensor.field if sensor is not None else ""
        field = field_of(named) if named else _ALIASES.get(item.channel)
        if field is None or item.unit != field.unit or field.form in ("text", "time"):
            return
        kind = item.kind or (sensor.kind if sensor is not None else "measured")
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
        size = float(np.median(item.values))
        assumption, shift, noise = assumed(field, size), 0.0, math.nan
        bias = item.bias or assumption.bias
        if sensor is not None and sensor.bias and self.model is not None:
            entry = self.model.layout.entries[self.model.layout.index(sensor.bias)]
            share = sensor.coefficients[sensor.bias]
            bias, shift = item.bias or abs(share) * entry.std, share * entry.mean
        elif sensor is not None and self._stream.usable(item.channel):
            return Track(field, item, "smoothed", bias, 0.0, math.sqrt(sensor.variance), self._stream.faults(item.channel))
        faults = self._stream.faults(item.channel) if sensor is not None else ()
        return Track(field, item, "local", bias, shift, noise, faults)

    @property
    def _stream(self) -> Smoothed:
        if self._smoothed is None:
            assert self.model is not None
            self._smoothed = Smoothed(self.record, self.model)
        return self._smoothed

    def _level(self, track: Track) -> LocalLevel:
        item = track.logged
        assumption = assumed(track.field, float(np.median(item.values)))
        seconds = (item.times - self.record.start) * 1e-9
        level = fit_local_level(seconds, item.values, assumption.drift**2, assumption.noise**2)
        track.noise = math.sqrt(level.noise)
        return level

    def prepare(self, times: Iterable[int]) -> None:
        """Know every track at ``times`` (ns): one pass of the smoother for the times of all files together."""
        asked = list(dict.fromkeys(times))
        every = [track for several in self.tracks.values() for track in several]
        smoothed = [track for track in every if track.kind == "smoothed"]
        missing = list(dict.fromkeys(time for track in smoothed for time in track.missing(asked)))
        if missing:
            mean, std = self._stream.at([track.channel for track in smoothed], missing)
            for column, track in enumerate(smoothed):
                track.learn(missing, mean[:, column], std[:, column])
        for track in every:
            if track.kind == "local" and (missing := track.missing(asked)):
                seconds = (np.array(missing, np.int64) - self.record.start) * 1e-9
                mean, std = self._levels[track.channel].at(seconds)
                track.learn(missing, mean - track.shift, std)

    def grid(self) -> list[int]:
        """`GRID` times over the log (ns), evenly spaced, at which the tracks are known after this."""
        times = np.linspace(self.record.start, max(self.record.end, self.record.start + 1), GRID).astype(np.int64)
        grid = np.unique(times).tolist()
        self.prepare(grid)
        return grid


def _new_values(values: np.ndarray) -> np.ndarray:
    """Readings that differ from the one before: a last-measured value that is repeated is no new measurement."""
    return np.concatenate([[True], np.diff(values) != 0])
