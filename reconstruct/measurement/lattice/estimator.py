"""An image of a crystal of known structure -> the map from pixels to angstrom: pixel sizes, shear, rotation.

Positions in the crystal are M p for pixels p = (x, y), M = R(-rotation) [[pixel_x, shear pixel_y], [0, pixel_y]]: as the twin's scan is distorted
(`twin.detection.scan.Distortion`), up to the crystal's own symmetry. A drift of constant velocity v during the scan adds v t(p), which is linear in p:
one image cannot tell it from the map, and the map given here is that of the scan as recorded, drift included; `drift` separates the two.
"""

import numpy as np

from reconstruct.measurement.lattice.fit import Fit, fit_lattice
from reconstruct.measurement.lattice.row import measure_row
from reconstruct.measurement.lattice.spots import (
    MIN_POWER_SHARE,
    Indexing,
    Spots,
    find_spots,
    index_spots,
    rotation_angle,
    second_row,
    small_reflections,
    spectrum,
    upper_factor,
)
from reconstruct.measurement.measurement import Component, FitPlot, Measurement
from reconstruct.measurement.projection import Projection

NAMES = ("pixel_x", "pixel_y", "shear", "rotation")
UNITS = ("angstrom", "angstrom", "1", "radian")
KIND = "lattice"
MIN_EXPLAINED, MIN_LIKENESS = 0.8, 0.75
"""Share of the spots' power that a structure must explain, and how alike amplitudes must be, for it to fit."""
MAX_REFLECTIONS = 40
DRIFT_NOTE = (
    "a constant drift (velocity times line time) shears and stretches the raster as the map does: it is part of the map"
)
MAX_FREQUENCY = 0.45
"""Cycles a pixel up to which reflections are fitted: beyond, an alias of each is as near."""


def measure_lattice(
    image: np.ndarray,
    crystal: Projection,
    claimed: float,
    spread: float = 0.1,
    skew: float = 0.05,
    hum: float | None = None,
) -> Measurement:
    """Pixel sizes (angstrom), shear and rotation (radian) of ``image`` [ny, nx], NaN where it is not known, of a known ``crystal``.

    ``claimed`` is about the size of a pixel in angstrom, known to within the share ``spread``; ``skew`` is how far from square pixels may be: the
    rms of shear and of the ratio's logarithm. They are the prior, choose between readings of the spots, and are the result for quantities that
    the image does not determine. ``rotation`` is the angle from +x towards +y (down) at which the crystal's a lies in the image, modulo its symmetry.
    ``hum`` is the mains' frequency in cycles per pixel along a line (dwell time in seconds times 50 or 60) for scans whose lines wait for the mains:
    what it displaces is then the same in all lines, and would otherwise widen pixel_x.
    The source of the error is the scan's distortion and counting; see `scan_distortion` and `lattice.fit`. ValueError for images that are no images.
    """
    return follow_lattice(image, crystal, claimed, spread, skew, hum)[0]


