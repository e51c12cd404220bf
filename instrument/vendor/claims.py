"""Which entries of a vendor's metadata claim what, and how their units become angstrom, radian, volt, second, ampere.

Signs stay the vendor's own (Thermo's defocus is minus ours); a claim is material to be checked, not knowledge.
"""

import math
import re
from collections.abc import Mapping

from instrument.vendor.signals import Claim, Value

LENGTH = {
    "m": 1e10,
    "mm": 1e7,
    "um": 1e4,
    "µm": 1e4,
    "μm": 1e4,
    "nm": 10.0,
    "pm": 0.01,
    "a": 1.0,
    "å": 1.0,
    "angstrom": 1.0,
}
ANGLE = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "µrad": 1e-6, "deg": math.pi / 180, "°": math.pi / 180}
ENERGY = {"ev": 1.0, "kev": 1e3, "mev": 1e-3}
TIME = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_DM = r"^ImageList\.TagGroup\d+\.ImageTags\."
_TIA = r"^ObjectInfo\.ExperimentalDescription\."

# (claim, pattern of the vendor's dotted key, factor to the inside unit or None for text, inside unit)
_TABLE: tuple[tuple[str, str, float | None, str | None], ...] = (
    ("high_tension", _DM + r"Microscope Info\.Voltage$", 1.0, "volt"),
    ("high_tension", r"^Optics\.AccelerationVoltage$", 1.0, "volt"),
    ("high_tension", _TIA + r"High tension_kV$", 1e3, "volt"),
    ("convergence_semiangle", _DM + r"EELS\.Experimental Conditions\.Convergence semi-angle \(mrad\)$", 1e-3, "radian"),
    ("convergence_semiangle", r"^Optics\.BeamConvergence$", 1.0, "radian"),
    ("collection_semiangle", _DM + r"EELS\.Experimental Conditions\.Collection semi-angle \(mrad\)$", 1e-3, "radian"),
    ("camera_length", _DM + r"Microscope Info\.STEM Camera Length$", 1e7, "angstrom"),
    ("camera_length", r"^Optics\.CameraLength$", 1e10, "angstrom"),
    ("camera_length", _TIA + r"Camera length_m$", 1e10, "angstrom"),
    ("defocus", r"^Optics\.Defocus$", 1e10, "angstrom"),
    ("defocus", _TIA + r"Defocus_um$", 1e4, "angstrom"),
    ("magnification", _DM + r"Microscope Info\.Indicated Magnification$", 1.0, "1"),
    ("magnification", _TIA + r"Magnification_x$", 1.0, "1"),
    ("emission", _DM + r"Microscope Info\.Emission Current \(µA\)$", 1e-6, "ampere"),
    ("emission", _TIA + r"Emission_uA$", 1e-6, "ampere"),
    ("probe_current", _DM + r"Microscope Info\.Probe Current \(nA\)$", 1e-9, "ampere"),
    ("screen_current", r"^Optics\.LastMeasuredScreenCurrent$", 1.0, "ampere"),
    ("objective_lens", r"^Optics\.ObjectiveLensIntensity$", 1.0, "1"),
    ("objective_lens", _TIA + r"Objective lens_%$", 0.01, "1"),
    ("stage.x", r"^Stage\.Position\.x$", 1e10, "angstrom"),
    ("stage.x", _TIA + r"Stage X_um$", 1e4, "angstrom"),
    ("stage.y", r"^Stage\.Position\.y$", 1e10, "angstrom"),
    ("stage.y", _TIA + r"Stage Y_um$", 1e4, "angstrom"),
    ("stage.z", r"^Stage\.Position\.z$", 1e10, "angstrom"),
    ("stage.z", _TIA + r"Stage Z_um$", 1e4, "angstrom"),
    ("stage.alpha", r"^Stage\.AlphaTilt$", 1.0, "radian"),
    ("stage.alpha", _TIA + r"Stage A_deg$", math.pi / 180, "radian"),
    ("stage.beta", r"^Stage\.BetaTilt$", 1.0, "radian"),
    ("stage.beta", _TIA + r"Stage B_deg$", math.pi / 180, "radian"),
    ("dwell", r"^Scan\.DwellTime$", 1.0, "second"),
    ("dwell", r"^ObjectInfo\.AcquireInfo\.DwellTimePath$", 1.0, "second"),
    ("dwell", _DM + r"SI\.Acquisition\.Pixel time \(s\)$", 1.0, "second"),
    ("exposure", _DM + r"EELS\.Acquisition\.Exposure \(s\)$", 1.0, "second"),
    ("scan_rotation", r"^Scan\.ScanRotation$", 1.0, "radian"),
    ("drift_tube", _DM + r"EELS Spectrometer\.Drift tube voltage \(V\)$", 1.0, "volt"),
    ("dispersion", _DM + r"EELS Spectrometer\.Dispersion \(eV/ch\)$", 1.0, "eV"),
    ("high_tension", r"^emtwin\.scenario\.beam\.energy_keV$", 1e3, "volt"),
    ("convergence_semiangle", r"^emtwin\.scenario\.beam\.semiangle_mrad$", 1e-3, "radian"),
    ("thickness", r"^emtwin\.thickness$", 1.0, "angstrom"),
    ("date", _DM + r"SI\.Acquisition\.Date$", None, None),
    ("start_time", _DM + r"SI\.Acquisition\.Start time$", None, None),
    ("date", r"^ObjectInfo\.AcquireDate$", None, None),
    ("start_time", r"^Acquisition\.AcquisitionStartDatetime\.DateTime$", None, None),
    ("instrument", _DM + r"EELS Spectrometer\.Instrument name$", None, None),
    ("instrument", r"^Instrument\.ComputerName$", None, None),
    ("instrument", _TIA + r"Microscope$", None, None),
)
_RULES = tuple((name, re.compile(pattern), factor, unit) for name, pattern, factor, unit in _TABLE)

