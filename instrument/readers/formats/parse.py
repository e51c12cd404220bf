"""Files read in the worker process: the format's reader on the file, what it raises told as a VendorError, its items as signals."""

import contextlib
import importlib
import logging
import os
import warnings
from pathlib import Path
from types import ModuleType

from instrument.export.read import with_exported
from instrument.readers.formats.items import COPY_AGAIN, Format, check_size
from instrument.readers.formats.signal import signal_of
from instrument.readers.formats.table import FORMATS, SUFFIXES, begins_as
from instrument.readers.signals import VendorError
from twin.records import Signal

MAX_SIGNALS = 4096
_TEXT = 200
"""Characters of a foreign parser's message that are shown."""


def start(max_bytes: int) -> None:
    """What a fresh worker does before its first file: parsers are imported once, memory is limited, libraries' remarks to the terminal are turned off."""
    for item in FORMATS:
        # a missing library is reported when a file that needs it is read
        with contextlib.suppress(ModuleNotFoundError):
            _reader(item)
    limit_memory(max_bytes)
    warnings.simplefilter("ignore")
    for name in ("rsciio", "tifffile", "h5py"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def limit_memory(max_bytes: int) -> None:
    """Cap the address space of this process, so that a file claiming an absurd size fails here and nowhere else (POSIX only)."""
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))


def parse(path: str, max_bytes: int) -> list[Signal]:
    """Read a file whose existence and size have been checked. Raises VendorError for whatever is wrong with it."""
    form = SUFFIXES[Path(path).suffix.lower()]
    if Path(path).is_file() and not begins_as(path, form):
        cure = "Check that the file is complete and its extension right."
        raise VendorError(path, f"does not begin as a {form.name} file does", cure)
    try:
        items = _reader(form).read(path, max_bytes)
        if not isinstance(items, list) or not items:
            raise VendorError(path, "holds no image or spectrum", "Export it again from the vendor's software.")
        if len(items) > MAX_SIGNALS:
            raise VendorError(path, f"holds {len(items)} signals, more than {MAX_SIGNALS}", "Split the file.")
        signals = with_exported(path, [signal_of(path, form.name, item) for item in items])
    except VendorError:
        raise
    except ModuleNotFoundError as error:
        library = error.name or next(iter(str(error).split("'")[1::2]), "an optional library")
        raise VendorError(
            path, f"needs the library {library!r} to be read", f"Install it: pip install {library}."
        ) from error
    except MemoryError as error:
        problem = "asks for more memory than a reader may take"
        raise VendorError(path, problem, "The file is damaged or too large.") from error
    except Exception as error:  # a foreign parser on foreign bytes may raise anything
        text = next(iter(f"{type(error).__name__}: {error}".splitlines()), "")[:_TEXT]
        problem = f"cannot be read as {form.name} ({text})"
        raise VendorError(path, problem, f"{COPY_AGAIN[:-1]}, or it is of another format.") from error
    check_size(path, sum(signal.data.nbytes for signal in signals), max_bytes)
    return signals


def _reader(form: Format) -> ModuleType:
    return importlib.import_module(f"instrument.readers.formats.{form.module}")
