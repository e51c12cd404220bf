"""The formats of an export: what each is called, how its files end, which library it needs, and who writes it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from instrument.export.record import ExportError, Record

MAX_BYTES = 4 * 1024**3


class MissingExtra(ExportError):
    """A library that is not installed."""


class Format(NamedTuple):
    """``endings`` of a file ("" for a folder), the ``library`` that must be there beside emtwin's own, whether it holds ``data``, one sentence of ``words``."""

    endings: tuple[str, ...]
    library: str
    data: bool
    words: str


FORMATS: dict[str, Format] = {
    "nxem": Format((".nxs",), "", True, "NXem of NeXus: one HDF5 file"),
    "prov": Format((".json", ".provn"), "prov", False, "W3C PROV: PROV-JSON or PROV-N"),
    "rocrate": Format(("",), "rocrate", False, "RO-Crate 1.1: a folder with the files and their PROV"),
    "hspy": Format((".hspy", ""), "", True, "HyperSpy: a file of one signal, or a folder of files"),
    "emd": Format((".emd",), "", True, "EMD 1.0 (Berkeley): one HDF5 file"),
}


def check(to: str, out: Path) -> Format:
    """The format of that name, for the file or folder ``out``. ExportError for an unknown one, a wrong ending, a missing library."""
    if to not in FORMATS:
        raise ExportError(f"--to {to}", "is no format of an export", f"Name one of {', '.join(FORMATS)}.")
    form = FORMATS[to]
    if out.suffix not in form.endings:
        wanted = " or ".join(ending or "nothing (a folder)" for ending in form.endings)
        raise ExportError(f"--out {out}", f"ends in {out.suffix or 'nothing'}", f"End it in {wanted}: {form.words}.")
    for library in (form.library, "prov" if to == "rocrate" else ""):
        if library and importlib.util.find_spec(library) is None:
            raise MissingExtra(
                f"--to {to}", f"needs the library {library!r}", "Install it: pip install 'emtwin[export]'."
            )
    return form


def write(record: Record, to: str, out: Path) -> None:
    """Write ``record`` in the format ``to`` at ``out``, which does not exist yet. ExportError where that cannot be."""
    check(to, out)
    size = sum(item.signal.data.nbytes for item in record.recordings if item.signal is not None)
    if size > MAX_BYTES:
        raise ExportError(
            record.source, f"holds {size} bytes of data, more than {MAX_BYTES}", "Export fewer files at a time."
        )
    try:
        _writer(to)(record, out)
    except ExportError:
        raise
    except ValueError as error:
        raise ExportError(record.source, str(error), "") from error


def _writer(to: str) -> Callable[[Record, Path], None]:
    """Imported when used: each stands on libraries of its own."""
    if to == "nxem":
        from instrument.export.writers.nxem import write_nxem as writer
    elif to == "prov":
        from instrument.export.writers.provenance import write_prov as writer
    elif to == "rocrate":
        from instrument.export.writers.crate import write_crate as writer
    elif to == "hspy":
        from instrument.export.writers.hyperspy import write_hyperspy as writer
    else:
        from instrument.export.writers.emd import write_emd as writer
    return writer
