"""Readers of sensor logs by file extension. Runs only in the worker process."""

import csv
from datetime import tzinfo

from instrument.readers.logs.column_table import ColumnTable
from instrument.readers.logs.delimited import read_delimited
from instrument.readers.logs.dens import read_dens
from instrument.readers.logs.health import read_health
from instrument.readers.logs.log import SensorLog
from instrument.readers.logs.protochips import is_protochips, read_protochips
from instrument.readers.signals import VendorError


def _read_columns(path: str, max_bytes: int, zone: tzinfo | None = None) -> SensorLog:
    """A log in columns without a table: Protochips' by its first line, else by what its header states."""
    return read_protochips(path, max_bytes, zone) if is_protochips(path) else read_delimited(path, zone, None)


READERS = {
    ".xml": read_health, ".xml.gz": read_health, ".csv": _read_columns, ".tsv": _read_columns, ".dens": read_dens,
}  # fmt: skip
FORMATS = tuple(READERS)


def log_format(name: str) -> str | None:
    """The extension of a log's name in lower case (.xml.gz counts as one extension); None if no reader handles it."""
    return next((suffix for suffix in FORMATS if name.lower().endswith(suffix)), None)


def parse_log(path: str, max_bytes: int, zone: tzinfo | None = None, columns: ColumnTable | None = None) -> SensorLog:
    """Read a log whose existence and size have been checked, by its table of ``columns`` where it has one. VendorError for whatever is wrong with it."""
    suffix = log_format(path)
    if suffix is None and columns is None:
        raise VendorError(path, "has no extension of a log", f"Give one of {', '.join(FORMATS)}, or a column table.")
    try:
        return READERS[suffix or ""](path, max_bytes, zone) if columns is None else read_delimited(path, zone, columns)
    except (MemoryError, RecursionError, csv.Error, OverflowError) as error:
        text = f"{type(error).__name__}: {error}"[:200]
        raise VendorError(path, f"cannot be read ({text})", "The file is damaged; copy it again.") from error
