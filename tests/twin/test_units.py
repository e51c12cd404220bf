"""Units: reading those of files, and numbers as text."""

import math

import pytest

from scenarios.measure.given import UNITS
from twin.units import age, axis_unit, known, read_unit, scale, shown, symbol, value_text
from twin.units.foreign import _INSIDE


@pytest.mark.parametrize(
    ("text", "factor", "unit"),
    [
        *[(text, 10.0, "angstrom") for text in ("nm", "[n_m]", "n_m", "NM", "Nanometer", " nm ")],
        *[(text, 0.1, "1/angstrom") for text in ("1/nm", "[1/n_m]", "1 / nm", "nm^-1", "nm⁻¹", "[n_m^-1]", "1/n_m", "nm**-1")],
        *[(text, 1e10, "angstrom") for text in ("m", "[_m]", "_m", "[m]")],
        *[(text, 1e4, "angstrom") for text in ("um", "µm", "μm", "[u_m]", "[µ_m]", "micron")],
        *[(text, 1.0, "angstrom") for text in ("A", "a", "[A]", "Å", "\u212b", "Angstrom", "Ångström")],
        *[(text, 1.0, "1/angstrom") for text in ("1/A", "A^-1", "[A^-1]", "Å⁻¹", "1/Å")],
        *[(text, 1e-3, "radian") for text in ("mrad", "[m_rad]", "MRAD")],
        ("deg", math.pi / 180, "radian"), ("°", math.pi / 180, "radian"), ("rad", 1.0, "radian"),
        ("keV", 1e3, "electronvolt"), ("meV", 1e-3, "electronvolt"), ("ms", 1e-3, "second"),
    ],
)  # fmt: skip
def test_axes_of_foreign_files(text: str, factor: float, unit: str) -> None:
    unit_read = axis_unit(text)
    assert unit_read is not None
    assert (unit_read.factor, unit_read.unit, unit_read.offset) == (pytest.approx(factor, rel=1e-15), unit, 0.0)


@pytest.mark.parametrize(
    "text", ["", "[]", "px", "[p_x]", "pixels", "V", "counts", "a.u.", "9**9**9", "1", "1/", "eV/ch", "x" * 60, "nm*s", "[]]", "d", "b"]
)  # fmt: skip
def test_texts_that_are_no_unit_of_an_axis(text: str) -> None:
    assert axis_unit(text) is None


@pytest.mark.parametrize(
    ("text", "unit", "factor", "offset"),
    [
        ("A", "ampere", 1.0, 0.0), ("mW", "watt", 1e-3, 0.0), ("MW", "watt", 1e6, 0.0), ("Degrees C", "kelvin", 1.0, 273.15),
        ("C", "kelvin", 1.0, 273.15), ("mTorr", "pascal", 0.133322368421, 0.0), ("h", "second", 3600.0, 0.0), ("RPM", "1/second", 1 / 60, 0.0),
        ("Milliseconds", "second", 1e-3, 0.0), ("%", "1", 0.01, 0.0), ("nm/s", "angstrom/second", 10.0, 0.0), ("MB", "byte", 1e6, 0.0),
        ("Ω", "ohm", 1.0, 0.0), ("\u2126", "ohm", 1.0, 0.0), ("mT", "tesla", 1e-3, 0.0),
    ],
)  # fmt: skip
def test_units_of_logs(text: str, unit: str, factor: float, offset: float) -> None:
    unit_read = read_unit(text)
    assert unit_read is not None
    assert (unit_read.unit, unit_read.factor, unit_read.offset) == (unit, pytest.approx(factor, rel=1e-9), offset)
    assert known(unit_read.unit)


@pytest.mark.parametrize("text", ["ma", "NM", "Nm", "year", "S", "C/s", "9**9", "e", "barn", "inch"])
def test_only_si_symbols_are_read(text: str) -> None:
    assert read_unit(text) is None


def test_units_read_by_pint_have_an_inside_name() -> None:
    assert all(known(unit) for unit in _INSIDE.values())


@pytest.mark.parametrize("name", [name for name in UNITS if name not in ("percent", "hz")])
def test_units_of_options_are_those_of_the_door(name: str) -> None:
    unit, factor = UNITS[name]
    unit_read = read_unit(name)
    assert unit_read is not None
    assert (unit_read.unit, unit_read.factor) == (unit, pytest.approx(factor, rel=1e-15))


@pytest.mark.parametrize(
    ("size", "unit", "quantity", "factor", "symbol_"),
    [
        (30.0, "angstrom", "", 0.1, "nm"), (0.5, "angstrom", "source", 1.0, "Å"), (0.02, "angstrom", "", 100.0, "pm"),
        (0.2, "angstrom", "pixel_x", 100.0, "pm"), (2e4, "angstrom", "thickness", 0.1, "nm"), (2e4, "angstrom", "C30", 1e-4, "µm"),
        (0.3, "radian", "rotation", 180 / math.pi, "°"), (0.3, "radian", "scan_rotation", 180 / math.pi, "°"),
        (1e4, "electron/angstrom^2", "dose", 1.0, "e/Å²"), (2e-4, "radian", "tilt.x", 1e3, "mrad"), (2e-7, "radian", "tilt.x", 1e9, "nrad"),
        (0.01, "1", "shear", 100.0, "%"), (2e5, "electronvolt", "", 1e-3, "keV"), (2e3, "pixel/radian", "", 1e-3, "px/mrad"),
        (3.0, "1/angstrom", "", 1.0, "1/Å"), (40.0, "pixel", "radius", 1.0, "px"),
    ],
)  # fmt: skip
def test_units_that_numbers_are_shown_in(size: float, unit: str, quantity: str, factor: float, symbol_: str) -> None:
    assert scale(size, unit, quantity) == (pytest.approx(factor), symbol_)


def test_symbols() -> None:
    assert [symbol(unit) for unit in ("angstrom/second", "1/second", "1", "radian", "1/angstrom")] == [
        "Å/s",
        "1/s",
        "",
        "rad",
        "1/Å",
    ]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((-308.4, 1.2, "angstrom"), "-30.84 ± 0.12 nm"),
        ((-27172.0, 4.3, "angstrom"), "-2.71720 ± 0.00043 µm"),
        ((373.221, 0.012, "kelvin"), "373.221 ± 0.012 K"),
        ((0.02, 0.03, "angstrom/second"), "2.0 ± 3.0 pm/s"),
        ((0.6, 0.1, "1e-6"), "0.60 ± 0.10 ppm"),
        ((-1e-9, 2e-8, "tesla"), "-1 ± 20 nT"),
        ((-1e-12, 2e-8, "tesla"), "0 ± 20 nT"),
        ((2e-7, 3e-8, "1"), "(2.00 ± 0.30)e-7"),
        ((float("nan"), 1.0, "volt"), "not known"),
    ],
)
def test_numbers_as_people_read_them(numbers: tuple[float, float, str], text: str) -> None:
    assert shown(*numbers) == text


def test_words_for_scales_and_ages() -> None:
    assert scale(3905.0, "angstrom") == (pytest.approx(0.1), "nm")
    assert value_text(199_398.7, "volt", 0.1) == "199.39870 kV"
    assert (value_text(None, "volt"), age(None), age(-0.2), age(7200.0)) == ("–", "–", "0.0 s", "2.0 h")
