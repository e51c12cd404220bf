"""The ring of the first-order Laue zone of a crystal along a zone axis, and the wavelength that follows from its radius.

Reciprocal layers along the beam are H = 1 / period apart. The Ewald sphere cuts the first one in a circle of the transverse frequency G with
G^2 + H^2 = 2 H / wavelength. The scale of G comes from the zero-order reflections of the same pattern, so that neither pixel nor camera length is needed.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates, percentile_filter

from reconstruct.measurement.diffraction.indexing import POTENTIAL_EXPONENT
from reconstruct.measurement.diffraction.spots import compressed

SLOWEST, FASTEST = 0.0859, 0.0164
"""Wavelengths in angstrom between which the ring is looked for: 20 and 400 kV."""
LEAST_FREQUENCY = 1.5
"""1/angstrom from which a ring is looked for: farther in there are zero-order reflections, and rings of polycrystals."""
SECTORS, SAMPLES = 24, 720
"""Sectors of the azimuth that show the ring by themselves, and azimuths of the polar image."""
LEAST_SECTORS = 0.75
"""Share of the sectors that must lie within the pattern."""
WIDTH = 0.008
"""Relative rms width of a ring: beams of different binding in the crystal make circles of slightly different size."""
BESIDE = 6.0
"""Widths on either side of which the level is taken."""
CLIPPED = 4.0
"""Standard deviations up to which a sector counts, so that no bright spot makes a ring."""
LEAST_SCORE, LEAST_SHARE, SEEN = 9.0, 0.5, 1.5
"""Standard deviations of the mean over the sectors from which there is a ring, and share of sectors that must show it by as many of their own."""
GAP, DARK = (0.7, 0.88), 0.5
"""Radii inside of a ring, as shares of its own, where the zero-order reflections have ended: the contrast there, at most, as a share of the ring's."""
RIVAL = 0.6
"""Share of the best score from which another radius is a ring, too, or the pattern has no single one."""
LARGEST_SHIFT, SHIFTS = 0.06, 9
"""Distance of the ring's centre from the direct beam that is looked through (the crystal is tilted), as a share of the radius, and its steps each way."""
BINDING = 1.0e-3, 0.8e-3
"""Angstrom by which the ring is smaller than by the formula, over protons an angstrom of the heaviest columns, and rms: electrons bound to columns have a
larger wave number along them (multislice of Al, Si, GaAs, SrTiO3 and Au along [001] or [110], 80 to 300 kV: 0.5e-3 to 1.3e-3 on average; up to 1.6e-3 where the
ring splits and its inner part is the brighter one)."""
COLUMN = 0.5
"""Angstrom across the beam within which atoms are one column."""
ORDERS = 0.2
"""Strength of the first zone over that of the second from which the first ring seen is that of the first zone."""

LARGEST_FRACTION, HIGHEST_INDEX, TOLERANCE = 6, 8, 1e-3
"""Parts of c that are tried as period, indices across the beam over which the strength of a zone is taken, and share of a side by which places may
differ."""


def layer_spacing(atoms: Any) -> float | None:
    """H in 1/angstrom of a cell whose c is along the beam; None where the first zone is so weak that the first ring may be that of the second."""
    places = np.asarray(atoms.get_scaled_positions(), float)
    numbers, count = np.asarray(atoms.numbers, float), 1
    for parts in range(2, LARGEST_FRACTION + 1):
        moved = places + np.array([0.0, 0.0, 1.0 / parts])
        apart = np.abs((moved[:, None] - places[None] + 0.5) % 1.0 - 0.5).max(axis=-1)
        count = parts if ((apart < TOLERANCE) & (numbers[:, None] == numbers[None])).any(axis=1).all() else count
    across = np.array([(h, k) for h in range(HIGHEST_INDEX) for k in range(-HIGHEST_INDEX, HIGHEST_INDEX)], float)
    strengths = []
    for zone in (1, 2):
        phases = across @ places[:, :2].T + zone * count * places[:, 2]
        strengths.append(float((np.abs(np.exp(2j * np.pi * phases) @ numbers**POTENTIAL_EXPONENT) ** 2).mean()))
    return count / float(atoms.cell.array[2, 2]) if strengths[0] > ORDERS * strengths[1] else None


