"""Options of ``emtwin measure`` brought to what `reconstruct.measurement` knows: numbers to inside units, text to values, messages in the options' words."""

import dataclasses
import math
from typing import Any

from reconstruct.measurement.recorded.inputs import Inputs, Wording
from reconstruct.measurement.recorded.known import KEV, KINDS, MM, MRAD, NM, PA, UM, US
from scenarios.io.errors import BadInput
from scenarios.measure.options import Counts, fields_by_option

UNITS: dict[str, tuple[str, float]] = {
    "keV": ("electronvolt", KEV), "eV": ("electronvolt", 1.0), "mrad": ("radian", MRAD), "angstrom": ("angstrom", 1.0), "nm": ("angstrom", NM),
    "um": ("angstrom", UM), "mm": ("angstrom", MM), "us": ("second", US), "pA": ("ampere", PA), "hz": ("hertz", 1.0),
    "deg": ("radian", math.pi / 180.0), "percent": ("1", 0.01),
}  # fmt: skip
"""Units at the end of an option's name, and what they are inside (unit, factor)."""


class OptionWording(Wording):
    """Inputs called by their options, with numbers in the unit at the end of an option's name."""

    origin = "the file"
    dose = "Simulate it with a [dose]."
    forms = {"detector": " INNER,OUTER", "dose": " (electrons per Å²)"}

    def __init__(self, kind: str, options: type[Counts]):
        super().__init__(KINDS[kind].known)
        self.options = {field.name: option for option, field in fields_by_option(options).items()}

    def label(self, name: str) -> str:
        return self.options[name]

    def takes(self, name: str) -> bool:
        return name in self.options

    def unit(self, name: str) -> tuple[str, float]:
        unit = self.label(name).rpartition("-")[2]
        return unit, UNITS.get(unit, ("1", 1.0))[1]

    def given(self, name: str, value: Any) -> str:
        option = self.label(name)
        if isinstance(value, dict):
            return f"{option} {', '.join(f'{key}={number:g}' for key, number in value.items())}"
        number = not isinstance(value, bool) and isinstance(value, (int, float))
        return f"{option} {value / self.unit(name)[1]:g}" if number else f"{option} {value}"

    def example(self, name: str, text: str) -> str:
        return f"{self.label(name)} {text}"

    def add(self, name: str, more: str = "") -> str:
        return f"Add {self.label(name)}{self.forms.get(name, '')}{more}."

    def source(self, name: str) -> str:
        return self.label(name)


def inputs_of(kind: str, options: Counts) -> Inputs:
    """What the options say, checked; BadInput naming the option."""
    words, known = OptionWording(kind, type(options)), {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name == "signal" or value is None:
            continue
        if field.name in ("expected", "error"):
            value = _coefficients(words.label(field.name), value)
        elif field.name in words.quantities:
            free = words.quantities[field.name].form == "number or free"
            value = (_number_or_free if free else _inside)(words.label(field.name), value)
        known[field.name] = value
    inputs = Inputs(KINDS[kind].known(**known), words)
    inputs.check()
    return inputs


def _inside(option: str, value: float | str | list[float]) -> Any:
    """A number, or several, in inside units."""
    if isinstance(value, str):
        return tuple(_inside(option, number) for number in parse_pair(option, value))
    if isinstance(value, list):
        return [_inside(option, number) for number in value]
    # division, as a hundredth has no exact double
    return value / 100.0 if option.endswith("-percent") else value * UNITS.get(option.rpartition("-")[2], ("1", 1.0))[1]


def _number_or_free(option: str, text: str) -> float | str:
    """A number in inside units, or "free"; BadInput for other text."""
    if text.strip().lower() == "free":
        return "free"
    try:
        return _inside(option, float(text))
    except ValueError:
        cure = f'Give {option} a number, or "free" to measure it.'
        raise BadInput(f"{option} {text}", "is no number", cure) from None


def parse_pair(option: str, text: str) -> tuple[float, float]:
    """Two numbers, "70,140"; BadInput otherwise."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 2 or not all(math.isfinite(number) for number in numbers):
        raise BadInput(f"{option} {text}", "is no pair of numbers", f"Give {option} two numbers with a comma between.")
    return numbers[0], numbers[1]


def _coefficients(option: str, words: list[str]) -> dict[str, float]:
    """Numbers by name, of texts NAME=NUMBER."""
    numbers = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            numbers[name] = float(text)
        except ValueError:
            problem, cure = "is no aberration with a number", f"Give {option} NAME=ANGSTROM."
            raise BadInput(f"{option} {word}", problem, cure) from None
    return numbers
