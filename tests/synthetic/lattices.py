"""Scans of crystals drawn column by column, with known scan matrix, drift, jitter and counting noise; independent of any lattice fit."""

import dataclasses

import numpy as np
from scipy.interpolate import CubicSpline

from reconstruct.measurement.projection import Projection
from twin.detection.scan import line_time, times
from twin.records import Scan

TITANATE = Projection((3.905, 0.0), (0.0, 3.905), ((0.0, 0.0), (0.5, 0.5)), (484.9, 225.8))
GRAPHENE = Projection((2.46, 0.0), (-1.23, 2.1304), ((0.0, 0.0), (1 / 3, 2 / 3)), (1.0, 1.0))
CENTRED = Projection((5.6, 0.0), (0.0, 4.1), ((0.0, 0.0), (0.5, 0.5)), (1.0, 1.0))
"""A rectangle with a column in its middle: its primitive cell is a rhombus."""
RECTANGLE = Projection((3.1, 0.0), (0.0, 4.6), ((0.0, 0.0), (0.35, 0.4)), (1.0, 0.5))
CRYSTALS = (TITANATE, GRAPHENE, CENTRED, RECTANGLE)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """An image [ny, nx] of electrons and its true parameters: the map [2, 2] from pixels to angstrom in the crystal's frame, drift included."""

    image: np.ndarray
    crystal: Projection
    map: np.ndarray
    nominal: float

    @property
    def truth(self) -> np.ndarray:
        """(pixel_x, pixel_y, shear, rotation), by angles and areas."""
        across, down = self.map[:, 0], self.map[:, 1]
        pixel_x = np.hypot(*across)
        pixel_y = np.linalg.det(self.map) / pixel_x
        return np.array([pixel_x, pixel_y, across @ down / pixel_x / pixel_y, -np.arctan2(across[1], across[0])])


def columns_at(positions: np.ndarray, crystal: Projection, width: float = 0.45) -> np.ndarray:
    """Signal at ``places`` (x, y) angstrom [..., 2]: Gaussian columns of rms ``width`` with tails of a fifth of their height, and a background."""
    inside = positions @ np.linalg.inv(crystal.vectors).T
    signal = np.full(positions.shape[:-1], 0.15)
    for column, weight in zip(crystal.columns, crystal.weights, strict=True):
        separation = inside - np.array(column)
        separation = separation - np.floor(separation)
        for i in (-1.0, 0.0, 1.0, 2.0):
            for j in (-1.0, 0.0, 1.0, 2.0):
                square = (((separation - np.array([i, j])) @ crystal.vectors.T) ** 2).sum(axis=-1) / width**2
                signal += (
                    weight / max(crystal.weights) * (np.exp(-0.5 * square) + 0.2 / (1.0 + square / 4.0) ** 2) / 1.2
                )
    return signal


def memory_path(at: np.ndarray, rms: float, time: float, generator: np.random.Generator) -> np.ndarray:
    """An Ornstein-Uhlenbeck path (x, y) at times ``at`` [n] (rising), [n, 2], exact from time to time; a random walk where ``time`` is long."""
    decay = np.exp(-np.diff(at) / time)
    draws = generator.standard_normal((len(at), 2))
    path = np.empty((len(at), 2))
    path[0] = rms * draws[0]
    for i, share in enumerate(decay):
        path[i + 1] = share * path[i] + rms * np.sqrt(1.0 - share**2) * draws[i + 1]
    return path


def recorded(
    seed: int,
    crystal: Projection | None = None,
    pixels: int | None = None,
    quiet: bool = False,
    electrons: float | None = None,
) -> Recorded:
    """A scan with a map, drift and jitter at random: 8 to 30 cells across, 5 to 200 electrons on a pixel at the brightest columns.

    The drift is constant velocity (part of the map) and a wander with a memory of 0.05 to 2 frames; jitter is hum at 50 Hz and vibration of 5 ms.
    All lines share a smooth distortion of up to a few hundredths of an angstrom. ``quiet`` leaves wander, jitter and distortion out.
    """
    generator = np.random.default_rng(seed)
    crystal = crystal if crystal is not None else CRYSTALS[seed % len(CRYSTALS)]
    size = float(np.sqrt(abs(np.linalg.det(crystal.vectors))))
    pixels = pixels if pixels is not None else int(generator.choice([128, 192, 256]))
    cells = generator.uniform(8.0, min(30.0, pixels / 9.0))
    nominal = cells * size / pixels
    scan = Scan(shape=(pixels, pixels), pixel=nominal, dwell=float(generator.choice([8e-6, 2e-5, 4e-5])), flyback=5e-4)
    angle, shear = generator.uniform(-np.pi, np.pi), 0.02 * generator.standard_normal()
    stretch = 1.0 + 0.03 * generator.standard_normal(2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    static = nominal * turn @ np.array([[stretch[0], shear], [0.0, stretch[1]]])
    frame = line_time(scan) * pixels
    velocity = 0.01 * cells * size / frame * generator.standard_normal(2)
    at = times(scan)
    x, y = np.meshgrid(np.arange(pixels) - 0.5 * pixels, np.arange(pixels) - 0.5 * pixels)
    positions = np.stack([x, y], axis=-1) @ static.T + velocity * at[..., None]
    if not quiet:
        wander = np.exp(generator.uniform(np.log(0.02), np.log(0.4)))
        memory, held = frame * np.exp(generator.uniform(np.log(0.05), np.log(2.0))), pixels // 16
        slow = memory_path(at.ravel()[::held], wander, memory, generator)
        positions = positions + slow.repeat(held, axis=0).reshape(pixels, pixels, 2)
        jitter = np.exp(generator.uniform(np.log(0.01), np.log(0.12)))
        phase = generator.uniform(0.0, 2.0 * np.pi, 2)
        hum = np.stack([np.sin(2.0 * np.pi * 50.0 * at + offset) for offset in phase], axis=-1)
        vibration = memory_path(at.ravel(), 1.0, 5e-3, generator).reshape(pixels, pixels, 2)
        knots = np.exp(generator.uniform(np.log(0.001), np.log(0.02))) * generator.standard_normal((5, 2))
        positions = positions + CubicSpline(np.linspace(0.0, pixels - 1.0, 5), knots)(np.arange(pixels))[None]
        positions = positions + jitter * (0.7 * generator.uniform(0.3, 1.0) * hum + 0.7 * vibration)
    brightest = electrons if electrons is not None else np.exp(generator.uniform(np.log(5.0), np.log(200.0)))
    image = generator.poisson(brightest * columns_at(positions, crystal)).astype(float)
    drifted = static + np.outer(velocity, [scan.dwell, line_time(scan)])
    return Recorded(image, crystal, drifted, nominal)