BEYOND = "the pattern ends before any ring of the first-order Laue zone"
"""Why there is none in most patterns."""


def column_strength(atoms: Any) -> float:
    """Protons an angstrom in the heaviest column along c of a cell whose c is along the beam."""
    cell = np.asarray(atoms.cell.array, float)
    places = np.asarray(atoms.get_scaled_positions(), float)[:, :2]
    apart = (places[:, None] - places[None] + 0.5) % 1.0 - 0.5
    near = np.linalg.norm(apart @ cell[:2, :2], axis=-1) < COLUMN
    return float((near @ np.asarray(atoms.numbers, float)).max() / cell[2, 2])


class LaueRing(NamedTuple):
    """``radius`` G in 1/angstrom with its rms ``error`` by the scatter of the sectors; ``centre`` (x, y) in pixels; ``score``: standard deviations by which the
    ring stands out."""

    radius: float
    error: float
    centre: tuple[float, float]
    score: float


class _Polar(NamedTuple):
    """``excess`` [radii, sectors] over the level on either side in standard deviations, NaN off the pattern; ``contrast`` [radii, sectors]: the same in the
    logarithm, 0 off the pattern; ``radii`` in 1/angstrom."""

    excess: np.ndarray
    contrast: np.ndarray
    radii: np.ndarray


def find_laue_ring(pattern: np.ndarray, beam: np.ndarray, sides: np.ndarray, spacing: float) -> LaueRing | str:
    """The ring of layers ``spacing`` (1/angstrom) apart in ``pattern`` [ny, nx], or why there is none.

    ``beam`` (x, y) is the place of the direct beam, ``sides`` (kx, ky) in 1/angstrom are those of the pixels.
    """
    low, high = (math.sqrt(max(2.0 * spacing / length - spacing**2, 0.0)) for length in (SLOWEST, FASTEST))
    polar = _polar(compressed(pattern), beam, sides, max(low, LEAST_FREQUENCY), high)
    if polar is None:
        return BEYOND
    scores, shares, shifts = _scores(polar)
    rings = np.where((shares >= LEAST_SHARE) & (polar.radii >= LEAST_FREQUENCY), scores, 0.0)
    if rings.max() < LEAST_SCORE:
        return "no ring of the first-order Laue zone stands out"
    # zero-order reflections may make rings, too, but with others inside; rings of higher zones lie farther out
    candidates = [int(index) for index in np.nonzero(rings > max(LEAST_SCORE, RIVAL * rings.max()))[0]]
    strong = [index for index in candidates if _dark_inside(polar, index)]
    if not strong:
        return "no ring of the first-order Laue zone stands out from the zero-order reflections"
    inner = [index for index in strong if polar.radii[index] < (1.0 + LARGEST_SHIFT) * polar.radii[strong[0]]]
    best = max(inner, key=lambda index: rings[index])
    ring = _placed(polar, best, shifts[best], beam, sides, float(rings[best]))
    length = 2.0 * spacing / (ring.radius**2 + spacing**2)
    zones = np.arange(1.0, 1.0 / (length * spacing))
    squares = 2.0 * zones * spacing / length - (zones * spacing) ** 2
    off = np.abs(polar.radii[:, None] / np.sqrt(squares) - 1.0).min(axis=1)
    other = (off > LARGEST_SHIFT + BESIDE * WIDTH) & (polar.radii > GAP[0] * ring.radius)
    if scores[other].max(initial=0.0) > RIVAL * rings[best]:
        return "what stands out is no single ring"
    return ring


