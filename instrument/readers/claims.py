"""Claims in a vendor's metadata: which key holds which quantity, and its unit.

Signs are kept as the vendor writes them (Thermo's defocus is minus ours). A claim is checked before it is used.
"""

import math
import re
from collections.abc import Mapping

from twin.records import Claim, Value, own_claims
from twin.units import NUMBER, read_unit

_DM = r"^ImageList\.TagGroup\d+\.ImageTags\."
_TIA = r"^ObjectInfo\.ExperimentalDescription\."

# (claim, pattern of the vendor's dotted key, unit of the number there ("": a bare number) or None for text)
_TABLE: tuple[tuple[str, str, str | None], ...] = (
    ("high_tension", _DM + r"Microscope Info\.Voltage$", "V"),
    ("high_tension", r"^Optics\.AccelerationVoltage$", "V"),
    ("high_tension", _TIA + r"High tension_kV$", "kV"),
    ("convergence_semiangle", _DM + r"EELS\.Experimental Conditions\.Convergence semi-angle \(mrad\)$", "mrad"),
    ("convergence_semiangle", r"^Optics\.BeamConvergence$", "rad"),
    ("collection_semiangle", _DM + r"EELS\.Experimental Conditions\.Collection semi-angle \(mrad\)$", "mrad"),
    ("camera_length", _DM + r"Microscope Info\.STEM Camera Length$", "mm"),
    ("camera_length", r"^Optics\.CameraLength$", "m"),
    ("camera_length", _TIA + r"Camera length_m$", "m"),
    ("defocus", r"^Optics\.Defocus$", "m"),
    ("defocus", _TIA + r"Defocus_um$", "um"),
    ("magnification", _DM + r"Microscope Info\.Indicated Magnification$", ""),
    ("magnification", _TIA + r"Magnification_x$", ""),
    ("emission", _DM + r"Microscope Info\.Emission Current \(µA\)$", "uA"),
    ("emission", _TIA + r"Emission_uA$", "uA"),
    ("probe_current", _DM + r"Microscope Info\.Probe Current \(nA\)$", "nA"),
    ("screen_current", r"^Optics\.LastMeasuredScreenCurrent$", "A"),
    ("objective_lens", r"^Optics\.ObjectiveLensIntensity$", ""),
    ("objective_lens", _TIA + r"Objective lens_%$", "%"),
    ("stage.x", r"^Stage\.Position\.x$", "m"),
    ("stage.x", _TIA + r"Stage X_um$", "um"),
    ("stage.y", r"^Stage\.Position\.y$", "m"),
    ("stage.y", _TIA + r"Stage Y_um$", "um"),
    ("stage.z", r"^Stage\.Position\.z$", "m"),
    ("stage.z", _TIA + r"Stage Z_um$", "um"),
    ("stage.alpha", r"^Stage\.AlphaTilt$", "rad"),
    ("stage.alpha", _TIA + r"Stage A_deg$", "deg"),
    ("stage.beta", r"^Stage\.BetaTilt$", "rad"),
    ("stage.beta", _TIA + r"Stage B_deg$", "deg"),
    ("dwell", r"^Scan\.DwellTime$", "s"),
    ("dwell", r"^ObjectInfo\.AcquireInfo\.DwellTimePath$", "s"),
    ("dwell", _DM + r"SI\.Acquisition\.Pixel time \(s\)$", "s"),
    ("exposure", _DM + r"EELS\.Acquisition\.Exposure \(s\)$", "s"),
    ("scan_rotation", r"^Scan\.ScanRotation$", "rad"),
    ("drift_tube", _DM + r"EELS Spectrometer\.Drift tube voltage \(V\)$", "V"),
    ("dispersion", _DM + r"EELS Spectrometer\.Dispersion \(eV/ch\)$", "eV"),
    ("date", _DM + r"SI\.Acquisition\.Date$", None),
    ("start_time", _DM + r"SI\.Acquisition\.Start time$", None),
    ("date", r"^ObjectInfo\.AcquireDate$", None),
    ("start_time", r"^Acquisition\.AcquisitionStartDatetime\.DateTime$", None),
    ("instrument", _DM + r"EELS Spectrometer\.Instrument name$", None),
    ("instrument", r"^Instrument\.ComputerName$", None),
    ("instrument", _TIA + r"Microscope$", None),
)
_RULES = tuple((name, re.compile(pattern), unit) for name, pattern, unit in _TABLE)


def claims_of(raw: Mapping[str, Value]) -> dict[str, Claim]:
    """The claims among flattened vendor metadata. An entry that is absent, not finite, or not a number where a number is expected gives no claim."""
    claims = own_claims(raw)
    for key, value in raw.items():
        for name, pattern, unit_text in _RULES:
            if name in claims or not pattern.match(key):
                continue
            if unit_text is None:
                claims[name] = Claim(value, None, key)
                continue
            number = _number(value)
            if number is not None:
                unit = read_unit(unit_text) or NUMBER
                claims[name] = Claim(number * unit.factor, unit.unit, key)
    return claims


def _number(value: Value) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
