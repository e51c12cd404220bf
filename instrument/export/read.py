"""Exports read in again: the recordings that a HyperSpy, EMD or NXem file of ours was made of, with all claims, verdicts and evidence."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.export.record import Recording
from instrument.export.tree import GROUP, SCHEMA, axes_of, corrected_axes, recording_of, slug
from instrument.export.writers.hdf5 import plain
from instrument.readers.signals import VendorError
from twin.records import Axis, Claim, Claims, Signal, Value, collect, flatten

PREFIX = "emtwin_export"
"""Where the tree stands in the metadata of a signal that is read: not "emtwin", which holds the provenance of simulations."""
CLOSE = 1e-9
"""Relative difference of two scales that is rounding of how a format writes an axis."""


def read_exported(path: str | os.PathLike[str], timeout: float = 30.0) -> tuple[Recording, ...]:
    """The recordings of a file that emtwin exported (.hspy, .emd, .nxs), as they were: data and axes as the file states them, original claims, verdicts,
    evidence. VendorError for a file that cannot be read, ValueError for one that emtwin did not export."""
    from instrument.readers import read_vendor

    signals, trees = read_vendor(path, timeout), trees_of(Path(path))
    if len(signals) != len(trees):
        raise ValueError(
            f"{path}: emtwin did not export it: {len(trees)} of {len(signals)} signals have claims and verdicts of {SCHEMA}"
        )
    return tuple(recording_of(tree, signal) for signal, tree in zip(signals, trees, strict=True))


def with_exported(path: str, signals: list[Signal]) -> list[Signal]:
    """Signals of a file, restored where emtwin exported it; as they are where not. VendorError where what emtwin wrote is damaged."""
    import h5py

    is_hyperspy = Path(path).suffix.lower() == ".zspy" and Path(path).is_dir()
    if not is_hyperspy and not (Path(path).is_file() and h5py.is_hdf5(path)):
        return signals
    try:
        trees = trees_of(Path(path))
        return [restored(*pair) for pair in zip(signals, trees, strict=True)] if len(trees) == len(signals) else signals
    except ValueError as error:
        raise VendorError(path, str(error), "Export it again.") from error


def trees_of(path: Path) -> list[dict[str, Any]]:
    """The trees of all signals of an HDF5 file, or a folder .zspy, in the order of their paths; none of a file of other programs."""
    import h5py

    if path.is_dir():
        import zarr

        root: Any = zarr.open_group(str(path), mode="r")
        places = [f"Experiments/{name}/metadata/{GROUP}" for name in sorted(root["Experiments"])]
        groups = [root[where] for where in places if where in root]
        return [_attributes(group) for group in groups if group.attrs.get("schema") == SCHEMA]
    with h5py.File(path, "r") as file:
        places = [
            *(f"Experiments/{name}/metadata/{GROUP}" for name in _members(file, "Experiments")),
            *(f"{GROUP}/{name}/metadatabundle/{GROUP}" for name in _members(file, GROUP)),
            *(f"entry/measurement/{name}/{GROUP}" for name in _members(file, "entry/measurement")),
        ]
        result = [tree_in(file[where]) for where in places if isinstance(file.get(where), h5py.Group)]
    return [tree for tree in result if tree is not None]


def _members(file: Any, where: str) -> list[str]:
    import h5py

    group = file.get(where)
    return sorted(group) if isinstance(group, h5py.Group) else []


def tree_in(group: Any) -> dict[str, Any] | None:
    """The tree that an h5py group holds as JSON (EMD, NXem) or as attributes (HyperSpy); None where it holds none. ValueError where it is damaged."""
    import h5py

    stated = group.get("schema") if "schema" in group else group.attrs.get("schema")
    if isinstance(stated, h5py.Dataset):
        if stated.shape != () or plain(stated[()]) != SCHEMA:
            return None
        record = group.get("record")
        if not isinstance(record, h5py.Dataset) or record.shape != ():
            raise ValueError("the claims and verdicts that emtwin wrote are damaged (no record)")
        return json.loads(str(plain(record[()])))
    return _attributes(group) if stated is not None and plain(stated) == SCHEMA else None


def _attributes(group: Any) -> dict[str, Any]:
    return {
        **{key: plain(value) for key, value in group.attrs.items()},
        **{key: _attributes(group[key]) for key in group},
    }


def restored(signal: Signal, tree: Any) -> Signal:
    """A signal read from an export with what the tree adds: claims as exported (suggested values in place of refuted ones), axes without the rounding of the
    format, the type of the data, and the tree itself as metadata under "emtwin_export"."""
    if not isinstance(tree, dict):
        raise ValueError("the claims and verdicts that emtwin wrote are damaged (no table)")
    recording = recording_of(tree)
    claims, repeated = stated_claims(recording)
    title, kind = str(tree.get("title", "")), tree.get("kind", signal.kind)
    raw: dict[str, Value] = dict(signal.raw)
    if "raw" in tree:
        raw = flatten(tree["raw"])
    raw |= {
        f"{PREFIX}.{key}": value
        for key, value in flatten({name: item for name, item in tree.items() if name != "raw"}).items()
    }
    data = signal.data
    if str(tree.get("dtype", data.dtype.str)) != data.dtype.str:
        data = data.astype(np.dtype(str(tree["dtype"])))
    axes = _axes(signal.axes, corrected_axes(recording, axes_of(tree)))
    return Signal(data, axes, kind, title, signal.path, signal.format, claims, repeated, raw)


def stated_claims(recording: Recording) -> Claims:
    """First and further claims of what a corrected export states: of a field whose claim is replaced, the suggested value alone."""
    items: list[tuple[str, Claim]] = []
    for name, claims in recording.claims.items():
        verdict = recording.verdict(name)
        if verdict is not None and verdict.corrects and verdict.suggested is not None:
            text = f"{verdict.suggested} {claims[0].unit or ''}".strip()
            items.append(
                (name, Claim(verdict.suggested, claims[0].unit, f"{PREFIX}.verdicts.{slug(name)}.suggested", text))
            )
        else:
            items += [(name, claim) for claim in claims]
    return collect(items)


def _axes(read: tuple[Axis, ...], stated: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Axes as read, with names, labels and units as exported; scale and offset too where what is read differs by rounding from what was ``stated``."""
    if len(read) != len(stated) or any(first.size != other.size for first, other in zip(read, stated, strict=True)):
        return read
    return tuple(
        other
        if _close(first.scale, other.scale) and _close(first.offset, other.offset, abs(other.scale))
        else msgspec.structs.replace(other, scale=first.scale, offset=first.offset)
        for first, other in zip(read, stated, strict=True)
    )


def _close(first: float, other: float, size: float = 0.0) -> bool:
    return abs(first - other) <= CLOSE * max(abs(other), size)
