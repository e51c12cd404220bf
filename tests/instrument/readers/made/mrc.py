"""MRC files: header by offsets of MRC2014, the extended header by those of Thermo Fisher's specification, SerialEM's .mdoc."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6, "f2": 12}
FEI1 = 768
HT, ALPHA, X_STAGE, PIXEL_X, PIXEL_Y, DEFOCUS, PROJECTION, MAGNIFICATION = 84, 100, 116, 156, 164, 220, 248, 289
"""Offsets in a block of FEI1, and those of the second part."""
CAMERA_LENGTH, SPOT, EXPOSURE, CAMERA = 301, 309, 419, 435
MASKS = (8, 297)
"""Offsets of the first two words of flags."""


def mrc(
    path: Path,
    data: np.ndarray,
    pixel: float = 2.5,
    extended: bytes = b"",
    kind: bytes = b"",
    order: str = "<",
    stamp: bytes | None = None,
    words: Mapping[int, int] | None = None,
) -> Path:
    """A file of ``data`` [z, y, x] with a pixel in angstrom; ``words`` replaces 32-bit words of the header by number, from 0."""
    nz, ny, nx = data.shape
    head = bytearray(1024)
    struct.pack_into(f"{order}10i", head, 0, nx, ny, nz, MODES[data.dtype.str[1:]], 0, 0, 0, nx, ny, nz)
    struct.pack_into(f"{order}6f", head, 40, nx * pixel, ny * pixel, nz * pixel, 90, 90, 90)
    struct.pack_into(
        f"{order}3i3f2i",
        head,
        64,
        1,
        2,
        3,
        float(np.real(data).min()),
        float(np.real(data).max()),
        0.0,
        0,
        len(extended),
    )
    head[104:108] = kind.ljust(4, b"\x00")
    struct.pack_into(f"{order}i", head, 108, 20140)
    head[208:212] = b"MAP "
    head[212:216] = stamp if stamp is not None else (b"\x44\x44\x00\x00" if order == "<" else b"\x11\x11\x00\x00")
    for name, value in (words or {}).items():
        struct.pack_into(f"{order}i", head, 4 * name, value)
    path.write_bytes(bytes(head) + extended + data.astype(f"{order}{data.dtype.str[1:]}").tobytes())
    return path


def fei1(projection: int = 2, unset: tuple[int, ...] = ()) -> bytes:
    """A block of FEI1: 300 kV, -1.5 um, alpha 30 degrees, pixel 0.25 nm, 2024-03-01 12:00; ``unset``: bits of the first flags that are not set."""
    block = bytearray(FEI1)
    struct.pack_into("<ii", block, 0, FEI1, 0)
    flags = 0xFFFFFFFF
    for bit in unset:
        flags &= ~(1 << bit)
    for offset, value in zip(MASKS, (flags, 0xFFFFFFFF), strict=True):
        struct.pack_into("<I", block, offset, value)
    struct.pack_into("<d", block, 12, 45352.5)
    block[36:40] = b"3692"
    for offset, value in (
        (HT, 300e3),
        (92, 4e21),
        (ALPHA, 30.0),
        (X_STAGE, 1.5e-4),
        (PIXEL_X, 2.5e-10),
        (PIXEL_Y, 2.5e-10),
        (DEFOCUS, -1.5e-6),
    ):
        struct.pack_into("<d", block, offset, value)
    struct.pack_into("<i", block, PROJECTION, projection)
    for offset, value in ((MAGNIFICATION, 53000.0), (CAMERA_LENGTH, 0.4), (EXPOSURE, 1.25)):
        struct.pack_into("<d", block, offset, value)
    struct.pack_into("<i", block, SPOT, 7)
    block[CAMERA : CAMERA + 7] = b"BM-Ceta"
    return bytes(block)


MDOC = """PixelSpacing = 2.5
Voltage = 300
ImageFile = tilts.mrc
[T = SerialEM: a microscope 25-Mar-21 16:59:53]

[ZValue = 0]
TiltAngle = -59.99
StagePosition = 919.141 -849.9
StageZ = 54.986
Magnification = 53000
ExposureDose = 3.2
PixelSpacing = 2.5
SpotSize = 7
Defocus = -3.51
TargetDefocus = -4
ExposureTime = 1.00134
CountsPerElectron = 16
DateTime = 25-Mar-21 17:00:46

[ZValue = 1]
TiltAngle = -57.01
Defocus = nan
DateTime = 25-Mar-21 17:01:40
"""
