"""Vendor files read by RosettaSciIO, as signals. Runs only inside the worker process; the library is imported where used."""

import contextlib
import importlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from instrument.export.read import with_exported
from instrument.readers.claims import claims_of
from instrument.readers.signals import VendorError, axis_scale
from twin.records import Axis, Kind, Signal, flatten, numbered

# Magic numbers where a format has one, so that a file is never offered to a parser of another format.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PLUGINS: dict[str, tuple[str, str, tuple[bytes, ...]]] = {
    ".dm3": ("DigitalMicrograph 3", "rsciio.digitalmicrograph", (b"\x00\x00\x00\x03",)),
    ".dm4": ("DigitalMicrograph 4", "rsciio.digitalmicrograph", (b"\x00\x00\x00\x04",)),
    ".emd": ("EMD", "rsciio.emd", (_HDF5,)),
    ".emi": ("TIA", "rsciio.tia", (b"JK",)),
    ".ser": ("TIA series", "rsciio.tia", (b"II",)),
    ".hspy": ("HyperSpy", "rsciio.hspy", (_HDF5,)),
    ".tif": ("TIFF", "rsciio.tiff", _TIFF),
    ".tiff": ("TIFF", "rsciio.tiff", _TIFF),
}
FORMATS = tuple(_PLUGINS)
MAX_SIGNALS = 4096


def warm() -> None:
    """Import the parsers once, so that the first file does not pay for it. Called when the worker starts."""
    for _, module, _ in _PLUGINS.values():
        # a missing library is reported when a file that needs it is read
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)


def limit_memory(max_bytes: int) -> None:
    """Cap the address space of this process, so that a file claiming an absurd size fails here and nowhere else (POSIX only)."""
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))


def start(max_bytes: int) -> None:
    """What a fresh worker does before its first file."""
    warm()
    limit_memory(max_bytes)


def parse(path: str, max_bytes: int) -> list[Signal]:
    """Read a file whose existence and size have been checked. Raises VendorError for whatever is wrong with it."""
    name, module, magics = _PLUGINS[Path(path).suffix.lower()]
    with open(path, "rb") as file:
        head = file.read(16)
    if not any(head.startswith(magic) for magic in magics):
        raise VendorError(
            path, f"does not begin as a {name} file does", "Check that the file is complete and its extension right."
        )
    if name == "TIFF" and (channels := _coloured_tiff(path)):
        raise _coloured(path, channels)
    try:
        items = importlib.import_module(module).file_reader(path)
    except ModuleNotFoundError as error:
        library = error.name or str(error).split("'")[1::2][:1] or "an optional library"
        library = library if isinstance(library, str) else library[0]
        raise VendorError(
            path, f"needs the library {library!r} to be read", f"Install it: pip install {library}."
        ) from error
    except MemoryError as error:
        raise VendorError(
            path, "asks for more memory than a reader may take", "The file is damaged or too large."
        ) from error
    except Exception as error:  # a foreign parser on foreign bytes may raise anything
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise VendorError(
            path, f"cannot be read as {name} ({text})", "The file is damaged or of another format; copy it again."
        ) from error
    if not isinstance(items, list) or not items:
        raise VendorError(path, "holds no image or spectrum", "Export it again from the vendor's software.")
    if len(items) > MAX_SIGNALS:
        raise VendorError(path, f"holds {len(items)} signals, more than {MAX_SIGNALS}", "Split the file.")
    try:
        signals = [_signal(path, name, item) for item in items]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        text = f"{type(error).__name__}: {error}"[:200]
        raise VendorError(path, f"has invalid metadata ({text})", "The file is damaged; copy it again.") from error
    signals = with_exported(path, signals)
    total = sum(signal.data.nbytes for signal in signals)
    if total > max_bytes:
        raise VendorError(
            path, f"unpacks to {total} bytes, more than {max_bytes}", "Read it in parts with the vendor's software."
        )
    return signals


def _signal(path: str, format_name: str, item: dict[str, Any]) -> Signal:
    data = np.asarray(item["data"])
    if data.dtype.names and set(data.dtype.names) <= set("RGBA"):
        raise _coloured(path, len(data.dtype.names))
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
    axes = _axes(path, item.get("axes", []), data.shape)
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


def _coloured(path: str, channels: int) -> VendorError:
    """A picture for the screen: its values are colours, and no counts."""
    cure = "Convert to grey, or export the recorded counts themselves (as TIFF of 16 or 32 bits)."
    return VendorError(path, f"is a colour picture of {channels} channels (RGB), not counts", cure)


def _coloured_tiff(path: str) -> int:
    """Number of channels of a colour TIFF; 0 for other TIFFs, and for damaged ones, which the parser reports."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            coloured = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE)  # type: ignore[union-attr]
            return max(int(page.samplesperpixel), 3) if coloured else 0  # type: ignore[union-attr]
    except (tifffile.TiffFileError, ValueError, IndexError, AttributeError):
        return 0


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
    return {"emtwin": metadata, "quantity": words, "unit": unit.removesuffix(")")}


def _kind(dimensions: int, energy: bool) -> Kind:
    if energy or dimensions == 1:
        return "spectrum" if dimensions == 1 else "spectrum-image"
    return "image" if dimensions == 2 else "image-stack"


def _axes(path: str, described: list[dict[str, Any]], shape: tuple[int, ...]) -> tuple[Axis, ...]:
    if len(described) != len(shape):
        raise VendorError(
            path, f"describes {len(described)} axes for data of shape {shape}", "The file is damaged; copy it again."
        )
    axes = []
    for axis, size in zip(described, shape, strict=True):
        claimed = axis.get("units")
        text = claimed if isinstance(claimed, str) else ""
        factor, unit = axis_scale(text)
        scale, offset = float(axis.get("scale", 1.0)) * factor, float(axis.get("offset", 0.0)) * factor
        if not (math.isfinite(scale) and math.isfinite(offset)) or int(axis.get("size", size)) != size:
            raise VendorError(path, f"has an invalid axis {axis.get('name')!r}", "The file is damaged; copy it again.")
        axes.append(Axis(str(axis.get("name") or f"axis{len(axes)}"), size, scale, offset, unit, text))
    return tuple(axes)
