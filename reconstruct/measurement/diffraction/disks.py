"""Places of the disks of a convergent beam by their edges. The intensity within a disk changes with the angle and differs from disk to disk; the edge does not.

Each disk is a polynomial of second degree times a round edge of a common radius, over a plane: linear in the polynomial, fitted with the weights of
counting, so that what remains to tell the place is the edge.
"""

import numpy as np
from scipy.special import expit

EDGE = 0.4
"""Width in pixels of the logistic edge: pixels and the aperture's own edge."""
ITERATIONS = 8
LARGEST_STEP = 0.5
"""Pixels that a place moves in one step at most."""
RADIUS_DISKS = 12
"""Strongest disks that tell the radius."""


def place_disks(pattern: np.ndarray, places: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Centres [n, 2] (x, y) and the common radius in pixels of the disks near ``places`` [n, 2] (strongest first) of about that ``radius``."""
    values = np.asarray(pattern, np.float64)
    first = np.array([_fit(values, position, radius, True) for position in places[:RADIUS_DISKS]])
    common = float(np.median(first[:, 2]))
    return np.array([_fit(values, position, common, False)[:2] for position in places]), common


def _fit(values: np.ndarray, position: np.ndarray, radius: float, free: bool) -> np.ndarray:
    """(x, y, radius) of the disk near ``place``; the radius is fitted where it is ``free``."""
    reach = int(np.ceil(1.35 * radius + 2.0))
    column, row = round(float(position[0])), round(float(position[1]))
    top, left = max(row - reach, 0), max(column - reach, 0)
    patch = values[top : row + reach + 1, left : column + reach + 1]
    rows, columns = np.mgrid[top : top + patch.shape[0], left : left + patch.shape[1]]
    start = np.array([float(position[0]), float(position[1]), radius])
    near = np.hypot(columns - start[0], rows - start[1]) <= 1.35 * radius + 2.0
    x, y, counts = columns[near].astype(float), rows[near].astype(float), patch[near]
    level = float(np.abs(counts).mean())
    if not level > 0.0:
        return start
    measured, number = start.copy(), 3 if free else 2
    for _ in range(ITERATIONS):
        dx, dy = (x - measured[0]) / radius, (y - measured[1]) / radius
        distance = np.maximum(np.hypot(dx, dy), 1e-9)
        edge = expit((measured[2] - radius * distance) / EDGE)
        inside = np.stack([np.ones_like(dx), dx, dy, dx**2, dx * dy, dy**2], axis=1)
        linear = np.concatenate([inside * edge[:, None], inside[:, :3]], axis=1)
        smooth = _smooth_weights(counts, linear, level)
        coefficients = np.linalg.lstsq(linear * smooth[:, None], counts * smooth, rcond=None)[0]
        surface = inside @ coefficients[:6]
        slope = surface * edge * (1.0 - edge) / EDGE
        moves = np.stack([slope * dx / distance, slope * dy / distance, slope], axis=1)[:, :number]
        full = np.concatenate([moves, linear], axis=1) * smooth[:, None]
        # of a place that the edge hardly tells nothing is moved
        step = np.linalg.lstsq(full, (counts - linear @ coefficients) * smooth, rcond=1e-8)[0][:number]
        step = np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        measured[:number] += step
        if np.abs(step).max() < 1e-3:
            break
    strayed = np.abs(measured - start).max() > max(0.5 * radius, 2.0)
    return start if strayed else measured


def _smooth_weights(counts: np.ndarray, linear: np.ndarray, level: float) -> np.ndarray:
    """Square roots of weights of counting noise, by a first fit without them: those of the counts themselves would favour low ones."""
    expected = linear @ np.linalg.lstsq(linear, counts, rcond=None)[0]
    return 1.0 / np.sqrt(np.maximum(expected, 0.05 * level))
