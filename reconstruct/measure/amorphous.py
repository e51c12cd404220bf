"""Aberrations to third order from scans of Ronchigrams over an amorphous film whose atoms are not known.

The likelihood is that of `film`: linear in the film, which is integrated out; thickness, power spectrum and noise are fitted along. Starts come
from `parallax`; from each of them the likelihood is climbed by scoring with more and more scan frequencies, since it is the low ones that
tell far from near. Errors are White's (Econometrica 50, 1, 1982): curvature by Fisher's information, spread of the score from frequency to frequency
as the data have it, so what the weak linear model lacks (plural scattering, mostly) widens them.
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from reconstruct.measure.exposure import Exposure, Optics, Spectra, spectra
from reconstruct.measure.film import Block, expected_power, information, scores
from reconstruct.measure.measurement import Component, Measurement, Shown
from reconstruct.measure.parallax import starts
from twin.optics.aberrations import NAMES
from twin.optics.electrons import wavelength
from twin.optics.probe import reach
from twin.optics.weak import THIRD, Sidebands, sidebands, smear

COEFFICIENTS: tuple[str, ...] = tuple(n if len(n) == 3 else f"{n[:3]}.{n[3]}" for n in NAMES[:THIRD])
"""Names of the coefficients to third order as controls and channels have them: C10, C12.a, C12.b, C21.a ..."""
KIND = "amorphous film"
KNOTS = 10
COARSE = 0.3
"""Gain in log posterior below which a climb on few frequencies ends."""
ROUGH = 1.5
"""Prior standard deviation of the second difference of log power from knot to knot."""
STAGES = (0.25, 0.5)
"""Shares of the highest scan frequency up to which the likelihood is climbed before all of them are used."""
CANDIDATES = (6, 3)
"""Starts, and how many of them go on to the second stage."""
LEAST = 48
"""Scan frequencies that a climb takes at least."""
SETTLING = 6
FEW = 9
"""Pixels below which nothing can be said of how they are shifted against one another."""
SEEN = 50.0
"""Log likelihood by which a film must be likelier than none: twice what all that is fitted takes from noise alone."""
AMBIGUOUS = 12.0
"""A second maximum within so much log posterior of the first is kept."""
LEARNT = 0.7
"""A coefficient whose error is above this share of its prior's is called undetermined."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """What is believed beforehand: ``mean`` [12] and ``covariance`` [12, 12] of the COEFFICIENTS in angstrom, the film's ``thickness`` as (mean, standard
    deviation) in angstrom. C10 is that at the film's entrance face."""

    mean: np.ndarray
    covariance: np.ndarray
    thickness: tuple[float, float] = (50.0, 20.0)

    def __post_init__(self):
        if np.shape(self.mean) != (THIRD,) or np.shape(self.covariance) != (THIRD, THIRD):
            raise ValueError(
                f"the prior has mean {np.shape(self.mean)} and covariance {np.shape(self.covariance)}; give [12] and [12, 12], {', '.join(COEFFICIENTS)}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise ValueError("the prior is not finite; give angstroms")
        scale = np.sqrt(np.abs(np.diag(self.covariance)))
        if not (scale > 0).all() or np.linalg.eigvalsh(self.covariance / np.outer(scale, scale)).min() <= 0:
            raise ValueError(
                "the prior's covariance is not positive definite; give what is known exactly a small width"
            )
        if not (self.thickness[0] > 0 and self.thickness[1] > 0):
            raise ValueError(f"the film's thickness is {self.thickness}; give (mean, standard deviation) in angstrom")

    @classmethod
    def independent(
        cls,
        std: Sequence[float | int] | np.ndarray,
        mean: Sequence[float | int] | np.ndarray | None = None,
        thickness: tuple[float, float] = (50.0, 20.0),
    ) -> "Prior":
        """With standard deviations ``std`` [12] in angstrom about ``mean`` [12] (default 0)."""
        middle = np.zeros(THIRD) if mean is None else np.asarray(mean, np.float64)
        return cls(middle, np.diag(np.asarray(std, np.float64) ** 2), thickness)


def splines(q: np.ndarray, optics: Optics) -> np.ndarray:
    """Linear interpolation [q, KNOTS] between knots, evenly over all frequencies that two overlaps can have."""
    length = np.hypot(*q.T) * wavelength(optics.energy) / optics.semiangle
    at = np.linspace(0.0, 2.0, KNOTS)
    return np.maximum(0.0, 1.0 - np.abs(length[:, None] - at[None]) / at[1])


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An exposure's `Spectra` with what of its model no coefficient changes: ``bands`` (float32, the pixels' strength in their weights) and ``splines``."""

    spectra: Spectra
    bands: Sidebands
    splines: np.ndarray
    optics: Optics

    @property
    def lengths(self) -> np.ndarray:
        """|q| of its scan frequencies, rising, [q] in 1/angstrom."""
        return np.hypot(*self.spectra.q.T)


def prepared(one: Spectra, optics: Optics) -> Prepared:
    """The overlaps of an exposure, made once."""
    setting = one.setting
    bands = sidebands(
        one.q, one.angles, setting.tilt, optics.energy, optics.semiangle, setting.width, optics.focal_spread
    )
    weights = [weight * one.strength[None] for weight in (bands.lower, bands.upper)]
    made = Sidebands(*(jnp.asarray(part, jnp.float32) for part in (bands.less, bands.more, *weights)))
    return Prepared(one, made, splines(one.q, optics), optics)


def block(one: Prepared, coefficients: np.ndarray, highest: float | None = None) -> Block:
    """A likelihood's part of scan frequencies up to ``highest`` (1/angstrom), with pixels smeared as at ``coefficients`` [12] (without the exposure's c10)."""
    count = len(one.splines) if highest is None else max(LEAST, int(np.searchsorted(one.lengths, highest)))
    seen, setting, optics = one.spectra, one.spectra.setting, one.optics
    full = np.concatenate([coefficients, np.zeros(len(NAMES) - THIRD)])
    full[0] += setting.c10
    lower, upper = smear(full, seen.q[:count], seen.angles, setting.tilt, optics.energy, setting.width)
    bands = Sidebands(*(part[:count] for part in one.bands))
    bands = bands._replace(lower=bands.lower * lower.astype(jnp.float32), upper=bands.upper * upper.astype(jnp.float32))
    return Block(jnp.asarray(seen.z[:count]), bands, jnp.asarray(one.splines[:count]), jnp.asarray(setting.c10, float))


def penalty(thickness: tuple[float, float]) -> np.ndarray:
    """Prior precision [1 + KNOTS + 1] of what is fitted along: thickness (mean, standard deviation), log power and log noise."""
    found = np.zeros((KNOTS + 2, KNOTS + 2))
    found[0, 0] = thickness[1] ** -2
    bend = np.diff(np.eye(KNOTS), 2, axis=0) / ROUGH
    found[1:-1, 1:-1] = bend.T @ bend + 1e-4 * np.eye(KNOTS)
    found[-1, -1] = 1.0
    return found


def _penalty(prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Precision [n, n] of all parameters and what they are drawn to [n]."""
    n = THIRD + 1 + KNOTS + 1
    precision, centre = np.zeros((n, n)), np.zeros(n)
    precision[:THIRD, :THIRD] = np.linalg.inv(prior.covariance)
    precision[THIRD:, THIRD:] = penalty(prior.thickness)
    centre[:THIRD], centre[THIRD] = prior.mean, prior.thickness[0]
    return precision, centre


