"""Logs of sensors as tracks of the fields of files: read, with the model of the sensor table that belongs to their format."""

from pathlib import Path

from instrument.readers import read_log
from instrument.readers.logs.log import SensorLog
from reconstruct.api.models import load_model
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.tracks import SensorTracks

_TABLES = {"health": "thermo-healthmonitor", "protochips": "protochips", "dens": "dens"}
"""Sensor tables by a word in the kind of a log."""


COLUMNS = "columns"
"""Kind of a log in columns, which says nothing of its maker."""


def table_of_log(kind: str) -> str | None:
    """The name of the sensor table for a log of that kind (`SensorLog.kind`); None where there is none."""
    return next((table for word, table in _TABLES.items() if word in kind.lower()), None)


def read_tracks(
    log: Path, columns: Path | None = None, zone: str | None = None, table: str | None = None
) -> SensorTracks:
    """The tracks of a log. ``columns``: its column table; ``zone``: of its clock, where it does not state it; ``table``: sensor table, by default its format's.

    Starts the reader's worker, which the caller closes (`instrument.readers.close_reader`); `VendorError` where the log cannot be read.
    """
    return tracks_of(read_log(log, columns=columns, zone=zone), table)


def tracks_of(log: SensorLog, table: str | None = None) -> SensorTracks:
    """The tracks of a log that was read."""
    name = table or table_of_log(log.kind)
    return SensorTracks(record_of(log), None if name is None else load_model(name))


def record_of(log: SensorLog) -> SensorRecord:
    """The readings of a log as plain arrays."""
    sensors = tuple(
        LoggedSensor(item.name, item.unit, item.times, item.values, item.kind, item.bias) for item in log.channels
    )
    kind = "" if log.kind == COLUMNS else log.kind
    title = ", ".join(filter(None, (kind, log.name))) or Path(log.path).name
    return SensorRecord(title, sensors, log.start, log.end, log.zone)
