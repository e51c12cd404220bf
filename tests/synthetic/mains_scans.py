"""Scans of crystals that the mains displace, column by column, with drift and random jitter of the rows; independent of any search for lines."""

import dataclasses

import numpy as np
from scipy.interpolate import CubicSpline

from reconstruct.measurement.projection import Projection
from tests.synthetic.lattices import TITANATE, columns_at
from twin.records import Axis, Claim, Signal


@dataclasses.dataclass(frozen=True)
class MainsScan:
    """``shape`` (rows, columns) of ``pixel`` angstrom, the scan's x axis at ``angle`` to the crystal's; ``dwell`` and ``flyback`` in seconds; ``frequency`` in
    Hz and ``amplitudes`` (multiple, angstrom) of the displacement; ``jitter`` of rows and ``drift`` from knot to knot of the frame (angstrom rms);
    ``electrons`` of the brightest pixel."""

    shape: tuple[int, int] = (256, 384)
    pixel: float = 0.2
    angle: float = 0.3
    dwell: float = 5e-5
    flyback: float = 5e-3
    frequency: float = 50.0
    amplitudes: tuple[tuple[int, float], ...] = ((1, 0.08), (3, 0.03))
    jitter: float = 0.01
    drift: float = 0.1
    electrons: float = 100.0
    crystal: Projection = TITANATE


def mains_scan(drawn: MainsScan, seed: int) -> np.ndarray:
    """Electrons [rows, columns]."""
    generator = np.random.default_rng(seed)
    rows, columns = drawn.shape
    y, x = np.mgrid[:rows, :columns].astype(float)
    at = y * (columns * drawn.dwell + drawn.flyback) + x * drawn.dwell
    turn = np.array([[np.cos(drawn.angle), -np.sin(drawn.angle)], [np.sin(drawn.angle), np.cos(drawn.angle)]])
    positions = drawn.pixel * np.stack([x, y], axis=-1) @ turn.T
    knots = drawn.drift * generator.standard_normal((6, 2)).cumsum(axis=0)
    wander = CubicSpline(np.linspace(0.0, rows - 1.0, 6), knots)(np.arange(rows))
    bend = CubicSpline(np.linspace(0.0, columns - 1.0, 5), 0.3 * drawn.drift * generator.standard_normal((5, 2)))
    positions += (wander + drawn.jitter * generator.standard_normal((rows, 2)))[:, None]
    positions += bend(np.arange(columns))[None]
    for multiple, amplitude in drawn.amplitudes:
        phases = generator.uniform(0.0, 2.0 * np.pi, 2)
        along = amplitude * np.array([0.9, 0.6])
        positions += along * np.cos(2.0 * np.pi * multiple * drawn.frequency * at[..., None] + phases)
    return generator.poisson(drawn.electrons * columns_at(positions, drawn.crystal)).astype(float)


def signal_of_mains_scan(image: np.ndarray, drawn: MainsScan, dwell: float) -> Signal:
    """An image, or a stack of them, that claims pixels and ``dwell``."""
    axes = tuple(
        Axis(name, size, drawn.pixel, 0.0, "angstrom") for name, size in zip("tyx"[-image.ndim :], image.shape, strict=True)
    )  # fmt: skip
    claims = {
        "pixel.x": Claim(drawn.pixel, "angstrom", "x"),
        "pixel.y": Claim(drawn.pixel, "angstrom", "y"),
        "dwell": Claim(dwell, "second", "dwell", f"{dwell:g}"),
    }
    return Signal(image, axes, "image" if image.ndim == 2 else "image-stack", "", "", "synthetic", claims)
