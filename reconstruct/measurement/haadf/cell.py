"""The mean unit cell of a crystal in one image: its harmonics by weighted least squares, with their information.

Pixel positions are those of the tracked lattice, scan distortion removed.
Counting gives a pixel the variance gain * (signal) + readout^2; what varies more than that (tears within a line, phonons) widens all alike.

What is not of a perfect crystal is fitted or left out: a slow background (contamination) and a slow change of the signal (thickness), both smooth over more
than two cells; unit cells much darker or brighter than the rest (vacuum, a particle); and pixels far from the fit (hot ones, cosmic rays).
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from reconstruct.measurement.haadf.model import waves
from reconstruct.measurement.outcome import Defect

PIXEL_BATCH = 16384
"""Pixels at a time."""
ITERATIONS = 4
"""Least squares: with the mean's variance, with the first's and the slow fields, then without what is far off."""
MIN_SIGNAL_SHARE = 0.05
"""No pixel counts as darker than this share of the mean signal."""
SLOW_PRIOR = 0.5
"""Standard deviation of each coefficient of the slow fields, as a share of the mean signal."""
MAX_ORDER, MIN_SLOW_PERIODS = 3, 2.5
"""Half waves of the slow fields across the image, at most, and crystal periods that the shortest of their waves has at least."""
FAR = 6.0
"""Standard deviations from the fit at which a pixel is left out."""
NEAR_FULL, MIN_FULL, FULL_SHARE = 2.5, 10, 0.5
"""Pixels whose fit is within so many standard deviations of the highest reading are left out where at least so many pixels, and this share of all that are not
known, are fitted higher: they were saturated, and those beside them are known only where noise kept them below."""
DARK, BRIGHT = 0.6, 1.6
"""Unit cells whose signal is less or more than these shares of the median are left out."""
BACKGROUND_CHANCE, NO_BACKGROUND = 1e-3, 1e-6
"""Chance of a background as large where there is none, above which it is left out; and its size then, as a share of the mean signal. Where columns have little
contrast a background and a change of thickness look alike, and noise would be taken for both of them."""
SAID = 0.05
"""Share of the mean signal from which a slow field is told."""
SHIFT_ERROR = 0.3
"""Relative error of the mean of a background, which is taken as zero where it is least."""


class Cell(NamedTuple):
    """``mean`` [c] harmonics in counts, ``information`` [c, c] of them (inverse covariance), and of the least squares the ``misfit`` (chi square over its
    degrees of freedom) by which that information was lowered; ``fitted`` and ``variance`` [ny, nx] of pixels, ``g`` [n, 2] ``positions`` [ny, nx, 2].

    ``used`` [ny, nx] pixels (None: all); ``scatter``: relative error of the mean cell by differences from cell to cell; ``unexplained``: rms of the residual
    beyond counting, as a share of the mean signal; ``defects`` that were left out or fitted."""

    mean: np.ndarray
    information: np.ndarray
    misfit: float
    fitted: np.ndarray
    variance: np.ndarray
    g: np.ndarray
    positions: np.ndarray
    used: np.ndarray | None = None
    scatter: float = 0.0
    unexplained: float = 0.0
    defects: tuple[Defect, ...] = ()


def mean_cell(
    image: np.ndarray,
    known: np.ndarray,
    positions: np.ndarray,
    g: np.ndarray,
    cell: tuple[float, float],
    gain: float,
    readout: float,
    gain_known: bool,
) -> Cell:
    """Harmonics ``g`` [n, 2] (1/angstrom, zero first) of a ``cell`` (x, y) of ``image`` [ny, nx] in counts above black where ``known``, at ``positions``
    [ny, nx, 2] in angstrom.

    ``gain`` in counts per electron and ``readout`` in counts rms; if the gain is not known well, noise may also be less than it says.
    """
    flat, mask = positions.reshape(-1, 2), known.ravel().copy()
    data = np.where(known, image, 0.0).ravel()
    bright = max(float(data[mask].mean()), 1e-9)
    slow = slow_functions(positions, cell)
    count, fields = 2 * len(g) - 1, slow.shape[1]
    crystal = fitted = np.full(data.shape, bright)
    coefficients, information = np.zeros(count + 2 * fields), np.eye(count + 2 * fields)
    variance, background_size = fitted, SLOW_PRIOR
    for step in range(ITERATIONS):
        if step == 1:
            mask &= ~_odd_cells(data, crystal, mask, flat, cell)
        if step > 1:
            mask &= ~_far_pixels(data, fitted, variance, mask)
            mask &= ~_nearly_full(data, fitted, variance, mask, known.ravel())
        variance = gain * np.maximum(fitted, MIN_SIGNAL_SHARE * bright) + readout**2
        # the first fit has no crystal yet for a signal that changes slowly
        change = crystal if step > 0 else np.zeros_like(crystal)
        information, rhs = _normal_equations(data, mask / variance, flat, g, cell, slow, change)
        prior = np.append(np.zeros(count), np.repeat([background_size * bright, SLOW_PRIOR], fields) ** -2.0)
        ridge = np.where(prior > 0.0, prior, 1e-9 * np.trace(information[:count, :count]) / count)
        information = information + np.diag(prior)
        coefficients = np.linalg.solve(information + np.diag(ridge - prior), rhs)
        crystal, fitted = _images(coefficients, flat, g, cell, slow, change)
        if step == ITERATIONS - 2:
            noise = float(((data - fitted) ** 2 / variance)[mask].mean())
            seen = _has_background(coefficients, information + np.diag(ridge - prior), noise, count, fields)
            background_size = SLOW_PRIOR if seen else NO_BACKGROUND
    background = slow @ coefficients[count : count + fields]
    trend = slow @ coefficients[count + fields :]
    mean, reduced = coefficients[:count], _marginal(information, count)
    degrees = max(int(mask.sum()) - count - 2 * fields, 1)
    misfit = float((((data - fitted) ** 2 / variance)[mask]).sum() / degrees)
    variance_factor = max(misfit, 1.0) if gain_known else misfit
    reduced = reduced / variance_factor
    said = _slow_defects(background[mask], trend[mask], bright)
    if any(defect.kind == "background" for defect in said):
        shift = -float(np.quantile(background[mask], 0.05))
        mean = mean - shift * np.eye(count)[0]
        column = reduced[:, 0]
        reduced = reduced - np.outer(column, column) / ((SHIFT_ERROR * shift) ** -2.0 + column[0])
    defects = (*_left_out(known.ravel(), mask), *said)
    shape = image.shape
    residual = np.where(mask, data - fitted, 0.0).reshape(shape)
    electrons = bright / gain
    return Cell(
        mean, reduced, misfit, fitted.reshape(shape), variance_factor * variance.reshape(shape), g, positions, mask.reshape(shape),
        _scatter(residual, np.where(mask, fitted, 0.0).reshape(shape), mask.reshape(shape), positions, cell),
        float(np.sqrt(max(misfit - 1.0, 0.0) / max(electrons, 1e-9))), defects,
    )  # fmt: skip


def slow_functions(positions: np.ndarray, cell: tuple[float, float]) -> np.ndarray:
    """Cosines over the image of ``positions`` [ny, nx, 2] in angstrom, without the constant, [ny * nx, k]: none has waves shorter than `MIN_SLOW_PERIODS`."""
    ny, nx = positions.shape[:2]
    sides = [np.hypot(*(positions[-1, 0] - positions[0, 0])), np.hypot(*(positions[0, -1] - positions[0, 0]))]
    orders = [min(MAX_ORDER, int(2.0 * side / (MIN_SLOW_PERIODS * max(cell)))) for side in sides]
    down, across = (
        np.array([np.cos(np.pi * order * (np.arange(points) + 0.5) / points) for order in range(highest + 1)])
        for points, highest in zip((ny, nx), orders, strict=True)
    )
    pairs = [(i, j) for i in range(len(down)) for j in range(len(across)) if 0 < i + j <= MAX_ORDER]
    return np.array([np.outer(down[i], across[j]).ravel() for i, j in pairs]).reshape(len(pairs), ny * nx).T


def _normal_equations(
    data: np.ndarray, weights: np.ndarray, flat: np.ndarray, g: np.ndarray, cell: tuple[float, float], slow: np.ndarray, change: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Information and right side of harmonics, background and slow change of the crystal's image ``change``."""
    size = 2 * len(g) - 1 + 2 * slow.shape[1]
    information, rhs = np.zeros((size, size)), np.zeros(size)
    for start in range(0, len(data), PIXEL_BATCH):
        part = slice(start, start + PIXEL_BATCH)
        columns = np.concatenate([waves(g, flat[part], cell), slow[part], slow[part] * change[part, None]], axis=1)
        weighted = columns * weights[part, None]
        information += weighted.T @ columns
        rhs += weighted.T @ data[part]
    return information, rhs


