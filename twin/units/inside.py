"""Units of the quantities inside emtwin, which tables of sensors, states and constants use. Values are converted where files are read."""

BASE = (
    *("angstrom", "radian", "electronvolt", "second", "ampere", "kelvin", "electron", "volt", "ohm", "watt", "pascal"),
    *("tesla", "count", "hertz", "byte", "pixel", "1"),
)
"""Names of units; "1" is dimensionless, and a power of ten such as "1e-6" a share of that size."""


def known(unit: str) -> bool:
    """Whether ``unit`` is a product or quotient of known units, powers of ten and square roots: "angstrom/sqrt(second)", "1e-6", "angstrom/kelvin"."""
    return all(_factor(part) for part in unit.replace("*", "/").split("/"))


def _factor(part: str) -> bool:
    part = part.strip()
    if part.startswith("sqrt(") and part.endswith(")"):
        part = part[5:-1]
    part, power, exponent = part.partition("^")
    if power and not exponent.lstrip("-").isdigit():
        return False
    if part in BASE:
        return True
    mantissa, mark, exponent = part.partition("e")
    return mantissa == "1" and bool(mark) and exponent.lstrip("+-").isdigit()


def require(unit: str, owner: str) -> None:
    """ValueError naming ``owner`` if its unit is not known."""
    if not known(unit):
        raise ValueError(
            f"{owner}: the unit {unit!r} is not known; use {', '.join(BASE)}, powers of ten (1e-6), and their products, quotients and sqrt()"
        )
