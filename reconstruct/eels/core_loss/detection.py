"""Whether an edge is there: the score test of a spectrum without it, with its false-alarm rate, and the least areal density that it finds.

The score of the edge's amplitude at zero, with background and the other edges fitted without it and what they absorb taken out (efficient score; C. R.
Rao, Proc. Camb. Phil. Soc. 44, 50, 1948; J. Neyman's C(alpha)). It needs no fit with the edge, which at few counts may have no maximum. At few counts the
score is skew, as counts are; its first Cornish-Fisher correction makes it a standard normal deviate (R. A. Fisher and E. A. Cornish, Technometrics 2, 209,
1960).

Detection limit: the amplitude that is found, at that rate of false alarms, with a stated probability (L. A. Currie, Anal. Chem. 40, 586, 1968).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from reconstruct.eels.core_loss.pixels import (
    BLOCK,
    LEAST,
    Own,
    Shared,
    curvature,
    derivatives,
    expectation,
    fit_spectra,
    inverse_noise,
    prior_terms,
    whitened,
    with_prior,
)
from reconstruct.eels.core_loss.shared import transposed
from twin.blocks import evaluate

FALSE_ALARMS, POWER = 0.05, 0.95
"""Rate of false alarms, and the probability with which the detection limit is found."""
LARGEST_DEVIATE = 4.0
"""Up to where the correction for skewness is an expansion that holds."""
LIMIT_STEPS = 9
"""Steps towards the detection limit, each halving the interval that holds it."""


class Presence(NamedTuple):
    """Of one edge in n spectra: ``deviate`` [n] (standard normal where the edge is not there), and of all spectra together ``pooled``."""

    deviate: np.ndarray
    pooled: float

    @property
    def false_alarm(self) -> float:
        """Probability of so large a pooled deviate where the edge is in no spectrum."""
        return float(ndtr(-self.pooled))

    def detected(self, rate: float = FALSE_ALARMS) -> np.ndarray:
        """Spectra [n] in which the edge is found at a ``rate`` of false alarms."""
        return self.deviate > ndtri(1.0 - rate)


class Score(NamedTuple):
    """Of n spectra [n]: the ``score`` of an amplitude of zero, its variance (``information``), third cumulant (``skew``), and its variance with the noise
    of the counts as they are (``scatter``)."""

    score: np.ndarray
    information: np.ndarray
    skew: np.ndarray
    scatter: np.ndarray

    @property
    def deviate(self) -> np.ndarray:
        """The scores [n] as standard normal deviates."""
        root = np.sqrt(self.information)
        deviate, gamma = self.score / root, self.skew / root**3
        # beyond the expansion's range the correction stays what it is at its end
        return deviate - gamma * (np.minimum(deviate**2, LARGEST_DEVIATE**2) - 1.0) / 6.0

    @property
    def summed(self) -> "Score":
        """Of all spectra together [1]."""
        return Score(*(values.sum(axis=0, keepdims=True) for values in self))


def presence(counts: np.ndarray, shared: Shared, index: int, counts_per_electron: float) -> Presence:
    """Test of the edge ``index`` of ``shared.edges`` in each of ``counts`` [n, c]; the edge's shape must not have been learnt from these spectra.
    ``counts_per_electron`` of the camera, for the skewness."""
    scores = edge_scores(counts, shared, index, counts_per_electron)
    return Presence(scores.deviate, float(scores.summed.deviate[0]))


def edge_scores(counts: np.ndarray, shared: Shared, index: int, counts_per_electron: float) -> Score:
    """Efficient scores of the edge ``index`` at an amplitude of zero."""
    edges = np.asarray(shared.edges)
    # what moves edges of single spectra is left out: it is less than what is tested
    without = shared._replace(
        edges=np.delete(edges, index, axis=0), moves=np.zeros((0, len(edges) - 1, edges.shape[1]))
    )
    fitted = fit_spectra(counts, without)
    result = evaluate(
        lambda y, p: _scores(y, p, without, edges[index], counts_per_electron), BLOCK, counts, fitted.parameters
    )
    return Score(*result)


def detection_limit(
    parameters: np.ndarray,
    shared: Shared,
    index: int,
    counts_per_electron: float,
    rate: float = FALSE_ALARMS,
    power: float = POWER,
    pooled: bool = False,
    steps: int = LIMIT_STEPS,
) -> np.ndarray:
    """Amplitudes [n] of the edge ``index`` that are found with probability ``power`` at a ``rate`` of false alarms, in spectra that are otherwise as
    ``parameters`` [n, p] say; ``pooled``: [1], the amplitude in every spectrum that all together show; ``steps`` 0: what the noise
    without the edge says, which is enough where that is many counts.

    The mean of the score exceeds its threshold by so much of its own spread. Both are taken at the fit without the edge to the expectation with it, which
    absorbs a part of it.
    """
    edges = np.asarray(shared.edges)
    shared = shared._replace(moves=np.zeros((0, *edges.shape)))
    without = np.array(parameters, np.float64)[:, : 2 + len(edges)]
    without[:, 2 + index] = 0.0
    base, others = (np.asarray(part) for part in expectation(without, shared))
    pattern = np.asarray(shared.pattern)
    mean, unit = pattern * (base + others), pattern * edges[index]
    low, high = np.zeros(1 if pooled else len(mean)), np.full(1 if pooled else len(mean), np.nan)
    # start from the noise alone, then close in on the root
    start = edge_scores(mean, shared, index, counts_per_electron)
    start = start.summed if pooled else start
    amount = (ndtri(1.0 - rate) + ndtri(power)) / np.sqrt(start.information)
    for _ in range(steps):
        scores = edge_scores(mean + amount[:, None] * unit[None, :], shared, index, counts_per_electron)
        scores = scores.summed if pooled else scores
        enough = _margin(scores, rate, power) > 0.0
        high, low = np.where(enough, amount, high), np.where(enough, low, amount)
        amount = np.where(np.isnan(high), 1.5 * amount, 0.5 * (low + np.where(np.isnan(high), 0.0, high)))
    return amount


def _margin(scores: Score, rate: float, power: float) -> np.ndarray:
    """By how much the mean score is above what is needed."""
    threshold, spread = float(ndtri(1.0 - rate)), float(ndtri(power))
    root = np.sqrt(scores.information)
    gamma = scores.skew / root**3
    level = root * (threshold + gamma * (threshold**2 - 1.0) / 6.0)
    # skewness brings the lower tail of the score nearer to its mean
    deviation = np.sqrt(scores.scatter) * (spread - gamma * (spread**2 - 1.0) / 6.0)
    return scores.score - level - deviation


@jax.jit
def _scores(counts: Any, parameters: Any, shared: Shared, edge: Any, counts_per_electron: Any) -> tuple[Any, ...]:
    background, others = expectation(parameters, shared)
    scale = inverse_noise(parameters, background, shared)
    residual = whitened(scale * (counts - shared.pattern[None, :] * (background + others)), shared.taps)
    slopes = whitened(scale[:, None, :] * derivatives(parameters, background, shared), shared.taps)
    signal = scale * shared.pattern[None, :] * edge[None, :]
    tested = whitened(signal, shared.taps)
    none = jnp.zeros((parameters.shape[0], 0))
    information = with_prior(slopes, prior_terms(parameters, Own(none, none))[1])
    crossed = jnp.einsum("nic,nc->ni", slopes, tested)
    unit = 1.0 / jnp.sqrt(jnp.diagonal(information, axis1=1, axis2=2))
    scaled = information * unit[:, :, None] * unit[:, None, :]
    absorbed = unit * jnp.linalg.solve(scaled, (unit * crossed)[..., None])[..., 0]
    efficient = tested - jnp.einsum("ni,nic->nc", absorbed, slopes)
    # the fitted background is on average below what it is fitted to
    bent = whitened(scale * curvature(background, information, shared), shared.taps)
    # weights of single electrons: the efficient score is a sum over them
    weights = scale * transposed(efficient, shared.taps)
    mean = shared.pattern[None, :] * jnp.maximum(background + others, LEAST * background.mean(axis=1, keepdims=True))
    gain = counts_per_electron
    return (
        jnp.sum(efficient * (residual + bent), axis=1),
        jnp.sum(efficient * tested, axis=1),
        jnp.sum(weights**3 * gain**2 * mean, axis=1),
        jnp.sum(weights**2 * gain * counts, axis=1),
    )
