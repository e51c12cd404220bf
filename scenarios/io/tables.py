"""Sensor tables that are part of emtwin, by name, and sensor tables of the user, by path."""

from pathlib import Path

import twin
from scenarios.io.shipped import load_shipped, shipped_names
from twin.sensors import Table, read_table

_FOLDER = Path(twin.__file__).parent / "tables"


def table_names() -> list[str]:
    """The names of the tables that come with emtwin, in order."""
    return shipped_names(_FOLDER)


def load_table(name_or_path: str | Path) -> Table:
    """A table that comes with emtwin by its name, or one by the path of its TOML file; BadInput, naming the file, where it cannot be used."""
    return load_shipped(name_or_path, _FOLDER, "sensor table", "table", read_table)
