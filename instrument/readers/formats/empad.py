"""EMPAD of Cornell and Thermo Fisher: patterns in a RAW file, described by the XML file beside it. First and second generation.

RosettaSciIO's reader is not used: it does not read files of the second generation, takes "calibrated_pixelsize" as a spatial frequency whatever its
generation, follows any path for the data, and makes the pixels of an oblong scan oblong where the file gives one field of view for both sides (that of the
longer side).
"""

import json
import math
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np

from instrument.readers.formats.items import COPY_AGAIN, Item, axis, check_size
from instrument.readers.signals import VendorError

SIDE = 128
"""Pixels of a pattern along each side."""
_FOOTER = 2
"""Rows after each pattern of the first generation, which are no pixels."""
_MAX_XML = 10_000_000
_SCAN = re.compile(r"scan_x(\d+)_y(\d+)")
_MAX_SIDE = 65536


def read(path: str, max_bytes: int) -> list[Item]:
    """The scan [y, x, ky, kx] or series [n, ky, kx] of patterns that an XML file describes."""
    tree = _tree(path)
    raw = _raw_file(path, tree)
    counts = _counts(path, tree, raw.name)
    length, patterns = raw.stat().st_size, math.prod(counts)
    rows = next((rows for rows in (SIDE + _FOOTER, SIDE) if patterns * rows * SIDE * 4 == length), None)
    if rows is None:
        needed = patterns * (SIDE + _FOOTER) * SIDE * 4
        problem = (
            f"declares {' x '.join(str(count) for count in counts)} patterns ({needed} bytes), {raw.name} has {length}"
        )
        raise VendorError(path, problem, "Copy both files again; a scan that was stopped must be cut to what it holds.")
    check_size(path, length, max_bytes)
    data = np.fromfile(raw, dtype="<f4").reshape(*counts, rows, SIDE)[..., :SIDE, :]
    axes = [*_scan_axes(tree, counts), *_pattern_axes(tree)]
    metadata = {"General": {"title": Path(path).stem}}
    return [{"data": data, "axes": axes, "metadata": metadata, "original_metadata": {"EMPAD": tree}}]


def _tree(path: str) -> dict[str, Any]:
    """The XML as nested mappings from tags to text; attributes as entries of their own."""
    if os.path.getsize(path) > _MAX_XML:
        raise VendorError(
            path, f"has more than {_MAX_XML} bytes", "Give the XML file that the detector's software wrote."
        )
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise VendorError(path, f"is no valid XML ({error})", COPY_AGAIN) from error
    return _entries(root)


def _entries(node: ET.Element, depth: int = 0) -> dict[str, Any]:
    entries: dict[str, Any] = dict(node.attrib)
    for child in node if depth < 16 else ():
        text = (child.text or "").strip()
        nested = _entries(child, depth + 1)
        if text and nested:
            nested["text"] = text
        entries[str(child.tag)] = nested or text
    return entries


def _raw_file(path: str, tree: dict[str, Any]) -> Path:
    """The file of the patterns, in the folder of the XML file."""
    for key in ("raw_file", "rawfile"):
        entry = tree.get(key)
        name = entry.get("filename") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            if re.search(r"[/\\\x00]", name) or name in (".", ".."):
                raise VendorError(
                    path,
                    "names a file of another folder as its data",
                    "Put the RAW file beside the XML file and name it alone.",
                )
            raw = Path(path).parent / name
            if not raw.is_file():
                raise VendorError(
                    path, f"has no {name} beside it, which holds its data", "Copy the RAW file into the same folder."
                )
            return raw
    raise VendorError(
        path,
        "is no XML file of an EMPAD (it names no RAW file)",
        "Give the XML file that the detector's software wrote.",
    )


def _counts(path: str, tree: dict[str, Any], name: str) -> tuple[int, ...]:
    """Patterns along y and x of a scan, or of a series."""
    scan = tree.get("scan_parameters")
    series = scan.get("series_count") if isinstance(scan, dict) else None
    match = _SCAN.search(name)
    texts: list[Any] = (
        [series]
        if series
        else [tree.get("pix_y"), tree.get("pix_x")]
        if tree.get("pix_x")
        else [match[2], match[1]]
        if match
        else []
    )
    try:
        counts = tuple(int(text) for text in texts)
    except (TypeError, ValueError):
        counts = ()
    if not counts or min(counts) < 1 or max(counts) > _MAX_SIDE:
        raise VendorError(
            path, "does not say how many patterns it has", "Give pix_x and pix_y, or name the data scan_xNX_yNY.raw."
        )
    return counts


def positive(tree: dict[str, Any], *keys: str) -> float | None:
    """The positive finite number under nested ``keys``; None for none."""
    entry: Any = tree
    for key in keys:
        entry = entry.get(key) if isinstance(entry, dict) else None
    try:
        number = float(entry)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _scan_axes(tree: dict[str, Any], counts: tuple[int, ...]) -> list[dict[str, Any]]:
    if len(counts) == 1:
        return [axis("series", counts[0])]
    steps = _steps(tree.get("iom_measurements"), counts)
    return [
        axis(name, count, step or 1.0, 0.0, "m" if step else "")
        for name, count, step in zip(("scan_y", "scan_x"), counts, steps, strict=True)
    ]


def _steps(measured: Any, counts: tuple[int, ...]) -> tuple[float | None, float | None]:
    """Steps of the scan along y and x in metres. A field of view with a scale factor is that of the scan's longer side times the factor."""
    if not isinstance(measured, dict):
        return None, None
    width, factor = (
        positive(measured, "full_scan_field_of_view", "x"),
        positive(measured, "full_scan_field_of_view", "scale_factor"),
    )
    if width and factor:
        step = width / factor / max(counts)
        return step, step
    if width := positive(measured, "ColumnOpticsGetFullScanFieldOfViewx"):
        return width / max(counts), width / max(counts)
    try:
        views = json.loads(str(measured.get("optics.get_full_scan_field_of_view", "")))
        first, second = (float(view) for view in views)
    except (ValueError, TypeError):
        return None, None
    if not (0 < first < math.inf and 0 < second < math.inf):
        return None, None
    longer = max(counts)
    return (first / longer, first / longer) if first == second else (first / counts[0], second / counts[1])


def _pattern_axes(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Axes of a pattern with the direct beam at the middle: in radian where the file gives the angle of a pixel, else in 1/m as the first generation does."""
    measured = tree.get("iom_measurements")
    measured = measured if isinstance(measured, dict) else {}
    angle, frequency = positive(measured, "calibrated_diffraction_angle"), positive(measured, "calibrated_pixelsize")
    if angle:
        scale, unit = angle, "rad"
    elif frequency and "ColumnSourceHighVoltage" not in measured:
        scale, unit = frequency * 1e9, "1/nm"
    else:
        scale, unit = 1.0, ""
    return [axis(name, SIDE, scale, -SIDE / 2 * scale, unit) for name in ("ky", "kx")]
