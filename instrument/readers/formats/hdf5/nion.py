"""Nion Swift: data items in NDATA (a zip of data.npy and metadata.json) and HDF5 (.h5: one item; .nhdf: exported ones). RosettaSciIO has no reader.

Layout: NDataHandler and HDF5Handler of nionswift. The properties of an item hold its calibrations, in the order of its dimensions: a sequence, then a scan
("collection"), then what was recorded at each place ("datum").
"""

import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np

from instrument.readers.formats.hdf5.guards import check, text
from instrument.readers.formats.items import COPY_AGAIN, Item, axis, check_size
from instrument.readers.formats.signal import coloured
from instrument.readers.signals import VendorError
from twin.records import numbered

_MAX_JSON = 50_000_000
_NPY_HEADER = 65536


def holds(file: h5py.File) -> bool:
    """Whether an HDF5 file is one of Nion Swift: a dataset "data" with properties, or a group of such."""
    entry = file.get("data")
    items = (
        [entry] if isinstance(entry, h5py.Dataset) else list(entry.values()) if isinstance(entry, h5py.Group) else []
    )
    return bool(items) and all(isinstance(item, h5py.Dataset) and "properties" in item.attrs for item in items)


def read(path: str, max_bytes: int) -> list[Item]:
    """The data items of a file."""
    if path.lower().endswith(".ndata"):
        return [_of_zip(path, max_bytes)]
    check(path, max_bytes)
    with h5py.File(path, "r") as file:
        if not holds(file):
            raise VendorError(path, "holds no data item of Nion Swift", "Export it again from Nion Swift.")
        entry: Any = file["data"]
        items = [entry] if isinstance(entry, h5py.Dataset) else [entry[key] for key in sorted(entry.keys())]
        return [_item(path, np.asarray(item[...]), _properties(path, text(item.attrs["properties"]))) for item in items]


def _of_zip(path: str, max_bytes: int) -> Item:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if not {"data.npy", "metadata.json"} <= set(sizes):
                raise VendorError(
                    path,
                    "holds no data item of Nion Swift (data.npy, metadata.json)",
                    "Export it again from Nion Swift.",
                )
            check_size(path, max(sizes["data.npy"] - _NPY_HEADER, 0), max_bytes)
            if sizes["metadata.json"] > _MAX_JSON:
                raise VendorError(path, f"has more than {_MAX_JSON} bytes of metadata", COPY_AGAIN)
            data = np.lib.format.read_array(io.BytesIO(archive.read("data.npy")), allow_pickle=False)
            properties = _properties(path, archive.read("metadata.json").decode("utf-8", errors="replace"))
    except (zipfile.BadZipFile, EOFError) as error:
        raise VendorError(path, f"is a damaged zip file ({error})", COPY_AGAIN) from error
    return _item(path, data, properties)


def _properties(path: str, written: str) -> dict[str, Any]:
    """The properties; of older versions those of the data source, under which calibrations stood, in one mapping with the item's."""
    try:
        properties = json.loads(written)
    except ValueError as error:
        raise VendorError(path, "has metadata that are no JSON", COPY_AGAIN) from error
    if not isinstance(properties, dict):
        raise VendorError(path, "has metadata that are no mapping", COPY_AGAIN)
    sources = properties.pop("data_sources", None)
    source = sources[0] if isinstance(sources, list) and sources and isinstance(sources[0], dict) else {}
    nested = source.pop("data_source", {}) if isinstance(source.get("data_source"), dict) else {}
    return {**nested, **source, **properties}


def _item(path: str, data: np.ndarray, properties: dict[str, Any]) -> Item:
    if (
        data.dtype == np.uint8
        and data.ndim == 3
        and data.shape[-1] in (3, 4)
        and not properties.get("collection_dimension_count")
    ):
        raise coloured(path, data.shape[-1])
    given = properties.get("dimensional_calibrations", properties.get("spatial_calibrations"))
    calibrations = given if isinstance(given, list) else []
    if calibrations and len(calibrations) != data.ndim:
        raise VendorError(path, f"describes {len(calibrations)} axes for data of shape {data.shape}", COPY_AGAIN)
    names = _names(path, data.ndim, properties)
    axes = [
        _axis(name, size, entry)
        for name, size, entry in zip(names, data.shape, calibrations or [{}] * data.ndim, strict=True)
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": str(properties.get("title", ""))}},
        "original_metadata": {"nion": numbered(properties)},
    }


def _axis(name: str, size: int, calibration: Any) -> dict[str, Any]:
    entry = calibration if isinstance(calibration, dict) else {}
    scale, offset = entry.get("scale"), entry.get("offset")
    return axis(
        name,
        size,
        1.0 if scale is None else float(scale),
        0.0 if offset is None else float(offset),
        str(entry.get("units") or ""),
    )


def _names(path: str, dimensions: int, properties: dict[str, Any]) -> list[str]:
    """Names of the axes: a sequence, a scan, what was recorded at each place."""
    collection, datum = (properties.get(f"{part}_dimension_count") or 0 for part in ("collection", "datum"))
    sequence = ["sequence"] if properties.get("is_sequence") else []
    if not datum:
        datum = min(dimensions - len(sequence) - collection, 2)
    if len(sequence) + collection + datum != dimensions or not 0 <= collection <= 2 or not 1 <= datum <= 2:
        if dimensions > 5:
            raise VendorError(path, f"has {dimensions} dimensions", COPY_AGAIN)
        return [*(f"axis{number}" for number in range(dimensions - 2)), *["y", "x"][-min(dimensions, 2) :]]
    scan = ["scan_y", "scan_x"][2 - collection :]
    return [*sequence, *scan, *(["y", "x"] if datum == 2 else ["channel"])]
