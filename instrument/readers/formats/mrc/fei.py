"""Extended headers of Thermo Fisher's MRC files: a block of metadata for each image (FEI1, FEI2), and the older one of 128 bytes an image.

Layout: Thermo Fisher's "MRC2014 file image format specification", as in mrcfile's dtypes (CCP-EM). Four words of flags say which of the values that follow
them are set; one that is not is left out. Only the block of the first image is read. Lengths are in metres, tilts in degrees, high tension in volts, times
in seconds, the dose in electrons per square metre.
"""

import math
import struct
from typing import Any

from instrument.readers.formats.items import COPY_AGAIN
from instrument.readers.signals import VendorError

_FLAGS = "flags"
_CODES = {"d": 8, "i": 4, "I": 4, "q": 8, "?": 1}
_FIRST = (
    (_FLAGS, "I"), ("Timestamp", "d"), ("Microscope type", "16s"), ("D-Number", "16s"), ("Application", "16s"), ("Application version", "16s"), ("HT", "d"),
    ("Dose", "d"), ("Alpha tilt", "d"), ("Beta tilt", "d"), ("X-Stage", "d"), ("Y-Stage", "d"), ("Z-Stage", "d"), ("Tilt axis angle", "d"),
    ("Dual axis rotation", "d"), ("Pixel size X", "d"), ("Pixel size Y", "d"), *((f"unused {n}", "d") for n in range(6)), ("Defocus", "d"),
    ("STEM Defocus", "d"), ("Applied defocus", "d"), ("Instrument mode", "i"), ("Projection mode", "i"), ("Objective lens mode", "16s"),
    ("High magnification mode", "16s"), ("Probe mode", "i"), ("EFTEM On", "?"), ("Magnification", "d"),
)  # fmt: skip
_SECOND = (
    (_FLAGS, "I"), ("Camera length", "d"), ("Spot index", "i"), ("Illuminated area", "d"), ("Intensity", "d"), ("Convergence angle", "d"),
    ("Illumination mode", "16s"), ("Wide convergence angle range", "?"), ("Slit inserted", "?"), ("Slit width", "d"), ("Acceleration voltage offset", "d"),
    ("Drift tube voltage", "d"), ("Energy shift", "d"), ("Shift offset X", "d"), ("Shift offset Y", "d"), ("Shift X", "d"), ("Shift Y", "d"),
    ("Integration time", "d"), ("Binning Width", "i"), ("Binning Height", "i"), ("Camera name", "16s"), ("Readout area left", "i"), ("Readout area top", "i"),
    ("Readout area right", "i"), ("Readout area bottom", "i"), ("Ceta noise reduction", "?"), ("Ceta frames summed", "i"),
    ("Direct detector electron counting", "?"), ("Direct detector align frames", "?"), *((f"Camera reserved {n}", "i") for n in range(4)),
)  # fmt: skip
_THIRD = (
    (_FLAGS, "I"), *((f"Camera reserved {n}", "i") for n in range(4, 10)), ("Phase Plate", "?"), ("STEM Detector name", "16s"), ("Gain", "d"), ("Offset", "d"),
    *((f"STEM reserved {n}", "i") for n in range(5)), ("Dwell time", "d"), ("Frame time", "d"), ("Scan size left", "i"), ("Scan size top", "i"),
    ("Scan size right", "i"), ("Scan size bottom", "i"), ("Full scan FOV X", "d"), ("Full scan FOV Y", "d"), ("Element", "16s"),
    ("Energy interval lower", "d"), ("Energy interval higher", "d"), ("Method", "i"), ("Is dose fraction", "?"), ("Fraction number", "i"), ("Start frame", "i"),
    ("End frame", "i"), ("Input stack filename", "80s"),
)  # fmt: skip
_FOURTH = ((_FLAGS, "I"), ("Alpha tilt min", "d"), ("Alpha tilt max", "d"))
_FEI2 = (("Scan rotation", "d"), ("Diffraction pattern rotation", "d"), ("Image rotation", "d"), ("Scan mode", "i"), ("Acquisition time stamp", "q"),
         ("Detector commercial name", "16s"))  # fmt: skip
_BLOCKS = {"FEI1": (*_FIRST, *_SECOND, *_THIRD, *_FOURTH), "FEI2": (*_FIRST, *_SECOND, *_THIRD, *_FOURTH, *_FEI2)}
_OLD = (
    "a_tilt",
    "b_tilt",
    "x_stage",
    "y_stage",
    "z_stage",
    "x_shift",
    "y_shift",
    "defocus",
    "exp_time",
    "mean_int",
    "tilt_axis",
    "pixel_size",
    "magnification",
)
_OLD_LENGTH = 128 * 1024
_METRES = ("x_stage", "y_stage", "z_stage", "defocus", "pixel_size")


def extended_header(path: str, kind: str, block: bytes, order: str) -> dict[str, Any]:
    """The values of the first image's block, by name, in a mapping named after the ``kind`` of the header; empty where it is of another program.

    VendorError for a block that is shorter than its kind needs, or declares another length than it can have.
    """
    if kind in _BLOCKS:
        return {kind: _values(path, kind, block)}
    if not kind and len(block) == _OLD_LENGTH:
        values = dict(zip(_OLD, struct.unpack_from(f"{order}13f", block), strict=True))
        # "metres, and another unit above 1", say the readers of this header: such a number is left out
        return {
            "FEI": {
                name: value
                for name, value in values.items()
                if math.isfinite(value) and not (name in _METRES and abs(value) > 1)
            }
        }
    return {}


def _values(path: str, kind: str, block: bytes) -> dict[str, Any]:
    layout = _BLOCKS[kind]
    needed = struct.calcsize("<ii" + "".join(code for _, code in layout))
    size, version = struct.unpack_from("<ii", block) if len(block) >= 8 else (0, 0)
    if not needed <= size <= len(block):
        raise VendorError(
            path,
            f"has a block of metadata ({kind}) of {size} bytes, of which {needed} to {len(block)} are possible",
            COPY_AGAIN,
        )
    values: dict[str, Any] = {"Metadata version": version}
    offset, flags, bit = 8, 0, 0
    for name, code in layout:
        (value,) = struct.unpack_from(f"<{code}", block, offset)
        offset += _CODES.get(code) or int(code[:-1])
        if name == _FLAGS:
            flags, bit = value, 0
            continue
        if flags >> bit & 1 and not name.startswith("unused"):
            values[name] = value.split(b"\x00")[0].decode("latin-1").strip() if isinstance(value, bytes) else value
        bit += 1
    return values
