"""Readers of sensor logs by file extension. Runs only in the worker process."""

import csv

from instrument.readers.logs.dens import read_dens
from instrument.readers.logs.health import read_health
from instrument.readers.logs.log import SensorLog
from instrument.readers.logs.protochips import read_protochips
from instrument.readers.signals import VendorError

READERS = {".xml": read_health, ".xml.gz": read_health, ".csv": read_protochips, ".dens": read_dens}
FORMATS = tuple(READERS)


def log_format(name: str) -> str | None:
    """The extension of a log's name in lower case (.xml.gz counts as one extension); None if no reader handles it."""
    return next((suffix for suffix in FORMATS if name.lower().endswith(suffix)), None)


def parse_log(path: str, max_bytes: int) -> SensorLog:
    """Read a log whose existence and size have been checked. Raises VendorError for whatever is wrong with it."""
    suffix = log_format(path)
    if suffix is None:
        raise VendorError(path, "has no extension of a log", f"Give one of {', '.join(FORMATS)}.")
    try:
        return READERS[suffix](path, max_bytes)
    except (MemoryError, RecursionError, csv.Error, OverflowError) as error:
        text = f"{type(error).__name__}: {error}"[:200]
        raise VendorError(path, f"cannot be read ({text})", "The file is damaged; copy it again.") from error
