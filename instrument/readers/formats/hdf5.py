"""HDF5 files: guards that every reader of such files puts first, and files named only .h5, by what is in them.

An HDF5 file may name other files of the disk as the place of its data, or declare arrays of any size: both are refused before a parser looks.
"""

from typing import Any

import h5py

from instrument.readers.formats.items import COPY_AGAIN, Item, check_size
from instrument.readers.signals import VendorError

MAX_OBJECTS = 100_000


def read(path: str, max_bytes: int) -> list[Item]:
    """Nion Swift, NeXus, HyperSpy and Berkeley's EMD under the name .h5. VendorError for other contents."""
    from instrument.readers.formats import emd, hyperspy, nexus, nion

    check(path, max_bytes)
    with h5py.File(path, "r") as file:
        reader = (
            nion if nion.holds(file) else nexus if nexus.holds(file) else hyperspy if hyperspy.holds(file) else emd if emd.holds(file) else None
        )  # fmt: skip
    if reader is None:
        cure = "Give a file of Nion Swift, NeXus, HyperSpy or Berkeley's EMD, or export it to one of them."
        raise VendorError(path, "is an HDF5 file of no format that is read", cure)
    return reader.read(path, max_bytes)


def check(path: str, max_bytes: int) -> None:
    """VendorError where an HDF5 file keeps data in other files, is larger than may be unpacked, or has more objects than a microscope writes."""
    with h5py.File(path, "r") as file:
        count = 0

        def visit(name: str, entry: Any) -> None:
            nonlocal count
            count += 1
            if count > MAX_OBJECTS:
                raise VendorError(path, f"holds more than {MAX_OBJECTS} objects", COPY_AGAIN)
            if isinstance(entry, h5py.Dataset):
                if entry.is_virtual or entry.external:
                    cure = "Copy the data into the file."
                    raise VendorError(path, f"keeps {name!r} in other files", cure)
                check_size(path, entry.size * entry.dtype.itemsize if entry.size else 0, max_bytes)

        file.visititems(visit)


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
