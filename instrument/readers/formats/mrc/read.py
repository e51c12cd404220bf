"""An MRC file as one item. RosettaSciIO's reader is not used: it takes bytes as unsigned and all numbers as little-endian, and knows neither FEI1 and FEI2
nor .mdoc."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from instrument.readers.formats.items import Item, axis, check_length, check_size
from instrument.readers.formats.mrc.fei import extended_header
from instrument.readers.formats.mrc.header import LENGTH, Header, header_of
from instrument.readers.formats.mrc.mdoc import beside

_DIFFRACTION = 1
"""Thermo Fisher's projection mode of diffraction."""


def read(path: str, max_bytes: int) -> list[Item]:
    """The image, stack or volume of a file, rows as they are stored (MRC's first row is the lowest of the image).

    Pixels are the header's cell divided by its grid, which is in angstrom. VendorError where sizes do not match the file's length.
    """
    with open(path, "rb") as file:
        header = header_of(path, file.read(LENGTH))
        size = int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
        check_size(path, size, max_bytes)
        check_length(path, LENGTH + header.extended + size, os.path.getsize(path))
        block = file.read(header.extended)
        data = np.fromfile(file, dtype=header.dtype, count=size // header.dtype.itemsize).reshape(header.shape)
    original: dict[str, Any] = {"header": _described(header)}
    original |= extended_header(path, header.kind, block, header.order)
    original |= beside(path)
    axes = _axes(header, original)
    if header.shape[0] == 1:
        data, axes = data[0], axes[1:]
    return [
        {"data": data, "axes": axes, "metadata": {"General": {"title": Path(path).stem}}, "original_metadata": original}
    ]


def _axes(header: Header, original: dict[str, Any]) -> list[dict[str, Any]]:
    """Axes z, y, x. Of a pattern the header's cell is no length: its axes have no unit."""
    kind = original.get(header.kind, {}) if header.kind else {}
    is_pattern = kind.get("Projection mode") == _DIFFRACTION
    axes = []
    for number, name in enumerate("zyx"):
        length, intervals = header.cell[2 - number], header.grid[2 - number]
        scaled = length > 0 and intervals > 0 and not is_pattern and (name != "z" or header.is_volume)
        scale = length / intervals if scaled else 1.0
        axes.append(
            axis(name, header.shape[number], scale, header.origin[2 - number] if scaled else 0.0, "Å" if scaled else "")
        )
    return axes


def _described(header: Header) -> dict[str, Any]:
    named = {f"label {number}": label for number, label in enumerate(header.labels) if label}
    columns, rows = header.shape[2], header.shape[1]
    return {
        "kind": header.kind,
        "version": header.version,
        "columns": columns,
        "rows": rows,
        "sections": header.shape[0],
        **named,
    }