@dataclasses.dataclass
class _Climb:
    """Where a climb stands: parameters [n], log posterior, score [n] with prior and summed outer products [n, n] of scores by frequency."""

    parameters: np.ndarray
    height: float
    slope: np.ndarray
    outer: np.ndarray


def _at(blocks: list[Block], parameters: np.ndarray, precision: np.ndarray, centre: np.ndarray) -> _Climb:
    where = jnp.asarray(parameters)
    found = [scores(one, where) for one in blocks]
    by_frequency: dict[int, np.ndarray] = {}
    for _, each in found:
        # exposures that scan alike share frequencies, and with them the film's errors
        rows = np.asarray(each)
        by_frequency[len(rows)] = by_frequency.get(len(rows), 0.0) + rows
    off = parameters - centre
    height = sum(float(v) for v, _ in found) - 0.5 * float(off @ precision @ off)
    slope = np.sum([rows.sum(axis=0) for rows in by_frequency.values()], axis=0) - precision @ off
    outer = np.sum([rows.T @ rows for rows in by_frequency.values()], axis=0)
    return _Climb(parameters, height, slope, outer)


def _usable(parameters: np.ndarray) -> bool:
    return bool(
        np.isfinite(parameters).all()
        and 1.0 <= parameters[THIRD] <= 1000.0
        and np.abs(parameters[THIRD + 1 :]).max() < 60
    )


