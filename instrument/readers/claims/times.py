"""Times as files write them: counts since an epoch, ISO 8601, and dates of vendors' own fashion; with what is known of the time zone."""

import math
import re
from datetime import UTC, datetime
from typing import NamedTuple

EARLIEST, LATEST = 631_152_000, 4_102_444_800
"""Seconds since 1970 of 1990-01-01 and 2100-01-01: a time outside is none of a digital microscope (0 stands for "not set")."""
_EPOCHS = {"s": (1.0, 0.0), "ms": (1e-3, 0.0), "us": (1e-6, 0.0), "filetime": (1e-7, 11_644_473_600.0), "ole": (86400.0, 2_209_161_600.0)}  # fmt: skip
"""Seconds of one count, and seconds from the epoch to 1970. FILETIME: 100 ns since 1601-01-01 (Windows); "ole": days since 1899-12-30 (OLE Automation)."""
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(\.\d+)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?")
_SLASHED = re.compile(r"(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4})\s+(\d{1,2}):(\d{2})(?::(\d{2})(\.\d+)?)?\s*([AaPp][Mm])?")
_FORMATS = (
    "%a %b %d %H:%M:%S %Y",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%y %H:%M:%S",
    "%b %d %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%Y%m%d %H%M%S",
)


class Instant(NamedTuple):
    """A ``time`` in ns UTC (as if UTC where ``zone`` is "local"), and the ``step`` in ns to which it is written."""

    time: int
    zone: str
    step: float


def epoch(count: float, unit: str) -> Instant | None:
    """The time that is ``count`` of ``unit`` ("s", "ms", "us", "filetime", "ole") after its epoch; None outside 1990 to 2100. Epochs are UTC, but OLE's,
    whose days
    are those of the computer's time zone."""
    seconds, begin = _EPOCHS[unit]
    after = count * seconds - begin
    if not (math.isfinite(after) and EARLIEST <= after <= LATEST):
        return None
    # a double holds a FILETIME to 16 counts, a microsecond
    return Instant(round(after * 1e6) * 1000, "local" if unit == "ole" else "UTC", 1e9 if unit == "s" else 1e6)


def written_time(text: str) -> Instant | None:
    """The time that ``text`` states; None for none. A zone is read where it is written, else the zone is "local".

    Of "7/9/2014" the order is that of the United States where hours have AM or PM, and day first where they run to 24, unless a number above 12 says
    otherwise.
    """
    text = " ".join(text.replace("\u2028", " ").replace("\u202f", " ").split())
    iso = _ISO.fullmatch(text)
    if iso:
        fraction = iso[7] or ""
        moment = _moment(*(int(iso[index]) for index in range(1, 7)), fraction=fraction)
        if moment is None:
            return None
        zone = iso[8]
        if zone and zone not in ("Z", "UTC"):
            hours, minutes = int(zone[:3]), int(zone[-2:])
            moment -= (hours * 60 + (minutes if hours >= 0 and zone[0] == "+" else -minutes)) * 60 * 10**9
        return Instant(moment, "UTC" if zone else "local", _step(fraction))
    slashed = _SLASHED.fullmatch(text)
    if slashed:
        return _of_slashed(slashed)
    for pattern in _FORMATS:
        try:
            parsed = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        seconds = int(parsed.timestamp())
        return Instant(seconds * 10**9, "local", 1e9) if EARLIEST <= seconds <= LATEST else None
    return None


def _of_slashed(match: re.Match[str]) -> Instant | None:
    first, second, third = (int(match[index]) for index in (1, 2, 3))
    hour, minute, second_of_minute = int(match[4]), int(match[5]), int(match[6] or 0)
    half = (match[8] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "pm" else 0)
    if first > 31:
        year, month, day = first, second, third
    else:
        month_first = second > 12 or (bool(half) and first <= 12)
        month, day = (first, second) if month_first else (second, first)
        year = third + 2000 if third < 100 else third
    fraction = match[7] or ""
    moment = _moment(year, month, day, hour, minute, second_of_minute, fraction=fraction)
    return None if moment is None else Instant(moment, "local", _step(fraction) if match[6] else 6e10)


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int, fraction: str) -> int | None:
    try:
        seconds = int(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()) + (
            second == 60
        )
    except ValueError:
        return None
    if not EARLIEST <= seconds <= LATEST or second > 60:
        return None
    return seconds * 10**9 + int(((fraction or ".0")[1:10]).ljust(9, "0"))


def _step(fraction: str) -> float:
    return 10.0 ** (9 - min(max(len(fraction) - 1, 0), 9))
