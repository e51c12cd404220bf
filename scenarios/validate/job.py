"""The job ``emtwin validate``: read the files, gather evidence, judge, write the page."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconstruct.api.validate import Validation
from reconstruct.validation.data.specimen import check_specimen
from reconstruct.validation.recording import Validated, distinct
from reconstruct.validation.sensors.tracks import SensorTracks
from reconstruct.validation.session.outside import evidence_from_outside
from reconstruct.validation.session.timeline import Timeline, timeline
from scenarios.io.atomic_output import write_whole
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.validate.columns import ensemble
from scenarios.validate.files import ReadFile, checksum, listed, read_all
from scenarios.validate.options import ValidateOptions
from scenarios.validate.pool import Task, validated
from scenarios.validate.sensors import open_tracks

SCHEMA = "emtwin.validate/1"


@dataclasses.dataclass(frozen=True)
class ValidatedFile:
    """A file that was ``read``, and its ``validation``; None where it could not be read or validated, for the ``problem`` (problem, cure)."""

    read: ReadFile
    validation: Validation | None
    problem: tuple[str, str] | None = None

    @property
    def agrees(self) -> bool:
        """Whether it was validated, and nothing disagrees."""
        return self.validation is not None and self.validation.agrees


@dataclasses.dataclass(frozen=True)
class ValidatedSession:
    """All ``files``, and the ``timeline`` of those with a time, where there are several. ``interrupted``: not all files were validated."""

    files: tuple[ValidatedFile, ...]
    timeline: Timeline | None = None
    interrupted: bool = False

    @property
    def agrees(self) -> bool:
        """Whether every file was validated and agrees."""
        return all(item.agrees for item in self.files)


def validate_files(options: ValidateOptions, progress: Progress) -> ValidatedSession:
    """Every file with its verdicts or what is wrong with it; BadInput where there is no file, or none could be read."""
    options.check()
    check_specimen(options.known, "--specimen")
    files = listed(options.paths)
    if not files:
        raise BadInput(
            str(options.paths[0]), "holds no file of a format that is read", "Name files, or a folder of them."
        )
    reads = []
    for number, read in enumerate(read_all(files)):
        reads.append(read)
        progress.stage("reading", (number + 1) / len(files) if len(files) > 1 else None)
    if not any(read.signals for read in reads):
        error = reads[0].error
        assert error is not None
        where = error.path if len(reads) == 1 else f"all {len(reads)} files, such as {error.path}"
        raise BadInput(where, error.problem, error.cure)
    tracks = [open_tracks(path, options.columns, options.zone, options.table, progress) for path in options.sensors]
    tasks = tasks_of(reads, tracks, progress)
    done: dict[str, Validated | BadInput] = {}
    interrupted = False
    try:
        for number, (task, result) in enumerate(validated(tasks, options.known, options.false_alarms)):
            done[task.name] = result
            progress.stage("validating", (number + 1) / len(tasks) if len(tasks) > 1 else None)
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    return session_of(reads, done, tracks, interrupted)


def tasks_of(reads: Sequence[ReadFile], tracks: Sequence[SensorTracks], progress: Progress) -> list[Task]:
    """A task for each distinct recording, with the evidence that the other files, the lens settings and the sensors give."""
    recordings = [(label, signal) for read in reads for label, signal in labelled(read)]
    outside = evidence_from_outside(
        recordings, tracks, lambda table: ensemble(table, progress), lambda text, _: progress.stage(text)
    )
    return [Task(label, signal, outside[label]) for label, signal in recordings]


def labelled(read: ReadFile) -> list[tuple[str, Any]]:
    """The distinct recordings of a file, each with a name that is its own."""
    signals = distinct(read.signals)
    if len(signals) == 1:
        return [(str(read.path), signals[0])]
    return [(f"{read.path}#{number}", signal) for number, signal in enumerate(signals)]


def session_of(
    reads: Sequence[ReadFile],
    done: dict[str, Validated | BadInput],
    logs: Sequence[SensorTracks] = (),
    interrupted: bool = False,
) -> ValidatedSession:
    """The results by file, and the timeline of them beside the ``logs``; files of which nothing is done yet are left out."""
    files = []
    for read in reads:
        if read.error is not None:
            files.append(ValidatedFile(read, None, (read.error.problem, read.error.cure)))
            continue
        results = [done[label] for label, _ in labelled(read) if label in done]
        wrong = next((result for result in results if isinstance(result, BadInput)), None)
        if wrong is not None:
            files.append(ValidatedFile(read, None, (wrong.problem, wrong.cure)))
        elif results:
            files.append(
                ValidatedFile(
                    read, Validation(str(read.path), tuple(item for item in results if isinstance(item, Validated)))
                )
            )
    recordings = [
        recording for item in files if item.validation is not None for recording in item.validation.recordings
    ]
    times = timeline(recordings, logs) if len(recordings) > 1 or (recordings and logs) else None
    return ValidatedSession(tuple(files), times, interrupted)


def to_dict(session: ValidatedSession, options: ValidateOptions) -> dict[str, Any]:
    """The object of ``--json``."""
    result = {
        "schema": SCHEMA,
        "time_ns": time.time_ns(),
        "false_alarms": options.false_alarms,
        "specimen": None if options.known.specimen is None else str(options.known.specimen),
        "agrees": session.agrees,
        "interrupted": session.interrupted,
        "files": [_file(item) for item in session.files],
    }
    if session.timeline is not None:
        result["session"] = {
            "faults": [{**dataclasses.asdict(fault), "words": fault.words} for fault in session.timeline.faults],
            "untimed": list(session.timeline.untimed),
            "logs": [dataclasses.asdict(log) for log in session.timeline.logs],
            "drifts": [
                {**dataclasses.asdict(drift), "words": drift.words, "files": list(files)}
                for drift, files in session.timeline.drifts
            ],
        }
    return result


def _file(item: ValidatedFile) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "path": str(item.read.path),
        "sha256": checksum(Path(item.read.path)) if item.read.signals else None,
    }
    if item.validation is None:
        problem, cure = item.problem or ("", "")
        return {**entry, "status": "unreadable", "problem": problem, "cure": cure, "recordings": []}
    return {
        **entry,
        "status": "agrees" if item.agrees else "disagrees",
        "recordings": item.validation.to_dict()["recordings"],
    }


def write_page(session: ValidatedSession, options: ValidateOptions) -> None:
    """Draw the page, where one is asked for."""
    if options.page is None or not session.files:
        return
    from scenarios.validate.page import page_of

    write_whole(page_of(session, options).encode(), options.page)
