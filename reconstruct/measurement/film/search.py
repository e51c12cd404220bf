"""Maxima of the film's likelihood: maximised from starts by parallax, low scan frequencies first, since they determine large defocus."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from reconstruct.inference.damped_newton import minimise_single
from reconstruct.measurement.film.blocks import KNOTS, Prepared, block, nuisance_precision
from reconstruct.measurement.film.exposure import Spectra
from reconstruct.measurement.film.likelihood import Block, scores
from reconstruct.measurement.film.parallax import select_separated, starting_points
from reconstruct.measurement.prior import Prior
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD

COARSE_TOLERANCE = 0.3
"""Gain in log posterior below which a maximisation on few frequencies ends."""
STAGES = (0.25, 0.4)
"""Scan frequencies, in aperture radii, up to which the likelihood is maximised before all of them are used: far fewer determine only C10 and C12,
not the others."""
CANDIDATES = (6, 3)
"""Starts, and how many of them go on to the second stage."""
SEARCHED = 2.0
"""Prior standard deviations over which C10 and C12 are searched."""
NOISE_SHELLS = 6
MIN_EXCESS_NOISE = 1.5
"""Noise over that of counting from which maximisations start with it."""
SMEARING_ROUNDS = 6
MIN_PARALLAX_PIXELS = 9
"""Pixels below which nothing can be said of how they are shifted against one another."""
AMBIGUITY_MARGIN = 12.0
"""A second maximum within so much log posterior of the first is kept."""
ABSENT_FILM_LOG_POWER = -40.0
"""Log power of a film that is not there."""
THICKNESS_BOUNDS = (1.0, 1000.0)
"""Of a film, in angstrom."""
MAX_LOG_POWER = 60.0
"""Bound of the logarithms of power and noise."""
MIRROR_MARGIN = 50.0
"""Log posterior that the mirror image may gain by being maximised."""


def prior_precision(prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Prior precision [n, n] and mean [n] of all parameters."""
    n = THIRD + 1 + KNOTS + 1
    precision, centre = np.zeros((n, n)), np.zeros(n)
    precision[:THIRD, :THIRD] = np.linalg.inv(prior.covariance)
    precision[THIRD:, THIRD:] = nuisance_precision(prior.thickness)
    centre[:THIRD], centre[THIRD] = prior.mean, prior.thickness[0]
    return precision, centre


class SearchState(NamedTuple):
    """Where a maximisation has come to: parameters [n], the log posterior and its curvature [n, n] by the outer products of the scores, with the prior."""

    parameters: np.ndarray
    log_posterior: float
    curvature: np.ndarray


def sum_exposures(exposures: list[np.ndarray]) -> list[np.ndarray]:
    """Scores or informations [q, ...] by frequency, summed over exposures that scan alike: they share the film's errors."""
    sums: dict[int, np.ndarray] = {}
    for rows in exposures:
        sums[len(rows)] = sums[len(rows)] + rows if len(rows) in sums else rows
    return list(sums.values())


