"""An image of a crystal of known structure -> the map from pixels to angstrom: pixel sizes, shear, rotation.

Positions in the crystal are M p for pixels p = (x, y), M = R(-rotation) [[pixel_x, shear pixel_y], [0, pixel_y]]: as the twin's scan is distorted
(`twin.detection.scan.Distortion`), up to the crystal's own symmetry. A drift of constant velocity v during the scan adds v t(p), which is linear in p:
one image cannot tell it from the map, and the map given here is that of the scan as recorded, drift included; `drift` separates the two.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from reconstruct.measurement.lattice.checks import block_check, region_check, structure_checks
from reconstruct.measurement.lattice.cleaning import Cleaned, clean_image, lattice_region
from reconstruct.measurement.lattice.fit import fit_lattice, silent
from reconstruct.measurement.lattice.indexing import (
    AMPLITUDE_ERROR,
    MATCH_BINS,
    PRIOR_SPREADS,
    SLOW,
    Indexing,
    index_spots,
    match_spots,
    reach,
    reflections_within,
)
from reconstruct.measurement.lattice.report import NAMES, UNITS, prior_only, report
from reconstruct.measurement.lattice.row import measure_row
from reconstruct.measurement.lattice.spots import (
    LEAST_PERIODS,
    Spectrum,
    Spots,
    find_spots,
    power_spectrum,
    second_rows,
    small_reflections,
)
from reconstruct.measurement.measurement import Measurement, withhold
from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.projection import Projection

__all__ = ["NAMES", "UNITS", "follow_lattice", "known_pixels", "matrix", "measure_lattice"]
MIN_EXPLAINED, MIN_LIKENESS = 0.8, 0.75
"""Share of the spots' power that a reading must explain, and how alike amplitudes must be, to be one at all."""
MAX_REFLECTIONS = 40
MAX_PIXEL = 1.5
"""Largest pixel in spacings of the slowest reflection: of larger ones every lattice is an alias."""
BEYOND = 3.0
"""How many times wider than its prior the pixel is looked for where nothing fits, to say so."""


def measure_lattice(
    image: np.ndarray,
    crystal: Projection,
    claimed: float,
    spread: float = 0.1,
    skew: float = 0.03,
    hum: float | None = None,
    tell: Callable[[str, float | None], None] = silent,
) -> Measurement:
    """Pixel sizes (angstrom), shear and rotation (radian) of ``image`` [ny, nx], NaN where it is not known, of a known ``crystal``.

    ``claimed`` is about the size of a pixel in angstrom, known to within the share ``spread``; ``skew`` is how far from square pixels may be: the
    rms of shear and of the ratio's logarithm. They are the prior, choose between readings of the spots, and are the result for quantities that
    the image does not determine. ``rotation`` is the angle from +x towards +y (down) at which the crystal's a lies in the image, modulo its symmetry.
    ``hum`` is the mains' frequency in cycles per pixel along a line (dwell time in seconds times 50 or 60) for scans whose lines wait for the mains:
    what it displaces is then the same in all lines, and would otherwise widen pixel_x. ``tell`` is called with each step and the share of it that is done.
    The source of the error is the scan's distortion and counting; see `scan_distortion` and `lattice.fit`. ValueError for images that are no images.
    """
    return follow_lattice(image, crystal, claimed, spread, skew, hum, tell=tell)[0]


