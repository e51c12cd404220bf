"""Vendor files read in worker processes that can be killed: a parser may hang, crash or exhaust memory."""

import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from instrument.readers import store
from instrument.readers.formats import parse as formats
from instrument.readers.formats.table import SUFFIXES
from instrument.readers.logs import formats as logs
from instrument.readers.logs.column_table import load_column_table, table_beside
from instrument.readers.logs.log import SensorLog
from instrument.readers.logs.zones import read_zone
from instrument.readers.signals import VendorError
from instrument.readers.workers import Parse, Task, Workers
from twin.records import Signal

MAX_BYTES = 2 * 1024**3
EXTENSIONS = (*SUFFIXES, store.SUFFIX)
"""Of the files and folders that `read_vendor` reads."""
FOLDERS = (*(suffix for suffix, form in SUFFIXES.items() if form.folder), store.SUFFIX)
"""Extensions of those that may be folders."""
AHEAD = 2
"""Files that are given to each worker before the first of them is asked for; their results wait in memory."""

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")

_single, _several = Workers(1), Workers(2)

Path_ = str | os.PathLike[str]


def read_vendor(path: Path_, timeout: float = 30.0, max_bytes: int = MAX_BYTES) -> list[Signal]:
    """All images and spectra of a file, units as inside emtwin, metadata as claims. The formats are those of `instrument.readers.formats.table`, and
    emtwin's Zarr.

    ``timeout`` (s) bounds the parsing; ``max_bytes`` the file and what it unpacks to. Raises VendorError (a ValueError) naming file,
    problem and cure for a missing, empty, truncated, damaged, oversized or foreign file, and when the parser hangs or crashes; the
    next call finds a fresh worker. In a script, call it under ``if __name__ == "__main__":`` since the worker is spawned.
    """
    parse, name = _vendor(path, timeout, max_bytes)
    return _single.begin(parse, name, max_bytes, timeout).result()


def read_vendor_many(
    paths: Iterable[Path_], timeout: float = 2.0, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[Path_, list[Signal] | VendorError]]:
    """Each path with its signals, or with the VendorError that `read_vendor` would raise, in the order of ``paths``; two files are parsed at a time.

    ``timeout`` (s) bounds each file by itself, from when its parser starts. A parser that hangs or dies ends its own file and no other. Files are begun up to
    `AHEAD` times two before they are asked for. Processes stay warm for the next call until `close_reader`.
    """
    _check_timeout(timeout)
    waiting: deque[tuple[Path_, Task[list[Signal]] | VendorError]] = deque()
    for path in paths:
        try:
            parse, name = _vendor(path, timeout, max_bytes)
            waiting.append((path, _several.begin(parse, name, max_bytes, timeout)))
        except VendorError as error:
            waiting.append((path, error))
        if len(waiting) > AHEAD * _several.count:
            yield _finished(*waiting.popleft())
    while waiting:
        yield _finished(*waiting.popleft())


def _finished(path: Path_, task: Task[list[Signal]] | VendorError) -> tuple[Path_, list[Signal] | VendorError]:
    if isinstance(task, VendorError):
        return path, task
    try:
        return path, task.result()
    except VendorError as error:
        return path, error


def read_log(
    path: Path_,
    timeout: float = 30.0,
    max_bytes: int = MAX_BYTES,
    columns: Path_ | None = None,
    zone: str | None = None,
) -> SensorLog:
    """A log of sensors: HealthMonitor (.xml, .xml.gz), Protochips (.csv), DENS (.dens), plain columns (CSV), every channel with its unit inside and why.

    ``columns`` is the column table (TOML) of a plain log; LOG.columns.toml beside it is found, and a header may state all itself. ``zone`` ("Europe/Berlin",
    "+02:00") is that of a log's clock where the log does not state it. ``timeout`` (s), ``max_bytes`` and VendorError as for read_vendor, and the same worker.
    """
    file = Path(path)
    table_path = Path(columns) if columns is not None else table_beside(file)
    table = None if table_path is None else load_column_table(table_path)
    is_known_format = table is not None or logs.log_format(file.name) is not None
    name = _checked(file, timeout, max_bytes, is_known_format, "".join(file.suffixes[-2:]), logs.FORMATS)
    try:
        known_zone = None if zone is None else read_zone(zone)
    except ValueError as error:
        problem, _, cure = str(error).partition("; ")
        raise VendorError(name, f"time zone of the log: {problem}", f"{cure[:1].upper()}{cure[1:]}.") from None
    parse = functools.partial(logs.parse_log, zone=known_zone, columns=table)
    return _single.begin(parse, name, max_bytes, timeout).result()


def warm_reader() -> None:
    """Start the worker of `read_vendor` and wait for it, so that the first file is read as fast as the next."""
    _single.warm()


def close_reader() -> None:
    """Stop the workers that run; the next read starts others."""
    _single.close()
    _several.close()


def _vendor(path: Path_, timeout: float, max_bytes: int) -> tuple[Parse[list[Signal]], str]:
    """The parser of a path and its name, where it may go to a worker. VendorError where not."""
    file = Path(path)
    suffix = file.suffix.lower()
    form = SUFFIXES.get(suffix)
    if (suffix == store.SUFFIX or (form is not None and form.folder)) and file.is_dir():
        _check_timeout(timeout)
        name, size = str(file), store.stored_bytes(str(file))
        if size > max_bytes:
            raise VendorError(name, f"has {size} bytes, more than {max_bytes}", "Raise max_bytes, or read it in parts.")
        return (store.parse_store if form is None else formats.parse), name
    return formats.parse, _checked(file, timeout, max_bytes, form is not None, file.suffix, EXTENSIONS)


def _check_timeout(timeout: float) -> None:
    if not timeout > 0:
        raise ValueError(f"timeout {timeout!r} is not a positive number of seconds; give one, such as 30")


def _checked(
    file: Path, timeout: float, max_bytes: int, is_known_format: bool, suffix: str, formats: tuple[str, ...]
) -> str:
    """The name of a file that may go to the worker: it is there, of a known format, neither empty nor too large."""
    name = str(file)
    _check_timeout(timeout)
    try:
        size = file.stat().st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VendorError(name, f"cannot be opened ({reason})", "Check the path.") from error
    if not file.is_file():
        raise VendorError(name, "is not a file", "Give the path of one file.")
    if not is_known_format:
        if suffix.lower() in _PICTURES:
            cure = f"Export what was recorded as TIFF; convert a colour picture to grey. Read are {', '.join(formats)}."
            raise VendorError(name, f"is a picture for display ({suffix})", cure)
        problem = f"has the extension {suffix!r}, which is none of {', '.join(formats)}"
        raise VendorError(name, problem, "Give a file of one of these formats.")
    if size == 0:
        raise VendorError(name, "is empty", "Copy or record it again.")
    if size > max_bytes:
        raise VendorError(name, f"has {size} bytes, more than {max_bytes}", "Raise max_bytes, or read it in parts.")
    return name
