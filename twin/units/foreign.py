"""Units as files write them ("nm", "[1/n_m]", "Å^-1", "mTorr"), converted with pint to the units inside emtwin.

The text of a file is split here, and pint converts single words to the units of `_INSIDE` only: no expression of a file is evaluated,
and words that name a year, a barn or a CSS pixel in pint are not read as such.
"""

import functools
import re
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pint import UnitRegistry


class Unit(NamedTuple):
    """Inside value = number * ``factor`` + ``offset``, in ``unit``."""

    unit: str
    factor: float
    offset: float = 0.0


CELSIUS, KELVIN = Unit("kelvin", 1.0, 273.15), Unit("kelvin", 1.0)
NUMBER, SHARE = Unit("1", 1.0), Unit("1", 0.01)
LONGEST_UNIT_TEXT = 40
"""Characters of a text that may be a unit."""

_INSIDE = {
    "meter": "angstrom", "angstrom": "angstrom", "radian": "radian", "degree": "radian", "electron_volt": "electronvolt",
    "second": "second", "minute": "second", "hour": "second", "ampere": "ampere", "kelvin": "kelvin", "degree_Celsius": "kelvin",
    "volt": "volt", "ohm": "ohm", "watt": "watt", "pascal": "pascal", "bar": "pascal", "torr": "pascal", "tesla": "tesla",
    "hertz": "hertz", "byte": "byte", "count": "count", "percent": "1", "ppm": "1",
}  # fmt: skip
"""pint's units that are read, and what each is inside."""
_BARE = {"degree", "minute", "hour", "degree_Celsius", "percent", "ppm"}
"""Those that take no prefix: "ch" is a channel, and no hundredth of an hour."""
_PINT = {"electronvolt": "electron_volt", "1": "dimensionless"}
_SPELLED = {
    "C": "degC", "DegreesC": "degC", "°": "degree", "Torr": "torr", "mTorr": "mtorr", "Amps": "ampere", "sec": "second",
    "micron": "micrometer", "microns": "micrometer", "Ångström": "angstrom", "ev": "eV", "kev": "keV", "KeV": "keV", "KEV": "keV",
}  # fmt: skip
"""Spellings of instruments that pint does not have, or takes for something else."""
_PLAIN = {
    "Cycles": NUMBER,
    "jobs": NUMBER,
    "RPM": Unit("1/second", 1.0 / 60.0),
    **dict.fromkeys(("px", "pixel", "pixels"), Unit("pixel", 1.0)),
}
"""What is counted or turns; "px" is a CSS length to pint."""
_BRACKETED = re.compile(r"\[([^\[\]]+)\]")
_FACTOR = re.compile(r"(?P<name>[A-Za-zµÅΩ°%]+|1)(?:\^?(?P<power>[+-]?[1-4]))?")
_SUPERSCRIPTS = str.maketrans("⁻¹²³", "-123")
_SAME = str.maketrans({"μ": "µ", "\u212b": "Å", "\u2126": "Ω", "−": "-", "·": "*", "⋅": "*", "å": "Å"})
"""One character for those that look alike (Greek mu and micro sign, angstrom sign and letter, ohm sign and omega)."""


def read_unit(text: str, any_case: bool = False) -> Unit | None:
    """The unit that ``text`` states, spelled as in the SI unless ``any_case``; None for none, or one that emtwin has no name for.

    Berkeley's EMD notation ("[n_m]", "[1/n_m]", "[n_m]*[s]") is the same as without brackets and underscores. "A" is ampere; see `axis_unit`.
    """
    words = "".join(text.translate(_SAME).translate(_SUPERSCRIPTS).split())
    bracketed = _BRACKETED.findall(words)
    if bracketed or re.fullmatch(r"(1/)?[a-zµ]?_[A-Za-zΩ]+(\^-1)?", words):
        words = "*".join(part.replace("_", "") for part in bracketed or [words])
    if not words or len(words) > LONGEST_UNIT_TEXT:
        return None
    if words in _SPELLED or words in _PLAIN:
        return _single(words, any_case)
    return _product(words, any_case)


def axis_unit(text: str) -> Unit | None:
    """The unit of an image's, spectrum's or scan's axis, whatever its capitals: as `read_unit`, but "A" and "a" are angstrom, and a pixel is no unit."""
    plain = "".join(text.replace("[", "").replace("]", "").split())
    if re.fullmatch(r"(1/)?[Aa](\^?-1|⁻¹)?", plain):
        text = re.sub("[Aa]", "Å", plain)
    unit = read_unit(text, any_case=True)
    units = ("angstrom", "1/angstrom", "radian", "electronvolt", "second")
    return unit if unit is not None and unit.unit in units else None


def _product(words: str, any_case: bool) -> Unit | None:
    """The product or quotient of single units; with only a numerator "1" where there is none: "1/angstrom"."""
    factor: Fraction = Fraction(1)
    above: list[str] = []
    below: list[str] = []
    for sign, part in re.findall(r"(^|[*/])([^*/]*)", words.replace("**", "^")):
        match = _FACTOR.fullmatch(part)
        if match is None:
            return None
        if match["name"] == "1":
            continue
        unit = _single(match["name"], any_case)
        power = (-1 if sign == "/" else 1) * int(match["power"] or 1)
        if unit is None:
            return None
        if unit.offset:
            return unit if part == words else None
        factor *= Fraction(unit.factor) ** power
        over, *under = unit.unit.split("/")
        (above if power > 0 else below).extend([over] * abs(power) if over != "1" else [])
        (below if power > 0 else above).extend(under * abs(power))
    if not words.strip("1*/"):
        return None
    return Unit("/".join(["*".join(above) or "1", *below]), float(factor))


@functools.cache
def _single(name: str, any_case: bool) -> Unit | None:
    """A unit of one word with its prefix: "mrad", "degC", "Volts"."""
    if name in _PLAIN:
        return _PLAIN[name]
    spelled = _SPELLED.get(name, name)
    unit = _asked(spelled, True)
    if unit is None and (any_case or len(name) > 3):  # a word may begin with a capital; the case of a symbol matters
        unit = _asked(spelled.lower(), True)
    return _asked(spelled, False) if unit is None and any_case else unit


def _asked(name: str, case: bool) -> Unit | None:
    """What pint knows by a name, among the units of `_INSIDE`; None where that is nothing, or several things."""
    import pint

    registry = _registry()
    try:
        parsed = registry.parse_unit_name(name, case_sensitive=case)
    except (pint.PintError, ValueError):
        return None
    units = set()
    for prefix, word, _ in parsed:
        inside = _INSIDE.get(word)
        if inside is None or (prefix and word in _BARE):
            continue
        if word == "degree_Celsius":
            units.add(CELSIUS)
            continue
        units.add(
            Unit(inside, float(registry.Quantity(Fraction(1), prefix + word).to(_PINT.get(inside, inside)).magnitude))
        )
    return units.pop() if len(units) == 1 else None


@functools.cache
def _registry() -> "UnitRegistry":
    """pint's own table of units, in exact fractions: a micrometre is 10,000 angstrom and not 9999.999999999998."""
    from pint import UnitRegistry

    return UnitRegistry(non_int_type=Fraction)  # type: ignore[arg-type]  # pint says float, and takes any number