def follow_lattice(
    image: np.ndarray,
    crystal: Projection,
    claimed: float,
    spread: float = 0.1,
    skew: float = 0.03,
    hum: float | None = None,
    likeness: float = MIN_LIKENESS,
    tell: Callable[[str, float | None], None] = silent,
) -> tuple[Measurement, np.ndarray | None]:
    """The result of `measure_lattice`, and the pixels' positions by its likeliest reading: [ny, nx, 2] (x, y) in angstrom in the crystal's frame from a point
    in the middle of the image, or None if no lattice was followed in both directions.

    ``likeness`` is how alike the amplitudes must be to those of the columns: less where another model will judge.
    """
    tell("looking for the lattice", None)
    known = known_pixels(image, claimed, spread, skew)
    prior = prior_only(crystal, claimed, spread, skew, "")
    cleaned = clean_image(image, known)
    prior = dataclasses.replace(prior, defects=cleaned.defects)
    if np.ptp(cleaned.limited) == 0.0:
        return _undetermined(prior, "the image is flat: no electrons, or none with a crystal's contrast"), None
    primitive = crystal.primitive()
    shape = (image.shape[0], image.shape[1])
    unfit = _unfit_size(primitive, shape, claimed, spread)
    if unfit:
        return _undetermined(prior, unfit), None
    spectrum = power_spectrum(cleaned.limited)
    spots = find_spots(spectrum.relative, SLOW * claimed * np.exp(-2.0 * spread) / _spacing(primitive, 0))
    if len(spots.powers) == 0:
        return _undetermined(prior, "no lattice spot stands out of the noise"), None
    if not len(second_rows(spots, shape)):
        return measure_row(prior, shape, spots, primitive, spread), None
    # where another model judges, amplitudes may be unlike
    error = AMPLITUDE_ERROR * (1.0 if likeness >= MIN_LIKENESS else 2.0)
    readings = index_spots(spectrum, spots, primitive, claimed, spread, skew, error)
    fitting = [reading for reading in readings if reading.explained > MIN_EXPLAINED and reading.likeness > likeness]
    best = (
        fitting[0] if fitting else max(readings, key=lambda reading: reading.explained + reading.likeness, default=None)
    )
    beyond = None if fitting else _beyond_prior(spectrum, spots, primitive, claimed, spread, skew, likeness)
    checks = structure_checks(best, likeness, spots, shape, claimed, spread, beyond)
    if not fitting or best is None or not all(check.passed for check in checks):
        return withhold(dataclasses.replace(prior, checks=checks), prior.components[0]), None
    strong, series = _reflections(spots, best, shape)
    if np.linalg.matrix_rank(strong) < 2 or np.linalg.matrix_rank(series) < 2:
        reason = "undersampled: reflections of the lattice coincide, folded at the highest frequency that the pixels carry; give an image with smaller pixels"
        return _undetermined(dataclasses.replace(prior, checks=checks), reason), None
    cleaned, present = _where_it_is(cleaned, strong @ best.lattice, spectrum.noise_variance)
    checks = (*checks, region_check(present))
    if not checks[-1].passed:
        return withhold(dataclasses.replace(prior, checks=checks, defects=cleaned.defects), prior.components[0]), None
    fit = fit_lattice(image, cleaned, best.lattice, strong, series, hum, tell)
    measurement = report(fit, best, fitting, primitive, prior, spread, skew, shape)
    defects = cleaned.defects
    if fit.outliers:
        words = f"{fit.outliers} pixel{'s' * (fit.outliers > 1)} far off the lattice"
        defects = (*defects, Defect("stray pixels", fit.outliers, "masked", words))
    checks = (*checks, block_check(fit, shape[1]))
    measurement = dataclasses.replace(measurement, checks=checks, defects=defects)
    if measurement.failed_checks:
        return withhold(measurement, prior.components[0]), None
    return measurement, fit.positions @ primitive.vectors.T


def _undetermined(prior: Measurement, reason: str) -> Measurement:
    return dataclasses.replace(prior, undetermined=dict.fromkeys(prior.names, reason))


def _unfit_size(primitive: Projection, shape: tuple[int, int], claimed: float, spread: float) -> str:
    """Why the lattice cannot be seen in an image of this ``shape``, if it cannot: its slowest reflections make too few periods, or its pixels are too large."""
    spacing = _spacing(primitive, 2)  # of the second pair: the lattice needs two
    periods = min(shape) * claimed / spacing
    if periods * (1.0 + PRIOR_SPREADS * spread) < LEAST_PERIODS:
        pixels = int(np.ceil(2.0 * LEAST_PERIODS * spacing / claimed))
        return (
            f"the image is {min(shape) * claimed:.3g} angstrom wide or high, {periods:.2g} periods of the lattice, of which at least "
            f"{LEAST_PERIODS:g} are needed: give {pixels} pixels of this size each way, or larger pixels; or check the stated pixel"
        )
    if claimed * (1.0 - PRIOR_SPREADS * spread) > MAX_PIXEL * _spacing(primitive, 0):
        return (
            f"pixels of {claimed:.4g} angstrom hold {claimed / spacing:.3g} periods of the lattice each: undersampled; give pixels below "
            f"{0.45 * spacing:.2g} angstrom, or check the stated pixel"
        )
    return ""


