"""Edge of a disk by sectors: each has its own levels and slopes inside and outside, all share one edge width; Poisson likelihood."""

from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from reconstruct.inference.damped_newton import Quadratic, minimise

MAX_STEPS = 8
"""Steps of Fisher scoring for each width."""
COST_TOLERANCE = 1e-4
"""Of a sector's minus log likelihood."""
SECTOR_LENGTH = 4.0
"""Length of a sector along the edge in pixels, at least."""
RING_SHARE = 0.2
"""Half the width of the ring that is looked at, as a share of the radius (6 pixels at least)."""


class Edges(NamedTuple):
    """``azimuth`` [s] in radian, ``position`` [s] (distance from the centre, pixels) and its ``variance`` [s]; the common rms ``width`` and its std; the
    share of the edge that was usable (``arc``), counts' variance over their mean (``dispersion``), and the ``model`` [ny, nx] (NaN off the ring)."""

    azimuth: np.ndarray
    position: np.ndarray
    variance: np.ndarray
    width: float
    width_std: float
    arc: float
    dispersion: float
    model: np.ndarray


def fit_edges(filled: np.ndarray, known: np.ndarray, shape: np.ndarray, width: float) -> Edges:
    """Edges of the disk of ``shape`` (R, x, y, a, b) in counts ``filled`` [ny, nx] where ``known``, from a ``width`` to begin with."""
    radius, x0, y0, a, b = shape
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    distance, azimuth = np.hypot(x - x0, y - y0), np.arctan2(y - y0, x - x0)
    oval = radius * (1.0 + a * np.cos(2.0 * azimuth) + b * np.sin(2.0 * azimuth))
    sectors = int(np.clip(2.0 * np.pi * radius / SECTOR_LENGTH, 16, 180))
    sector_index = np.minimum(((azimuth + np.pi) / (2.0 * np.pi) * sectors).astype(int), sectors - 1)
    half_width = max(RING_SHARE * radius, 6.0)
    ring = known & (np.abs(distance - oval) < half_width)
    offset, counts, sector = (distance - oval)[ring], np.maximum(filled[ring], 0.0), sector_index[ring]
    # a sector counts if its ring is in the frame on both sides of the edge
    expected_pixels = 2.0 * half_width * 2.0 * np.pi * radius / sectors
    complete = np.bincount(sector, minlength=sectors) > 0.7 * expected_pixels
    for side in (offset > 0.3 * half_width, offset < -0.3 * half_width):
        complete &= np.bincount(sector[side], minlength=sectors) > 0.1 * expected_pixels
    widths = width * np.array([0.7, 1.0, 1.4])
    for _ in range(4):
        fits = [_fit_width(offset, counts, sector, sectors, float(trial), half_width, complete) for trial in widths]
        cost = np.array([fit[0] for fit in fits])
        curvature = (cost[0] - 2.0 * cost[1] + cost[2]) / np.log(1.4) ** 2
        slope = (cost[2] - cost[0]) / (2.0 * np.log(1.4))
        log_step = np.clip(-slope / curvature, -0.7, 0.7) if curvature > 0 else -0.7 * np.sign(slope)
        best_width = float(np.clip(widths[1] * np.exp(log_step), 0.25, half_width / 2.0))
        if abs(np.log(best_width / widths[1])) < 0.02:
            break
        widths = best_width * np.array([0.7, 1.0, 1.4])
    cost, values, variance, model, mean_squares = _fit_width(
        offset, counts, sector, sectors, best_width, half_width, complete
    )
    inside, outside = values[:, 1], values[:, 0]
    usable = complete & (inside > 1.2 * outside) & np.isfinite(variance) & (np.abs(values[:, 3]) < 0.8 * half_width)
    dispersion = max(mean_squares, 1e-6)
    usable &= variance * dispersion < (0.5 * half_width) ** 2
    sector_azimuth = (np.arange(sectors) + 0.5) / sectors * 2.0 * np.pi - np.pi
    position = radius * (1.0 + a * np.cos(2.0 * sector_azimuth) + b * np.sin(2.0 * sector_azimuth)) + values[:, 3]
    image = np.full(filled.shape, np.nan)
    image[ring] = np.where(complete[sector], model, np.nan)
    width_std = best_width * np.sqrt(dispersion / curvature) if curvature > 0 else half_width
    return Edges(
        sector_azimuth[usable],
        position[usable],
        variance[usable] * dispersion,
        best_width,
        float(width_std),
        float(usable.mean()),
        dispersion,
        image,
    )


