"""What is known, checked: numbers in their ranges, and messages that call every input as the user called it."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.measurement.recorded.known import KEV, MM, MRAD, NM, PA, UM, US, Counts, quantities
from twin.errors import BadInput

_INPUT = re.compile(r"\{([a-z_0-9]+)\}")
_LENGTHS = {"angstrom": 1.0, "pm": 0.01, "nm": NM, "um": UM, "mm": MM, "m": 1e10}
_TIMES, _CURRENTS = {"s": 1.0, "ms": 1e-3, "us": US, "ns": 1e-9}, {"A": 1.0, "nA": 1e-9, "pA": PA}
_OFTEN_MEANT: dict[str, dict[str, float]] = {
    unit: {name: table[name] for name in names}
    for table, groups in (
        ({"eV": 1.0, "keV": KEV, "MeV": 1e6}, {"electronvolt": ("keV", "MeV"), "keV": ("eV", "MeV")}),
        ({"rad": 1.0, "mrad": MRAD}, {"radian": ("mrad",), "mrad": ("rad",)}),
        (_LENGTHS, {"angstrom": ("nm", "pm", "m", "um", "mm"), "nm": ("angstrom", "m"), "um": ("mm", "m", "nm"), "mm": ("m", "um", "nm")}),
        (_TIMES, {"second": ("us", "ms", "ns"), "us": ("s", "ms", "ns")}),
        (_CURRENTS, {"ampere": ("pA", "nA"), "pA": ("nA", "A")}),
    )
    for unit, names in groups.items()
}  # fmt: skip
"""For numbers that are given in a unit, the units that are often meant instead, with their size in inside units."""


class Wording:
    """How the inputs of a kind are called in messages: by their names in Python, in inside units. A command line has its own."""

    origin = "the recording"
    """What a recording is called whose claims are compared."""
    dose = "Simulate it with dose=..."
    """What to do about a simulation without counting noise."""
    forms: Mapping[str, str] = {"detector": " as (inner, outer)", "dose": " in electrons per square angstrom"}
    """How an input is written, where its name and unit do not say so."""

    def __init__(self, known: type[Counts]):
        self.quantities = quantities(known)

    def label(self, name: str) -> str:
        """The name of an input."""
        return name

    def takes(self, name: str) -> bool:
        """Whether a user can give this input."""
        return True

    def unit(self, name: str) -> tuple[str, float]:
        """The unit that a number is given in, and its size in inside units."""
        return self.quantities[name].unit, 1.0

    def given(self, name: str, value: Any) -> str:
        """An input with its value, which is in inside units."""
        return f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value!r}"

    def example(self, name: str, text: str) -> str:
        """How an input is given as ``text``."""
        return f'{name}="{text}"'

    def add(self, name: str, more: str = "") -> str:
        """What to do where an input is missing."""
        unit = self.quantities[name].unit if name in self.quantities else "1"
        return f"Give {name}{'' if unit in ('1', 'count') else f' in {unit}'}{self.forms.get(name, '')}{more}."

    def named(self, text: str) -> str:
        """``text`` of an estimator, in which inputs stand as "{mask}", with their names."""
        return _INPUT.sub(lambda match: self.label(match[1]), text)

    def source(self, name: str) -> str:
        """Where a setting comes from that was given."""
        return "given"


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What is ``known``, and the ``words`` for it."""

    known: Any
    words: Wording

    def check(self) -> None:
        """BadInput for a number that is not finite or out of its range; of several numbers only what is not finite is refused here."""
        for name in self.words.quantities:
            value = getattr(self.known, name)
            if value is None or isinstance(value, (Mapping, str)):
                continue
            numbers = np.asarray(value, np.float64)
            for number in numbers.ravel().tolist():
                if numbers.ndim == 0 or not math.isfinite(number):
                    self.finite(name, number)

    def positive(self, name: str, value: float | None = None, zero: bool = False) -> float:
        """A number that is known (or ``value``, given as part of ``name``); BadInput unless it is finite, above zero (or zero, where that makes sense) and
        in its range."""
        number = getattr(self.known, name) if value is None else value
        if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
            raise BadInput(
                self.words.given(name, number), "is no number above zero", f"Give {self.words.label(name)} a number above 0."
            )  # fmt: skip
        return number if number == 0 else self.in_range(name, number)

    def finite(self, name: str, value: float | None = None) -> float:
        """The same of a number that may be negative."""
        number = getattr(self.known, name) if value is None else value
        if not math.isfinite(number):
            raise BadInput(
                self.words.given(name, number), "is not a finite number", f"Give {self.words.label(name)} a finite number."
            )  # fmt: skip
        return self.in_range(name, number)

    def pair(self, name: str) -> tuple[float, float]:
        """Two finite numbers of one input; BadInput for another count of them. They may be in another range than single ones."""
        value = getattr(self.known, name)
        numbers = [float(number) for number in np.ravel(value)]
        if len(numbers) != 2 or not all(math.isfinite(number) for number in numbers):
            cure = f"Give {self.words.label(name)} two numbers."
            raise BadInput(self.words.given(name, value), "is no pair of numbers", cure)
        return numbers[0], numbers[1]

    def in_range(self, name: str, number: float) -> float:
        """``number``; BadInput where it lies outside its range, with the unit that would put it inside."""
        span = self.words.quantities[name]
        if span.low <= number <= span.high:
            return number
        unit, size = self.words.unit(name)
        problem = f"is beyond what {span.subject} has, {span.low / size:g} to {span.high / size:g} {unit}"
        label = self.words.given(name, number)
        for other, factor in _OFTEN_MEANT.get(unit, {}).items():
            meant = number / size * factor
            if span.low <= meant <= span.high:
                cure = f"It is given in {unit}: for {number / size:g} {other}, {self.words.given(name, meant)}."
                raise BadInput(label, problem, cure)
        raise BadInput(label, problem, f"Give it in {unit}.")
