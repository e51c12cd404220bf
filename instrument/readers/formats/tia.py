"""FEI's TIA (EMI with its SER files), read by RosettaSciIO.

Two things are put right: the offsets of axes, which RosettaSciIO leaves in metres where it gives scales in nm; and a file whose elements lie outside it.
"""

import os
import struct
from pathlib import Path

from rsciio.tia import file_reader

from instrument.readers.formats.items import COPY_AGAIN, Item
from instrument.readers.signals import VendorError

_LAST_32_BIT = 528
"""The last series version with offsets of 4 bytes."""
_OFFSETS = {"nm": 1e9, "1 / nm": 1e-9}


def read(path: str, max_bytes: int) -> list[Item]:
    """The series of a SER file, or of all SER files of an EMI file. VendorError where one declares more than it holds, or an EMI file has none beside it."""
    file = Path(path)
    if file.suffix.lower() == ".emi":
        series = sorted(file.parent.glob(f"{_literal(file.stem)}_[0-9].ser"))
        if not series:
            raise VendorError(
                path, f"has no data beside it ({file.stem}_1.ser)", "Copy its SER files into the same folder."
            )
    else:
        series = [file]
    for item in series:
        _check_series(str(item))
    items = file_reader(path)
    for item in items:
        for axis in item["axes"]:
            axis["offset"] = float(axis["offset"]) * _OFFSETS.get(axis.get("units") or "", 1.0)
    return items


def _literal(name: str) -> str:
    """A name as a pattern that only it fits."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _check_series(path: str) -> None:
    """The table of offsets and every element that it points to lie within the file."""
    length = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(34)
        if len(head) < 34 or head[:2] != b"II":
            raise VendorError(path, "does not begin as a TIA series file does", COPY_AGAIN)
        version, valid = struct.unpack_from("<H", head, 4)[0], struct.unpack_from("<I", head, 18)[0]
        width, form = (4, "I") if version <= _LAST_32_BIT else (8, "Q")
        (table,) = struct.unpack_from(f"<{form}", head, 22)
        if valid == 0:
            raise VendorError(
                path, "holds no valid element", "Record it again: the series was stopped before its first element."
            )
        if table + valid * width > length:
            raise VendorError(
                path, f"is cut off: {valid} elements are declared, their table ends after the file", COPY_AGAIN
            )
        file.seek(table)
        offsets = struct.unpack(f"<{valid}{form}", file.read(valid * width))
    if max(offsets) >= length or min(offsets) < 30:
        raise VendorError(path, "declares elements outside the file", COPY_AGAIN)
