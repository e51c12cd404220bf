"""A column as a TOML file: its elements, its constants with priors, and the names of its controls."""

import itertools
import tomllib
from math import isfinite
from typing import Literal

import msgspec

from twin.column.elements import (
    AnyElement,
    Aperture,
    Corrector,
    Deflector,
    Detector,
    Element,
    Gun,
    Lens,
    Specimen,
    Stigmator,
)
from twin.optics.aberrations import NAMES

SCHEMA = "emtwin.column/1"
_INSIDE: dict[str, tuple[str, float, str]] = {
    "place_mm": ("place", 1e7, "angstrom"),
    "half_width_mm": ("half_width", 1e7, "angstrom"),
    "ampere_turns": ("ampere_turns", 1.0, "ampere"),
    "saturation": ("saturation", 1.0, "ampere"),
    "remanence": ("remanence", 1.0, "ampere"),
    "source_nm": ("source", 10.0, "angstrom"),
    "brightness": ("brightness", 1e-20, "ampere/angstrom^2/volt"),
    "energy_spread_ev": ("energy_spread", 1.0, "electronvolt"),
    "scale": ("scale", 1.0, "1"),
    "rad_per_unit": ("deflection", 1.0, "radian"),
    "azimuth_deg": ("azimuth", 0.017453292519943295, "radian"),
    "nm_per_unit": ("strength", 10.0, "angstrom"),
}
_POSITIVE = ("half_width", "ampere_turns", "saturation", "source", "brightness", "energy_spread", "scale")


class Constant(msgspec.Struct, frozen=True):
    """A number of the column: ``mean`` and ``std`` of its prior in ``unit``; exact where ``std`` is 0. One that is ``positive`` is log-normal."""

    name: str
    unit: str
    mean: float
    std: float
    positive: bool


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of an instrument of this kind in focus in a known mode, and the measured optics; inside units, [value, error]. ``doc`` gives the source."""

    name: str
    high_tension: float
    illumination: Literal["", "probe", "parallel"] = ""
    projection: Literal["", "imaging", "diffraction"] = ""
    told: dict[str, float] = {}
    measured: dict[str, tuple[float, float]] = {}
    doc: str = ""


class ColumnTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a column's file. ``zeros``: standard deviations of the user's zeros and of the instrument's own offsets, by quantity."""

    schema: str
    name: str
    doc: str = ""
    element: list[AnyElement] = []
    zeros: dict[str, float] = {}
    reference: list[Reference] = []

    def of(self, kind: type[Element]) -> list:
        """The elements of one kind, from the gun down."""
        return [element for element in self.element if isinstance(element, kind)]

    def of_specimen(self) -> Specimen:
        """The specimen's plane."""
        return self.of(Specimen)[0]

    def named(self, name: str) -> AnyElement:
        """The element of that name; ValueError if there is none."""
        for element in self.element:
            if element.name == name:
                return element
        raise ValueError(
            f"the column {self.name!r} has no element {name!r}; it has {', '.join(element.name for element in self.element)}"
        )

    def constants(self) -> tuple[Constant, ...]:
        """Every number of every element, in inside units, in the file's order."""
        constants = []
        for element in self.element:
            for field, (name, factor, unit) in _INSIDE.items():
                prior = getattr(element, field, None)
                if prior is None or (field == "saturation" and prior == 0.0):
                    continue
                mean, std = prior if isinstance(prior, list) else (prior, 0.0)
                constants.append(
                    Constant(f"{element.name}.{name}", unit, mean * factor, abs(std * factor), name in _POSITIVE)
                )
        return tuple(constants)

    def controls(self) -> tuple[str, ...]:
        """Names of all controls, without repeats: lens excitations, apertures, deflectors, stigmators, set values of correctors."""
        names: dict[str, None] = {}
        for element in self.element:
            if isinstance(element, Lens | Aperture) and element.control:
                names[element.control] = None
            elif isinstance(element, Deflector | Stigmator):
                names |= dict.fromkeys(element.controls)
            elif isinstance(element, Corrector):
                names |= dict.fromkeys(element.controls.values())
        return tuple(names)


def read_column(text: str, source: str = "the column's table") -> ColumnTable:
    """A column from the ``text`` of a TOML file; ValueError naming ``source``, the error and the cure."""
    try:
        table = msgspec.convert(tomllib.loads(text), ColumnTable)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: is not TOML ({error}); mend the line it names") from None
    except msgspec.ValidationError as error:
        raise ValueError(f"{source}: {error}; see the columns that come with emtwin for the keys") from None
    _check(table, source)
    return table


