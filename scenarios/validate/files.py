"""The files that are to be validated, and what was read of each."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from instrument.readers import VendorError, close_reader, read_vendor_many
from instrument.readers.formats.table import is_recording
from instrument.readers.reader import FOLDERS
from twin.records import Signal

READING_TIME = 2.0
"""Seconds within which a file must be parsed: a damaged one may keep its parser for ever."""
SIDECAR = ".emtwin.json"


class ReadFile(NamedTuple):
    """A file: its ``path``, its ``signals``, or the ``error`` why it could not be read."""

    path: Path
    signals: tuple[Signal, ...] = ()
    error: VendorError | None = None


def listed(paths: Iterable[Path]) -> list[Path]:
    """All files to read: those named, and in folders those whose extension is of a format that is read, in order of their names.

    The data of a series (.ser) belong to its description (.emi) where there is one.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir() and path.suffix not in FOLDERS:
            files += sorted(_within(path))
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def is_readable(path: Path) -> bool:
    """Whether a file's name is that of a format that is read, and it is none of emtwin's own output."""
    if path.name.startswith(".") or path.name.endswith(SIDECAR):
        return False
    return is_recording(path) or path.suffix in FOLDERS


def _within(folder: Path) -> Iterator[Path]:
    described = {path.stem for path in folder.glob("*.emi")}
    for path in folder.iterdir():
        if path.is_dir() and path.suffix not in FOLDERS:
            yield from _within(path)
        elif is_readable(path) and not (path.suffix.lower() == ".ser" and path.stem.rpartition("_")[0] in described):
            yield path


def read_all(files: Iterable[Path]) -> Iterator[ReadFile]:
    """Each file with its signals or its error, in the order of ``files``; two are read at a time."""
    try:
        for path, read in read_vendor_many(files, timeout=READING_TIME):
            yield ReadFile(Path(path), (), read) if isinstance(read, VendorError) else ReadFile(Path(path), tuple(read))
    finally:
        close_reader()


def checksum(path: Path) -> str | None:
    """SHA-256 of a file; None for a folder."""
    if path.is_dir():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
