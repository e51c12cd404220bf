"""A channel without a model, as a random walk read with white noise (local-level model): the level at any time from the readings around it.

The rate q of the walk's variance (unit^2/s) and the noise's variance r are estimated from the differences of successive readings, whose likelihood under
this model is exact, under log-normal priors. The error grows with the gap: sqrt(q a b / (a + b)) between exact readings a and b seconds away, sqrt(q a)
after the last one.

A quantity that is set at times, and rests between, jumps: rare differences far beyond the others are no part of the walk between the other readings, but of
that in gaps and beyond the ends. There the walk is as fast as readings that far apart differ: a quantity that ramps moves further in a long gap than
successive readings tell. Source: Harvey, Forecasting, Structural Time Series Models and the Kalman Filter (1989), chapter 4.
"""

import dataclasses
import math

import numpy as np
from scipy.linalg import LinAlgError, cholesky_banded, solve_banded
from scipy.optimize import minimize

MAX_FITTED = 4000
"""Readings that q and r are estimated from at most, in `BLOCKS` stretches."""
BLOCKS = 8
NEIGHBOURS = 48
"""Nearest readings that an estimate is made from."""
WALK_FACTOR, NOISE_FACTOR = 1000.0, 10.0
"""Standard deviations, as factors, of the priors of q and r: a quantity that is set to something else moves as fast as it is set."""
MAX_WIDENING = 14.0
"""Largest factor by which not knowing q widens a gap's variance: with one reading or two the prior alone would widen it without bound."""
ISOLATED = 6.0
"""Robust standard deviations from the median of five by which a single reading is an outlier."""
MIN_SCATTER = 12
"""Readings from which their scatter about straight lines is an estimate of noise."""
CHANGES = 5
"""Changes of the reading from which the smallest difference is taken for the step of its numbers, and not for one of the quantity."""
JUMP = 8.0
"""Robust standard deviations from which a difference of two readings is a jump."""
LEAST = 1e-4
"""Least share of their prior medians that q and r are taken for: a channel that repeats one value would have none at all."""
ENOUGH = 8.0
"""A log is this many times as long as the longest lag that its walk is looked at over."""
RAMPS = 2.0
"""Factor by which the walk over `LONG` spacings is faster than from reading to reading from which on the quantity is taken to ramp."""
LONG = 10.0
"""Median spacings from which on a gap may hold jumps there and back."""
MAX_OUTLIERS = 0.05
"""Share of outliers, or jumps, above which they are how the channel behaves, and none is taken for one."""


