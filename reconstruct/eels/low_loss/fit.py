"""Low-loss spectra by the counting likelihood: t/lambda and the plasmon, with plural scattering exactly and the zero loss as it was recorded.

Losses are Drude terms (`twin.eels.spectrum`): the volume plasmon, and others for what else is lost (surfaces, interband transitions, an oxide), added one
by one where the spectrum has most beyond the model, as long as that is significant. A loss function is never these terms exactly: what is left of the
spectrum is larger than counting noise and alike in neighbouring channels. Covariances are therefore those of estimates whose residual is what it is,
correlated as it is (the sandwich of Huber with the kernel of W. K. Newey and K. D. West, Econometrica 55, 703, 1987).
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d

from reconstruct.eels.features import Peak
from reconstruct.eels.low_loss.separation import ZeroLoss
from reconstruct.inference.damped_newton import minimise_single
from twin.eels.spectrum import Measured, SpectrumModel, energy_axis, expected, spectrum_model

MOST_TERMS = 4
LEAST_GAIN = 0.03
"""Share of the misfit that another term must take away."""
STEPS = 60
NARROWEST = 2.0
"""Least width of a term in channels."""
LARGEST_THICKNESS = 12.0
LEAST_COUNTS = 1e-4
"""Least expectation of a channel, over the mean of losses."""
COARSE = 10.0
"""Resolution in channels for which the model is computed with one point a channel."""
LEAST_SIZE = 64
"""Channels to a multiple of which spectra are filled up."""


class LowLoss(NamedTuple):
    """``names`` and ``values`` [p] ("t_over_lambda", "plasmon1.energy", ".width", ".strength"; eV), their ``covariance`` [p, p]; ``model`` and ``data``
    [n] at ``energies`` [n] (eV from the zero loss) with the ``noise`` [n] of counting by ``gain`` (counts per electron; as the residual has it where it
    was not told) and ``misfit``: chi squared over its degrees of freedom. ``influence`` [p, channels]: by how much values change with a count of each
    channel; ``growth`` [channels]: change of the model with t/lambda at fixed electrons, over all of them."""

    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    energies: np.ndarray
    data: np.ndarray
    model: np.ndarray
    noise: np.ndarray
    gain: float
    misfit: float
    influence: np.ndarray
    growth: np.ndarray

    def value(self, name: str) -> tuple[float, float]:
        """Value and rms error of one parameter."""
        index = self.names.index(name)
        return float(self.values[index]), math.sqrt(self.covariance[index, index])


def fit_low_loss(
    counts: np.ndarray,
    zero: ZeroLoss,
    dispersion: float,
    energy: float,
    collection: float | None,
    plasmon: Peak | None,
    gain: float | None = None,
) -> LowLoss:
    """Fit ``counts`` [channels] with steps of ``dispersion`` (eV), recorded with a beam of ``energy`` eV into the semi-angle ``collection`` (radian; None:
    unknown, all angles). ``plasmon``: where the highest peak of losses is, in channels; ``gain``: counts per electron. ValueError where nothing is lost."""
    lost = float(np.sum(counts) - zero.counts)
    if not lost > 0.0 or zero.begins > len(counts) - 8:
        raise ValueError("there are no losses behind the zero loss")
    fit = _Fit(np.asarray(counts, np.float64), zero, dispersion, energy, collection or 0.0)
    start = math.log1p(max(lost, 1e-3 * zero.counts) / zero.counts)
    first = plasmon.centre if plasmon is not None else zero.centre + _mean_loss(counts, zero)
    width = plasmon.width if plasmon is not None else 0.5 * (first - zero.centre)
    terms = [(dispersion * (first - zero.centre), dispersion * max(width, NARROWEST), 1.0)]
    best = fit.solve(terms, start)
    while len(terms) < MOST_TERMS:
        position = fit.excess(best)
        if position is None:
            break
        more = fit.solve([*_terms(best), position], float(best.values[0]))
        if not more.misfit < (1.0 - LEAST_GAIN) * best.misfit:
            break
        best, terms = more, [*terms, position]
    return fit.result(best, gain)


class Solution(NamedTuple):
    """``values`` [p] of the parameters, the ``misfit``, the ``curvature`` [p, p], and the ``model`` [n] with its ``slope`` [n, p] where losses are fitted; the
    losses ``under`` the zero loss over its counts."""

    values: np.ndarray
    misfit: float
    curvature: np.ndarray
    model: np.ndarray
    slope: np.ndarray
    under: float


def _mean_loss(counts: np.ndarray, zero: ZeroLoss) -> float:
    """In channels."""
    at = np.arange(zero.begins, len(counts))
    weights = np.maximum(counts[zero.begins :], 0.0)
    return float((weights * (at - zero.centre)).sum() / max(weights.sum(), 1e-300))


def _terms(solution: Solution) -> list[tuple[float, float, float]]:
    """Energy, width and strength of each term of a solution."""
    values = solution.values[1:]
    strengths = [1.0, *values[4::3]]
    energies, widths = [values[0], *values[2::3]], [values[1], *values[3::3]]
    return [(float(e), float(w), float(s)) for e, w, s in zip(energies, widths, strengths, strict=True)]


class _Spectrum(NamedTuple):
    """What a spectrum says, as arrays of a size that many share: ``counts`` [n] and the zero loss's ``shape`` [n], 0 where nothing was recorded; ``used``
    [n]: 1 where losses are fitted; ``zero``: counts of the zero loss, the ``dispersion`` in eV and the least expectation, ``floor``."""

    counts: Any
    shape: Any
    used: Any
    zero: Any
    dispersion: Any
    floor: Any


@functools.lru_cache(maxsize=64)
def _model(channels: int, middle: int, terms: int, energy: float, collection: float) -> SpectrumModel:
    """Zero loss in channel ``middle``; energies in channels, which `_Spectrum.dispersion` makes eV."""
    # one point a channel: what was recorded has no finer structure
    axis = energy_axis(channels, -float(middle), 1.0, COARSE, whole=True)
    measured = Measured(np.ones(channels), float(middle))
    return spectrum_model(axis, energy, collection=collection, measured=measured, plasmons=[(10.0, 3.0, 1.0)] * terms)


@functools.partial(jax.jit, static_argnums=0)
def _predicted(model: SpectrumModel, values: Any, spectrum: _Spectrum) -> Any:
    named = {name: values[index] for index, name in enumerate(_names(model.terms))}
    # as many electrons as the zero loss has with the share that lost nothing
    named["counts"] = spectrum.zero * jnp.exp(values[0])
    named["offset"], named["dispersion"] = model.axis.offset * spectrum.dispersion, spectrum.dispersion
    return expected(model, named, spectrum.shape)


@functools.partial(jax.jit, static_argnums=0)
def _expanded(model: SpectrumModel, values: Any, spectrum: _Spectrum) -> tuple[Any, ...]:
    """Expectation [n], its derivatives [n, p], cost, gradient and curvature."""
    made = jnp.maximum(_predicted(model, values, spectrum), spectrum.floor)
    slope = jax.jacfwd(lambda at: _predicted(model, at, spectrum))(values)
    used, data = spectrum.used, spectrum.counts
    cost = (used * (made - data * jnp.log(made))).sum()
    gradient = slope.T @ (used * (1.0 - data / made))
    return made, slope, cost, gradient, (slope * (used / made)[:, None]).T @ slope


def _size(channels: int) -> int:
    """The next larger of sizes an eighth of a power of two apart: spectra of about one size share programs."""
    step = max(1 << max(int(channels).bit_length() - 4, 0), LEAST_SIZE)
    return -(-channels // step) * step


class _Fit:
    """A spectrum with its zero loss, and models with some terms."""

    def __init__(self, counts: np.ndarray, zero: ZeroLoss, dispersion: float, energy: float, collection: float):
        self.counts, self.zero, self.dispersion = counts, zero, dispersion
        self.energy, self.collection = energy, collection
        self.offset = -zero.centre * dispersion
        # losses are counted from a whole channel: the shape that was recorded lies where it lies, and nothing is interpolated
        middle = round(zero.centre)
        self.used = np.arange(zero.begins, len(counts))
        self.floor = LEAST_COUNTS * max(float(counts[self.used].mean()), 1e-12)
        self.middle = _size(middle)
        before = self.middle - middle
        after = _size(before + len(counts)) - before - len(counts)
        inside = np.zeros(len(counts))
        inside[self.used] = 1.0
        data, shape, fitted = (np.pad(values, (before, after)) for values in (counts, zero.shape, inside))
        self.at = before + self.used
        self.spectrum = _Spectrum(data, shape, fitted, float(zero.counts), float(dispersion), self.floor)

    def expanded(self, values: np.ndarray) -> tuple[np.ndarray, ...]:
        """`_expanded` at the parameters."""
        model = _model(len(self.spectrum.counts), self.middle, _terms_in(values), self.energy, self.collection)
        return tuple(np.asarray(part) for part in _expanded(model, values, self.spectrum))

    def solve(self, terms: list[tuple[float, float, float]], thickness: float) -> Solution:
        """The likeliest parameters with so many terms, from these on."""

        def evaluate(values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
            _, _, cost, gradient, curvature = self.expanded(values)
            return float(cost), gradient, curvature

        start = np.array([thickness, *terms[0][:2], *(number for term in terms[1:] for number in term)])
        low, high = np.zeros(len(start)), np.full(len(start), np.inf)
        low[0], high[0] = 1e-4, LARGEST_THICKNESS
        narrow = NARROWEST * self.dispersion
        last = self.dispersion * len(self.counts)
        for index in (1, *range(3, len(start), 3)):
            low[index], high[index] = narrow, last
            low[index + 1], high[index + 1] = narrow, 2.0 * last
        low[5::3] = 1e-6
        minimum = minimise_single(evaluate, np.clip(start, low, high), STEPS, 1e-3, low, high)
        whole, slopes = self.expanded(minimum.position)[:2]
        made = whole[self.at]
        misfit = float(((self.counts[self.used] - made) ** 2 / made).sum())
        under = float((whole - self.spectrum.shape)[: self.at[0]].sum()) / self.zero.counts
        return Solution(minimum.position, misfit, minimum.curvature, made, slopes[self.at], max(under, 0.0))

    def excess(self, solution: Solution) -> tuple[float, float, float] | None:
        """A term for the largest excess over a model; None where there is none."""
        made = solution.model
        left = (self.counts[self.used] - made) / np.sqrt(made)
        best: tuple[float, int, float] | None = None
        for width in (4.0, 10.0, 25.0, 60.0):
            spread = max(width * 0.05 / self.dispersion, 1.0)
            smooth = gaussian_filter1d(left, spread) * math.sqrt(spread)
            top = int(np.argmax(smooth))
            if best is None or smooth[top] > best[0]:
                best = float(smooth[top]), top, spread * self.dispersion
        if best is None or best[0] <= 0.0:
            return None
        values, energy = solution.values, self.offset + self.dispersion * self.used[best[1]]
        extra = float(np.maximum(left * np.sqrt(made), 0.0).sum() / max(made.sum(), 1e-300))
        return energy, max(2.0 * best[2], 0.1 * energy), max(extra * values[1] / max(energy, 1e-3), 1e-3)

    def result(self, solution: Solution, gain: float | None) -> LowLoss:
        """With the covariance of what is left, and the error of the zero loss's counts in t/lambda."""
        values, _, curvature, made, slope, under = solution
        data = self.counts[self.used]
        scale = np.sqrt(np.diag(curvature))
        inverse = np.linalg.pinv(curvature / np.outer(scale, scale), rcond=1e-12) / np.outer(scale, scale)
        scores = slope * (data / made - 1.0)[:, None]
        covariance = inverse @ _long_run(scores, (data - made) / np.sqrt(made)) @ inverse
        freedom = max(len(data) - len(values), 1)
        left = float(((data - made) ** 2 / made).sum()) / freedom
        covariance[0, 0] += (self.zero.counts_error / self.zero.counts) ** 2
        # the model's losses under the zero loss: materials with a gap have none, others have them all
        values = values + np.eye(len(values))[0] * 0.5 * under
        covariance[0, 0] += under**2 / 12.0
        noise = gain if gain is not None else left
        influence = np.zeros((len(values), len(self.counts)))
        influence[:, self.used] = inverse @ (slope / made[:, None]).T
        # the model is one of so many electrons in the zero loss, which were counted too
        of_zero = -(inverse @ slope.sum(axis=0)) / self.zero.counts
        influence[:, : self.zero.begins] = of_zero[:, None]
        covariance += noise * self.zero.counts * np.outer(of_zero, of_zero)
        electrons = self.zero.counts * math.exp(values[0])
        growth = np.zeros(len(self.counts))
        growth[: self.zero.begins] = -np.maximum(self.counts[: self.zero.begins], 0.0) / electrons
        growth[self.used] = (slope[:, 0] - made) / electrons
        return LowLoss(
            _names(_terms_in(values)),
            values,
            covariance,
            self.offset + self.dispersion * self.used,
            data,
            made,
            np.sqrt(noise * made),
            noise,
            left / noise,
            influence,
            growth,
        )


def _terms_in(values: np.ndarray) -> int:
    """Number of terms that parameters are of."""
    return len(values) // 3


def _names(terms: int) -> tuple[str, ...]:
    names = ["t_over_lambda", "plasmon1.energy", "plasmon1.width"]
    for number in range(2, terms + 1):
        names += [f"plasmon{number}.{what}" for what in ("energy", "width", "strength")]
    return tuple(names)


def _long_run(scores: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Covariance of the sum of ``scores`` [n, p], neighbours correlated as far as the ``residual`` [n] is: to where its correlation first vanishes."""
    size = len(residual)
    centred = residual - residual.mean()
    correlation = np.correlate(centred, centred, "full")[size - 1 :]
    vanished = np.flatnonzero(correlation <= 0.0)
    reach = min(int(vanished[0]) if len(vanished) else size // 4, size // 4)
    total = scores.T @ scores
    for lag in range(1, 2 * reach + 1):
        if lag >= size:
            break
        product = scores[lag:].T @ scores[:-lag]
        total += (1.0 - lag / (2.0 * reach + 1.0)) * (product + product.T)
    return total
