"""Separation of a scan's map from drift: by a known drift, or by two scans of the same area in different directions.

In a scan whose pixel p = (x, y) is taken at tau . p (tau = dwell and line time, seconds), a specimen-frame drift of v angstrom per second makes the map
M = M0 + v tau^T. With M0 turned by the scan's rotation in one of two images and v tau^T not, four numbers of each determine the six of M0 and v.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.lattice.report import map_quantities
from reconstruct.measurement.measurement import Measurement


class DriftSeparation(NamedTuple):
    """(pixel_x, pixel_y, shear, rotation) without drift, ``scanner`` [4] with covariance, and the ``velocity`` (x, y) of the probe over the crystal in the
    crystal's frame, angstrom per second, with covariance; ``misfit`` is the chi square of the two degrees of freedom left (0 with a known drift)."""

    scanner: np.ndarray
    covariance: np.ndarray
    velocity: np.ndarray
    velocity_covariance: np.ndarray
    misfit: float


def remove_drift(
    measurement: Measurement, velocity: np.ndarray, covariance: np.ndarray, tau: tuple[float, float]
) -> DriftSeparation:
    """The scanner's own map, given the ``velocity`` [2] of the probe over the crystal (angstrom per second, crystal's frame) with ``covariance`` [2, 2]."""
    flat, spread = _map_columns(measurement, 0.0)
    rows = np.kron(np.array(tau)[:, None], np.eye(2))
    scanner, scanner_covariance = map_quantities(
        (flat - rows @ velocity).reshape(2, 2).T, spread + rows @ covariance @ rows.T, 1
    )
    return DriftSeparation(scanner, scanner_covariance, np.asarray(velocity), np.asarray(covariance), 0.0)


def separate_drift(
    first: Measurement, second: Measurement, angle: float, tau: tuple[float, float], fold: int
) -> DriftSeparation:
    """Map and drift from two scans, the raster of the ``second`` turned by ``turned`` radian (from +x towards +y in the first's image).

    ``fold``: turning the crystal by so many parts of a turn makes no difference, so that a second image's rotation is known up to them. ValueError
    for scans in the same direction, which do not separate the two.
    """
    if abs(np.sin(0.5 * angle)) < 0.05:
        raise ValueError(
            f"the second scan is turned by {angle} rad; drift and map part only if it is turned, best by pi / 2 or pi"
        )
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    # columns one after the other: (M0 R) is R^T on the left of the pair of columns
    design = np.zeros((8, 6))
    design[:4, :4] = np.eye(4)
    design[4:, :4] = np.kron(turn.T, np.eye(2))
    drift = np.kron(np.array(tau)[:, None], np.eye(2))
    design[:4, 4:] = design[4:, 4:] = drift
    first_columns, first_covariance = _map_columns(first, 0.0)
    best = None
    for part in range(fold):
        second_columns, second_covariance = _map_columns(second, 2.0 * np.pi * part / fold)
        data_covariance = np.zeros((8, 8))
        data_covariance[:4, :4], data_covariance[4:, 4:] = first_covariance, second_covariance
        # drifts are in angstrom per second and may be of any size: columns to a common scale
        scale = np.concatenate([np.ones(4), np.full(2, 1.0 / np.hypot(*tau))])
        weight = np.linalg.inv(data_covariance)
        information = (design * scale).T @ weight @ (design * scale)
        inverse = np.linalg.inv(information)
        solution = inverse @ (design * scale).T @ weight @ np.concatenate([first_columns, second_columns])
        residual = np.concatenate([first_columns, second_columns]) - design * scale @ solution
        misfit = float(residual @ weight @ residual)
        if best is None or misfit < best[0]:
            best = misfit, solution * scale, inverse * np.outer(scale, scale)
    assert best is not None
    misfit, solution, covariance = best
    scanner, scanner_covariance = map_quantities(solution[:4].reshape(2, 2).T, covariance[:4, :4], 1)
    return DriftSeparation(scanner, scanner_covariance, solution[4:], covariance[4:, 4:], misfit)


def _map_columns(measurement: Measurement, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns of M one after the other [4] and covariance, of the likeliest component with its crystal turned by ``turn``."""
    component = max(measurement.components, key=lambda candidate: candidate.weight)

    def columns(values: np.ndarray) -> np.ndarray:
        pixel_x, pixel_y, shear, rotation = values
        cos, sin = np.cos(rotation + turn), np.sin(rotation + turn)
        return (np.array([[cos, sin], [-sin, cos]]) @ np.array([[pixel_x, shear * pixel_y], [0.0, pixel_y]])).T.ravel()

    mean = component.mean[:4]
    jacobian = np.empty((4, 4))
    for index in range(4):
        step = np.zeros(4)
        step[index] = 1e-6
        jacobian[:, index] = (columns(mean + step) - columns(mean - step)) / 2e-6
    return columns(mean), jacobian @ component.covariance[:4, :4] @ jacobian.T
