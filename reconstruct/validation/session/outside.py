"""Evidence from outside of the recordings of a session: logs of sensors, lens settings through a model of the column, and the other recordings."""

from collections.abc import Callable, Sequence

from reconstruct.validation.data.options import Tell, silent
from reconstruct.validation.recording import Further, joined
from reconstruct.validation.rules.file_times import span_of
from reconstruct.validation.sensors.session import SessionFile, evidence_of_session
from reconstruct.validation.sensors.tracks import SensorTracks
from reconstruct.validation.session.columns import Ensemble, column_of
from reconstruct.validation.session.entries import Entry, contradictions_of_session, time_of
from reconstruct.validation.session.lenses import evidence_of_lenses
from twin.compiled_programs import double_precision
from twin.records import Signal

Named = Sequence[tuple[str, Signal]]
"""Recordings with names of their own."""


def evidence_from_outside(
    recordings: Named,
    tracks: Sequence[SensorTracks] = (),
    columns: Callable[[str], Ensemble] | None = None,
    tell: Tell = silent,
) -> dict[str, Further]:
    """By the name of each recording what the others, sensor logs, its own clocks and its lens settings say of it.

    ``columns`` gives the draws of a column table (`draws_of`), None: lens settings are not looked at.
    """
    entries = [Entry(name, signal.claims, time_of(signal.claims)) for name, signal in recordings]
    between = contradictions_of_session(entries)
    collected = {name: [Further(contradictions=tuple(between.get(name, ())))] for name, _ in recordings}
    for name, said in _of_logs(recordings, tracks, tell).items():
        collected[name].append(said)
    if columns is not None:
        for name, said in _of_lenses(recordings, entries, columns).items():
            collected[name].append(said)
    return {name: joined(parts) for name, parts in collected.items()}


def _of_lenses(recordings: Named, entries: Sequence[Entry], columns: Callable[[str], Ensemble]) -> dict[str, Further]:
    groups: dict[str, list[Entry]] = {}
    for entry, (_, signal) in zip(entries, recordings, strict=True):
        table = column_of(_instrument(entry, signal), [entry])
        if table is not None:
            groups.setdefault(table, []).append(entry)
    result: dict[str, Further] = {}
    for table, members in groups.items():
        with double_precision():
            column = columns(table)
            result |= evidence_of_lenses(column.column, column.draws, column.weights, members)
    return result


def _of_logs(recordings: Named, tracks: Sequence[SensorTracks], tell: Tell) -> dict[str, Further]:
    """What the logs say of each recording; without logs the recordings' own clocks against each other."""
    files = [SessionFile(name, signal.claims, span_of(signal.claims, signal.repeated)) for name, signal in recordings]
    if tracks:
        tell("smoothing the logs at the files' times", None)
    said = evidence_of_session(tracks, files)
    result = {}
    for file in files:
        item = said[file.name]
        own = () if file.span is None else file.span.contradictions
        contradictions = (*own, *item.contradictions)
        result[file.name] = Further(tuple(item.evidence), contradictions, tuple(item.gaps), placed=tuple(item.placed))
    return result


def _instrument(entry: Entry, signal: Signal) -> str:
    """What a file says of the make of its instrument."""
    words = [str(value) for key, value in signal.raw.items() if key.startswith("Instrument.")]
    return " ".join([entry.instrument, *words])
