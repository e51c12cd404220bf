"""Where each pixel of a lattice image lies in the unit cell of a known crystal, by geometric phase analysis.

The crystal's scale and direction are looked for first, then each pixel's place is read off the phases of two reflections (Hÿtch, Snoeck & Kilaas,
Ultramicroscopy 74, 131, 1998). Composition may change across the image, since only phases count; scan distortions that are slow against the cell are followed.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from reconstruct.measurement.projection import Projection

SHORTEST_PERIOD, LEAST_PERIODS = 4.0, 2.5
"""Pixels to the shortest period, and the longest period's repeats across the narrow side of the image, between which scales are looked for."""
REFLECTIONS = 6
"""Reflections that are looked for, the slowest of a half-plane."""
SCALE_STEP, ANGLE_STEP = 0.015, 0.015
"""Steps of the search in log scale and radian: a fraction of what the image's size resolves."""
MOST_BINS = 512
"""Samples along the longer side of the image that the search is made on."""
LEAST_CONTRAST = 8.0
"""Score of the best lattice above the median of others of its scale, in median absolute deviations, from which it is there (2 of 120 images of noise)."""
SMOOTHING = 0.4
"""Width (rms) of the mean that a phase is taken over, in periods of the slower reflection."""
DARK = 0.1
"""Share of the mean added before the logarithm: what is left of dark pixels is noise."""


class Placement(NamedTuple):
    """``coordinates`` [ny, nx, 2]: place of each pixel as shares of the periods a and b of the projection, modulo 1, columns as the projection has them;
    ``lattice`` [2, 2]: mean gradients of both (rows) along x and y, in periods per pixel; ``contrast``: how far the lattice stands out (see LEAST_CONTRAST)."""

    coordinates: Float[np.ndarray, "ny nx 2"]
    lattice: Float[np.ndarray, "2 2"]
    contrast: float


def place_in_cell(image: Float[np.ndarray, "ny nx"], crystal: Projection) -> Placement:
    """Places of the pixels of ``image``, brightest where the columns of ``crystal`` are heaviest, at whatever scale and rotation fits best.

    The image must show at least 2.5 periods along its narrow side. A crystal seen from behind is not told from its front. ValueError for images that are not
    finite or flat, for those that show no such lattice, and for crystals none of whose strong reflections fix the place in the cell.
    """
    if image.ndim != 2 or min(image.shape) < 2 * SHORTEST_PERIOD or not np.isfinite(image).all():
        raise ValueError(f"an image of shape {image.shape} has no lattice; give a finite one of two dimensions")
    if np.ptp(image) == 0:
        raise ValueError("the image is flat: it shows no lattice")
    raised = image.astype(np.float64) - float(image.min())
    logs = np.log(raised + DARK * float(raised.mean()))
    reflections, amplitudes = _reflections(crystal)
    lattice, contrast = _search(logs, crystal, reflections, np.abs(amplitudes))
    if contrast < LEAST_CONTRAST:
        problem = f"its best lattice stands out by {contrast:.1f} deviations only, {LEAST_CONTRAST:g} are asked for"
        raise ValueError(f"the image shows no lattice of this crystal: {problem}")
    coordinates = _phases(logs, lattice, reflections, amplitudes)
    return Placement(coordinates, _mean_gradient(coordinates), contrast)


def _reflections(crystal: Projection) -> tuple[np.ndarray, np.ndarray]:
    """The slowest reflections [n, 2], one of each pair, that are seen, and their structure factors [n] relative to the sum of weights."""
    indices = np.array([h for h in itertools.product(range(-4, 5), repeat=2) if h > (0, 0)])
    lengths = np.linalg.norm(indices @ np.linalg.inv(crystal.vectors), axis=1)
    indices = indices[np.argsort(lengths, kind="stable")]
    waves = np.exp(-2j * np.pi * indices @ np.array(crystal.columns).T)
    factors = waves @ np.array(crystal.weights) / np.sum(crystal.weights)
    seen = np.flatnonzero(np.abs(factors) > 0.05)[:REFLECTIONS]
    return indices[seen], factors[seen]