def follow_lattice(
    image: np.ndarray,
    crystal: Projection,
    claimed: float,
    spread: float = 0.1,
    skew: float = 0.05,
    hum: float | None = None,
    likeness: float = MIN_LIKENESS,
) -> tuple[Measurement, np.ndarray | None]:
    """The result of `measure_lattice`, and the pixels' positions by its likeliest reading: [ny, nx, 2] (x, y) in angstrom in the crystal's frame from a point
    in the middle of the image, or None if no lattice was followed in both directions.

    ``likeness`` is how alike the amplitudes must be to those of the columns: less where another model will judge.
    """
    known = known_pixels(image, claimed, spread, skew)
    primitive = crystal.primitive()
    filled = np.where(known, image, image[known].mean()).astype(float)
    if np.ptp(filled) == 0.0:
        reason = "the image is flat: no electrons, or none with a crystal's contrast"
        return _prior_only(crystal, claimed, spread, skew, reason), None
    relative = spectrum(filled)
    spots = find_spots(relative)
    if len(spots.powers) == 0:
        return _prior_only(crystal, claimed, spread, skew, "no lattice spot stands out of the noise"), None
    if second_row(spots, image.shape) is None:
        return measure_row(
            _prior_only(crystal, claimed, spread, skew, ""), relative.shape, spots, primitive, spread
        ), None
    readings = index_spots(relative, spots, primitive, claimed, spread, skew)
    fitting = [reading for reading in readings if reading.explained > MIN_EXPLAINED and reading.likeness > likeness]
    if not fitting:
        return _prior_only(crystal, claimed, spread, skew, _rejection(readings, claimed, spread)), None
    best = fitting[0]
    strong, series = _reflections(spots, best, relative.shape)
    if np.linalg.matrix_rank(series) < 2:
        reason = (
            f"its spots lie within {0.5 - MAX_FREQUENCY:g} cycles a pixel of the highest frequency that the pixels carry: undersampled; "
            "give an image with smaller pixels"
        )
        return _prior_only(crystal, claimed, spread, skew, reason), None
    fit = fit_lattice(filled, known, best.lattice, strong, series, hum)
    measurement = _report(fit, best, fitting, primitive, crystal, claimed, spread, skew, image.shape)
    return measurement, fit.positions @ primitive.vectors.T


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
            f"{100 * (1 - known.mean()):.0f} % of the image is not a number; give one that is mostly known"
        )
    return known


def matrix(measurement: Measurement) -> np.ndarray:
    """The map M [2, 2] from pixels (x, y) to angstrom in the crystal's frame, at a measurement's likeliest component."""
    pixel_x, pixel_y, shear, rotation = max(measurement.components, key=lambda component: component.weight).mean[:4]
    cos, sin = np.cos(rotation), np.sin(rotation)
    return np.array([[cos, sin], [-sin, cos]]) @ np.array([[pixel_x, shear * pixel_y], [0.0, pixel_y]])


def _prior_only(crystal: Projection, claimed: float, spread: float, skew: float, reason: str) -> Measurement:
    period = 2.0 * np.pi / crystal.primitive().fold()
    common, difference = claimed**2 * spread**2, claimed**2 * skew**2 / 4.0
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = common + np.array([[difference, -difference], [-difference, difference]])
    covariance[2, 2], covariance[3, 3] = skew**2, period**2 / 12.0
    component = Component(1.0, np.array([claimed, claimed, 0.0, 0.0]), covariance)
    return Measurement(
        KIND, NAMES, UNITS, (component,), dict.fromkeys(NAMES, reason) if reason else {}, notes=(DRIFT_NOTE,)
    )


def _rejection(readings: list[Indexing], claimed: float, spread: float) -> str:
    if not readings:
        return (
            f"the structure does not fit: no pair of its reflections has the ratio and angle of the two strongest rows of spots "
            f"with pixels within {300 * spread:.0f} % of {claimed:g} angstrom; check structure, zone axis and claimed pixel"
        )
    best = readings[0]
    return (
        f"the structure does not fit: at best {100 * best.explained:.0f} % of the spots' power is at its reflections, with amplitudes "
        f"{100 * best.likeness:.0f} % alike; check structure and zone axis"
    )


