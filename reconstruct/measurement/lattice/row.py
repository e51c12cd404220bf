"""One row of lattice spots: fringes. Two numbers of the map's four, and only if it is known which planes they are."""

import dataclasses

import numpy as np

from reconstruct.measurement.lattice.spots import Spots, small_reflections
from reconstruct.measurement.measurement import Component, Measurement, withhold
from reconstruct.measurement.outcome import FitCheck
from reconstruct.measurement.projection import Projection

SPOT_ERROR = 0.1
"""Error of a spot's position in frequency bins: due to scan distortion, not counting."""
ITERATIONS = 4
MIN_WEIGHT = 1e-3
"""Readings of the fringes of less weight are left out."""
DETERMINED_SHARE = 0.3
"""A quantity is determined if its spread has shrunk to this share of what it was, and a pixel's side only where the fringes say more of it than that pixels
are nearly square: its spread is this share of that of squareness."""


def measure_row(
    prior: Measurement, shape: tuple[int, ...], spots: Spots, primitive: Projection, spread: float
) -> Measurement:
    """``prior`` (pixel_x, pixel_y, shear, rotation) after fringes, and ``pixel_across``, the pixel in angstrom across them.

    The fringes' spatial frequency is M^T g for a reflection g of the crystal. Every g whose spacing the prior allows is a component.
    """
    row = spots.frequencies[0]
    on_row = np.abs(spots.frequencies[:, 0] * row[1] - spots.frequencies[:, 1] * row[0]) * min(shape) < 3.0 * np.hypot(
        *row
    )
    # the fundamental is the slowest of the row's spots that is not much weaker
    strong = on_row & (spots.powers > 0.01 * spots.powers[0])
    wave = spots.frequencies[strong][np.argmin(np.hypot(*spots.frequencies[strong].T))]
    noise = np.diag((SPOT_ERROR / np.array([shape[1], shape[0]])) ** 2)
    start = prior.components[0]
    candidates: list[tuple[float, np.ndarray, np.ndarray]] = []
    reflections = small_reflections(4)
    reflections = reflections[
        (np.gcd(reflections[:, 0], reflections[:, 1]) == 1)
        & ((reflections[:, 0] > 0) | ((reflections[:, 0] == 0) & (reflections[:, 1] > 0)))
    ]
    frequencies = reflections @ np.linalg.inv(primitive.vectors)
    for g, strength in zip(frequencies, primitive.amplitudes(reflections), strict=True):
        across = float(np.hypot(*wave) / np.hypot(*g))
        deviation = np.log(across / start.mean[0]) / spread
        if abs(deviation) > 3.0 or strength < 1e-3:
            continue
        mean, covariance = _update(start, wave, noise, g)
        share = np.sqrt(wave @ noise @ wave) / (wave @ wave)
        mean, covariance = np.append(mean, across), np.pad(covariance, (0, 1))
        covariance[4, 4] = (across * share) ** 2
        candidates.append((float(strength**2 * np.exp(-0.5 * deviation**2)), mean, covariance))
    if not candidates:
        finding = (
            f"fringes of a period of {1.0 / np.hypot(*wave):.3g} pixels, and none of the structure's planes has that spacing with pixels within "
            f"{300 * spread:.0f} % of {start.mean[0]:g} angstrom; check structure, zone axis and stated pixel"
        )
        check = FitCheck("share of the spots' power at no reflection", 1.0, 0.0, finding)
        return withhold(dataclasses.replace(prior, checks=(check,)), start)
    reason = "one lattice row only: fringes determine two numbers of the map's four, the pixel across them and their direction"
    total = sum(weight for weight, _, _ in candidates)
    significant = [candidate for candidate in candidates if candidate[0] > MIN_WEIGHT * total]
    total = sum(weight for weight, _, _ in significant)
    components = tuple(Component(weight / total, mean, covariance) for weight, mean, covariance in significant)
    names, units = (*prior.names, "pixel_across"), (*prior.units, "angstrom")
    measurement = dataclasses.replace(prior, names=names, units=units, components=components)
    skew = prior.value("shear")[1] * start.mean[0]
    before = {name: prior.value(name)[1] for name in prior.names}
    before |= {name: min(before[name], skew) for name in ("pixel_x", "pixel_y")}
    undetermined = {
        name: reason for name in prior.names if measurement.value(name)[1] > DETERMINED_SHARE * before[name]
    }
    if measurement.value("pixel_across")[1] > 0.5 * spread * measurement.value("pixel_across")[0]:
        undetermined["pixel_across"] = "the fringes may be of planes of different spacings"
    return dataclasses.replace(measurement, undetermined=undetermined)


def _update(start: Component, wave: np.ndarray, noise: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pixel_x, pixel_y, shear, rotation) and covariance after the frequency ``wave`` of the reflection ``g`` (1/angstrom), made linear a few times."""

    def predicted(parameters: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(parameters[3]), np.sin(parameters[3])
        matrix = np.array([[cos, sin], [-sin, cos]]) @ np.array(
            [[parameters[0], parameters[2] * parameters[1]], [0.0, parameters[1]]]
        )
        return matrix.T @ g

    # any rotation is as likely beforehand: begin at the one that turns g to where the fringes are
    point = start.mean.copy()
    turn = np.arctan2(wave[1], wave[0]) - np.arctan2(g[1], g[0])
    point[3] = turn
    prior_mean = point.copy()
    prior = start.covariance.copy()
    prior[3, 3] = (2.0 * np.pi) ** 2
    covariance = prior
    for _ in range(ITERATIONS):
        rows = np.empty((2, 4))
        for index in range(4):
            step = np.zeros(4)
            step[index] = 1e-6
            rows[:, index] = (predicted(point + step) - predicted(point - step)) / 2e-6
        gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise)
        point = prior_mean + gain @ (wave - predicted(point) - rows @ (prior_mean - point))
        covariance = prior - gain @ rows @ prior
    point[3] = (point[3] + np.pi) % (2.0 * np.pi) - np.pi
    return point, 0.5 * (covariance + covariance.T)
