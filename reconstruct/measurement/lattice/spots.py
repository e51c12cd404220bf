"""Lattice spots in the power spectrum of an image, and which reflections of a known crystal they are.

Spatial frequencies k = (kx, ky) are in cycles per pixel. With the map M from pixels to angstrom and the crystal's periods as columns of L, the
pixel p is the lattice vector n = B p, B = L^-1 M, and the reflection h stands at k = B^T h.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from reconstruct.measurement.projection import Projection

SPOT_THRESHOLD = 30.0
"""Power over that of its surroundings (median / ln 2) from which a peak is a spot: noise gets there once in 10^13."""
MIN_POWER_SHARE = 0.01
"""Spots weaker than this share of the strongest need no explanation: streaks and satellites of scan distortion look like them."""
MATCH_BINS = 2.5
"""Frequency bins within which a spot matches a predicted frequency."""
MAX_INDEX = 4
"""Largest index of a reflection that the two strongest spots may be."""


class Spots(NamedTuple):
    """``frequencies`` [n, 2] (kx, ky) in cycles per pixel, one of each Friedel pair, strongest first; ``powers`` [n] over their surroundings."""

    frequencies: np.ndarray
    powers: np.ndarray


class Indexing(NamedTuple):
    """``lattice`` B [2, 2]; how alike measured and expected amplitudes are (``likeness``, 1 is best), and the share of power that it ``explained``."""

    lattice: np.ndarray
    likeness: float
    explained: float


def spectrum(image: np.ndarray) -> np.ndarray:
    """Power of ``image`` [ny, nx] under a Hann window over that of its surroundings in |k|, [ny, nx] with k = 0 at (ny // 2, nx // 2)."""
    ny, nx = image.shape
    window = np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]
    level = (image * window).sum() / window.sum()
    power = np.abs(np.fft.fftshift(np.fft.fft2((image - level) * window))) ** 2
    ky, kx = _frequencies(image.shape)
    ring = np.minimum((np.hypot(kx, ky) * min(ny, nx) / 4.0).astype(int), min(ny, nx) // 8)
    order = np.argsort(ring, axis=None, kind="stable")
    edges = np.searchsorted(ring.ravel()[order], np.arange(ring.max() + 2))
    sorted_power = power.ravel()[order]
    medians = np.array([np.median(sorted_power[i:j]) if j > i else 0.0 for i, j in itertools.pairwise(edges)])  # fmt: skip
    return power / np.maximum(medians[ring] / np.log(2.0), 1e-300)


def _frequencies(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = shape
    return (np.arange(ny) - ny // 2)[:, None] / ny, (np.arange(nx) - nx // 2)[None, :] / nx


def find_spots(relative: np.ndarray, least_periods: float = 3.0) -> Spots:
    """Spots of a `spectrum`, those of fewer than ``least_periods`` across the image left out; frequencies by parabolas through the logarithm."""
    ny, nx = relative.shape
    ky, kx = _frequencies(relative.shape)
    bins = np.hypot(ky * ny, kx * nx)
    peak = (
        (relative == maximum_filter(relative, 5, mode="wrap")) & (relative > SPOT_THRESHOLD) & (bins >= least_periods)
    )
    peak &= (ky > 0) | ((ky == 0) & (kx > 0))
    peak[0] = peak[-1] = False
    peak[:, 0] = peak[:, -1] = False
    rows, columns = np.nonzero(peak)
    order = np.argsort(-relative[rows, columns])[:60]
    rows, columns = rows[order], columns[order]
    log = np.log(np.maximum(relative, 1e-300))
    shift_y = _vertex(log[rows - 1, columns], log[rows, columns], log[rows + 1, columns])
    shift_x = _vertex(log[rows, columns - 1], log[rows, columns], log[rows, columns + 1])
    frequencies = np.stack([(columns - nx // 2 + shift_x) / nx, (rows - ny // 2 + shift_y) / ny], axis=1)
    return Spots(frequencies, relative[rows, columns])


def _vertex(left: np.ndarray, centre: np.ndarray, right: np.ndarray) -> np.ndarray:
    bend = left - 2.0 * centre + right
    return np.clip(0.5 * (left - right) / np.where(bend < 0, bend, -1.0), -0.5, 0.5)


def second_row(spots: Spots, shape: tuple[int, int]) -> int | None:
    """The strongest spot that is not on the row of the first, by more than scan distortion smears (3 bins across it); None for one row only."""
    first = spots.frequencies[0]
    across = np.abs(spots.frequencies[:, 0] * first[1] - spots.frequencies[:, 1] * first[0]) / np.hypot(*first)
    angle = across / np.hypot(*spots.frequencies.T)
    off = (across * min(shape) > 3.0) & (angle > 0.2) & (spots.powers > 1e-3 * spots.powers[0])
    return int(np.flatnonzero(off)[0]) if off.any() else None


def small_reflections(highest: int) -> np.ndarray:
    """Reflections [m, 2] with indices up to ``highest``, (0, 0) left out."""
    reflections = np.array([(i, j) for i in range(-highest, highest + 1) for j in range(-highest, highest + 1)])
    return reflections[(reflections != 0).any(axis=1)]


def index_spots(
    relative: np.ndarray, spots: Spots, crystal: Projection, claimed: float, spread: float, skew: float
) -> list[Indexing]:
    """Ways to read the spots as the reflections of ``crystal`` (primitive), best first, one for each map that its symmetry does not make another.

    Only maps within three ``spread`` of the ``claimed`` angstrom per pixel and 3.5 ``skew`` of square are considered; the crystal may
    be seen from behind (det B below 0) only where nothing else fits.
    """
    second = second_row(spots, relative.shape)
    if second is None:
        return []
    pair = spots.frequencies[[0, second]].T
    reflections = small_reflections(MAX_INDEX)
    expected = crystal.amplitudes(reflections)
    reflections = reflections[expected > 1e-3]
    i, j = np.meshgrid(np.arange(len(reflections)), np.arange(len(reflections)), indexing="ij")
    indices = np.stack([reflections[i.ravel()], reflections[j.ravel()]], axis=2).astype(
        float
    )  # [m, 2, 2]: reflections as columns
    indices = indices[np.abs(np.linalg.det(indices)) > 0.5]
    lattices = np.swapaxes(pair @ np.linalg.inv(indices), 1, 2)
    stretch = np.linalg.svd(crystal.vectors @ lattices, compute_uv=False)
    size = np.log(stretch.prod(axis=1)) / 2.0 - np.log(claimed)
    fits = (np.abs(size) < 3.0 * spread) & (np.log(stretch[:, 0] / stretch[:, 1]) < 3.5 * skew)
    right_handed = np.linalg.det(crystal.vectors @ lattices) > 0
    fits &= right_handed if (fits & right_handed).any() else True
    results: list[Indexing] = []
    previous: list[tuple[np.ndarray, float]] = []
    period = 2.0 * np.pi / crystal.fold()
    for lattice in lattices[fits][np.argsort(np.log(stretch[fits, 0] / stretch[fits, 1]))]:
        shape, angle = upper_factor(crystal.vectors @ lattice), rotation_angle(crystal.vectors @ lattice)
        if any(
            np.abs(shape - other).max() < 2e-3 * shape[0, 0]
            and abs((angle - other_angle + period / 2.0) % period - period / 2.0) < 2e-3
            for other, other_angle in previous
        ):
            continue
        previous.append((shape, angle))
        results.append(_evaluate(relative, spots, crystal, lattice))
        if len(results) == 200:
            break
    return sorted(results, key=lambda indexing: indexing.explained + indexing.likeness, reverse=True)


def upper_factor(matrix: np.ndarray) -> np.ndarray:
    """The upper triangular factor [2, 2] with positive diagonal of an orthogonal matrix times it."""
    factor = np.linalg.qr(matrix)[1]
    return factor * np.sign(np.diag(factor))[:, None]


def rotation_angle(matrix: np.ndarray) -> float:
    """Angle in radian from +x towards +y to which ``matrix`` [2, 2] takes +x."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))


def refine_lattice(spots: Spots, lattice: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """B by least squares through all spots within `MATCH_BINS` bins of where it puts them."""
    indices = np.round(spots.frequencies @ np.linalg.inv(lattice))
    offset = (spots.frequencies - indices @ lattice) * np.array([shape[1], shape[0]])
    used = (
        (np.hypot(*offset.T) < MATCH_BINS)
        & (np.abs(indices).max(axis=1) > 0)
        & (spots.powers > MIN_POWER_SHARE * spots.powers[0])
    )
    if np.linalg.matrix_rank(indices[used]) < 2:
        return lattice
    return np.linalg.lstsq(indices[used], spots.frequencies[used], rcond=None)[0]


def _evaluate(relative: np.ndarray, spots: Spots, crystal: Projection, lattice: np.ndarray) -> Indexing:
    ny, nx = relative.shape
    bins = np.array([nx, ny])
    lattice = refine_lattice(spots, lattice, (ny, nx))
    strong = spots.powers > MIN_POWER_SHARE * spots.powers[0]
    indices = np.round(spots.frequencies @ np.linalg.inv(lattice))
    near = np.hypot(*((spots.frequencies - indices @ lattice) * bins).T) < MATCH_BINS
    allowed = crystal.amplitudes(indices) > 1e-3
    indexed = near & allowed
    # hum and vibration put satellites above and below a spot, at the same kx and weaker than it
    beside = np.abs(spots.frequencies[:, None, 0] - spots.frequencies[None, :, 0]) * nx < MATCH_BINS
    satellite = (beside & indexed[None] & (spots.powers[None] > spots.powers[:, None])).any(axis=1)
    explained = float(spots.powers[strong & (indexed | satellite)].sum() / spots.powers[strong].sum())
    farthest = 1.1 * np.hypot(*spots.frequencies[strong].T).max()
    reflections = small_reflections(12)
    frequencies = reflections @ lattice
    reflections = reflections[(np.hypot(*frequencies.T) < farthest) & (np.abs(frequencies).max(axis=1) < 0.48)]
    frequencies = reflections @ lattice
    column = np.clip(np.round(frequencies[:, 0] * nx).astype(int) + nx // 2, 0, nx - 1)
    row = np.clip(np.round(frequencies[:, 1] * ny).astype(int) + ny // 2, 0, ny - 1)
    local_power = maximum_filter(relative, 5, mode="wrap")[row, column]
    measured = np.sqrt(np.maximum(local_power - SPOT_THRESHOLD, 0.0))
    # how much the probe leaves of a modulation is not known: the size that suits best
    square = (np.hypot(*frequencies.T) / farthest) ** 2
    likeness = 0.0
    for damping in (0.0, 1.0, 2.0, 4.0, 8.0):
        expected = crystal.amplitudes(reflections) * np.exp(-damping * square)
        size = np.linalg.norm(measured) * np.linalg.norm(expected)
        likeness = max(likeness, float(measured @ expected / size) if size > 0 else 0.0)
    return Indexing(lattice, likeness, explained)
