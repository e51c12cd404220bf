"""Claims, verdicts and evidence of a recording as nested plain values, for formats that keep such a tree: HyperSpy's metadata, groups of HDF5; and back.

Keys are names that every format takes: dots of a field's name become underscores, and the name itself stands inside. What is None or empty is left out.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from instrument.export.record import Evidence, Recording, Verdict
from twin.records import Axis, Claim, Signal

SCHEMA = "emtwin.export/1"
GROUP = "emtwin"
"""The name of the group or the metadata node that holds the tree."""

SAME = 1e-6
"""Relative difference up to which a claim is taken for that of an axis; single precision is a tenth of it."""

Tree = dict[str, Any]


def slug(name: str) -> str:
    """A name as a key: letters, digits and underscores."""
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in name)


def tree_of(recording: Recording, signal: Signal) -> Tree:
    """The tree of a recording with its signal; ``axes`` are those before any correction."""
    return {
        "schema": SCHEMA,
        "recording": recording.id,
        "name": recording.name,
        "path": recording.path,
        "sha256": recording.sha256,
        "kind": signal.kind,
        "dtype": signal.data.dtype.str,
        "title": signal.title,
        "simulated": recording.simulated,
        **{name: time for name, time in (("start_ns", recording.start), ("end_ns", recording.end)) if time is not None},
        "axes": {f"axis_{index}": _plain(axis) for index, axis in enumerate(signal.axes)},
        "claims": {
            slug(name): {"field": name, **{f"claim_{index}": _plain(claim) for index, claim in enumerate(claims)}}
            for name, claims in recording.claims.items()
        },
        "verdicts": {
            slug(verdict.field): {**_plain(verdict), "corrected": verdict.corrects} for verdict in recording.verdicts
        },
        "evidence": {f"evidence_{index}": _plain(item) for index, item in enumerate(recording.evidence)},
    }


def shown(tree: Tree, **further: Any) -> Tree:
    """What HDF5 keeps of a tree: verdicts that say something and evidence as values to look at, and all of it (with ``further`` entries) as JSON in ``record``.

    A dataset for each value of every claim would make files of many recordings slow to read.
    """
    told = {name: verdict for name, verdict in tree["verdicts"].items() if verdict["status"] != "unverifiable"}
    record = json.dumps({**tree, **further}, ensure_ascii=False)
    return {"schema": SCHEMA, "record": record, "verdicts": told, "evidence": tree["evidence"]}


def recording_of(tree: Mapping[str, Any], signal: Signal | None = None) -> Recording:
    """The recording that a tree was made of, with its ``signal`` as it is read. ValueError for another schema, or a damaged tree."""
    if tree.get("schema") != SCHEMA:
        raise ValueError(f"the schema is {tree.get('schema')!r}, not {SCHEMA}")
    try:
        claims = {
            str(entry["field"]): tuple(
                msgspec.convert({"unit": None, "key": "", **entry[key]}, Claim) for key in _numbered(entry, "claim_")
            )
            for entry in dict(tree.get("claims", {})).values()
        }
        verdicts = tuple(_verdict(entry) for entry in dict(tree.get("verdicts", {})).values())
        stored = dict(tree.get("evidence", {}))
        evidence = tuple(
            msgspec.convert(_listed(stored[key], "independent_of"), Evidence) for key in _numbered(stored, "evidence_")
        )
        return Recording(
            str(tree["recording"]),
            str(tree["name"]),
            str(tree.get("path", "")),
            str(tree.get("sha256", "")),
            signal,
            claims,
            verdicts,
            evidence,
            tree.get("start_ns"),
            tree.get("end_ns"),
            bool(tree.get("simulated", False)),
        )
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ValueError(f"the claims and verdicts that emtwin wrote are damaged ({error})") from error


def axes_of(tree: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes before any correction. ValueError for a damaged tree."""
    try:
        stored = dict(tree["axes"])
        return tuple(
            msgspec.convert({"unit": None, "name": "", **_listed(stored[key], "labels")}, Axis)
            for key in _numbered(stored, "axis_")
        )
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ValueError(f"the axes that emtwin wrote are damaged ({error})") from error


def corrected_axes(recording: Recording, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """``axes`` with scale and offset as suggested wherever the recording's verdicts correct what an axis claims.

    A verdict belongs to an axis by the key of its claim ("axes.NAME.scale") and by the value that was claimed: several axes may have one name. The direction
    of an axis and the place of its origin on it stay.
    """
    return tuple(_corrected(recording, axis) for axis in axes)


def _corrected(recording: Recording, axis: Axis) -> Axis:
    changed = axis
    for verdict in recording.verdicts:
        part, _, what = verdict.key.removeprefix("axes.").rpartition(".")
        wanted, claimed = verdict.suggested, verdict.claimed
        if not (verdict.corrects and verdict.key.startswith("axes.") and part == axis.name):
            continue
        if isinstance(wanted, (str, bool)) or isinstance(claimed, (str, bool)) or wanted is None or claimed is None:
            continue
        if what == "scale" and wanted and math.isclose(abs(axis.scale), abs(claimed), rel_tol=SAME):
            offset = changed.offset * abs(wanted / claimed) if _lengths(axis) else changed.offset
            changed = msgspec.structs.replace(changed, scale=math.copysign(wanted, axis.scale), offset=offset)
        elif what == "offset" and math.isclose(axis.offset, claimed, rel_tol=SAME):
            changed = msgspec.structs.replace(changed, offset=float(wanted))
    return changed


def field_of_axis(recording: Recording, axis: Axis) -> str:
    """The field whose verdict corrects an axis."""
    return next(
        item.field for item in recording.verdicts if item.corrects and item.key.startswith(f"axes.{axis.name}.")
    )


def change(recording: Recording, name: str, where: str, before: Any, after: Any) -> dict[str, Any]:
    """One change, with what it rests on."""
    verdict = recording.verdict(name)
    evidence = ", ".join(verdict.evidence) if verdict is not None else ""
    return {
        "recording": recording.id,
        "field": name,
        "place": where,
        "before": before,
        "after": after,
        "evidence": evidence,
    }


def _lengths(axis: Axis) -> bool:
    """Whether the origin of an axis scales with its step: positions and angles; the first energy of a spectrum is a claim of its own."""
    return axis.unit in ("angstrom", "1/angstrom", "radian")


def _plain(item: Any) -> Tree:
    """A Struct as a dict of scalars; tuples of text as JSON, None and empty text left out."""
    values = {name: getattr(item, name) for name in item.__struct_fields__}
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None and value != "" and value != ()
    }


def _verdict(entry: Mapping[str, Any]) -> Verdict:
    values = {name: value for name, value in entry.items() if name != "corrected"}
    return msgspec.convert(_listed(values, "evidence"), Verdict)


def _listed(entry: Mapping[str, Any], name: str) -> Tree:
    """An entry with its tuple of text read back."""
    return {**entry, **({name: json.loads(entry[name])} if name in entry else {})}


def _numbered(entry: Mapping[str, Any], prefix: str) -> list[str]:
    """Keys of numbered items in their order."""
    return sorted((key for key in entry if key.startswith(prefix)), key=lambda key: int(key.removeprefix(prefix)))
