"""A report of `emtwin validate --json` (schema emtwin.validate) as a record to export."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from instrument.export.record import Activity, Agent, Evidence, Record, Recording, Sample, Verdict
from instrument.readers import read_vendor
from reconstruct.validation.recording import distinct
from scenarios.export.times import emtwin, times_of
from scenarios.io.errors import BadInput
from scenarios.validate.files import checksum
from scenarios.validate.job import SCHEMA
from twin.records import Claim, Signal

_SIMULATION = "emtwin.scenario."
"""Where metadata of a simulated recording begin."""
_CURE = "Give the output of emtwin validate --json, unchanged."


def read_report(path: Path) -> dict[str, Any]:
    """The report in a file; BadInput where it is none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(str(path), f"cannot be read as a report of emtwin validate ({error})", _CURE) from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        result = report.get("schema") if isinstance(report, dict) else None
        raise BadInput(str(path), f"has the schema {result!r}, not {SCHEMA!r}", _CURE)
    return report


def record_of_report(
    report: Mapping[str, Any], source: str, folder: Path, created: int, sample: Sample, data: bool = True
) -> Record:
    """The record of a report; its files are looked for by their path from ``folder``. With ``data`` they are read.

    BadInput for a damaged report, and for a file that is gone or was changed since.
    """
    files = [entry for entry in report.get("files", []) if entry.get("recordings")]
    if not files:
        raise BadInput(source, "holds no file that could be validated", _CURE)
    paths = [(folder / str(entry["path"])).resolve() for entry in files]
    base = Path(os.path.commonpath([path.parent for path in paths]))
    try:
        recordings = tuple(
            recording
            for number, (entry, path) in enumerate(zip(files, paths, strict=True))
            for recording in _recordings(f"file-{number}", entry, path, base, data)
        )
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise BadInput(source, f"is damaged ({type(error).__name__}: {error})", _CURE) from error
    software = emtwin()
    ended = report.get("time_ns")
    judged = Activity(
        "validation", "validation", (software.id,), tuple(item.id for item in recordings), None, ended if isinstance(ended, int) else None,
        {name: report[name] for name in ("false_alarms", "specimen") if report.get(name) is not None},
    )  # fmt: skip
    names = sorted({name for item in recordings if (name := _instrument(item))})
    instruments = [Agent(f"instrument-{number}", "instrument", name) for number, name in enumerate(names)]
    acquisitions = [
        Activity(
            f"acquisition-{item.id}", "acquisition", tuple(agent.id for agent in instruments if _instrument(item) == agent.name), (item.id,),
            item.start, item.end,
        )
        for item in recordings
    ]  # fmt: skip
    sample = msgspec.structs.replace(sample, simulated=all(item.simulated for item in recordings))
    return Record(
        base.name, source, str(base), recordings, (*instruments, software), (*acquisitions, judged), sample, created
    )


def _instrument(recording: Recording) -> str:
    """The name of the instrument that a recording claims; "" for none."""
    return str(recording.claims["instrument"][0].value) if "instrument" in recording.claims else ""


def _recordings(name: str, entry: Mapping[str, Any], path: Path, base: Path, data: bool) -> Iterator[Recording]:
    """The recordings of a file: one for each signal where the data are wanted, else one for each that was validated."""
    if not path.exists():
        raise BadInput(str(path), "is not there any more", "Put it back, or validate again.")
    digest = str(entry.get("sha256") or "")
    if digest and path.is_file() and (result := checksum(path)) != digest:
        raise BadInput(str(path), f"was changed since it was validated (SHA-256 {result})", "Validate it again.")
    judged = entry["recordings"]
    where = str(path.relative_to(base))
    if not data:
        for number, item in enumerate(judged):
            yield _recording(f"{name}-{number}", item, None, path.name, where, digest)
        return
    signals = read_vendor(path)
    told = distinct(signals)
    if len(told) != len(judged):
        raise BadInput(
            str(path), f"has {len(told)} distinct recordings where the report has {len(judged)}", "Validate it again."
        )
    for number, signal in enumerate(signals):
        # signals that claim the same of the instrument were validated as one
        item = next(item for like, item in zip(told, judged, strict=True) if len(distinct([like, signal])) == 1)
        yield _recording(f"{name}-{number}", item, signal, path.name, where, digest)


def _recording(
    name: str, item: Mapping[str, Any], signal: Signal | None, file: str, where: str, digest: str
) -> Recording:
    verdicts = [_verdict(entry) for entry in item["verdicts"]]
    if signal is None:
        claims = {
            entry["field"]: (Claim(entry["claimed"], entry["unit"], entry["key"], entry["text"], entry["zone"]),) for entry in item["verdicts"]
        }  # fmt: skip
    else:
        claims = {field: (claim, *signal.repeated.get(field, ())) for field, claim in signal.claims.items()}
        verdicts = [
            single for single in verdicts if single.field in claims and claims[single.field][0].value == single.claimed
        ]
    evidence = {str(single["id"]): _evidence(single) for single in item["evidence"]}
    for verdict in verdicts:
        for missing in set(verdict.evidence) - set(evidence):
            # a contradiction within the file: the verdict names its class, and says itself what contradicts what
            evidence[missing] = Evidence(missing, missing, missing, verdict.words)
    start, end = times_of(claims, verdicts)
    title = str(item.get("title") or "")
    return Recording(
        name, f"{file}: {title}" if title and title != file else file, where, digest, signal, claims, tuple(verdicts), tuple(evidence.values()), start, end,
        signal is not None and any(key.startswith(_SIMULATION) for key in signal.raw),
    )  # fmt: skip


def _verdict(entry: Mapping[str, Any]) -> Verdict:
    known = {name: entry[name] for name in Verdict.__struct_fields__ if entry.get(name) is not None}
    if known.get("suggested") is not None:
        known["suggested_error"] = entry.get("error")
    return msgspec.convert(known, Verdict)


def _evidence(entry: Mapping[str, Any]) -> Evidence:
    return msgspec.convert({name: entry[name] for name in Evidence.__struct_fields__ if name in entry}, Evidence)
