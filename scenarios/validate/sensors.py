"""Logs of sensors and session folders as the evidence of `reconstruct.validation.sensors`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from instrument.core.journal import Journal
from instrument.readers import read_log
from instrument.readers.logs.log import SensorLog
from reconstruct.api.models import load_table
from reconstruct.validation.recording import Further
from reconstruct.validation.rules.file_times import span_of
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.session import SessionFile, evidence_of_session
from reconstruct.validation.sensors.tracks import SensorTracks
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.sensors.tracks import record_of, table_of_log
from twin.channels import CHANNELS
from twin.records import Signal

SESSION_TABLE = "simulated"


def open_tracks(
    path: Path, columns: Path | None, zone: str | None, table: str | None, progress: Progress
) -> SensorTracks:
    """What a log or a session folder tells in time; the reader's own ValueError, or BadInput, where it cannot be used."""
    progress.stage(f"reading {path.name}")
    record, known = _session(path) if path.is_dir() else _log(read_log(path, columns=columns, zone=zone))
    name = table or known
    model = None if name is None else load_table(name).model()
    progress.stage(f"following the sensors of {path.name}")
    return SensorTracks(record, model)


def _log(log: SensorLog) -> tuple[SensorRecord, str | None]:
    if not any(len(channel.times) for channel in log.channels):
        raise BadInput(log.path, "holds no values", "Export a longer time.")
    return record_of(log), table_of_log(log.kind)


def _session(folder: Path) -> tuple[SensorRecord, str | None]:
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
    return SensorRecord(f"session {folder.name}", tuple(sensors), start, end), SESSION_TABLE


def evidence_of_logs(
    tracks: Sequence[SensorTracks], names: Sequence[str], signals: Sequence[Signal], progress: Progress
) -> dict[str, Further]:
    """What the logs say of each recording, by its name; without logs the recordings' own clocks against each other."""
    files = [
        SessionFile(name, signal.claims, span_of(signal.claims, signal.repeated))
        for name, signal in zip(names, signals, strict=True)
    ]  # fmt: skip
    if tracks:
        progress.stage("smoothing the logs at the files' times")
    said = evidence_of_session(tracks, files)
    result = {}
    for file in files:
        item = said[file.name]
        own = () if file.span is None else file.span.contradictions
        contradictions = (*own, *item.contradictions)
        result[file.name] = Further(tuple(item.evidence), contradictions, tuple(item.gaps), placed=tuple(item.placed))
    return result
