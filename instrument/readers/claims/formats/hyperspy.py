"""Claims of HyperSpy's own metadata (HSPY, ZSPY), in the units of its metadata reference: keV, nA, mm, mrad, degrees, seconds; the thickness in metres.

Angles are semi-angles. HyperSpy names no defocus; a leaf ``defocus`` with its unit beside it (``defocus_units``) is taken as C10, positive for overfocus,
as emtwin writes it. A leaf with a unit beside it is read in that unit.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from instrument.readers.claims.rules import Found, apply_rules, rule, time_claim
from instrument.readers.claims.times import written_time
from twin.records import HYPERSPY_PLACES, HyperspyPlace, Value

_UNITS = ("", "_units")


def _pattern(entry: HyperspyPlace) -> str:
    """Of the keys of a place; microscopes are TEM or SEM."""
    keys = "|".join(re.escape(key) for key in (entry.key, *entry.also))
    return rf"metadata\.(?:{keys})".replace(
        re.escape("Acquisition_instrument.TEM"), r"Acquisition_instrument\.(TEM|SEM)"
    )


RULES = tuple(
    rule(entry.field, _pattern(entry), entry.unit, _UNITS if entry.beside and entry.unit is not None else None)
    for entry in HYPERSPY_PLACES
)
TIMES = {"time.unstated": ("metadata.General.date, .time, .time_zone: acquisition or creation",)}
_OFFSET = re.compile(r"Z|UTC|[+-]\d{2}:?\d{2}")


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a HyperSpy file."""
    yield from apply_rules(RULES, raw)
    key = "metadata.General.date"
    date, clock = (str(raw.get(f"metadata.General.{part}", "")).strip() for part in ("date", "time"))
    zone = str(raw.get("metadata.General.time_zone", "")).strip()
    if date and clock:
        offset = zone if _OFFSET.fullmatch(zone) else _offset(f"{date}T{clock}", zone)
        if (claim := time_claim(key, f"{date} {clock} {zone}", written_time(f"{date}T{clock}{offset}"))) is not None:
            yield "time.unstated", claim


def _offset(moment: str, zone: str) -> str:
    """The offset from UTC of a named zone at a local time, "+01:00"; "" for none, and for an hour that the change of summer time makes twice or leaves out."""
    try:
        known, local = ZoneInfo(zone), datetime.fromisoformat(moment)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    first, second = (local.replace(tzinfo=known, fold=fold).utcoffset() for fold in (0, 1))
    if first is None or first != second:
        return ""
    minutes = round(first.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
