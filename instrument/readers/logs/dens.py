"""DENSsolutions' heating logs (.dens) of Digiheater 3.1 and 3.2, whose columns differ in order: columns are identified by name.

The date is written once, with a year of two digits (taken as 20yy), and each line has a time of day, which starts again at midnight.
"""

import re
from datetime import UTC, datetime, tzinfo

import numpy as np

from instrument.readers.logs.log import LoggedChannel, SensorLog, in_order
from instrument.readers.logs.text import Numbers, whole_lines
from instrument.readers.logs.zones import LocalTimeError, to_utc, zone_name
from instrument.readers.signals import VendorError
from twin.units import Unit, read_unit

DAY = 86_400 * 10**9
_HEAD = re.compile(r"^(\d{1,2})/(\d{1,2})/'(\d{2})\s+(\d{1,2}):(\d{2})\s+(Digiheater\s+\S+)")
_CALIBRATION = re.compile(r"\b(R0|a|b|c)\s*=\s*([-+0-9.,eE]+)")
_COLUMN = re.compile(r"(\w+)\s*(?:\[(\w+)\])?")
_OF_DAY = re.compile(r"^(\d{1,2}):(\d{2}):(\d{2}(?:[.,]\d+)?)$")
_CURE = "Export it again from the holder's software."
_LABELS = {
    "Tset": "temperature asked for", "Tmeas": "temperature by the heater's resistance", "Rheat": "resistance of the heater",
    "Vheat": "voltage of the heater", "Iheat": "current of the heater", "Pheat": "power of the heater",
    "c": "constant of the calibration R = a T^2 + b T + c", "mode": "state of the control",
}  # fmt: skip


def read_dens(path: str, max_bytes: int, zone: tzinfo | None = None) -> SensorLog:
    """A DENS heating log; VendorError naming what is wrong with it, by line. ``max_bytes`` was checked when the file was opened; ``zone``: of its clock."""
    all_lines, notes = whole_lines(path, "Give a log of a DENSsolutions Digiheater.")
    if not any("\t" in line for line in all_lines):
        all_lines = [line.replace(";", "\t") for line in all_lines]
    lines = [(number, line) for number, line in enumerate(all_lines, 1) if line.strip()]
    head = _HEAD.match(lines[0][1]) if lines else None
    if not head:
        problem = "does not begin with a date and Digiheater's version, such as 16/04/'15 13:53 Digiheater 3.1"
        raise VendorError(path, problem, "Give a log of a DENSsolutions Digiheater.")
    header_index = next((index for index, (_, line) in enumerate(lines) if line.startswith("sample\ttime")), -1)
    if header_index < 0:
        raise VendorError(path, "has no line that names its columns (sample, time, ...)", _CURE)
    columns = _columns(path, lines[header_index][1])
    day, month, year = int(head[1]), int(head[2]), 2000 + int(head[3])
    try:
        begin = int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 10**9
    except ValueError:
        raise VendorError(path, f"is of {day}/{month}/{year}, which is not a date", _CURE) from None
    calibration = {
        key: value.replace(",", ".") for _, line in lines[:header_index] for key, value in _CALIBRATION.findall(line)
    }
    numbers = Numbers()
    times: list[int] = []
    numbers_of_lines: list[int] = []
    cells: list[list[str]] = []
    modes: dict[str, int] = {}
    for number, line in lines[header_index + 1 :]:
        row = [cell.strip() for cell in line.rstrip("\t").split("\t")]
        if len(row) != len(columns):
            raise VendorError(path, f"has {len(row)} cells in line {number} for {len(columns)} columns", _CURE)
        moment = begin + _time_of_day(path, row[1], number, numbers)
        if times and moment < times[-1] - DAY // 2:
            begin, moment = begin + DAY, moment + DAY  # past midnight
        times.append(moment)
        if "mode" in columns:
            mode_index = columns.index("mode")
            row[mode_index] = str(modes.setdefault(row[mode_index], len(modes)))
        cells.append(row)
        numbers_of_lines.append(number)
    if not times:
        raise VendorError(path, "names columns, but holds no reading", "Record it again.")
    times, clock = _located(path, times, numbers_of_lines, zone)
    parts = (path, columns, cells, times, calibration, numbers)
    channels = tuple(_channel(*parts, column, modes) for column in columns if column not in ("sample", "time"))
    return SensorLog(
        path, "DENS heating", re.sub(r"\s+", " ", head[6]), clock, times[0], times[-1], channels, notes, "local" if zone is None else "UTC"
    )  # fmt: skip


