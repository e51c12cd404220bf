"""The export of a session folder, or of a validation report, in one of the formats: checked first, written whole or not at all."""

import time
from pathlib import Path
from typing import Any

import msgspec

from instrument.export.formats import FORMATS, check, write
from instrument.export.record import Record, Sample
from scenarios.io.atomic_output import new_file, whole
from scenarios.io.errors import BadInput

SCHEMA = "emtwin.export/1"


def export(source: Path, to: str, out: Path, sample: Sample = Sample(), start: int | None = None) -> dict[str, Any]:
    """Export ``source`` in the format ``to`` at ``out``; a summary. ``start`` (ns UTC) is for recordings without a time in a known zone.

    BadInput (or a ValueError with input, problem and cure) before anything is written.
    """
    form = check(to, out)
    new_file(out)
    record = record_of(source, time.time_ns(), sample, form.data)
    if start is not None:
        timed = tuple(
            item if item.start is not None else msgspec.structs.replace(item, start=start) for item in record.recordings
        )
        record = msgspec.structs.replace(record, recordings=timed)
    with whole(out) as draft:
        write(record, to, draft)
    return summary(record, to, out)


def record_of(source: Path, created: int, sample: Sample, data: bool) -> Record:
    """The record of a session folder or of a report's file; BadInput for anything else."""
    if source.is_dir():
        from scenarios.export.session import record_of_session

        return record_of_session(source, created, sample, data)
    if not source.exists():
        raise BadInput(str(source), "is not there", "Name a session folder, or the JSON of emtwin validate.")
    from scenarios.export.validation import read_report, record_of_report

    return record_of_report(read_report(source), str(source), source.absolute().parent, created, sample, data)


def summary(record: Record, to: str, out: Path) -> dict[str, Any]:
    """What was exported, in numbers."""
    verdicts = [verdict for recording in record.recordings for verdict in recording.verdicts]
    counts = {
        status: sum(item.status == status for item in verdicts)
        for status in ("agrees", "disagrees", "stale", "unverifiable")
    }
    return {
        "schema": SCHEMA, "to": to, "out": str(out), "words": FORMATS[to].words, "recordings": len(record.recordings),
        "corrected": sum(item.corrects for item in verdicts), "verdicts": counts,
    }  # fmt: skip
