"""RO-Crate 1.1: a folder with the files, their checksums, claims as property values, acquisition and validation as actions, and the PROV beside them.

Of a session the crate holds the whole folder, its journal copied as SQLite copies a database that may be in use.
"""

import contextlib
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from instrument.export.record import Activity, Record, Recording
from instrument.export.sidecar import sidecar
from instrument.export.tree import slug
from instrument.export.writers.nxem import iso
from instrument.export.writers.provenance import GLOSSARY, write_prov
from twin.channels import field

JOURNAL, FRAMES = "journal.db", "frames.zarr"


def write_crate(record: Record, path: Path) -> None:
    """Make the folder ``path``. Recordings are found at their paths below ``record.base``."""
    with tempfile.TemporaryDirectory() as folder:
        _crate(record, Path(folder)).write(path)


def _crate(record: Record, made: Path) -> Any:
    """The crate, with files that are not there yet made in the folder ``made``."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate: Any = ROCrate(version="1.1", gen_preview=False)
    crate.name = record.name
    crate.description = (
        "Recordings of an electron microscope with the verdict on what their metadata claim, and the evidence for it"
    )
    crate.datePublished = iso(record.created)
    crate.license = "The licence of the recordings is not stated"
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"
    agents = {}
    for agent in record.agents:
        kind = {"software": "SoftwareApplication", "instrument": "Thing"}[agent.kind]
        given = {"softwareVersion": agent.version} if agent.kind == "software" and agent.version else {}
        given |= {"url": f"urn:emtwin:{slug(agent.name)}"} if agent.kind == "software" else {}
        agents[agent.id] = crate.add(
            ContextEntity(crate, f"#agent-{slug(agent.id)}", {"@type": kind, "name": agent.name, **given})
        )
    files = _data(crate, record, made)
    for recording in record.recordings:
        _described(crate, recording, files[recording.id], record, made)
    for activity in record.activities:
        _action(crate, activity, agents, files)
    for name, words in (("provenance.json", "W3C PROV as PROV-JSON"), ("provenance.provn", "W3C PROV as PROV-N")):
        write_prov(record, made / name)
        _add(crate, made / name, name, words)
    return crate


def _data(crate: Any, record: Record, made: Path) -> dict[str, Any]:
    """Add the files; the entity of each recording."""
    base = Path(record.base)
    if (base / JOURNAL).is_file():
        with (
            contextlib.closing(sqlite3.connect(f"{(base / JOURNAL).absolute().as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(made / JOURNAL)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        _add(crate, made / JOURNAL, JOURNAL, "append-only log of the session (SQLite)")
        crate.add_dataset(base / FRAMES, FRAMES, properties={"name": "frames of the session (Zarr 3)"})
    files: dict[str, Any] = {}
    for path in dict.fromkeys(item.path for item in record.recordings):
        source, name = base / path, Path(path).name
        files[path] = (
            crate.add_dataset(source, path, properties={"name": name})
            if source.is_dir()
            else _add(crate, source, path, name)
        )
    return {item.id: files[item.path] for item in record.recordings}


def _add(crate: Any, source: Path, name: str, words: str) -> Any:
    """A file of the crate, with size and checksum."""
    endings = {".json": "application/json", ".provn": "text/provenance-notation", ".db": "application/vnd.sqlite3"}
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    properties = {
        "name": words, "sha256": digest, "contentSize": str(source.stat().st_size),
        "encodingFormat": endings.get(source.suffix, "application/octet-stream"),
    }  # fmt: skip
    return crate.add_file(source, name, properties=properties)


def _described(crate: Any, recording: Recording, entity: Any, record: Record, made: Path) -> None:
    """Claims with their verdicts as property values of a file, and its side-car."""
    from rocrate.model.contextentity import ContextEntity

    values = []
    for name, claims in recording.claims.items():
        claim, verdict, known = claims[0], recording.verdict(name), field(name)
        properties = {"@type": "PropertyValue", "name": name, "value": claim.value, "description": known.doc}
        if claim.unit not in (None, "1"):
            properties["unitText"] = claim.unit
        if known.glossary:
            properties["propertyID"] = GLOSSARY + known.glossary
        if verdict is not None:
            properties["description"] = f"{known.doc}: {verdict.status}. {verdict.words}".strip()
        values.append(crate.add(ContextEntity(crate, f"#claim-{slug(recording.id)}-{slug(name)}", properties)))
    if values:
        entity.append_to("variableMeasured", values)
    if recording.verdicts:
        name = f"verdicts/{slug(recording.id)}.json"
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(json.dumps(sidecar((recording,), record), indent=1, ensure_ascii=False))
        about = _add(crate, made / name, name, f"verdicts on {recording.name}")
        about["about"] = entity


def _action(crate: Any, activity: Activity, agents: dict[str, Any], files: dict[str, Any]) -> None:
    items = _one_or_more({files[name].id: files[name] for name in activity.recordings}.values())
    tools = _one_or_more(agents[name] for name in activity.agents)
    made = activity.kind == "acquisition"
    times = {"startTime": activity.start, "endTime": activity.end}
    crate.add_action(
        instrument=tools, identifier=f"#{activity.kind}-{slug(activity.id)}", object=None if made else items, result=items if made else None,
        properties={"name": activity.kind, **{name: iso(time) for name, time in times.items() if time is not None}},
    )  # fmt: skip


def _one_or_more(entities: Iterable[Any]) -> Any:
    """A single entity as itself, as RO-Crate recommends; several as a list."""
    collected = list(entities)
    return collected[0] if len(collected) == 1 else collected
