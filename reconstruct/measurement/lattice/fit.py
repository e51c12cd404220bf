"""Maximum likelihood of a Fourier series on a lattice with scan distortion.

The image at pixel p is bg(p) + sum_h c_h exp(2 pi i h . B (p + u)), with u the displacement of the piece of a line that p lies in. The
coefficients are linear and found by weighted least squares, displacements by Gauss-Newton steps with the prior of `scan_distortion`; the
variance of counting is a straight line in the intensity (gain and black level of a recorded image are unknown), fitted to the residual.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from reconstruct.measurement.lattice.cleaning import Cleaned
from reconstruct.measurement.lattice.scan_distortion import Path, Pieces, fit_path, initial_path
from reconstruct.measurement.lattice.series import Series, fit_series

GAUSS_NEWTON_STEPS = 5
"""Gauss-Newton steps at most: the displacement is within a tenth of a period before the first."""
CONVERGED_PERIODS, CONVERGED_STDS = 1e-3, 0.25
"""Change of displacements (rms, in periods) and of the trend (in its standard errors) after which one step more is the last: a step leaves a fifth of the
change before it."""
MIN_PARTS, MAX_PARTS = 4, 8
"""Pieces of a line; more of them where hum is separated from the rest."""
MAX_LINES = 512
"""Lines of pieces at most; more are taken two and two, three and three ..."""
SAMPLES = 0.12
"""Cycles of the fastest reflection in a bin along a line."""
OUTLIER_STDS, OUTLIER_QUANTA = 6.0, 3.0
"""A pixel is not of the lattice that lies farther off it than so many standard deviations of its noise and quanta (what an electron makes) together."""


def silent(step: str, share: float | None) -> None:
    """Nobody is told of the progress."""


class Fit(NamedTuple):
    """``lattice`` B [2, 2] in cycles per pixel, covariance [4, 4] of (B_11, B_21, B_12, B_22); ``data`` (NaN where left out), ``series`` and ``variance``
    of the noise, [ny, nx / binned]; the ``path``, how many times wider pixel noise is than if it were white (``correlated``), ``misfit`` per pixel, how many
    pixels were ``outliers``, the longer ``period`` of two strong reflections in pixels; ``positions`` [ny, nx, 2] of all pixels of the image, scan distortion
    included, in lattice vectors from its middle."""

    lattice: np.ndarray
    covariance: np.ndarray
    data: np.ndarray
    series: Series
    variance: np.ndarray
    path: Path
    correlated: float
    misfit: float
    outliers: int
    period: float
    positions: np.ndarray


def fit_lattice(
    image: np.ndarray,
    cleaned: Cleaned,
    lattice: np.ndarray,
    strong: np.ndarray,
    reflections: np.ndarray,
    hum: float | None = None,
    tell: Callable[[str, float | None], None] = silent,
) -> Fit:
    """Fit ``image`` [ny, nx] where it is known by ``cleaned``, from ``lattice`` B, with coefficients of ``reflections`` [m, 2] (one of each Friedel pair).

    ``strong`` [2, 2] holds two strong reflections as rows, by whose phases the distortion is tracked from line to line to begin with; ``hum`` is the mains'
    frequency in cycles per pixel of a line, for scans that wait for its phase.
    """
    image, known = np.where(cleaned.known, image, 0.0), cleaned.known
    step = max(1, int(SAMPLES / np.abs(reflections @ lattice).max()))
    (data, known_share), (start, _) = _bin_lines(image, known, step), _bin_lines(cleaned.limited, known, step, True)
    ny, nx = data.shape
    step = image.shape[1] // nx
    x = (np.arange(nx) + 0.5) * step - 0.5 * image.shape[1]
    y = np.arange(ny) - 0.5 * (ny - 1)
    period = 1.0 / np.linalg.norm(strong @ lattice, axis=1).min()
    piece, pieces = _pieces(x, y, period, hum)
    line_shift = _line_displacements(start, x, y, strong @ lattice, period)
    variance = np.full(data.shape, start[known_share > 0].var())
    path, correlated, weight, series = None, 1.0, known_share, None
    last = False
    for iteration in range(GAUSS_NEWTON_STEPS):
        tell("fitting the lattice", iteration / GAUSS_NEWTON_STEPS)
        shift = line_shift[:, None] if path is None else path.displacement[piece]
        positions = np.stack([x[None] + shift[..., 0], np.broadcast_to(y[:, None], (ny, nx)) + shift[..., 1]], axis=-1)
        # stray pixels are only limited until there is a model that they can be told by
        series = fit_series(start if path is None else data, weight / variance, positions, lattice, reflections)
        variance, quantum = _noise_variance((start if path is None else data) - series.model, series.model, weight)
        far = np.abs(data - series.model) > OUTLIER_STDS * np.sqrt(variance) + OUTLIER_QUANTA * quantum
        weight = np.where(far, 0.0, known_share)
        residual = (data - series.model) * (weight > 0)
        correlated = _noise_correlation(residual / np.sqrt(variance), weight)
        displacement = np.broadcast_to(shift, series.slope.shape)
        pieces = _add_information(pieces, piece, series.slope, residual, weight / (variance * correlated), displacement)
        before = path
        if before is None:
            path = initial_path(pieces, period)
            continue
        if last:
            tell("learning what the scan's distortion leaves open", None)
        path = fit_path(pieces, period, before.sizes, last)
        if last:
            break
        last = iteration == GAUSS_NEWTON_STEPS - 2 or _converged(path, before, period)
    assert path is not None
    assert series is not None
    # B (1 + D): the columns of B D are B times those of D
    change = np.kron(np.eye(2), lattice)
    misfit = float((residual**2 / variance)[weight > 0].mean())
    return Fit(
        lattice @ (np.eye(2) + path.trend),
        change @ path.covariance @ change.T,
        np.where(weight > 0, data, np.nan),
        series,
        variance,
        path,
        correlated,
        misfit,
        int((far & (known_share > 0)).sum()),
        period,
        _pixel_positions(image.shape, lattice, path, pieces, piece),
    )


def _converged(path: Path, before: Path, period: float) -> bool:
    """Whether a step changed so little that the next may be the last."""
    moved = float(np.sqrt(((path.displacement - before.displacement) ** 2).sum(axis=1).mean()))
    turned = np.abs((path.trend - before.trend).T.ravel()) / np.sqrt(np.diag(path.covariance))
    return bool(moved < CONVERGED_PERIODS * period and turned.max() < CONVERGED_STDS)


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


def _bin_lines(image: np.ndarray, known: np.ndarray, step: int, filled: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Means of ``step`` pixels along lines (of known ones, unless the rest is ``filled``), and the share of them that is known."""
    ny, nx = image.shape
    if nx % step:
        step = max(part for part in range(1, step + 1) if nx % part == 0)
    count = known.reshape(ny, nx // step, step).sum(axis=2)
    if filled:
        return image.reshape(ny, nx // step, step).mean(axis=2), count / step
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


def _noise_variance(residual: np.ndarray, model: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Variance of pixels as a straight line in the model that the squares of residuals follow, kept above a tenth of their mean; and its slope, which is what
    an electron makes."""
    use = weight > 0
    squares, level = residual[use] ** 2, model[use]
    mean = squares.mean()
    slope = max(((level - level.mean()) * (squares - mean)).mean() / max(level.var(), 1e-300), 0.0)
    return np.maximum(mean + slope * (model - level.mean()), 0.1 * mean), float(slope)


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
