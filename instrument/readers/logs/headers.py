"""Headers that say themselves what their columns are: "time_utc", "unix_time [ms]", "temperature [degC]", "stage.x [um]"."""

import re

from instrument.readers.logs.column_table import COUNTS, SCHEMA, UNITS, ColumnRow, ColumnTable, TimeRow
from instrument.readers.logs.zones import read_zone
from instrument.readers.signals import VendorError
from twin.units import read_unit

_CELL = re.compile(r"(?P<name>[^\[\]()]*?)\s*(?:\[(?P<square>[^\[\]]+)\]|\((?P<round>[^()]+)\))?")
_WRITTEN = ("time", "timestamp", "datetime", "date_time")
_COUNTED = ("unix_time", "unix", "epoch", "epoch_time", "time_unix")
_CURE = "Describe its columns in a column table (--columns TABLE.toml, or LOG.columns.toml beside it)."
_NAMES = {name.lower(): name for name in UNITS}


def table_of_header(path: str, cells: list[str]) -> ColumnTable:
    """The column table that a header amounts to; VendorError where it does not say what is needed, naming the column."""
    times: list[TimeRow] = []
    rows: list[ColumnRow] = []
    for number, cell in enumerate(cells, 1):
        match = _CELL.fullmatch(cell)
        name = re.sub(r"\s+", "_", match["name"].strip().lower()) if match else ""
        bracket = ((match["square"] or match["round"] or "") if match else "").strip()
        time = _time(path, number, cell, name, bracket)
        if time is not None:
            times.append(time)
        elif name in _NAMES:
            rows.append(_column(path, number, cell, _NAMES[name], bracket))
    if not times and not rows:
        shown = ",".join(cells)[:40]
        problem = f"is not a log of a Protochips holder (its columns begin with {shown!r}, not with Time, Notes), and its header names no time and no channel"
        raise VendorError(path, problem, _CURE)
    if len(times) != 1:
        problem = f"has {'no column' if not times else 'several columns'} of the time in its header"
        raise VendorError(path, problem, f"Name one, such as time_utc (ISO 8601) or unix_time [s]. {_CURE}")
    if not rows:
        raise VendorError(path, "has no column of a channel that emtwin knows in its header", _CURE)
    twice = next((row.channel for row in rows if sum(other.channel == row.channel for other in rows) > 1), None)
    if twice is not None:
        raise VendorError(path, f"has two columns of {twice!r}", _CURE)
    return ColumnTable(SCHEMA, times[0], rows)


def _time(path: str, number: int, cell: str, name: str, bracket: str) -> TimeRow | None:
    if name in _COUNTED:
        if bracket not in COUNTS:
            problem = f"has the column {cell!r} (number {number}) of counts, without the unit of a count"
            raise VendorError(path, problem, "Write it as unix_time [s], [ms], [us] or [ns].")
        return TimeRow([number], unit=bracket)
    stated = name.removesuffix("_utc")
    if stated not in _WRITTEN and name != "utc":
        return None
    zone = "UTC" if name.endswith("utc") else bracket
    try:
        if zone:
            read_zone(zone)
    except ValueError:
        if read_unit(bracket) is not None:  # seconds since an unknown start
            problem = f"counts its time in {bracket!r} in column {cell!r}, and the header does not say since when"
            raise VendorError(path, problem, _CURE) from None
        problem = f"has {bracket!r} behind the time in column {cell!r}, which is no time zone"
        raise VendorError(path, problem, "Write [UTC], [+02:00] or a name such as [Europe/Berlin].") from None
    return TimeRow([number], format="iso", zone=zone)


def _column(path: str, number: int, cell: str, channel: str, unit: str) -> ColumnRow:
    if not unit and UNITS[channel] != "1":
        problem = f"does not state the unit of its column {cell!r} (number {number})"
        raise VendorError(path, problem, f"Write it behind the name, as in {channel} [unit]. {_CURE}")
    return ColumnRow(number, channel, unit or "1")
