"""Rings of a polycrystal -> spatial frequencies of a pattern's pixels along x and y.

The middle is that about which the pattern is alike on opposite sides. Rings are peaks of the mean over angles; which lines of the crystal they are follows
from the ratios of their radii. Sectors of the matched rings then give the middle again, kx and ky, with errors by the scatter of sectors.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, median_filter
from scipy.special import softmax

from reconstruct.inference.robust_covariance import covariance
from reconstruct.measurement.diffraction.powder import Lines
from reconstruct.measurement.diffraction.spots import compressed

SECTORS = 24
OVERSAMPLING = 2
"""Radii in a pixel."""
THRESHOLD = 8.0
"""Standard deviations of the mean over angles from which a peak is a ring."""
MAX_RINGS, LEAST_RINGS = 10, 3
TOLERANCE = 0.012
"""Relative difference within which a ring and a line are the same, while the scale is looked for."""
SCALES = np.exp(np.arange(np.log(3e-4), np.log(0.3), 0.002))
"""1/angstrom in a pixel that are tried."""
LEAST_SHARE, CHANCE = 0.85, 1e-2
"""Share of the rings, by significance, that must be lines, and probability from which that may be by chance, at any scale."""
PRECISE = 2e-3
"""Relative difference of ring and line below which it says no more: lines of one ring, distortion."""
MISSED, SPURIOUS = 2.0, 2.0
"""Costs of a strong line that is not seen, and of a ring that is none (its logarithm of probability)."""
EXPECTED = 0.2
"""Share of the strongest line's intensity from which a line must be seen."""
LEAST_SECTORS, PASSES = 24, 8
"""Places of rings in sectors that a fit needs, and fits one after the other."""
MIN_WEIGHT = 3e-3


class Rings(NamedTuple):
    """A reading: log kx and log ky (1/angstrom) as ``mean`` [2] with ``covariance`` [2, 2], its ``weight``, the number of rings ``matched``; ``centre`` (x, y)
    and ``radii`` of the matched rings in pixels."""

    mean: np.ndarray
    covariance: np.ndarray
    weight: float
    matched: int
    centre: np.ndarray
    radii: np.ndarray


def find_rings(pattern: np.ndarray, lines: Lines) -> list[Rings] | str:
    """Readings of ``pattern`` [ny, nx] as rings of the ``lines``, likeliest first; else why there is none."""
    logs = gaussian_filter(compressed(pattern), 0.7)
    centre = middle_of(logs)
    if not ((centre > 0.0) & (centre < np.array(logs.shape[::-1]) - 1.0)).all():
        return "the middle of the rings is off the pattern"
    polar = _polar(logs, centre)
    radii, significances = _peaks(polar)
    if len(radii) < LEAST_RINGS:
        return f"{len(radii)} rings stand out: too few" if len(radii) else "no rings stand out"
    scales, logs_of = _scales(radii, significances, lines, 0.5 * min(logs.shape))
    readings = []
    for scale, weight in zip(scales, logs_of, strict=True):
        measured = _fitted(polar, centre, radii, scale, lines)
        if measured is not None and _chance(radii, measured, lines) < math.log(CHANCE):
            readings.append((weight, measured))
    if not readings:
        return "the rings are not those of the specimen"
    shares = softmax([weight for weight, _ in readings])
    result = [measured._replace(weight=float(share)) for share, (_, measured) in zip(shares, readings, strict=True)]
    return sorted(
        (measured for measured in result if measured.weight > MIN_WEIGHT), key=lambda measured: -measured.weight
    )


def middle_of(logs: np.ndarray) -> np.ndarray:
    """The place (x, y) about which a pattern [ny, nx] is most alike on opposite sides."""
    fine = logs - gaussian_filter(logs, 0.05 * min(logs.shape))
    padded = tuple(2 * size for size in logs.shape)
    match = np.fft.irfft2(np.fft.rfft2(fine, padded) ** 2, padded)
    match = gaussian_filter(match, 1.0)
    row, column = np.unravel_index(int(np.argmax(match)), match.shape)
    return 0.5 * np.array([float(column), float(row)])


