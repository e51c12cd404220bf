"""Models of an instrument's sensors: from tables that are part of emtwin, by name, and from tables of the user, by path."""

import os
from collections.abc import Mapping
from pathlib import Path

import twin
from reconstruct.api.shipped import load_shipped, shipped_names
from twin.errors import BadInput
from twin.sensors import Table, read_table
from twin.sensors.model import Model

_FOLDER = Path(twin.__file__).parent / "tables"


def table_names() -> list[str]:
    """The names of the sensor tables that come with emtwin, in order."""
    return shipped_names(_FOLDER)


def load_table(name_or_path: str | os.PathLike[str]) -> Table:
    """A sensor table that comes with emtwin by its name, or one by the path of its TOML file; BadInput, naming the file, where it cannot be used."""
    return load_shipped(name_or_path, _FOLDER, "sensor table", "table", read_table)


def load_model(name_or_path: str | os.PathLike[str], constants: Mapping[str, float] | None = None) -> Model:
    """The model that a `Stream` runs on: state, motion and sensors of an instrument, out of a sensor table (TOML, schema emtwin.sensors/2).

    ``name_or_path``: a table that comes with emtwin ("simulated", "probe", "thermo-healthmonitor", "protochips", "dens"), or the path of one.
    ``constants``: values of its named constants, in the units of the table, in place of those assumed there. `twin.errors.BadInput` (a ValueError) for a file
    that is no sensor table, and for a constant that the table does not have.

    >>> model = load_model("dens")
    >>> [sensor.channel for sensor in model.sensors][:1]
    ['Tset']
    """
    table = load_table(name_or_path)
    try:
        return table.model(constants)
    except ValueError as error:
        known = ", ".join(table.constants()) or "none"
        raise BadInput(f"table {name_or_path}", str(error), f"Its constants are: {known}.") from None