MAX_ENTRIES = 20_000
MAX_TEXT = 400


def flatten(tree: object, limit: int = MAX_ENTRIES) -> dict[str, Value]:
    """Nested metadata as dotted keys; only numbers, booleans and text up to MAX_TEXT characters, at most ``limit`` entries."""
    flat: dict[str, Value] = {}
    pending: list[tuple[str, object, int]] = [("", tree, 0)]
    while pending and len(flat) < limit:
        prefix, item, depth = pending.pop()
        if isinstance(item, Mapping):
            if depth < 64:
                pending.extend(
                    (f"{prefix}.{key}" if prefix else str(key), value, depth + 1) for key, value in item.items()
                )
            continue
        value = _scalar(item)
        if value is not None and len(prefix) <= MAX_TEXT:
            flat[prefix] = value
    return dict(sorted(flat.items()))


def _scalar(item: object) -> Value | None:
    """Plain Python value of a metadata entry; None for what is not a short scalar or is not a number (NaN)."""
    if hasattr(item, "item") and getattr(item, "ndim", None) == 0:
        item = item.item()  # type: ignore[union-attr]  # numpy scalars and 0-d arrays
    if isinstance(item, bool):
        return item
    if isinstance(item, int):
        return item if abs(item) < 2**63 else None
    if isinstance(item, float):
        return None if math.isnan(item) else item
    if isinstance(item, bytes):
        item = item.decode("utf-8", errors="replace")
    if isinstance(item, str) and item and len(item) <= MAX_TEXT:
        return item
    return None


def claims_of(raw: Mapping[str, Value]) -> dict[str, Claim]:
    """The claims among flattened vendor metadata. What is absent, not finite or not a number where one is due makes no claim."""
    found: dict[str, Claim] = {}
    for key, value in raw.items():
        for name, pattern, factor, unit in _RULES:
            if name in found or not pattern.match(key):
                continue
            if factor is None:
                found[name] = Claim(value, None, key)
                continue
            number = _number(value)
            if number is not None:
                found[name] = Claim(number * factor, unit, key)
    return found


def _number(value: Value) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def inside_unit(text: str) -> tuple[float, str | None]:
    """Factor and inside unit of an axis unit as a file writes it; (1, None) for none or one not known.

    Lengths become angstrom, reciprocal lengths 1/angstrom, angles radian, energies eV, times second.
    """
    plain = "".join(text.split()).lower()
    for table, unit in ((LENGTH, "angstrom"), (ANGLE, "radian"), (ENERGY, "eV"), (TIME, "second")):
        if plain in table:
            return table[plain], unit
    inverse = (
        plain.removeprefix("1/")
        if plain.startswith("1/")
        else plain.removesuffix("^-1")
        if plain.endswith("^-1")
        else ""
    )
    if inverse in LENGTH:
        return 1.0 / LENGTH[inverse], "1/angstrom"
    return 1.0, None
