"""NeXus files, those of NXem among them: each NXdata group with a signal is one recording, with the metadata of its entry.

RosettaSciIO's reader is not used: it turns axes that run backwards around without the data, gives axes with uneven steps the scale 1, and keeps no units
of fields. The unit of a field is kept under its key followed by "@units". Of the events of an entry (NXem_event_data) a recording has only its own.
"""

from typing import Any

import h5py
import numpy as np

from instrument.readers.formats.hdf5.guards import attribute, check, text
from instrument.readers.formats.items import COPY_AGAIN, Item, axis, axis_along
from instrument.readers.signals import VendorError

_MOST = 20_000
"""Fields of an entry that are kept."""
_LONGEST = 4096
"""Bytes of one text."""
_EVENTS = ("NXem_event_data", "NXevent_data_em")


def holds(file: h5py.File) -> bool:
    """Whether a file has an entry of NeXus."""
    return any(attribute(entry, "NX_class") in ("NXentry", "NXroot") for entry in [file, *_groups(file)])


def read(path: str, max_bytes: int) -> list[Item]:
    """The recordings of a file, in the order of their paths."""
    check(path, max_bytes)
    with h5py.File(path, "r") as file:
        groups: list[h5py.Group] = []
        file.visititems(lambda _, entry: groups.append(entry) if attribute(entry, "NX_class") == "NXdata" else None)
        recordings = [group for group in groups if isinstance(group, h5py.Group) and _signal(group) is not None]
        entries = dict.fromkeys(str(group.name).split("/")[1] for group in recordings)
        parts = {name: _parts(file[name]) for name in entries}
        items = [_item(path, group, parts[str(group.name).split("/")[1]]) for group in recordings]
    if not items:
        raise VendorError(
            path, "holds no NXdata group with a signal", "Write the data as NXdata with the attributes signal and axes."
        )
    return items


def _groups(parent: h5py.Group) -> list[h5py.Group]:
    """Groups that a group holds itself; links are not followed."""
    return [
        entry
        for name in parent
        if isinstance(parent.get(name, getlink=True), h5py.HardLink) and isinstance(entry := parent[name], h5py.Group)
    ]


def _signal(group: h5py.Group) -> h5py.Dataset | None:
    """The dataset that the group names as its signal, or the one called data; None where there is none of numbers with an axis."""
    entry = group.get(text(attribute(group, "signal")) or "data")
    return entry if isinstance(entry, h5py.Dataset) and entry.dtype.kind in "iufc" and entry.ndim else None


def _item(path: str, group: h5py.Group, parts: dict[str, dict[str, Any]]) -> Item:
    data = _signal(group)
    assert data is not None
    title = group.get("title")
    titles = [text(title[()]) if isinstance(title, h5py.Dataset) else "", str(group.name).rpartition("/")[2]]
    original = {"nexus": _metadata(parts, str(group.name)), "group": str(group.name)}
    axes = _axes(path, group, data)
    return {
        "data": np.asarray(data[...]),
        "axes": axes,
        "metadata": {"General": {"title": next(filter(None, titles))}},
        "original_metadata": original,
    }


def _axes(path: str, group: h5py.Group, data: h5py.Dataset) -> list[dict[str, Any]]:
    """An axis for each dimension: the field that the attribute "axes" names for it ("." for none), or that NAME_indices puts there."""
    listed = attribute(group, "axes")
    names = [text(name) for name in np.atleast_1d(listed)] if listed is not None else []
    if len(names) == 1 and data.ndim > 1:
        names = [name.strip() for name in names[0].strip("[]").replace(":", ",").split(",")]
    fields: dict[int, str] = {}
    for number, name in enumerate(names):
        given = attribute(group, f"{name}_indices") if name else None
        places = [number] if given is None else [int(number) for number in np.atleast_1d(given)]
        if len(places) == 1 and 0 <= places[0] < data.ndim:
            fields.setdefault(places[0], name)
    return [_axis(path, group, fields.get(index, "."), size, index) for index, size in enumerate(data.shape)]


def _axis(path: str, group: h5py.Group, name: str, size: int, index: int) -> dict[str, Any]:
    field = group.get(name) if name != "." else None
    if not isinstance(field, h5py.Dataset) or field.dtype.kind not in "iuf":
        return axis(name if name != "." else f"axis{index}", size)
    if field.shape != (size,):
        raise VendorError(path, f"describes an axis {name!r} of {field.shape} for {size} places", COPY_AGAIN)
    return axis_along(path, name, np.asarray(field[...], dtype=np.float64), text(attribute(field, "units")))


def _metadata(parts: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Fields of an entry (its `_parts`) for the group ``name``: those of its own event, and those of no event."""
    fields: dict[str, Any] = {}
    for event, inner in parts.items():
        if not event or name.startswith(f"{event}/"):
            fields |= inner
    return fields


def _parts(entry: Any) -> dict[str, dict[str, Any]]:
    """Scalar fields of an entry by their path in it, separately for each event (its full path; "" for what belongs to none). Looked through once for all
    recordings: an entry may have thousands of them."""
    parts: dict[str, dict[str, Any]] = {"": {}}

    def visit(where: str, child: Any) -> bool | None:
        if isinstance(child, h5py.Group):
            if attribute(child, "NX_class") in _EVENTS:
                parts[str(child.name)] = {}
            return None
        event = next((path for path in reversed(parts) if str(child.name).startswith(f"{path}/")), "")
        if isinstance(child, h5py.Dataset) and len(parts[event]) < _MOST:
            parts[event].update(_field(where, child))
        return None

    if isinstance(entry, h5py.Group):
        entry.visititems(visit)
    return parts


def _field(where: str, entry: h5py.Dataset) -> dict[str, Any]:
    """A scalar field, or each number of a short list as "where[index]", with its attributes as "where@attribute"."""
    if not entry.size or entry.size > 16 or entry.dtype.itemsize > _LONGEST:
        return {}
    values = np.ravel(entry[()])
    attributes = {key: attribute(entry, key) for key in entry.attrs}
    places = [where] if len(values) == 1 else [f"{where}[{index}]" for index in range(len(values))]
    named: dict[str, Any] = dict(zip(places, values, strict=True))
    return named | {f"{name}@{key}": value for name in places for key, value in attributes.items()}
