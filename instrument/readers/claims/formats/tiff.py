"""Claims of TIFF files: tags of FEI's microscopes (FEI_TITAN; FEI_SFEG and FEI_HELIOS), JEOL's SightX, TVIPS, ImageJ, and the resolution.

FEI's numbers of FEI_TITAN have their unit beside them, and its defocus is C10 as it stands, as in TIA; those of FEI_SFEG and FEI_HELIOS are in SI units. A
resolution makes a claim of the pixel only where no printer has it (below 5 micrometres a pixel), since most programs write that of a screen or of paper.
The tag DateTime does not say whether it is the time of the recording or of the file.
"""

import re
from collections.abc import Mapping

from instrument.readers.claims.rules import (
    Found,
    apply_rules,
    finite_number,
    number_claim,
    rule,
    time_claim,
    written_claim,
)
from instrument.readers.claims.times import written_time
from twin.channels.lenses import TIA_LENSES
from twin.records import Claim, Value
from twin.units import read_unit

_TITAN = r"FEI_TITAN\."
_BESIDE = (".value", ".unit")
_FEI = r"fei_metadata\."
_JEOL = r"ImageDescription\."
_LABELS = {
    "high_tension": "High tension", "extraction_voltage": "Extraction voltage", "emission": "Emission", "camera_length": "Camera length", "C10": "Defocus",
    "stage.x": "Stage X", "stage.y": "Stage Y", "stage.z": "Stage Z", "stage.alpha": "Stage A", "stage.beta": "Stage B", "scan_rotation": "Stem rotation",
}  # fmt: skip
RULES = (
    *(rule(name, rf"{_TITAN}{label}\.value", "", _BESIDE) for name, label in _LABELS.items()),
    rule("magnification", _TITAN + r"Magnification\.value"),
    rule("spot_size", _TITAN + r"Spot size\.value"),
    *(rule(name, rf"{_TITAN}{label}\.value", "%") for label, name in TIA_LENSES.items()),
    rule("projection_mode", _TITAN + r"Mode\.value", None),
    rule("instrument", _TITAN + r"Microscope\.value", None),
    rule("high_tension", _FEI + r"(Beam|EBeam)\.HV", "V"),
    rule("beam_current", _FEI + r"EBeam\.BeamCurrent", "A"),
    rule("emission", _FEI + r"EBeam\.EmissionCurrent", "A"),
    rule("dwell", _FEI + r"(Scan\.Dwelltime|EScan\.Dwell)", "s"),
    rule("frame_time", _FEI + r"(Scan|EScan)\.FrameTime", "s"),
    rule("line_time", _FEI + r"EScan\.LineTime", "s"),
    rule("scan_rotation", _FEI + r"(EBeam|EScan)\.ScanRotation", "rad"),
    rule("field_of_view.x", _FEI + r"Scan\.HorFieldsize", "m"),
    rule("field_of_view.y", _FEI + r"Scan\.VerFieldsize", "m"),
    rule("columns", _FEI + r"Image\.ResolutionX"),
    rule("rows", _FEI + r"Image\.ResolutionY"),
    rule("stage.x", _FEI + r"Stage\.StageX", "m"),
    rule("stage.y", _FEI + r"Stage\.StageY", "m"),
    rule("stage.z", _FEI + r"Stage\.StageZ", "m"),
    rule("stage.alpha", _FEI + r"Stage\.(StageT|StageTa)", "rad"),
    rule("stage.beta", _FEI + r"Stage\.StageTb", "rad"),
    rule("detector", _FEI + r"Detectors\.Name", None),
    rule("instrument", _FEI + r"System\.(SystemType|Dnumber)", None),
    rule("high_tension", _JEOL + r"ElectronGun\.AccelerationVoltage", "V"),
    rule("stage.alpha", _JEOL + r"GonioStage\.StagePosition\.TX", "deg"),
    rule("stage.beta", _JEOL + r"GonioStage\.StagePosition\.TY", "deg"),
    rule("projection_mode", _JEOL + r"ImageFormingSystem\.ModeString", None),
    rule("instrument", _JEOL + "Instruments", None),
    rule("high_tension", r"TVIPS\.TemHighTension", "V"),
    rule("magnification", r"TVIPS\.TemMagnification"),
    rule("exposure", r"TVIPS\.ExposureTime", "ms"),
    rule("frames", r"ImageJ\.images"),
)
TIMES = {
    "time.unstated": (
        "DateTime; fei_metadata.User.Date and .Time: zone not stated",
        "ImageDescription.DateTime (JEOL): with its zone",
    ),
}
_FINEST_PRINT = 5e4
"""Angstrom; 5 micrometres are 5080 dots an inch."""
_DATE_TIME = re.compile(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})")
_SELECTED = "ImageDescription.ImageFormingSystem.Selector"


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a TIFF file."""
    yield from apply_rules(RULES, raw)
    yield from _selected(raw)
    yield from _resolution(raw)
    if match := _DATE_TIME.fullmatch(str(raw.get("DateTime", "")).strip()):
        written = written_time(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}")
        if (claim := time_claim("DateTime", match[0], written)) is not None:
            yield "time.unstated", claim
    for keys in (("fei_metadata.User.Date", "fei_metadata.User.Time"), ("ImageDescription.DateTime",)):
        if (claim := written_claim(raw, *keys)) is not None:
            yield "time.unstated", claim


def _selected(raw: Mapping[str, Value]) -> Found:
    """JEOL's selected magnification, or the camera length where the mode is diffraction."""
    key = f"{_SELECTED}Value"
    if key not in raw:
        return
    if raw.get("ImageDescription.ImageFormingSystem.ModeString") == "DIFF":
        unit = str(raw.get(f"{_SELECTED}UnitString", ""))
        claim = number_claim("camera_length", key, raw[key], unit) if unit else None
        name = "camera_length"
    else:
        name, claim = "magnification", number_claim("magnification", key, raw[key], "")
    if claim is not None:
        yield name, claim


def _resolution(raw: Mapping[str, Value]) -> Found:
    """The pixel that the resolution states; ImageJ's is that of its own unit, which the axes have."""
    unit = read_unit(str(raw.get("Resolution.unit", "")).replace("inch", "cm"))
    if unit is None or any(key.startswith("ImageJ.") for key in raw):
        return
    inch = 2.54 if raw.get("Resolution.unit") == "inch" else 1.0
    for side in "xy":
        key = f"Resolution.{side}"
        number = finite_number(raw.get(key))
        if number and 0 < (size := inch * unit.factor / number) <= _FINEST_PRINT:
            yield f"pixel.{side}", Claim(size, "angstrom", key, f"{raw[key]} pixels/{raw['Resolution.unit']}")
