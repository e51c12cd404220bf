"""emtwin's own Zarr stores as signals: ``data`` with an axis for each dimension, and the provenance; ``patterns`` beside a STEM image are a second signal.
Runs in the worker.

``emtwin simulate`` describes the axes in an attribute and has the provenance as attributes; a Dataset of `twin.simulate` that xarray saved has coordinates, and
the provenance as JSON.
"""

import json
import math
import os
from typing import Any

import numpy as np

from instrument.export.read import restored
from instrument.export.store import ATTRIBUTE
from instrument.readers.signals import VendorError, axis_scale
from twin.records import Axis, Kind, Signal, axis_claims, axis_of, collect, flatten, numbered, own_claims

SUFFIX = ".zarr"
NAME = "emtwin's Zarr store"
MAX_FILES = 1_000_000
_CURE = "Give a store that emtwin simulate made."


def stored_bytes(path: str) -> int:
    """Bytes of all files in a folder; VendorError where there are too many to be a store of ours."""
    total, files = 0, 0
    for folder, _, names in os.walk(path):
        for name in names:
            files += 1
            if files > MAX_FILES:
                raise VendorError(path, f"holds more than {MAX_FILES} files", _CURE)
            total += os.lstat(os.path.join(folder, name)).st_size
    return total


def parse_store(path: str, max_bytes: int) -> list[Signal]:
    """Read a store whose size on disk has been checked. Raises VendorError for whatever is wrong with it."""
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
        provenance = dict(group.attrs)
        names = ["data", *(["patterns"] if "patterns" in group else [])]
    except Exception as error:  # a foreign folder may make Zarr raise anything
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise VendorError(path, f"cannot be read as {NAME} ({text})", _CURE) from error
    corrections, signals = provenance.pop(ATTRIBUTE, None), []
    for name in names:
        signals.append(_signal(path, group, name, provenance, max_bytes))
        max_bytes -= signals[-1].data.nbytes
    if corrections is None:
        return signals
    try:
        return [restored(signals[0], corrections), *signals[1:]]
    except ValueError as error:
        raise VendorError(path, str(error), "Correct it again.") from error


def _signal(path: str, group: Any, name: str, provenance: dict[str, Any], max_bytes: int) -> Signal:
    """One array of the store."""
    try:
        array = group[name]
        shape = tuple(int(size) for size in array.shape)
        dtype = np.dtype(array.dtype)
        attributes = dict(array.attrs)
    except Exception as error:  # a foreign folder may make Zarr raise anything
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise VendorError(path, f"cannot be read as {NAME} ({text})", _CURE) from error
    if dtype.kind not in "iufcb" or dtype.itemsize > 16:
        raise VendorError(path, f"holds data of type {dtype}", _CURE)
    if not shape or 0 in shape:
        raise VendorError(
            path, f"holds an empty array ({' x '.join(str(size) for size in shape) or 'no axes'})", "Simulate it again."
        )
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        raise VendorError(path, f"unpacks to {size} bytes, more than {max_bytes}", "Simulate fewer recordings.")
    if "axes" in attributes:
        axes = _axes(path, attributes["axes"], shape)
    else:
        axes, provenance = _of_xarray(path, group, array, provenance)
    try:
        data = np.ascontiguousarray(array[...])
    except Exception as error:  # a damaged chunk may make its codec raise anything
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise VendorError(path, f"has a part that cannot be unpacked ({text})", "Copy or simulate it again.") from error
    metadata = numbered(provenance)
    quantity = attributes.get("quantity", attributes.get("long_name"))
    raw = flatten({"emtwin": metadata, "unit": attributes.get("units", ""), "quantity": quantity})
    kind: Kind = "spectrum" if len(shape) == 1 else "image" if len(shape) == 2 else "image-stack"
    if axes[-1].unit == "electronvolt" and len(shape) > 1:
        kind = "spectrum-image"
    title = f"{raw.get('emtwin.scenario.name', '')}{'' if name == 'data' else f' {name}'}"
    claims, repeated = collect([*axis_claims(axes, kind), *own_claims(raw)])
    return Signal(data, axes, kind, title, path, NAME, claims, repeated, raw)


def _of_xarray(
    path: str, group: Any, array: Any, attributes: dict[str, Any]
) -> tuple[tuple[Axis, ...], dict[str, Any]]:
    """Axes and provenance of a Dataset that xarray saved."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    try:
        provenance = json.loads(str(attributes["provenance"]))
        axes = tuple(axis_of(str(name), np.asarray(group[name][...]), dict(group[name].attrs)) for name in names)
    except Exception as error:  # a foreign folder may make Zarr raise anything
        raise VendorError(path, "does not describe the axes of its data and where they come from", _CURE) from error
    if tuple(axis.size for axis in axes) != array.shape or not isinstance(provenance, dict):
        raise VendorError(path, f"does not describe the axes of its data of shape {array.shape}", _CURE)
    return axes, provenance


def _axes(path: str, described: Any, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    if not isinstance(described, list) or len(described) != len(shape):
        raise VendorError(path, f"does not describe the axes of its data of shape {shape}", _CURE)
    axes = []
    for entry, size in zip(described, shape, strict=True):
        try:
            factor, unit = axis_scale(str(entry["unit"]))
            scale, offset = float(entry["scale"]) * factor, float(entry["offset"]) * factor
            labels = tuple(str(label)[:100] for label in entry.get("labels", ()))
            name, claimed = str(entry["name"])[:100], str(entry["unit"])[:40]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VendorError(path, "has an invalid axis", _CURE) from error
        if not (math.isfinite(scale) and math.isfinite(offset)) or len(labels) not in (0, size):
            raise VendorError(path, f"has an invalid axis {name!r}", _CURE)
        axes.append(Axis(name, size, scale, offset, unit, claimed, labels))
    return tuple(axes)
