"""Evidence from outside of the recordings: logs of sensors, and the lens settings through a model of the column."""

from collections.abc import Sequence

from reconstruct.validation.recording import Further, joined
from reconstruct.validation.sensors.tracks import SensorTracks
from reconstruct.validation.session.entries import Entry
from reconstruct.validation.session.lenses import evidence_of_lenses
from scenarios.io.progress import Progress
from scenarios.validate.columns import column_of, ensemble
from scenarios.validate.sensors import evidence_of_logs
from twin.compiled_programs import double_precision
from twin.records import Signal


def evidence_from_outside(
    entries: Sequence[Entry], signals: Sequence[Signal], tracks: Sequence[SensorTracks], progress: Progress
) -> dict[str, Further]:
    """By the name of each recording what lens settings, sensor logs and its own clocks say of it."""
    collected: dict[str, list[Further]] = {}
    for name, said in evidence_of_logs(tracks, [entry.name for entry in entries], signals, progress).items():
        collected.setdefault(name, []).append(said)
    groups: dict[str, list[Entry]] = {}
    for entry, signal in zip(entries, signals, strict=True):
        table = column_of(_instrument(entry, signal), [entry])
        if table is not None:
            groups.setdefault(table, []).append(entry)
    for table, members in groups.items():
        with double_precision():
            column = ensemble(table, progress)
            for name, said in evidence_of_lenses(column.column, column.draws, column.weights, members).items():
                collected.setdefault(name, []).append(said)
    return {name: joined(parts) for name, parts in collected.items()}


def _instrument(entry: Entry, signal: Signal) -> str:
    """What a file says of the make of its instrument."""
    words = [str(value) for key, value in signal.raw.items() if key.startswith("Instrument.")]
    return " ".join([entry.instrument, *words])
