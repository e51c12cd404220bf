"""Up the film's likelihood: from starts that need none, with more and more scan frequencies, since it is the low ones that tell far from near."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from reconstruct.measure.film.blocks import KNOTS, Prepared, block, penalty
from reconstruct.measure.film.exposure import Spectra
from reconstruct.measure.film.likelihood import Block, scores
from reconstruct.measure.film.parallax import apart, starts
from reconstruct.measure.prior import Prior
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD

COARSE = 0.3
"""Gain in log posterior below which a climb on few frequencies ends."""
STAGES = (0.25, 0.4)
"""Scan frequencies, in aperture radii, up to which the likelihood is climbed before all of them are used: far fewer know C10 and C12 alone, and leave
the others to chance."""
CANDIDATES = (6, 3)
"""Starts, and how many of them go on to the second stage."""
SETTLING = 6
FEW = 9
"""Pixels below which nothing can be said of how they are shifted against one another."""
AMBIGUOUS = 12.0
"""A second maximum within so much log posterior of the first is kept."""
NOTHING = -40.0
"""Log power of a film that is not there."""
NEAR = 50.0
"""What a mirror image may still gain on being climbed."""


def penalised(prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Precision [n, n] of all parameters and what they are drawn to [n]."""
    n = THIRD + 1 + KNOTS + 1
    precision, centre = np.zeros((n, n)), np.zeros(n)
    precision[:THIRD, :THIRD] = np.linalg.inv(prior.covariance)
    precision[THIRD:, THIRD:] = penalty(prior.thickness)
    centre[:THIRD], centre[THIRD] = prior.mean, prior.thickness[0]
    return precision, centre


@dataclasses.dataclass
class Climb:
    """Where a climb stands: parameters [n], log posterior, score [n] with prior and summed outer products [n, n] of scores by frequency."""

    parameters: np.ndarray
    height: float
    slope: np.ndarray
    outer: np.ndarray


def together(exposures: list[np.ndarray]) -> list[np.ndarray]:
    """Scores or informations [q, ...] by frequency, summed over exposures that scan alike: they share the film's errors."""
    found: dict[int, np.ndarray] = {}
    for one in exposures:
        found[len(one)] = found[len(one)] + one if len(one) in found else one
    return list(found.values())


def standing(blocks: list[Block], parameters: np.ndarray, precision: np.ndarray, centre: np.ndarray) -> Climb:
    where = jnp.asarray(parameters)
    found = [scores(one, where) for one in blocks]
    by_frequency = together([np.asarray(each) for _, each in found])
    off = parameters - centre
    height = sum(float(v) for v, _ in found) - 0.5 * float(off @ precision @ off)
    slope = np.sum([rows.sum(axis=0) for rows in by_frequency], axis=0) - precision @ off
    outer = np.sum([rows.T @ rows for rows in by_frequency], axis=0)
    return Climb(parameters, height, slope, outer)


def _usable(parameters: np.ndarray) -> bool:
    return bool(
        np.isfinite(parameters).all()
        and 1.0 <= parameters[THIRD] <= 1000.0
        and np.abs(parameters[THIRD + 1 :]).max() < 60
    )


def climb(
    blocks: list[Block], start: np.ndarray, precision: np.ndarray, centre: np.ndarray, rounds: int, enough: float = 0.02
) -> Climb:
    """Up the log posterior by scoring with the outer products of the scores (Berndt, Hall, Hall & Hausman 1974), damped after Marquardt."""
    here, damping = standing(blocks, start, precision, centre), 1e-3
    for _ in range(rounds):
        curvature = here.outer + precision
        scale = np.sqrt(np.diag(curvature))
        scaled = curvature / np.outer(scale, scale)
        for _ in range(8):
            step = np.linalg.solve(scaled + damping * np.eye(len(scale)), here.slope / scale) / scale
            there = here.parameters + step
            found = standing(blocks, there, precision, centre) if _usable(there) else None
            if found is not None and np.isfinite(found.height) and found.height > here.height - 1e-3:
                break
            damping = max(10.0 * damping, 1e-2)
        else:
            return here
        damping = max(damping / 10.0, 1e-4)
        gain = found.height - here.height
        here = found
        if gain < enough:
            break
    return here


def _first_power(blocks: list[Block]) -> np.ndarray:
    """Log power [KNOTS] from how much the data have above their noise."""
    have, could, basis = [], [], []
    for part in blocks:
        seen = np.abs(np.asarray(part.z)) ** 2 - 1.0
        have.append(seen.sum(axis=1))
        both = np.asarray(part.bands.lower) ** 2 + np.asarray(part.bands.upper) ** 2
        could.append(both.sum(axis=1))
        basis.append(np.asarray(part.splines))
    have, could, basis = np.concatenate(have), np.concatenate(could), np.concatenate(basis)
    top, bottom = basis.T @ have, basis.T @ could
    value = np.where(bottom > 0, np.maximum(top, 0.02 * np.abs(top).max()) / np.maximum(bottom, 1e-30), np.nan)
    value = np.where(np.isfinite(value) & (value > 0), value, np.nanmedian(value))
    return np.log(np.maximum(value, 1e-12))


