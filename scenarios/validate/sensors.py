"""Logs of sensors and session folders as the evidence of `reconstruct.validation.sensors`."""

from pathlib import Path

import numpy as np

from instrument.core.journal import Journal
from instrument.readers import read_log
from reconstruct.api.models import load_table
from reconstruct.validation.sensors.logs import tracks_of
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.tracks import SensorTracks
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from twin.channels import CHANNELS

SESSION_TABLE = "simulated"


def open_tracks(
    path: Path, columns: Path | None, zone: str | None, table: str | None, progress: Progress
) -> SensorTracks:
    """What a log or a session folder tells in time; the reader's own ValueError, or BadInput, where it cannot be used."""
    progress.stage(f"reading {path.name}")
    if not path.is_dir():
        log = read_log(path, columns=columns, zone=zone)
        progress.stage(f"following the sensors of {path.name}")
        return tracks_of(log, table)
    record = _session(path)
    progress.stage(f"following the sensors of {path.name}")
    return SensorTracks(record, load_table(table or SESSION_TABLE).model())


def _session(folder: Path) -> SensorRecord:
    """The readings of a recorded session; a channel's unit and kind are those of `twin.channels`."""
    journal = Journal.open(folder)
    try:
        parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for row in journal.rows():
            if row.kind == "readings":
                parts.setdefault(row.payload["channel"], []).append((row.arrays["times"], row.arrays["values"]))
    finally:
        journal.close()
    described = {channel.name: channel for channel in CHANNELS}
    sensors = []
    for name, pieces in parts.items():
        times, first = np.unique(np.concatenate([times for times, _ in pieces]), return_index=True)
        values = np.concatenate([values for _, values in pieces])[first]
        channel = described.get(name)
        sensors.append(
            LoggedSensor(
                name, None if channel is None else channel.unit, times, values, "" if channel is None else channel.kind
            )
        )
    sensors = [sensor for sensor in sensors if len(sensor.times)]
    if not sensors:
        raise BadInput(str(folder), "holds no readings", "Name a session that got as far as its first ones.")
    start, end = min(int(sensor.times[0]) for sensor in sensors), max(int(sensor.times[-1]) for sensor in sensors)
    return SensorRecord(f"session {folder.name}", tuple(sensors), start, end)
