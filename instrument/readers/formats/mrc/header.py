"""The 1024 bytes that begin an MRC file (Cheng et al., J. Struct. Biol. 192, 146 (2015)): byte order, sizes and modes, checked."""

import struct
from typing import NamedTuple

import numpy as np

from instrument.readers.formats.items import COPY_AGAIN
from instrument.readers.signals import VendorError

LENGTH = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2"}
_OTHER_MODES = {3: "complex numbers of 16 bits", 101: "4 bits a pixel"}
_STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_IMOD_STAMP, _IMOD_SIGNED = 1146047817, 1
"""IMOD's mark ("IMOD"), and the bit of its flags that says that bytes are signed."""
_MRC2014 = 20140
MAX_SIDE = 1_000_000


class Header(NamedTuple):
    """``shape`` [z, y, x], byte ``order`` ("<" or ">") and ``dtype`` of the pixels, ``extended`` bytes of ``kind`` before the data, ``cell`` and ``grid``
    (x, y, z; angstrom, intervals),
    ``origin`` in angstrom, ``is_volume`` (a map, no stack of images), ``labels``."""

    shape: tuple[int, int, int]
    order: str
    dtype: np.dtype
    extended: int
    kind: str
    cell: tuple[float, float, float]
    grid: tuple[int, int, int]
    origin: tuple[float, float, float]
    is_volume: bool
    labels: tuple[str, ...]
    version: int


def header_of(path: str, head: bytes) -> Header:
    """The header of a file. VendorError for one that is none, contradicts itself or declares a mode that is not read."""
    if len(head) < LENGTH:
        raise VendorError(path, f"has {len(head)} bytes, fewer than the header of an MRC file", COPY_AGAIN)
    order = _byte_order(path, head)
    words = struct.unpack_from(f"{order}10i6f3i3f2i", head)
    (nx, ny, nz, mode), grid, cell, axes = words[:4], words[7:10], words[10:13], words[16:19]
    low, high, space_group, extended = words[19], words[20], words[22], words[23]
    if min(nx, ny, nz) < 1 or max(nx, ny, nz) > MAX_SIDE:
        raise VendorError(path, f"declares an image of {nx} x {ny} x {nz} pixels", COPY_AGAIN)
    if mode in _OTHER_MODES:
        raise VendorError(
            path, f"holds {_OTHER_MODES[mode]} (mode {mode})", "Convert it to mode 1, 2 or 6 (IMOD: newstack -mode)."
        )
    if mode not in _MODES:
        raise VendorError(path, f"declares mode {mode}, which MRC does not have", COPY_AGAIN)
    if extended < 0:
        raise VendorError(path, f"declares an extended header of {extended} bytes", COPY_AGAIN)
    if axes not in ((1, 2, 3), (0, 0, 0)):
        cure = "Reorder the axes to columns x, rows y, sections z (CCP4's mapmask, or mrcfile)."
        raise VendorError(path, f"has its axes in the order {axes}", cure)
    if not all(np.isfinite(cell)) or min(cell) < 0 or min(grid) < 0:
        raise VendorError(path, "declares a cell that is no size", COPY_AGAIN)
    (version,) = struct.unpack_from(f"{order}i", head, 108)
    name = _MODES[mode] if mode or _signed(order, head, version, low, high) else "u1"
    x, y, z = (value if np.isfinite(value) else 0.0 for value in struct.unpack_from(f"{order}3f", head, 196))
    count = min(max(struct.unpack_from(f"{order}i", head, 220)[0], 0), 10)
    labels = tuple(head[224 + 80 * n : 304 + 80 * n].decode("latin-1").strip("\x00 ") for n in range(count))
    return Header(
        (nz, ny, nx), order, np.dtype(f"{order}{name}"), extended, head[104:108].decode("latin-1").strip("\x00 "), cell, grid,
        (x, y, z), space_group in (1, 401), labels, version,
    )  # fmt: skip


def _byte_order(path: str, head: bytes) -> str:
    """The order in which sizes and mode make sense; VendorError where the machine stamp says the other, or neither makes sense."""
    orders = [order for order in "<>" if _plausible(order, head)]
    stamped = _STAMPS.get(head[212:214])
    if not orders:
        problem = "does not begin as an MRC file does: its sizes and mode make no sense in either byte order"
        raise VendorError(path, problem, "Check that the file is complete and its extension right.")
    if stamped is not None and stamped not in orders:
        names = {"<": "little-endian", ">": "big-endian"}
        problem = f"is stamped {names[stamped]} and its sizes make sense only as {names[orders[0]]}"
        raise VendorError(
            path, problem, "Its header or its bytes were swapped; copy it again or write it anew (IMOD: newstack)."
        )
    return stamped or orders[0]


def _plausible(order: str, head: bytes) -> bool:
    nx, ny, nz, mode = struct.unpack_from(f"{order}4i", head)
    axes = struct.unpack_from(f"{order}3i", head, 64)
    known = mode in _MODES or mode in _OTHER_MODES
    return (
        known and all(-MAX_SIDE <= side <= MAX_SIDE for side in (nx, ny, nz)) and all(0 <= axis <= 3 for axis in axes)
    )


def _signed(order: str, head: bytes, version: int, low: float, high: float) -> bool:
    """Whether bytes (mode 0) are signed: as MRC2014 says, as IMOD's flag says, or as the stated range of the values shows."""
    stamp, flags = struct.unpack_from(f"{order}2i", head, 152)
    if stamp == _IMOD_STAMP:
        return bool(flags & _IMOD_SIGNED)
    return version >= _MRC2014 or not (low >= 0 and high > 127)
