"""A map apart from the drift that was in it: by a drift known beforehand, or by two scans of the same place in different directions.

In a scan whose pixel p = (x, y) is taken at tau . p (tau = dwell and line time, seconds), a specimen-frame drift of v angstrom per second makes the map
M = M0 + v tau^T. With M0 turned by the scan's rotation in one of two images and v tau^T not, four numbers of each determine the six of M0 and v.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measure.lattice.estimator import quantities
from reconstruct.measure.measurement import Measurement


class Separated(NamedTuple):
    """(pixel_x, pixel_y, shear, rotation) without drift, ``scanner`` [4] with covariance, and the ``velocity`` (x, y) of the probe over the crystal in the
    crystal's frame, angstrom per second, with covariance; ``misfit`` is the chi square of the two degrees of freedom left (0 with a known drift)."""

    scanner: np.ndarray
    covariance: np.ndarray
    velocity: np.ndarray
    velocity_covariance: np.ndarray
    misfit: float


def without_drift(
    measurement: Measurement, velocity: np.ndarray, covariance: np.ndarray, tau: tuple[float, float]
) -> Separated:
    """The scanner's own map, given the ``velocity`` [2] of the probe over the crystal (angstrom per second, crystal's frame) with ``covariance`` [2, 2]."""
    flat, spread = _map(measurement, 0.0)
    rows = np.kron(np.array(tau)[:, None], np.eye(2))
    scanner, own = quantities((flat - rows @ velocity).reshape(2, 2).T, spread + rows @ covariance @ rows.T, 1)
    return Separated(scanner, own, np.asarray(velocity), np.asarray(covariance), 0.0)


def separated(first: Measurement, second: Measurement, turned: float, tau: tuple[float, float], fold: int) -> Separated:
    """Map and drift from two scans, the raster of the ``second`` turned by ``turned`` radian (from +x towards +y in the first's image).

    ``fold``: turning the crystal by so many parts of a turn makes no difference, so that a second image's rotation is known up to them. ValueError
    for scans in the same direction, which tell nothing apart.
    """
    if abs(np.sin(0.5 * turned)) < 0.05:
        raise ValueError(
            f"the second scan is turned by {turned} rad; drift and map part only if it is turned, best by pi / 2 or pi"
        )
    cos, sin = np.cos(turned), np.sin(turned)
    turn = np.array([[cos, -sin], [sin, cos]])
    # columns one after the other: (M0 R) is R^T on the left of the pair of columns
    design = np.zeros((8, 6))
    design[:4, :4] = np.eye(4)
    design[4:, :4] = np.kron(turn.T, np.eye(2))
    drift = np.kron(np.array(tau)[:, None], np.eye(2))
    design[:4, 4:] = design[4:, 4:] = drift
    one, spread_one = _map(first, 0.0)
    best = None
    for part in range(fold):
        other, spread_other = _map(second, 2.0 * np.pi * part / fold)
        whole = np.zeros((8, 8))
        whole[:4, :4], whole[4:, 4:] = spread_one, spread_other
        # drifts are in angstrom per second and may be of any size: columns to a common scale
        scale = np.concatenate([np.ones(4), np.full(2, 1.0 / np.hypot(*tau))])
        weight = np.linalg.inv(whole)
        information = (design * scale).T @ weight @ (design * scale)
        inverse = np.linalg.inv(information)
        found = inverse @ (design * scale).T @ weight @ np.concatenate([one, other])
        off = np.concatenate([one, other]) - design * scale @ found
        misfit = float(off @ weight @ off)
        if best is None or misfit < best[0]:
            best = misfit, found * scale, inverse * np.outer(scale, scale)
    assert best is not None
    misfit, found, covariance = best
    scanner, own = quantities(found[:4].reshape(2, 2).T, covariance[:4, :4], 1)
    return Separated(scanner, own, found[4:], covariance[4:, 4:], misfit)


def _map(measurement: Measurement, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns of M one after the other [4] and covariance, of the likeliest component with its crystal turned by ``turn``."""
    component = max(measurement.components, key=lambda one: one.weight)

    def columns(values: np.ndarray) -> np.ndarray:
        pixel_x, pixel_y, shear, rotation = values
        cos, sin = np.cos(rotation + turn), np.sin(rotation + turn)
        return (np.array([[cos, sin], [-sin, cos]]) @ np.array([[pixel_x, shear * pixel_y], [0.0, pixel_y]])).T.ravel()

    mean = component.mean[:4]
    jacobian = np.empty((4, 4))
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-6
        jacobian[:, place] = (columns(mean + step) - columns(mean - step)) / 2e-6
    return columns(mean), jacobian @ component.covariance[:4, :4] @ jacobian.T
