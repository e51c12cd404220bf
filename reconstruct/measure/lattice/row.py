"""One row of lattice spots: fringes. Two numbers of the map's four, and only if it is known which planes they are."""

import numpy as np

from reconstruct.measure.lattice.spots import Spots, small_reflections
from reconstruct.measure.measurement import Component, Measurement
from reconstruct.measure.projection import Projection

BINS = 0.1
"""Error of a spot's place in frequency bins: of a wandering scan, not of counting."""
ROUNDS = 4
WEAK = 1e-3
"""Readings of the fringes of less weight are left out."""
TIGHT = 0.3
"""A quantity is determined if its spread has shrunk to this share of what it was."""


def measure_row(
    prior: Measurement, shape: tuple[int, ...], spots: Spots, primitive: Projection, spread: float
) -> Measurement:
    """``prior`` (pixel_x, pixel_y, shear, rotation) after fringes, and ``pixel_across``, the pixel in angstrom across them.

    The fringes' spatial frequency is M^T g for a reflection g of the crystal. Every g whose spacing the prior allows is a component.
    """
    row = spots.places[0]
    on = np.abs(spots.places[:, 0] * row[1] - spots.places[:, 1] * row[0]) * min(shape) < 3.0 * np.hypot(*row)
    # the fundamental is the slowest of the row's spots that is not much weaker
    strong = on & (spots.powers > 0.01 * spots.powers[0])
    wave = spots.places[strong][np.argmin(np.hypot(*spots.places[strong].T))]
    noise = np.diag((BINS / np.array([shape[1], shape[0]])) ** 2)
    start = prior.components[0]
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    every = small_reflections(4)
    every = every[
        (np.gcd(every[:, 0], every[:, 1]) == 1) & ((every[:, 0] > 0) | ((every[:, 0] == 0) & (every[:, 1] > 0)))
    ]
    frequencies = every @ np.linalg.inv(primitive.vectors)
    for g, strength in zip(frequencies, primitive.amplitudes(every), strict=True):
        across = float(np.hypot(*wave) / np.hypot(*g))
        away = np.log(across / start.mean[0]) / spread
        if abs(away) > 3.0 or strength < 1e-3:
            continue
        mean, covariance = _updated(start, wave, noise, g)
        share = np.sqrt(wave @ noise @ wave) / (wave @ wave)
        mean, covariance = np.append(mean, across), np.pad(covariance, (0, 1))
        covariance[4, 4] = (across * share) ** 2
        found.append((float(strength**2 * np.exp(-0.5 * away**2)), mean, covariance))
    why = "one lattice row only: fringes tell two numbers of the map's four, the pixel across them and their direction"
    if not found:
        names = dict.fromkeys(
            prior.names, "the structure does not fit: none of its planes has the spacing of the fringes"
        )
        return Measurement(prior.kind, prior.names, prior.units, prior.components, names, notes=prior.notes)
    total = sum(weight for weight, _, _ in found)
    kept = [one for one in found if one[0] > WEAK * total]
    total = sum(weight for weight, _, _ in kept)
    components = tuple(Component(weight / total, mean, covariance) for weight, mean, covariance in kept)
    told = Measurement(prior.kind, (*prior.names, "pixel_across"), (*prior.units, "angstrom"), components)
    open_ = {name: why for name in prior.names if told.value(name)[1] > TIGHT * prior.value(name)[1]}
    if told.value("pixel_across")[1] > 0.5 * spread * told.value("pixel_across")[0]:
        open_["pixel_across"] = "the fringes may be of planes of different spacings"
    return Measurement(told.kind, told.names, told.units, components, open_, notes=prior.notes)


def _updated(start: Component, wave: np.ndarray, noise: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pixel_x, pixel_y, shear, rotation) and covariance after the frequency ``wave`` of the reflection ``g`` (1/angstrom), made linear a few times."""

    def seen(at: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(at[3]), np.sin(at[3])
        matrix = np.array([[cos, sin], [-sin, cos]]) @ np.array([[at[0], at[2] * at[1]], [0.0, at[1]]])
        return matrix.T @ g

    # any rotation is as likely beforehand: begin at the one that turns g to where the fringes are
    point = start.mean.copy()
    turn = np.arctan2(wave[1], wave[0]) - np.arctan2(g[1], g[0])
    point[3] = turn
    before = point.copy()
    prior = start.covariance.copy()
    prior[3, 3] = (2.0 * np.pi) ** 2
    covariance = prior
    for _ in range(ROUNDS):
        rows = np.empty((2, 4))
        for place in range(4):
            step = np.zeros(4)
            step[place] = 1e-6
            rows[:, place] = (seen(point + step) - seen(point - step)) / 2e-6
        gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise)
        point = before + gain @ (wave - seen(point) - rows @ (before - point))
        covariance = prior - gain @ rows @ prior
    point[3] = (point[3] + np.pi) % (2.0 * np.pi) - np.pi
    return point, 0.5 * (covariance + covariance.T)
