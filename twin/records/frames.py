"""Records exchanged between an instrument and the twin: readings, scans, frames. msgspec Structs over numpy; no JAX.

Absolute times are int64 nanoseconds UTC. Arrays are [..., y, x]. Intensities of a frame are detector counts; how counts become a
fraction of the incident beam is a matter of calibration, in the twin.
"""

from typing import Literal

import msgspec
import numpy as np

Origin = Literal["measured", "simulated"]


class Readings(msgspec.Struct, frozen=True):
    """A batch of one channel: values in the channel's unit at the source's own times.

    ``first`` is the sequence number of the first value; numbers rise by one per reading and channel, so a gap is seen.
    ``times`` int64 [n] ns UTC by the source's clock (which may be off), ``values`` float64 [n]; NaN: the source reported not a number.
    """

    channel: str
    first: int
    times: np.ndarray
    values: np.ndarray


class Scan(msgspec.Struct, frozen=True):
    """What to record: a raster of ``shape`` (ny, nx) pixels of ``pixel`` angstrom around the beam shift, ``dwell`` seconds each.

    ``dose`` is electrons per square angstrom of scanned area; beam current follows as dose * pixel^2 / dwell. ``flyback`` is the time
    in seconds from the end of a line to the start of the next, with the beam on; ``settle`` the time between the command and the first pixel.
    ``blanked``: the beam is on at the pixels alone. That takes a fast blanker, which also blanks part of each dwell, so that a lower dose at the
    same dwell needs no other beam current (an electron dose modulator, as in US patent 11,848,173).
    """

    detector: str = "HAADF"
    shape: tuple[int, int] = (16, 16)
    pixel: float = 3.905 / 16
    dwell: float = 2e-4
    flyback: float = 1e-3
    settle: float = 0.2
    dose: float = 1e4
    blanked: bool = False


class Exposure(msgspec.Struct, frozen=True):
    """Electrons that reached the specimen for one frame: through the pixels, on flyback, and while parked before the scan."""

    pixels: float
    flyback: float
    settle_dose: float

    @property
    def total(self) -> float:
        return self.pixels + self.flyback + self.settle_dose


class Frame(msgspec.Struct, frozen=True):
    """One recorded image or spectrum. ``data`` is [ny, nx] (or [channels]) in counts; ``start`` is the time of the first pixel.

    ``settings`` are the controls as commanded when it was recorded. ``origin``: "measured" by an instrument or "simulated".
    ``meta`` holds further statements of the source, unverified.
    """

    data: np.ndarray
    sequence: int
    start: int
    scan: Scan
    settings: dict[str, float]
    exposure: Exposure
    origin: Origin = "measured"
    meta: dict[str, str | float | int | bool | None] = {}
