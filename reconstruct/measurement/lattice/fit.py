"""Maximum likelihood of a Fourier series on a lattice with scan distortion.

The image at pixel p is bg(p) + sum_h c_h exp(2 pi i h . B (p + u)), with u the displacement of the piece of a line that p lies in. The
coefficients are linear and found by weighted least squares, displacements by Gauss-Newton steps with the prior of `scan_distortion`; the
variance of counting is a straight line in the intensity (gain and black level of a recorded image are unknown), fitted to the residual.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from reconstruct.measurement.lattice.scan_distortion import Path, Pieces, fit_path, initial_path

GAUSS_NEWTON_STEPS = 5
"""Gauss-Newton steps: the displacement is within a tenth of a period before the first."""
MIN_PARTS, MAX_PARTS = 4, 8
"""Pieces of a line; more of them where hum is separated from the rest."""
MAX_LINES = 512
"""Lines of pieces at most; more are taken two and two, three and three ..."""
BACKGROUND_COSINES = 4
"""Cosines each way that make up what is slower than the lattice."""


class Fit(NamedTuple):
    """``lattice`` B [2, 2] in cycles per pixel, covariance [4, 4] of (B_11, B_21, B_12, B_22); ``data``, ``model`` and ``variance`` [ny, nx / binned];
    the ``path``, how many times wider pixel noise is than if it were white (``correlated``), and ``misfit`` per pixel; ``positions`` [ny, nx, 2] of all
    pixels of the image, scan distortion included, in lattice vectors from its middle."""

    lattice: np.ndarray
    covariance: np.ndarray
    data: np.ndarray
    model: np.ndarray
    variance: np.ndarray
    path: Path
    correlated: float
    misfit: float
    positions: np.ndarray


def fit_lattice(
    image: np.ndarray,
    known: np.ndarray,
    lattice: np.ndarray,
    strong: np.ndarray,
    reflections: np.ndarray,
    hum: float | None = None,
) -> Fit:
    """Fit ``image`` [ny, nx] where ``known``, from ``lattice`` B with the Fourier coefficients of ``reflections`` [m, 2] (one of each Friedel pair).

    ``strong`` [2, 2] holds two strong reflections as rows, by whose phases the distortion is tracked from line to line to begin with; ``hum`` is the mains'
    frequency in cycles per pixel of a line, for scans that wait for its phase.
    """
    highest = np.abs(reflections @ lattice).max()
    data, weight = _bin_lines(image, known, max(1, int(0.12 / highest)))
    ny, nx = data.shape
    step = image.shape[1] // nx
    x = (np.arange(nx) + 0.5) * step - 0.5 * image.shape[1]
    y = np.arange(ny) - 0.5 * (ny - 1)
    period = 1.0 / np.linalg.norm(strong @ lattice, axis=1).min()
    piece, pieces = _pieces(x, y, period, hum)
    line_shift = _line_displacements(data, x, y, strong @ lattice, period)
    variance = np.full(data.shape, data[weight > 0].var())
    path, model, correlated = None, data, 1.0
    for iteration in range(GAUSS_NEWTON_STEPS):
        shift = line_shift[:, None] if path is None else path.displacement[piece]
        positions = np.stack([x[None] + shift[..., 0], np.broadcast_to(y[:, None], (ny, nx)) + shift[..., 1]], axis=-1)
        model, slope = _fit_series(data, weight / variance, positions, lattice, reflections)
        residual = (data - model) * (weight > 0)
        variance = _noise_variance(residual, model, weight)
        correlated = _noise_correlation(residual / np.sqrt(variance), weight)
        displacement = np.broadcast_to(shift, slope.shape)
        pieces = _add_information(pieces, piece, slope, residual, weight / (variance * correlated), displacement)
        path = (
            initial_path(pieces, period)
            if path is None
            else fit_path(pieces, period, path.sizes, iteration == GAUSS_NEWTON_STEPS - 1)
        )
    assert path is not None
    # B (1 + D): the columns of B D are B times those of D
    change = np.kron(np.eye(2), lattice)
    misfit = float((residual**2 / variance)[weight > 0].mean())
    return Fit(
        lattice @ (np.eye(2) + path.trend),
        change @ path.covariance @ change.T,
        np.where(weight > 0, data, np.nan),
        model,
        variance,
        path,
        correlated,
        misfit,
        _pixel_positions(image.shape, lattice, path, pieces, piece),
    )


def _pixel_positions(
    shape: tuple[int, ...], lattice: np.ndarray, path: Path, pieces: Pieces, piece: np.ndarray
) -> np.ndarray:
    """B (p + u) of all pixels p [ny, nx, 2]: the trend of u pixel by pixel, the rest of it piece by piece (``piece`` [ny, nx / binned])."""
    ny, nx = shape
    x, y = np.meshgrid(np.arange(nx) + 0.5 - 0.5 * nx, np.arange(ny) - 0.5 * (ny - 1))
    points = np.stack([x, y], axis=-1)
    rest = path.displacement - pieces.centres @ path.trend.T
    displaced = points + points @ path.trend.T + rest[piece.repeat(nx // piece.shape[1], axis=1)]
    return displaced @ lattice.T


def _bin_lines(image: np.ndarray, known: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of ``step`` pixels along lines, and the share of them that is known."""
    ny, nx = image.shape
    if nx % step:
        step = max(part for part in range(1, step + 1) if nx % part == 0)
    count = known.reshape(ny, nx // step, step).sum(axis=2)
    total = np.where(known, image, 0.0).reshape(ny, nx // step, step).sum(axis=2)
    return total / np.maximum(count, 1), count / step


def _pieces(x: np.ndarray, y: np.ndarray, period: float, hum: float | None) -> tuple[np.ndarray, Pieces]:
    """Which piece each pixel belongs to, [ny, nx], and where pieces are in space and time."""
    across = MAX_PARTS if hum is not None else MIN_PARTS
    column = np.minimum((np.arange(len(x)) * across) // len(x), across - 1)
    lines_per_row = -(-len(y) // MAX_LINES)
    row = np.arange(len(y)) // lines_per_row
    rows = row[-1] + 1
    centre_x = np.array([x[column == part].mean() for part in range(across)])
    centre_y = np.array([y[row == part].mean() for part in range(rows)])
    width = (x[1] - x[0]) * len(x)
    times = (centre_y - y[0])[:, None] + 0.5 + (centre_x / width)[None] * lines_per_row
    centres = np.stack(np.broadcast_arrays(centre_x[None], centre_y[:, None]), axis=-1).reshape(-1, 2)
    n = rows * across
    phase = 2.0 * np.pi * (hum or 0.0) * centres[:, :1]
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * (hum is not None)
    no_data = np.zeros((n, 2, 2)), np.zeros((n, 2))
    empty = Pieces(*no_data, times.ravel(), centres, np.tile(np.arange(across), rows), waves)
    return row[:, None] * across + column[None], empty


def _line_displacements(data: np.ndarray, x: np.ndarray, y: np.ndarray, waves: np.ndarray, period: float) -> np.ndarray:
    """Displacement [ny, 2] of lines from the phases of two reflections, smoothed over a period."""
    phases = []
    for wave in waves:
        beat = np.exp(-2j * np.pi * (y[:, None] * wave[1] + x[None] * wave[0])) * np.hanning(len(x) + 2)[None, 1:-1]
        line = ((data - data.mean()) * beat).sum(axis=1)
        phase = np.unwrap(np.angle(gaussian_filter1d(line, period)))
        phases.append(phase - np.median(phase))
    return np.linalg.solve(waves, np.array(phases) / (2.0 * np.pi)).T


def _fit_series(
    data: np.ndarray, weight: np.ndarray, positions: np.ndarray, lattice: np.ndarray, reflections: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The series of best fit [ny, nx] and its derivative by displacement [ny, nx, 2]."""
    ny, nx = data.shape
    cosines = [
        np.cos(np.pi * np.arange(BACKGROUND_COSINES)[:, None] * (np.arange(size) + 0.5) / size) for size in (ny, nx)
    ]
    count = BACKGROUND_COSINES**2 + 2 * len(reflections)
    normal, right = np.zeros((count, count)), np.zeros(count)
    rows = [slice(start, start + 32) for start in range(0, ny, 32)]

    def basis(part: slice) -> np.ndarray:
        slow = np.einsum("ay,bx->yxab", cosines[0][:, part], cosines[1]).reshape(-1, nx, BACKGROUND_COSINES**2)
        return np.concatenate([slow, *_waves(positions[part] @ lattice.T, reflections)], axis=2).reshape(-1, count)

    for part in rows:
        columns = basis(part)
        weighted = columns * weight[part].reshape(-1, 1)
        normal += weighted.T @ columns
        right += weighted.T @ data[part].ravel()
    coefficients = np.linalg.solve(normal + 1e-10 * np.trace(normal) / count * np.eye(count), right)
    m = len(reflections)
    terms = BACKGROUND_COSINES**2
    slow = coefficients[:terms].reshape(BACKGROUND_COSINES, BACKGROUND_COSINES)
    even, odd = coefficients[terms:-m], coefficients[-m:]
    model = cosines[0].T @ slow @ cosines[1]
    slope = np.zeros((ny, nx, 2))
    frequencies = 2.0 * np.pi * reflections @ lattice
    for part in rows:
        cosine, sine = _waves(positions[part] @ lattice.T, reflections)
        model[part] += cosine @ even + sine @ odd
        slope[part] = cosine @ (odd[:, None] * frequencies) - sine @ (even[:, None] * frequencies)
    return model, slope


def _waves(positions: np.ndarray, reflections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of 2 pi h . n, each [..., m], at ``positions`` n [..., 2], by powers of the two first."""
    first, second = (np.exp(2j * np.pi * positions[..., axis]) for axis in (0, 1))
    max_power = int(np.abs(reflections).max())
    powers = []
    for wave in (first, second):
        table = [np.ones_like(wave)]
        for _ in range(max_power):
            table.append(table[-1] * wave)
        powers.append(table)

    def power(axis: int, index: int) -> np.ndarray:
        return powers[axis][index] if index >= 0 else powers[axis][-index].conj()

    waves = np.stack([power(0, int(h)) * power(1, int(k)) for h, k in reflections], axis=-1)
    return np.real(waves), np.imag(waves)


def _noise_variance(residual: np.ndarray, model: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Variance of pixels as a straight line in the model that the squares of residuals follow, kept above a tenth of their mean."""
    use = weight > 0
    squares, level = residual[use] ** 2, model[use]
    mean = squares.mean()
    slope = ((level - level.mean()) * (squares - mean)).mean() / max(level.var(), 1e-300)
    return np.maximum(mean + max(slope, 0.0) * (model - level.mean()), 0.1 * mean)


def _noise_correlation(white: np.ndarray, weight: np.ndarray) -> float:
    """By how much the mean of many neighbours along a line varies more than if their noise were independent; at least 1."""
    use = (weight > 0).astype(float)
    total = 1.0
    for lag in range(1, 5):
        pairs = (use[:, lag:] * use[:, :-lag]).sum()
        share = (white[:, lag:] * white[:, :-lag]).sum() / max(pairs, 1.0)
        if share < 3.0 / np.sqrt(max(pairs, 1.0)):
            break
        total += 2.0 * share
    return total


def _add_information(
    pieces: Pieces,
    piece: np.ndarray,
    slope: np.ndarray,
    residual: np.ndarray,
    weight: np.ndarray,
    displacement: np.ndarray,
) -> Pieces:
    """Information of the residual on the displacement of each piece, to first order about its ``displacement``."""
    n = len(pieces.times)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(piece.ravel(), values.ravel(), n)

    information = np.zeros((n, 2, 2))
    for i in range(2):
        for j in range(2):
            information[:, i, j] = summed(weight * slope[..., i] * slope[..., j])
    linear = residual + (slope * displacement).sum(axis=-1)
    score = np.stack([summed(weight * slope[..., i] * linear) for i in range(2)], axis=1)
    return pieces._replace(information=information, score=score)
