"""Vendor files read in a worker process that can be killed: a parser may hang, crash or exhaust memory."""

import atexit
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from instrument.readers import rosetta, store
from instrument.readers.logs import formats
from instrument.readers.logs.column_table import load_column_table, table_beside
from instrument.readers.logs.log import SensorLog
from instrument.readers.logs.zones import read_zone
from instrument.readers.signals import VendorError
from twin.records import Signal

MAX_BYTES = 2 * 1024**3
WORKER_BYTES = 12 * 1024**3  # address space, not memory in use: libraries map a few GiB of it
POLL = 0.5
"""Seconds between two looks at a worker that has not answered yet."""

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")

Parsed = TypeVar("Parsed")

_lock = threading.Lock()
_pool: ProcessPool | None = None


def read_vendor(path: str | os.PathLike[str], timeout: float = 30.0, max_bytes: int = MAX_BYTES) -> list[Signal]:
    """All images and spectra of a file (DM3, DM4, EMD, EMI, SER, HSPY, TIFF, emtwin's own Zarr stores), units as inside emtwin, metadata as claims.

    ``timeout`` (s) bounds the parsing; ``max_bytes`` the file and what it unpacks to. Raises VendorError (a ValueError) naming file,
    problem and cure for a missing, empty, truncated, damaged, oversized or foreign file, and when the parser hangs or crashes; the
    next call finds a fresh worker. In a script, call it under ``if __name__ == "__main__":`` since the worker is spawned.
    """
    file = Path(path)
    if file.suffix == store.SUFFIX and file.is_dir():
        name, size = str(file), store.stored_bytes(str(file))
        if size > max_bytes:
            raise VendorError(name, f"has {size} bytes, more than {max_bytes}", "Raise max_bytes, or read it in parts.")
        return _in_worker(store.parse_store, name, max_bytes, timeout)
    is_known_format = file.suffix.lower() in rosetta.FORMATS
    name = _checked(file, timeout, max_bytes, is_known_format, file.suffix, (*rosetta.FORMATS, store.SUFFIX))
    return _in_worker(rosetta.parse, name, max_bytes, timeout)


def read_log(
    path: str | os.PathLike[str], timeout: float = 30.0, max_bytes: int = MAX_BYTES, columns: str | os.PathLike[str] | None = None,
    zone: str | None = None,
) -> SensorLog:  # fmt: skip
    """A log of sensors: HealthMonitor (.xml, .xml.gz), Protochips (.csv), DENS (.dens), plain columns (CSV), every channel with its unit inside and why.

    ``columns`` is the column table (TOML) of a plain log; LOG.columns.toml beside it is found, and a header may state all itself. ``zone`` ("Europe/Berlin",
    "+02:00") is that of a log's clock where the log does not state it. ``timeout`` (s), ``max_bytes`` and VendorError as for read_vendor, and the same worker.
    """
    file = Path(path)
    table_path = Path(columns) if columns is not None else table_beside(file)
    table = None if table_path is None else load_column_table(table_path)
    is_known_format = table is not None or formats.log_format(file.name) is not None
    name = _checked(file, timeout, max_bytes, is_known_format, "".join(file.suffixes[-2:]), formats.FORMATS)
    try:
        known_zone = None if zone is None else read_zone(zone)
    except ValueError as error:
        problem, _, cure = str(error).partition("; ")
        raise VendorError(name, f"time zone of the log: {problem}", f"{cure[:1].upper()}{cure[1:]}.") from None
    return _in_worker(functools.partial(formats.parse_log, zone=known_zone, columns=table), name, max_bytes, timeout)


def _checked(
    file: Path, timeout: float, max_bytes: int, is_known_format: bool, suffix: str, formats: tuple[str, ...]
) -> str:
    """The name of a file that may go to the worker: it is there, of a known format, neither empty nor too large."""
    name = str(file)
    if not timeout > 0:
        raise ValueError(f"timeout {timeout!r} is not a positive number of seconds; give one, such as 30")
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


def _in_worker(parse: Callable[[str, int], Parsed], name: str, max_bytes: int, timeout: float) -> Parsed:
    """The result of ``parse`` in the worker; VendorError with the reason if it fails."""
    try:
        return _scheduled(parse, name, max_bytes, timeout)
    except FutureTimeout as error:
        raise VendorError(
            name, f"kept its reader busy for more than {timeout:g} s", "The file is damaged, or raise the timeout."
        ) from error
    except ProcessExpired as error:
        raise VendorError(
            name, f"crashed its reader (exit code {error.exitcode})", "The file is damaged; copy it again."
        ) from error
    except MemoryError as error:
        problem = "asks for more memory than a reader may take"
        raise VendorError(name, problem, "The file is damaged or too large.") from error
    except BrokenProcessPool as error:
        cure = 'In a script of your own, call this under: if __name__ == "__main__":'
        raise VendorError(name, "could not be read since no reader process would start", cure) from error


def _scheduled(parse: Callable[[str, int], Parsed], name: str, max_bytes: int, timeout: float) -> Parsed:
    """Parse in the worker; a worker found dead between two files is replaced, once."""
    try:
        return _awaited(_worker(), parse, name, max_bytes, timeout)
    except BrokenProcessPool:
        close_reader()
        return _awaited(_worker(), parse, name, max_bytes, timeout)


def _awaited(
    pool: ProcessPool, parse: Callable[[str, int], Parsed], name: str, max_bytes: int, timeout: float
) -> Parsed:
    """The result of a task of ``pool``. BrokenProcessPool where the pool has ended without it: a task that was given while the pool found its worker
    dead is not ended by the pool itself."""
    try:
        task = pool.schedule(parse, args=[name, max_bytes], timeout=timeout)
    except RuntimeError as error:  # the pool ended since it was looked at
        raise BrokenProcessPool(str(error)) from error
    while not wait([task], timeout=POLL).done:
        if not pool.active and not wait([task], timeout=POLL).done:
            raise BrokenProcessPool("the pool of the reader has ended")
    return task.result()


def _worker() -> ProcessPool:
    global _pool
    with _lock:
        if _pool is None or not _pool.active:
            context = multiprocessing.get_context("spawn")
            _pool = ProcessPool(max_workers=1, initializer=rosetta.start, initargs=(WORKER_BYTES,), context=context)
            atexit.register(close_reader)
        return _pool


def close_reader() -> None:
    """Stop the worker, if one runs; the next read starts another."""
    global _pool
    with _lock:
        if _pool is not None:
            _pool.stop()
            _pool.join()
            _pool = None
            atexit.unregister(close_reader)
