"""A calibration table from a CSV file: one setting a row, its columns named with their units, brought to inside units.

Columns: ``high_tension [kV]``; ``mode`` (imaging, diffraction, probe), ``range``, ``spot``, ``normalisation``; controls by the column's names
(``lens.objective``, ``aperture.C2 [um]``); quantities (``camera_length [mm]``) and, beside them, ``camera_length error [mm]``. An empty cell is not reported.
A row of a mode is one in focus of that mode, unless it gives the defocus.
"""

import csv
import math
import re
from pathlib import Path

from reconstruct.calibration.quantities import NAMES, quantity
from reconstruct.calibration.rows import Row
from twin.column.column import Column
from twin.column.elements import Aperture
from twin.column.settings import Key, Settings
from twin.errors import BadInput
from twin.units import axis_unit, read_unit

MAX_FILE_SIZE = 8 * 2**20
"""Largest size of a table in bytes."""
MAX_ROWS = 5000
_HEADER = re.compile(r"^\s*([A-Za-z0-9_. ]+?)\s*(?:\[(.*?)\])?\s*$")
_KEYS = ("mode", "range", "spot", "normalisation")
_MODES = {"imaging": "defocus", "diffraction": "pattern_defocus", "probe": "probe_defocus"}
_WRITTEN = {
    "volt": "V, kV, MV", "ampere": "A, uA, nA, pA", "1": "% (or nothing)", "angstrom": "m, mm, um, nm, pm, angstrom",
    "radian": "rad, mrad, deg", "1/angstrom": "1/nm, 1/angstrom",
}  # fmt: skip
"""How units of each kind are written."""


def read_table(path: Path, column: Column) -> list[Row]:
    """The rows of a table in a file; BadInput naming the file, the row and the cell, what is wrong and the cure."""
    return table_rows(str(path), _text(path), column)


def table_rows(path: str, text: str, column: Column) -> list[Row]:
    """The rows of a table that is the ``text`` of a file, called ``path`` in messages; BadInput as `read_table`."""
    header, lines = _lines(path, text)
    columns = [_column(path, text, column) for text in header]
    names = [(name, error) for name, _, error in columns]
    twice = sorted({name for name, error in names if names.count((name, error)) > 1})
    if twice:
        raise BadInput(path, f"has two columns {twice[0]!r}", "Keep one of them.")
    if ("high_tension", False) not in names:
        raise BadInput(path, "has no column high_tension", "Add one, e.g. 'high_tension [kV]'.")
    if not any(name in NAMES and not error for name, error in names):
        raise BadInput(path, "has no measured quantity", f"Add a column of one of: {', '.join(NAMES)}, with its unit.")
    rows: list[Row] = []
    for number, cells in lines:
        rows += _row(path, number, cells, columns)
    if not rows:
        raise BadInput(path, "has no measured value in any row", "Fill in what was measured.")
    return rows


def _text(path: Path) -> str:
    if not path.is_file():
        raise BadInput(str(path), "is no file", "Name a CSV file of settings and what was measured at them.")
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise BadInput(str(path), f"is larger than {MAX_FILE_SIZE // 2**20} MiB", "Name a calibration table.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", "Check its permissions.") from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "is not text in UTF-8", "Save it as CSV in UTF-8.") from None


def _lines(path: str, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        lines = [
            (number, cells)
            for number, cells in enumerate(csv.reader(text.splitlines(), strict=True), start=1)
            if any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#")
        ]
    except csv.Error as error:
        raise BadInput(path, f"is not CSV ({error})", "Save it as comma-separated values.") from None
    if len(lines) < 2 or len(lines) > MAX_ROWS + 1:
        raise BadInput(path, f"has {max(len(lines) - 1, 0)} rows", f"Give a header and 1 to {MAX_ROWS} rows.")
    header = lines[0][1]
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise BadInput(
                f"{path}, line {number}", f"has {len(cells)} cells, the header {len(header)}", "Make them as many."
            )
    return header, lines[1:]


def _column(path: str, text: str, column: Column) -> tuple[str, float, bool]:
    """Name, factor to inside units (0: text) and whether it is the error of that quantity."""
    match = _HEADER.match(text)
    if match is None:
        raise BadInput(path, f"has a column headed {text!r}", "Write 'name' or 'name [unit]'.")
    name, unit = match.group(1), (match.group(2) or "").strip()
    error = name.endswith(" error")
    name = name.removesuffix(" error")
    if name in _KEYS or name == "label":
        return name, 0.0, False
    apertures = {aperture.control for aperture in column.table.of(Aperture)}
    if name == "high_tension":
        inside = "volt"
    elif name in apertures:
        inside = "angstrom"
    elif name in column.controls:
        inside = "1"
    elif name in NAMES:
        inside = quantity(name).unit
    else:
        raise BadInput(
            path,
            f"has a column {name!r} that means nothing here",
            f"Name a control ({', '.join(column.controls)}), a quantity ({', '.join(NAMES)}), {', '.join(_KEYS)} or label; "
            "start a line with # to leave it out.",
        )
    factor = _factor(unit, inside)
    if factor is None:
        shown = f"unit {unit!r}" if unit else "no unit"
        raise BadInput(f"{path}, column {name}", f"has {shown}", f"Write it in brackets: {_WRITTEN[inside]}.")
    return name, factor, error


def _factor(unit: str, inside: str) -> float | None:
    """What a number in ``unit`` is times in the unit ``inside``; None where it is of another kind. "A" is angstrom of lengths and ampere of currents."""
    if inside == "1" and unit in ("", "1"):
        return 1.0
    read = axis_unit(unit) if inside in ("angstrom", "1/angstrom", "radian") else read_unit(unit, any_case=True)
    return read.factor if read is not None and read.unit == inside and not read.offset else None


def _row(path: str, number: int, cells: list[str], columns: list[tuple[str, float, bool]]) -> list[Row]:
    controls: dict[str, float] = {}
    words: dict[str, str] = {}
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for cell, (name, factor, error) in zip(cells, columns, strict=True):
        cell = cell.strip()
        if not cell:
            continue
        if factor == 0.0:
            words[name] = cell
            continue
        try:
            value = float(cell) * factor
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadInput(
                f"{path}, line {number}, column {name}", f"is {cell!r}", "Give a finite number, or leave it empty."
            )
        (errors if error else values if name in NAMES else controls)[name] = value
    location = f"{path}, line {number}"
    if "high_tension" not in controls:
        raise BadInput(location, "has no high_tension", "Give it: every optical property hangs on it.")
    mode = words.get("mode", "")
    if mode and mode not in _MODES:
        raise BadInput(location, f"has mode {mode!r}, which no column has", f"Give one of {', '.join(_MODES)}.")
    lost = sorted(set(errors) - set(values))
    if lost:
        raise BadInput(location, f"has an error of {lost[0]} but no value", "Give both, or neither.")
    try:
        key = Key(*(words.get(name, "") for name in _KEYS))
        settings = Settings(controls.pop("high_tension"), controls, key=key)
    except ValueError as error:
        raise BadInput(location, str(error), "Check the row.") from None
    label = words.get("label", f"line {number}")
    rows = [Row(f"{label}: {name}", settings, name, value, errors.get(name, 0.0)) for name, value in values.items()]
    focus = _MODES.get(mode)
    if rows and focus is not None and focus not in values:
        rows.append(Row(f"{label}: in focus", settings, focus, 0.0))
    return rows
