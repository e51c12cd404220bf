"""The job ``emtwin validate``: read the files, gather evidence, judge, write the page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from reconstruct.api.validate import Validation, validate
from scenarios.io.atomic_output import write_whole
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.validate.files import ReadFile, checksum, listed, read_all
from scenarios.validate.options import ValidateOptions

SCHEMA = "emtwin.validate/1"


class ValidatedFile(NamedTuple):
    """A file that was ``read``, and its ``validation``; None where it could not be read or validated, for the ``problem`` (problem, cure)."""

    read: ReadFile
    validation: Validation | None
    problem: tuple[str, str] | None = None

    @property
    def agrees(self) -> bool:
        return self.validation is not None and self.validation.agrees


def validate_files(options: ValidateOptions, progress: Progress) -> list[ValidatedFile]:
    """Every file with its verdicts or what is wrong with it; BadInput where there is no file, or none could be read."""
    options.check()
    files = listed(options.paths)
    if not files:
        raise BadInput(
            str(options.paths[0]), "holds no file of a format that is read", "Name files, or a folder of them."
        )
    done: list[ValidatedFile] = []
    for number, read in enumerate(read_all(files)):
        progress.stage(f"validating {read.path.name}", number / len(files) if len(files) > 1 else None)
        done.append(_validated(read, options, progress if len(files) == 1 else None))
    if not any(item.read.signals for item in done):
        first = done[0]
        assert first.problem is not None
        where = str(first.read.path) if len(done) == 1 else f"all {len(done)} files, such as {first.read.path}"
        raise BadInput(where, *first.problem)
    return done


def _validated(read: ReadFile, options: ValidateOptions, progress: Progress | None) -> ValidatedFile:
    if read.error is not None:
        return ValidatedFile(read, None, (read.error.problem, read.error.cure))
    known = options.known
    try:
        validation = validate(
            list(read.signals), specimen=known.specimen, zone=known.zone, x=known.x, cell_error=known.cell_error,
            false_alarms=options.false_alarms, progress=None if progress is None else progress.stage,
        )  # fmt: skip
    except BadInput as error:
        if error.input == known.specimen:
            raise
        return ValidatedFile(read, None, (error.problem, error.cure))
    return ValidatedFile(read, validation)


def to_dict(done: Sequence[ValidatedFile], options: ValidateOptions) -> dict[str, Any]:
    """The object of ``--json``."""
    return {
        "schema": SCHEMA,
        "false_alarms": options.false_alarms,
        "specimen": None if options.known.specimen is None else str(options.known.specimen),
        "agrees": all(item.agrees for item in done),
        "files": [_file(item) for item in done],
    }


def _file(item: ValidatedFile) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "path": str(item.read.path),
        "sha256": checksum(item.read.path) if item.read.signals else None,
    }
    if item.problem is not None:
        return {**entry, "status": "unreadable", "problem": item.problem[0], "cure": item.problem[1], "recordings": []}
    assert item.validation is not None
    described = item.validation.to_dict()
    return {**entry, "status": "agrees" if item.agrees else "disagrees", "recordings": described["recordings"]}


def write_page(done: Sequence[ValidatedFile], options: ValidateOptions) -> None:
    """Draw the page, where one is asked for."""
    if options.page is None:
        return
    from scenarios.validate.page import page_of

    write_whole(page_of(done, options).encode(), options.page)
