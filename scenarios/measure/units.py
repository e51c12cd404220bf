"""Units for people: picometres, nanometres, milliradians, degrees and per cent for what is held in angstrom, radian and 1."""

import math

SHARES = ("shear", "ellipse_a", "ellipse_b", "error of the pixel")
"""Dimensionless quantities that are told in per cent."""
_NAMES = {
    "pixel": "px", "px": "px", "count": "counts", "angstrom/s": "Å/s", "1/radian": "px/mrad", "1/angstrom": "1/Å", "1": "", "eV": "keV",
    "second": "µs",
}  # fmt: skip
_FACTORS = {"1/radian": 1e-3, "eV": 1e-3, "second": 1e6}


def plain(name: str, unit: str, value: float, error: float = 0.0) -> tuple[float, str]:
    """Factor and unit in which a quantity of about ``value`` ± ``error`` is told."""
    size = max(abs(value), abs(error)) if math.isfinite(value) and math.isfinite(error) else 0.0
    if unit == "angstrom" and name.startswith("pixel") and size < 1.0:
        return 100.0, "pm"
    if unit == "angstrom":
        for limit, factor, word in ((10.0, 1.0, "Å"), (1e4, 0.1, "nm"), (1e7, 1e-4, "µm"), (1e10, 1e-7, "mm")):
            if size < limit or (name.startswith("thickness") and limit == 1e4):
                return (0.1, "nm") if name.startswith("thickness") else (factor, word)
        return 1e-10, "m"
    if unit in ("radian", "rad"):
        return (180.0 / math.pi, "°") if name == "rotation" else (1e3, "mrad")
    if unit == "1" and name in SHARES:
        return 100.0, "%"
    return _FACTORS.get(unit, 1.0), _NAMES.get(unit, unit)


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error with two figures of the error."""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.4g}", "?"
    places = 1 - math.floor(math.log10(error))
    if places > 7 or (places < 0 and abs(value) >= 1e7):
        return f"{value:.4g}", f"{error:.2g}"
    return f"{value:.{max(places, 0)}f}", f"{error:.{max(places, 0)}f}"