def _images(
    coefficients: np.ndarray, flat: np.ndarray, g: np.ndarray, cell: tuple[float, float], slow: np.ndarray, change: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The perfect crystal's image, and the one with the slow fields."""
    count = 2 * len(g) - 1
    starts = range(0, len(flat), PIXEL_BATCH)
    crystal = np.concatenate(
        [waves(g, flat[start : start + PIXEL_BATCH], cell) @ coefficients[:count] for start in starts]
    )
    fields = slow.shape[1]
    return crystal, crystal + slow @ coefficients[count : count + fields] + change * (
        slow @ coefficients[count + fields :]
    )


def _marginal(information: np.ndarray, count: int) -> np.ndarray:
    """Information of the first ``count`` parameters, the others marginalised."""
    cross, rest = information[:count, count:], information[count:, count:]
    return information[:count, :count] - (cross @ np.linalg.solve(rest, cross.T) if len(rest) else 0.0)


def _odd_cells(
    data: np.ndarray, crystal: np.ndarray, mask: np.ndarray, flat: np.ndarray, cell: tuple[float, float]
) -> np.ndarray:
    """Pixels of unit cells whose signal is far from the median's."""
    indices = np.floor(flat / np.asarray(cell)).astype(int)
    labels = np.unique(indices, axis=0, return_inverse=True)[1].ravel()
    pixels = np.bincount(labels, mask)
    expected = np.bincount(labels, np.where(mask, np.maximum(crystal, 0.0), 0.0))
    level = np.bincount(labels, np.where(mask, data, 0.0)) / np.maximum(expected, 1e-300)
    judged = (pixels >= 0.05 * np.median(pixels[pixels > 0])) & (expected > 0.0)
    # pixels of the whole image: a part without specimen has as many cells
    weight = np.where(judged, pixels, 0.0)
    order = np.argsort(level)
    median = level[order][np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())]
    odd = judged & ((level < DARK * median) | (level > BRIGHT * median))
    return odd[labels]


