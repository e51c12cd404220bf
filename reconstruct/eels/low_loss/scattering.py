"""A low loss as core losses have it: the kernel that edges are convolved with, by how much its counting noise changes it, and each spectrum's thickness.

The recorded low loss is a sum of bins of losses whose counts are independent. Kernel, electrons and t/lambda are functions of these counts; to first order
an unknown of variance 1 for each bin holds all that they share (the quasi-likelihood of the low loss, expanded at its maximum). Core losses that are fitted
with these unknowns have its error in their atoms per area, and what they say of plural scattering comes back to t/lambda.

Thickness of single spectra: the low loss of each is the mean one with another t/lambda, to first order, of which electrons are independent.
"""

import math
from typing import NamedTuple

import numpy as np

FIRST, GROWTH = 1.0, 1.15
"""Width in eV of bins behind the zero loss, and by how much later ones are wider."""
ZERO_WIDTHS = 2.0
"""Full widths from the zero loss up to which all is counted as not scattered."""
STEPS, MOST = 20, 0.9
"""Steps of the thickness of single spectra, and the share of a bin's counts that it may take away."""
LEAST_SPREAD = 0.02
"""Least rms of t/lambda over an image, as a share of it."""


class Each(NamedTuple):
    """Of n low losses: ``thickness`` [n] (t/lambda less the mean one) with its ``variance`` [n] at one count an electron, ``counts`` [n], ``slope`` [c]: of the
    kernel by t/lambda; ``least``: rms of t/lambda that images have at least."""

    thickness: np.ndarray
    variance: np.ndarray
    counts: np.ndarray
    slope: np.ndarray
    least: float

    def prior(self, gain: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean and rms [n] of t/lambda less the mean one, before the core loss: by each low loss and by how much they differ; ``gain``: counts per
        electron."""
        noise = gain * self.variance
        weight = 1.0 / noise
        mean = float((weight * self.thickness).sum() / weight.sum())
        # moments (R. DerSimonian and N. Laird, Control. Clin. Trials 7, 177, 1986)
        excess = float((weight * (self.thickness - mean) ** 2).sum()) - (len(noise) - 1)
        spread = max(excess / float(weight.sum() - (weight**2).sum() / weight.sum()), self.least**2)
        total = 1.0 / (weight + 1.0 / spread)
        return total * (weight * self.thickness + mean / spread), np.sqrt(total)


class Scattering(NamedTuple):
    """``kernel`` [c] of unit sum from zero loss on in channels of core losses; for each of q unknowns of variance 1, at one count an electron, the change of
    it (``parts`` [q, c]), of the logarithm of all counts (``log_counts`` [q]) and of the low loss's parameters (``values`` [p, q]); ``each`` of the
    spectra, where there is one for each. All changes go with the square root of the counts per electron."""

    kernel: np.ndarray
    parts: np.ndarray
    log_counts: np.ndarray
    values: np.ndarray
    each: Each | None = None

    def without_noise(self) -> "Scattering":
        """The same, taken as exact."""
        none = slice(0)
        return self._replace(parts=self.parts[none], log_counts=self.log_counts[none], values=self.values[:, none])


class Recorded(NamedTuple):
    """A sum of low losses: ``counts`` [n] (0 where left out) at ``losses`` [n] in eV from the zero loss, whose full width is ``width`` eV; ``influence``
    [p, n]: of parameters by a count of each channel; ``growth`` [n]: of the model by t/lambda at fixed electrons, over all its counts (empty: no
    model)."""

    counts: np.ndarray
    losses: np.ndarray
    width: float
    influence: np.ndarray
    growth: np.ndarray


def scattering_of(
    recorded: Recorded, dispersion: float, reach: float, each: np.ndarray | None = None, thickness: float = 0.0
) -> Scattering:
    """The low loss for core losses in channels of ``dispersion`` eV up to ``reach`` eV behind an onset. ``each`` [spectra, n]: the low losses of single
    spectra, whose mean t/lambda is ``thickness``."""  # fmt: skip
    counts = np.maximum(recorded.counts, 0.0)
    bins = _bins(recorded.losses, ZERO_WIDTHS * recorded.width, reach)
    number = int(bins.max()) + 1
    resampled = np.array(
        [_resampled(np.where(bins == index, counts, 0.0), recorded, dispersion) for index in range(number)]
    )
    in_bin, total = resampled.sum(axis=1), float(resampled.sum())
    kernel = resampled.sum(axis=0) / total
    seen = in_bin > 0.0
    noise = np.sqrt(in_bin[seen])
    shape = resampled[seen] / in_bin[seen, None]
    parts = noise[:, None] * (shape - kernel[None]) / total
    # of a count in a bin, distributed as the bin's counts are
    influence = np.stack([recorded.influence[:, bins == index] @ counts[bins == index] for index in np.flatnonzero(seen)], axis=1)  # fmt: skip
    singles = None
    if each is not None and len(recorded.growth):
        singles = _each(each, recorded, bins, seen, in_bin / total, dispersion, LEAST_SPREAD * thickness)
    return Scattering(kernel, parts, noise / total, influence / noise, singles)


def _bins(losses: np.ndarray, zero: float, reach: float) -> np.ndarray:
    """The bin of each loss: 0 up to the end of the zero loss, then wider and wider ones, what is beyond the ``reach`` in the last."""
    borders, width = [zero], FIRST
    while borders[-1] < min(losses[-1], reach):
        borders.append(borders[-1] + width)
        width *= GROWTH
    raw = np.searchsorted(borders, losses, side="left")
    return np.unique(raw, return_inverse=True)[1]  # steps may be wider than bins


def _resampled(values: np.ndarray, recorded: Recorded, dispersion: float) -> np.ndarray:
    """Counts in channels of ``dispersion`` eV from zero loss on; all that lies before the end of the zero loss is in the first."""
    losses = recorded.losses
    step = float(losses[1] - losses[0])
    lost = losses > ZERO_WIDTHS * recorded.width
    size = max(int(losses[-1] / dispersion), 1) + 1
    # counts up to each border of a channel: steps may differ
    borders = np.append(losses[lost] - 0.5 * step, losses[-1] + 0.5 * step)
    summed = np.concatenate([[0.0], np.cumsum(values[lost])])
    curve = np.diff(np.interp(dispersion * (np.arange(size + 1) - 0.5), borders, summed))
    curve[0] += values[~lost].sum()
    return curve


def _each(
    each: np.ndarray, recorded: Recorded, bins: np.ndarray, seen: np.ndarray, share: np.ndarray, dispersion: float, least: float
) -> Each:  # fmt: skip
    """Thickness of single spectra, by the likelihood of their counts in bins."""
    count = len(share)
    growth = np.array([recorded.growth[bins == index].sum() for index in range(count)])[seen]
    share = share[seen]
    growth = growth - share * growth.sum()  # of what is recorded
    single = np.stack([each[:, bins == index].sum(axis=1) for index in range(count)], axis=1)[:, seen]
    ratio = growth / share
    low, high = -MOST / max(ratio.max(), 1e-9), MOST / max(-ratio.min(), 1e-9)
    single = np.maximum(single, 0.0)
    totals = np.maximum(single.sum(axis=1), 1.0)
    thickness = np.zeros(len(each))
    information = np.ones(len(each))
    for _ in range(STEPS):
        rate = 1.0 + thickness[:, None] * ratio
        information = totals * (share * ratio**2 / rate).sum(axis=1)
        thickness = np.clip(thickness + (single * ratio / rate).sum(axis=1) / information, low, high)
    kernel = _resampled(recorded.growth, recorded, dispersion)
    whole = _resampled(np.maximum(recorded.counts, 0.0), recorded, dispersion)
    slope = kernel - whole / whole.sum() * kernel.sum()
    return Each(thickness, 1.0 / information, totals, slope, max(least, math.sqrt(np.finfo(float).tiny)))
