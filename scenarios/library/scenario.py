"""What a scenario says of specimen, technique, settings and dose: of a simulation, of a session, or of a question
that is planned.
"""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.io.errors import BadInput
from scenarios.library.record import Query
from scenarios.library.specimen import Specimen, specimen_if_known, specimen_of
from scenarios.replay.scenario import KINDS as REPLAYS

if TYPE_CHECKING:
    from scenarios.question.tables import Question

HIGH_ANGLE = 0.04
"""Radian: an annular detector whose inner angle is at least this is called HAADF."""
MILLIRADIAN, KILOVOLT = 1e-3, 1e3
_SESSIONS = ("tune-and-map", *REPLAYS)
_BEAM = {"energy_keV": ("energy", KILOVOLT), "semiangle_mrad": ("semiangle", MILLIRADIAN)}
_DETECTOR = {"inner_mrad": "inner", "outer_mrad": "outer", "collection_mrad": "collection"}


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def table(values: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """A table within tables; empty where it is none."""
    for name in path:
        inner = values.get(name)
        values = inner if isinstance(inner, Mapping) else {}
    return values


def technique_of(signal: str, detectors: Mapping[str, Any]) -> str:
    """The technique of a signal: scans are told apart by their detectors."""
    if signal != "stem":
        return signal
    tables = [entry for entry in detectors.values() if isinstance(entry, Mapping)]
    if any(entry.get("kind") == "eels" for entry in tables):
        return "stem-eels"
    inner = [number(entry.get("inner_mrad")) for entry in tables if entry.get("kind", "annular") == "annular"]
    return "stem-haadf" if any(angle and angle * MILLIRADIAN >= HIGH_ANGLE for angle in inner) else "stem"


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the tables of a simulation's scenario state, in inside units."""
    stated: dict[str, Any] = {}
    for key, (name, factor) in _BEAM.items():
        if (value := number(table(values, "beam").get(key))) is not None:
            stated[name] = value * factor
    rings = {name: entry for name, entry in table(values, "detectors").items() if isinstance(entry, Mapping)}
    rings[""] = table(values, "spectrometer")
    # Of several detectors the one of the highest angles stands for the recording, as it names the technique.
    title = max(rings, key=lambda name: number(rings[name].get("inner_mrad")) or 0.0)
    for key, name in _DETECTOR.items():
        if (value := number(rings[title].get(key))) is not None:
            stated |= {name: value * MILLIRADIAN, "detector": title}
    for entry in rings.values():
        if (value := number(entry.get("collection_mrad"))) is not None:
            stated.setdefault("collection", value * MILLIRADIAN)
    scan, specimen = table(values, "scan"), table(values, "specimen")
    for name, value in (("dwell", scan.get("dwell")), ("thickness", specimen.get("thickness"))):
        if (size := number(value)) is not None:
            stated[name] = size
    if isinstance(shape := scan.get("shape"), (list, tuple)):
        stated["shape"] = [int(side) for side in shape]
    if (pixel := number(scan.get("pixel"))) is not None:
        stated["pixel"] = pixel
    return {name: value for name, value in stated.items() if value != ""}


def session_settings(values: Mapping[str, Any]) -> tuple[str, dict[str, Any], float | None]:
    """Technique, settings and dose of one image, of the scenario of an acquired or replayed session."""
    if values.get("kind") in REPLAYS:
        return _of_replay(values), {}, None
    scan = table(values, "scan")
    detector = str(scan.get("detector", "HAADF"))
    settings: dict[str, Any] = {"detector": detector}
    for name in ("pixel", "dwell"):
        if (value := number(scan.get(name))) is not None:
            settings[name] = value
    if isinstance(shape := scan.get("shape"), (list, tuple)):
        settings["shape"] = [int(side) for side in shape]
    return ("stem-haadf" if detector == "HAADF" else "stem"), settings, number(scan.get("dose"))


def _of_replay(values: Mapping[str, Any]) -> str:
    """The technique of a replayed recording: by its quantity."""
    from reconstruct.measurement.scanned.names import quantity_named

    quantity = values.get("quantity")
    spectra = quantity is None or quantity_named(str(quantity)).content == "spectrum"
    return "stem-eels" if spectra else "4d-stem"


def session_specimen(values: Mapping[str, Any]) -> Specimen:
    """The specimen of a session's scenario."""
    twin = table(values, "twin")
    named = twin.get("cif") or twin.get("structure") or table(values, "host").get("structure")
    return specimen_if_known(str(named), str(values.get("folder", ""))) if named else Specimen()


def read_query(name: str) -> Query:
    """What a question (a preset, or a TOML file) or the TOML of a simulation or of a session looks for. BadInput for
    what is none of these, or states neither a specimen nor a technique.
    """
    from scenarios.question.reading import question_names, read_question

    if name in question_names():
        return _of_question(read_question(name))
    path = Path(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        cure = "Give a question, a scenario, a session or a recording."
        raise BadInput(name, f"cannot be read as TOML ({error})", cure) from None
    kind = values.get("kind", "simulate")
    if kind not in ("simulate", *_SESSIONS):
        return _of_question(read_question(name))
    if kind in _SESSIONS:
        technique, settings, dose = session_settings(values)
        made = session_specimen({**values, "folder": str(path.parent)})
    else:
        signal, named = values.get("signal", ""), table(values, "specimen").get("structure")
        technique, settings = technique_of(str(signal), table(values, "detectors")), settings_of(values)
        dose = number(table(values, "dose").get("per_area"))
        named = named or table(values, "specimen").get("formula")
        made = specimen_of(str(named), path.parent, "specimen.structure") if named else Specimen()
    if not (made.elements or made.structure or technique):
        raise BadInput(name, "states neither a specimen nor a technique", "Give [specimen] structure, or signal.")
    return Query(
        name=str(values.get("name", path.stem)),
        elements=made.elements,
        structure=made.structure,
        formula=made.formula,
        techniques=(technique,) if technique else (),
        settings=settings,
        dose=dose,
    )


def _of_question(question: "Question") -> Query:
    """Host, options, beam and the limit of dose of a question."""
    made = specimen_of(question.specimen.structure, question.folder, "specimen.structure")
    techniques = []
    for option in question.options():
        tag = str(option.__struct_config__.tag)
        inner = getattr(option, "inner_mrad", 0.0)
        ring = "stem-haadf" if tag == "annular" and inner * MILLIRADIAN >= HIGH_ANGLE else "stem"
        techniques.append(ring if tag in ("annular", "dpc") else tag)
    beam, thickness = question.instrument, question.specimen.thickness
    settings = {"energy": beam.energy_keV * KILOVOLT, "semiangle": beam.semiangle_mrad * MILLIRADIAN}
    return Query(
        name=question.name,
        elements=made.elements,
        structure=made.structure,
        formula=made.formula,
        techniques=tuple(dict.fromkeys(techniques)),
        settings=settings if thickness is None else settings | {"thickness": float(thickness)},
        dose=question.limits.dose,
    )
