"""What every reader of HDF5 files puts first: guards against data in other files and arrays of any size, and attributes as plain values.

An HDF5 file may name other files of the disk as the place of its data, or declare arrays of any size: both are refused before a parser looks.
"""

from typing import Any

import h5py

from instrument.readers.formats.items import COPY_AGAIN, check_size
from instrument.readers.signals import VendorError

MAX_OBJECTS = 100_000


def check(path: str, max_bytes: int) -> None:
    """VendorError where an HDF5 file keeps data in other files, is larger than may be unpacked, or has more objects than a microscope writes."""
    with h5py.File(path, "r") as file:
        count = 0

        def visit(name: str, entry: Any) -> None:
            nonlocal count
            count += 1
            if count > MAX_OBJECTS:
                raise VendorError(path, f"holds more than {MAX_OBJECTS} objects", COPY_AGAIN)
            if isinstance(entry, h5py.Group):
                _check_links(path, entry)
            elif isinstance(entry, h5py.Dataset):
                if entry.is_virtual or entry.external:
                    raise _elsewhere(path, name)
                check_size(path, entry.size * entry.dtype.itemsize if entry.size else 0, max_bytes)

        _check_links(path, file)
        file.visititems(visit)


def _check_links(path: str, group: h5py.Group) -> None:
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            raise _elsewhere(path, str(name))


def _elsewhere(path: str, name: str) -> VendorError:
    return VendorError(path, f"keeps {name!r} in other files", "Copy the data into the file.")


def attribute(entry: Any, name: str) -> Any:
    """An attribute as plain text, number or array; None where there is none."""
    value = entry.attrs.get(name)
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def text(value: Any) -> str:
    """What an attribute or a scalar dataset holds, as text; "" for none."""
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").rstrip("\x00")
    return value if isinstance(value, str) else ""