def _spacing(primitive: Projection, rank: int) -> float:
    """Spacing in angstrom of the planes of the slowest reflection, or of one a ``rank`` faster."""
    reflections = small_reflections(2)
    reflections = reflections[primitive.amplitudes(reflections) > 1e-3]
    return float(1.0 / np.sort(np.hypot(*(reflections @ np.linalg.inv(primitive.vectors)).T))[rank])


def _beyond_prior(
    spectrum: Spectrum, spots: Spots, primitive: Projection, claimed: float, spread: float, skew: float, likeness: float
) -> float | None:
    """The pixel in angstrom with which the structure would fit, outside what is allowed; None if there is none within `BEYOND` times that."""
    wider = index_spots(spectrum, spots, primitive, claimed, max(BEYOND * spread, 0.15), skew)
    fitting = [reading for reading in wider if reading.explained > MIN_EXPLAINED and reading.likeness > likeness]
    return float(np.sqrt(abs(np.linalg.det(primitive.vectors @ fitting[0].lattice)))) if fitting else None


def _where_it_is(cleaned: Cleaned, strong: np.ndarray, noise_variance: float) -> tuple[Cleaned, float]:
    """The image without the parts where there is no lattice, and the share of it where there is."""
    region = lattice_region(cleaned.limited, cleaned.known, strong, noise_variance)
    if region.all():
        return cleaned, 1.0
    present = float(region[cleaned.known].mean())
    defect = Defect("no lattice", None, "masked", f"{100 * (1 - present):.0f} % of the image without the lattice")
    return Cleaned(cleaned.known & region, cleaned.limited, (*cleaned.defects, defect)), present


def known_pixels(image: np.ndarray, claimed: float, spread: float, skew: float) -> np.ndarray:
    """Where an image is known, [ny, nx]; ValueError unless there is enough of it and the prior makes sense."""
    if image.ndim != 2 or min(image.shape) < 32:
        raise ValueError(f"image has shape {image.shape}; give [ny, nx], at least 32 pixels each way")
    for name, value in (("claimed", claimed), ("spread", spread), ("skew", skew)):
        if not (np.isfinite(value) and value > 0.0):
            raise ValueError(f"{name} is {value}; give a number above 0")
    known = np.isfinite(image)
    if known.mean() < 0.5:
        raise ValueError(
            f"{100 * (1 - known.mean()):.0f} % of the image is not a number; give one of which at least half is known"
        )
    return known


def matrix(measurement: Measurement) -> np.ndarray:
    """The map M [2, 2] from pixels (x, y) to angstrom in the crystal's frame, at a measurement's likeliest component."""
    pixel_x, pixel_y, shear, rotation = max(measurement.components, key=lambda component: component.weight).mean[:4]
    cos, sin = np.cos(rotation), np.sin(rotation)
    return np.array([[cos, sin], [-sin, cos]]) @ np.array([[pixel_x, shear * pixel_y], [0.0, pixel_y]])


def _reflections(spots: Spots, best: Indexing, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two strong reflections to follow, and those of the series: all out to the farthest spot that is of the lattice."""
    reflections, _, distance = match_spots(spots, best.lattice, shape)
    indexed = np.flatnonzero(distance < MATCH_BINS)
    series = reflections_within(best.lattice, reach(spots, best.lattice), shape)[:MAX_REFLECTIONS]
    for other in indexed[1:]:
        pair = reflections[[indexed[0], other]]
        if np.linalg.matrix_rank(pair) == 2:
            return pair, series
    return reflections[indexed[:1]], series