def _start(data: list[Prepared], prior: Prior, first: np.ndarray, highest: float) -> np.ndarray:
    """All parameters where C10 and C12 are ``first`` [3], the rest as believed, and the film as strong as it looks."""
    c = np.concatenate([first, prior.mean[3:]])
    blocks = [block(one, c, highest) for one in data]
    return np.concatenate([c, prior.thickness[:1], _first_power(blocks), [0.0]])


def _few_pixels(
    data: list[Prepared], prior: Prior, precision: np.ndarray, centre: np.ndarray, highest: float
) -> np.ndarray:
    """Starts [n, 3] for too few pixels to be shifted against one another: draws from the prior that the lower frequencies like best, apart in C10."""
    generator = np.random.default_rng(0)
    drawn = generator.multivariate_normal(prior.mean[:3], prior.covariance[:3, :3], 150)
    drawn = np.concatenate([prior.mean[None, :3], drawn])
    blocks = [block(one, prior.mean, highest) for one in data]
    base = _start(data, prior, prior.mean[:3], highest)
    heights = [standing(blocks, np.concatenate([one, base[3:]]), precision, centre).height for one in drawn]
    # a point's image is a Thon ring's: its maxima lie side by side in C10
    spacing = np.array([0.25 * np.sqrt(prior.covariance[0, 0]), np.inf, np.inf])
    return apart(drawn, np.array(heights), spacing, CANDIDATES[0])


def searched(
    data: list[Prepared], whole: list[Spectra], prior: Prior, precision: np.ndarray, centre: np.ndarray
) -> list[Climb]:
    """The highest maximum, and its mirror image chi -> -chi where the data hardly tell them apart."""
    radius = data[0].optics.semiangle / wavelength(data[0].optics.energy)
    low, middle = STAGES[0] * radius, STAGES[1] * radius
    half = 2.0 * np.sqrt(np.diag(prior.covariance))[:3]
    second_stage = CANDIDATES[1]
    if min(len(one.spectra.angles) for one in data) < FEW:
        # few pixels' low frequencies hardly tell one start from another
        low, second_stage = middle, CANDIDATES[0]
        found = _few_pixels(data, prior, precision, centre, low)
    else:
        found = starts(whole, data[0].optics, prior.mean[:3], half, CANDIDATES[0])
    climbs: list[Climb] = []
    for first in found:
        start = _start(data, prior, first, low)
        climbs.append(climb([block(one, start[:THIRD], low) for one in data], start, precision, centre, 15, COARSE))
    climbs.sort(key=lambda one: -one.height)
    second = []
    for one in climbs[:second_stage]:
        blocks = [block(each, one.parameters[:THIRD], middle) for each in data]
        second.append(climb(blocks, one.parameters, precision, centre, 15, COARSE))
    best = max(second, key=lambda one: one.height)
    mirror = best.parameters.copy()
    mirror[:THIRD] *= -1.0
    mirror[0] -= best.parameters[THIRD]
    blocks = [block(each, mirror[:THIRD], middle) for each in data]
    other = standing(blocks, mirror, precision, centre)
    if other.height > best.height - AMBIGUOUS - NEAR:
        other = climb(blocks, mirror, precision, centre, 10)
    kept = [best] + ([other] if other.height > best.height - AMBIGUOUS and _distinct(best, other) else [])
    ended = []
    for one in kept:
        # where pixels smear is settled once the coefficients are
        for _ in range(SETTLING):
            blocks = [block(each, one.parameters[:THIRD]) for each in data]
            before, one = one, climb(blocks, one.parameters, precision, centre, 30)
            spread = np.sqrt(np.diag(np.linalg.inv(one.outer + precision)))
            if np.abs((one.parameters - before.parameters) / spread)[:THIRD].max() < 0.05:
                break
        ended.append(one)
    ended.sort(key=lambda one: -one.height)
    return [one for one in ended if one.height > ended[0].height - AMBIGUOUS][
        : len(ended) if _distinct(*ended[:2]) else 1
    ]


def without_film(data: list[Prepared], precision: np.ndarray, centre: np.ndarray) -> float:
    """Log posterior of no film at all, with the noise that is then the likeliest."""
    power = sum(float((np.abs(one.spectra.z) ** 2).sum()) for one in data)
    count = sum(one.spectra.z.size for one in data)
    off = np.zeros(len(centre))
    off[THIRD + 1 : -1], off[-1] = NOTHING - centre[THIRD + 1 : -1], np.log(power / count) - centre[-1]
    return -count * (np.log(power / count) + 1.0) - 0.5 * float(off @ precision @ off)


def _distinct(one: Climb, other: Climb | None = None) -> bool:
    return other is not None and bool(np.abs(one.parameters[:3] - other.parameters[:3]).max() > 1.0)
