"""Convergent-beam patterns on a finer grid than the detector's: bright-field disk, overlapping and separate disks, lines. Independent of the fit's code."""

import dataclasses

import numpy as np
from scipy.ndimage import shift


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Counts [ny, nx] and (radius, centre_x, centre_y, ellipse_a, ellipse_b, edge) in pixels, the pixel's own width in ``edge``; what was ``expected`` of the
    counts [ny, nx]."""

    counts: np.ndarray
    truth: np.ndarray
    expected: np.ndarray


def pattern(
    seed: int,
    pixels: int = 128,
    crystal: float = 1.0,
    electrons: float | None = None,
    centre: tuple[float, float] | None = None,
    ellipse: tuple[float, float] | None = None,
    smear: tuple[float, float] = (0.0, 0.0),
    radius: float | None = None,
) -> Pattern:
    """A disk of random radius, place, ellipticity and edge, with the disks and lines of a ``crystal`` (0 is vacuum, 1 strong) and Poisson counts.

    ``radius``, ``centre`` and ``ellipse`` take the place of random ones; ``smear`` (x, y) in pixels: the pattern moves evenly by so much while it is recorded.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.uniform(0.18, 0.38) * pixels
    radius = drawn if radius is None else radius
    x0, y0 = centre if centre is not None else 0.5 * pixels + generator.uniform(-0.06, 0.06, 2) * pixels
    drawn_ellipse = 0.01 * generator.standard_normal(2)
    a, b = drawn_ellipse if ellipse is None else ellipse
    edge = generator.uniform(0.3, 1.5)
    fine = 5
    grid = (np.arange(pixels * fine) + 0.5) / fine - 0.5
    x, y = np.meshgrid(grid, grid)

    def disk(at_x: float, at_y: float) -> np.ndarray:
        distance, azimuth = np.hypot(x - at_x, y - at_y), np.arctan2(y - at_y, x - at_x)
        rim = radius * (1.0 + a * np.cos(2 * azimuth) + b * np.sin(2 * azimuth))
        # a Gaussian's step by tanh, good to 0.02: not the error function of the fit
        return 0.5 - 0.5 * np.tanh(0.8 * (distance - rim) / edge * (1.0 + 0.0447 * ((distance - rim) / edge) ** 2))

    signal = disk(x0, y0)
    if crystal > 0.0:
        angle, spacing = generator.uniform(0, np.pi), generator.uniform(0.7, 2.6) * radius
        for k in range(4):
            direction = angle + 0.5 * np.pi * k
            strength = crystal * generator.uniform(0.03, 0.25)
            other = disk(x0 + spacing * np.cos(direction), y0 + spacing * np.sin(direction))
            fringes = (
                2.0 * np.sqrt(strength) * np.cos(generator.uniform(2, 12) * (x - x0) / radius + generator.uniform(0, 6))
            )
            signal = (
                signal * (1.0 - 0.3 * strength) + strength * other + 0.5 * fringes * np.sqrt(np.abs(signal * other))
            )
        for _ in range(4):
            normal = generator.uniform(0, np.pi)
            across = (x - x0) * np.cos(normal) + (y - y0) * np.sin(normal) - generator.uniform(-0.8, 0.8) * radius
            signal = signal * (1.0 - 0.35 * crystal * np.exp(-((across / (0.04 * radius)) ** 2)))
    signal = np.maximum(signal, 0.0) + 0.004 + 0.02 * np.exp(-np.hypot(x - x0, y - y0) / radius)
    if smear != (0.0, 0.0):
        signal = _moved(signal, fine * smear[1], fine * smear[0])
    binned = signal.reshape(pixels, fine, pixels, fine).mean(axis=(1, 3))
    count = electrons if electrons is not None else 10.0 ** generator.uniform(4.5, 7.0)
    expected = count * binned / binned.sum()
    counts = generator.poisson(expected).astype(float)
    return Pattern(counts, np.array([radius, x0, y0, a, b, np.hypot(edge, 12**-0.5)]), expected)


def _moved(signal: np.ndarray, down: float, across: float) -> np.ndarray:
    """Mean of ``signal`` [ny, nx] over an even motion by (down, across), about where it was."""
    steps = np.arange(31) / 30.0 - 0.5
    weights = np.where(np.abs(steps) == 0.5, 0.5, 1.0)
    moved = [shift(signal, (step * down, step * across), order=1, mode="nearest") for step in steps]
    return np.average(moved, axis=0, weights=weights)
