"""Whether the intensities of a pattern suit a reading of its lattice: which reflections of the crystal should be seen, and are.

Kinematic amplitudes are hardly more than a hint, since dynamical diffraction makes weak reflections strong. So amplitudes scatter about kinematic ones by a
factor (log-normal), and what counts most are reflections of the crystal that a reading expects where the pattern shows nothing.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from reconstruct.measurement.diffraction.net import Net
from reconstruct.measurement.diffraction.spots import Spots, fitted_intensity, net_intensity
from reconstruct.measurement.projection import Projection

SCATTER = 1.0
"""Rms (log) of amplitudes about kinematic ones: thickness, tilt, dynamical diffraction."""
WEAK = 0.1
"""Amplitude, as a share of that of all atoms in phase, below which reflections are as strong by multiple scattering."""
SEEN = 0.1
"""Share of the usual amplitude at its angle from which a reflection is seen."""
REACH = 0.9
"""Quantile of the spots' distances from the direct beam up to which reflections are expected."""
SPURIOUS = 0.02
"""Density (log amplitude) of intensity at places where there is no reflection: neighbouring disks, defects, a second crystal."""
HIGHEST = 12


class _Shells(NamedTuple):
    """Equivalent reflections taken together: squared frequency, kinematic amplitude, measured amplitude, and whether they are nodes of the net."""

    square: np.ndarray
    kinematic: np.ndarray
    measured: np.ndarray
    node: np.ndarray


def log_likelihood(
    net: Net, spots: Spots, pattern: np.ndarray, crystal: Projection, indices: np.ndarray, direct: np.ndarray
) -> float:
    """Logarithm of the likelihood of the amplitudes if the vectors of ``net`` are the reflections ``indices`` [2, 2] (rows) of ``crystal``.

    ``direct`` (x, y) is the place of the direct beam. Comparable between readings of one pattern.
    """
    shells = _shells(net, spots, pattern, crystal, indices, direct)
    nodes = shells.node & (shells.measured > 0.0)
    if nodes.sum() < 2:
        return -np.inf
    excess = np.log(shells.measured[nodes]) - np.log(shells.kinematic[nodes])
    basis = np.stack([np.ones(int(nodes.sum())), shells.square[nodes]], axis=1)
    # an rms of 2 (log) for how far the amplitudes fall off over the pattern
    prior = np.diag([0.0, 0.25])
    fitted = np.linalg.solve(basis.T @ basis / SCATTER**2 + prior, basis.T @ excess / SCATTER**2)
    total = -0.5 * float(((excess - basis @ fitted) ** 2).sum()) / SCATTER**2
    usual = np.exp(np.stack([np.ones_like(shells.square), shells.square], axis=1) @ fitted)
    limit = np.maximum(
        SEEN * usual * float(shells.kinematic[nodes].mean()), np.sqrt(np.quantile(spots.strengths[net.used], 0.05))
    )
    for index in np.flatnonzero(~shells.node):
        expected = float(np.log(usual[index] * shells.kinematic[index]))
        if shells.measured[index] > limit[index]:
            deviation = (float(np.log(shells.measured[index])) - expected) / SCATTER
            total += -0.5 * deviation**2 - np.log(SCATTER * np.sqrt(2.0 * np.pi)) - np.log(SPURIOUS)
        else:
            total += float(log_ndtr((np.log(limit[index]) - expected) / SCATTER))
    return float(total)


def direct_beam(net: Net, spots: Spots) -> np.ndarray:
    """The spot (x, y) about which the strengths are most alike on opposite sides: the direct beam."""
    indices, strengths = net.indices, np.sqrt(spots.strengths)
    table = {(int(h), int(k)): float(value) for (h, k), value in zip(indices, strengths, strict=True)}
    best, beam = -1.0, net.origin
    for (h, k), value in table.items():
        score = value + sum(
            min(other, table.get((2 * h - i, 2 * k - j), 0.0)) for (i, j), other in table.items() if (i, j) != (h, k)
        )
        if score > best:
            best, beam = score, net.origin + np.array([h, k]) @ net.vectors
    return beam


def _shells(
    net: Net, spots: Spots, pattern: np.ndarray, crystal: Projection, indices: np.ndarray, direct: np.ndarray
) -> _Shells:
    mapping = np.linalg.solve(indices.astype(float), net.vectors)  # h @ mapping is a place from the direct beam
    distances = np.hypot(*(spots.positions[net.used] - direct).T)
    farthest = float(np.quantile(distances, REACH)) + 1.0
    steps = np.arange(-HIGHEST, HIGHEST + 1)
    every = np.array([(i, j) for i in steps for j in steps if (i, j) != (0, 0)])
    every = every[np.hypot(*(every @ mapping).T) <= farthest]
    at = every @ mapping + direct
    edge = spots.radius + 1.0
    within = ((at > edge) & (at < np.array(pattern.shape[::-1]) - 1.0 - edge)).all(axis=1)
    kinematic = crystal.amplitudes(every)
    kept = within & (kinematic > 1e-3)
    every, at, kinematic = every[kept], at[kept], np.maximum(kinematic[kept], WEAK)
    if not len(every):
        return _Shells(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, bool))
    intensity = (
        fitted_intensity(pattern, at, spots.radius, direct) if spots.disks else net_intensity(pattern, at, spots.radius)
    )
    square = (every @ np.linalg.inv(crystal.vectors)) ** 2 @ np.ones(2)
    steps_of_net = every @ np.linalg.inv(indices.astype(float))
    node = np.abs(steps_of_net - np.round(steps_of_net)).max(axis=1) < 1e-6
    keys = np.round(np.stack([np.log(square), kinematic, 1.0 * node], axis=1), 4)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    count = np.bincount(group.ravel())

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group.ravel(), values) / count

    return _Shells(mean(square / square.max()), mean(kinematic), np.sqrt(mean(intensity)), mean(1.0 * node) > 0.5)
