"""Claims of FEI's TIA files (EMI with SER). Defocus is C10 as it stands: negative is underfocus."""

from collections.abc import Mapping

from instrument.readers.claims.rules import Found, apply_rules, epoch_claim, number_claim, rule, written_claim
from twin.channels.lenses import TIA_LENSES
from twin.records import Value

_DESCRIBED = r"ObjectInfo\.ExperimentalDescription\."
RULES = (
    rule("high_tension", _DESCRIBED + r"High tension_kV", "kV"),
    rule("high_tension", r"ObjectInfo\.ExperimentalConditions\.MicroscopeConditions\.AcceleratingVoltage", "V"),
    rule("extraction_voltage", _DESCRIBED + r"Extraction voltage_V", "V"),
    rule("camera_length", _DESCRIBED + r"Camera length_m", "m"),
    rule("C10", _DESCRIBED + r"Defocus_um", "um"),
    rule("magnification", _DESCRIBED + r"Magnification_x"),
    rule("magnification", r"ObjectInfo\.AcquireInfo\.Magnification"),
    rule("emission", _DESCRIBED + r"Emission_uA", "uA"),
    rule("spot_size", _DESCRIBED + r"Spot size"),
    *(rule(name, _DESCRIBED + key + "_%", "%") for key, name in TIA_LENSES.items()),
    rule("stage.x", _DESCRIBED + r"Stage X_um", "um"),
    rule("stage.y", _DESCRIBED + r"Stage Y_um", "um"),
    rule("stage.z", _DESCRIBED + r"Stage Z_um", "um"),
    rule("stage.alpha", _DESCRIBED + r"Stage A_deg", "deg"),
    rule("stage.beta", _DESCRIBED + r"Stage B_deg", "deg"),
    rule("dwell", r"ObjectInfo\.AcquireInfo\.DwellTimePath", "s"),
    rule("frame_time", r"ObjectInfo\.AcquireInfo\.FrameTime", "s"),
    rule("exposure", r"ObjectInfo\.AcquireInfo\.IntegrationTime", "s"),
    rule("projection_mode", _DESCRIBED + r"Mode", None),
    rule("instrument", _DESCRIBED + r"Microscope", None),
)
TIMES = {"time.unstated": ("ser_header_parameters.Time: seconds since 1970", "ObjectInfo.AcquireDate: zone not stated")}


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a TIA file."""
    yield from apply_rules(RULES, raw)
    header = "ser_header_parameters."
    if raw.get(f"{header}DataTypeID") in (16674, "16674"):  # an image; of spectra the calibration is that of the energy
        for side in ("x", "y"):
            key = f"{header}CalibrationDelta{side.upper()}"
            if key in raw and (claim := number_claim(f"pixel.{side}", key, raw[key], "m")) is not None:
                yield f"pixel.{side}", claim
    if (claim := epoch_claim(raw, f"{header}Time", "s")) is not None:
        yield "time.unstated", claim
    if (claim := written_claim(raw, "ObjectInfo.AcquireDate")) is not None:
        yield "time.unstated", claim
