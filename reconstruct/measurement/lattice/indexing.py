"""Which reflections of a known crystal the spots of an image are: all readings that the prior allows, with their evidence.

The map M takes pixels to angstrom, L has the crystal's periods as columns, B = L^-1 M. The reflection h has the frequency k = B^T h in cycles per pixel, and
is seen at k plus any whole numbers: an image of pixels too large for it shows it folded. Readings that differ by such whole numbers give the same image at
all pixels, and only the prior tells them apart; others differ in the amplitudes that their reflections should have.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.lattice.spots import (
    MATCH_BINS,
    MIN_POWER_SHARE,
    SPOT_THRESHOLD,
    Spectrum,
    Spots,
    local_maximum,
    rotation_angle,
    second_rows,
    small_reflections,
    upper_factor,
)
from reconstruct.measurement.projection import Projection

MAX_INDEX, MAX_FOLDED_INDEX = 4, 2
"""Largest index of a reflection that the two strongest spots may be, seen where it is or folded."""
PRIOR_SPREADS, PRIOR_SKEWS = 3.0, 6.0
"""How far from the prior, in its standard deviations of size and of squareness, readings are looked for."""
MAX_READINGS = 200
LEAST_SHARE = 0.3
"""Share of the spots' power from which a reading is looked at further."""
MAX_SECONDS, GOOD_SHARE = 4, 0.9
"""Spots tried as the strongest of a second row, until a reading explains this share of the spots' power."""
FOLD_BINS = 3.0
"""Frequency bins by which reflections must lie apart to be told from one another."""
SLOW = 0.45
"""Share of the slowest reflection's frequency below which spots are not of a lattice."""
FOLDED_REACH = 3.2
"""How many times the second slowest reflection the reflections are that may be seen folded."""
NEAR_SHARE = 0.3
"""Share of the distance between neighbouring reflections within which a spot is at one: in an image of few periods any place is within `MATCH_BINS` of one."""
DAMPINGS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Exponents by which the probe may damp the farthest reflection."""
AMPLITUDE_ERROR, AMPLITUDE_FLOOR = 0.25, 0.07
"""Errors of expected amplitudes: a share of each (channelling, contrast of the elements), and one of the largest."""


class Indexing(NamedTuple):
    """A reading: ``lattice`` B [2, 2]; the reflections ``indices`` [2, 2] (rows) that the two strongest rows of spots are, at whole numbers
    ``folds`` [2, 2] off; how alike measured and expected amplitudes are (``likeness``, 1 is best), and the share of power that it ``explained``; logarithms of
    the ``prior`` and of the ``evidence`` of the amplitudes."""

    lattice: np.ndarray
    indices: np.ndarray
    folds: np.ndarray
    likeness: float
    explained: float
    prior: float
    evidence: float

    @property
    def log_weight(self) -> float:
        """Logarithm of its weight."""
        return self.prior + self.evidence


def index_spots(
    spectrum: Spectrum,
    spots: Spots,
    crystal: Projection,
    claimed: float,
    spread: float,
    skew: float,
    amplitude_error: float = AMPLITUDE_ERROR,
) -> list[Indexing]:
    """Readings of the spots as the reflections of ``crystal`` (primitive), likeliest first, one for each map that its symmetry does not make another.

    Only maps within `PRIOR_SPREADS` of the ``claimed`` angstrom per pixel and `PRIOR_SKEWS` of square are considered. The crystal may be seen from behind
    (det B below 0), which is as likely beforehand, unless a mirror line makes that the same.
    """
    maximum = local_maximum(spectrum.relative)
    best: list[Indexing] = []
    # the second strongest may be a harmonic of the first, folded off its row, or of something else
    for second in second_rows(spots, spectrum.relative.shape)[:MAX_SECONDS]:
        seen = spots.frequencies[[0, second]]
        readings: list[Indexing] = []
        for indices, folds in _distinct(_candidates(seen, crystal, claimed, spread, skew), seen, crystal):
            lattice = np.linalg.solve(indices, seen + folds)
            reading = _evaluate(spectrum, maximum, spots, crystal, lattice, amplitude_error)
            prior = log_prior(upper_factor(crystal.vectors @ reading.lattice), claimed, spread, skew)
            readings.append(reading._replace(indices=indices, folds=folds, prior=prior))
        readings = [reading for reading in readings if np.isfinite(reading.log_weight)]
        explained = max((reading.explained for reading in readings), default=0.0)
        if explained > max((reading.explained for reading in best), default=0.0):
            best = readings
        if explained > GOOD_SHARE:
            break
    return sorted(best, key=lambda reading: reading.log_weight, reverse=True)


def _distinct(
    candidates: list[tuple[np.ndarray, np.ndarray]], seen: np.ndarray, crystal: Projection
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of ``candidates`` those whose maps the crystal's symmetry does not make the same, `MAX_READINGS` at most."""
    result, previous = [], []
    period = 2.0 * np.pi / crystal.fold()
    for indices, folds in candidates:
        map_ = crystal.vectors @ np.linalg.solve(indices, seen + folds)
        shape, angle, behind = upper_factor(map_), rotation_angle(map_), bool(np.linalg.det(map_) < 0.0)
        if not any(
            behind == other_behind
            and np.abs(shape - other).max() < 2e-3 * shape[0, 0]
            and abs((angle - other_angle + period / 2.0) % period - period / 2.0) < 2e-3
            for other, other_angle, other_behind in previous
        ):
            previous.append((shape, angle, behind))
            result.append((indices, folds))
        if len(result) == MAX_READINGS:
            break
    return result


