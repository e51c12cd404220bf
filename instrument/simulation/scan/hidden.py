"""The hidden map of a simulated scan: which phase lies where, and how thick the specimen is, drawn by a seed."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import erf

from instrument.simulation.scan.config import Layout
from instrument.simulation.truth.config import generator

KINDS: tuple[Layout, ...] = ("domains", "inclusions", "layers", "gradient")
WAVES = 3
"""Waves of the thickness, besides its slope."""


class HiddenMap(NamedTuple):
    """``phases`` [p, rows, columns]: the share of each phase in a pixel; ``thickness`` [rows, columns]: where it lies between the thinnest (0) and the
    thickest (1)."""

    phases: np.ndarray
    thickness: np.ndarray


def hidden_map(shape: tuple[int, int], pixel: float, phases: int, layout: Layout, width: float, seed: int) -> HiddenMap:
    """The map of ``shape`` (rows, columns) pixels of side ``pixel``; interfaces are ``width`` wide (rms of an error function), both in angstrom."""
    rng = generator(seed, "map")
    kind = str(rng.choice(KINDS)) if layout == "drawn" else layout
    rows, columns = shape
    span = pixel * math.hypot(rows, columns)
    y, x = pixel * (np.mgrid[:rows, :columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None])
    thickness = _thickness(y, x, span, rng)
    if phases == 1:
        return HiddenMap(np.ones((1, *shape)), thickness)
    if kind == "gradient":
        along = _along(y, x, rng) / span
        share = np.clip(0.5 + along / rng.uniform(0.5, 1.0), 0.0, 1.0)
        parts = np.stack([1.0 - share, share, *np.zeros((phases - 2, *shape))])
        return HiddenMap(parts, thickness)
    distances = {"domains": _domains, "inclusions": _inclusions, "layers": _layers}[kind](y, x, span, phases, rng)
    parts = 0.5 * (1.0 + erf(distances / (math.sqrt(2.0) * width)))
    parts = np.maximum(parts, 1e-12)
    return HiddenMap(parts / parts.sum(axis=0), thickness)


def _along(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance along a random direction."""
    angle = rng.uniform(0.0, 2.0 * math.pi)
    return x * math.cos(angle) + y * math.sin(angle)


def _thickness(y: np.ndarray, x: np.ndarray, span: float, rng: np.random.Generator) -> np.ndarray:
    """A slope with a few waves on it, from 0 to 1 at most."""
    values = 2.0 * _along(y, x, rng) / span
    for _ in range(WAVES):
        length = rng.uniform(0.4, 1.0) * span
        values += 0.15 * np.cos(2.0 * math.pi * _along(y, x, rng) / length + rng.uniform(0.0, 2.0 * math.pi))
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-12)


def _domains(y: np.ndarray, x: np.ndarray, span: float, phases: int, rng: np.random.Generator) -> np.ndarray:
    """Signed distances [phases, ...] into grains about random points, each of one phase; every phase has two."""
    kinds = rng.permutation(np.repeat(np.arange(phases), max(2, 8 // phases)))
    points = 0.5 * np.array([np.ptp(y), np.ptp(x)]) * rng.uniform(-1.0, 1.0, (len(kinds), 2))
    away = np.hypot(y[None] - points[:, 0, None, None], x[None] - points[:, 1, None, None])
    own = np.stack([away[kinds == phase].min(axis=0) for phase in range(phases)])
    others = np.stack([away[kinds != phase].min(axis=0) for phase in range(phases)])
    return 0.5 * (others - own)


def _inclusions(y: np.ndarray, x: np.ndarray, span: float, phases: int, rng: np.random.Generator) -> np.ndarray:
    """Ellipses of the other phases in the first one."""
    distances = np.full((phases, *y.shape), -math.inf)
    for phase in range(1, phases):
        for _ in range(rng.integers(1, 3)):
            cy, cx = (0.35 * np.ptp(axis) * rng.uniform(-1.0, 1.0) for axis in (y, x))
            radius, ratio = span * rng.uniform(0.08, 0.16), rng.uniform(0.6, 1.0)
            angle = rng.uniform(0.0, math.pi)
            u = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
            v = (y - cy) * math.cos(angle) - (x - cx) * math.sin(angle)
            distances[phase] = np.maximum(distances[phase], radius - np.hypot(u, v / ratio))
    distances[0] = -distances[1:].max(axis=0)
    return distances


def _layers(y: np.ndarray, x: np.ndarray, span: float, phases: int, rng: np.random.Generator) -> np.ndarray:
    """Layers across a random direction, their interfaces a little wavy."""
    angle = rng.uniform(0.0, 2.0 * math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    wave = rng.uniform(0.0, 0.04) * span * np.cos(2.0 * math.pi * across / (rng.uniform(0.3, 0.8) * span))
    across_layers = along + wave
    cuts = np.quantile(across_layers, np.cumsum(rng.dirichlet(np.full(phases, 8.0)))[:-1])
    ends = np.concatenate([[-math.inf], cuts, [math.inf]])
    order = rng.permutation(phases)
    distances = np.empty((phases, *y.shape))
    for number, phase in enumerate(order):
        distances[phase] = np.minimum(across_layers - ends[number], ends[number + 1] - across_layers)
    return distances
