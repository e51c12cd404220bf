"""Protochips' logs (CSV): thermal, gas cell and electrical holders. Column names are in the first line, units in the notes of the next lines.

Each note (key = value) is in a line of its own with a copy of the first reading, which is ignored. The time of day has no zone.
"""

import csv
import re
from datetime import UTC, datetime, tzinfo

import numpy as np

from instrument.readers.logs.log import LoggedChannel, SensorLog, in_order
from instrument.readers.logs.text import Numbers, whole_lines
from instrument.readers.logs.zones import LocalTimeError, to_utc, zone_name
from instrument.readers.signals import VendorError
from twin.units import Unit, read_unit

QUANTITIES = ("Temperature", "Pressure", "Current", "Voltage", "Resistance")
MAX_COLUMNS = 200
CLOCK = "local time in a time zone that the file does not state, taken as UTC"
_CURE = "Export it again from the holder's software."


def read_protochips(path: str, max_bytes: int, zone: tzinfo | None = None) -> SensorLog:
    """A Protochips log; VendorError naming what is wrong with it, by line and column. ``max_bytes`` was checked when the file was opened.

    ``zone`` is that of its clock. The file states when it begins, and then counts elapsed time: a change of the clock inside of it shows nowhere.
    """
    lines, notes = whole_lines(path, "Give a CSV log of a Protochips holder.")
    first = lines[0] if lines else ""
    delimiter = next((symbol for symbol in (";", "\t") if symbol in first), ",")
    try:
        table = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise VendorError(path, f"is not CSV ({error})", "Give a CSV log of a Protochips holder.") from error
    rows = [row for row in table if any(row)]
    if not rows or rows[0][:2] != ["Time", "Notes"]:
        heading = ",".join(rows[0])[:40] if rows else ""
        problem = f"is not a log of a Protochips holder: its columns begin with {heading!r}, not with Time, Notes"
        raise VendorError(path, problem, "Give a CSV log of a Protochips holder.")
    columns = rows[0]
    if not 3 <= len(columns) <= MAX_COLUMNS or len(set(columns)) != len(columns):
        raise VendorError(path, f"names {len(columns)} columns, some of them repeated, or no data column", _CURE)
    if not all(column.isprintable() for column in columns):
        raise VendorError(path, "names columns with characters that cannot be printed", _CURE)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(columns):
            cure = _CURE
            if delimiter == ",":
                cure += " If its numbers have decimal commas, its columns must be parted by semicolons."
            raise VendorError(path, f"has {len(row)} cells in line {number} for {len(columns)} columns", cure)
    header_length = next((column_index for column_index, row in enumerate(rows[1:], 1) if "=" not in row[1]), len(rows))
    header_notes = dict(reversed([_header_note(row[1]) for row in rows[1:header_length]]))
    for key in ("Date (yyyy.mm.dd)", "Time (hh:mm:ss.ms)", "Time units"):
        if key not in header_notes:
            raise VendorError(path, f"does not say its {key!r} among the notes", _CURE)
    clock = read_unit(header_notes["Time units"])
    if clock is None or clock.unit != "second":
        raise VendorError(
            path, f"counts its time in {header_notes['Time units']!r}, which is not a unit of time", _CURE
        )
    begin, clock_text = _located(path, _begin(path, header_notes), zone)
    if header_length == len(rows):
        raise VendorError(path, "holds its header, but no reading", "Record it again.")
    numbers = Numbers(comma=delimiter != ",")
    readings = list(enumerate(rows[header_length:], header_length + 1))
    times = [begin + _elapsed(path, row[0], number, clock, numbers) for number, row in readings]
    channels = tuple(
        _channel(path, columns[column_index], column_index, readings, times, header_notes, numbers)
        for column_index in range(2, len(columns))
    )
    name = header_notes.get("Calibration file", "").replace("\\", "/").rpartition("/")[2]
    return SensorLog(
        path,
        f"Protochips {_kind(columns)}",
        name,
        clock_text,
        times[0],
        times[-1],
        channels,
        notes,
        "local" if zone is None else "UTC",
    )


def is_protochips(path: str) -> bool:
    """Whether the first line that holds anything names the columns of a Protochips log. Text that cannot be read is left to the reader."""
    lines, _ = whole_lines(path, "Give a CSV log.")
    first = next((line for line in lines if line.strip()), "")
    return re.match(r"\s*Time\s*[;,\t]\s*Notes\b", first) is not None


def _header_note(note: str) -> tuple[str, str]:
    """Key and value of a note of the header."""
    key, _, value = note.partition("=")
    return key.strip(), value.strip()


def _kind(columns: list[str]) -> str:
    text = " ".join(columns)
    return "gas cell" if "Pressure" in text else "electrical" if "Current" in text else "thermal"


def _located(path: str, local: int, zone: tzinfo | None) -> tuple[int, str]:
    """A local time (ns) as UTC where the ``zone`` is known, and the clock in words."""
    if zone is None:
        return local, CLOCK
    try:
        return int(to_utc(np.array([local]), zone)[0]), f"local time of {zone_name(zone)}, taken to UTC"
    except LocalTimeError as error:
        raise VendorError(path, f"begins at {error.problem}", error.cure) from None


def _begin(path: str, header_notes: dict[str, str]) -> int:
    text = f"{header_notes['Date (yyyy.mm.dd)']} {header_notes['Time (hh:mm:ss.ms)']}"
    try:
        start = datetime.strptime(text, "%Y.%m.%d %H:%M:%S.%f").replace(tzinfo=UTC)
    except ValueError:
        raise VendorError(path, f"begins at {text!r}, which is not a date and time", _CURE) from None
    return (int(start.timestamp()) * 1000 + start.microsecond // 1000) * 10**6


def _elapsed(path: str, text: str, number: int, clock: Unit, numbers: Numbers) -> int:
    """Nanoseconds since the beginning."""
    try:
        seconds = numbers.read(text) * clock.factor
        if not 0.0 <= seconds < 1e9:
            raise ValueError
    except ValueError:
        problem = f"has the time {text[:40]!r} in line {number}, which is not a time since the start"
        raise VendorError(path, problem, "Take the line out, or export the log again.") from None
    return round(seconds * 1e9)


def _channel(
    path: str, column: str, column_index: int, readings: list[tuple[int, list[str]]], times: list[int], header_notes: dict[str, str],
    numbers: Numbers,
) -> LoggedChannel:  # fmt: skip
    values: list[float] = []
    for number, row in readings:
        try:
            values.append(numbers.read(row[column_index]))
        except ValueError:
            problem = f"has {row[column_index][:40]!r} in line {number} of column {column!r}, which is not a number"
            raise VendorError(path, problem, "Take the line out, or export the log again.") from None
    t, x, notes = in_order(path, column, times, values)
    quantity = next((item for item in QUANTITIES if re.search(rf"\b{item}\b", column)), "")
    text = header_notes.get(f"{quantity} units", "") if quantity else ""
    unit = read_unit(text) if text else None
    if unit is None:
        reason = f"states it as {text!r}, which is not a known unit" if text else "states no unit"
        return LoggedChannel(
            column,
            column,
            text,
            None,
            1.0,
            0.0,
            t,
            x,
            column.rpartition(" ")[0],
            f"the file {reason}: unknown",
            notes=notes,
        )
    unit_reason = f"unit stated in the notes ({text} for every {quantity.lower()})"
    return LoggedChannel(
        column, column, text, unit.unit, unit.factor, unit.offset, t, x * unit.factor + unit.offset, column.rpartition(" ")[0], unit_reason, notes=notes
    )  # fmt: skip
