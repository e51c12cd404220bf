"""Where the edge of a disk is, sector by sector: levels and slopes inside and outside of their own, an edge of common width between, by counts."""

from typing import NamedTuple

import numpy as np
from scipy.special import erfc

STEPS = 8
"""Steps of Fisher scoring for each width."""
ARC = 4.0
"""Length of a sector along the edge in pixels, at least."""
BAND = 0.2
"""Half the width of the ring that is looked at, as a share of the radius (6 pixels at least)."""


class Edges(NamedTuple):
    """``azimuth`` [s] in radian, ``place`` [s] (distance from the centre, pixels) and its ``variance`` [s]; the common rms ``width`` and its std; the
    share of the edge that was usable (``arc``), counts' variance over their mean (``dispersion``), and the ``model`` [ny, nx] (NaN off the ring)."""

    azimuth: np.ndarray
    place: np.ndarray
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
    sectors = int(np.clip(2.0 * np.pi * radius / ARC, 16, 180))
    which = np.minimum(((azimuth + np.pi) / (2.0 * np.pi) * sectors).astype(int), sectors - 1)
    half = max(BAND * radius, 6.0)
    ring = known & (np.abs(distance - oval) < half)
    off, counts, member = (distance - oval)[ring], np.maximum(filled[ring], 0.0), which[ring]
    # a sector counts if its ring is in the frame on both sides of the edge
    wanted = 2.0 * half * 2.0 * np.pi * radius / sectors
    whole = np.bincount(member, minlength=sectors) > 0.7 * wanted
    for side in (off > 0.3 * half, off < -0.3 * half):
        whole &= np.bincount(member[side], minlength=sectors) > 0.1 * wanted
    tried = width * np.array([0.7, 1.0, 1.4])
    for _ in range(4):
        fits = [_scored(off, counts, member, sectors, float(one), half, whole) for one in tried]
        cost = np.array([one[0] for one in fits])
        bend = (cost[0] - 2.0 * cost[1] + cost[2]) / np.log(1.4) ** 2
        slope = (cost[2] - cost[0]) / (2.0 * np.log(1.4))
        move = np.clip(-slope / bend, -0.7, 0.7) if bend > 0 else -0.7 * np.sign(slope)
        centre = float(np.clip(tried[1] * np.exp(move), 0.25, half / 2.0))
        if abs(np.log(centre / tried[1])) < 0.02:
            break
        tried = centre * np.array([0.7, 1.0, 1.4])
    cost, values, variance, model, mean_squares = _scored(off, counts, member, sectors, centre, half, whole)
    inside, outside = values[:, 1], values[:, 0]
    usable = whole & (inside > 1.2 * outside) & np.isfinite(variance) & (np.abs(values[:, 3]) < 0.8 * half)
    dispersion = max(mean_squares, 1e-6)
    usable &= variance * dispersion < (0.5 * half) ** 2
    middle = (np.arange(sectors) + 0.5) / sectors * 2.0 * np.pi - np.pi
    place = radius * (1.0 + a * np.cos(2.0 * middle) + b * np.sin(2.0 * middle)) + values[:, 3]
    picture = np.full(filled.shape, np.nan)
    picture[ring] = np.where(whole[member], model, np.nan)
    width_std = centre * np.sqrt(dispersion / bend) if bend > 0 else half
    return Edges(
        middle[usable],
        place[usable],
        variance[usable] * dispersion,
        centre,
        float(width_std),
        float(usable.mean()),
        dispersion,
        picture,
    )


def _scored(
    off: np.ndarray, counts: np.ndarray, member: np.ndarray, sectors: int, width: float, half: float, whole: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, float]:
    """Minus log likelihood at ``width``, (outside, inside, slope inside, place, slope outside) [s, 5], variance of the place [s], model [n] and the
    mean square in sigmas."""

    def summed(of: np.ndarray) -> np.ndarray:
        return np.bincount(member, of, sectors)

    far = np.abs(off) > 0.3 * half
    levels = [
        summed(counts * side) / np.maximum(summed(side * 1.0), 1.0) for side in (far & (off > 0), far & (off < 0))
    ]
    values = np.stack([levels[0] + 0.01, levels[1] + 0.02, *np.zeros((3, sectors))], axis=1)
    least = 0.02 + 0.002 * float(counts.mean())
    variance, model = np.full(sectors, np.inf), counts
    for _ in range(STEPS):
        outside, inside, slope, place, beyond = values[member].T
        step = 0.5 * erfc((off - place) / (np.sqrt(2.0) * width))
        # the slope is of what is inside, as seen from the edge inwards
        depth = np.minimum(off - place, 0.0) / half
        rest = np.maximum(off - place, 0.0) / half
        lift = inside * (1.0 + slope * depth) - outside * (1.0 + beyond * rest)
        model = np.maximum(outside * (1.0 + beyond * rest) + lift * step, least)
        bell = np.exp(-0.5 * ((off - place) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)
        columns = np.stack(
            [
                (1.0 + beyond * rest) * (1.0 - step),
                (1.0 + slope * depth) * step,
                inside * depth * step,
                lift * bell
                - (inside * slope * step * (off < place) + outside * beyond * (1.0 - step) * (off > place)) / half,
                outside * rest * (1.0 - step),
            ]
        )
        weight = 1.0 / model
        normal = np.empty((sectors, 5, 5))
        for i in range(5):
            for j in range(i, 5):
                normal[:, i, j] = normal[:, j, i] = summed(columns[i] * columns[j] * weight)
        right = np.stack([summed(column * (counts - model) * weight) for column in columns], axis=1)
        # slopes of more than the level across the ring are not edges of disks; weak priors keep empty sectors in hand
        for one in (2, 4):
            normal[:, one, one] += 4.0
            right[:, one] -= 4.0 * values[:, one]
        normal[:, 3, 3] += 1.0 / half**2
        right[:, 3] -= values[:, 3] / half**2
        normal[:, 0, 0] += 1e-6
        normal[:, 1, 1] += 1e-6
        step_to = np.linalg.solve(normal, right[..., None])[..., 0]
        step_to[:, 3] = np.clip(step_to[:, 3], -0.25 * half, 0.25 * half)
        step_to[:, [2, 4]] = np.clip(step_to[:, [2, 4]], -0.5, 0.5)
        values = values + step_to
        values[:, :2] = np.maximum(values[:, :2], 1e-3)
        values[:, 3] = np.clip(values[:, 3], -half, half)
        values[:, [2, 4]] = np.clip(values[:, [2, 4]], -0.9, 0.9)
        variance = np.linalg.inv(normal)[:, 3, 3]
    use = whole[member]
    cost = float((model - counts * np.log(model))[use].sum())
    freedom = max(int(use.sum()) - 5 * int(whole.sum()), 1)
    squares = float(((counts - model) ** 2 / model)[use].sum() / freedom)
    return cost, values, variance, model, squares
