"""Which scans a simulated microscope runs, and how long they take."""

import math
from collections.abc import Collection

from instrument.core.interface import InstrumentError
from twin.records import Scan

ELEMENTARY_CHARGE = 1.602176634e-19
"""Coulomb."""
_MAX_PIXELS = 512
_MAX_SCAN_SECONDS = 3600.0  # s of one scan
_MAX_BEAM_CURRENT = 5e-9  # A of beam current


def frame_seconds(scan: Scan) -> float:
    """Time from the first pixel to the end of the last line."""
    return scan.shape[0] * (scan.shape[1] * scan.dwell + scan.flyback)


def admitted(scan: Scan, detectors: Collection[str], dose_limit: float, blanker: bool = False) -> float:
    """Beam current in electrons per second of a scan that may be run, blanked by a fast ``blanker`` if there is one; else InstrumentError."""
    numbers = {name: getattr(scan, name) for name in ("pixel", "dwell", "flyback", "settle", "dose")}
    for name, value in numbers.items():
        if not (math.isfinite(value) and (value > 0 or (value == 0 and name in ("flyback", "settle", "dose")))):
            raise InstrumentError(f"scan: {name} = {value!r} cannot be used.", "Give a finite number above zero.")
    if scan.detector not in detectors:
        many = "The detector is" if len(detectors) == 1 else "The detectors are"
        raise InstrumentError(f"there is no detector {scan.detector!r}.", f"{many} {', '.join(detectors)}.")
    if scan.blanked and not blanker:
        raise InstrumentError("there is no fast beam blanker.", "Give a scan that is not blanked.")
    if len(scan.shape) != 2 or not all(1 <= n <= _MAX_PIXELS for n in scan.shape):
        raise InstrumentError(
            f"scan: shape {tuple(scan.shape)} cannot be used.", f"Give 1 to {_MAX_PIXELS} lines and pixels."
        )
    if scan.dose > dose_limit:
        raise InstrumentError(
            f"scan: dose {scan.dose:g} e/A^2 is above the limit.", f"Give at most {dose_limit:g} e/A^2."
        )
    if frame_seconds(scan) + scan.settle > _MAX_SCAN_SECONDS:
        raise InstrumentError(
            f"scan: takes {frame_seconds(scan):g} s.", f"Give a shorter dwell; at most {_MAX_SCAN_SECONDS:g} s."
        )
    current = scan.dose * scan.pixel**2 / scan.dwell
    if current * ELEMENTARY_CHARGE > _MAX_BEAM_CURRENT:
        raise InstrumentError(
            f"scan: needs {current * ELEMENTARY_CHARGE:.3g} A of beam.", "Give a longer dwell or a lower dose."
        )
    return current