def evaluate(
    blocks: list[Block], parameters: np.ndarray, precision: np.ndarray, centre: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Minus the log posterior, its gradient [n], and the curvature [n, n] of outer products of the scores by frequency."""
    parameter_array = jnp.asarray(parameters)
    results = [scores(exposure_block, parameter_array) for exposure_block in blocks]
    by_frequency = sum_exposures([np.asarray(rows) for _, rows in results])
    deviation = parameters - centre
    cost = 0.5 * float(deviation @ precision @ deviation) - sum(float(v) for v, _ in results)
    gradient = precision @ deviation - np.sum([rows.sum(axis=0) for rows in by_frequency], axis=0)
    return cost, gradient, precision + np.sum([rows.T @ rows for rows in by_frequency], axis=0)


def maximise(
    blocks: list[Block],
    start: np.ndarray,
    precision: np.ndarray,
    centre: np.ndarray,
    max_steps: int,
    tolerance: float = 0.02,
) -> SearchState:
    """Maximise the log posterior by scoring with the outer products of the scores (Berndt, Hall, Hall & Hausman 1974)."""
    low, high = (np.full(len(start), bound) for bound in (-np.inf, np.inf))
    low[THIRD], high[THIRD] = THICKNESS_BOUNDS
    low[THIRD + 1 :], high[THIRD + 1 :] = -MAX_LOG_POWER, MAX_LOG_POWER
    minimum = minimise_single(
        lambda parameters: evaluate(blocks, parameters, precision, centre), start, max_steps, tolerance, low, high
    )
    return SearchState(minimum.position, -minimum.cost, minimum.curvature)


def noise_bound(exposures: list[Spectra]) -> float:
    """Power that the noise may have where it is well above that of counting, as with an unknown gain: that of the shell of frequencies with the least;
    else 1."""
    shells = [
        float((np.abs(part.z[rows]) ** 2).mean())
        for part in exposures
        for rows in np.array_split(np.arange(len(part.z)), min(NOISE_SHELLS, len(part.z)))
    ]
    least = min(shells)
    return least if least > MIN_EXCESS_NOISE else 1.0


def _initial_power(blocks: list[Block], noise: float) -> np.ndarray:
    """Log power [KNOTS] from how much the data have above their ``noise``."""
    signal_power, model_power, basis = [], [], []
    for part in blocks:
        excess = np.abs(part.data) ** 2 - noise
        signal_power.append(excess.sum(axis=1))
        weight = np.abs(part.bands.lower) ** 2 + np.abs(part.bands.upper) ** 2
        model_power.append(weight.sum(axis=(1, 2)))
        basis.append(np.asarray(part.splines))
    signal_power, model_power, basis = np.concatenate(signal_power), np.concatenate(model_power), np.concatenate(basis)
    numerator, denominator = basis.T @ signal_power, basis.T @ model_power
    value = np.where(
        denominator > 0, np.maximum(numerator, 0.02 * np.abs(numerator).max()) / np.maximum(denominator, 1e-30), np.nan
    )
    value = np.where(np.isfinite(value) & (value > 0), value, np.nanmedian(value))
    return np.log(np.maximum(value, 1e-12))


def _initial_parameters(data: list[Prepared], prior: Prior, first: np.ndarray, highest: float) -> np.ndarray:
    """All parameters where C10 and C12 are ``first`` [3], the rest as believed, and the film as strong as it looks."""
    c = np.concatenate([first, prior.mean[3:]])
    blocks = [block(prepared, c, highest) for prepared in data]
    noise = noise_bound([prepared.spectra for prepared in data])
    return np.concatenate([c, prior.thickness[:1], _initial_power(blocks, noise), [np.log(noise)]])


def _starts_from_prior(
    data: list[Prepared], prior: Prior, precision: np.ndarray, centre: np.ndarray, highest: float
) -> np.ndarray:
    """Starts [n, 3] for too few pixels to be shifted against one another: draws from the prior that the lower frequencies like best, apart in C10."""
    generator = np.random.default_rng(0)
    draws = generator.multivariate_normal(prior.mean[:3], prior.covariance[:3, :3], 150)
    draws = np.concatenate([prior.mean[None, :3], draws])
    blocks = [block(prepared, prior.mean, highest) for prepared in data]
    base = _initial_parameters(data, prior, prior.mean[:3], highest)
    log_posteriors = [-evaluate(blocks, np.concatenate([draw, base[3:]]), precision, centre)[0] for draw in draws]
    # a point's image is a Thon ring's: its maxima lie side by side in C10
    spacing = np.array([0.25 * np.sqrt(prior.covariance[0, 0]), np.inf, np.inf])
    return select_separated(draws, np.array(log_posteriors), spacing, CANDIDATES[0])


def find_maxima(
    data: list[Prepared],
    whole: list[Spectra],
    prior: Prior,
    precision: np.ndarray,
    centre: np.ndarray,
    axes: np.ndarray,
    reach: float = SEARCHED,
) -> list[SearchState]:
    """The highest maximum, and its mirror image chi -> -chi where the data hardly distinguish them. The columns of ``axes`` [2, 2] are the scan's x and y, in
    which ``whole`` is, in the camera's, in which ``data`` is prepared. C10 and C12 are searched over ``reach`` of their prior errors."""
    radius = data[0].optics.semiangle / wavelength(data[0].optics.energy)
    low, middle = STAGES[0] * radius, STAGES[1] * radius
    half = reach * np.sqrt(np.diag(prior.covariance))[:3]
    second_stage = CANDIDATES[1]
    if min(len(prepared.spectra.angles) for prepared in data) < MIN_PARALLAX_PIXELS:
        # few pixels' low frequencies hardly distinguish the starts
        low, second_stage = middle, CANDIDATES[0]
        guesses = _starts_from_prior(data, prior, precision, centre, low)
    else:
        guesses = starting_points(whole, data[0].optics, prior.mean[:3], half, CANDIDATES[0], axes)
    states: list[SearchState] = []
    for guess in guesses:
        start = _initial_parameters(data, prior, guess, low)
        states.append(
            maximise(
                [block(prepared, start[:THIRD], low) for prepared in data],
                start,
                precision,
                centre,
                15,
                COARSE_TOLERANCE,
            )
        )
    states.sort(key=lambda state: -state.log_posterior)
    refined = []
    for state in states[:second_stage]:
        blocks = [block(prepared, state.parameters[:THIRD], middle) for prepared in data]
        refined.append(maximise(blocks, state.parameters, precision, centre, 15, COARSE_TOLERANCE))
    best = max(refined, key=lambda state: state.log_posterior)
    mirror = best.parameters.copy()
    mirror[:THIRD] *= -1.0
    mirror[0] -= best.parameters[THIRD]
    blocks = [block(prepared, mirror[:THIRD], middle) for prepared in data]
    cost, _, curvature = evaluate(blocks, mirror, precision, centre)
    other = SearchState(mirror, -cost, curvature)
    if other.log_posterior > best.log_posterior - AMBIGUITY_MARGIN - MIRROR_MARGIN:
        other = maximise(blocks, mirror, precision, centre, 10)
    candidates = [best] + (
        [other] if other.log_posterior > best.log_posterior - AMBIGUITY_MARGIN and _distinct(best, other) else []
    )
    converged = [settle(data, state.parameters, precision, centre) for state in candidates]
    converged.sort(key=lambda state: -state.log_posterior)
    return [state for state in converged if state.log_posterior > converged[0].log_posterior - AMBIGUITY_MARGIN][
        : len(converged) if _distinct(*converged[:2]) else 1
    ]


def settle(data: list[Prepared], parameters: np.ndarray, precision: np.ndarray, centre: np.ndarray) -> SearchState:
    """The maximum near ``parameters`` [n], of all frequencies, where pixels smear and see the film displaced as at the maximum itself."""
    state = SearchState(parameters, -np.inf, precision)
    for _ in range(SMEARING_ROUNDS):
        blocks = [block(prepared, state.parameters[:THIRD]) for prepared in data]
        previous, state = state, maximise(blocks, state.parameters, precision, centre, 30)
        spread = np.sqrt(np.diag(np.linalg.inv(state.curvature)))
        if np.abs((state.parameters - previous.parameters) / spread)[:THIRD].max() < 0.05:
            break
    return state


def log_posterior_without_film(data: list[Prepared], precision: np.ndarray, centre: np.ndarray) -> float:
    """Log posterior of no film at all, with the noise that is then the likeliest."""
    power = sum(float((np.abs(prepared.spectra.z) ** 2).sum()) for prepared in data)
    count = sum(prepared.spectra.z.size for prepared in data)
    deviation = np.zeros(len(centre))
    deviation[THIRD + 1 : -1], deviation[-1] = (
        ABSENT_FILM_LOG_POWER - centre[THIRD + 1 : -1],
        np.log(power / count) - centre[-1],
    )
    return -count * (np.log(power / count) + 1.0) - 0.5 * float(deviation @ precision @ deviation)


def _distinct(first: SearchState, second: SearchState | None = None) -> bool:
    return second is not None and bool(np.abs(first.parameters[:3] - second.parameters[:3]).max() > 1.0)
