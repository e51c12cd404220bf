"""Files for ``emtwin measure``, made by code other than the estimators', in the layouts of ``emtwin simulate``."""

from pathlib import Path
from typing import Any

import numpy as np

from scenarios.simulate.output.files import write_hyperspy, write_zarr
from twin.simulation.recording import Axis, Recording

Side = tuple[str, float]
"""Unit and step of an axis."""


def stored(
    path: Path, data: np.ndarray, sides: tuple[Side, ...], unit: str = "electrons", beam: dict[str, float] | None = None, **keys: Any
) -> Path:  # fmt: skip
    """``data`` with an axis of (unit, step) for each dimension, angles about the middle; ``beam`` and ``own`` are the file's metadata."""
    names = ("y", "x") if data.ndim == 2 else ("scan_y", "scan_x", "y", "x")[-data.ndim :]
    axes = tuple(
        Axis(
            name, size, unit_, -0.5 * step * (size - 1) if unit_ == "mrad" else 0.0, step, data.ndim == 4 and index < 2
        )
        for index, (name, size, (unit_, step)) in enumerate(zip(names, data.shape, sides, strict=True))
    )
    recording = Recording(data, axes, "intensity", unit)
    provenance = {"scenario": {"name": path.stem, "beam": beam, **keys}} if beam is not None else dict(keys)
    if path.suffix == ".zarr":
        write_zarr(path, recording, provenance)
    else:
        write_hyperspy(path, recording, provenance, path.stem)
    return path


def stored_spectra(
    path: Path, counts: np.ndarray, offset: float, step: float, unit: str = "counts", beam: dict[str, float] | None = None
) -> Path:  # fmt: skip
    """Spectra ``counts`` [..., channels] whose first channel is at ``offset`` eV, with steps of ``step`` eV, on a scan in angstrom."""
    scan = ("scan_y", "scan_x")[-(counts.ndim - 1) :] if counts.ndim > 1 else ()
    axes = tuple(Axis(name, size, "angstrom", 0.0, 2.0, True) for name, size in zip(scan, counts.shape, strict=False))
    axes = (*axes, Axis("Energy loss", counts.shape[-1], "eV", offset, step, False))
    provenance = {"scenario": {"name": path.stem, "beam": beam}} if beam is not None else {}
    write_hyperspy(path, Recording(counts, axes, "intensity", unit), provenance, path.stem)
    return path
