"""Evidence of the first-order Laue zone of a known crystal: the high tension by the radius of its ring, with the zero-order reflections as scale."""

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from reconstruct.measurement.diffraction.indexing import Reading
from reconstruct.measurement.diffraction.intensities import direct_beam
from reconstruct.measurement.diffraction.laue import (
    BEYOND,
    LaueRing,
    column_strength,
    find_laue_ring,
    layer_spacing,
    wavelengths,
)
from reconstruct.measurement.diffraction.net import Net
from reconstruct.measurement.diffraction.spots import Spots, compressed
from reconstruct.measurement.measurement import Component, FitPlot
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.specimen import name_of
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement

if TYPE_CHECKING:
    from ase import Atoms

FIELDS = ("high_tension",)
DISTORTION = 3e-3
"""Relative rms by which a projector distorts the ring's radius against the zero-order reflections."""
LEAST_WEIGHT = 0.02
"""Weight of each reading of the zero-order reflections, at least: dynamical intensities have been seen to favour a wrong one by 14 nat."""
VERIFY = "Record a pattern of the known crystal at a camera length short enough for its first-order Laue zone."


def laue_zone(
    pattern: np.ndarray, net: Net, spots: Spots, readings: list[Reading], atoms: "Atoms", known: Known
) -> Evidence | Gap | None:
    """The wavelength by the ring in ``pattern`` [ny, nx], whose zero-order ``spots`` on ``net`` have ``readings`` as reflections of ``atoms``.

    A gap where there is no ring, None where the pattern is too small for one or the zone is too weak along this axis.
    """
    spacing = layer_spacing(atoms)
    if spacing is None:
        return None
    beam = direct_beam(net, spots)
    weights = softmax([reading.weight for reading in readings])
    parts, rings = [], []
    for weight, reading in zip(weights, readings, strict=True):
        sides = np.exp(reading.mean)
        ring = find_laue_ring(pattern, beam, sides, spacing)
        if isinstance(ring, str) and rings:  # its wavelength would be that of no microscope
            continue
        if isinstance(ring, str):
            return None if ring == BEYOND else Gap(FIELDS, ring, VERIFY)
        disk = spots.radius * math.sqrt(float(sides[0] * sides[1])) if spots.disks else 0.0
        shift = float(np.hypot(*((np.array(ring.centre) - beam) * sides)))
        mean, error = wavelengths(ring, spacing, column_strength(atoms), disk, shift)
        scale = math.sqrt(float(reading.covariance.mean()) + DISTORTION**2)
        # of a larger cell layers and reflections are closer together: the wavelength goes with the cell
        variance = error**2 + (2.0 * scale) ** 2 + known.cell_error**2
        parts.append(Component(max(float(weight), LEAST_WEIGHT), np.array([mean]), np.array([[variance]])))
        rings.append((ring, sides))
    total = sum(part.weight for part in parts)
    parts = tuple(Component(part.weight / total, part.mean, part.covariance) for part in parts)
    length = math.exp(float(parts[0].mean[0]))
    words = (
        f"The ring of the first-order Laue zone of {name_of(known)} has a radius of {rings[0][0].radius:.4g} 1/Å by the zero-order reflections, "
        f"which makes the wavelength {length:.4g} Å."
    )
    picture = Picture("fit", _picture(pattern, *rings[0]), "The ring of the first-order Laue zone")
    statement = Statement("wavelength by the first-order Laue zone", {"wavelength": 1.0})
    independent = ("camera length", "pixel", "high tension supply")
    return Evidence("high-order Laue zone", "data", (statement,), parts, words, independent, pictures=(picture,))


def _picture(pattern: np.ndarray, ring: LaueRing, sides: np.ndarray) -> FitPlot:
    """The pattern's logarithm, with the ring as model."""
    logs = compressed(pattern)
    rows, columns = np.mgrid[: logs.shape[0], : logs.shape[1]]
    distance = np.hypot((columns - ring.centre[0]) * sides[0], (rows - ring.centre[1]) * sides[1])
    model = 1.0 * (np.abs(distance - ring.radius) < math.sqrt(float(sides[0] * sides[1])))
    extent = (-0.5, logs.shape[1] - 0.5, logs.shape[0] - 0.5, -0.5)
    return FitPlot("logarithm of the pattern", logs, model, np.zeros(logs.shape), extent, "pixel")
