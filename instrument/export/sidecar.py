"""The side-car of a file: what each field claims, what the evidence says of it, and what should stand there, with where all that comes from. Plain JSON."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instrument.export.record import Record, Recording
from twin.channels import field

SCHEMA = "emtwin.sidecar/1"
SUFFIX = ".emtwin.json"


def sidecar(recordings: Sequence[Recording], record: Record) -> dict[str, Any]:
    """The content of FILE.emtwin.json for the recordings of one file. Numbers in the unit beside them, times int64 ns UTC; what is not known is left out."""
    first, software = recordings[0], record.agent("software")
    validation = next(
        (item for item in record.activities if item.kind == "validation" and first.id in item.recordings), None
    )
    return _given(
        {
            "schema": SCHEMA, "file": Path(first.path).name, "sha256": first.sha256,
            "software": _given({"name": software.name, "version": software.version}) if software else None,
            "validated_ns": None if validation is None else validation.end,
            "settings": None if validation is None else dict(validation.settings),
            "written_ns": record.created, "recordings": [_recording(item) for item in recordings],
        }
    )  # fmt: skip


def _recording(recording: Recording) -> dict[str, Any]:
    evidence = {
        item.id: _given({"name": item.name, "source": item.source, "words": item.words, "independent_of": list(item.independent_of)})
        for item in recording.evidence
    }  # fmt: skip
    return _given(
        {
            "name": recording.name, "start_ns": recording.start, "end_ns": recording.end,
            "fields": {item.field: _field(recording, item.field) for item in recording.verdicts}, "evidence": evidence,
        }
    )  # fmt: skip


def _field(recording: Recording, name: str) -> dict[str, Any]:
    verdict, known = recording.verdict(name), field(name)
    assert verdict is not None
    return _given(
        {
            "status": verdict.status,
            "unit": known.unit,
            "claimed": verdict.claimed,
            "text": verdict.text,
            "key": verdict.key,
            "value": verdict.value,
            "error": verdict.error,
            "z": verdict.z,
            "suggested": verdict.suggested,
            "suggested_error": verdict.suggested_error,
            "cause": verdict.cause,
            "words": verdict.words,
            "since_ns": verdict.since,
            "evidence": list(verdict.evidence),
            "glossary": known.glossary,
        }
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known; a number that is not finite is not known."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value != "" and not (isinstance(value, float) and not math.isfinite(value))
    }