def _check(table: ColumnTable, source: str) -> None:
    def require(holds: bool, problem: str, cure: str) -> None:
        if not holds:
            raise ValueError(f"{source}: {problem}; {cure}")

    require(table.schema == SCHEMA, f"has schema {table.schema!r}", f"this version reads {SCHEMA!r}")
    names = [element.name for element in table.element]
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"has two elements of one name: {', '.join(twice)}", "give each a name of its own")
    for kind in (Gun, Specimen):
        require(
            len(table.of(kind)) == 1, f"has {len(table.of(kind))} elements of kind {kind.__name__.lower()}", "give one"
        )
    require(bool(table.of(Detector)), "has no detector", "give a screen or a camera at the end")
    for constant in table.constants():
        require(isfinite(constant.mean) and isfinite(constant.std), f"{constant.name} is not finite", "give a number")
        require(
            not constant.positive or constant.mean > 0,
            f"{constant.name} is {constant.mean:g} {constant.unit}",
            "it must be above 0",
        )
    positions = [_value(element.place_mm) for element in table.element]
    require(
        all(a <= b for a, b in itertools.pairwise(positions)) and positions[0] == 0.0,
        "its elements do not come in the order in which electrons meet them, from 0 on",
        "sort them by place_mm, the gun first at 0",
    )
    _check_lenses(table, require)
    _check_correctors(table, require)
    for reference in table.reference:
        strange = sorted(set(reference.told) - set(table.controls()))
        require(
            not strange, f"the reference {reference.name!r} tells {', '.join(strange)}", "name controls of the elements"
        )


def _check_lenses(table: ColumnTable, require) -> None:
    lenses = table.of(Lens)
    for lens in lenses:
        require(lens.reach_mm > 0, f"the field of {lens.name} has a reach of {lens.reach_mm} mm", "give one above 0")
        require(
            bool(lens.control) or lens.fixed != 0.0,
            f"the lens {lens.name} has neither a control nor a fixed excitation",
            "give one of the two",
        )
    for above, below in itertools.pairwise(lenses):
        gap = _value(below.place_mm) - below.reach_mm - _value(above.place_mm) - above.reach_mm
        require(
            gap >= 0,
            f"the fields of {above.name} and {below.name} reach into each other by {-gap:g} mm",
            "shorten reach_mm, or join them to one lens",
        )
    specimen = table.of(Specimen)[0]
    owner = [lens for lens in lenses if lens.name == specimen.objective]
    require(
        bool(owner), f"the specimen's objective {specimen.objective!r} is no lens of it", "name the lens it stands in"
    )
    distance = abs(_value(specimen.place_mm) - _value(owner[0].place_mm))
    require(
        distance < owner[0].reach_mm,
        f"the specimen is {distance:g} mm from the middle of {owner[0].name}, outside its field",
        "check place_mm",
    )


def _check_correctors(table: ColumnTable, require) -> None:
    correctors = table.of(Corrector)
    sides = [corrector.side for corrector in correctors]
    require(len(set(sides)) == len(sides), "has two correctors of one side", "join them to one")
    pairs = {name[:3] for name in NAMES}
    for corrector in correctors:
        require(
            corrector.side in ("probe", "image"),
            f"the corrector {corrector.name} has side {corrector.side!r}",
            "probe or image",
        )
        for label, deviations in (("after_tableau_nm", corrector.after_tableau_nm), ("walk_nm", corrector.walk_nm)):
            for name, value in deviations.items():
                require(
                    name in NAMES or name in pairs,
                    f"{label} of {corrector.name} speaks of {name}",
                    f"the coefficients are {', '.join(NAMES)}, or C12 for both parts",
                )
                require(
                    isfinite(value) and value >= 0.0,
                    f"{label} of {corrector.name} is {value} for {name}",
                    "give 0 or more",
                )
        strange = sorted(set(corrector.controls) - set(NAMES))
        require(
            not strange,
            f"controls of {corrector.name} speak of {', '.join(strange)}",
            f"they are of {', '.join(NAMES)}",
        )
        require(
            "C30" in corrector.controls,
            f"the corrector {corrector.name} has no control of C30",
            'add controls = { C30 = "corrector.C30" }, what it was set to leave',
        )


def _value(number: float | list[float]) -> float:
    return number[0] if isinstance(number, list) else number
