"""TIFF, read by RosettaSciIO, with what it leaves out or reads wrongly (0.15) put right.

ImageJ's unit is read whatever it is (RosettaSciIO knows "micron" alone) and its frame interval is that of the time axis. Of FEI's, TVIPS' and Olympus'
tags the pixel's width and height are exchanged in RosettaSciIO: they are put on their own axes. FEI's XML of a Titan or Tecnai (tag FEI_TITAN) is
unpacked. Colour pictures are refused, and files whose pixels lie outside them, of which tifffile would return what there is.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import tifffile
from rsciio.tiff import file_reader

from instrument.readers.formats.items import COPY_AGAIN, Item, check_length, check_size
from instrument.readers.formats.signal import coloured
from instrument.readers.signals import VendorError

_SIDES = ("height", "width")
_MAX_XML = 1_000_000
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}


def read(path: str, max_bytes: int) -> list[Item]:
    """The images of a file, one for each of its series."""
    with tifffile.TiffFile(path) as file:
        _check(path, file, max_bytes)
        exchanged = bool({"fei", "tvips"} & set(file.flags)) or bool(file.pages.first.is_sis)
        imagej = dict(file.imagej_metadata or {})
        described = _described(file.pages.first)
    items: list[Item] = file_reader(path)  # type: ignore[assignment]
    for item in items:
        if exchanged:
            _exchange(item["axes"])
        _imagej_axes(item["axes"], imagej)
        item["original_metadata"] = {**item.get("original_metadata", {}), "ImageJ": imagej, **described}
    return items


def _check(path: str, file: tifffile.TiffFile, max_bytes: int) -> None:
    """Grey values, all of them within the file, not more than may be unpacked."""
    first, length = file.pages.first, file.filehandle.size
    if first.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE):
        raise coloured(path, max(int(first.samplesperpixel), 3))
    check_size(path, sum(series.nbytes for series in file.series), max_bytes)
    for series in file.series:
        if series.dataoffset is not None and series.dataoffset + series.nbytes > length:
            check_length(path, series.dataoffset + series.nbytes, length)
        # the pages of a series in one piece have the layout of the first
        for page in series.pages[:1] if series.dataoffset is not None else series.pages:
            if page is not None:
                _check_page(path, page, length)


def _check_page(path: str, page: Any, length: int) -> None:
    """The strips or tiles of a page lie within the file, and are not fewer bytes than its pixels where they are not compressed."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    needed = max((offset + count for offset, count in segments), default=0)
    if needed > length:
        check_length(path, needed, length)
    if page.compression == tifffile.COMPRESSION.NONE and sum(count for _, count in segments) < page.nbytes:
        raise VendorError(path, f"declares {page.nbytes} bytes of pixels and holds fewer", COPY_AGAIN)


def _exchange(axes: list[dict[str, Any]]) -> None:
    """Scale, offset and units of rows for those of columns, and the other way round."""
    sides = {axis["name"]: axis for axis in axes if axis["name"] in _SIDES}
    if len(sides) == len(_SIDES):
        height, width = (sides[name] for name in _SIDES)
        for part in ("scale", "offset", "units"):
            height[part], width[part] = width.get(part), height.get(part)


def _imagej_axes(axes: list[dict[str, Any]], imagej: Mapping[str, Any]) -> None:
    """ImageJ's unit on the axes of the image and its depth; its frame interval in seconds on the axis of time."""
    unit = imagej_unit(imagej)
    for axis in axes:
        if axis["name"] in (*_SIDES, "depth") and unit and not axis.get("units"):
            axis["units"] = unit
        if axis["name"] == "time" and imagej:
            interval = imagej.get("finterval")
            is_timed = isinstance(interval, (int, float)) and interval > 0
            axis["scale"], axis["units"] = (float(interval), "s") if is_timed else (1.0, "")  # type: ignore[arg-type]


def imagej_unit(imagej: Mapping[str, Any]) -> str:
    """The unit of length that ImageJ names; "" for none, and for pixels. It writes letters beyond ASCII as backslash-u escapes."""
    unit = str(imagej.get("unit", "")).strip().strip('"')
    if "\\u" in unit:
        unit = unit.encode("ascii", errors="ignore").decode("unicode_escape")
    return "" if unit.lower() in ("", "pixel", "pixels", "none") else unit


def _described(page: Any) -> dict[str, Any]:
    """The resolution in pixels a unit of length, and FEI's XML, of the first page."""
    tree: dict[str, Any] = {}
    tags = page.tags
    unit = _RESOLUTION_UNITS.get(int(tags["ResolutionUnit"].value)) if "ResolutionUnit" in tags else None
    for side in ("X", "Y"):
        value = tags[f"{side}Resolution"].value if f"{side}Resolution" in tags else None
        if unit and isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]:
            tree.setdefault("Resolution", {"unit": unit})[side.lower()] = value[0] / value[1]
    if "FEI_TITAN" in tags and isinstance(text := tags["FEI_TITAN"].value, (str, bytes)) and len(text) < _MAX_XML:
        tree["FEI_TITAN"] = titan(text)
    return tree


def titan(text: str | bytes) -> dict[str, Any]:
    """FEI's list of labels, values and units as a mapping from the label to both; empty for XML that is none."""
    try:
        root = ET.fromstring(text.strip("\x00 \r\n") if isinstance(text, str) else text.strip(b"\x00 \r\n"))
    except ET.ParseError:
        return {}
    entries: dict[str, Any] = {}
    for data in root.iter("Data"):
        label, value = (data.findtext("Label") or "").strip(), (data.findtext("Value") or "").strip()
        if label and value:
            entries[label] = {"value": value, "unit": (data.findtext("Unit") or "").strip()}
    return entries
