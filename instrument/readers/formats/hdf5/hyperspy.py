"""HyperSpy's files (.hspy: HDF5, .zspy: Zarr), read by RosettaSciIO. HyperSpy's own metadata are kept too, under "metadata".

Axes that HyperSpy keeps as a list of coordinates become an axis with one scale where their steps are even; where not, each coordinate is the label of its
place.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rsciio import hspy, zspy

from instrument.readers.formats.hdf5.guards import check
from instrument.readers.formats.items import Item, axis_along
from instrument.readers.signals import VendorError


def holds(file: h5py.File) -> bool:
    """Whether a file is marked as HyperSpy's."""
    return "Experiments" in file or str(file.attrs.get("file_format", "")).lower() == "hyperspy"


def read(path: str, max_bytes: int) -> list[Item]:
    """The signals of a file."""
    if Path(path).suffix.lower() == ".zspy":
        items = zspy.file_reader(path)
    else:
        check(path, max_bytes)
        items = hspy.file_reader(path)
    for item in items:
        item["axes"] = [_axis(path, entry) for entry in item["axes"]]
        item["original_metadata"] = {**item.get("original_metadata", {}), "metadata": item.get("metadata", {})}
    return items


def _axis(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    if "expression" in entry:
        raise VendorError(
            path, f"has an axis {entry.get('name')!r} that is a function", "Convert it to a uniform axis in HyperSpy."
        )
    if "axis" not in entry:
        return entry
    values = np.asarray(entry["axis"], dtype=np.float64)
    name, units = str(entry.get("name") or ""), entry.get("units")
    units = units if isinstance(units, str) else ""
    try:
        return axis_along(path, name, values, units)
    except VendorError:
        labels = tuple(f"{value:.12g} {units}".strip() for value in values)
        return {"name": name, "size": len(values), "scale": 1.0, "offset": 0.0, "units": "", "labels": labels}
