"""Numbers of options: what each may be, and the unit that was probably meant where one cannot be."""

import math
from typing import NamedTuple

from scenarios.io.errors import BadInput

UNITS: dict[str, tuple[str, float]] = {
    "keV": ("electronvolt", 1e3), "mrad": ("radian", 1e-3), "angstrom": ("angstrom", 1.0), "nm": ("angstrom", 10.0),
    "um": ("angstrom", 1e4), "mm": ("angstrom", 1e7), "us": ("second", 1e-6), "pA": ("ampere", 1e-12), "hz": ("hertz", 1.0),
    "deg": ("radian", math.pi / 180.0), "percent": ("1", 0.01),
}  # fmt: skip
"""Units at the end of an option's name, and what they are inside (unit, factor)."""


class Range(NamedTuple):
    """What an option's number may be, in its own unit, for ``subject``; ``alternatives``: units often meant (name, and how many of it make one)."""

    low: float
    high: float
    subject: str
    alternatives: tuple[tuple[str, float], ...] = ()


_EV = (("eV", 1e3), ("MeV", 1e-3))
_RAD = (("rad", 1e-3),)
_LENGTHS = {
    "angstrom": (("nm", 0.1), ("pm", 100.0), ("m", 1e-10)), "nm": (("angstrom", 10.0), ("m", 1e-9)),
    "um": (("mm", 1e-3), ("m", 1e-6), ("nm", 1e3)), "mm": (("m", 1e-3), ("um", 1e3), ("nm", 1e6)),
}  # fmt: skip
RANGES = {
    "--energy-keV": Range(1.0, 2000.0, "an electron microscope", _EV),
    "--semiangle-mrad": Range(0.05, 500.0, "a convergence semi-angle", _RAD),
    "--pixel-mrad": Range(1e-3, 50.0, "a camera's pixel", _RAD),
    "--detector-mrad": Range(1.0, 1000.0, "an annular detector's outer angle", _RAD),
    "--dark-field-mrad": Range(0.5, 500.0, "a dark field", _RAD),
    "--tilt-error-mrad": Range(1e-3, 200.0, "a specimen's tilt", _RAD),
    "--pixel-angstrom": Range(1e-3, 1e5, "an image's pixel", _LENGTHS["angstrom"]),
    "--step-angstrom": Range(1e-3, 1e5, "a scan's step", _LENGTHS["angstrom"]),
    "--source-angstrom": Range(1e-3, 100.0, "a source's image", _LENGTHS["angstrom"]),
    "--focal-spread-angstrom": Range(0.0, 2000.0, "a focal spread", _LENGTHS["angstrom"]),
    "--thickness-nm": Range(0.1, 1000.0, "a specimen's thickness", _LENGTHS["nm"]),
    "--thickness-error-nm": Range(1e-3, 1000.0, "a specimen's thickness", _LENGTHS["nm"]),
    "--thickest-nm": Range(0.1, 1000.0, "a specimen's thickness", _LENGTHS["nm"]),
    "--span-nm": Range(1.0, 1e5, "a defocus", _LENGTHS["nm"]),
    "--detector-pixel-um": Range(0.5, 1000.0, "a camera's pixel", _LENGTHS["um"]),
    "--camera-length-mm": Range(2.0, 50_000.0, "a camera length", _LENGTHS["mm"]),
    "--cs-mm": Range(-50.0, 50.0, "a lens", _LENGTHS["mm"]),
    "--dwell-us": Range(1e-3, 1e6, "a scan's pixel", (("s", 1e-6), ("ms", 1e-3), ("ns", 1e3))),
    "--current-pA": Range(1e-3, 1e5, "a probe", (("nA", 1e-3), ("A", 1e-12))),
    "--mains-hz": Range(10.0, 1000.0, "the mains"),
}  # fmt: skip
"""Wider than anything that was built: outside, the number is of another unit or a slip."""


def positive(option: str, value: float, zero: bool = False) -> float:
    """BadInput unless an option's number is finite, above zero (or zero, where that makes sense) and in its range."""
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise BadInput(f"{option} {value:g}", "is no number above zero", f"Give {option} a number above 0.")
    return value if value == 0 else in_range(option, value)


def finite(option: str, value: float) -> float:
    """BadInput unless an option's number is finite and in its range."""
    if not math.isfinite(value):
        raise BadInput(f"{option} {value:g}", "is not a finite number", f"Give {option} a finite number.")
    return in_range(option, value)


def in_range(option: str, value: float) -> float:
    """BadInput where an option's number lies outside its range, with the unit that would put it inside."""
    span = RANGES.get(option)
    if span is None or span.low <= value <= span.high:
        return value
    unit = option.rpartition("-")[2]
    problem = f"is beyond what {span.subject} has, {span.low:g} to {span.high:g} {unit}"
    for name, factor in span.alternatives:
        converted = value / factor
        if span.low <= converted <= span.high:
            raise BadInput(
                f"{option} {value:g}", problem, f"It is given in {unit}: for {value:g} {name}, {option} {converted:g}."
            )
    raise BadInput(f"{option} {value:g}", problem, f"Give it in {unit}.")


def option_unit(option: str) -> tuple[str, float]:
    """The inside unit of an option's number, by the end of its name, and how many of it the option's own unit is."""
    return UNITS.get(option.rpartition("-")[2], ("1", 1.0))


def parse_pair(option: str, text: str) -> tuple[float, float]:
    """Two numbers, "70,140"; BadInput otherwise."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 2 or not all(math.isfinite(number) for number in numbers):
        raise BadInput(f"{option} {text}", "is no pair of numbers", f"Give {option} two numbers with a comma between.")
    return numbers[0], numbers[1]
