"""Diffraction patterns drawn spot by spot, with known pixels: kinematic intensities with random factors, background, counting noise; independent of any fit."""

import dataclasses

import numpy as np
from scipy.special import expit

from reconstruct.measurement.projection import Projection
from twin.records import Axis, Claim, Signal, axis_claims, collect

PEROVSKITE = Projection(
    (3.905, 0.0), (0.0, 3.905), ((0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.0, 0.5)), (38.0, 30.0, 8.0, 8.0)
)
"""SrTiO3 along [001]: Sr, Ti with O, O, O."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """How a pattern is drawn. ``pixel``: (kx, ky) in 1/angstrom; ``radius`` in pixels: 0 for spots of rms ``width``; ``scatter``: rms (log) of the intensities
    about kinematic ones; ``uneven``: relative intensity changes across a disk; ``damping``: squared rms frequency in which intensities fall by 1/e."""

    crystal: Projection = PEROVSKITE
    shape: tuple[int, int] = (256, 256)
    pixel: tuple[float, float] = (0.012, 0.012)
    rotation: float = 0.3
    centre: tuple[float, float] = (3.2, -5.6)
    radius: float = 0.0
    width: float = 1.2
    electrons: float = 2e6
    background: float = 0.3
    scatter: float = 0.8
    uneven: float = 0.3
    damping: float = 0.6
    direct: float = 20.0
    distortion: float = 0.0


def pattern_of(drawn: Drawn, seed: int) -> np.ndarray:
    """The counts [ny, nx] of one pattern."""
    rng = np.random.default_rng(seed)
    ny, nx = drawn.shape
    y, x = np.mgrid[:ny, :nx].astype(float)
    centre = np.array([nx / 2 + drawn.centre[0], ny / 2 + drawn.centre[1]])
    turn = np.array(
        [[np.cos(drawn.rotation), -np.sin(drawn.rotation)], [np.sin(drawn.rotation), np.cos(drawn.rotation)]]
    )
    reciprocal = np.linalg.inv(drawn.crystal.vectors)
    image = np.zeros(drawn.shape)
    for h in range(-9, 10):
        for k in range(-9, 10):
            frequency = np.array([h, k]) @ reciprocal
            position = turn @ frequency / np.array(drawn.pixel)
            position = centre + position * (1.0 + drawn.distortion * np.array([1.0, -1.0]))
            amplitude = float(drawn.crystal.amplitudes(np.array([[h, k]], float))[0])
            power = amplitude**2 * np.exp(
                -(frequency @ frequency) / drawn.damping + drawn.scatter * rng.standard_normal()
            )
            power = (
                drawn.direct if (h, k) == (0, 0) else power + 0.01 * np.exp(-(frequency @ frequency) / drawn.damping)
            )
            if (np.abs(position - centre) > np.array([nx, ny])).any():
                continue
            dx, dy = x - position[0], y - position[1]
            if drawn.radius > 0.0:
                distance = np.hypot(dx, dy)
                tilt = drawn.uneven * rng.standard_normal(2)
                shape = expit(3.0 * (drawn.radius - distance)) * np.exp((tilt[0] * dx + tilt[1] * dy) / drawn.radius)
            else:
                shape = np.exp(-0.5 * (dx**2 + dy**2) / drawn.width**2)
            image += power * shape / shape.sum() if shape.sum() > 0 else 0.0
    radius = np.hypot((x - centre[0]) * drawn.pixel[0], (y - centre[1]) * drawn.pixel[1])
    diffuse = np.exp(-radius / 0.35)
    image = image / image.sum() * (1.0 - drawn.background) + diffuse / diffuse.sum() * drawn.background
    return rng.poisson(drawn.electrons * image).astype(float)


def signal_of_pattern(
    counts: np.ndarray, pixel: tuple[float, float], unit: str = "1/angstrom", tension: float = 200e3, **claims: float
) -> Signal:
    """A recording that claims ``pixel`` (x, y) in ``unit``, the high ``tension`` and further ``claims`` in inside units."""
    axes = (Axis("y", counts.shape[-2], pixel[1], 0.0, unit), Axis("x", counts.shape[-1], pixel[0], 0.0, unit))
    measured, _ = collect(axis_claims(axes, "image"))
    stated = {name: Claim(value, None, name) for name, value in {"high_tension": tension, **claims}.items()}
    return Signal(counts, axes, "image", "", "", "synthetic", {**measured, **stated})


def rings_of(
    frequencies: np.ndarray,
    intensities: np.ndarray,
    seed: int,
    shape: tuple[int, int] = (256, 256),
    pixel: tuple[float, float] = (0.008, 0.008),
    width: float = 1.5,
    electrons: float = 5e6,
    grains: float = 0.3,
    scatter: float = 0.3,
) -> np.ndarray:
    """Counts [ny, nx] of rings with ``intensities`` (times a factor of rms ``scatter``, log) at ``frequencies`` (1/angstrom), ``width`` in pixels, uneven
    by ``grains`` along the ring."""
    rng = np.random.default_rng(seed)
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx].astype(float)
    dx, dy = (x - nx / 2 - 3.3) * pixel[0], (y - ny / 2 + 4.7) * pixel[1]
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    image = 3.0 * np.exp(-radius / 0.08) + 0.3 * np.exp(-radius / 0.4)
    scale = float(np.sqrt(pixel[0] * pixel[1]))
    for frequency, intensity in zip(frequencies, intensities, strict=True):
        uneven = 1.0 + grains * sum(
            rng.standard_normal() * np.cos(n * angle + rng.uniform(0.0, 6.3)) / np.sqrt(6.0) for n in range(3, 9)
        )
        height = intensity * np.exp(scatter * rng.standard_normal())
        image += height * np.maximum(uneven, 0.0) * np.exp(-0.5 * ((radius - frequency) / (width * scale)) ** 2)
    return rng.poisson(electrons * image / image.sum()).astype(float)
