"""The result of a lattice fit: the map's quantities by each reading of the spots, with their weights, and what else there is to say."""

import numpy as np

from reconstruct.measurement.lattice.fit import Fit
from reconstruct.measurement.lattice.indexing import Indexing, log_prior
from reconstruct.measurement.lattice.spots import rotation_angle, upper_factor
from reconstruct.measurement.measurement import Component, FitPlot, Measurement
from reconstruct.measurement.projection import Projection

NAMES: tuple[str, ...] = ("pixel_x", "pixel_y", "shear", "rotation")
UNITS: tuple[str, ...] = ("angstrom", "angstrom", "1", "radian")
KIND = "lattice"
LEAST_WEIGHT = 1e-3
"""Readings of less weight are left out."""
MAX_SIZE, MAX_SQUARENESS = 2.58, 2.45
"""Standard deviations by which the pixel's size, or its squareness (ratio and shear), is off in one of a hundred right statements, or one of twenty: the error
of squareness is hardly ever stated."""
DRIFT_NOTE = (
    "a constant drift (velocity times line time) shears and stretches the raster as the map does: it is part of the map"
)


def prior_only(crystal: Projection, claimed: float, spread: float, skew: float, reason: str) -> Measurement:
    """What was known beforehand, undetermined for the ``reason``, if there is one."""
    period = 2.0 * np.pi / crystal.primitive().fold()
    common, difference = claimed**2 * spread**2, claimed**2 * skew**2 / 4.0
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = common + np.array([[difference, -difference], [-difference, difference]])
    covariance[2, 2], covariance[3, 3] = skew**2, period**2 / 12.0
    component = Component(1.0, np.array([claimed, claimed, 0.0, 0.0]), covariance)
    undetermined = dict.fromkeys(NAMES, reason) if reason else {}
    return Measurement(
        KIND, NAMES, UNITS, (component,), undetermined, notes=(DRIFT_NOTE,), principal=NAMES, periods={"rotation": period}
    )  # fmt: skip


def report(
    fit: Fit,
    best: Indexing,
    readings: list[Indexing],
    primitive: Projection,
    prior: Measurement,
    spread: float,
    skew: float,
    shape: tuple[int, ...],
) -> Measurement:
    """The measurement: ``readings`` weighted by prior and evidence, of which ``best`` was fitted; ``prior`` is that of `prior_only`."""
    claimed, fold = float(prior.components[0].mean[0]), primitive.fold()
    seen = best.indices @ fit.lattice - best.folds
    components, logs = [], []
    for reading in readings:
        # the same frequencies as other reflections, or seen folded otherwise
        lattice = np.linalg.solve(reading.indices, seen + reading.folds)
        jacobian = np.kron(np.eye(2), primitive.vectors @ np.linalg.solve(reading.indices, best.indices))
        map_ = primitive.vectors @ lattice
        mean, covariance = map_quantities(map_, jacobian @ fit.covariance @ jacobian.T, fold)
        logs.append(log_prior(upper_factor(map_), claimed, spread, skew) + reading.evidence)
        components.append((mean, covariance))
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    significant = np.flatnonzero(weights > LEAST_WEIGHT)
    significant = significant[np.argsort(-weights[significant], kind="stable")]
    weights = weights[significant] / weights[significant].sum()
    mixture = tuple(Component(float(w), *components[k]) for w, k in zip(weights, significant, strict=True))
    contradictions = pixel_contradiction(mixture[0].mean, claimed, spread, skew)
    notes = [*_notes_on_readings([readings[k] for k in significant], primitive), *_notes_on_fit(fit)]
    pixel = mixture[0].mean
    extent = (0.0, float(shape[1] * pixel[0]), float(shape[0] * pixel[1]), 0.0)
    residual = (fit.data - fit.series.model) / np.sqrt(fit.variance)
    plot = FitPlot("lattice", fit.data, fit.series.model, residual, extent, "angstrom")
    return Measurement(
        KIND, NAMES, UNITS, mixture, {}, fit.misfit, plots=(plot,), notes=(DRIFT_NOTE, *notes), principal=NAMES, periods=prior.periods,
        contradictions=contradictions,
    )  # fmt: skip


def pixel_contradiction(mean: np.ndarray, claimed: float, spread: float, skew: float) -> tuple[str, ...]:
    """What was stated of the pixel, where the likeliest reading is farther from it than right statements hardly ever are."""
    pixel_x, pixel_y, shear = mean[:3]
    size = abs(np.log(np.sqrt(pixel_x * pixel_y) / claimed)) / spread
    squareness = np.hypot(np.log(pixel_x / pixel_y), shear) / skew
    if size < MAX_SIZE and squareness < MAX_SQUARENESS:
        return ()
    if size / MAX_SIZE > squareness / MAX_SQUARENESS:
        deviation, words = size, f"{100 * spread:.3g} % for its size"
    else:
        deviation, words = squareness, f"{100 * skew:.3g} % for being square"
    sentence = (
        f"by this structure a pixel is {pixel_x:.4g} x {pixel_y:.4g} angstrom with a shear of {shear:.3g}, {deviation:.1f} times the stated error of "
        f"{words} from the stated {claimed:.4g} angstrom: check structure, zone axis and pixel, or state a larger error"
    )
    return (sentence,)


def _notes_on_readings(readings: list[Indexing], primitive: Projection) -> list[str]:
    """What a user should know of the ``readings`` that are left."""
    notes = []
    first = readings[0]
    folded = [
        np.abs(reading.lattice - np.linalg.solve(reading.indices, first.indices) @ first.lattice).max() > 0.05
        for reading in readings
    ]
    if any(folded):
        notes.append(
            "undersampled: a lattice of another size, folded at the highest frequency that the pixels carry, gives the same image; only the stated pixel "
            "tells the readings apart: state it better, or record with smaller pixels"
        )
    if len(readings) > 1 and not all(folded[1:]):
        notes.append("the spots can be read in more than one way: directions that are nearly alike in the structure")
    handed = {bool(np.linalg.det(primitive.vectors @ reading.lattice) < 0) for reading in readings}
    if handed == {True}:
        notes.append("the crystal is seen from behind, or the image is mirrored")
    elif len(handed) == 2:
        notes.append("the amplitudes do not say whether the crystal is seen from the front or from behind")
    return notes


def _notes_on_fit(fit: Fit) -> list[str]:
    noise, slow_step, rms, time, across, memory = np.exp(fit.path.sizes).T
    path = (
        f"scan distortion along x and y in pixels: {noise[0]:.3g} and {noise[1]:.3g} within pieces of lines, {rms[0]:.3g} and {rms[1]:.3g} over "
        f"{time[0]:.3g} and {time[1]:.3g} lines, steps of {slow_step[0]:.3g} and {slow_step[1]:.3g} a line with a memory of {memory[0]:.3g} and "
        f"{memory[1]:.3g} lines; {across[0]:.3g} and {across[1]:.3g} between parts of lines, shared by all"
    )
    notes = [path]
    if fit.correlated > 1.05:
        notes.append(
            f"noise of neighbouring pixels goes together: {fit.correlated:.2f} times the variance of white noise"
        )
    return notes


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
