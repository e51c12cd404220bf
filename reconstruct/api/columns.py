"""Columns that are part of emtwin, by name, and columns of the user, by path."""

import os
from pathlib import Path

import twin
from reconstruct.api.shipped import load_shipped, shipped_names
from twin.column.table import ColumnTable, read_column

_FOLDER = Path(twin.__file__).parent / "column" / "tables"


def column_names() -> list[str]:
    """The names of the columns that come with emtwin, in order."""
    return shipped_names(_FOLDER)


def load_column(name_or_path: str | os.PathLike[str]) -> ColumnTable:
    """A column that comes with emtwin by its name, or one by the path of its TOML file; BadInput, naming the file, where it cannot be used."""
    return load_shipped(name_or_path, _FOLDER, "column's table", "column", read_column)