def climb(
    blocks: list[Block], start: np.ndarray, precision: np.ndarray, centre: np.ndarray, rounds: int, enough: float = 0.02
) -> _Climb:
    """Up the log posterior by scoring with the outer products of the scores (Berndt, Hall, Hall & Hausman 1974), damped after Marquardt."""
    here, damping = _at(blocks, start, precision, centre), 1e-3
    for _ in range(rounds):
        curvature = here.outer + precision
        scale = np.sqrt(np.diag(curvature))
        scaled = curvature / np.outer(scale, scale)
        for _ in range(8):
            step = np.linalg.solve(scaled + damping * np.eye(len(scale)), here.slope / scale) / scale
            there = here.parameters + step
            found = _at(blocks, there, precision, centre) if _usable(there) else None
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
    """Starts [n, 3] for too few pixels to be shifted against one another: draws from the prior that the lowest frequencies like best."""
    generator = np.random.default_rng(0)
    drawn = generator.multivariate_normal(prior.mean[:3], prior.covariance[:3, :3], 150)
    drawn = np.concatenate([prior.mean[None, :3], drawn])
    blocks = [block(one, prior.mean, highest) for one in data]
    base = _start(data, prior, prior.mean[:3], highest)
    heights = [_at(blocks, np.concatenate([one, base[3:]]), precision, centre).height for one in drawn]
    return drawn[np.argsort(heights)[::-1][: CANDIDATES[0]]]


def _searched(
    data: list[Prepared], whole: list[Spectra], prior: Prior, precision: np.ndarray, centre: np.ndarray
) -> list[_Climb]:
    """The highest maximum, and its mirror image chi -> -chi where the data hardly tell them apart."""
    top = max(float(one.lengths[-1]) for one in data)
    low, middle = STAGES[0] * top, STAGES[1] * top
    half = 2.0 * np.sqrt(np.diag(prior.covariance))[:3]
    if min(len(one.spectra.angles) for one in data) < FEW:
        found = _few_pixels(data, prior, precision, centre, low)
    else:
        found = starts(whole, data[0].optics, prior.mean[:3], half, CANDIDATES[0])
    climbs: list[_Climb] = []
    for first in found:
        start = _start(data, prior, first, low)
        climbs.append(climb([block(one, start[:THIRD], low) for one in data], start, precision, centre, 15, COARSE))
    climbs.sort(key=lambda one: -one.height)
    second = []
    for one in climbs[: CANDIDATES[1]]:
        blocks = [block(each, one.parameters[:THIRD], middle) for each in data]
        second.append(climb(blocks, one.parameters, precision, centre, 15, COARSE))
    best = max(second, key=lambda one: one.height)
    mirror = best.parameters.copy()
    mirror[:THIRD] *= -1.0
    mirror[0] -= best.parameters[THIRD]
    blocks = [block(each, mirror[:THIRD], middle) for each in data]
    other = _at(blocks, mirror, precision, centre)
    if other.height > best.height - 0.2 * abs(best.height):
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


def _distinct(one: _Climb, other: _Climb | None = None) -> bool:
    return other is not None and bool(np.abs(one.parameters[:3] - other.parameters[:3]).max() > 1.0)