@dataclasses.dataclass(frozen=True)
class LocalLevel:
    """Readings ``values`` [n] at ``seconds`` [n] of a walk whose variance has grown to ``grown`` [n] (unit^2) there; ``noise`` (unit^2) of a reading.

    Over ``lags`` [k] (s) it grows by ``walks`` [k] (unit^2/s), of which the first is that from reading to reading; ``outliers`` were left out.
    """

    seconds: np.ndarray
    values: np.ndarray
    grown: np.ndarray
    lags: np.ndarray
    walks: np.ndarray
    noise: float
    outliers: int

    @property
    def walk(self) -> float:
        """unit^2/s, from reading to reading."""
        return float(self.walks[0])

    def at(self, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation [t] of the level at ``seconds`` [t]."""
        seconds = np.asarray(seconds, np.float64)
        first, last = self.seconds[0], self.seconds[-1]
        grown = np.interp(seconds, self.seconds, self.grown)
        beyond = np.maximum(seconds - last, 0.0) + np.minimum(seconds - first, 0.0)
        grown += np.interp(np.abs(beyond), self.lags, self.walks) * beyond
        mean, variance = np.empty(len(seconds)), np.empty(len(seconds))
        count = min(NEIGHBOURS, len(self.values))
        start = np.clip(np.searchsorted(self.seconds, seconds) - count // 2, 0, len(self.values) - count)
        for begin in range(0, len(seconds), 512):
            part = slice(begin, begin + 512)
            mean[part], variance[part] = self._at(grown[part], start[part], count)
        return mean, np.sqrt(variance)

    def _at(self, grown: np.ndarray, start: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Kriging with an unknown mean from ``count`` readings from ``start`` [t] on."""
        index = start[:, None] + np.arange(count)
        read = self.grown[index]
        begin = np.minimum(read[:, 0], grown)
        read, at = read - begin[:, None], grown - begin
        covariance = np.minimum(read[:, :, None], read[:, None, :]) + self.noise * np.eye(count)
        cross = np.minimum(read, at[:, None])
        right = np.stack([cross, np.ones_like(cross), self.values[index] - self.values[index[:, :1]]], axis=2)
        solved = np.linalg.solve(covariance, right)
        by_cross, by_one, by_value = solved[..., 0], solved[..., 1], solved[..., 2]
        precision = by_one.sum(axis=1)
        level = by_value.sum(axis=1) / precision
        mean = level + (by_cross * right[..., 2]).sum(axis=1) - level * by_cross.sum(axis=1)
        lever = 1.0 - by_cross.sum(axis=1)
        variance = at - (by_cross * cross).sum(axis=1) + lever**2 / precision
        return mean + self.values[index[:, 0]], np.maximum(variance, 0.0)


def fit_local_level(seconds: np.ndarray, values: np.ndarray, walk: float, noise: float) -> LocalLevel:
    """The local-level model of readings ``values`` [n] at ``seconds`` [n], with prior medians ``walk`` (unit^2/s) and ``noise`` (unit^2)."""
    seconds, values = np.asarray(seconds, np.float64), np.asarray(values, np.float64)
    kept = ~_isolated(values)
    outliers = int((~kept).sum())
    seconds, values = seconds[kept], values[kept]
    spacing = np.diff(seconds)
    jumps = _jumps(spacing, np.diff(values), noise)
    prior = np.log([walk, noise])
    everywhere, least = _fit(seconds, values, np.zeros(len(spacing), bool), prior)
    resting = everywhere
    if jumps.any():
        resting, least = _fit(seconds, values, jumps, prior)
    rates = np.full(len(spacing), resting)
    lags, walks = _by_lag(seconds, values, everywhere, least)
    long = spacing > LONG * np.median(spacing) if len(spacing) else np.zeros(0, bool)
    rates[long] = np.interp(spacing[long], lags, walks)
    rates[jumps] = np.maximum(np.diff(values)[jumps] ** 2 / spacing[jumps], everywhere)
    grown = np.concatenate([[0.0], np.cumsum(rates * spacing)])
    # jumps are no part of the walk between them: with them a slower ramp beside them would not show
    level = values - np.concatenate([[0.0], np.cumsum(np.where(jumps, np.diff(values), 0.0))])
    calm = _by_lag(seconds, level, resting, least)[1]
    if len(calm) > 1 and calm[1] > RAMPS * calm[0]:
        # it moves straight on: the likelihood of a walk with a large q knows too little of the noise
        least = max(least, scatter(seconds, values))
    return LocalLevel(seconds, values, grown, lags, walks, least, outliers)


def _fit(seconds: np.ndarray, values: np.ndarray, left_out: np.ndarray, prior: np.ndarray) -> tuple[float, float]:
    """q, widened by how well it is known, and r from differences of successive readings, without those ``left_out`` [n - 1]."""
    walk, noise = np.exp(prior)
    rounding = max(_step(values) ** 2 / 12.0, LEAST * noise)
    spacing, rises, joined = _differences(seconds, values, left_out)
    width = np.log([WALK_FACTOR, NOISE_FACTOR])

    def loss(logs: np.ndarray) -> float:
        q, r = math.exp(logs[0]), math.exp(logs[1])
        beside = 0.5 * (((logs - prior) / width) ** 2).sum()
        return float(beside) - _log_likelihood(spacing, rises, joined, max(q, LEAST * walk), max(r, rounding))

    if not len(rises):
        return MAX_WIDENING * walk, max(noise, rounding)
    start = np.log([max(np.median(rises**2 / spacing), 1e-3 * walk), max(0.25 * np.median(rises**2), 1e-2 * noise)])
    options = {"xatol": 0.01, "fatol": 0.01}
    fits = [minimize(loss, point, method="Nelder-Mead", options=options) for point in (start, prior)]
    logs = min(fits, key=lambda fit: float(fit.fun)).x
    # a gap's variance is proportional to q: its mean, of an inverse gamma distribution as curved at its mode as this one
    widening = min(1.0 / max(1.0 - _curvature(loss, logs, float(width[0])), 1e-9), MAX_WIDENING)
    return widening * max(math.exp(logs[0]), LEAST * walk), max(math.exp(logs[1]), rounding)


def _jumps(spacing: np.ndarray, rises: np.ndarray, noise: float) -> np.ndarray:
    """Differences far beyond the others [m], where these are few."""
    if not len(rises):
        return np.zeros(0, bool)
    usual = float(np.median(rises**2 / spacing)) / 0.455  # the median of a squared Gaussian of variance one
    far = np.abs(rises) > JUMP * np.sqrt(usual * spacing + 2.0 * noise)
    return far if far.mean() <= MAX_OUTLIERS else np.zeros(len(rises), bool)


def _isolated(values: np.ndarray) -> np.ndarray:
    """Single readings far from both neighbours and the median of five; a step that persists is none."""
    if len(values) < 7:
        return np.zeros(len(values), bool)
    padded = np.pad(values, 2, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    away = np.abs(values - around)
    scale = max(1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2.0), _step(values))
    far = away > ISOLATED * scale
    lonely = far & ~np.roll(far, 1) & ~np.roll(far, -1)
    return lonely if lonely.mean() <= MAX_OUTLIERS else np.zeros(len(values), bool)


def _by_lag(seconds: np.ndarray, values: np.ndarray, walk: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Lags [k] (s), and the mean squares of differences of readings so far apart, less their ``noise``, over their lags [k]; at least ``walk``.

    Up to an `ENOUGH`-th of the log: of longer lags there are too few that do not overlap.
    """
    lags, walks = [0.0], [walk]
    if len(seconds) < MIN_SCATTER:
        return np.array(lags), np.array(walks)
    lag = LONG * float(np.median(np.diff(seconds)))
    while lag <= (seconds[-1] - seconds[0]) / ENOUGH:
        later = np.searchsorted(seconds, seconds + lag)
        pairs = np.flatnonzero(later < len(seconds))
        apart = seconds[later[pairs]] - seconds[pairs]
        near = apart <= 2.0 * lag
        rises = values[later[pairs[near]]] - values[pairs[near]]
        if near.any():
            lags.append(lag)
            walks.append(max(walk, (float((rises**2).mean()) - 2.0 * noise) / float(apart[near].mean())))
        lag *= 2.0
    return np.array(lags), np.array(walks)


def scatter(seconds: np.ndarray, values: np.ndarray) -> float:
    """Variance of readings about the straight line between their neighbours, from its median: the noise of a quantity that ramps."""
    if len(values) < MIN_SCATTER:
        return 0.0
    before, after = np.diff(seconds)[:-1], np.diff(seconds)[1:]
    share = before / (before + after)
    away = values[1:-1] - (1.0 - share) * values[:-2] - share * values[2:]
    return float((1.4826 * np.median(np.abs(away / np.sqrt(1.0 + share**2 + (1.0 - share) ** 2)))) ** 2)


def _step(values: np.ndarray) -> float:
    """The smallest difference of two readings that differ: at least the step of the channel's numbers; 0 where fewer than `CHANGES` readings show one."""
    if np.count_nonzero(np.diff(values)) < CHANGES:
        return 0.0
    different = np.diff(np.unique(values))
    scale = float(np.abs(values).max(initial=0.0))
    different = different[different > 1e-12 * scale]
    return float(different.min()) if len(different) else 0.0


def _differences(
    seconds: np.ndarray, values: np.ndarray, left_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spacings and rises [m] of successive readings, and whether each shares a reading with the one before it."""
    n = len(values)
    blocks = [slice(0, n)]
    if n > MAX_FITTED:
        length = MAX_FITTED // BLOCKS
        blocks = [slice(begin, begin + length) for begin in np.linspace(0, n - length, BLOCKS).astype(int).tolist()]
    spacing = np.concatenate([np.diff(seconds[block]) for block in blocks])
    rises = np.concatenate([np.diff(values[block]) for block in blocks])
    joined = np.concatenate([np.arange(len(values[block]) - 1) > 0 for block in blocks])
    kept = ~np.concatenate([left_out[block.start : max(block.stop - 1, block.start)] for block in blocks])
    joined &= np.concatenate([[False], kept[:-1]])[: len(kept)]
    return spacing[kept], rises[kept], joined[kept]


def _log_likelihood(spacing: np.ndarray, rises: np.ndarray, joined: np.ndarray, q: float, r: float) -> float:
    """Of differences with covariance q dt + 2 r on the diagonal and -r beside it."""
    banded = np.zeros((2, len(rises)))
    banded[0] = q * spacing + 2.0 * r
    banded[1, :-1] = np.where(joined[1:], -r, 0.0)
    try:
        factor = cholesky_banded(banded, lower=True)
    except LinAlgError:
        return -math.inf
    white = solve_banded((1, 0), factor, rises)
    return float(-np.log(factor[0]).sum() - 0.5 * (white**2).sum())


def _curvature(loss, logs: np.ndarray, widest: float) -> float:
    """Variance of log q from the second derivatives of ``loss`` at its minimum, at most that of the prior."""
    h = 0.1
    offsets = np.eye(2) * h
    middle = loss(logs)
    second = np.empty((2, 2))
    for i in range(2):
        second[i, i] = (loss(logs + offsets[i]) - 2 * middle + loss(logs - offsets[i])) / h**2
    second[0, 1] = second[1, 0] = (
        loss(logs + offsets[0] + offsets[1])
        - loss(logs + offsets[0] - offsets[1])
        - loss(logs - offsets[0] + offsets[1])
        + loss(logs - offsets[0] - offsets[1])
    ) / (4 * h**2)
    determinant = second[0, 0] * second[1, 1] - second[0, 1] ** 2
    if not (np.isfinite(determinant) and determinant > 0 and second[1, 1] > 0):
        return widest**2
    return float(min(second[1, 1] / determinant, widest**2))