def log_prior(shape: np.ndarray, claimed: float, spread: float, skew: float) -> float:
    """Logarithm of the prior of a map with the upper triangular factor ``shape`` [2, 2]."""
    pixel_x, pixel_y = np.diag(shape)
    size, ratio, shear = np.log(pixel_x * pixel_y) / 2.0 - np.log(claimed), np.log(pixel_x / pixel_y), shape[0, 1] / pixel_y  # fmt: skip
    return float(-0.5 * ((size / spread) ** 2 + (ratio / skew) ** 2 + (shear / skew) ** 2))


def _candidates(
    seen: np.ndarray, crystal: Projection, claimed: float, spread: float, skew: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of reflections [2, 2] and of folds [2, 2] that the frequencies ``seen`` [2, 2] may have, the squarest maps first."""
    reflections = small_reflections(MAX_INDEX)
    reflections = reflections[crystal.amplitudes(reflections) > 1e-3]
    lengths = np.hypot(*(reflections @ np.linalg.inv(crystal.vectors)).T) * claimed
    steps = np.array([(i, j) for i in range(-2, 3) for j in range(-2, 3)])
    steps = steps[np.argsort(np.abs(steps).sum(axis=1), kind="stable")]
    tolerance = PRIOR_SPREADS * spread + 0.5 * PRIOR_SKEWS * skew
    few: list[tuple[np.ndarray, np.ndarray]] = []
    for frequency in seen:
        true = frequency + steps
        ratio = np.log(np.hypot(*true.T)[None] / lengths[:, None])
        near = (np.abs(ratio) < tolerance) & (
            (np.abs(steps).sum(axis=1) == 0)[None] | (np.abs(reflections).max(axis=1) <= MAX_FOLDED_INDEX)[:, None]
        )
        h, n = np.nonzero(near)
        few.append((reflections[h], steps[n]))
    i, j = (index.ravel() for index in np.meshgrid(np.arange(len(few[0][0])), np.arange(len(few[1][0])), indexing="ij"))
    indices = np.stack([few[0][0][i], few[1][0][j]], axis=1).astype(float)
    folds = np.stack([few[0][1][i], few[1][1][j]], axis=1).astype(float)
    independent = np.abs(np.linalg.det(indices)) > 0.5
    indices, folds = indices[independent], folds[independent]
    if not len(indices):
        return []
    maps = crystal.vectors @ np.linalg.solve(indices, seen + folds)
    stretch = np.linalg.svd(maps, compute_uv=False)
    size = np.log(np.maximum(stretch.prod(axis=1), 1e-300)) / 2.0 - np.log(claimed)
    squareness = np.log(stretch[:, 0] / np.maximum(stretch[:, 1], 1e-300))
    fits = (np.abs(size) < PRIOR_SPREADS * spread) & (squareness < PRIOR_SKEWS * skew)
    if crystal.has_mirror():
        fits &= np.linalg.det(maps) > 0.0
    order = np.flatnonzero(fits)[np.argsort(squareness[fits], kind="stable")]
    return [(indices[k], folds[k]) for k in order]


def reflections_within(lattice: np.ndarray, farthest: float, shape: tuple[int, ...]) -> np.ndarray:
    """Reflections [m, 2], one of each Friedel pair, of frequencies up to ``farthest``, slowest first, of which no two are seen at one place nor at zero."""
    every = small_reflections(12)
    every = every[(every[:, 0] > 0) | ((every[:, 0] == 0) & (every[:, 1] > 0))]
    frequencies = every @ lattice
    lengths = np.hypot(*frequencies.T)
    inside = np.flatnonzero(lengths <= farthest)
    bins = np.array([shape[1], shape[0]])
    chosen: list[int] = []
    taken: list[np.ndarray] = [np.zeros(2)]
    for index in inside[np.argsort(lengths[inside], kind="stable")]:
        k = frequencies[index]
        own = np.hypot(*(_folded(2.0 * k) * bins))  # from its own conjugate
        if own > 2.0 * FOLD_BINS and all(np.hypot(*(_folded(k - other) * bins)) > FOLD_BINS for other in taken):
            chosen.append(int(index))
            taken += [k, -k]
    return every[chosen]


def reach(spots: Spots, lattice: np.ndarray) -> float:
    """The frequency up to which reflections are looked at: a tenth beyond the farthest strong spot, and `FOLDED_REACH` times the second slowest
    reflection at least where reflections within that are folded."""
    strong = spots.powers > MIN_POWER_SHARE * spots.powers[0]
    farthest = 1.1 * float(np.hypot(*spots.frequencies[strong].T).max())
    slow = np.linalg.norm(small_reflections(1) @ lattice, axis=1)
    second = float(np.sort(slow)[2])
    return max(farthest, FOLDED_REACH * second) if second > 1.0 / FOLDED_REACH else farthest


def match_spots(spots: Spots, lattice: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each spot the reflection [n, 2] whose place is nearest, the whole numbers [n, 2] that its frequency is off there, and the distance [n] in bins."""
    limit = 1.3 * reach(spots, lattice)
    every = small_reflections(12)
    frequencies = every @ lattice
    lengths = np.hypot(*frequencies.T)
    inside = np.argsort(lengths, kind="stable")[: max(2, int((lengths <= limit).sum()))]
    every, frequencies = every[inside], frequencies[inside]
    difference = spots.frequencies[:, None] - frequencies[None]
    offset = np.hypot(*np.moveaxis(_folded(difference) * np.array([shape[1], shape[0]]), -1, 0))
    # of reflections seen at one place the slowest
    nearest = np.argmin(offset + 1e-3 * np.arange(len(every)), axis=1)
    rows = np.arange(len(spots.powers))
    folds = np.round(-difference[rows, nearest])
    return every[nearest], folds, offset[rows, nearest]


def _folded(frequencies: np.ndarray) -> np.ndarray:
    return frequencies - np.round(frequencies)


def _refined(spots: Spots, lattice: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """B by least squares through all strong spots within `MATCH_BINS` bins of where it puts them."""
    reflections, folds, distance = match_spots(spots, lattice, shape)
    used = (distance < MATCH_BINS) & (spots.powers > MIN_POWER_SHARE * spots.powers[0])
    if np.linalg.matrix_rank(reflections[used]) < 2:
        return lattice
    return np.linalg.lstsq(reflections[used].astype(float), (spots.frequencies + folds)[used], rcond=None)[0]


def _evaluate(
    spectrum: Spectrum,
    maximum: np.ndarray,
    spots: Spots,
    crystal: Projection,
    lattice: np.ndarray,
    amplitude_error: float,
) -> Indexing:
    ny, nx = shape = spectrum.relative.shape
    lattice = _refined(spots, lattice, shape)
    # slower than the lattice are the edges of what is seen
    slowest = np.hypot(*(small_reflections(1) @ lattice).T).min()
    strong = (spots.powers > MIN_POWER_SHARE * spots.powers[0]) & (np.hypot(*spots.frequencies.T) > SLOW * slowest)
    matched, _, distance = match_spots(spots, lattice, shape)
    spacing = np.hypot(*(small_reflections(1) @ lattice * np.array([nx, ny])).T).min()
    indexed = (distance < min(MATCH_BINS, NEAR_SHARE * spacing)) & (crystal.amplitudes(matched) > 1e-3)
    # hum and vibration put satellites above and below a spot, at the same kx and weaker than it
    beside = np.abs(spots.frequencies[:, None, 0] - spots.frequencies[None, :, 0]) * nx < MATCH_BINS
    satellite = (beside & indexed[None] & (spots.powers[None] > spots.powers[:, None])).any(axis=1)
    explained = float(spots.powers[strong & (indexed | satellite)].sum() / max(spots.powers[strong].sum(), 1e-300))
    farthest = reach(spots, lattice)
    reflections, of_place, places = seen_places(lattice, farthest if explained > LEAST_SHARE else 0.0, shape)
    if len(places) < 2:
        return Indexing(lattice, np.eye(2), np.zeros((2, 2)), 0.0, explained, 0.0, -np.inf)
    column, row = np.round(places * np.array([nx, ny])).astype(int).T
    measured = np.sqrt(np.maximum(maximum[(row + ny // 2) % ny, (column + nx // 2) % nx] - SPOT_THRESHOLD, 0.0))
    amplitudes = np.sqrt(_power_at(spectrum.power, places, spectrum.level))
    noise = float(np.sqrt(25.0 * spectrum.level))
    # how much the probe leaves of a modulation is not known: the size that suits best
    square = (np.hypot(*(reflections @ lattice).T) / farthest) ** 2
    likeness, evidence = 0.0, -np.inf
    for damping in DAMPINGS:
        powers = (crystal.amplitudes(reflections) * np.exp(-damping * square)) ** 2
        expected = np.sqrt(np.bincount(of_place, powers, minlength=len(places)))
        size = np.linalg.norm(measured) * np.linalg.norm(expected)
        likeness = max(likeness, float(measured @ expected / size) if size > 0 else 0.0)
        evidence = max(evidence, _log_evidence(amplitudes, expected, noise, amplitude_error))
    return Indexing(lattice, np.eye(2), np.zeros((2, 2)), likeness, explained, 0.0, evidence)


def seen_places(
    lattice: np.ndarray, farthest: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reflections [m, 2], one of each Friedel pair, of frequencies up to ``farthest``; for each the place [m] at which it is seen; and the frequencies [p, 2]
    of the places. Reflections within `FOLD_BINS` of one another share a place; those seen at zero are left out."""
    every = small_reflections(12)
    every = every[(every[:, 0] > 0) | ((every[:, 0] == 0) & (every[:, 1] > 0))]
    frequencies = every @ lattice
    lengths = np.hypot(*frequencies.T)
    bins = np.array([shape[1], shape[0]])
    places: list[np.ndarray] = []
    chosen, of_place = [], []
    apart = np.zeros(0)
    for index in np.flatnonzero(lengths <= farthest)[np.argsort(lengths[lengths <= farthest], kind="stable")]:
        k = _folded(frequencies[index])
        if np.hypot(*(k * bins)) <= FOLD_BINS:
            continue
        nearest = -1
        if places:
            others = np.array(places)
            apart = np.hypot(*(_folded(k - np.stack([others, -others])) * bins).transpose(2, 0, 1)).min(axis=0)
            nearest = int(np.argmin(apart))
        if not places or apart[nearest] > FOLD_BINS:
            places.append(k)
            nearest = len(places) - 1
        chosen.append(index)
        of_place.append(nearest)
    return every[chosen], np.array(of_place, int), np.array(places).reshape(-1, 2)


def _power_at(power: np.ndarray, places: np.ndarray, level: float) -> np.ndarray:
    """Power [p] over the noise's ``level`` in the 5 x 5 frequencies about each of ``places`` [p, 2] of ``power`` [ny, nx]: each frequency counts for the
    nearest place only, so that no spot is counted twice."""
    ny, nx = power.shape
    centres = np.round(places * np.array([nx, ny])).astype(int)
    step = np.arange(-2, 3)
    patch = np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)
    at = centres[:, None] + patch[None]
    own = np.ones(at.shape[:2], bool)
    size = np.array([nx, ny])
    scaled = places * size
    for index in range(len(places)):
        others = np.concatenate([np.delete(scaled, index, axis=0), -scaled])
        others = others[np.abs(_wrapped(others - scaled[index], size)).max(axis=1) < 6.0]
        if len(others):
            distance = np.hypot(*_wrapped(at[index][:, None] - others[None], size).T).min(axis=0)
            own[index] = np.hypot(*(at[index] - scaled[index]).T) <= distance
    values = power[(at[..., 1] + ny // 2) % ny, (at[..., 0] + nx // 2) % nx]
    return np.maximum(((values - level) * own).sum(axis=1), 0.0)


def _wrapped(difference: np.ndarray, size: np.ndarray) -> np.ndarray:
    """``difference`` [..., 2] of places in bins, on the periodic spectrum of ``size`` bins."""
    return difference - np.round(difference / size) * size


def _log_evidence(measured: np.ndarray, expected: np.ndarray, noise: float, error: float) -> float:
    """Logarithm of the likelihood of amplitudes ``measured`` [m] for those ``expected`` up to a factor, over that for none at all: readings that say nothing of
    a place and those that expect nothing there are then alike."""
    floor = (AMPLITUDE_FLOOR * measured.max()) ** 2 + noise**2
    if measured.max() == 0.0 or expected.max() == 0.0:
        return -np.inf
    best = -np.inf
    for scale in measured.max() / expected.max() * np.geomspace(0.5, 2.0, 15):
        variance = floor + (error * scale * expected) ** 2
        log = -0.5 * (measured - scale * expected) ** 2 / variance - 0.5 * np.log(variance / floor)
        best = max(best, float((log + 0.5 * measured**2 / floor).sum()))
    return best