def _located(path: str, times: list[int], lines: list[int], zone: tzinfo | None) -> tuple[list[int], str]:
    """Local times (ns) as UTC where the ``zone`` is known, and the clock in words."""
    if zone is None:
        return times, "local time in a time zone that the file does not state, taken as UTC; year 20yy"
    try:
        return to_utc(np.array(times), zone).tolist(), f"local time of {zone_name(zone)}, taken to UTC; year 20yy"
    except LocalTimeError as error:
        raise VendorError(path, f"line {lines[error.index]}: {error.problem}", error.cure) from None


_UNITS = {"Tset": "C", "Tmeas": "C", "Rheat": "ohm", "Vheat": "V", "Iheat": "mA", "Pheat": "mW"}


def _columns(path: str, line: str) -> list[str]:
    """Column names in the file's order; the state of the control has no name and follows the constant c."""
    columns: list[str] = []
    for name, unit in _COLUMN.findall(line):
        if name not in ("sample", "time", "c", *_UNITS):
            raise VendorError(path, f"has a column {name!r}, which no Digiheater log is known to have", _CURE)
        if name in _UNITS and unit != _UNITS[name]:
            raise VendorError(path, f"has the column {name!r} in {unit or 'no unit'}, not {_UNITS[name]}", _CURE)
        columns += [name, "mode"] if name == "c" else [name]
    if columns[:2] != ["sample", "time"] or len(set(columns)) != len(columns) or len(columns) < 3:
        raise VendorError(path, "has repeated or missing column names", _CURE)
    return columns


def _time_of_day(path: str, text: str, number: int, numbers: Numbers) -> int:
    match = _OF_DAY.match(text)
    seconds = numbers.read(match[3]) if match else 60.0
    if not match or int(match[1]) > 23 or int(match[2]) > 59 or seconds >= 60.0:
        problem = f"has the time {text[:40]!r} in line {number}, which is not a time of day"
        raise VendorError(path, problem, "Take the line out, or export the log again.")
    return (int(match[1]) * 3600 + int(match[2]) * 60) * 10**9 + round(seconds * 1e9)


def _channel(
    path: str, columns: list[str], cells: list[list[str]], times: list[int], calibration: dict[str, str], decimals: Numbers, column: str,
    modes: dict[str, int],
) -> LoggedChannel:  # fmt: skip
    def numbers(name: str) -> list[float]:
        column_index = columns.index(name)
        parsed: list[float] = []
        for number, row in enumerate(cells, 1):
            try:
                parsed.append(decimals.read(row[column_index]))
            except ValueError:
                problem = f"has {row[column_index][:40]!r} for {name} in its reading {number}, which is not a number"
                raise VendorError(path, problem, "Take the line out, or export the log again.") from None
        return parsed

    t, x, notes = in_order(path, column, times, numbers(column))
    if column == "mode":
        meanings = {code: text for text, code in modes.items()}
        unit_reason = "states in words: codes, not a quantity"
        return LoggedChannel(
            column, _LABELS[column], "", "1", 1.0, 0.0, t, x, "heater", unit_reason, meanings, notes=notes
        )
    text = _UNITS.get(column, "")
    unit: Unit | None = read_unit(text)
    unit_reason = f"unit stated in the column's name ([{text}])"
    if column == "c":
        fits = {"Tmeas", "Rheat"} <= set(columns) and _is_resistance(calibration, numbers("Tmeas"), numbers("Rheat"))
        unit = read_unit("ohm") if fits else None
        unit_reason = (
            "no unit stated; a T^2 + b T + c gives the Rheat of each line, in ohm"
            if fits
            else "no unit stated, and the name does not determine it: unknown"
        )
    conversion = unit or Unit("", 1.0)
    return LoggedChannel(
        column, _LABELS[column], text, unit.unit if unit else None, conversion.factor, conversion.offset, t,
        x * conversion.factor + conversion.offset, "heater", unit_reason,
        follows="Tset" if column == "Tmeas" and "Tset" in columns else "", notes=notes,
    )  # fmt: skip


def _is_resistance(calibration: dict[str, str], celsius: list[float], ohm: list[float]) -> bool:
    """Whether the calibration in the header gives the resistance from the temperature within 0.1 ohm for most readings."""
    try:
        a, b, c = (float(calibration[key]) for key in "abc")
    except (KeyError, ValueError):
        return False
    matches = sum(abs(a * t * t + b * t + c - r) < 0.1 for t, r in zip(celsius, ohm, strict=True))
    return 2 * matches > len(celsius)
