"""Errors of deciding between hypotheses by counts, nuisances of each fitted along.

The decision is for the largest likelihood. Of two hypotheses its logarithm is, to second order in their difference, a sum of the counts' deviations from the
mean of both predictions, weighted with what of the difference the nuisances cannot imitate, over the variance (Kay, Fundamentals of Statistical Signal
Processing II, ch. 3 and 6). The sums against all alternatives are taken as jointly normal.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import multivariate_normal, norm

from learn.information.doses import dose_at


class Alternative(NamedTuple):
    """Another hypothesis: the ``difference`` [m] of its rates from the true ones, where it imitates them best, derivatives ``nuisances`` [m, p] of its rates,
    their ``priors`` [p] (standard deviations, inf where nothing is known, 0: known exactly), and the difference by two independent ``halves`` [2, m] of the
    computation: what differs between them distinguishes nothing."""

    difference: Float[np.ndarray, " m"]
    nuisances: Float[np.ndarray, "m p"]
    priors: Float[np.ndarray, " p"]
    halves: Float[np.ndarray, "2 m"] | None = None


class Case(NamedTuple):
    """What is true: ``rates`` [m] of counts for each electron, the ``alternatives`` that it may be taken for, ``readout``: variance (electrons^2) of each
    count, and directions ``model_error`` [m, e] in which predictions may be wrong, one standard deviation each."""

    rates: Float[np.ndarray, " m"]
    alternatives: tuple[Alternative, ...]
    readout: float = 0.0
    model_error: Float[np.ndarray, "m e"] | None = None


class Decisions:
    """Errors of decisions between ``cases``, each of which is true as often. ValueError for negative rates."""

    def __init__(self, cases: Sequence[Case]):
        if any(np.any(case.rates < 0) for case in cases):
            raise ValueError("rates must not be negative")
        self.cases = tuple(cases)
        self._unit = [_second(case, 1.0) if case.readout == 0.0 else None for case in cases]
        self._exact: frozenset[int] = frozenset()

    def known(self, nuisance: int) -> "Decisions":
        """The same decisions with one nuisance of every hypothesis known exactly."""
        other = Decisions.__new__(Decisions)
        other.cases, other._unit, other._exact = self.cases, self._unit, self._exact | {nuisance}
        return other

    def error(self, dose: float) -> float:
        """Probability of a wrong decision at ``dose`` electrons. ValueError for a dose that is not positive."""
        if dose <= 0.0:
            raise ValueError(f"a dose of {dose} electrons decides nothing; give a positive one")
        return float(np.mean([self._wrong(number, dose) for number in range(len(self.cases))]))

    def dose(self, error: float) -> float:
        """The electrons at which the probability of a wrong decision is ``error``; inf where none suffice."""
        return dose_at(lambda electrons: math.log(max(self.error(electrons), 1e-300) / error))

    def _wrong(self, number: int, dose: float) -> float:
        case, unit = self.cases[number], self._unit[number]
        second = dose * unit if unit is not None else dose**2 * _second(case, dose)
        errors = 0 if case.model_error is None else case.model_error.shape[1]
        combined, means, left, start = [], [], [], 0
        for each in case.alternatives:
            parts = 3 if each.halves is not None else 1
            width = parts + len(each.priors)
            own = slice(start + parts, start + width)
            made = [self._combination(second, start + part, own, each.priors) for part in range(parts)]
            full = made[0]
            mean = second[start] @ full
            if parts == 3:
                mean = 0.5 * (second[start + 1] @ made[2] + second[start + 2] @ made[1])
            held = np.zeros(len(second))
            known = np.isfinite(each.priors) & ~self._known(len(each.priors))
            held[own] = np.where(known, each.priors, 0.0)
            combined.append(full)
            # a difference that both halves do not have is none
            means.append(0.5 * max(float(mean), 0.0))
            # what a prior holds back is not fitted away: it widens the sum
            left.append(float(np.sum(np.square((full @ second) * held))))
            start += width
        vectors = np.stack(combined, axis=1)
        covariance = vectors.T @ second @ vectors + np.diag(left)
        if errors:
            wrong = vectors.T @ second[:, -errors:]
            covariance = covariance + wrong @ wrong.T
        return 1.0 - _all_positive(np.array(means), covariance)

    def separation(self, dose: float) -> float:
        """Least square of the difference of an alternative over the variance at ``dose`` electrons, less what its nuisances imitate."""
        least = math.inf
        for number, case in enumerate(self.cases):
            unit, start = self._unit[number], 0
            second = dose * unit if unit is not None else dose**2 * _second(case, dose)
            for each in case.alternatives:
                parts = 3 if each.halves is not None else 1
                own = slice(start + parts, start + parts + len(each.priors))
                least = min(least, float(second[start] @ self._combination(second, start, own, each.priors)))
                start = own.stop
        return least

    def _known(self, count: int) -> np.ndarray:
        return np.isin(np.arange(count), list(self._exact))

    def _combination(self, second: np.ndarray, of: int, nuisances: slice, priors: np.ndarray) -> np.ndarray:
        """Combination [b] of the vectors that is the weights times the variance: a difference, less what nuisances within their priors imitate."""
        result = np.zeros(len(second))
        result[of] = 1.0
        used = np.flatnonzero((priors > 0.0) & ~self._known(len(priors)))
        if used.size:
            at = nuisances.start + used
            information = second[np.ix_(at, at)] + np.diag(1.0 / np.square(priors[used]))
            size = np.sqrt(np.maximum(np.diag(information), 1e-300))
            fitted = np.linalg.lstsq(information / np.outer(size, size), second[at, of] / size, rcond=1e-12)[0]
            result[at] = -fitted / size
        return result


def _second(case: Case, dose: float) -> np.ndarray:
    """Sums of products [b, b] of all vectors of a case over the variance."""
    parts = []
    for each in case.alternatives:
        parts.append(each.difference[:, None])
        if each.halves is not None:
            parts.append(each.halves.T)
        parts.append(each.nuisances)
    if case.model_error is not None:
        parts.append(case.model_error)
    vectors = np.concatenate(parts, axis=1)
    variance = dose * case.rates + case.readout
    inverse = np.where(variance > 0.0, 1.0 / np.where(variance > 0.0, variance, 1.0), 0.0)
    return vectors.T @ (vectors * inverse[:, None])


def _all_positive(means: np.ndarray, covariance: np.ndarray) -> float:
    """Probability that normal numbers are all positive."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    if len(means) == 1:
        return float(norm.cdf(means[0] / scale[0]))
    correlation = covariance / np.outer(scale, scale) + 1e-9 * np.eye(len(means))
    drawn = multivariate_normal(np.zeros(len(means)), cov=correlation, allow_singular=True, seed=0)  # pyright: ignore[reportArgumentType]
    return float(drawn.cdf(means / scale))
