"""Rotations of the scan against the camera, and mirrored scans, by the shifts of pixels' images (`parallax`), wherever they are on the circle."""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.film.exposure import Optics, Spectra
from reconstruct.measurement.film.parallax import correlation_maps, score_shifts
from twin.optics.electrons import wavelength

ROTATIONS = np.radians(np.arange(-180.0, 180.0, 10.0))
DEFOCI = 41
"""Values of C10 tried with each rotation."""
REACH = 3
"""Pixels between those whose images are compared."""


class Orientation(NamedTuple):
    """The scan's x points ``rotation`` (radian, towards +y) from the camera's x; ``mirrored``: its y runs the other way round."""

    rotation: float = 0.0
    mirrored: bool = False


def scan_axes(orientation: Orientation) -> np.ndarray:
    """The scan's x and y, as columns [2, 2] in the camera's x and y."""
    c, s = np.cos(orientation.rotation), np.sin(orientation.rotation)
    return np.array([[c, -s], [s, c]]) @ np.diag([1.0, -1.0 if orientation.mirrored else 1.0])


def likely_orientations(
    exposures: list[Spectra], optics: Optics, c10: float, half: float, count: int
) -> list[Orientation]:
    """The ``count`` likeliest orientations, apart by more than two steps, with C10 within ``c10`` plus or minus ``half`` angstrom."""
    values = c10 + np.linspace(-half, half, DEFOCI)
    length = wavelength(optics.energy)
    best = np.full((2, len(ROTATIONS)), -np.inf)
    maps = [correlation_maps(exposure, optics, REACH) for exposure in exposures]
    for mirrored in (False, True):
        for number, rotation in enumerate(ROTATIONS):
            axes = scan_axes(Orientation(float(rotation), mirrored))
            total = np.zeros(len(values))
            for exposure, (differences, correlations) in zip(exposures, maps, strict=True):
                shifts = length * (values + exposure.setting.c10)[:, None, None] * (differences @ axes)[None]
                total += score_shifts(shifts, exposure, correlations)
            best[int(mirrored), number] = total.max()
    chosen: list[Orientation] = []
    for index in np.argsort(-best.ravel()):
        mirrored, number = divmod(int(index), len(ROTATIONS))
        candidate = Orientation(float(ROTATIONS[number]), bool(mirrored))
        if all(
            candidate.mirrored != other.mirrored or abs(rotation_between(candidate, other)) > np.radians(25.0)
            for other in chosen
        ):
            chosen.append(candidate)
        if len(chosen) == count:
            break
    return chosen


def rotation_between(first: Orientation, second: Orientation) -> float:
    """Rotation of the first less that of the second, radian within +-pi."""
    return (first.rotation - second.rotation + np.pi) % (2.0 * np.pi) - np.pi
