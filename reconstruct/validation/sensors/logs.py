"""Logs that were read (`instrument.readers.read_log`) as tracks, with the model of the sensor table that belongs to their format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from reconstruct.api.models import load_table
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.tracks import SensorTracks
from twin.errors import BadInput

_TABLES = {"health": "thermo-healthmonitor", "protochips": "protochips", "dens": "dens"}
"""Sensor tables by a word in the kind of a log."""
COLUMNS = "columns"
"""Kind of a log in columns, which says nothing of its maker."""


@runtime_checkable
class Channel(Protocol):
    """A logged channel, as `LoggedSensor`."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def times(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray: ...
    @property
    def kind(self) -> str: ...
    @property
    def bias(self) -> float: ...


@runtime_checkable
class Log(Protocol):
    """A log of sensors, as `instrument.readers.read_log` gives it: times in ns, values in inside units."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def zone(self) -> Literal["UTC", "local"]: ...
    @property
    def channels(self) -> Sequence[Channel]: ...


def table_of_log(kind: str) -> str | None:
    """The name of the sensor table for a log of that kind (`SensorLog.kind`); None where there is none."""
    return next((table for word, table in _TABLES.items() if word in kind.lower()), None)


def tracks_of(log: Log, table: str | None = None) -> SensorTracks:
    """The tracks of a log; ``table``: its sensor table, by default that of its format. BadInput for a log without values."""
    if not any(len(channel.times) for channel in log.channels):
        raise BadInput(log.path, "holds no values", "Export a longer time.")
    name = table or table_of_log(log.kind)
    return SensorTracks(record_of(log), None if name is None else load_table(name).model())


def record_of(log: Log) -> SensorRecord:
    """The readings of a log as plain arrays."""
    sensors = tuple(
        LoggedSensor(item.name, item.unit, item.times, item.values, item.kind, item.bias) for item in log.channels
    )
    kind = "" if log.kind == COLUMNS else log.kind
    title = ", ".join(filter(None, (kind, log.name))) or Path(log.path).name
    return SensorRecord(title, sensors, log.start, log.end, log.zone)
