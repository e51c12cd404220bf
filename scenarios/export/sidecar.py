"""Side-cars and corrected copies of validated files: FILE.emtwin.json beside each, and a copy in which refuted values are replaced."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instrument.export.corrected import check_copy, write_corrected
from instrument.export.record import Sample
from instrument.export.sidecar import SCHEMA, SUFFIX, sidecar
from scenarios.export.validation import record_of_report
from scenarios.io.atomic_output import write_whole
from scenarios.io.errors import BadInput

if TYPE_CHECKING:
    from scenarios.validate.options import ValidateOptions

_ONE = "Correct one file at a time."


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
        raise BadInput(f"--write-corrected {copy}", f"names one copy for {len(paths)} files", _ONE)
    return write_corrected(Path(record.base) / paths.pop(), copy, record.recordings, record)


def check_beside(paths: Sequence[Path], sidecar: bool, corrected: Path | None) -> None:
    """BadInput, before anything is computed, where a side-car would replace a file of another kind, or a corrected copy cannot be made of ``paths``."""
    from scenarios.validate.files import listed

    if sidecar:
        for file in listed(paths):
            _check(sidecar_of(file))
    if corrected is not None:
        if len(paths) != 1:
            raise BadInput(f"--write-corrected {corrected}", f"names one copy for {len(paths)} files", _ONE)
        check_copy(paths[0], corrected)


def write_beside(report: Mapping[str, Any], options: "ValidateOptions") -> "Written":
    """What ``--sidecar`` and ``--write-corrected`` ask for."""
    created = int(report["time_ns"])
    sidecars = write_sidecars(report, created) if options.sidecar else []
    changes = [] if options.corrected is None else write_corrected_copy(report, options.corrected, created)
    return Written(tuple(sidecars), options.corrected, tuple(changes))


@dataclasses.dataclass(frozen=True)
class Written:
    """Files that were written beside the validated ones: ``sidecars``, and the ``copy`` with its ``changes``."""

    sidecars: tuple[Path, ...] = ()
    copy: Path | None = None
    changes: tuple[dict[str, Any], ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"side-car: {path}" for path in self.sidecars]
        if self.copy is not None:
            lines.append(f"corrected copy: {self.copy} ({len(self.changes)} changes)")
            lines += [f"  {item['place']}: {item['before']} -> {item['after']}" for item in self.changes]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: nothing where nothing was asked for."""
        sidecars = {"sidecars": [str(path) for path in self.sidecars]} if self.sidecars else {}
        copy = {"corrected": {"path": str(self.copy), "changes": list(self.changes)}} if self.copy is not None else {}
        return sidecars | copy


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
