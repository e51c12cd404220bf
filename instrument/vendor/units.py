"""The units that logs write, as written there, and what they are inside: one table, and nothing that is not in it is taken for a unit."""

import math
from typing import NamedTuple


class Unit(NamedTuple):
    """Inside value = number * ``factor`` + ``offset``, in ``unit``."""

    unit: str
    factor: float
    offset: float = 0.0


CELSIUS = Unit("kelvin", 1.0, 273.15)
KELVIN = Unit("kelvin", 1.0)
NUMBER = Unit("1", 1.0)
SHARE = Unit("1", 0.01)

_METRE, _TURN, _TORR = 1e10, 1.0 / 60.0, 101_325.0 / 760.0

# Spelled exactly: mW is not MW, and s is not S.
TABLE: dict[str, Unit] = {
    "K": KELVIN, "Kelvin": KELVIN, "°C": CELSIUS, "C": CELSIUS, "degC": CELSIUS, "Degrees C": CELSIUS,
    "V": Unit("volt", 1.0), "Volts": Unit("volt", 1.0), "mV": Unit("volt", 1e-3), "kV": Unit("volt", 1e3),
    "A": Unit("ampere", 1.0), "Amps": Unit("ampere", 1.0), "mA": Unit("ampere", 1e-3), "µA": Unit("ampere", 1e-6),
    "μA": Unit("ampere", 1e-6), "uA": Unit("ampere", 1e-6), "nA": Unit("ampere", 1e-9), "pA": Unit("ampere", 1e-12),
    "ohm": Unit("ohm", 1.0), "Ohms": Unit("ohm", 1.0), "Ω": Unit("ohm", 1.0),
    "W": Unit("watt", 1.0), "Watts": Unit("watt", 1.0), "mW": Unit("watt", 1e-3),
    "Pa": Unit("pascal", 1.0), "kPa": Unit("pascal", 1e3), "mbar": Unit("pascal", 100.0), "bar": Unit("pascal", 1e5),
    "Torr": Unit("pascal", _TORR), "mTorr": Unit("pascal", 1e-3 * _TORR),
    "m": Unit("angstrom", _METRE), "mm": Unit("angstrom", 1e-3 * _METRE), "um": Unit("angstrom", 1e-6 * _METRE),
    "µm": Unit("angstrom", 1e-6 * _METRE), "nm": Unit("angstrom", 1e-9 * _METRE),
    "m/s": Unit("angstrom/second", _METRE), "nm/s": Unit("angstrom/second", 1e-9 * _METRE),
    "rad": Unit("radian", 1.0), "radian": Unit("radian", 1.0), "mrad": Unit("radian", 1e-3),
    "degree": Unit("radian", math.pi / 180), "deg": Unit("radian", math.pi / 180), "°": Unit("radian", math.pi / 180),
    "s": Unit("second", 1.0), "Seconds": Unit("second", 1.0), "ms": Unit("second", 1e-3),
    "Milliseconds": Unit("second", 1e-3), "h": Unit("second", 3600.0),
    "%": SHARE, "RPM": Unit("1/second", _TURN), "Cycles": NUMBER, "jobs": NUMBER,
    "B": Unit("byte", 1.0), "MB": Unit("byte", 1e6), "GB": Unit("byte", 1e9), "TB": Unit("byte", 1e12),
}  # fmt: skip


def stated(text: str) -> Unit | None:
    """The unit that a log states; None where it states none, or one that is not in the table."""
    return TABLE.get(text.strip())
