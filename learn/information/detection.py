"""Power of detecting a change in counts whose signature is known but for what is averaged over (its depth, say), nuisances fitted along.

The test is the ratio of likelihoods averaged over the ways of the change, of sums of counts weighted with each way's signature over the variance, what
nuisances can imitate taken out (Kay, Fundamentals of Statistical Signal Processing II, ch. 6 and 12). Means and variances of the sums are those of
Poisson counts, with the change and without; their distribution is taken as normal. Columns that are alike may be references: then the sums' difference
from their mean over these is tested, and an error of the model that is the same in all of them cancels.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import norm, qmc

LEAST_DOSE, MOST_DOSE = 1e-3, 1e14
DRAWS = 2048
"""Quasi-random draws for each way of the change."""


class Signature(NamedTuple):
    """Rates of m counts for each electron sent.

    ``rates`` [m] without the change, ``changed`` [k, m] with it, in k ways that are as likely (depths, thicknesses); derivatives ``nuisances`` [m, p] and
    their ``priors`` [p] (standard deviations, inf where nothing is known); ``readout``: variance (electrons^2) of each count; ``model_error`` [m, e]:
    directions in which predicted rates may be wrong, one standard deviation each. ``halves`` [2, k, m]: differences ``changed`` - ``rates`` by two independent
    halves of the computation (frozen phonons). What differs between them is no signature: weights of one half are held against the difference of the other.
    """

    rates: Float[np.ndarray, " m"]
    changed: Float[np.ndarray, "k m"]
    nuisances: Float[np.ndarray, "m p"]
    priors: Float[np.ndarray, " p"]
    readout: float = 0.0
    model_error: Float[np.ndarray, "m e"] | None = None
    halves: Float[np.ndarray, "2 k m"] | None = None


class Detection(NamedTuple):
    """The test at one dose: ``weights`` [k, m] of the counts' deviations from their expectation; the covariance ``without`` [k, k] of these sums without the
    change, their ``means`` [k, k] with it (a row for each way) and their covariances ``with_change`` [k, k, k] then."""

    weights: Float[np.ndarray, "k m"]
    without: Float[np.ndarray, "k k"]
    means: Float[np.ndarray, "k k"]
    with_change: Float[np.ndarray, "k k k"]

    @property
    def shifts(self) -> Float[np.ndarray, " k"]:
        """By how many standard deviations each way moves its own best sum."""
        spread = np.sqrt(np.maximum(np.diag(self.without), 1e-300))
        return np.diag(self.means) / spread

    def statistic(self, sums: Float[np.ndarray, "*n k"]) -> Float[np.ndarray, "*n"]:
        """Logarithm of the averaged likelihood ratio of weighted ``sums`` [..., k]."""
        filters = np.linalg.pinv(self.without, rcond=1e-9, hermitian=True) @ self.means.T
        offsets = 0.5 * np.einsum("jk,kj->j", self.means, filters)
        ratios: np.ndarray = np.asarray(logsumexp(sums @ filters - offsets, axis=-1))
        return ratios - math.log(len(self.means))

    def threshold(self, false_alarms: float, tests: int = 1) -> float:
        """Of the statistic, for a rate of ``false_alarms`` over all of ``tests`` places that are tested alike."""
        rate = -math.expm1(math.log1p(-false_alarms) / tests)
        # drawn with the change and weighted with the inverse ratio of likelihoods: exact far out, where draws without it are rare
        drawn = np.sort(self.statistic(self._drawn(np.broadcast_to(self.without, self.with_change.shape))).ravel())[
            ::-1
        ]
        beyond = np.cumsum(np.exp(-drawn)) / drawn.size
        rank = int(np.searchsorted(beyond, rate))
        return float(drawn[min(rank, drawn.size - 1)])

    def power(self, false_alarms: float, tests: int = 1) -> float:
        """Probability of detection, averaged over the ways, at a rate of ``false_alarms`` over all of ``tests`` places that are tested alike."""
        if not np.any(self.means):
            return false_alarms
        if len(self.means) == 1:
            rate = -math.expm1(math.log1p(-false_alarms) / tests)
            scale = math.sqrt(self.without[0, 0])
            spread = math.sqrt(self.with_change[0, 0, 0]) / scale
            return float(norm.sf((norm.isf(rate) - self.means[0, 0] / scale) / spread))
        threshold = self.threshold(false_alarms, tests)
        return float(np.mean(self.statistic(self._drawn(self.with_change)) > threshold))

    def _drawn(self, covariances: np.ndarray) -> np.ndarray:
        """Sums [k, draws, k] with the change, a row for each way."""
        normals = _normals(len(self.means))
        values, vectors = np.linalg.eigh(covariances)
        roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        return self.means[:, None, :] + np.einsum("nl,jkl->jnk", normals, roots)


@functools.cache
def _normals(ways: int) -> np.ndarray:
    drawn = qmc.Sobol(ways, scramble=True, rng=np.random.default_rng(0)).random(DRAWS)
    return norm.ppf(np.clip(drawn, 1e-12, 1.0 - 1e-12))


def detection_of(signature: Signature, dose: float, references: int = 0) -> Detection:
    """The test at ``dose`` electrons, against the prediction (``references`` = 0) or against the mean of that many unchanged columns recorded alike.

    ValueError for a dose that is not positive, and rates that are negative.
    """
    if dose <= 0.0:
        raise ValueError(f"a dose of {dose} electrons tests nothing; give a positive one")
    if np.any(signature.rates < 0) or np.any(signature.changed < 0):
        raise ValueError("rates must not be negative")
    variance = dose * signature.rates + signature.readout
    seen = variance > 0.0
    changes = np.where(seen, dose * (signature.changed - signature.rates), 0.0)
    inverse = np.where(seen, 1.0 / np.where(seen, variance, 1.0), 0.0)
    directions, known = dose * signature.nuisances, np.isfinite(signature.priors)
    widths = np.where(known, signature.priors, np.inf)
    weights = _weights(changes, inverse, directions, widths)
    means = changes @ weights.T
    if signature.halves is not None:
        first, second = dose * signature.halves
        means = 0.5 * (
            first @ _weights(second, inverse, directions, widths).T
            + second @ _weights(first, inverse, directions, widths).T
        )
    # what a prior holds back is not fitted away: it widens the sums
    left = (weights @ directions) * np.where(known, signature.priors, 0.0)
    own = left @ left.T
    shared = 1.0 / references if references else 0.0
    common = (own + (weights * variance) @ weights.T) * shared
    if signature.model_error is not None and not references:
        wrong = weights @ (dose * signature.model_error)
        common = common + wrong @ wrong.T
    counted = [
        (weights * (dose * each + signature.readout)) @ weights.T for each in (signature.rates, *signature.changed)
    ]
    return Detection(weights, counted[0] + own + common, means, np.stack(counted[1:]) + own + common)


def _weights(changes: np.ndarray, inverse: np.ndarray, directions: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Weights [k, m]: ``changes`` over the variance (``inverse`` is 1 over it), less what ``directions`` within ``priors`` imitate."""
    if not directions.shape[1]:
        return changes * inverse
    information = directions.T @ (directions * inverse[:, None]) + np.diag(1.0 / np.square(priors))
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    cross = (directions.T @ (changes * inverse).T) / size[:, None]
    imitated = np.linalg.lstsq(information / size[:, None] / size[None, :], cross, rcond=1e-12)[0] / size[:, None]
    return (changes - (directions @ imitated).T) * inverse


def dose_for(signature: Signature, power: float, false_alarms: float, references: int = 0, tests: int = 1) -> float:
    """The electrons at which the change is detected with ``power``; inf where none suffice (the model's error outweighs the change)."""

    def lacking(logarithm: float) -> float:
        return detection_of(signature, math.exp(logarithm), references).power(false_alarms, tests) - power

    first, last = math.log(LEAST_DOSE), math.log(MOST_DOSE)
    if lacking(last) < 0.0:
        return math.inf
    if lacking(first) >= 0.0:
        return LEAST_DOSE
    return math.exp(float(np.asarray(brentq(lacking, first, last, xtol=1e-3)).item()))
