"""Evidence of diffraction rings of a polycrystal of known structure: the pixels of the pattern, and with angles the high tension."""

import math

import numpy as np

from reconstruct.measurement.diffraction.powder import powder_lines
from reconstruct.measurement.diffraction.rings import Rings, find_rings
from reconstruct.measurement.diffraction.spots import compressed
from reconstruct.measurement.measurement import Component, FitPlot
from reconstruct.validation.evidence import Evidence, Picture, Statement
from twin.sample.structures import Structure

DISTORTION = 2e-3
"""Relative rms by which a projector distorts a pattern, along x and y."""


def ring_evidence(
    pattern: np.ndarray,
    factor: int,
    structure: Structure,
    name: str,
    fields: tuple[str, ...],
    angles: bool,
    cell_error: float,
) -> Evidence | str:
    """The pixels of ``pattern`` [ny, nx] (binned by ``factor``) by rings of ``structure``, or why there are none; ``fields``: those of the pixels (x, y)."""
    readings = find_rings(pattern, powder_lines(structure.atoms))
    if isinstance(readings, str):
        return readings
    extra = DISTORTION**2 * np.eye(2) + cell_error**2
    total = sum(reading.weight for reading in readings)
    parts = tuple(
        Component(reading.weight / total, reading.mean - math.log(factor), reading.covariance + extra)
        for reading in readings
    )
    more = {"wavelength": -1.0} if angles else {}
    statements = tuple(Statement(f"{field} by diffraction rings", {field: 1.0, **more}) for field in fields)
    sizes = np.exp(parts[0].mean)
    words = f"{readings[0].matched} rings of {name} make the pixels of the pattern {sizes[0]:.5g} x {sizes[1]:.5g} 1/Å."
    independent = ("magnification", "camera length") if angles else ("magnification", "camera length", "high tension")
    picture = Picture("fit", _picture(pattern, readings[0]), f"The rings of {name} in the pattern")
    return Evidence(f"diffraction rings of {name}", "data", statements, parts, words, independent, pictures=(picture,))


def _picture(pattern: np.ndarray, measured: Rings) -> FitPlot:
    """The pattern's logarithm, with the rings that were matched as model."""
    logs = compressed(pattern)
    rows, columns = np.mgrid[: logs.shape[0], : logs.shape[1]]
    ratio = np.exp(0.5 * (measured.mean - measured.mean.mean()))
    distance = np.hypot((columns - measured.centre[0]) * ratio[0], (rows - measured.centre[1]) * ratio[1])
    model = 1.0 * (np.abs(distance[..., None] - measured.radii).min(axis=-1) < 1.0)
    extent = (-0.5, logs.shape[1] - 0.5, logs.shape[0] - 0.5, -0.5)
    return FitPlot("logarithm of the pattern", logs, model, np.zeros(logs.shape), extent, "pixel")
