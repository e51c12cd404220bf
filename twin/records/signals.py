"""A recording with its axes and with what is said of it: of a file or of a simulation. msgspec Structs over numpy; no JAX."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from twin.records.claims import Claim, Value
from twin.units import axis_unit

Kind = Literal["image", "image-stack", "spectrum", "spectrum-image"]

MAX_ENTRIES = 20_000
MAX_TEXT = 400


class Axis(msgspec.Struct, frozen=True):
    """One axis of the data: coordinate = offset + scale * index, in ``unit``.

    ``unit`` is angstrom, radian, 1/angstrom, electronvolt, second, or None where the file gives no unit (then scale and offset are bare numbers);
    ``claimed_unit`` is the unit as the file wrote it. ``labels`` name the positions along an axis without a scale (detectors of a scan).
    """

    name: str
    size: int
    scale: float
    offset: float
    unit: str | None
    claimed_unit: str = ""
    labels: tuple[str, ...] = ()


class Signal(msgspec.Struct, frozen=True):
    """One image, spectrum or array of spectra. ``data`` is [..., y, x] or [..., y, x, channel], as recorded (no rescaling).

    ``claims`` holds what the file says, in inside units, by the names of `twin.channels.FIELDS`; what a file does not say (or says as NaN) is not in it.
    ``repeated`` holds what it says of the same field in other places. ``raw`` holds the metadata as they stand, flattened to dotted keys, long entries left
    out. ``path`` is empty where there is no file.
    """

    data: np.ndarray
    axes: tuple[Axis, ...]
    kind: Kind
    title: str
    path: str
    format: str
    claims: dict[str, Claim] = {}
    repeated: dict[str, tuple[Claim, ...]] = {}
    raw: dict[str, Value] = {}

    def axis(self, name: str) -> Axis:
        """The axis of that name; ValueError if there is none."""
        for item in self.axes:
            if item.name == name:
                return item
        raise ValueError(f"{self.path}: no axis {name!r}; it has {', '.join(a.name for a in self.axes)}")


COARSEST = 3.0
"""eV a channel from which a spectrum is one of X-rays where nothing else is said."""
X_RAYS = ("eds", "edx", "x-ray")


def is_x_ray(signal: Signal) -> bool:
    """Whether a spectrum is one of X-rays and not of energy losses: by its names, what its file says, and its dispersion."""
    text = f"{signal.title} {signal.axes[-1].name}".lower()
    if "loss" in text or "eels" in text or {"drift_tube", "collection_semiangle"} & set(signal.claims):
        return False
    return abs(signal.axes[-1].scale) >= COARSEST or any(word in text for word in X_RAYS)


def coordinates(axis: Axis) -> np.ndarray:
    """Coordinates [size] along an axis, in its unit."""
    return axis.offset + axis.scale * np.arange(axis.size, dtype=np.float64)


def axis_of(name: str, values: np.ndarray, attributes: Mapping[str, Any]) -> Axis:
    """The axis with coordinates ``values`` [size], as xarray has them: numbers in the unit ``attributes["units"]``, evenly spaced, or labels. ValueError for
    steps that differ. ``attributes["step"]`` is the step that they were made with, where it is still theirs: differences of coordinates are rounded."""
    size = len(values)
    if values.dtype.kind not in "iuf":
        return Axis(name, size, 1.0, 0.0, None, "", tuple(str(value)[:MAX_TEXT] for value in values))
    step = float(values[-1] - values[0]) / (size - 1) if size > 1 else 1.0
    if size > 1 and not np.allclose(np.diff(values), step, rtol=1e-6, atol=0.0):
        raise ValueError(f"axis {name!r} has steps that differ; resample it to even steps")
    made = attributes.get("step", step)
    if isinstance(made, (int, float)) and math.isclose(made, step, rel_tol=1e-9):
        step = float(made)
    written = str(attributes.get("units", ""))
    unit = axis_unit(written)
    factor = 1.0 if unit is None else unit.factor
    return Axis(name, size, step * factor, float(values[0]) * factor, None if unit is None else unit.unit, written)


def numbered(tree: object) -> object:
    """Nested values with lists as mappings from their indices, so that they can be flattened to dotted keys."""
    if isinstance(tree, Mapping):
        return {str(key): numbered(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return {str(index): numbered(value) for index, value in enumerate(tree)}
    return tree


def flatten(tree: object, limit: int = MAX_ENTRIES) -> dict[str, Value]:
    """Nested metadata as dotted keys; only numbers, booleans and text up to MAX_TEXT characters, at most ``limit`` entries."""
    flat: dict[str, Value] = {}
    pending: list[tuple[str, object, int]] = [("", tree, 0)]
    while pending and len(flat) < limit:
        prefix, item, depth = pending.pop()
        if isinstance(item, Mapping):
            if depth < 64:
                pending.extend(
                    (f"{prefix}.{key}" if prefix else str(key), value, depth + 1) for key, value in item.items()
                )
            continue
        value = _scalar(item)
        if value is not None and len(prefix) <= MAX_TEXT:
            flat[prefix] = value
    return dict(sorted(flat.items()))


def _scalar(item: object) -> Value | None:
    """Plain Python value of a metadata entry; None for what is not a short scalar or is not a number (NaN)."""
    if hasattr(item, "item") and getattr(item, "ndim", None) == 0:
        item = item.item()  # type: ignore[union-attr]  # numpy scalars and 0-d arrays
    if isinstance(item, bool):
        return item
    if isinstance(item, int):
        return item if abs(item) < 2**63 else None
    if isinstance(item, float):
        return None if math.isnan(item) else item
    if isinstance(item, bytes):
        item = item.decode("utf-8", errors="replace")
    if isinstance(item, str) and item and len(item) <= MAX_TEXT:
        return item
    return None
