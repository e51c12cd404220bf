"""Side-cars and corrected copies of validated files: FILE.emtwin.json beside each, and a copy in which refuted values are replaced."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instrument.export.corrected import write_corrected
from instrument.export.record import Sample
from instrument.export.sidecar import SCHEMA, SUFFIX, sidecar
from scenarios.export.validation import record_of_report
from scenarios.io.atomic_output import write_whole
from scenarios.io.errors import BadInput


def sidecar_of(file: Path) -> Path:
    """Where the side-car of a file stands."""
    return file.with_name(file.name + SUFFIX)


def write_sidecars(report: Mapping[str, Any], created: int, folder: Path = Path()) -> list[Path]:
    """Write a side-car beside every file of a report (of `emtwin validate --json`); their paths. ``created`` is ns UTC; paths are from ``folder``.

    One that emtwin wrote is replaced; BadInput, before any is written, where a file of another kind has its name.
    """
    record = record_of_report(report, "the report", folder, created, Sample(), data=False)
    contents: dict[Path, bytes] = {}
    for name in dict.fromkeys(item.path for item in record.recordings):
        out = sidecar_of(Path(record.base) / name)
        _check(out)
        content = sidecar([item for item in record.recordings if item.path == name], record)
        contents[out] = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()
    for out, content in contents.items():
        write_whole(content, out)
    return list(contents)


def write_corrected_copy(
    report: Mapping[str, Any], copy: Path, created: int, folder: Path = Path()
) -> list[dict[str, Any]]:
    """Write a corrected copy of the one file of a report; the changes. BadInput for a report of several files."""
    record = record_of_report(report, "the report", folder, created, Sample())
    paths = {item.path for item in record.recordings}
    if len(paths) != 1:
        raise BadInput(
            f"--write-corrected {copy}", f"names one copy for {len(paths)} files", "Correct one file at a time."
        )
    return write_corrected(Path(record.base) / paths.pop(), copy, record.recordings, record)


def _check(out: Path) -> None:
    """BadInput unless ``out`` is not there, or is a side-car of ours."""
    cure = "Move it away, or leave --sidecar out."
    if out.is_symlink():
        raise BadInput(str(out), "is a link", cure)
    if not out.exists():
        return
    try:
        result = json.loads(out.read_text(encoding="utf-8")).get("schema")
    except (OSError, ValueError, AttributeError):
        result = None
    if result != SCHEMA:
        raise BadInput(str(out), "exists already, and emtwin did not write it", cure)
