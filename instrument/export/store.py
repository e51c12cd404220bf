"""Corrections in a copy of an emtwin Zarr store: axes and provenance, with the claims as they were beside them.

`emtwin simulate` keeps axes in an attribute of the data and the provenance as attributes; a Dataset that xarray saved has coordinates, and the provenance
as JSON.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from instrument.export.record import Recording
from instrument.export.tree import change, corrected_axes, field_of_axis, tree_of

ATTRIBUTE = "emtwin_export"
"""The attribute of a store that holds claims, verdicts and evidence."""


def correct_store(path: Path, recording: Recording, note: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Correct the store at ``path`` in place; the changes."""
    import zarr
    from zarr.errors import ZarrUserWarning

    assert recording.signal is not None
    group = zarr.open_group(str(path), mode="r+")
    consolidated = group.metadata.consolidated_metadata is not None
    if consolidated:
        # the entries of the members themselves, which the consolidated ones would hide
        group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    changes = [*_axes(group, recording), *_provenance(group, recording)]
    listed = {f"change_{index}": item for index, item in enumerate(changes)}
    group.attrs[ATTRIBUTE] = {**tree_of(recording, recording.signal), "correction": {**note, "changes": listed}}
    if consolidated:
        with warnings.catch_warnings():
            # it warns that Zarr 3 does not specify what the store had before
            warnings.simplefilter("ignore", ZarrUserWarning)
            zarr.consolidate_metadata(str(path))
    return changes


def _axes(group: Any, recording: Recording) -> list[dict[str, Any]]:
    assert recording.signal is not None
    before, result = recording.signal.axes, []
    after = corrected_axes(recording, before)
    described = group["data"].attrs.get("axes")
    for index, (axis, wanted) in enumerate(zip(before, after, strict=True)):
        if axis == wanted:
            continue
        name = field_of_axis(recording, axis)
        result += [
            change(recording, name, f"axes.{axis.name}.{what}", getattr(axis, what), getattr(wanted, what))
            for what in ("scale", "offset") if getattr(axis, what) != getattr(wanted, what)
        ]  # fmt: skip
        inside = 1.0
        if described:
            entry = dict(described[index])
            inside = float(entry["scale"]) / axis.scale
            entry |= {"scale": wanted.scale * inside, "offset": wanted.offset * inside}
            described = [*described[:index], entry, *described[index + 1 :]]
        if axis.name in group:
            coordinates = group[axis.name]
            if not described and axis.size > 1:
                values = np.asarray(coordinates[...], dtype=np.float64)
                inside = float(values[-1] - values[0]) / (axis.size - 1) / axis.scale
            coordinates[...] = (wanted.offset + wanted.scale * np.arange(axis.size)) * inside
            if "step" in coordinates.attrs:
                coordinates.attrs["step"] = wanted.scale * inside
    if described:
        group["data"].attrs["axes"] = described
    return result


def _provenance(group: Any, recording: Recording) -> list[dict[str, Any]]:
    """Numbers of the provenance that a claim was read from (its key begins with "emtwin."), in the proportion of suggestion to claim."""
    result = []
    text = group.attrs.get("provenance")
    tree = json.loads(text) if isinstance(text, str) else dict(group.attrs)
    for verdict in recording.verdicts:
        if not (verdict.corrects and verdict.key.startswith("emtwin.")):
            continue
        *parents, last = verdict.key.split(".")[1:]
        entry: Any = tree
        for name in parents:
            entry = entry.get(name) if isinstance(entry, dict) else None
        if (
            not isinstance(entry, dict)
            or not _number(entry.get(last))
            or not _number(verdict.claimed)
            or not verdict.claimed
        ):
            continue
        before = entry[last]
        entry[last] = before * (verdict.suggested / verdict.claimed)  # type: ignore[operator]  # both are numbers
        result.append(change(recording, verdict.field, verdict.key, before, entry[last]))
    if isinstance(text, str):
        group.attrs["provenance"] = json.dumps(tree)
    elif result:
        group.attrs.update(tree)
    return result


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
