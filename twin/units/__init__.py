"""Units: the names used inside emtwin, units as files write them, and numbers as text. Without JAX; pint is imported with the first file."""

from twin.units.foreign import CELSIUS, KELVIN, NUMBER, SHARE, Unit, axis_unit, read_unit
from twin.units.inside import BASE, known, require
from twin.units.text import age, moment, period, places, rounded, scale, shown, symbol, utc, value_text

__all__ = [
    "BASE", "CELSIUS", "KELVIN", "NUMBER", "SHARE", "Unit", "age", "axis_unit", "known", "moment", "period", "value_text", "places", "read_unit", "require",
    "rounded", "scale", "shown", "symbol", "utc",
]  # fmt: skip
