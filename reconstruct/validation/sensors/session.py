"""All files of a session against its logs: the clock that they share first, then what the logs say at the time of each.

tracks = SensorTracks(record, model)                    # for each log
files = [SessionFile(name, signal.claims, span_of(signal.claims, signal.repeated)), ...]
evidence, contradictions, gaps, placed = evidence_of_session([tracks], files)[name]
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reconstruct.validation.evidence import Contradiction, Evidence, Gap
from reconstruct.validation.rules.file_times import SECOND, STALE, Span
from reconstruct.validation.sensors.clock_offset import ClockOffset, FileClaims, estimate_clock_offset, time_field
from reconstruct.validation.sensors.evidence import evidence_of_sensors, placement, prepare_files
from reconstruct.validation.sensors.records import Placed
from reconstruct.validation.sensors.tracks import SensorTracks
from twin.records import Claim
from twin.units import age

FILES = 2
"""Files that must share a clock for its offset to be told as theirs: one alone may have a stale parameter as well."""


@dataclasses.dataclass(frozen=True)
class SessionFile:
    """A file by ``name``, its ``claims``, and when it was recorded by these (`span_of`; None: it states no time)."""

    name: str
    claims: Mapping[str, Claim]
    span: Span | None


class SaidByLogs(NamedTuple):
    """What logs say of a file, and where each of them has it (none where the file states no time)."""

    evidence: list[Evidence]
    contradictions: list[Contradiction]
    gaps: list[Gap]
    placed: list[Placed]


def evidence_of_session(logs: Sequence[SensorTracks], files: Sequence[SessionFile]) -> dict[str, SaidByLogs]:
    """By the name of each file what the logs say: evidence, contradictions (stale timestamps), gaps, and where it lies in them.

    Files whose clocks are alike (both UTC, or local with or without a known offset) share one shift against each log, or one time zone. Where their claims
    show it, evidence is that at the corrected time, and each file's time is contradicted if a right clock does not explain the shift.
    """
    by_file = {file.name: SaidByLogs([], [], [], []) for file in files}
    for log in logs:
        clocks = _clocks(log, files)
        spans = {file.name: _on_the_clock(file, clocks) for file in files}
        prepare_files(log, spans.values())
        for file in files:
            said = evidence_of_sensors(log, file.claims, spans[file.name])
            clock = _clock(file, clocks)
            stale = [_contradiction(log, file, clock)] if clock is not None and clock.beyond else []
            result = by_file[file.name]
            result.evidence.extend(said[0])
            result.contradictions.extend([*stale, *said[1]])
            result.gaps.extend(said[2])
            span = spans[file.name]
            if span is not None:
                shift, covered = placement(log, span)
                shift = shift if clock is None or shift is None else shift + clock.offset
                result.placed.append(Placed(log.record.title, shift, covered))
    for file in files:
        said = by_file[file.name]
        told = {name for item in said.evidence for name in item.fields}
        by_file[file.name] = said._replace(gaps=[gap for gap in said.gaps if not told.issuperset(gap.fields)])
    return by_file


def _kind(span: Span) -> tuple[str, int | None]:
    return span.zone, span.offset


def _clocks(log: SensorTracks, files: Sequence[SessionFile]) -> dict[tuple[str, int | None], ClockOffset]:
    """The clock of the files of each kind, where several show one against the log."""
    groups: dict[tuple[str, int | None], list[FileClaims]] = {}
    for file in files:
        if file.span is not None and any(name in file.claims for name in log.tracks):
            groups.setdefault(_kind(file.span), []).append(FileClaims(file.claims, file.span))
    clocks = {}
    for kind, members in groups.items():
        shown = estimate_clock_offset(log, members) if len(members) >= FILES else None
        if shown is not None and not shown.others:
            clocks[kind] = shown
    return clocks


def _clock(file: SessionFile, clocks: Mapping[tuple[str, int | None], ClockOffset]) -> ClockOffset | None:
    return None if file.span is None else clocks.get(_kind(file.span))


def _on_the_clock(file: SessionFile, clocks: Mapping[tuple[str, int | None], ClockOffset]) -> Span | None:
    clock = _clock(file, clocks)
    return file.span if clock is None or file.span is None else clock.applied(file.span)


def _contradiction(log: SensorTracks, file: SessionFile, clock: ClockOffset) -> Contradiction:
    """The file's time, off by what its session's clock is."""
    field = time_field(file.claims)
    ahead = "behind" if clock.beyond > 0 else "ahead"
    size, error = age(abs(clock.beyond) / SECOND), age(clock.error / SECOND)
    fields = ", ".join(clock.fields)
    words = f"the clock of the files is {size} ± {error} {ahead} of {log.record.title}: {fields} fit it then, and not as stamped"
    suggested = float(int(file.claims[field].value) + clock.beyond) if field in file.claims else None
    return Contradiction(field, "stale", words, STALE, suggested, float(clock.error), "sensors")
