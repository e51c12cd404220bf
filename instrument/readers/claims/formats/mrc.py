"""Claims of MRC files: Thermo Fisher's extended headers (FEI1, FEI2, and the older one), and SerialEM's .mdoc beside the file; of a stack, those of its first
image.

Thermo Fisher's defocus, in metres, and SerialEM's, in micrometres, are C10 as they stand: negative is underfocus. Of SerialEM ``Defocus`` is the
microscope's reading and ``TargetDefocus`` what the autofocus was to reach. The convergence angle of FEI1 and FEI2 is not claimed: neither its unit nor
whether it is half or whole is documented. The pixel of a diffraction pattern is not claimed either.
"""

from collections.abc import Mapping

from instrument.readers.claims.rules import (
    Found,
    apply_rules,
    epoch_claim,
    finite_number,
    number_claim,
    rule,
    written_claim,
)
from twin.records import Claim, Value, last_digit

_FEI = r"FEI[12]\."
_OLD = r"FEI\."
_MDOC = r"mdoc\.(first\.)?"
RULES = (
    rule("high_tension", _FEI + "HT", "V"),
    rule("high_tension", _MDOC + "Voltage", "kV"),
    rule("C10", _OLD + "defocus", "m"),
    rule("C10", _MDOC + "Defocus", "um"),
    rule("C10", _MDOC + "TargetDefocus", "um"),
    rule("magnification", _FEI + "Magnification"),
    rule("magnification", _OLD + "magnification"),
    rule("magnification", _MDOC + "Magnification"),
    rule("camera_length", _FEI + "Camera length", "m"),
    rule("gain", _MDOC + "CountsPerElectron"),
    rule("spot_size", _FEI + "Spot index"),
    rule("spot_size", _MDOC + "SpotSize"),
    rule("stage.x", _FEI + "X-Stage", "m"),
    rule("stage.y", _FEI + "Y-Stage", "m"),
    rule("stage.z", _FEI + "Z-Stage", "m"),
    rule("stage.x", _OLD + "x_stage", "m"),
    rule("stage.y", _OLD + "y_stage", "m"),
    rule("stage.z", _OLD + "z_stage", "m"),
    rule("stage.x", _MDOC + "StagePosition_x", "um"),
    rule("stage.y", _MDOC + "StagePosition_y", "um"),
    rule("stage.z", _MDOC + "StageZ", "um"),
    rule("stage.alpha", _FEI + "Alpha tilt", "deg"),
    rule("stage.beta", _FEI + "Beta tilt", "deg"),
    rule("stage.alpha", _OLD + "a_tilt", "deg"),
    rule("stage.beta", _OLD + "b_tilt", "deg"),
    rule("stage.alpha", _MDOC + "TiltAngle", "deg"),
    rule("exposure", _FEI + "Integration time", "s"),
    rule("exposure", _OLD + "exp_time", "s"),
    rule("exposure", _MDOC + "ExposureTime", "s"),
    rule("dwell", _FEI + "Dwell time", "s"),
    rule("frame_time", _FEI + "Frame time", "s"),
    rule("field_of_view.x", _FEI + "Full scan FOV X", "m"),
    rule("field_of_view.y", _FEI + "Full scan FOV Y", "m"),
    rule("binning.x", _FEI + "Binning Width"),
    rule("binning.y", _FEI + "Binning Height"),
    rule("drift_tube", _FEI + "Drift tube voltage", "V"),
    rule("frames", r"mdoc\.sections"),
    rule("illumination_mode", _FEI + "Illumination mode", None),
    rule("instrument", _FEI + "D-Number", None),
    rule("detector", _FEI + "(Camera name|STEM Detector name)", None),
)
TIMES = {
    "time.unstated": (
        "FEI1.Timestamp, FEI2.Timestamp: days since 1899-12-30, zone not stated",
        "mdoc.first.DateTime: zone not stated",
    )
}
_SCANNING, _DIFFRACTION = 2, 1
"""Thermo Fisher's instrument mode of a scan, and its projection mode of diffraction."""
_DOSES = {"FEI1.Dose": (1e-20, "1/m^2"), "FEI2.Dose": (1e-20, "1/m^2"), "mdoc.first.ExposureDose": (1.0, "1/Å^2")}
"""Keys of doses, the factor to electrons per square angstrom, and the unit."""
_OLD_PIXEL = "FEI.pixel_size"


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of an MRC file."""
    yield from _defocus(raw)
    yield from apply_rules(RULES, raw)
    yield from _doses(raw)
    yield from _pixels(raw)
    for kind in ("FEI1", "FEI2"):
        if (claim := epoch_claim(raw, f"{kind}.Timestamp", "ole")) is not None:
            yield "time.unstated", claim
    if (claim := written_claim(raw, "mdoc.first.DateTime")) is not None:
        yield "time.unstated", claim


def _defocus(raw: Mapping[str, Value]) -> Found:
    """Thermo Fisher's defocus: of the probe in a scan, of the objective lens otherwise."""
    for kind in ("FEI1", "FEI2"):
        key = f"{kind}.STEM Defocus" if raw.get(f"{kind}.Instrument mode") == _SCANNING else f"{kind}.Defocus"
        if key in raw and (claim := number_claim("C10", key, raw[key], "m")) is not None:
            yield "C10", claim


def _doses(raw: Mapping[str, Value]) -> Found:
    for key, (factor, unit) in _DOSES.items():
        number = finite_number(raw.get(key))
        if number is not None:
            text = str(raw[key])
            yield (
                "dose",
                Claim(number * factor, "electron/angstrom^2", key, f"{text} {unit}", step=last_digit(text, factor)),
            )


def _pixels(raw: Mapping[str, Value]) -> Found:
    """Pixel sizes beside those of the header: of an image, not of a pattern."""
    keys: list[tuple[str, str, str]] = []
    for kind in ("FEI1", "FEI2"):
        if raw.get(f"{kind}.Projection mode") != _DIFFRACTION:
            keys += [(f"pixel.{side}", f"{kind}.Pixel size {side.upper()}", "m") for side in "xy"]
    if not finite_number(raw.get("mdoc.first.CameraLength")):
        keys += [(f"pixel.{side}", "mdoc.first.PixelSpacing", "Å") for side in "xy"]
    keys += [(f"pixel.{side}", _OLD_PIXEL, "m") for side in "xy"]
    for name, key, unit in keys:
        if key in raw and (claim := number_claim(name, key, raw[key], unit)) is not None:
            yield name, claim