def wavelengths(ring: LaueRing, spacing: float, column: float, disk: float, shift: float) -> tuple[float, float]:
    """Logarithm of the wavelength (angstrom) of a ring of layers ``spacing`` apart, and its rms error but for that of the scale.

    ``column``: protons an angstrom of the heaviest columns. ``disk``: radius of the disks of the beam in 1/angstrom, ``shift`` of the ring's centre from the
    direct beam: both make the ring larger. Whether a camera shows sines or tangents of angles is not known: the mean is taken, with half the difference
    as error.
    """
    radius = ring.radius / (1.0 - BINDING[0] * column)
    squares = radius**2 - 0.5 * disk**2 - shift**2
    as_sine = 2.0 * spacing / (squares + spacing**2)
    as_tangent = _from_tangent(math.sqrt(squares), spacing)
    relative = math.hypot(ring.error / ring.radius, BINDING[1] * column, 0.25 * disk**2 / radius**2)
    error = math.hypot(2.0 * relative, 0.5 * math.log(as_tangent / as_sine))
    return 0.5 * (math.log(as_sine) + math.log(as_tangent)), error


def _from_tangent(radius: float, spacing: float) -> float:
    """The wavelength from tan(angle) = wavelength radius and 1 - cos(angle) = wavelength spacing, by the tangent of half the angle."""
    half = spacing / radius
    for _ in range(20):
        half = spacing / radius * (1.0 + half**2) / (1.0 - half**2)
    return 2.0 * half**2 / ((1.0 + half**2) * spacing)


def _polar(logs: np.ndarray, beam: np.ndarray, sides: np.ndarray, low: float, high: float) -> _Polar | None:
    """The excess of sectors over radii from ``low`` to ``high`` about the beam; None where too little of the pattern lies there."""
    step = float(np.sqrt(sides[0] * sides[1]))
    margin = 1.0 - LARGEST_SHIFT - 2.0 * BESIDE * WIDTH
    radii = np.arange(low * margin, high * (2.0 - margin), step)
    azimuths = 2.0 * np.pi * (np.arange(SAMPLES) + 0.5) / SAMPLES
    columns = beam[0] + radii[:, None] * np.cos(azimuths) / sides[0]
    rows = beam[1] + radii[:, None] * np.sin(azimuths) / sides[1]
    values = map_coordinates(logs, [rows, columns], order=1, mode="constant", cval=np.nan)
    sectors = values.reshape(len(radii), SECTORS, -1).mean(axis=-1)
    inside = np.isfinite(sectors)
    enough = np.nonzero(inside.mean(axis=1) >= LEAST_SECTORS)[0]
    if not len(enough) or radii[enough[-1]] < 1.05 * low:
        return None
    last = int(enough[-1]) + 1
    return _excess(sectors[:last], inside[:last], radii[:last], step)


def _excess(sectors: np.ndarray, inside: np.ndarray, radii: np.ndarray, step: float) -> _Polar:
    """What a ring has over the running median along the radius, which keeps slopes and edges, in standard deviations of the sectors at such radii."""
    width = max(1.0, WIDTH * float(np.median(radii)) / step)
    known = inside.astype(float)
    smooth = gaussian_filter1d(np.where(inside, sectors, 0.0), width, axis=0, mode="nearest")
    smooth = smooth / np.maximum(gaussian_filter1d(known, width, axis=0, mode="nearest"), 1e-6)
    window = 2 * round(BESIDE * width) + 1
    excess = smooth - percentile_filter(smooth, 50, size=(window, 1), mode="nearest")
    # noise by second differences between samples that share no pixel; a median leaves none of it where the intensity falls steadily
    filled = np.pad(np.where(inside, sectors, np.nan), ((2, 2), (0, 0)), mode="edge")
    differences = filled[:-4] - 2.0 * filled[2:-2] + filled[4:]
    noise = 1.4826 * np.nanmedian(np.abs(differences), axis=1) / math.sqrt(6.0 * 2.0 * math.sqrt(math.pi) * width)
    spread = np.maximum(noise, 1.4826 * np.median(np.abs(excess), axis=1))
    spread = percentile_filter(spread, 50, size=2 * window + 1, mode="nearest")
    excess = np.where(inside, excess, np.nan)
    return _Polar(excess / np.maximum(spread, 1e-9)[:, None], np.nan_to_num(excess), radii)


