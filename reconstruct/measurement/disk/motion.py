"""A pattern that moved while it was recorded: its edge is wider where it faces along the motion.

Along an even motion of length D the edge's variance is larger by D^2 / 12 than across it: it is width^2 + D^2 / 24 (1 + cos 2(phi - direction)).
"""

import dataclasses

import numpy as np

from reconstruct.measurement.disk.sectors import MIN_WIDTH, Edges, Outline, tail_factor

MOTION_EVIDENCE = 12.0
"""Squared standard deviations of two numbers from which a motion is told: by chance once in 400."""
MOTION_ELLIPSE = 0.015
"""Ellipticity from which a motion is tried in its place."""
MIN_MOTION_SHARE = 0.15
"""Share of the edge's variance that a motion makes, at least."""


def parts_of(outline: Outline) -> tuple[np.ndarray, float]:
    """Variance of the edge along cos 2phi and sin 2phi [2], and its mean over all directions."""
    x, y = outline.motion
    return np.array([x**2 - y**2, 2.0 * x * y]) / 24.0, outline.width**2 + (x**2 + y**2) / 24.0


def motion_of(parts: np.ndarray) -> tuple[float, float]:
    """The motion (x, y) in pixels that adds ``parts`` [2] along cos 2phi and sin 2phi to the variance."""
    length, direction = np.sqrt(24.0 * np.hypot(*parts)), 0.5 * np.arctan2(parts[1], parts[0])
    return float(length * np.cos(direction)), float(length * np.sin(direction))


def with_motion(outline: Outline, motion: tuple[float, float]) -> Outline:
    """``outline`` with a ``motion``, of the same mean variance as far as a sharp edge allows."""
    width = np.sqrt(max(parts_of(outline)[1] - np.hypot(*motion) ** 2 / 24.0, MIN_WIDTH**2))
    return dataclasses.replace(outline, motion=motion, width=float(width))


def motion_for_ellipse(outline: Outline) -> Outline:
    """``outline`` as the circle that moved along its long axis, by what an ellipse gets of it where levels fall towards the edge."""
    size, angle = float(np.hypot(outline.a, outline.b)), 0.5 * float(np.arctan2(outline.b, outline.a))
    length = 4.0 * size * outline.radius
    round_ = dataclasses.replace(outline, radius=outline.radius * (1.0 - size), a=0.0, b=0.0)
    return dataclasses.replace(round_, motion=(length * np.cos(angle), length * np.sin(angle)))


def motion_evidence(edges: Edges, outline: Outline, shift: np.ndarray) -> tuple[float, tuple[float, float]]:
    """(squared standard deviations from none, (x, y) in pixels) of the motion that the sectors' widths tell; 0 and none for one that is too short to matter."""
    use = edges.usable
    if use.sum() < 12:
        return 0.0, (0.0, 0.0)
    azimuth = edges.azimuth[use]
    information = edges.information[use]
    own = (information[:, 1, 1] - information[:, 0, 1] ** 2 / information[:, 0, 0]) / edges.dispersion
    columns = np.stack([np.ones(len(azimuth)), np.cos(2.0 * azimuth), np.sin(2.0 * azimuth)])
    before, total = parts_of(outline)
    seen = edges.step[use, 1] + before @ columns[1:]
    factor = np.ones(len(azimuth))
    parameters, covariance = np.zeros(3), np.eye(3)
    for _ in range(6):
        weighted = columns * own / factor
        covariance = np.linalg.inv(weighted @ columns.T)
        parameters = covariance @ (weighted @ seen)
        square = (seen - parameters @ columns) ** 2 * own
        # sectors that lines cross, and widths that scatter more than counting says
        scale = max(float(np.average(square, weights=1.0 / factor)), 1.0)
        factor = tail_factor(square / scale)
        covariance = covariance * scale
    part = parameters[1:]
    size = float(np.hypot(*part))
    evidence = float(part @ np.linalg.solve(covariance[1:, 1:], part))
    if 2.0 * size < MIN_MOTION_SHARE * (total + max(parameters[0], -0.5 * total)):
        return 0.0, (0.0, 0.0)
    return evidence, motion_of(part)
