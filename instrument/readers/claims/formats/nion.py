"""Claims of Nion Swift's data items. Numbers are in SI units, or in the unit that ends their key (fov_nm, pixel_time_us).

``defocus`` and ``C10`` are C10 as they stand, in metres, positive for overfocus: chi = C10 theta^2 / 2 + C30 theta^4 / 4 with one sign for both, so that
underfocus (negative) balances a positive C30 (nionswift-usim, RonchigramCameraSimulator.AberrationsController; Krivanek et al., Ultramicroscopy 78, 1
(1999)). Angles whose names end in "ha" are half angles. Nion's rotation is that of the scan, in radian.
"""

from collections.abc import Mapping

from instrument.readers.claims.rules import Found, apply_rules, number_claim, rule, time_claim, written_claim
from instrument.readers.claims.times import written_time
from twin.records import Value

_IN = r"nion\.metadata\."
_COLUMN = _IN + r"(instrument|hardware_source(\.autostem)?)\."
_SCANNED = _IN + r".*ImageScanned:"
_SCAN = _IN + r"(scan(\.scan_device_properties|\.scan_device_parameters)?|hardware_source)\."
RULES = (
    rule("high_tension", _COLUMN + "(high_tension|high_tension_v|extra_high_tension)", "V"),
    rule("high_tension", _SCANNED + "EHT", "V"),
    rule("C10", _COLUMN + "(defocus|defocus_m)", "m"),
    rule("C10", _SCANNED + "C10", "m"),
    rule("spherical_aberration", _SCANNED + "C30", "m"),
    rule("convergence_semiangle", _IN + r"hardware_source\.convergence_angle_rad", "rad"),
    rule("convergence_semiangle", _SCANNED + "probe_ha", "rad"),
    rule("collection_semiangle", _IN + r"hardware_source\.collection_angle_rad", "rad"),
    rule("detector.inner", _SCANNED + "HAADF_Inner_ha", "rad"),
    rule("detector.outer", _SCANNED + "HAADF_Outer_ha", "rad"),
    rule("beam_current", _IN + r"hardware_source\.beam_current_a", "A"),
    rule("emission", _SCANNED + r"SuperFEG\.\^EmissionCurrent", "A"),
    rule("dwell", _SCAN + "pixel_time_us", "us"),
    rule("line_time", _SCAN + "line_time_us", "us"),
    rule("flyback", _SCAN + "flyback_time_us", "us"),
    rule("scan_rotation", _SCAN + "(rotation|rotation_rad)", "rad"),
    rule("scan_rotation", _SCAN + "rotation_deg", "deg"),
    rule("stage.x", _SCANNED + "StageOutX", "m"),
    rule("stage.y", _SCANNED + "StageOutY", "m"),
    rule("stage.z", _SCANNED + "StageOutZ", "m"),
    rule("stage.alpha", _SCANNED + "StageOutA", "rad"),
    rule("stage.beta", _SCANNED + "StageOutB", "rad"),
    rule("binning.x", _IN + r"hardware_source\.binning"),
    rule("camera_pixel", _IN + r"hardware_source\.detector_configuration\.x_pixel_size", "m"),
    rule("instrument", r"nion\.session(_metadata)?\.instrument", None),
    rule("detector", _IN + r"hardware_source\.(channel_name|hardware_source_name)", None),
)
TIMES = {
    "time.unstated": ("nion.created (UTC): when the data item was made",),
    "time.saved": ("nion.modified (UTC): when its properties last changed",),
    "time.start": (
        "nion.metadata.hardware_source.detector_configuration.data_collection_date: when the detector was armed",
    ),
}


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a data item of Nion Swift."""
    yield from apply_rules(RULES, raw)
    is_scan = any(key.endswith(".pixel_time_us") for key in raw)
    key = "nion.metadata.hardware_source.exposure"
    if key in raw and (claim := number_claim("exposure", key, raw[key], "s")) is not None:
        yield ("frame_time" if is_scan else "exposure"), claim
    for name, key in (("time.unstated", "nion.created"), ("time.saved", "nion.modified")):
        text = str(raw.get(key, "")).strip()
        if (
            claim := time_claim(key, text, written_time(f"{text}Z"))
        ) is not None:  # Nion Swift writes UTC without saying so
            yield name, claim
    if (
        claim := written_claim(raw, "nion.metadata.hardware_source.detector_configuration.data_collection_date")
    ) is not None:
        yield "time.start", claim
