"""Numbers as text: an SI prefix, as many digits as the uncertainty supports, and the unit."""

import math

import numpy as np

_SYMBOLS = {
    "angstrom": "m", "radian": "rad", "electronvolt": "eV", "second": "s", "ampere": "A", "kelvin": "K", "electron": "e", "volt": "V",
    "ohm": "Ω", "watt": "W", "pascal": "Pa", "tesla": "T", "count": "counts", "hertz": "Hz", "byte": "B", "pixel": "px", "1": "", "1e-6": "ppm",
}  # fmt: skip
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_POWERS = {"2": "²", "3": "³"}
_PLAIN = {"count", "electron", "1", "1e-6", "byte", "pixel"}
"""Units that take no prefix."""
_ANGSTROM = (0.1, 10.0)
"""Lengths in angstrom that are shown so, as distances of atoms are, and not in pm or nm."""
_MILLIRADIAN = 1e-5
"""Angles in radian from which on they are shown in mrad: tilts and semi-angles of an image stand beside each other."""
PERCENT_QUANTITIES = ("shear", "ellipse_a", "ellipse_b", "error of the pixel")
"""Dimensionless quantities that are shown in per cent."""


def scale(size: float, unit: str, quantity: str = "") -> tuple[float, str]:
    """Factor and symbol in which numbers of about ``size`` in an inside ``unit`` are shown: (0.1, "nm") for 30 angstrom.

    Some quantities have conventional units: pixels of images in pm below 1 angstrom, thicknesses in nm, rotations in degrees, `PERCENT_QUANTITIES` in %.
    A quotient of units takes its prefix at the first one; a unit that is not known is shown as it is.
    """
    custom = _custom(abs(size), unit, quantity)
    if custom is not None:
        return custom
    first, slash, divisors = unit.partition("/")
    if first not in _SYMBOLS:
        return 1.0, unit
    denominator = "/" + "/".join(_divisor(part) for part in divisors.split("/")) if slash else ""
    if first in _PLAIN:
        return 1.0, (_SYMBOLS[first] + denominator) if _SYMBOLS[first] or not denominator else "1" + denominator
    number = abs(size) if math.isfinite(size) else 0.0
    if first == "angstrom":
        if _ANGSTROM[0] <= number < _ANGSTROM[1]:
            return 1.0, "Å" + denominator
        base = 1e-10
    else:
        base = 1.0
    if first == "radian" and number >= _MILLIRADIAN:
        return 1e3, "mrad" + denominator
    number *= base
    power = 3 * math.floor(math.log10(number) / 3 + 1e-9) if number > 0 else 0
    if first == "kelvin" and power in (-3, 3) and number > 0.05:
        power = 0
    power = min(max(power, -15), 12)
    if first == "angstrom" and number == 0:
        power = -9
    return base / 10.0**power, _PREFIXES[power] + _SYMBOLS[first] + denominator


def _custom(size: float, unit: str, quantity: str) -> tuple[float, str] | None:
    if unit == "angstrom" and quantity.startswith("pixel") and size < 1.0:
        return 100.0, "pm"
    if unit == "angstrom" and quantity.startswith("thickness"):
        return 0.1, "nm"
    if unit == "radian" and quantity.endswith("rotation"):
        return 180.0 / math.pi, "°"
    if unit == "1" and quantity in PERCENT_QUANTITIES:
        return 100.0, "%"
    return (1e-3, "px/mrad") if unit == "pixel/radian" else None


def symbol(unit: str) -> str:
    """The symbol of an inside unit as it is, without a prefix: "Å/s" for "angstrom/second"."""
    first, slash, divisors = unit.partition("/")
    denominator = "/" + "/".join(_divisor(part) for part in divisors.split("/")) if slash else ""
    over = _divisor(first) if first != "1" else ""
    return (over or ("1" if denominator else "")) + denominator


def _divisor(part: str) -> str:
    if part.startswith("sqrt(") and part.endswith(")"):
        return f"√{_divisor(part[5:-1])}"
    base, _, power = part.partition("^")
    if power in _POWERS:
        return f"{_divisor(base)}{_POWERS[power]}"
    return {"angstrom": "Å"}.get(part, _SYMBOLS.get(part, part))


def places(std: float) -> int:
    """Decimals that leave two digits of an uncertainty."""
    if not (0 < std < math.inf):
        return 1
    return min(max(0, 1 - math.floor(math.log10(std))), 9)


def shown(mean: float, std: float, unit: str) -> str:
    """ "-30.84 ± 0.12 nm"; "not known" where the mean is not a number."""
    if not math.isfinite(mean):
        return "not known"
    if not math.isfinite(std):
        return value_text(mean, unit)
    factor, symbol = scale(max(abs(mean), std), unit)
    mean, std = mean * factor, std * factor
    if 0 < max(abs(mean), std) < 1e-3:
        power = math.floor(math.log10(max(abs(mean), std)))
        digits = places(std / 10.0**power)
        return f"({mean / 10.0**power:.{digits}f} ± {std / 10.0**power:.{digits}f})e{power} {symbol}".rstrip()
    digits = places(std)
    return f"{_fixed(mean, digits)} ± {std:.{digits}f} {symbol}".rstrip()


def _fixed(value: float, digits: int) -> str:
    """``value`` with ``digits`` decimals, without a minus sign if it rounds to zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text


def value_text(value: float | None, unit: str, error: float | None = None) -> str:
    """A single number, to five digits or to what ``error`` (its unit) leaves: "199.3987 kV"."""
    if value is None or not math.isfinite(value):
        return "–" if value is None else "NaN"
    factor, symbol = scale(max(abs(value), error or 0.0), unit)
    value *= factor
    if error:
        digits = min(places(error * factor), 6)
        small = 0 < abs(value) < 1e-3
        return f"{value:.3g} {symbol}".rstrip() if small else f"{_fixed(value, digits)} {symbol}".rstrip()
    return f"{value:.5g} {symbol}".rstrip()


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error in one unit, with two figures of the error, for the columns of a table; "?" for an error that is none."""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.4g}", "?"
    digits = 1 - math.floor(math.log10(error))
    if digits > 7 or (digits < 0 and abs(value) >= 1e7):
        return f"{value:.4g}", f"{error:.2g}"
    return f"{value:.{max(digits, 0)}f}", f"{error:.{max(digits, 0)}f}"


def utc(time_ns: int) -> str:
    """An absolute time (int64 ns UTC) to the second: "2026-03-01T12:00:00"."""
    return str(np.datetime64(time_ns, "ns").astype("datetime64[s]"))


def moment(time_ns: int, zone: str = "UTC") -> str:
    """An absolute time for people: "2026-03-01 12:00:00 UTC"; where ``zone`` is not "UTC", a local time whose zone is not known."""
    return f"{utc(time_ns).replace('T', ' ')} {'UTC' if zone == 'UTC' else 'local time'}"


def period(first_ns: int, last_ns: int, zone: str = "UTC") -> str:
    """A period for people, the date once where it has one: "2026-03-01 12:00:00 to 12:30:00 UTC"."""
    begin, end = utc(first_ns).replace("T", " "), moment(last_ns, zone)
    return f"{begin} to {end.partition(' ')[2] if end[:10] == begin[:10] else end}"


def age(seconds: float | None) -> str:
    """A time span as text: "0.3 s", "4.2 min", "1.5 h"; slightly negative values (a clock with unknown offset) count as 0."""
    if seconds is None:
        return "–"
    seconds = max(seconds, 0.0)
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
