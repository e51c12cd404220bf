"""Claims of Gatan's DigitalMicrograph files (DM3, DM4)."""

import re
from collections.abc import Mapping

from instrument.readers.claims.rules import Found, apply_rules, epoch_claim, rule, written_claim
from twin.records import Value

_IMAGE = re.compile(r"ImageList\.TagGroup\d+\.ImageTags\.")
_TAGS = r"ImageList\.TagGroup\d+\.ImageTags\."
_INFO = _TAGS + r"Microscope Info\."
_EELS = _TAGS + r"EELS( Spectrometer)?\."
RULES = (
    rule("high_tension", _INFO + r"Voltage", "V"),
    rule("convergence_semiangle", _EELS + r"Experimental Conditions\.Convergence semi-angle \(mrad\)", "mrad"),
    rule("collection_semiangle", _EELS + r"Experimental Conditions\.Collection semi-angle \(mrad\)", "mrad"),
    rule("camera_length", _INFO + r"STEM Camera Length", "mm"),
    rule("magnification", _INFO + r"Indicated Magnification"),
    rule("emission", _INFO + r"Emission Current \(µA\)", "uA"),
    rule("beam_current", _INFO + r"Probe Current \(nA\)", "nA"),
    rule("spherical_aberration", _INFO + r"Cs\(mm\)", "mm"),
    rule("stage.x", _INFO + r"Stage Position\.Stage X", "um"),
    rule("stage.y", _INFO + r"Stage Position\.Stage Y", "um"),
    rule("stage.z", _INFO + r"Stage Position\.Stage Z", "um"),
    rule("stage.alpha", _INFO + r"Stage Position\.Stage Alpha", "deg"),
    rule("stage.beta", _INFO + r"Stage Position\.Stage Beta", "deg"),
    rule("illumination_mode", _INFO + r"Illumination Mode", None),
    rule("projection_mode", _INFO + r"Imaging Mode", None),
    rule("dwell", _TAGS + r"SI\.Acquisition\.Pixel time \(s\)", "s"),
    rule("dwell", _TAGS + r"DigiScan\.Sample Time", "us"),
    rule("flyback", _TAGS + r"DigiScan\.Flyback", "us"),
    rule("scan_rotation", _TAGS + r"DigiScan\.Rotation", "deg"),
    rule("columns", _TAGS + r"SI\.Acquisition\.Spatial Sampling\.Width \(pixels\)"),
    rule("rows", _TAGS + r"SI\.Acquisition\.Spatial Sampling\.Height \(pixels\)"),
    rule("exposure", _EELS + r"Acquisition\.Exposure \(s\)", "s"),
    rule("exposure", _TAGS + r"DataBar\.Exposure Time \(s\)", "s"),
    rule("exposure", _TAGS + r"Acquisition\.Parameters\.High Level\.Exposure \(s\)", "s"),
    rule("binning.x", _TAGS + r"Acquisition\.Parameters\.Detector\.hbin"),
    rule("binning.y", _TAGS + r"Acquisition\.Parameters\.Detector\.vbin"),
    rule("drift_tube", _EELS + r"Drift tube voltage \(V\)", "V"),
    rule("dispersion", _EELS + r"Dispersion \(eV/ch\)", "eV"),
    rule("instrument", _TAGS + r"Session Info\.Microscope", None),
    rule("instrument", _INFO + r"Name", None),
    rule("detector", _TAGS + r"DataBar\.Device Name", None),
    rule("detector", _TAGS + r"EELS Spectrometer\.Instrument name", None),
)
_IN_DIFFRACTION = (rule("camera_length", _INFO + r"Indicated Magnification", "mm"),)
_TIMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("time.start", ("SI.Acquisition.Date", "SI.Acquisition.Start time")),
    ("time.end", ("SI.Acquisition.Date", "SI.Acquisition.End time")),
    ("time.start", ("EELS.Acquisition.Date", "EELS.Acquisition.Start time")),
    ("time.end", ("EELS.Acquisition.Date", "EELS.Acquisition.End time")),
    ("time.unstated", ("DataBar.Acquisition Date", "DataBar.Acquisition Time")),
)
_EPOCHS = (
    ("time.start", "Acquisition.Frame.Sequence.Acquisition Start Time (epoch)", "ms"),
    ("time.unstated", "DataBar.Acquisition Time (OS)", "filetime"),
)
TIMES = {
    "time.start": ("SI or EELS.Acquisition.Date and .Start time: zone not stated", "Acquisition Start Time (epoch)"),
    "time.end": ("SI or EELS.Acquisition.Date and .End time: zone not stated",),
    "time.unstated": ("DataBar.Acquisition Date and Time: zone not stated", "DataBar.Acquisition Time (OS)"),
}


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a DigitalMicrograph file.

    In diffraction it writes the camera length, in millimetres, where the magnification stands otherwise.
    """
    stated = list(apply_rules(RULES, raw))
    if any(
        key.endswith("Microscope Info.Operation Mode") and str(value).strip().upper() == "DIFFRACTION"
        for key, value in raw.items()
    ):
        yield from apply_rules(_IN_DIFFRACTION, raw)
        stated = [(name, claim) for name, claim in stated if name != "magnification"]
    yield from stated
    for prefix in dict.fromkeys(match[0] for key in raw if (match := _IMAGE.match(key))):
        for name, key, unit in _EPOCHS:
            if (claim := epoch_claim(raw, prefix + key, unit)) is not None:
                yield name, claim
        for name, keys in _TIMES:
            if (claim := written_claim(raw, *(prefix + key for key in keys))) is not None:
                yield name, claim
