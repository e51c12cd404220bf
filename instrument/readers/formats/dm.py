"""Gatan's DigitalMicrograph (DM3, DM4), read by RosettaSciIO after the file's length has been checked: the parser follows tags to wherever they point."""

import os
import struct

from rsciio.digitalmicrograph import file_reader

from instrument.readers.formats.items import COPY_AGAIN, Item
from instrument.readers.signals import VendorError

_HEADERS = {3: (">I", 4, 12), 4: (">Q", 4, 16)}
"""By version: form and offset of the length of the root tag, and length of the header before it."""
_END = 16
"""Bytes that may follow the root tag; DigitalMicrograph writes 8."""


def read(path: str, max_bytes: int) -> list[Item]:
    """The images and spectra of a file. VendorError where the length that its header declares is not that of the file."""
    length = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(16)
    form, offset, header = _HEADERS[head[3]]
    if len(head) < 16:
        raise VendorError(path, "ends within its header", COPY_AGAIN)
    (declared,) = struct.unpack_from(form, head, offset)
    if not declared + header <= length <= declared + header + _END:
        problem = f"has {length} bytes where its header declares {declared + header}"
        raise VendorError(path, problem, COPY_AGAIN)
    return file_reader(path)