def _polar(logs: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Mean of each sector [SECTORS, radii]; NaN off the pattern."""
    farthest = float(np.hypot(*np.maximum(centre, np.array(logs.shape[::-1]) - 1.0 - centre)))
    radii = np.arange(0.0, farthest, 1.0 / OVERSAMPLING)
    fine = 8
    angles = 2.0 * np.pi * (np.arange(SECTORS * fine) + 0.5) / (SECTORS * fine)
    at = np.stack([centre[1] + np.sin(angles)[:, None] * radii, centre[0] + np.cos(angles)[:, None] * radii])
    values = map_coordinates(logs, at, order=1, mode="constant", cval=np.nan)
    return values.reshape(SECTORS, fine, -1).mean(axis=1)


def _peaks(polar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radii in pixels of rings and their significances, strongest first."""
    known = np.isfinite(polar).sum(axis=0) >= SECTORS // 4
    end = int(np.argmin(known)) if not known.all() else len(known)
    if end < 40:
        return np.zeros(0), np.zeros(0)
    values = np.nanmean(polar[:, :end], axis=0)
    width = max(9, end // 12) | 1
    fine = gaussian_filter1d(values, 1.5) - median_filter(values, width, mode="nearest")
    sectors = polar[:, :end] - median_filter(polar[:, :end], (1, width), mode="nearest")
    # a ring is there in all sectors, spots are in a few
    count = np.isfinite(sectors).sum(axis=0)
    spread = (
        1.4826 * np.nanmedian(np.abs(sectors - np.nanmedian(sectors, axis=0)), axis=0) / np.sqrt(np.maximum(count, 1))
    )
    level = 1.4826 * float(np.median(np.abs(fine - np.median(fine))))
    significance = np.nanmedian(sectors, axis=0) / np.hypot(gaussian_filter1d(spread, 4.0), 0.3 * level)
    peak = np.zeros(end, bool)
    peak[2:-2] = (fine[2:-2] > fine[1:-3]) & (fine[2:-2] >= fine[3:-1]) & (significance[2:-2] > THRESHOLD)
    peak[: 4 * OVERSAMPLING] = False
    index = np.flatnonzero(peak)
    index = index[np.argsort(-significance[index])][:MAX_RINGS]
    bend = fine[index - 1] - 2.0 * fine[index] + fine[index + 1]
    shift = np.where(bend < 0.0, 0.5 * (fine[index - 1] - fine[index + 1]) / np.minimum(bend, -1e-12), 0.0)
    return (index + shift) / OVERSAMPLING, significance[index]


def _scales(radii: np.ndarray, significances: np.ndarray, lines: Lines, half: float) -> tuple[list[float], list[float]]:
    """Scales (1/angstrom in a pixel) at which rings are lines, with the logarithm of their plausibility."""
    strength = np.minimum(significances / THRESHOLD, 4.0)
    scored: list[tuple[float, float]] = []
    for scale in SCALES:
        distance = np.abs(np.log(scale * radii[:, None] / lines.frequencies[None]))
        nearest = np.argmin(distance, axis=1)
        near = distance[np.arange(len(radii)), nearest]
        matched = near < TOLERANCE
        if matched.sum() < LEAST_RINGS or strength[matched].sum() < LEAST_SHARE * strength.sum():
            continue
        # lines that lie close are met by chance
        density = len(lines.frequencies) * 2.0 * TOLERANCE / np.log(lines.frequencies[-1] / lines.frequencies[0])
        gain = (
            strength[matched] * (np.log(1.0 / min(density, 0.9)) - 0.5 * (near[matched] / (0.3 * TOLERANCE)) ** 2)
        ).sum()
        inside = (lines.frequencies > scale * radii.min() * 0.97) & (
            lines.frequencies < scale * min(radii.max(), half) * 1.03
        )
        seen = np.isin(np.arange(len(lines.frequencies)), nearest[matched])
        missed = (inside & ~seen & (lines.intensities > EXPECTED)).sum() + 2.0 * (
            (lines.frequencies < scale * radii.min() * 0.97) & (lines.intensities > EXPECTED)
        ).sum()
        scored.append((float(scale), float(gain - SPURIOUS * strength[~matched].sum() - MISSED * missed)))
    scored.sort(key=lambda pair: -pair[1])
    chosen: list[tuple[float, float]] = []
    for scale, weight in scored:
        if all(abs(np.log(scale / other)) > 0.02 for other, _ in chosen):
            chosen.append((scale, weight))
        if len(chosen) == 5:
            break
    return [scale for scale, _ in chosen], [weight for _, weight in chosen]


def _chance(radii: np.ndarray, measured: Rings, lines: Lines) -> float:
    """Logarithm of the probability that rings at random would match the lines as well at some scale."""
    offsets = np.abs(0.5 * measured.mean.sum() + np.log(measured.radii[:, None] / lines.frequencies[None])).min(axis=1)
    density = len(lines.frequencies) / math.log(lines.frequencies[-1] / lines.frequencies[0])
    # one ring fixes the scale, in as many ways as there are rings and lines
    single = np.sort(np.log(np.minimum(density * 2.0 * np.hypot(offsets, PRECISE), 1.0)))
    return float(single[:-1].sum()) + math.log(len(radii) * len(lines.frequencies))


def _fitted(polar: np.ndarray, centre: np.ndarray, radii: np.ndarray, scale: float, lines: Lines) -> Rings | None:
    """kx, ky and the middle by the radii of matched rings in each sector."""
    distance = np.abs(np.log(scale * radii[:, None] / lines.frequencies[None]))
    nearest = np.argmin(distance, axis=1)
    matched = distance[np.arange(len(radii)), nearest] < TOLERANCE
    values, total = np.array([np.log(scale), np.log(scale), 0.0, 0.0]), np.zeros((4, 4))
    for _ in range(PASSES):  # windows follow the ellipse that was found
        at, target = _places(polar, radii, matched, lines.frequencies[nearest], values)
        fitted = _ellipse(at, target, values) if len(at) >= LEAST_SECTORS else None
        if fitted is None:
            return None
        values, total = fitted
    return Rings(values[:2], total[:2, :2], 1.0, int(matched.sum()), centre + values[2:], radii[matched])


def _places(
    polar: np.ndarray, radii: np.ndarray, matched: np.ndarray, frequencies: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places [n, 2] (x, y) of the matched rings in the sectors, from the middle that the sectors have, and the frequencies [n] of their lines."""
    places, targets = [], []
    for radius, frequency in zip(radii[matched], frequencies[matched], strict=True):
        gap = np.abs(radii - radius)
        width = max(2.0, min(0.04 * radius, 0.4 * float(gap[gap > 0.0].min(initial=np.inf))))
        for sector in range(SECTORS):
            angle = 2.0 * np.pi * (sector + 0.5) / SECTORS
            direction = np.array([np.cos(angle), np.sin(angle)])
            expected = frequency / float(np.hypot(*(np.exp(values[:2]) * direction))) + float(values[2:] @ direction)
            measured = _ring_in(polar[sector], expected, width)
            if measured is not None:
                places.append(measured * direction)
                targets.append(frequency)
    return np.array(places).reshape(-1, 2), np.array(targets)


def _ellipse(at: np.ndarray, target: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(log kx, log ky, x, y of the middle) [4] and covariance for places ``at`` [n, 2] of frequencies ``target`` [n]: target^2 = (kx dx)^2 + (ky dy)^2.

    A shear is left as the projector's distortion.
    """
    values = start
    kept = np.ones(len(at), bool)
    jacobian, residual = np.zeros((0, 4)), np.zeros(0)
    for _ in range(8):
        k = np.exp(values[:2])
        offset = at - values[2:]
        parts = (k * offset) ** 2 / target[:, None] ** 2
        residual = 0.5 * (1.0 - parts.sum(axis=1))
        jacobian = np.concatenate([parts, -(k**2) * offset / target[:, None] ** 2], axis=1)
        spread = 1.4826 * float(np.median(np.abs(residual[kept] - np.median(residual[kept])))) + 1e-9
        kept = np.abs(residual) < 4.0 * spread
        if kept.sum() < LEAST_SECTORS:
            return None
        values = values + np.linalg.lstsq(jacobian[kept], residual[kept], rcond=None)[0]
    jacobian, residual = jacobian[kept], residual[kept]
    variance = max(float((residual**2).sum() / (len(residual) - 4)), 1e-12)
    outer = jacobian[:, :, None] * jacobian[:, None, :] / variance
    total, _ = covariance(jacobian * residual[:, None] / variance, outer, np.zeros((4, 4)))
    return values, total


def _ring_in(sector: np.ndarray, radius: float, width: float) -> float | None:
    """Radius of the ring in one sector near ``radius``: centre of mass of what stands over the line between the ends of a window."""
    low, high = round((radius - width) * OVERSAMPLING), round((radius + width) * OVERSAMPLING)
    if low < 0 or high >= len(sector):
        return None
    values = sector[low : high + 1]
    if not np.isfinite(values).all():
        return None
    base = np.linspace(values[:2].mean(), values[-2:].mean(), len(values))
    over = np.maximum(values - base, 0.0)
    top = int(np.argmax(over))
    if over[top] <= 0.0 or top in (0, len(values) - 1):
        return None
    return float((over * np.arange(low, high + 1)).sum() / over.sum()) / OVERSAMPLING
