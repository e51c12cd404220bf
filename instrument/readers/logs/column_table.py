"""Column tables (TOML, schema emtwin.columns/1): what the columns of a plain CSV log are. Keys: docs/reference/sensor-log.md."""

import difflib
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from instrument.readers.logs.zones import read_zone
from instrument.readers.signals import VendorError
from twin.channels import CHANNELS, FIELDS, Kind
from twin.units import Unit, read_unit

SCHEMA = "emtwin.columns/1"
SUFFIX = ".columns.toml"
COUNTS = {
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "filetime": 100,
}
"""Nanoseconds of one count of a time. "filetime" begins in 1601, the others where ``since`` says, or in 1970."""  # fmt: skip

UNITS = {
    item.name: item.unit for item in (*CHANNELS, *(field for field in FIELDS if field.form not in ("text", "time")))
}
"""Units of the names that a column may have: channels of instruments and fields of files' metadata."""
KINDS: dict[str, Kind] = {item.name: item.kind for item in CHANNELS}


class TimeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the time stands: ``columns``, joined by a blank, are text of ``format`` ("iso", or a pattern of strptime), or a count of ``unit`` since ``since``.

    ``zone`` is that of times without an offset.
    """

    columns: list[str | int]
    format: str = ""
    unit: str = ""
    since: str = ""
    zone: str = ""


class ColumnRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column, by its name or number from 1: the ``channel`` that it holds, in ``unit``. ``bias``: rms of a constant error, in ``unit``.

    ``custom`` allows a channel that emtwin has no name for.
    """

    column: str | int
    channel: str
    unit: str
    kind: Kind | None = None
    bias: float = 0.0
    custom: bool = False
    doc: str = ""


class ColumnTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of a log, its ``skip`` lines before the header and ``skip_after`` it, and how cells are written."""

    schema: str
    time: TimeRow
    column: list[ColumnRow]
    name: str = ""
    delimiter: Literal["", ",", ";", "\t"] = ""
    decimal: Literal["", ".", ","] = ""
    header: bool = True
    skip: int = 0
    skip_after: int = 0
    comment: str = ""
    missing: list[str] = []


def table_beside(log: Path) -> Path | None:
    """The column table that lies beside a log: LOG.csv.columns.toml or LOG.columns.toml; None where there is none."""
    for path in (log.with_name(log.name + SUFFIX), log.with_name(log.stem + SUFFIX)):
        if path.is_file():
            return path
    return None


def load_column_table(path: Path) -> ColumnTable:
    """The column table in a file; VendorError naming what is wrong in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VendorError(str(path), f"cannot be read ({reason})", "Check the path of the column table.") from error
    return read_column_table(text, str(path))


def read_column_table(text: str, where: str) -> ColumnTable:
    """The column table in the text of a TOML file; VendorError naming ``where``, the row and the cure."""
    cure = f'Mend it; a column table has schema = "{SCHEMA}", a [time] and one [[column]] or more.'
    try:
        table = msgspec.convert(tomllib.loads(text), ColumnTable, strict=True)
    except tomllib.TOMLDecodeError as error:
        raise VendorError(where, f"is not TOML ({error})", "Mend that line.") from error
    except msgspec.ValidationError as error:
        raise VendorError(where, f"is no column table ({error})", cure) from error
    if table.schema != SCHEMA:
        raise VendorError(where, f"has the schema {table.schema!r}", f"This emtwin reads {SCHEMA!r}.")
    if table.skip < 0 or table.skip_after < 0:
        raise VendorError(where, "skips less than no lines", "Give skip and skip_after from 0 on.")
    if not table.column:
        raise VendorError(where, "describes no column", cure)
    _check_time(table.time, where)
    for row in table.column:
        column_unit(row, where)
    names = [row.channel for row in table.column]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise VendorError(
            where, f"has two columns for the channel {twice!r}", "Keep one, or give them logs of their own."
        )
    return table


def _check_time(row: TimeRow, where: str) -> None:
    if not row.columns:
        raise VendorError(where, "names no column of the time", 'Write columns = ["..."] under [time].')
    if bool(row.format) == bool(row.unit):
        cure = 'Write format = "iso" (or a pattern such as "%d.%m.%Y %H:%M:%S") for written times, or unit = "s" for counts.'
        raise VendorError(where, "needs either the format or the unit of its times", cure)
    if row.unit and row.unit not in COUNTS:
        raise VendorError(where, f"counts time in {row.unit!r}", f"Give one of {', '.join(COUNTS)}.")
    if row.unit and len(row.columns) > 1:
        raise VendorError(where, "counts time in several columns", "Name one column.")
    if row.since and (row.format or row.unit == "filetime"):
        raise VendorError(where, "says since when, of times that are no counts from there", "Take since out.")
    if row.zone:
        try:
            read_zone(row.zone)
        except ValueError as error:
            problem, _, cure = str(error).partition("; ")
            raise VendorError(where, problem, f"{cure[:1].upper()}{cure[1:]}.") from None


def column_unit(row: ColumnRow, where: str) -> Unit:
    """The unit of a column; VendorError where the channel is not known, or its unit is another quantity's."""
    known = UNITS.get(row.channel)
    if known is None and not row.custom:
        near = difflib.get_close_matches(row.channel, UNITS, 3)
        cure = f"Name one of {', '.join(near)}" if near else "Name a channel that emtwin knows (docs: sensor logs)"
        raise VendorError(
            where, f"names the channel {row.channel!r}, which is not known", f"{cure}, or write custom = true."
        )
    unit = Unit("1", 1.0) if row.unit == "1" else read_unit(row.unit)
    if unit is None:
        raise VendorError(
            where, f"has {row.channel!r} in {row.unit!r}, which is no known unit", "Write it as in the SI."
        )
    if known is not None and unit.unit != known:
        problem = f"has {row.channel!r} in {row.unit!r}, which is no unit of {known}"
        raise VendorError(where, problem, "Give the unit of the numbers in that column.")
    if not 0.0 <= row.bias < float("inf"):
        raise VendorError(where, f"has a bias of {row.bias} for {row.channel!r}", "Give a finite number from 0 on.")
    return unit