def _far_pixels(data: np.ndarray, fitted: np.ndarray, variance: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels that no noise of the image's own size explains."""
    deviation = (data - fitted) / np.sqrt(variance)
    size = max(1.4826 * float(np.median(np.abs(deviation[mask]))), 1.0)
    return mask & (np.abs(deviation) > FAR * size)


def _has_background(coefficients: np.ndarray, information: np.ndarray, noise: float, count: int, fields: int) -> bool:
    """Whether the background's coefficients are larger than noise of ``noise`` times the expected variance makes them."""
    part = slice(count, count + fields)
    covariance = np.linalg.inv(information)[part, part]
    square = float(coefficients[part] @ np.linalg.solve(covariance, coefficients[part])) if fields else 0.0
    return square > noise * float(chi2.isf(BACKGROUND_CHANCE, max(fields, 1)))


def _nearly_full(
    data: np.ndarray, fitted: np.ndarray, variance: np.ndarray, mask: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Pixels whose expected signal is near the level at which the detector is full, if pixels that are not known were."""
    top = float(data[mask].max())
    near = fitted > top - NEAR_FULL * np.sqrt(variance)
    missing = ~known
    count = int((near & missing).sum())
    return near if count >= MIN_FULL and count > FULL_SHARE * missing.sum() else np.zeros(len(data), dtype=bool)


def _slow_defects(background: np.ndarray, trend: np.ndarray, bright: float) -> tuple[Defect, ...]:
    """What is told of the slow fields."""
    told = []
    for kind, size, words in (
        ("background", float(np.quantile(background, 0.95) - np.quantile(background, 0.05)) / bright, "slow background"),
        ("trend", float(np.quantile(trend, 0.95) - np.quantile(trend, 0.05)), "slow change of the signal (thickness)"),
    ):  # fmt: skip
        if size > SAID:
            told.append(Defect(kind, None, "fitted", f"{words} over {size:.0%} of the mean signal"))
    return tuple(told)


def _left_out(known: np.ndarray, used: np.ndarray) -> tuple[Defect, ...]:
    count = int(known.sum() - used.sum())
    share = count / max(int(known.sum()), 1)
    if not count:
        return ()
    if share > 0.01:
        return (Defect("region", count, "masked", f"{share:.0%} of the image, unlike the rest"),)
    return (Defect("outliers", count, "masked", f"{count} pixel{'s' if count > 1 else ''} far from the fit"),)


def _scatter(
    residual: np.ndarray, fitted: np.ndarray, mask: np.ndarray, positions: np.ndarray, cell: tuple[float, float]
) -> float:
    """Relative error of the mean cell by what neighbouring lines have in common beyond the fit: frozen phonons, defects. Counting noise has nothing."""
    power = float((fitted[1:] * fitted[:-1]).sum())
    shared = float((residual[1:] * residual[:-1]).sum()) / max(power, 1e-300)
    down, across = (np.diff(positions, axis=axis).mean(axis=(0, 1)) for axis in (0, 1))
    cells = mask.sum() * abs(across[0] * down[1] - across[1] * down[0]) / (cell[0] * cell[1])
    return float(np.sqrt(max(shared, 0.0) / max(cells, 1.0)))
