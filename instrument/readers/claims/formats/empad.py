"""Claims of EMPAD files (XML), first and second generation. Lengths are in metres, voltages in volts, the scan's rotation in radian.

The exposure is in milliseconds in the first generation and in seconds in the second, and is the time of one pattern, so that it is claimed as the dwell
time of a scan.
"""

from collections.abc import Mapping

from instrument.readers.claims.rules import Found, apply_rules, rule, written_claim
from twin.records import Value

_AT = r"EMPAD\."
_MEASURED = r"EMPAD\.iom_measurements\."
RULES = (
    rule("high_tension", _MEASURED + "(high_voltage|source\\.get_high_voltage)", "V"),
    rule("high_tension", _MEASURED + "ColumnSourceHighVoltage", "V"),
    rule("camera_length", _MEASURED + r"(nominal_camera_length|optics\.get_camera_length)", "m"),
    rule("camera_length", _MEASURED + "ColumnOpticsGetCameraLengthNominalCameraLength", "m"),
    rule("magnification", _MEASURED + "ColumnOpticsGetMagnificationNominalMagnification"),
    rule("dwell", _AT + "exposure_time", "ms"),
    rule("dwell", _AT + r"scan\.exposure_time", "s"),
    rule("scan_rotation", _MEASURED + "ColumnGetScanRotation", "rad"),
    rule("spot_size", _MEASURED + "(ColumnOpticsSpotSizeIndex|spot_size_index)"),
    rule("screen_current", _MEASURED + "DetectorsFluScreenLastMeasuredScreenCurrentCalibratedScreenCurrent", "A"),
    rule("columns", _AT + "pix_x"),
    rule("rows", _AT + "pix_y"),
    rule("frames", _AT + r"scan_parameters\.series_count"),
)
TIMES = {"time.unstated": ("EMPAD.timestamp.isoformat",)}


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of an EMPAD file."""
    yield from apply_rules(RULES, raw)
    if (claim := written_claim(raw, "EMPAD.timestamp.isoformat")) is not None:
        yield "time.unstated", claim
