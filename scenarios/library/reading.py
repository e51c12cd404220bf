"""Records of sessions and of recorded files."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instrument.core.journal import Journal
from instrument.core.session_files import SessionError
from instrument.readers import VendorError, read_vendor
from scenarios.io.errors import BadInput
from scenarios.library.record import Record
from scenarios.library.scenario import (
    HIGH_ANGLE,
    number,
    session_settings,
    session_specimen,
    settings_of,
    table,
    technique_of,
)
from scenarios.library.specimen import Specimen, elements_of, specimen_if_known
from scenarios.report.session import load_session
from twin.records import Signal

SCORES = ("r2", "rmse", "rmse_always", "coverage90", "uncertainty", "std", "power", "detected", "error")
"""Numbers of a session's result that say what error was reached."""
_CLAIMS = {
    "high_tension": "energy", "convergence_semiangle": "semiangle", "collection_semiangle": "collection", "detector.inner": "inner",
    "detector.outer": "outer", "pixel.x": "pixel", "dwell": "dwell", "exposure": "exposure", "thickness": "thickness", "detector": "detector",
}  # fmt: skip
"""Fields that files claim, and the setting of a record that each is."""
X_RAYS = 8e3
"""Electronvolt: spectra that reach beyond are taken for X-rays, not losses."""
_META = {"energy": "high_tension", "semiangle": "semiangle", "inner": "detector.inner", "outer": "detector.outer"}
"""Settings of a record, and the keys of a frame that hold them."""


def is_session(path: Path) -> bool:
    """Whether a path is a session folder."""
    return path.is_dir() and (path / "journal.db").is_file()


def records_of(path: Path, specimen: Specimen | None = None) -> list[Record]:
    """The record of a session folder, or those of a file's recordings; ``specimen`` where the user states it.
    BadInput for what cannot be read.
    """
    if not path.exists():
        raise BadInput(str(path), "there is no such file or folder", "Check the path.")
    if is_session(path):
        return [record_of_session(path, specimen)]
    try:
        signals = read_vendor(path)
    except VendorError as error:
        raise BadInput(str(path), error.problem, error.cure) from None
    digest = content_digest(path)
    return [record_of_signal(signal, path, digest, part, specimen) for part, signal in enumerate(signals)]


def record_of_session(folder: Path, specimen: Specimen | None = None) -> Record:
    """What a session did and reached, complete or not; BadInput for a folder that is no session, is damaged, or holds
    no scenario.
    """
    try:
        with Journal.open(folder) as journal:
            first, last = journal.hashes()
        session = load_session(folder)
    except SessionError as error:
        raise BadInput(str(folder), error.problem, error.cure) from None
    if session.problems:
        raise BadInput(
            str(folder), f"its record is damaged ({session.problems[0]})", "Add the session that it was copied from."
        )
    if not session.scenario:
        raise BadInput(str(folder), "was interrupted before its scenario was recorded", "Add a session that has begun.")
    technique, settings, dose = session_settings(session.scenario)
    meta: Mapping[str, Any] = next((frame.get("meta") or {} for frame in session.frames.values()), {})
    for name, key in _META.items():
        if (value := number(meta.get(key))) is not None:
            settings.setdefault(name, value)
    made, result = specimen or session_specimen(session.scenario), session.result or {}
    parts = ("pixels", "flyback", "settle_dose")
    exposures = [frame.get("exposure") or {} for frame in session.frames.values()]
    counted = sum(number(exposure.get(part)) or 0.0 for exposure in exposures for part in parts)
    spent = number(result.get("dose_spent"))
    return Record(
        kind="session",
        name=str(session.scenario.get("name") or folder.name),
        path=str(folder.absolute()),
        identity=first.hex(),
        digest=last.hex(),
        structure=made.structure,
        formula=made.formula,
        elements=made.elements,
        technique=technique,
        settings=settings,
        dose=dose,
        electrons=spent if spent is not None else counted or None,
        reached={name: value for name in SCORES if (value := number(result.get(name))) is not None},
    )


def record_of_signal(signal: Signal, path: Path, digest: str, part: int, specimen: Specimen | None = None) -> Record:
    """What a recording claims; of emtwin's own ones also what they were simulated from."""
    scenario = _nested(signal.raw, "emtwin.scenario.")
    settings: dict[str, Any] = {_CLAIMS[name]: claim.value for name, claim in signal.claims.items() if name in _CLAIMS}
    settings = {
        name: value
        for name, value in settings.items()
        if (isinstance(value, str) and value) or (number(value) or 0.0) > 0.0
    }
    settings["shape"] = [int(size) for size in signal.data.shape]
    if scenario:
        settings = settings_of(scenario) | settings
        technique = technique_of(str(scenario.get("signal", "")), table(scenario, "detectors"))
        made = _simulated(signal.raw, scenario)
    else:
        technique, made = _technique(signal), Specimen()
    dose = signal.claims.get("dose")
    value = number(dose.value) if dose is not None else None
    plane = [axis for axis in signal.axes if axis.unit == "angstrom" and axis.size > 1 and axis.scale]
    area = math.prod(abs(axis.scale) * axis.size for axis in plane) if len(plane) == 2 else None
    made = specimen or made
    return Record(
        kind="simulation" if scenario else "recording",
        name=signal.title or path.name,
        path=str(path.absolute()),
        identity=digest,
        digest=digest,
        part=part,
        structure=made.structure,
        formula=made.formula,
        elements=made.elements,
        technique=technique,
        settings=settings,
        dose=value,
        electrons=value * area if value is not None and area is not None else None,
    )


def _simulated(raw: Mapping[str, Any], scenario: Mapping[str, Any]) -> Specimen:
    """The specimen that a recording was simulated from."""
    named = str(table(scenario, "specimen").get("structure", ""))
    formula = str(raw.get("emtwin.structure.formula", "")) or str(table(scenario, "specimen").get("formula", ""))
    if not formula and named:
        return specimen_if_known(named)
    return Specimen(Path(named).stem if named else "", formula, elements_of(formula))


def _technique(signal: Signal) -> str:
    """The technique of a foreign recording, as far as its kind, names and claims say; empty where they do not."""
    said = {name: claim.value for name, claim in signal.claims.items()}
    named = f"{signal.title} {said.get('detector', '')}".upper()
    if signal.kind in ("spectrum", "spectrum-image"):
        energies = signal.axes[-1]
        if energies.unit != "electronvolt":
            return ""
        top = energies.offset + energies.scale * energies.size
        x_rays = "EDS" in named or "EDX" in named or top > X_RAYS
        return ("stem-" if signal.kind == "spectrum-image" else "") + ("eds" if x_rays else "eels")
    if len(signal.axes) >= 4:
        return "4d-stem"
    if signal.axes and signal.axes[-1].unit in ("1/angstrom", "radian"):
        return "diffraction"
    inner = number(said.get("detector.inner"))
    if "HAADF" in named or (inner is not None and inner >= HIGH_ANGLE):
        return "stem-haadf"
    if "dwell" in said or inner is not None:
        return "stem"
    return "hrtem" if "exposure" in said else ""


def _nested(raw: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Flattened keys below ``prefix`` as tables again."""
    tree: dict[str, Any] = {}
    for key, value in raw.items():
        if key.startswith(prefix):
            *path, name = key.removeprefix(prefix).split(".")
            inner = tree
            for step in path:
                inner = inner.setdefault(step, {})
                if not isinstance(inner, dict):
                    break
            else:
                inner[name] = value
    return tree


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            if path.is_dir():
                total.update(str(file.relative_to(path)).encode() + b"\0")
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()
