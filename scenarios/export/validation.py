"""A report of `emtwin validate --json` (schema emtwin.validate) as a record to export."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from instrument.export.record import Activity, Agent, Evidence, Record, Recording, Sample, Verdict
from instrument.readers import read_vendor
from scenarios.export.times import emtwin, times_of
from scenarios.io.errors import BadInput
from twin.records import Claim, Signal

SCHEMA = "emtwin.validate/1"
_CURE = "Give the output of emtwin validate --json, unchanged."


def read_report(path: Path) -> dict[str, Any]:
    """The report in a file; BadInput where it is none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(str(path), f"cannot be read as a report of emtwin validate ({error})", _CURE) from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        found = report.get("schema") if isinstance(report, dict) else None
        raise BadInput(str(path), f"has the schema {found!r}, not {SCHEMA!r}", _CURE)
    return report


def record_of_report(
    report: Mapping[str, Any], source: str, folder: Path, created: int, sample: Sample, data: bool = True
) -> Record:
    """The record of a report; its files are looked for by their path from ``folder``. With ``data`` they are read.

    BadInput for a damaged report, and for a file that is gone or was changed since.
    """
    files = [entry for entry in report.get("files", []) if "error" not in entry]
    if not files:
        raise BadInput(source, "holds no file that could be read", _CURE)
    paths = [(folder / str(entry["path"])).resolve() for entry in files]
    base = Path(os.path.commonpath([path.parent for path in paths]))
    try:
        recordings = tuple(
            _recording(number, entry, path, base, data)
            for number, (entry, path) in enumerate(zip(files, paths, strict=True))
        )
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise BadInput(source, f"is damaged ({type(error).__name__}: {error})", _CURE) from error
    software = emtwin()
    ended = report.get("time_ns")
    judged = Activity(
        "validation", "validation", (software.id,), tuple(item.id for item in recordings), None, ended if isinstance(ended, int) else None,
        {name: value for name, value in dict(report.get("settings", {})).items() if isinstance(value, (str, int, float, bool))},
    )  # fmt: skip
    names = {str(claims[0].value) for item in recordings if (claims := item.claims.get("instrument"))}
    instruments = [Agent(f"instrument-{number}", "instrument", name) for number, name in enumerate(sorted(names))]
    acquisitions = [
        Activity(
            f"acquisition-{item.id}", "acquisition",
            tuple(agent.id for agent in instruments if item.claims.get("instrument", (None,))[0] and agent.name == item.claims["instrument"][0].value),
            (item.id,), item.start, item.end,
        )
        for item in recordings
    ]  # fmt: skip
    return Record(
        base.name, source, str(base), recordings, (*instruments, software), (*acquisitions, judged), sample, created
    )


def _recording(number: int, entry: Mapping[str, Any], path: Path, base: Path, data: bool) -> Recording:
    if not path.exists():
        raise BadInput(str(path), "is not there any more", "Put it back, or validate again.")
    stated = str(entry.get("sha256", ""))
    if stated and path.is_file() and (found := _digest(path)) != stated:
        raise BadInput(str(path), f"was changed since it was validated (SHA-256 {found})", "Validate it again.")
    signals: tuple[Signal, ...] = tuple(read_vendor(path)) if data else ()
    claims = _claims(entry.get("claims", []))
    start, end = times_of(claims)
    return Recording(
        f"file-{number}", path.name, str(path.relative_to(base)), stated, signals, claims, tuple(_verdicts(entry)), tuple(_evidence(entry)), start, end,
    )  # fmt: skip


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _claims(entries: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Claim, ...]]:
    """Claims of a file in their order: {"field", "value", "unit", "key", "text", "zone", "step"}."""
    found: dict[str, tuple[Claim, ...]] = {}
    for entry in entries:
        claim = msgspec.convert({"unit": None, "key": "", **_known(entry, Claim)}, Claim)
        found[str(entry["field"])] = (*found.get(str(entry["field"]), ()), claim)
    return found


def _verdicts(entry: Mapping[str, Any]) -> Iterable[Verdict]:
    for verdict in entry.get("verdicts", []):
        known = {**_known(verdict, Verdict), "evidence": [str(name) for name in verdict.get("evidence", [])]}
        yield msgspec.convert(known, Verdict)


def _evidence(entry: Mapping[str, Any]) -> Iterable[Evidence]:
    for item in entry.get("evidence", []):
        yield msgspec.convert({**_known(item, Evidence), "id": str(item["id"])}, Evidence)


def _known(entry: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """What ``kind`` has of an entry; None stands for what is not known."""
    return {
        name: entry[name]
        for name in kind.__struct_fields__
        if entry.get(name) is not None or name in ("unit", "claimed") and name in entry
    }