def fit_amorphous(exposures: Sequence[Exposure], optics: Optics, prior: Prior) -> Measurement:
    """COEFFICIENTS and "thickness" (angstrom) from ``exposures`` of one film, in any order and wherever on the film; C10 is at its entrance face.

    The prior's widths say how far off a start may be: C10 and C12 are searched over twice of them. ValueError for no exposures, or exposures
    without a lit pixel; what they do not determine keeps its prior and is named.
    """
    if not exposures:
        raise ValueError("no exposures: give at least one scan of Ronchigrams")
    data = [prepared(spectra(one, optics), optics) for one in exposures]
    precision, centre = _penalty(prior)
    whole = [
        one.spectra if one.spectra.setting.periodic else spectra(each, optics, dense=True)
        for one, each in zip(data, exposures, strict=True)
    ]
    found = _searched(data, whole, prior, precision, centre)
    names = (*COEFFICIENTS, "thickness")
    before = np.concatenate([np.sqrt(np.diag(prior.covariance)), [prior.thickness[1]]])
    notes = [note for one in data for note in one.spectra.notes]
    seen = _seen(data, found[0], precision, centre)
    if seen < SEEN:
        wide = np.diag(before**2)
        wide[:THIRD, :THIRD] = prior.covariance
        unseen = Component(1.0, np.concatenate([prior.mean, prior.thickness[:1]]), wide)
        why = "no film can be told from counting noise in these exposures"
        electrons = float(sum(one.setting.electrons for one in exposures))
        return Measurement(
            KIND,
            names,
            ("angstrom",) * len(names),
            (unseen,),
            dict.fromkeys(names, why),
            1.0,
            electrons,
            (),
            tuple(notes),
        )
    parts: list[tuple[float, np.ndarray, np.ndarray]] = []
    for one in found:
        blocks = [block(each, one.parameters[:THIRD]) for each in data]
        covariance, volume = _covariance(blocks, one, precision)
        parts.append((one.height + volume, one.parameters[: THIRD + 1].copy(), covariance))
    weights = np.exp([height - parts[0][0] for height, _, _ in parts])
    components = tuple(
        Component(float(weight), mean, covariance)
        for weight, (_, mean, covariance) in zip(weights / weights.sum(), parts, strict=True)
    )
    notes += _too_wide(data, found[0].parameters)
    if len(components) > 1:
        notes.append("these exposures do not tell chi from -chi: both are kept")
    wide = {
        name: f"these exposures leave it within {std:.3g} angstrom, and it was known to {was:.3g} before"
        for name, std, was in zip(names, np.sqrt(np.diag(parts[0][2])), before, strict=True)
        if std > LEARNT * was
    }
    return Measurement(
        kind=KIND,
        names=names,
        units=("angstrom",) * len(names),
        components=components,
        undetermined=wide,
        misfit=float(np.exp(found[0].parameters[-1])),
        electrons=float(sum(one.setting.electrons for one in exposures)),
        shown=tuple(
            _shown(f"exposure {number + 1}", one.spectra, block(one, found[0].parameters[:THIRD]), found[0].parameters)
            for number, one in enumerate(data)
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _seen(data: list[Prepared], at: _Climb, precision: np.ndarray, centre: np.ndarray) -> float:
    """Log posterior of a maximum over that of no film at all, with the noise that is then the likeliest."""
    blocks = [block(each, at.parameters[:THIRD]) for each in data]
    without = at.parameters.copy()
    without[:THIRD], without[THIRD], without[THIRD + 1 : -1] = centre[:THIRD], centre[THIRD], -40.0
    power = sum(float((np.abs(each.spectra.z) ** 2).sum()) for each in data)
    without[-1] = np.log(power / sum(each.spectra.z.size for each in data))
    return at.height - _at(blocks, without, precision, centre).height


def _too_wide(data: list[Prepared], parameters: np.ndarray) -> list[str]:
    """A note where a film that does not repeat was seen by probes about as wide as the scan."""
    for one in data:
        setting, optics = one.spectra.setting, one.optics
        full = np.concatenate([parameters[:THIRD], np.zeros(len(NAMES) - THIRD)])
        full[0] += setting.c10
        wide = 2.0 * max(reach(full, optics.energy, optics.semiangle, setting.tilt, setting.tilt))
        side = setting.step * min(setting.points)
        if not setting.periodic and wide > 0.5 * side:
            return [
                f"the probe is {wide:.0f} angstrom wide and the scan {side:.0f}: errors may be larger than told; scan a wider field, or go nearer to focus"
            ]
    return []


def _covariance(blocks: list[Block], at: _Climb, precision: np.ndarray) -> tuple[np.ndarray, float]:
    """White's covariance of coefficients and thickness, and half the log determinant of that of all parameters."""
    expected = np.sum([np.asarray(information(one, jnp.asarray(at.parameters))) for one in blocks], axis=0)
    bread = np.linalg.inv(expected + precision)
    whole = bread @ (at.outer + precision) @ bread
    kept = whole[: THIRD + 1, : THIRD + 1]
    return 0.5 * (kept + kept.T), 0.5 * float(np.linalg.slogdet(bread)[1])


def _shown(name: str, one: Spectra, part: Block, parameters: np.ndarray) -> Shown:
    """The mean over pixels of |z|^2 over scan frequencies, as it is and as the fit has it."""
    model, std = (np.asarray(v) for v in expected_power(part, jnp.asarray(parameters)))
    data = (np.abs(one.z) ** 2).mean(axis=1)
    ny, nx = one.setting.points
    step = 1.0 / (one.setting.step * np.array([nx, ny]))
    at = np.rint(one.q / step).astype(int)
    reach = int(np.abs(at).max())

    def image(values: np.ndarray) -> np.ndarray:
        made = np.full((2 * reach + 1, 2 * reach + 1), np.nan)
        made[reach + at[:, 1], reach + at[:, 0]] = values
        made[reach - at[:, 1], reach - at[:, 0]] = values
        return made

    x, y = (reach + 0.5) * step
    return Shown(name, image(data), image(model), image((data - model) / std), (-x, x, -y, y), "1/angstrom")