def _reflections(spots: Spots, best: Indexing, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The two strong reflections to follow, and those of the series: all out to the farthest spot that is of the lattice."""
    indices = np.round(spots.frequencies @ np.linalg.inv(best.lattice)).astype(int)
    second = second_row(spots, shape)
    farthest = 1.1 * np.hypot(*(spots.frequencies[spots.powers > MIN_POWER_SHARE * spots.powers[0]]).T).max()
    every = small_reflections(12)
    every = every[(every[:, 0] > 0) | ((every[:, 0] == 0) & (every[:, 1] > 0))]
    frequencies = every @ best.lattice
    inside = (np.hypot(*frequencies.T) <= farthest) & (np.abs(frequencies).max(axis=1) < MAX_FREQUENCY)
    order = np.argsort(np.hypot(*frequencies[inside].T))
    return indices[[0, second]], every[inside][order][:MAX_REFLECTIONS]


def _report(
    fit: Fit,
    best: Indexing,
    fitting: list[Indexing],
    primitive: Projection,
    crystal: Projection,
    claimed: float,
    spread: float,
    skew: float,
    shape: tuple[int, ...],
) -> Measurement:
    components, logs = [], []
    for reading in fitting:
        # n' = A n: another reading of the same spots gives the fitted lattice other indices
        change = reading.lattice @ np.linalg.inv(best.lattice)
        transform = np.round(2.0 * change) / 2.0
        if np.abs(change - transform).max() > 0.05:
            continue
        lattice = transform @ fit.lattice
        jacobian = np.kron(np.eye(2), transform)
        mean, covariance = map_quantities(
            primitive.vectors @ lattice,
            np.kron(np.eye(2), primitive.vectors)
            @ jacobian
            @ fit.covariance
            @ jacobian.T
            @ np.kron(np.eye(2), primitive.vectors).T,
            crystal.primitive().fold(),
        )
        size, ratio = np.log(mean[0] * mean[1]) / 2.0 - np.log(claimed), np.log(mean[0] / mean[1])
        logs.append(
            -0.5 * ((size / spread) ** 2 + (ratio / skew) ** 2 + (mean[2] / skew) ** 2)
            + 50.0 * (reading.likeness - best.likeness)
        )
        components.append((mean, covariance))
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    significant = np.flatnonzero(weights > 1e-3)
    weights = weights[significant] / weights[significant].sum()
    mixture = tuple(Component(float(w), *components[k]) for w, k in zip(weights, significant, strict=True))
    notes = [DRIFT_NOTE]
    if len(mixture) > 1:
        notes.append("the spots can be read in more than one way: directions that are nearly alike in the structure")
    if np.linalg.det(primitive.vectors @ fit.lattice) < 0:
        notes.append("the crystal is seen from behind, or the image is mirrored")
    noise, slow_step, rms, time, across, memory = np.exp(fit.path.sizes).T
    notes.append(
        f"scan distortion along x and y in pixels: {noise[0]:.3g} and {noise[1]:.3g} within pieces of lines, {rms[0]:.3g} and {rms[1]:.3g} over "
        f"{time[0]:.3g} and {time[1]:.3g} lines, steps of {slow_step[0]:.3g} and {slow_step[1]:.3g} a line with a memory of {memory[0]:.3g} and "
        f"{memory[1]:.3g} lines; {across[0]:.3g} and {across[1]:.3g} between parts of lines, shared by all"
    )
    if fit.correlated > 1.05:
        notes.append(
            f"noise of neighbouring pixels goes together: {fit.correlated:.2f} times the variance of white noise"
        )
    pixel = components[int(significant[0])][0]
    extent = (0.0, float(shape[1] * pixel[0]), float(shape[0] * pixel[1]), 0.0)
    residual = (fit.data - fit.model) / np.sqrt(fit.variance)
    plot = FitPlot("lattice", fit.data, fit.model, residual, extent, "angstrom")
    return Measurement(KIND, NAMES, UNITS, mixture, {}, fit.misfit, plots=(plot,), notes=tuple(notes))


def map_quantities(map_: np.ndarray, covariance: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """(pixel_x, pixel_y, shear, rotation) [4] and covariance of a map M [2, 2], given that [4, 4] of its columns one after the other."""

    def split(flat: np.ndarray) -> np.ndarray:
        columns = flat.reshape(2, 2).T
        factor = upper_factor(columns)
        return np.array([factor[0, 0], factor[1, 1], factor[0, 1] / factor[1, 1], -rotation_angle(columns)])

    flat = map_.T.ravel()
    mean = split(flat)
    period = 2.0 * np.pi / fold
    jacobian = np.zeros((4, 4))
    for index in range(4):
        step = np.zeros(4)
        step[index] = 1e-6 * np.abs(map_).max()
        difference = split(flat + step) - split(flat - step)
        difference[3] = (difference[3] + np.pi) % (2.0 * np.pi) - np.pi
        jacobian[:, index] = difference / (2.0 * step[index])
    mean[3] = (mean[3] + period / 2.0) % period - period / 2.0
    return mean, jacobian @ covariance @ jacobian.T