def _fit_width(
    offset: np.ndarray,
    counts: np.ndarray,
    sector: np.ndarray,
    sectors: int,
    width: float,
    half_width: float,
    complete: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, float]:
    """Minus log likelihood at ``width``, (outside, inside, slope inside, position, slope outside) [s, 5], variance of the position [s], model [n] and the
    mean square in sigmas."""

    def summed(weights: np.ndarray) -> np.ndarray:
        return np.bincount(sector, weights, sectors)

    far = np.abs(offset) > 0.3 * half_width
    levels = [
        summed(counts * side) / np.maximum(summed(side * 1.0), 1.0) for side in (far & (offset > 0), far & (offset < 0))
    ]
    start = np.stack([levels[0] + 0.01, levels[1] + 0.02, *np.zeros((3, sectors))], axis=1)
    min_counts = 0.02 + 0.002 * float(counts.mean())
    # slopes of more than the level across the ring are not edges of disks; weak priors keep empty sectors in hand
    precision = np.array([1e-6, 1e-6, 4.0, half_width**-2, 4.0])

    def evaluate(values: np.ndarray) -> Quadratic:
        model, columns = _edge_model(offset, values[sector].T, width, half_width, min_counts)
        information = np.empty((sectors, 5, 5))
        for i in range(5):
            for j in range(i, 5):
                information[:, i, j] = information[:, j, i] = summed(columns[i] * columns[j] / model)
        score = np.stack([summed(column * (counts / model - 1.0)) for column in columns], axis=1)
        deviation = values - start
        cost = summed(model - counts * np.log(model)) + 0.5 * (precision * deviation**2).sum(axis=1)
        return Quadratic(cost, precision * deviation - score, information + np.diag(precision))

    low = np.array([1e-3, 1e-3, -0.9, -half_width, -0.9])
    high = np.array([np.inf, np.inf, 0.9, half_width, 0.9])
    max_change = np.array([np.inf, np.inf, 0.5, 0.25 * half_width, 0.5])
    minimum = minimise(evaluate, start, MAX_STEPS, COST_TOLERANCE, low, high, max_change)
    values, variance = minimum.position, np.linalg.inv(minimum.curvature)[:, 3, 3]
    model, _ = _edge_model(offset, values[sector].T, width, half_width, min_counts)
    used = complete[sector]
    cost = float((model - counts * np.log(model))[used].sum())
    freedom = max(int(used.sum()) - 5 * int(complete.sum()), 1)
    squares = float(((counts - model) ** 2 / model)[used].sum() / freedom)
    return cost, values, variance, model, squares


def _edge_model(
    offset: np.ndarray, values: np.ndarray, width: float, half_width: float, min_counts: float
) -> tuple[np.ndarray, np.ndarray]:
    """Expected counts [n] at ``offset`` [n] from the edge for (outside, inside, slope inside, position, slope outside) [5, n], and derivatives [5, n]."""
    outside, inside, slope, position, outer_slope = values
    profile = 0.5 * erfc((offset - position) / (np.sqrt(2.0) * width))
    # the slope is of what is inside, as seen from the edge inwards
    inside_depth = np.minimum(offset - position, 0.0) / half_width
    outside_depth = np.maximum(offset - position, 0.0) / half_width
    contrast = inside * (1.0 + slope * inside_depth) - outside * (1.0 + outer_slope * outside_depth)
    model = np.maximum(outside * (1.0 + outer_slope * outside_depth) + contrast * profile, min_counts)
    edge_derivative = np.exp(-0.5 * ((offset - position) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)
    columns = [
        (1.0 + outer_slope * outside_depth) * (1.0 - profile),
        (1.0 + slope * inside_depth) * profile,
        inside * inside_depth * profile,
        contrast * edge_derivative
        - (
            inside * slope * profile * (offset < position)
            + outside * outer_slope * (1.0 - profile) * (offset > position)
        )
        / half_width,
        outside * outside_depth * (1.0 - profile),
    ]
    return model, np.stack(columns)
