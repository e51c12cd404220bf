"""Claims of NeXus files by the paths of NXem: the end of a field's path says what it is, its attribute ``units`` in what it is written.

The paths are those of `twin.channels.FIELDS`, and the names that NXem's groups give their fields. A number without units makes no claim where the field
has a unit. NXem's defocus is a coefficient C10: as it stands.
"""

import re
from collections.abc import Mapping

from instrument.readers.claims.rules import Found, apply_rules, rule, written_claim
from twin.channels import FIELDS
from twin.records import Value

_AT = r"nexus\.(.*/)?"
_BESIDE = ("", "@units")
_ENDS = {
    "high_tension": "electron_source/voltage", "extraction_voltage": "electron_source/extraction_voltage", "emission": "electron_source/emission_current",
    "beam_current": "(optics|optical_setup)/(probe|beam)_current", "camera_length": "(optics|optical_setup)/camera_length",
    "magnification": "(optics|optical_setup)/magnification", "C10": "(optics|optical_setup)/defocus",
    "convergence_semiangle": "(optics|optical_setup)/semi_convergence_angle", "dwell": "scan_controller/(dwell_time|pixel_time)",
    "flyback": "scan_controller/flyback_time", "line_time": "scan_controller/line_time", "scan_rotation": "scan_controller/rotation",
    "stage.alpha": "stage[^/]*/tilt1", "stage.beta": "stage[^/]*/tilt2", "stage.x": "stage[^/]*/position\\[0\\]", "stage.y": "stage[^/]*/position\\[1\\]",
    "stage.z": "stage[^/]*/position\\[2\\]",
}  # fmt: skip
RULES = (
    *(rule(item.name, _AT + re.escape(item.nxem), "", _BESIDE) for item in FIELDS if item.nxem and item.form not in ("text", "time")),
    *(rule(item.name, _AT + re.escape(item.nxem), None) for item in FIELDS if item.nxem and item.form == "text"),
    *(rule(name, _AT + end, "", _BESIDE) for name, end in _ENDS.items()),
    rule("instrument", _AT + "instrument/name", None),
)  # fmt: skip
TIMES = {"time.start": ("start_time",), "time.end": ("end_time",)}
_TIME = re.compile(_AT + "(start_time|end_time)")


def claims(raw: Mapping[str, Value]) -> Found:
    """Claims in flattened metadata of a NeXus file. The same number under a rule of FIELDS and one of the names makes one claim."""
    seen: set[tuple[str, str]] = set()
    for name, claim in apply_rules(RULES, raw):
        if (name, claim.key) not in seen:
            seen.add((name, claim.key))
            yield name, claim
    times = sorted(
        (key for key in raw if _TIME.fullmatch(key)), key=lambda key: -key.count("/")
    )  # those of the event before those of the entry
    for key in times:
        if (claim := written_claim(raw, key)) is not None:
            yield ("time.start" if key.endswith("start_time") else "time.end"), claim