def _search(
    logs: np.ndarray, crystal: Projection, reflections: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, float]:
    """The lattice that the spectrum fits best, and how far it stands out."""
    coarse = max(1, max(logs.shape) // MOST_BINS)
    while coarse > 1 and min(logs.shape) // coarse < 32:
        coarse -= 1
    ny, nx = (side // coarse for side in logs.shape)
    small = logs[: ny * coarse, : nx * coarse].reshape(ny, coarse, nx, coarse).mean((1, 3))
    window = np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]
    padded = (4 * ny, 4 * nx)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((small - np.average(small, weights=window)) * window, padded)))
    ky, kx = np.fft.fftshift(np.fft.fftfreq(padded[0])), np.fft.fftshift(np.fft.fftfreq(padded[1]))
    spectrum *= np.hypot(ky[:, None], kx[None, :])  # edges of regions and slopes fall off as 1/k

    def score(lattices: np.ndarray) -> np.ndarray:
        frequencies = coarse * np.einsum("nj,...jk->...nk", reflections, lattices)
        places = [frequencies[..., axis] * padded[1 - axis] + padded[1 - axis] // 2 for axis in (1, 0)]
        amplitudes = map_coordinates(spectrum, places, order=1, mode="constant")
        return np.asarray(amplitudes @ expected / np.sqrt((expected**2).sum()))

    inverse = np.linalg.inv(crystal.vectors)  # rows: both coordinates' gradients in 1/angstrom
    periods = 1.0 / np.linalg.norm(reflections @ inverse, axis=1)
    first = np.log(SHORTEST_PERIOD * coarse / periods.min())
    last = np.log(min(logs.shape) / LEAST_PERIODS / periods.max())
    if last <= first:
        raise ValueError(f"an image of {logs.shape} pixels cannot show 2.5 periods; give a larger one")
    scales = np.exp(np.arange(first, last, SCALE_STEP))  # pixels per angstrom
    angles = np.arange(0.0, np.pi, ANGLE_STEP)
    cosine, sine = np.cos(angles), np.sin(angles)
    turns = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)
    lattices = (inverse @ turns)[None] / scales[:, None, None, None]
    scores = score(lattices)
    # the widest spectra lie at the slow end: a score is compared with others of its scale
    middle = np.median(scores, axis=1, keepdims=True)
    deviation = np.median(np.abs(scores - middle), axis=1, keepdims=True)
    best = lattices[np.unravel_index(int(np.argmax(scores)), scores.shape)]
    contrast = float(((scores - middle) / np.maximum(deviation, 1e-300)).flat[int(np.argmax(scores))])
    size = np.linalg.norm(best)
    refined = minimize(
        lambda change: -float(score(best + size * change.reshape(2, 2))), np.zeros(4), method="Nelder-Mead",
        options={"initial_simplex": np.vstack([np.zeros(4), 0.01 * np.eye(4)]), "xatol": 1e-4, "fatol": 1e-6 * float(scores.max())},
    )  # fmt: skip
    return best + size * refined.x.reshape(2, 2), contrast


def _phases(logs: np.ndarray, lattice: np.ndarray, reflections: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Coordinates [ny, nx, 2] by the phases of the two strongest reflections that fix them."""
    pairs = [
        pair for pair in itertools.combinations(range(len(reflections)), 2)
        if abs(round(float(np.linalg.det(reflections[list(pair)])))) == 1
    ]  # fmt: skip
    if not pairs:
        raise ValueError("no two of the crystal's strong reflections fix a place in its cell; give its primitive cell")
    width = SMOOTHING / float(np.linalg.norm(reflections @ lattice, axis=1).min())
    varying = logs - gaussian_filter(logs, 2.0 * width, mode="nearest")
    y, x = np.mgrid[: logs.shape[0], : logs.shape[1]]
    waves = []
    for index, factor in zip(reflections, factors, strict=True):
        frequency = index @ lattice
        wave = np.exp(2j * np.pi * (frequency[0] * x + frequency[1] * y))
        beaten = varying * wave.conj()
        slow = [gaussian_filter(part, width, mode="nearest") for part in (beaten.real, beaten.imag)]
        # an image sum F exp(2 pi i h.u) has the phase arg F at u = 0
        waves.append((slow[0] + 1j * slow[1]) * wave / (factor / abs(factor)))
    strength = [float(np.abs(wave).mean()) for wave in waves]
    chosen = list(max(pairs, key=lambda pair: min(strength[pair[0]], strength[pair[1]])))
    phases = np.stack([np.angle(waves[each]) for each in chosen], axis=-1) / (2.0 * np.pi)
    return (phases @ np.linalg.inv(reflections[chosen]).T) % 1.0


def _mean_gradient(coordinates: np.ndarray) -> np.ndarray:
    """Mean change of both coordinates (rows) from pixel to pixel along x and y; steps of a half period and more would be taken for shorter ones."""
    waves = np.exp(2j * np.pi * coordinates)
    along = [(waves[:, 1:] * waves[:, :-1].conj()).mean((0, 1)), (waves[1:] * waves[:-1].conj()).mean((0, 1))]
    return np.angle(np.stack(along, axis=1)) / (2.0 * np.pi)
