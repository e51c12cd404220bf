"""Power of detecting a change in counts whose signature is known but for what is averaged over (its depth, say), nuisances fitted along.

The test is the ratio of likelihoods averaged over the ways of the change, of sums of counts weighted with each way's signature over the variance, what
nuisances can imitate taken out (Kay, Fundamentals of Statistical Signal Processing II, ch. 6 and 12). Means and variances of the sums are those of
Poisson counts, with the change and without; their distribution is taken as normal. Columns that are alike may be references: then the sums' difference
from their mean over these is tested: an error of the model, and whatever is not known of the recording but is the same in all of them, cancels.
"""

import copy
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
    their ``priors`` [p] (standard deviations, inf where nothing is known, 0: known exactly); ``readout``: variance (electrons^2) of each count; ``model_error``
    [m, e]: directions in which predicted rates may be wrong, one standard deviation each. ``halves`` [2, k, m]: differences ``changed`` - ``rates`` by two
    independent halves of the computation (frozen phonons). What differs between them is no signature: weights of one half are held against the difference of
    the other. ``differences`` [p]: by how much each nuisance differs from column to column (standard deviations, 0: the same in all; None: as the priors).
    They take the priors' place where columns are compared with one another.
    """

    rates: Float[np.ndarray, " m"]
    changed: Float[np.ndarray, "k m"]
    nuisances: Float[np.ndarray, "m p"]
    priors: Float[np.ndarray, " p"]
    readout: float = 0.0
    model_error: Float[np.ndarray, "m e"] | None = None
    halves: Float[np.ndarray, "2 k m"] | None = None
    differences: Float[np.ndarray, " p"] | None = None


class Detection(NamedTuple):
    """The test at one dose: ``weights`` [k, m] of the counts' deviations from their expectation (None: not asked for); the covariance ``without`` [k, k] of
    these sums without the change, their ``means`` [k, k] with it (a row for each way) and their covariances ``with_change`` [k, k, k] then."""

    weights: Float[np.ndarray, "k m"] | None
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


class Moments(NamedTuple):
    """Sums over the counts, of the vectors ``changed`` - ``rates`` [k], those of both halves (if there are) [2 k], nuisances [p] and the model's errors [e]: of
    products over the variance ``second`` [b, b], and the same times the expected counts without the change and with it over the variance ``third``
    [k + 1, b, b]."""

    second: Float[np.ndarray, "b b"]
    third: Float[np.ndarray, "k+1 b b"]


class Tests:
    """Tests of a ``signature`` at any dose, against the prediction (``references`` = 0) or against the mean of that many unchanged columns recorded alike.

    Without readout noise the sums over counts are made once. ValueError for negative rates.
    """

    def __init__(self, signature: Signature, references: int = 0):
        if np.any(signature.rates < 0) or np.any(signature.changed < 0):
            raise ValueError("rates must not be negative")
        widths = signature.priors
        if references and signature.differences is not None:
            widths = signature.differences
        self.signature, self.references, self.widths = signature, references, np.asarray(widths, float)
        self._vectors = _vectors(signature)
        self._unit = _moments(signature, self._vectors, 1.0) if signature.readout == 0.0 else None

    def known(self, nuisance: int) -> "Tests":
        """The same tests with one nuisance known exactly."""
        other = copy.copy(self)
        other.widths = np.where(np.arange(len(self.widths)) == nuisance, 0.0, self.widths)
        return other

    def certain(self) -> "Tests":
        """The same tests without the chance of halves."""
        other = copy.copy(self)
        other.signature = self.signature._replace(halves=None)
        return other

    def at(self, dose: float, weights: bool = False) -> Detection:
        """The test at ``dose`` electrons; with the ``weights`` of all counts if they are asked for. ValueError for a dose that is not positive."""
        if dose <= 0.0:
            raise ValueError(f"a dose of {dose} electrons tests nothing; give a positive one")
        signature = self.signature
        if self._unit is None:
            second, third = _moments(signature, self._vectors, dose)
            second, third = dose**2 * second, dose**2 * third
        else:
            second, third = dose * self._unit.second, dose * self._unit.third
        ways, halves, nuisances, errors = self._parts()
        combined = self._combined(second, ways, nuisances)
        means = second[ways] @ combined
        if signature.halves is not None:
            first, last = halves
            means = 0.5 * (
                second[first] @ self._combined(second, last, nuisances)
                + second[last] @ self._combined(second, first, nuisances)
            )
        # what a prior holds back is not fitted away: it widens the sums
        left = (combined.T @ second[:, nuisances]) * np.where(np.isfinite(self.widths), self.widths, 0.0)
        own = left @ left.T
        counted = combined.T @ third @ combined
        shared = 1.0 / self.references if self.references else 0.0
        common = (own + counted[0]) * shared
        if not self.references:
            wrong = combined.T @ second[:, errors]
            common = common + wrong @ wrong.T
        summed = None
        if weights:
            variance = dose * signature.rates + signature.readout
            summed = dose * (self._vectors @ combined).T * _inverse(variance)
        return Detection(summed, counted[0] + own + common, means, counted[1:] + own + common)

    def dose(self, power: float, false_alarms: float, tests: int = 1) -> float:
        """The electrons at which the change is detected with ``power``; inf where none suffice (the model's error outweighs the change)."""

        def lacking(logarithm: float) -> float:
            return self.at(math.exp(logarithm)).power(false_alarms, tests) - power

        first, last = math.log(LEAST_DOSE), math.log(MOST_DOSE)
        if lacking(last) < 0.0:
            return math.inf
        if lacking(first) >= 0.0:
            return LEAST_DOSE
        return math.exp(float(np.asarray(brentq(lacking, first, last, xtol=1e-3)).item()))

    def _parts(self) -> tuple[slice, tuple[slice, slice], slice, slice]:
        """Where the vectors of ways, halves, nuisances and errors are."""
        ways = len(self.signature.changed)
        start = self._vectors.shape[1] - len(self.widths) - _count(self.signature.model_error)
        end = start + len(self.widths)
        return slice(0, ways), (slice(ways, 2 * ways), slice(2 * ways, 3 * ways)), slice(start, end), slice(end, None)

    def _combined(self, second: np.ndarray, ways: slice, nuisances: slice) -> np.ndarray:
        """Combinations [b, k] of the vectors that are the weights times the variance: the change, less what nuisances within their priors imitate."""
        combined = np.zeros((len(second), ways.stop - ways.start))
        combined[ways] = np.eye(combined.shape[1])
        used = np.flatnonzero(self.widths > 0.0)
        if used.size:
            at = nuisances.start + used
            information = second[np.ix_(at, at)] + np.diag(1.0 / np.square(self.widths[used]))
            size = np.sqrt(np.maximum(np.diag(information), 1e-300))
            cross = second[at, ways] / size[:, None]
            fitted = np.linalg.lstsq(information / size[:, None] / size[None, :], cross, rcond=1e-12)[0]
            combined[at] = -fitted / size[:, None]
        return combined


def detection_of(signature: Signature, dose: float, references: int = 0) -> Detection:
    """The test at ``dose`` electrons with its weights (`Tests`); ValueError for a dose that is not positive, and rates that are negative."""
    return Tests(signature, references).at(dose, weights=True)


def dose_for(signature: Signature, power: float, false_alarms: float, references: int = 0, tests: int = 1) -> float:
    """The electrons at which the change is detected with ``power`` (`Tests.dose`)."""
    return Tests(signature, references).dose(power, false_alarms, tests)


def _vectors(signature: Signature) -> np.ndarray:
    """All vectors [m, b] of a signature."""
    parts = [(signature.changed - signature.rates).T]
    if signature.halves is not None:
        parts += [half.T for half in signature.halves]
    parts.append(signature.nuisances)
    if signature.model_error is not None:
        parts.append(signature.model_error)
    return np.concatenate(parts, axis=1)


def _count(directions: np.ndarray | None) -> int:
    return 0 if directions is None else directions.shape[1]


def _moments(signature: Signature, vectors: np.ndarray, dose: float) -> Moments:
    inverse = _inverse(dose * signature.rates + signature.readout)
    weighted = vectors * inverse[:, None]
    third = [
        weighted.T @ (weighted * (dose * each + signature.readout)[:, None])
        for each in (signature.rates, *signature.changed)
    ]
    return Moments(vectors.T @ weighted, np.stack(third))


def _inverse(variance: np.ndarray) -> np.ndarray:
    """Of counts that are never made nothing is learnt."""
    seen = variance > 0.0
    return np.where(seen, 1.0 / np.where(seen, variance, 1.0), 0.0)
