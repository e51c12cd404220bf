"""Power of detecting a change in counts whose signature is known but for what is averaged over (its depth, say), nuisances fitted along.

The test is the ratio of likelihoods averaged over the ways of the change, of sums of counts weighted with each way's signature over the variance, what
nuisances can imitate taken out (Kay, Fundamentals of Statistical Signal Processing II, ch. 6 and 12). Means and variances of the sums are those of
Poisson counts, with the change and without; their distribution is taken as normal. Columns that are alike may be references: then the sums' difference
from their mean over these is tested: an error of the model, and whatever is not known of the recording but is the same in all of them, cancels. What
differs between them at random (amorphous layers) is noise that no dose removes.
"""

import copy
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import norm, qmc

DESIGNS = 10.0 ** np.arange(0.0, 12.1, 0.5)
"""Electrons for which weights may be made where columns vary at random: made for fewer than there are, they trust less in the variations that are known."""
NOTICED = 0.1
"""Share of the counting noise from which on what else is in the sums is reckoned with in the weights."""
DRAWS = 2048
"""Quasi-random draws for each way of the change."""


class Signature(NamedTuple):
    """Rates of m counts for each electron sent.

    ``rates`` [m] without the change, ``changed`` [k, m] with it, in k ways that are as likely (depths, thicknesses); derivatives ``nuisances`` [m, p] and
    their ``priors`` [p] (standard deviations, inf where nothing is known, 0: known exactly); ``readout``: variance (electrons^2) of each count; ``model_error``
    [m, e]: directions in which predicted rates may be wrong, one standard deviation each. ``halves`` [2, k, m]: differences ``changed`` - ``rates`` by two
    independent halves of the computation (frozen phonons). What differs between them is no signature: weights of one half are held against the difference of
    the other. ``differences`` [p]: by how much each nuisance differs from column to column (standard deviations, 0: the same in all; None: as the priors).
    They take the priors' place where columns are compared with one another. ``variations`` [e, m]: by how much each of e columns differs from the mean of
    all by what is random in the specimen, those of one specimen together. The first half of them is noise that weights are made against; the others, which
    the weights do not know, judge how much of it is left. ``uncertain`` [m]: variance of each count, independently, by which columns differ beyond that, where
    they are compared with one another: an error of the model of their differences.
    """

    rates: Float[np.ndarray, " m"]
    changed: Float[np.ndarray, "k m"]
    nuisances: Float[np.ndarray, "m p"]
    priors: Float[np.ndarray, " p"]
    readout: float = 0.0
    model_error: Float[np.ndarray, "m e"] | None = None
    halves: Float[np.ndarray, "2 k m"] | None = None
    differences: Float[np.ndarray, " p"] | None = None
    variations: Float[np.ndarray, "e m"] | None = None
    uncertain: Float[np.ndarray, " m"] | None = None


class Detection(NamedTuple):
    """The test at one dose: ``weights`` [k, m] of the counts' deviations from their expectation (None: not asked for); the covariance ``without`` [k, k] of
    these sums without the change, the part of it that is ``counting`` noise [k], their ``means`` [k, k] with it (a row for each way) and covariances
    ``with_change`` [k, k, k]."""

    weights: Float[np.ndarray, "k m"] | None
    without: Float[np.ndarray, "k k"]
    counting: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k k"]
    with_change: Float[np.ndarray, "k k k"]

    @property
    def shifts(self) -> Float[np.ndarray, " k"]:
        """By how many standard deviations each way moves its own best sum."""
        spread = np.sqrt(np.maximum(np.diag(self.without), 1e-300))
        return np.diag(self.means) / spread

    def statistic(self, sums: Float[np.ndarray, "*n k"]) -> Float[np.ndarray, "*n"]:
        """Logarithm of the averaged likelihood ratio of weighted ``sums`` [..., k]."""
        # each way by its own sum alone: ways that are nearly alike differ by noise of the computation, which an inverse of ``without`` would magnify
        gains = self._gains
        offsets = 0.5 * gains**2 * np.diag(self.without)
        ratios: np.ndarray = np.asarray(logsumexp(sums * gains - offsets, axis=-1))
        return ratios - math.log(len(self.means))

    def of_counts(
        self, column: Float[np.ndarray, " m"], references: Float[np.ndarray, "n m"], readout: float = 0.0
    ) -> float:
        """The statistic of the counts of a ``column`` against ``references`` recorded alike, their counting noise being that of what all of them count
        instead of what was expected; ``readout`` as in `Signature`. ValueError without weights or references."""
        if not len(references):
            raise ValueError("counts are tested against one reference at least")
        return self.against(column, references.mean(0), 1.0 / len(references), readout)

    def against(
        self, column: Float[np.ndarray, " m"], expected: Float[np.ndarray, " m"], share: float, readout: float = 0.0
    ) -> float:
        """The statistic of the counts of a ``column`` against those that are ``expected`` of as many electrons by references with 1 / ``share`` times as many
        in all; as `of_counts`. ValueError without weights."""
        if self.weights is None:
            raise ValueError("counts are tested by a test with weights; make it with weights=True")
        sums = self.weights @ (column - expected)
        # the mean of all is not correlated with the difference, that of the references would be
        mean = (share * column + expected) / (1.0 + share)
        counted = np.square(self.weights) @ (mean + readout) * (1.0 + share)
        variance = np.diag(self.without)
        spread = np.maximum(variance - self.counting + counted, 1e-300)
        # few counts are not distributed normally: the first term of Cornish and Fisher takes their skewness off
        skewness = self.weights**3 @ mean * (1.0 - share**2) / spread**1.5
        within = 1.0 / np.maximum(np.abs(skewness), 1e-12)
        normal = sums / np.sqrt(spread)
        normal = normal - skewness / 6.0 * (np.clip(normal, -within, within) ** 2 - 1.0)
        return float(self.statistic((normal * np.sqrt(variance))[None])[0])

    @property
    def _gains(self) -> Float[np.ndarray, " k"]:
        return np.maximum(np.diag(self.means), 0.0) / np.maximum(np.diag(self.without), 1e-300)

    def threshold(self, false_alarms: float, tests: int = 1) -> float:
        """Of the statistic, for a rate of ``false_alarms`` over all of ``tests`` places that are tested alike."""
        rate = -math.expm1(math.log1p(-false_alarms) / tests)
        # drawn with changes that just reach the threshold, and weighted with the inverse ratio of likelihoods: exact far out, where other draws are rare
        variances = np.maximum(np.diag(self.without), 1e-300)
        shifts = self._gains * np.sqrt(variances)
        least = np.minimum(self._gains, self._gains * norm.isf(rate) / np.maximum(shifts, 1e-300))
        sums = _drawn((self.without * least).T, np.broadcast_to(self.without, (len(shifts), *self.without.shape)))
        densities = np.asarray(logsumexp(sums * least - 0.5 * least**2 * variances, axis=-1))
        ratios = densities.ravel() - math.log(len(shifts))
        values = self.statistic(sums).ravel()
        order = np.argsort(-values)
        beyond = np.cumsum(np.exp(-ratios[order])) / values.size
        rank = int(np.searchsorted(beyond, rate))
        return float(values[order][min(rank, values.size - 1)])

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
        return float(np.mean(self.statistic(_drawn(self.means, self.with_change)) > threshold))


