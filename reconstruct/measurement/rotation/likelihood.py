"""Likelihood of rotation, flip and drift: at each spatial frequency the field lies along one direction, and what is across it is noise.

A gradient g of the scan's axes is seen on the camera as C g, C = R(rotation) diag(1, -1)^flip. A specimen that drifts by (dx, dy) steps in the time of a row is
seen at M s in place of s, M = [[1, dx], [0, 1 + dy]]: what is a gradient of M s is seen as C M^-T q at the frequency q of the recorded scan. The rotation is
that of the fast axis, along which nothing drifts.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.rotation.spectrum import Spectrum

DRIFT_SPREAD = 0.2
"""Prior rms of either part of a drift, in steps for each row, where there is one."""
DRIFT_CHANCE = 0.35
"""Prior probability of a drift that matters."""
MAX_DRIFT = 0.6


class Peak(NamedTuple):
    """A maximum of the posterior: ``position`` (rotation in [0, pi), drift x, drift y), covariance [3, 3], and the ``log`` of its integral."""

    flip: int
    position: np.ndarray
    covariance: np.ndarray
    log: float


def camera_matrix(angle: float, flip: int) -> np.ndarray:
    """R(angle) diag(1, -1)^flip, [2, 2]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, -1.0 if flip else 1.0])


def directions(spectrum: Spectrum, flip: int, position: np.ndarray) -> np.ndarray:
    """Of the field of a gradient on the camera at each frequency, [2, m], of length 1."""
    angle, across, down = position
    inverse = np.array([[1.0, 0.0], [-across / (1.0 + down), 1.0 / (1.0 + down)]])
    along = camera_matrix(angle, flip) @ inverse @ spectrum.towards
    return along / np.hypot(*along)


def parts(spectrum: Spectrum, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Powers [m] along the directions ``along`` [2, m], and across."""
    across = np.stack([-along[1], along[0]])
    first, second = (np.abs((spectrum.field * direction).sum(axis=0)) ** 2 for direction in (along, across))
    return first, second


def log_likelihood(spectrum: Spectrum, flip: int, position: np.ndarray) -> float:
    """Log likelihood at the likeliest powers of signal and noise."""
    along, across = parts(spectrum, directions(spectrum, flip, position))
    mean = np.bincount(spectrum.band, across) / np.bincount(spectrum.band)
    noise = np.maximum(mean, spectrum.counting)[spectrum.band]
    count = np.bincount(spectrum.ring)
    power = np.maximum((np.bincount(spectrum.ring, along) / count)[spectrum.ring], noise)
    return -float((np.log(noise) + across / noise + np.log(power) + along / power).sum()) / spectrum.tied


def find_peaks(spectrum: Spectrum, flip: int) -> list[Peak]:
    """Maxima over the half circle without a drift, each also with one, by Laplace's method about the largest and what rivals it."""
    angles = np.linspace(0.0, np.pi, 360, endpoint=False)
    logs = np.array([log_likelihood(spectrum, flip, np.array([angle, 0.0, 0.0])) for angle in angles])
    peak = (logs >= np.roll(logs, 1)) & (logs > np.roll(logs, -1))
    indices = np.flatnonzero(peak) if peak.any() else np.array([int(np.argmax(logs))])
    peaks = []
    for index in indices[np.argsort(-logs[indices])][:3]:
        still = _climb(spectrum, flip, np.array([angles[index], 0.0, 0.0]), drifting=False)
        drifting = _climb(spectrum, flip, still.position, drifting=True)
        peaks += [still._replace(log=still.log + np.log(1.0 - DRIFT_CHANCE))]
        peaks += [drifting._replace(log=drifting.log + np.log(DRIFT_CHANCE))]
    return peaks


def _climb(spectrum: Spectrum, flip: int, start: np.ndarray, drifting: bool) -> Peak:
    """The maximum near ``start``; a drift has its prior, or is none."""
    free = 3 if drifting else 1

    def value(position: np.ndarray) -> float:
        prior = 0.5 * float((position[1:] ** 2).sum()) / DRIFT_SPREAD**2 if drifting else 0.0
        return log_likelihood(spectrum, flip, position) - prior

    position, steps = start.copy(), np.full(free, 0.02)
    top, covariance = value(position), np.eye(free)
    for _ in range(15):
        gradient, hessian = _derivatives(value, position, steps, top)
        values, vectors = np.linalg.eigh(-hessian)
        # the whole circle is the widest that a rotation can be
        values = np.maximum(values, 3.0 / np.pi**2)
        covariance = (vectors / values) @ vectors.T
        change = covariance @ gradient
        change *= min(1.0, 0.15 / max(float(np.abs(change).max()), 1e-12))
        for _ in range(5):
            trial = position.copy()
            trial[:free] += change
            trial[1:] = np.clip(trial[1:], -MAX_DRIFT, MAX_DRIFT)
            candidate = value(trial)
            if candidate >= top:
                break
            change = 0.4 * change
        if candidate < top:
            break
        position, top = trial, candidate
        widths = np.sqrt(np.diag(covariance))
        steps = np.clip(0.5 * widths, 0.002, 0.1)
        if (np.abs(change) < 0.02 * widths).all():
            break
    log = top + 0.5 * float(np.linalg.slogdet(2.0 * np.pi * covariance)[1])
    whole = np.diag([0.0, 1e-12, 1e-12])
    whole[:free, :free] = covariance
    if drifting:
        log -= np.log(2.0 * np.pi * DRIFT_SPREAD**2)
    return Peak(flip, np.array([position[0] % np.pi, *position[1:]]), whole, log)


def _derivatives(value, position: np.ndarray, steps: np.ndarray, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and matrix of second derivatives of ``value`` by differences."""
    free = len(steps)
    gradient, hessian = np.zeros(free), np.zeros((free, free))
    units = np.eye(len(position))[:free] * steps[:, None]
    up = [value(position + unit) for unit in units]
    down = [value(position - unit) for unit in units]
    for i in range(free):
        gradient[i] = 0.5 * (up[i] - down[i]) / steps[i]
        hessian[i, i] = (up[i] - 2.0 * top + down[i]) / steps[i] ** 2
        for j in range(i):
            both = value(position + units[i] + units[j]) - up[i] - up[j] + top
            hessian[i, j] = hessian[j, i] = both / (steps[i] * steps[j])
    return gradient, hessian
