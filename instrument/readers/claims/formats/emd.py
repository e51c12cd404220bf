"""Claims of Berkeley's EMD 1.0: attributes of its groups microscope, sample and user, whose names the format leaves open.

Names are compared without case, blanks and underscores. The unit is that of an attribute NAME_units or NAME_unit, or stands in the name ("voltage (kV)",
"camera_length_mm"); a number without one makes no claim, but for a high tension, which is in kV below 1000 and in V from there on: no column has 1000 kV
written as 1000.
"""

import re
from collections.abc import Mapping

from instrument.readers.claims.rules import Found, finite_number, number_claim, rule, written_claim
from twin.records import Claim, Value
from twin.units import read_unit

_GROUP = re.compile(r"(microscope|sample|user|comments)\.([^.]+)")
NAMES = {
    "high_tension": ("voltage", "acceleratingvoltage", "accelerationvoltage", "hightension", "beamenergy", "energy"),
    "beam_current": ("beamcurrent", "probecurrent"),
    "camera_length": ("cameralength",),
    "convergence_semiangle": ("convergencesemiangle", "semiconvergenceangle", "convergenceangle", "semiangle"),
    "collection_semiangle": ("collectionsemiangle", "collectionangle"),
    "C10": ("c10", "defocus"),
    "spherical_aberration": ("sphericalaberration", "cs", "c30"),
    "magnification": ("magnification", "indicatedmagnification"),
    "dwell": ("dwelltime", "dwell", "pixeltime"),
    "exposure": ("exposure", "exposuretime"),
    "scan_rotation": ("scanrotation",),
    "stage.x": ("stagex", "stagexposition"),
    "stage.y": ("stagey", "stageyposition"),
    "stage.z": ("stagez", "stagezposition"),
    "stage.alpha": ("stagealpha", "alphatilt", "tiltalpha", "stagetiltalpha"),
    "stage.beta": ("stagebeta", "betatilt", "tiltbeta", "stagetiltbeta"),
    "thickness": ("thickness",),
    "temperature": ("temperature",),
}
_TEXTS = {
    "instrument": ("name", "microscopename", "instrument", "microscope"),
    "detector": ("detector", "detectorname", "camera"),
}
RULES = (
    *(
        rule(name, "(microscope|sample)\\.(" + "|".join(words) + ")", "", ("", "_units"))
        for name, words in NAMES.items()
    ),
    *(rule(name, "microscope\\.(" + "|".join(words) + ")", None) for name, words in _TEXTS.items()),
)
"""For the documentation, with the bare words of names."""
TIMES = {"time.unstated": ("microscope.date and .time, or user.date and .time",)}
_BY_WORD = {word: name for name, words in NAMES.items() for word in words}
_BY_TEXT = {word: name for name, words in _TEXTS.items() for word in words}
_LOWEST_VOLTS = 1000.0


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of one of Berkeley's EMD files."""
    for key, value in raw.items():
        match = _GROUP.fullmatch(key)
        if match is None or match[1] not in ("microscope", "sample"):
            continue
        word, unit = _split(match[2])
        unit = next(
            (str(raw[f"{key}{end}"]) for end in ("_units", "_unit", " units", " unit") if f"{key}{end}" in raw), unit
        )
        if word in _BY_WORD and (claim := _number(_BY_WORD[word], key, value, unit)) is not None:
            yield _BY_WORD[word], claim
        elif word in _BY_TEXT and match[1] == "microscope" and isinstance(value, str) and value.strip():
            yield _BY_TEXT[word], Claim(value.strip(), None, key, value)
    for group in ("microscope", "user"):
        if (claim := written_claim(raw, f"{group}.date", f"{group}.time")) is not None:
            yield "time.unstated", claim


def _split(name: str) -> tuple[str, str]:
    """The bare word of an attribute's name, and the unit in it ("" for none): ("voltage", "kV") of "Voltage (kV)", "voltage[kV]" and "voltage_kV"."""
    match = re.fullmatch(r"(.+?)\s*[(\[](.+)[)\]]", name) or re.fullmatch(r"(.+)[_ ]([A-Za-zµ°]+)", name)
    if match and read_unit(match[2]) is not None and (len(match[2]) > 1 or name.endswith((")", "]"))):
        return _bare(match[1]), match[2]
    return _bare(name), ""


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _number(name: str, key: str, value: Value, unit: str) -> Claim | None:
    number = finite_number(value)
    if number is None:
        return None
    if not unit and isinstance(value, str):
        unit = " ".join(value.split()[1:])
    if name == "high_tension":
        unit = {"ev": "V", "kev": "kV"}.get(unit.lower(), unit) or ("V" if abs(number) >= _LOWEST_VOLTS else "kV")
    return number_claim(name, key, value, unit) if unit or name == "magnification" else None
