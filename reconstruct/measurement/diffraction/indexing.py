"""Which reflections of a known crystal the two vectors of a pattern's lattice are, and so the spatial frequencies of its pixels.

With pixels of kx and ky (1/angstrom) the vector (gx, gy) in pixels has the length of a reflection of the crystal: |D g| = |B h|, D = diag(kx, ky). The two
vectors and their angle give three equations that are linear in kx^2 and ky^2; what is left over is distortion. The crystal may be turned and seen from behind.
"""

import dataclasses
import math

import numpy as np
from scipy.special import softmax

from reconstruct.measurement.diffraction.intensities import direct_beam, log_likelihood
from reconstruct.measurement.diffraction.net import Net
from reconstruct.measurement.diffraction.spots import Spots
from reconstruct.measurement.measurement import Component
from reconstruct.measurement.projection import CONTRAST_EXPONENT, Projection

POTENTIAL_EXPONENT = 0.8
"""Exponent of the atomic number in what an atom scatters to small angles."""
MAX_INDEX, MAX_AREA = 4, 4
"""Largest index of a reflection that a vector may be, and reflections of the crystal in one cell of the pattern's lattice: weak ones may not be seen."""
DISTORTION = 0.02
"""Largest relative misfit of lengths and angle: distortion by the projector."""
MAX_RATIO = 1.3
"""Largest ratio of kx to ky."""
SQUARE_SPREAD, SQUARE_DOUBT = 0.01, 0.05
"""Spread (log) of the ratio of kx to ky of most cameras, and the share of patterns that have others."""
MIN_WEIGHT = 3e-3
"""Readings of less weight are left out: any that is kept can agree with a wrong claim."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """Reflections ``indices`` [2, 2] (rows) of the two vectors; ``mean`` [2] and ``covariance`` [2, 2] of log kx and log ky (1/angstrom); relative
    ``distortion`` that is left over; logarithm of its ``weight``."""

    indices: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    distortion: float
    weight: float


def index_net(net: Net, spots: Spots, pattern: np.ndarray, crystal: Projection, claimed: float) -> list[Reading]:
    """Readings of the lattice as reflections of ``crystal`` (seen along the beam, primitive), likeliest first; empty where none fits.

    ``claimed``: kx over ky as the file claims, which may be true or exchanged; of the size of a pixel nothing is assumed.
    """
    weights = tuple(weight ** (POTENTIAL_EXPONENT / CONTRAST_EXPONENT) for weight in crystal.weights)
    crystal = dataclasses.replace(crystal, weights=weights)
    inverse = np.linalg.inv(crystal.vectors)  # the reflection h has the frequency h @ inverse
    direct = direct_beam(net, spots)
    readings: list[Reading] = []
    for indices in _candidates(net, inverse):
        logs, distortion = _pixels(net.vectors, indices @ inverse)
        if not np.isfinite(logs).all() or distortion > DISTORTION or abs(logs[0] - logs[1]) > math.log(MAX_RATIO):
            continue
        if any(np.abs(reading.mean - logs).max() < 1e-6 for reading in readings):
            continue
        evidence = log_likelihood(net, spots, pattern, crystal, indices, direct)
        slopes = _slopes(net.vectors, indices @ inverse)
        weight = evidence + _log_prior(logs, claimed) - 0.5 * (distortion / 0.005) ** 2
        readings.append(Reading(indices, logs, slopes @ net.covariance @ slopes.T, distortion, weight))
    return sorted(readings, key=lambda reading: -reading.weight)


def components(readings: list[Reading], extra: np.ndarray) -> tuple[Component, ...]:
    """Readings as a mixture of (log kx, log ky), with the covariance ``extra`` [2, 2] added to each."""
    logs = np.array([reading.weight for reading in readings])
    shares = softmax(logs)
    kept = [(float(share), reading) for share, reading in zip(shares, readings, strict=True) if share > MIN_WEIGHT]
    total = sum(share for share, _ in kept)
    return tuple(Component(share / total, reading.mean, reading.covariance + extra) for share, reading in kept)


def _candidates(net: Net, inverse: np.ndarray) -> list[np.ndarray]:
    """Pairs of reflections [2, 2] whose lengths and angle are like those of the vectors, up to the ratio of kx to ky."""
    steps = np.arange(-MAX_INDEX, MAX_INDEX + 1)
    every = np.array([(i, j) for i in steps for j in steps if (i, j) != (0, 0)])
    frequencies = every @ inverse
    ratio = math.log(float(np.linalg.norm(net.vectors[1]) / np.linalg.norm(net.vectors[0])))
    lengths = np.log(np.hypot(*frequencies.T))
    first, second = np.nonzero(np.abs(lengths[None, :] - lengths[:, None] - ratio) < math.log(MAX_RATIO))
    areas = np.abs(every[first, 0] * every[second, 1] - every[first, 1] * every[second, 0])
    # of a pair and its negative one
    kept = (
        (areas >= 1) & (areas <= MAX_AREA) & ((every[first, 0] > 0) | ((every[first, 0] == 0) & (every[first, 1] > 0)))
    )
    return [np.array([every[i], every[j]]) for i, j in zip(first[kept], second[kept], strict=True)]


def _pixels(vectors: np.ndarray, frequencies: np.ndarray) -> tuple[np.ndarray, float]:
    """(log kx, log ky), and the largest relative misfit of the two lengths and the angle, for ``vectors`` [2, 2] of the ``frequencies`` [2, 2] (rows)."""
    which = ((0, 0), (1, 1), (0, 1))
    scale = np.linalg.norm(frequencies, axis=1)
    products = np.array([frequencies[i] @ frequencies[j] / (scale[i] * scale[j]) for i, j in which])
    matrix = np.array([vectors[i] * vectors[j] / (scale[i] * scale[j]) for i, j in which])
    size = float(np.abs(matrix).max())
    squares = np.linalg.lstsq(matrix / size, products, rcond=None)[0] / size
    if not (squares > 0.0).all():
        return np.full(2, np.nan), math.inf
    misfit = matrix @ squares - products
    return 0.5 * np.log(squares), 0.5 * float(np.abs(misfit).max())


def _slopes(vectors: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Derivatives [2, 4] of (log kx, log ky) by the vectors, row by row."""
    step = 1e-4 * float(np.abs(vectors).max())
    result = np.zeros((2, 4))
    for index in range(4):
        shift = np.zeros(4)
        shift[index] = step
        above, below = (_pixels(vectors + sign * shift.reshape(2, 2), frequencies)[0] for sign in (1.0, -1.0))
        result[:, index] = (above - below) / (2.0 * step)
    return result


def _log_prior(logs: np.ndarray, claimed: float) -> float:
    """Logarithm of the density of the ratio of kx to ky: 1, as claimed, the other way round, or any."""
    ratio = float(logs[0] - logs[1])
    square = (
        sum(_normal(ratio - middle, SQUARE_SPREAD) for middle in (0.0, math.log(claimed), -math.log(claimed))) / 3.0
    )
    return math.log((1.0 - SQUARE_DOUBT) * square + SQUARE_DOUBT / (2.0 * math.log(MAX_RATIO)))


def _normal(value: float, spread: float) -> float:
    return math.exp(-0.5 * (value / spread) ** 2) / (spread * math.sqrt(2.0 * math.pi))
