"""All files of a session against its logs: the clock that they share first, then what the logs say at the time of each.

tracks = SensorTracks(record, model)                    # for each log
files = [SessionFile(name, signal.claims, span_of(signal.claims, signal.repeated)), ...]
evidence, contradictions, gaps, clocks = evidence_of_session([tracks], files)[name]
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reconstruct.validation.evidence import Contradiction, Evidence, Gap
from reconstruct.validation.file_times import Span
from reconstruct.validation.sensors.clock_offset import ClockOffset, FileClaims, estimate_clock_offset
from reconstruct.validation.sensors.evidence import evidence_of_sensors, prepare_files
from reconstruct.validation.sensors.tracks import SensorTracks
from twin.records import Claim

FILES = 2
"""Files that must share a clock for its offset to be told as theirs: one alone may have a stale parameter as well."""


@dataclasses.dataclass(frozen=True)
class SessionFile:
    """A file by ``name``, its ``claims``, and when it was recorded by these (`span_of`; None: it states no time)."""

    name: str
    claims: Mapping[str, Claim]
    span: Span | None


class SessionEvidence(NamedTuple):
    """What all logs say of one file, and the ``clocks`` by which its times were corrected, one for each log against which they show an offset."""

    evidence: list[Evidence]
    contradictions: list[Contradiction]
    gaps: list[Gap]
    clocks: list[ClockOffset]


def evidence_of_session(logs: Sequence[SensorTracks], files: Sequence[SessionFile]) -> dict[str, SessionEvidence]:
    """By the name of each file what the logs say.

    Files whose clocks are alike (both UTC, or local with or without a known offset) share one shift against each log, or one time zone. Where their claims
    show it, evidence is that at the corrected time.
    """
    found = {file.name: SessionEvidence([], [], [], []) for file in files}
    for log in logs:
        clocks = _clocks(log, files)
        spans = {file.name: _on_the_clock(file, clocks) for file in files}
        prepare_files(log, spans.values())
        for file in files:
            evidence, contradictions, gaps = evidence_of_sensors(log, file.claims, spans[file.name])
            of_file, clock = found[file.name], _clock(file, clocks)
            of_file.evidence.extend(evidence)
            of_file.contradictions.extend(contradictions)
            of_file.gaps.extend(gaps)
            of_file.clocks.extend([] if clock is None else [clock])
    for name, said in found.items():
        covered = {field for item in said.evidence for field in item.fields}
        left = [gap for gap in said.gaps if not covered.issuperset(gap.fields)]
        found[name] = said._replace(gaps=left)
    return found


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
