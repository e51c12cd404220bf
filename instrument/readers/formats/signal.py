"""An item that a format's reader hands on, as a signal: axes in inside units and checked, metadata flattened, claims by the rules of all formats."""

import json
import math
from typing import Any

import numpy as np

from instrument.readers.claims import claims_of
from instrument.readers.formats.items import COPY_AGAIN, Item
from instrument.readers.signals import VendorError, axis_scale
from twin.channels import field
from twin.records import Axis, Kind, Signal, flatten, numbered

BOUNDS = {"angstrom": "pixel.x", "1/angstrom": "pixel.kx", "radian": "pixel.angle.x", "electronvolt": "dispersion"}
"""The field whose range holds the scale of an axis in that unit."""
SLIP = 1e12
"""The largest factor by which a wrong prefix or unit makes a scale too large or small (1e12: metres for picometres). Beyond it, the number is damaged."""


def signal_of(path: str, format_name: str, item: Item) -> Signal:
    """The signal of an item. Raises VendorError for data that are no plain numbers or empty, and for axes that do not describe them."""
    data = np.asarray(item["data"])
    if data.dtype.names and set(data.dtype.names) <= set("RGBA"):
        raise coloured(path, len(data.dtype.names))
    if data.dtype.kind not in "iufcb" or data.dtype.itemsize > 16:
        raise VendorError(
            path,
            f"holds values that are not plain numbers (type {data.dtype})",
            "Export it as an image of whole or decimal numbers.",
        )
    data = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("="), copy=False)
    if data.ndim == 0 or data.size == 0:
        size = " x ".join(str(length) for length in data.shape) or "no axes"
        raise VendorError(path, f"holds an empty array ({size})", "Record or export it again.")
    axes = _axes(path, item["axes"], data.shape)
    energy = [index for index, axis in enumerate(axes) if axis.unit == "electronvolt"]
    if energy and energy[0] != data.ndim - 1:  # channels last, whatever order the file had
        data = np.ascontiguousarray(np.moveaxis(data, energy[0], -1))
        axes = (*axes[: energy[0]], *axes[energy[0] + 1 :], axes[energy[0]])
    described = flatten(item.get("metadata", {}))
    raw = flatten(_unpacked_metadata(item.get("original_metadata", {}), str(described.get("Signal.quantity", ""))))
    title = described.get("General.title", "")
    kind = _kind(data.ndim, bool(energy))
    claims, repeated = claims_of(raw, axes, kind)
    return Signal(data, axes, kind, str(title), path, format_name, claims, repeated, raw)


def coloured(path: str, channels: int) -> VendorError:
    """A picture for the screen: its values are colours, and no counts."""
    cure = "Convert to grey, or export the recorded counts themselves (as TIFF of 16 or 32 bits)."
    return VendorError(path, f"is a colour picture of {channels} channels (RGB), not counts", cure)


def _unpacked_metadata(original: Any, quantity: str) -> Any:
    """Original metadata. emtwin's HyperSpy files store them as one JSON text; it is unpacked, with quantity and unit as in Zarr stores."""
    text = original.get("emtwin") if isinstance(original, dict) else None
    if not isinstance(text, str):
        return original
    try:
        metadata = numbered(json.loads(text))
    except (ValueError, RecursionError):
        return original
    words, _, unit = quantity.rpartition(" (")
    return {**original, "emtwin": metadata, "quantity": words, "unit": unit.removesuffix(")")}


def _kind(dimensions: int, energy: bool) -> Kind:
    if energy or dimensions == 1:
        return "spectrum" if dimensions == 1 else "spectrum-image"
    return "image" if dimensions == 2 else "image-stack"


def _axes(path: str, described: list[dict[str, Any]], shape: tuple[int, ...]) -> tuple[Axis, ...]:
    if len(described) != len(shape):
        problem = f"describes {len(described)} axes for data of shape {shape}"
        raise VendorError(path, problem, COPY_AGAIN)
    return tuple(
        _axis(path, entry, size, number) for number, (entry, size) in enumerate(zip(described, shape, strict=True))
    )


def _axis(path: str, entry: dict[str, Any], size: int, number: int) -> Axis:
    name = str(entry.get("name") or f"axis{number}")
    claimed = entry.get("units")
    text = claimed if isinstance(claimed, str) else ""
    factor, unit = axis_scale(text)
    scale, offset = float(entry.get("scale", 1.0)) * factor, float(entry.get("offset", 0.0)) * factor
    if not (math.isfinite(scale) and math.isfinite(offset)) or int(entry.get("size", size)) != size:
        raise VendorError(path, f"has an invalid axis {name!r}", COPY_AGAIN)
    if size > 1 and scale == 0.0:
        raise VendorError(path, f"has an axis {name!r} whose scale is 0", "Calibrate it, or copy the file again.")
    if size > 1 and unit in BOUNDS:
        bounds = field(BOUNDS[unit])
        if not bounds.low / SLIP <= abs(scale) <= bounds.high * SLIP:
            raise VendorError(
                path, f"has an axis {name!r} with a scale of {scale:.3g} {unit}, which nothing has", COPY_AGAIN
            )
    return Axis(name, size, scale, offset, unit, text, tuple(entry.get("labels", ())))
