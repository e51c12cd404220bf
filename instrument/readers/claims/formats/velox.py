"""Claims of Thermo Fisher's Velox files (EMD). Defocus is C10 as it stands: negative is underfocus."""

from collections.abc import Mapping

import msgspec

from instrument.readers.claims.rules import Found, apply_rules, epoch_claim, finite_number, number_claim, rule
from twin.channels.lenses import THERMO_LENSES
from twin.records import Claim, Value

RULES = (
    rule("high_tension", r"Optics\.AccelerationVoltage", "V"),
    rule("extraction_voltage", r"Optics\.ExtractorVoltage", "V"),
    rule("convergence_semiangle", r"Optics\.BeamConvergence", "rad"),
    rule("camera_length", r"Optics\.CameraLength", "m"),
    rule("C10", r"Optics\.Defocus", "m"),
    rule("magnification", r"Optics\.NominalMagnification"),
    rule("magnification", r"CustomProperties\.StemMagnification\.value"),
    rule("screen_current", r"Optics\.LastMeasuredScreenCurrent", "A"),
    rule("spot_size", r"Optics\.SpotIndex"),
    rule("illumination_mode", r"Optics\.IlluminationMode", None),
    rule("projection_mode", r"Optics\.ProjectorMode", None),
    *(rule(name, rf"Optics\.{key}") for key, name in THERMO_LENSES.items()),
    rule("stage.x", r"Stage\.Position\.x", "m"),
    rule("stage.y", r"Stage\.Position\.y", "m"),
    rule("stage.z", r"Stage\.Position\.z", "m"),
    rule("stage.alpha", r"Stage\.AlphaTilt", "rad"),
    rule("stage.beta", r"Stage\.BetaTilt", "rad"),
    rule("dwell", r"Scan\.DwellTime", "s"),
    rule("line_time", r"Scan\.LineTime", "s"),
    rule("scan_rotation", r"Scan\.ScanRotation", "rad"),
    rule("instrument", r"Instrument\.ComputerName", None),
    rule("detector", r"BinaryResult\.Detector", None),
)
_PIXELS = {"m": "pixel.{}", "1/m": "pixel.k{}", "rad": "pixel.angle.{}"}
_SCANNING = "ScanningDetector"
_OTHER_FRAMES = ("ImagingDetector", "AnalyticalDetector")
"""Detectors whose recordings are not of the part of the scan that the metadata state."""
TIMES = {
    "time.start": ("Acquisition.AcquisitionStartDatetime.DateTime: seconds since 1970",),
    "time.unstated": ("Acquisition.AcquisitionDatetime.DateTime", "CustomProperties.Detectors[...].TimeStamp"),
}


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a Velox file."""
    yield from apply_rules(RULES, raw)
    for side, extent in (("x", "width"), ("y", "height")):
        unit = str(raw.get(f"BinaryResult.PixelUnit{side.upper()}", ""))
        key = f"BinaryResult.PixelSize.{extent}"
        if unit in _PIXELS and key in raw and (claim := number_claim(_PIXELS[unit].format(side), key, raw[key], unit)):
            yield _PIXELS[unit].format(side), claim
    yield from _of_detector(raw)
    for key in ("Acquisition.AcquisitionStartDatetime.DateTime",):
        if (claim := epoch_claim(raw, key, "s")) is not None:
            yield "time.start", claim
    for key in raw:
        if key == "Acquisition.AcquisitionDatetime.DateTime" and (claim := epoch_claim(raw, key, "s")) is not None:
            yield "time.unstated", claim
        if key.startswith("CustomProperties.Detectors[") and key.endswith("TimeStamp.value"):
            claim = epoch_claim(raw, key, "us")
            if claim is not None:
                yield "time.unstated", claim


def _of_detector(raw: Mapping[str, Value]) -> Found:
    """Claims about the detector that recorded the signal. Those of a scan are given only where one made it: a file of a camera keeps those of another scan."""
    prefix = f"Detectors.Detector-{raw.get('BinaryResult.DetectorIndex', '')}."
    kind = raw.get(f"{prefix}DetectorType", raw.get("DetectorMetadata.DetectorType", ""))
    names = {
        "detector.inner": ("CollectionAngleRange.begin", "rad"), "detector.outer": ("CollectionAngleRange.end", "rad"),
        "binning.x": ("Binning.width", ""), "binning.y": ("Binning.height", ""), "exposure": ("ExposureTime", "s"),
    }  # fmt: skip
    for name, (part, unit) in names.items():
        key = f"{prefix}{part}"
        if key in raw and (claim := number_claim(name, key, raw[key], unit)) is not None:
            yield name, claim
    yield from _of_scan(raw, str(kind))


def _of_scan(raw: Mapping[str, Value], kind: str) -> Found:
    """Rows, columns, frame time and field of view: of the part of the full scan that was recorded ("ScanArea", shares of the full one).

    A camera's image has no field of view of a scan; a stream of X-ray spectra is kept on the full scan whatever part was recorded.
    """
    scanned = kind == _SCANNING
    if scanned and (finite_number(raw.get("Scan.FrameTime")) or 0.0) > 0:
        claim = number_claim("frame_time", "Scan.FrameTime", raw["Scan.FrameTime"], "s")
        if claim is not None:
            yield "frame_time", claim
    for side, extent, sides in (("x", "width", ("left", "right")), ("y", "height", ("top", "bottom"))):
        first, last = (finite_number(raw.get(f"Scan.ScanArea.{name}")) for name in sides)
        part = last - first if first is not None and last is not None and 0.0 <= first < last <= 1.0 else 1.0
        shown = "" if part == 1.0 else f", of which {part:.6g} was recorded"
        name, key = f"field_of_view.{side}", f"Optics.FullScanFieldOfView.{side}"
        if kind not in _OTHER_FRAMES and key in raw and (claim := number_claim(name, key, raw[key], "m")) is not None:
            yield name, _scaled(claim, part, shown)
        name, key = ("columns" if side == "x" else "rows"), f"Scan.ScanSize.{extent}"
        if scanned and (finite_number(raw.get(key)) or 0.0) > 0 and (claim := number_claim(name, key, raw[key], "")):
            yield name, _scaled(claim, part, shown, whole=True)


def _scaled(claim: Claim, part: float, shown: str, whole: bool = False) -> Claim:
    """A claim about the full scan, for the part that was recorded."""
    value = float(claim.value) * part
    return msgspec.structs.replace(
        claim, value=float(round(value)) if whole else value, text=claim.text + shown, step=claim.step * part
    )