def _drawn(means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Sums [j, draws, k] about ``means`` [j, k] with ``covariances`` [j, k, k], a row for each way."""
    normals = _normals(means.shape[1])
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return means[:, None, :] + np.einsum("nl,jkl->jnk", normals, roots, optimize=True)


@functools.cache
def _normals(ways: int) -> np.ndarray:
    drawn = qmc.Sobol(ways, scramble=True, rng=np.random.default_rng(0)).random(DRAWS)
    return norm.ppf(np.clip(drawn, 1e-12, 1.0 - 1e-12))


class Moments(NamedTuple):
    """Sums over the counts of products of vectors over the variance, ``second`` [b, b], and of the first a of them, of which weights are made, the same times
    the expected counts without the change and with it over the variance, ``third`` [k + 1, a, a], and times what is ``uncertain`` [a, a]."""

    second: Float[np.ndarray, "b b"]
    third: Float[np.ndarray, "k+1 a a"]
    uncertain: Float[np.ndarray, "a a"]

    def scaled(self, shares: float, counts: float, squares: float) -> "Moments":
        """With each part as many times as large."""
        return Moments(shares * self.second, counts * self.third, squares * self.uncertain)


class Tests:
    """Tests of a ``signature`` at any dose, against the prediction (``references`` = 0) or against the mean of that many unchanged columns recorded alike.

    Without readout noise the sums over counts are made once. ValueError for negative rates.
    """

    def __init__(self, signature: Signature, references: int = 0):
        if np.any(signature.rates < 0):
            raise ValueError("rates must not be negative")
        widths = signature.priors
        if references and signature.differences is not None:
            widths = signature.differences
        self.signature, self.references, self.widths = signature, references, np.asarray(widths, float)
        self._vectors, self._parts = _vectors(signature)
        self._unit = _moments(signature, self._vectors, self._parts, 1.0) if signature.readout == 0.0 else None

    def known(self, *nuisances: int) -> "Tests":
        """The same tests with some nuisances known exactly."""
        other = copy.copy(self)
        other.widths = np.where(np.isin(np.arange(len(self.widths)), nuisances), 0.0, self.widths)
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
            moments = _moments(signature, self._vectors, self._parts, dose).scaled(dose**2, dose**2, dose**2)
        else:
            moments = self._unit.scaled(dose, dose, dose**2)
        test, combined = self._tested(moments, 1.0)
        if np.any(np.diag(test.without) > test.counting * (1.0 + NOTICED)):
            others = [self._tested(moments, dose / design) for design in DESIGNS[dose > DESIGNS]]
            test, combined = max([*others, (test, combined)], key=lambda each: float(each[0].shifts.mean()))
        if weights:
            variance = dose * signature.rates + signature.readout
            test = test._replace(weights=dose * (self._vectors[:, self._parts.used] @ combined).T * _inverse(variance))
        return test

    def _tested(self, moments: Moments, caution: float) -> tuple[Detection, np.ndarray]:
        """The test with weights for ``caution`` times as much noise of counting as there is, and the combinations [a, k] that its weights are."""
        (second, third, uncertain), parts = moments, self._parts
        less = second / caution
        combined = np.concatenate([np.eye(parts.ways.stop), -self._imitated(less, parts.ways)])
        used = parts.used
        means = second[parts.ways][:, used] @ combined
        if self.signature.halves is not None:
            first, last = parts.halves
            crossed = [
                second[half, against] - second[half, parts.fitted] @ self._imitated(less, against)
                for half, against in ((first, last), (last, first))
            ]
            means = 0.5 * (crossed[0] + crossed[1])
        # what a prior holds back is not fitted away: it widens the sums
        widths = np.where(np.isfinite(self.widths), self.widths, 0.0)
        left = (combined.T @ second[used, parts.nuisances]) * widths
        own = left @ left.T
        if self.signature.variations is not None:
            judged = combined.T @ second[used, parts.judges]
            own = own + judged @ judged.T
        if self.references:
            own = own + combined.T @ uncertain @ combined
        counted = combined.T @ third @ combined
        shared = 1.0 / self.references if self.references else 0.0
        common = (own + counted[0]) * shared
        if not self.references:
            wrong = combined.T @ second[used, parts.errors]
            common = common + wrong @ wrong.T
        spread = counted[1:] + own + common
        counting = np.diag(counted[0]) * (1.0 + shared)
        return Detection(None, counted[0] + own + common, counting, means, spread), combined

    def _imitated(self, second: np.ndarray, ways: slice) -> np.ndarray:
        """How much [q, k] of each fitted vector, within its prior, is in each of the changes ``ways``."""
        at = np.arange(self._parts.fitted.start, self._parts.fitted.stop)
        widths = np.append(self.widths, np.ones(len(at) - len(self.widths)))
        shares = np.zeros((len(at), ways.stop - ways.start))
        used = widths > 0.0
        if used.any():
            information = second[np.ix_(at[used], at[used])] + np.diag(1.0 / np.square(widths[used]))
            size = np.sqrt(np.maximum(np.diag(information), 1e-300))
            cross = second[at[used], ways] / size[:, None]
            fitted = np.linalg.lstsq(information / size[:, None] / size[None, :], cross, rcond=1e-12)[0]
            shares[used] = fitted / size[:, None]
        return shares


def detection_of(signature: Signature, dose: float, references: int = 0) -> Detection:
    """The test at ``dose`` electrons with its weights (`Tests`); ValueError for a dose that is not positive, and rates that are negative."""
    return Tests(signature, references).at(dose, weights=True)


class _Parts(NamedTuple):
    """Where vectors are: the changes in all ``ways``, those that are ``fitted`` to them (``nuisances`` and half of the variations), the changes of both
    ``halves``, the model's ``errors``, and the variations that are ``judges``."""

    ways: slice
    fitted: slice
    nuisances: slice
    halves: tuple[slice, slice]
    errors: slice
    judges: slice

    @property
    def used(self) -> np.ndarray:
        """Of which weights are made."""
        return np.r_[self.ways, self.fitted]


def _vectors(signature: Signature) -> tuple[np.ndarray, _Parts]:
    """All vectors [m, b] of a signature."""
    nothing = np.zeros((len(signature.rates), 0))
    varied = nothing if signature.variations is None else signature.variations.T
    middle = varied.shape[1] // 2
    making, judging = (each / math.sqrt(max(each.shape[1], 1)) for each in (varied[:, :middle], varied[:, middle:]))
    halves = [nothing] * 2 if signature.halves is None else [half.T for half in signature.halves]
    wrong = nothing if signature.model_error is None else signature.model_error
    vectors = [(signature.changed - signature.rates).T, signature.nuisances, making, *halves, wrong, judging]
    ends = np.cumsum([0, *(each.shape[1] for each in vectors)])
    at = [slice(int(start), int(end)) for start, end in itertools.pairwise(ends)]
    fitted = slice(at[1].start, at[2].stop)
    parts = _Parts(at[0], fitted, at[1], (at[3], at[4]), at[5], at[6])
    return np.concatenate(vectors, axis=1), parts


def _moments(signature: Signature, vectors: np.ndarray, parts: _Parts, dose: float) -> Moments:
    weighted = vectors * _inverse(dose * signature.rates + signature.readout)[:, None]
    base = weighted[:, parts.used]
    # halves of few configurations may leave less than nothing
    third = [
        base.T @ (base * np.maximum(dose * each + signature.readout, 0.0)[:, None])
        for each in (signature.rates, *signature.changed)
    ]
    beyond = np.zeros(len(base)) if signature.uncertain is None else dose**2 * signature.uncertain
    return Moments(vectors.T @ weighted, np.stack(third), base.T @ (base * beyond[:, None]))


def _inverse(variance: np.ndarray) -> np.ndarray:
    """Of counts that are never made nothing is learnt."""
    seen = variance > 0.0
    return np.where(seen, 1.0 / np.where(seen, variance, 1.0), 0.0)
