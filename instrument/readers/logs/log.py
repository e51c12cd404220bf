"""A sensor log: channels of timed values in this project's units, with the reason for each unit. msgspec over numpy; no JAX."""

import math
from typing import Literal

import msgspec
import numpy as np

from instrument.readers.signals import VendorError

EARLIEST, LATEST = 631_152_000, 4_102_444_800
"""Seconds since 1970 of 1990-01-01 and 2100-01-01: a time outside is no time of a microscope."""


class LoggedChannel(msgspec.Struct, frozen=True):
    """One parameter of a log: values [n] in ``unit`` at ``times`` [n] (int64 ns UTC, strictly increasing).

    value = number in the file * ``factor`` + ``offset``. ``unit`` is angstrom, radian, kelvin, volt, ..., "1" (dimensionless), or None: unknown,
    and then the values are bare numbers. ``why`` gives the reason for the unit. ``meanings`` names the codes of an enumeration.
    ``limits`` are the least and largest value that the log itself declares (None: not stated), ``max_interval`` (s) the longest time
    between two records that it declares. ``follows`` is the channel this one is set by, where the format says so. ``kind`` (of `twin.channels`; "": not
    stated) and ``bias`` (rms of a constant error, in ``unit``) are what a column table states.
    """

    name: str
    label: str
    stated_unit: str
    unit: str | None
    factor: float
    offset: float
    times: np.ndarray
    values: np.ndarray
    source: str
    why: str
    meanings: dict[int, str] = {}
    limits: tuple[float | None, float | None] = (None, None)
    max_interval: float | None = None
    follows: str = ""
    notes: tuple[str, ...] = ()
    kind: str = ""
    bias: float = 0.0


class SensorLog(msgspec.Struct, frozen=True):
    """A file of logged channels. ``clock`` describes its time zone; ``start`` and ``end`` (ns UTC) are the period that it covers;
    ``notes`` say what of the file was left out. ``zone`` is "UTC", or "local" where the times are of a zone that is not known and stand as if that were UTC."""

    path: str
    kind: str
    name: str
    clock: str
    start: int
    end: int
    channels: tuple[LoggedChannel, ...]
    notes: tuple[str, ...] = ()
    zone: Literal["UTC", "local"] = "UTC"

    def channel(self, name: str) -> LoggedChannel:
        """The channel of that name; ValueError if there is none."""
        for item in self.channels:
            if item.name == name:
                return item
        near = [item.name for item in self.channels if name.lower() in item.name.lower()][:5]
        like = f"; like it are {', '.join(near)}" if near else ""
        raise ValueError(f"{self.path}: no channel {name!r} among {len(self.channels)}{like}")


def in_order(
    path: str, name: str, times: list[int], numbers: list[float]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Times and values with NaN and repeats left out, and what was left out in words. VendorError if times run backwards or are outside 1990 to 2100.

    Of several values at one time the last is kept, as the vendor's display shows it.
    """
    early, late = min(times, default=EARLIEST * 10**9), max(times, default=EARLIEST * 10**9)
    if early < EARLIEST * 10**9 or late > LATEST * 10**9:
        bad_time = early if early < EARLIEST * 10**9 else late
        year = 1970 + bad_time / 1e9 / 31_556_952
        raise VendorError(
            path,
            f"{name} has a time in the year {year:.0f}, which is impossible for a microscope",
            "Set the instrument's clock, or take the line out.",
        )
    t, x = np.array(times, dtype=np.int64), np.array(numbers, dtype=np.float64)
    notes: list[str] = []
    if t.size > 1 and (np.diff(t) < 0).any():
        index = int(np.argmax(np.diff(t) < 0))
        step_back = (t[index] - t[index + 1]) / 1e9
        raise VendorError(
            path,
            f"the times of {name} run backwards: value {index + 2} comes {step_back:g} s before the one above it",
            "Export the log again, or cut it where the clock was set.",
        )
    finite = np.isfinite(x)
    if not finite.all():
        notes.append(f"{int((~finite).sum())} of {x.size} values are not numbers: left out")
        t, x = t[finite], x[finite]
    if t.size > 1:
        last_at_time = np.append(np.diff(t) > 0, True)
        if not last_at_time.all():
            notes.append(f"{int((~last_at_time).sum())} values have the time of the next one: left out")
            t, x = t[last_at_time], x[last_at_time]
    return t, x, tuple(notes)


def bound(text: str | None, factor: float, offset: float) -> float | None:
    """A declared limit in the inside unit; None where none is stated (vendors write the largest double for that)."""
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number * factor + offset if math.isfinite(number) and abs(number) < 1e300 else None