def _scores(polar: _Polar) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each radius the best score over all shifts of the centre [radii], the share of sectors that show it [radii], and these shifts (x, y) as shares of
    the radius [radii, 2]."""
    count, sectors = polar.excess.shape
    azimuths = 2.0 * np.pi * (np.arange(sectors) + 0.5) / sectors
    clipped = np.clip(polar.excess, -CLIPPED, CLIPPED)
    best, shares, shifts = np.zeros(count), np.zeros(count), np.zeros((count, 2))
    ticks = np.linspace(-LARGEST_SHIFT, LARGEST_SHIFT, 2 * SHIFTS + 1)
    step = polar.radii[1] - polar.radii[0]
    for x in ticks:
        for y in ticks[np.hypot(x, ticks) <= LARGEST_SHIFT + 1e-9]:
            at = polar.radii[:, None] * (1.0 + x * np.cos(azimuths) + y * np.sin(azimuths))
            rows = np.round((at - polar.radii[0]) / step).astype(int)
            valid = (rows >= 0) & (rows < count)
            taken = np.where(valid, clipped[np.clip(rows, 0, count - 1), np.arange(sectors)], np.nan)
            known = np.isfinite(taken)
            number = known.sum(axis=1)
            seen = (np.where(known, taken, -np.inf) > SEEN).sum(axis=1)
            score = np.where(known, taken, 0.0).sum(axis=1) / np.sqrt(np.maximum(number, 1))
            score[number < LEAST_SECTORS * sectors] = 0.0
            better = score > best
            best[better], shifts[better] = score[better], (x, y)
            shares[better] = (seen / np.maximum(number, 1))[better]
    return best, shares, shifts


def _dark_inside(polar: _Polar, index: int) -> bool:
    """Whether the reflections just inside of the ring at ``index`` are weaker than the ring: zero-order ones become weaker outwards."""
    share = polar.radii / polar.radii[index]
    inside, ring = (share > GAP[0]) & (share < GAP[1]), np.abs(share - 1.0) < LARGEST_SHIFT
    if not inside.any():
        return False
    brightest = [np.nanmean(np.where(part[:, None], polar.contrast, -np.inf).max(axis=0)) for part in (inside, ring)]
    return bool(brightest[0] < DARK * brightest[1])


def _placed(
    polar: _Polar, index: int, shift: np.ndarray, beam: np.ndarray, sides: np.ndarray, score: float
) -> LaueRing:
    """The circle through the brightest radii of the sectors near the best one, by least squares with a robust weight."""
    sectors = polar.excess.shape[1]
    azimuths = 2.0 * np.pi * (np.arange(sectors) + 0.5) / sectors
    radius = float(polar.radii[index])
    design = np.stack([np.ones(sectors), np.cos(azimuths), np.sin(azimuths)], axis=1)
    circle = radius * np.array([1.0, *shift])
    for _ in range(4):
        expected = design @ circle
        near = np.abs(polar.radii[:, None] - expected) < 3.0 * WIDTH * radius
        weight = np.where(near & np.isfinite(polar.excess), np.maximum(polar.excess, 0.0), 0.0)
        total = weight.sum(axis=0)
        middle = (weight * polar.radii[:, None]).sum(axis=0) / np.maximum(total, 1e-9)
        share = np.minimum(total, 3.0 * np.median(total)) * (total > 0.0)
        root = np.sqrt(share)
        circle = np.linalg.lstsq(design * root[:, None], middle * root, rcond=None)[0]
    scatter = float(np.sqrt((share * (middle - design @ circle) ** 2).sum() / share.sum()))
    centre = beam + circle[1:] / sides
    error = scatter / math.sqrt(sectors - 3)
    return LaueRing(float(circle[0]), error, (float(centre[0]), float(centre[1])), score)
