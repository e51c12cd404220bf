"""Time zones of logs: what a user names, and local times taken to UTC where clocks change twice a year.

In the repeated hour of autumn a local time is two instants. Rows in order of time show which: the first pass ends where a row steps back. Where no row
steps back the instants are not known, and in the hour that spring leaves out there are none: both are refused.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

MINUTE = 60 * 10**9
_EPOCH = datetime(1970, 1, 1)
_FIXED = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?")
FIXED_CURE = "Record logs in UTC. Where it is known what the clock was, cut the log there and name each part's offset, such as +02:00."


class LocalTimeError(ValueError):
    """A local time that is no instant, or two: row ``index``, what is wrong (``problem``), and the ``cure``."""

    def __init__(self, index: int, problem: str, cure: str):
        super().__init__(f"{problem}. {cure}")
        self.index, self.problem, self.cure = index, problem, cure


def read_zone(text: str) -> tzinfo:
    """The zone that ``text`` names: "UTC", an offset such as "+02:00", or an IANA name such as "Europe/Berlin"; ValueError for anything else."""
    name = text.strip()
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    fixed = _FIXED.fullmatch(name)
    if fixed:
        minutes = int(fixed[2]) * 60 + int(fixed[3] or 0)
        if minutes > 14 * 60:
            raise ValueError(f"the offset {name!r} is beyond 14 hours; give one such as +02:00")
        return timezone(timedelta(minutes=minutes if fixed[1] == "+" else -minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone that this computer knows; give a name such as Europe/Berlin, an offset such as +02:00, or UTC"
        ) from None


def zone_name(zone: tzinfo) -> str:
    """The zone in words."""
    return zone.key if isinstance(zone, ZoneInfo) else str(zone.tzname(None))


def to_utc(local: np.ndarray, zone: tzinfo) -> np.ndarray:
    """Local times [n] (int64 ns as if they were UTC, in the order of the rows) of ``zone`` as ns UTC [n].

    LocalTimeError naming the first row that is no instant, or two.
    """
    if not isinstance(zone, ZoneInfo):
        return local - _offset(zone, 0, 0)
    minutes, of_row = np.unique(local // MINUTE, return_inverse=True)
    early, late = (
        np.array([_offset(zone, int(minute), fold) for minute in minutes], dtype=np.int64)[of_row] for fold in (0, 1)
    )
    if (early < late).any():
        index = int(np.argmax(early < late))
        problem = f"{_written(local[index])} is no time in {zone.key}: clocks were set forward past it"
        raise LocalTimeError(index, problem, "Name the zone that the log was written in, or an offset such as +02:00.")
    offset, repeated = early, early > late
    for first, stop in _runs(repeated):
        backwards = np.flatnonzero(np.diff(local[first:stop]) < 0)
        if len(backwards) != 1:
            shown = "no row steps back" if not len(backwards) else "rows step back more than once"
            problem = f"{_written(local[first])} is in the hour that {zone.key} has twice that day, and {shown} in it: which of the two it is is not known"
            raise LocalTimeError(first, problem, FIXED_CURE)
        offset = offset.copy() if offset is early else offset
        second = slice(first + int(backwards[0]) + 1, stop)
        offset[second] = late[second]
    return local - offset


def _offset(zone: tzinfo, minute: int, fold: int) -> int:
    """Nanoseconds by which local time is ahead of UTC in a local minute since 1970."""
    moment = (_EPOCH + timedelta(minutes=minute)).replace(fold=fold)
    difference = zone.utcoffset(moment) or timedelta(0)
    return difference // timedelta(microseconds=1) * 1000


def _runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """First and stop of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _written(local: np.integer) -> str:
    return str(np.datetime64(int(local), "ns").astype("datetime64[s]")).replace("T", " ")
