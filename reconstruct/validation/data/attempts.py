"""Which of several sizes of a pixel the lattice in an image fits, by its spots alone: a fraction of the time of a fit."""

from collections.abc import Iterable, Iterator

import numpy as np

from reconstruct.measurement.lattice.cleaning import clean_image
from reconstruct.measurement.lattice.estimator import MIN_EXPLAINED, MIN_LIKENESS
from reconstruct.measurement.lattice.indexing import index_spots
from reconstruct.measurement.lattice.spots import find_spots, power_spectrum, second_rows, small_reflections
from reconstruct.measurement.projection import Projection

RESOLVED = 0.5
"""Largest pixel that is tried, in spacings of the slowest reflection: folded lattices are looked for at the stated pixel only, by the fit itself."""
LEAST_PERIODS = 3.0


def slowest_spacing(crystal: Projection) -> float:
    """The largest spacing (angstrom) of reflections that ``crystal`` has."""
    primitive = crystal.primitive()
    reflections = small_reflections(2)
    frequencies = np.hypot(*(reflections @ np.linalg.inv(primitive.vectors)).T)
    return float(1.0 / frequencies[primitive.amplitudes(reflections) > 1e-3].min())


def resolves(crystal: Projection, pixel: float) -> bool:
    """Whether pixels of this size (angstrom) show the slowest reflection of ``crystal`` where it is, not folded: folded, spots can be of many lattices."""
    return pixel <= RESOLVED * slowest_spacing(crystal)


def fitting_pixels(
    image: np.ndarray, crystal: Projection, attempts: Iterable[tuple[float, float]], skew: float
) -> Iterator[tuple[float, float]]:
    """Those ``attempts`` (angstrom per pixel, its relative rms) at which the spots of ``image`` [ny, nx] are reflections of ``crystal``, in their order.

    None where no two rows of spots stand out of the noise. ``skew`` as in `measure_lattice`.
    """
    known = np.isfinite(image)
    if known.mean() < 0.5:
        return
    cleaned = clean_image(image, known)
    if np.ptp(cleaned.limited) == 0.0:
        return
    spectrum = power_spectrum(cleaned.limited)
    spots = find_spots(spectrum.relative)
    if not len(second_rows(spots, image.shape)):
        return
    primitive = crystal.primitive()
    slowest = slowest_spacing(crystal)
    for pixel, spread in attempts:
        if not resolves(crystal, pixel) or min(image.shape) * pixel < LEAST_PERIODS * slowest:
            continue
        readings = index_spots(spectrum, spots, primitive, pixel, spread, skew)
        if any(reading.explained > MIN_EXPLAINED and reading.likeness > MIN_LIKENESS for reading in readings):
            yield pixel, spread
