"""Plain logs of columns (CSV): parted by commas, semicolons or tabs, described by a column table or by their own header."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import numpy as np

from instrument.readers.logs.column_table import COUNTS, KINDS, ColumnRow, ColumnTable, TimeRow, column_unit
from instrument.readers.logs.headers import table_of_header
from instrument.readers.logs.log import EARLIEST, LoggedChannel, SensorLog, in_order
from instrument.readers.logs.text import Numbers, whole_lines
from instrument.readers.logs.zones import LocalTimeError, read_zone, to_utc, zone_name
from instrument.readers.signals import VendorError

_EPOCH = datetime(1970, 1, 1)
_FILETIME = Decimal(11_644_473_600 * 10**9)
_CURE = "Take the line out, or export the log again."
_ABSENT = ("", "nan", "NaN", "NAN")
"""Cells without a reading, besides those that a table names."""


class _Row(NamedTuple):
    line: int
    cells: list[str]


class Stamp(NamedTuple):
    """A time in ns, UTC if ``fixed``, else of a clock whose zone the text does not state."""

    time: int
    fixed: bool


def read_delimited(path: str, zone: tzinfo | None, table: ColumnTable | None) -> SensorLog:
    """A log of columns; VendorError naming what is wrong with it, by line and column. ``zone`` is of times for which nothing else states one."""
    lines, notes = whole_lines(path, "Give a log of text in columns.")
    skip = 0 if table is None else table.skip
    header = next((line for line in lines[skip:] if line.strip()), "")
    delimiter = (table.delimiter if table else "") or next((symbol for symbol in (";", "\t") if symbol in header), ",")
    rows = _rows(path, lines, delimiter, skip, table.comment if table else "")
    if not rows:
        raise VendorError(path, "holds no lines of data", "Export it again.")
    names = rows[0].cells if table is None or table.header else []
    table = table_of_header(path, names) if table is None else table
    rows = rows[(1 if names else 0) + table.skip_after :]
    if not rows:
        raise VendorError(path, "holds its header, but no reading", "Record it again.")
    at = [_position(path, column, names) for column in table.time.columns]
    columns = [(_position(path, row.column, names), row) for row in table.column]
    width = len(names) or max([*at, *(index for index, _ in columns)]) + 1
    for row in rows:
        _check_width(path, row, width, delimiter, bool(names))
    times, clock, known = _times(path, table.time, rows, at, zone, delimiter != ",")
    numbers = Numbers(comma=delimiter != ",", mark=table.decimal)
    absent = {*_ABSENT, *table.missing}
    channels = tuple(_channel(path, row, index, names, rows, times, numbers, absent) for index, row in columns)
    if not any(len(item.times) for item in channels):
        raise VendorError(path, "holds no number in the columns described", "Look whether the column table fits it.")
    return SensorLog(
        path, "columns", table.name, clock, int(times[0]), int(times[-1]), channels, notes, "UTC" if known else "local"
    )


def _rows(path: str, lines: list[str], delimiter: str, skip: int, comment: str) -> list[_Row]:
    """Lines that hold something, as their cells."""
    kept = [
        "" if number < skip or (comment and line.startswith(comment)) else line for number, line in enumerate(lines)
    ]
    reader = csv.reader(kept, delimiter=delimiter)
    try:
        rows = [_Row(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise VendorError(path, f"is not CSV ({error}, line {reader.line_num})", "Export it again.") from error
    return [row for row in rows if any(row.cells)]


def _position(path: str, column: str | int, names: list[str]) -> int:
    """Index of the column with that name or number."""
    if isinstance(column, int):
        if column < 1 or (names and column > len(names)):
            raise VendorError(path, f"has no column number {column}", "Columns count from 1; mend the column table.")
        return column - 1
    if names.count(column) != 1:
        has = "no column" if column not in names else f"{names.count(column)} columns"
        cure = (
            f"Its columns are {', '.join(names)[:200]}; mend the column table."
            if names
            else "Without a header, give numbers."
        )
        raise VendorError(path, f"has {has} called {column!r}", cure)
    return names.index(column)


def _check_width(path: str, row: _Row, width: int, delimiter: str, named: bool) -> None:
    count = len(row.cells)
    if count < width or (named and any(row.cells[width:])):
        cure = _CURE
        if delimiter == "," and count > width:
            cure += " If its numbers have decimal commas, its columns must be parted by semicolons."
        raise VendorError(path, f"has {count} cells in line {row.line} for {width} columns", cure)


def _times(
    path: str, described: TimeRow, rows: list[_Row], at: list[int], zone: tzinfo | None, comma: bool
) -> tuple[np.ndarray, str, bool]:
    """Times [n] of the rows in ns, the clock in words, and whether they are UTC."""
    read = _reader(described, comma)
    stamps: list[Stamp] = []
    for row in rows:
        text = " ".join(row.cells[index] for index in at)
        try:
            stamps.append(read(text))
        except (ValueError, OverflowError, InvalidOperation):
            problem = f"has the time {text[:40]!r} in line {row.line}, which is not {_form(described)}"
            raise VendorError(path, problem, f"{_CURE} If all are like it, mend the form of the time.") from None
        if stamps[-1].fixed != stamps[0].fixed:
            problem = f"has times with a zone and times without one: {text[:40]!r} in line {row.line} differs from those above it"
            raise VendorError(path, problem, "Export it with a zone at every time.")
    times = np.array([stamp.time for stamp in stamps], dtype=np.int64)
    if stamps[0].fixed:
        return times, "times with their zone, taken to UTC", True
    zone = read_zone(described.zone) if described.zone else zone
    if zone is None:
        return times, "local time in a time zone that is not stated, taken as UTC", False
    try:
        return to_utc(times, zone), f"local time of {zone_name(zone)}, taken to UTC", True
    except LocalTimeError as error:
        raise VendorError(path, f"line {rows[error.index].line}: {error.problem}", error.cure) from None


def _form(described: TimeRow) -> str:
    if described.unit:
        return f"a count of {described.unit}"
    return "ISO 8601, such as 2025-07-28 11:26:27" if described.format == "iso" else f"of the form {described.format!r}"


def _reader(described: TimeRow, comma: bool) -> Callable[[str], Stamp]:
    """The function that reads one time; it raises ValueError for what is none."""
    if described.format == "iso":
        return lambda text: _stamp(datetime.fromisoformat(text))
    if described.format:
        return lambda text: _stamp(datetime.strptime(text, described.format))
    since, count = Stamp(0, True), Decimal(COUNTS[described.unit])
    if described.since:
        since = _stamp(datetime.fromisoformat(described.since))
        if not since.fixed and described.zone:
            since = Stamp(int(to_utc(np.array([since.time]), read_zone(described.zone))[0]), True)
    before = _FILETIME if described.unit == "filetime" else Decimal(0)
    return lambda text: Stamp(
        since.time + int(Decimal(text.replace(",", ".") if comma else text) * count - before), since.fixed
    )


def _stamp(moment: datetime) -> Stamp:
    fixed = moment.tzinfo is not None
    plain = moment.astimezone(UTC).replace(tzinfo=None) if fixed else moment
    return Stamp((plain - _EPOCH) // timedelta(microseconds=1) * 1000, fixed)


def _channel(
    path: str, described: ColumnRow, index: int, names: list[str], rows: list[_Row], times: np.ndarray, numbers: Numbers, absent: set[str]
) -> LoggedChannel:  # fmt: skip
    unit = column_unit(described, path)
    label = names[index] if names else f"column {index + 1}"
    read_times: list[int] = []
    values: list[float] = []
    for row, time in zip(rows, times.tolist(), strict=True):
        cell = row.cells[index]
        if cell in absent:
            continue
        try:
            values.append(numbers.read(cell))
        except ValueError:
            problem = f"has {cell[:40]!r} in line {row.line} of column {label!r}, which is not a number"
            cure = f'{_CURE} Cells without a reading: missing = ["..."] in the column table.'
            raise VendorError(path, problem, cure) from None
        read_times.append(time)
    t, x, notes = in_order(path, label, read_times or [EARLIEST * 10**9], values or [np.nan])
    return LoggedChannel(
        described.channel, label, described.unit, unit.unit, unit.factor, unit.offset, t, x * unit.factor + unit.offset, "", "unit stated with the column",
        notes=() if not values else notes, kind=described.kind or KINDS.get(described.channel, "measured"), bias=described.bias * unit.factor,
    )  # fmt: skip
