"""The camera of a spectrometer as its noise shows it: counts per electron, noise that neighbouring channels share, and readout noise.

A camera spreads the light of an electron over channels, so that single channels are quieter than counting says and sums of many are not. Variance of
channel c: ``gain`` x mean + ``readout``^2; correlation of neighbours: ``correlation``. The counts per electron of sums over many channels are gain (1 + 2
sum of the correlations). How light spreads in scintillators: J. R. Meyer and A. I. Kirkland, Ultramicroscopy 75, 23 (1998).

Whitening: noise with such correlations is a moving average, whose inverse is well approximated by prediction from a few channels before (Levinson's
recursion; J. Durbin, Rev. Inst. Int. Stat. 28, 233, 1960), exact for an autoregressive process.
"""

import math
from typing import NamedTuple

import numpy as np

from reconstruct.eels.habit.power_law import fit_power_law

MOST_LAGS = 8
"""Channels over which noise may be shared."""
SIGNIFICANT = 5.0
"""Standard errors from which a correlation, or readout noise, is kept."""
LEAST_SPECTRA, LEAST_CHANNELS = 8, 96
"""Of which the scatter about power laws shows a camera."""
LEAST_SUM = 0.2
"""Least variance of sums of channels over that of single ones."""
LARGEST_REFLECTION = 0.98
"""Largest partial correlation: estimates may leave the set of correlations that noise can have."""


class Camera(NamedTuple):
    """Noise variance over mean of a single channel (``gain``, in counts), ``correlation`` of channels 1, 2, ... apart [lags], ``readout`` rms in counts, and
    the relative rms errors of ``gain`` and of the counts per electron."""

    gain: float = 1.0
    correlation: tuple[float, ...] = ()
    readout: float = 0.0
    error: float = 0.0

    @property
    def counts_per_electron(self) -> float:
        """Noise variance over mean of sums over many channels."""
        return self.gain * (1.0 + 2.0 * sum(self.correlation))


def noise_of(residual: np.ndarray, mean: np.ndarray, freedom: float, fit_readout: bool = False) -> Camera:
    """The camera from ``residual`` [n, channels] of spectra about what is expected of them, ``mean`` [n, channels] (> 0).

    ``freedom``: share of the residual's degrees of freedom that is left by what all spectra share, channel by channel. What each spectrum's few parameters
    absorb, and what a model misses slowly, changes products of neighbours at all distances alike: it is taken out with the product at the largest of them.
    ``fit_readout``: noise that does not grow with the mean is looked for too.
    """
    scaled, readout = residual / np.sqrt(mean), 0.0
    count, channels = scaled.size * freedom, scaled.shape[1]

    def products() -> np.ndarray:
        rows = [float((scaled[:, lag:] * scaled[:, : channels - lag]).mean()) for lag in range(MOST_LAGS + 2)]
        return (np.array(rows[:-1]) - rows[-1]) / freedom

    power = products()
    gain = float(power[0])
    if fit_readout:
        slow = float((scaled**2).mean()) / freedom / gain
        gain, readout = _noise_line(residual**2 / (freedom * slow), mean, gain)
        scaled = residual / np.sqrt(mean + readout**2 / gain)
        power = products()
    lags = power[1:] / power[0]
    last = next((lag for lag, value in enumerate(lags) if abs(value) < SIGNIFICANT / math.sqrt(count)), len(lags))
    # misfit may look like noise whose sums vanish, which no camera's do
    summed = np.flatnonzero(1.0 + 2.0 * np.cumsum(lags) < LEAST_SUM)
    kept = tuple(lags[: min(last, int(summed[0]) if len(summed) else last)].tolist())
    # neighbours that share noise are fewer independent ones
    independent = count / (1.0 + 2.0 * sum(value**2 for value in kept))
    return Camera(gain, kept, readout, math.sqrt(2.0 / independent))


def camera_by_background(energies: np.ndarray, spectra: np.ndarray, window: tuple[float, float]) -> Camera:
    """The camera from the scatter of ``spectra`` [n, channels] about power laws in a ``window`` of ``energies`` that must hold background only.

    A fixed pattern that is common to all is divided out. ValueError for fewer than `LEAST_SPECTRA` spectra or `LEAST_CHANNELS` channels, or a spectrum
    without counts.
    """
    inside = np.flatnonzero((energies >= window[0]) & (energies <= window[1]))
    if len(spectra) < LEAST_SPECTRA or inside.size < LEAST_CHANNELS:
        raise ValueError(
            f"{len(spectra)} spectra with {inside.size} channels of background do not determine the camera's noise; "
            f"give at least {LEAST_SPECTRA} with {LEAST_CHANNELS}"
        )
    counts = np.asarray(spectra[:, inside], np.float64)
    logs = np.log(energies[inside] / math.sqrt(window[0] * window[1]))
    fitted = fit_power_law(counts, logs)
    model = fitted.level[:, None] * np.exp(-fitted.exponent[:, None] * logs)
    mean = model * (counts.sum(axis=0) / model.sum(axis=0))
    return noise_of(counts - mean, mean, 1.0 - 1.0 / len(counts))


def _noise_line(squares: np.ndarray, mean: np.ndarray, start: float) -> tuple[float, float]:
    """Gain and readout noise of squared residuals over the mean, by weighted least squares; no readout noise where that is not significant."""
    gain, offset, error = start, 0.0, 0.0
    for _ in range(4):
        weight = 0.5 / (gain * mean + offset) ** 2  # the variance of a square is twice its square
        sums = [float((weight * mean**power).sum()) for power in (0, 1, 2)]
        first, second = float((weight * squares).sum()), float((weight * squares * mean).sum())
        determinant = sums[0] * sums[2] - sums[1] ** 2
        if not determinant > 1e-9 * sums[0] * sums[2]:  # all channels are as bright
            return start, 0.0
        error = math.sqrt(sums[2] / determinant)
        offset = max((sums[2] * first - sums[1] * second) / determinant, 0.0)
        gain = max((second - offset * sums[1]) / sums[2], 0.05 * start)
    return (gain, math.sqrt(offset)) if offset > SIGNIFICANT * error else (start, 0.0)


def whitening(correlation: tuple[float, ...], channels: int) -> np.ndarray:
    """Taps [1 + lags, channels] that make noise of such a ``correlation`` white: w[c] = sum over l of taps[l, c] z[c - l], of variance 1 where z's is 1."""
    lags = len(correlation)
    taps = np.zeros(((MOST_LAGS if lags else 0) + 1, channels))  # of two sizes, for which programs are compiled
    coefficients, variance = np.zeros(0), 1.0
    for order in range(lags + 1):
        row = np.zeros(len(taps))
        row[0], row[1 : order + 1] = 1.0, -coefficients
        # the first channels have fewer neighbours before them
        taps[:, order if order < lags else slice(lags, None)] = (row / math.sqrt(variance)).reshape(
            (-1,) if order < lags else (-1, 1)
        )
        if order == lags:
            break
        past = np.array(correlation[:order])
        reflection = (correlation[order] - coefficients @ past[::-1]) / variance
        reflection = float(np.clip(reflection, -LARGEST_REFLECTION, LARGEST_REFLECTION))
        coefficients = np.concatenate([coefficients - reflection * coefficients[::-1], [reflection]])
        variance *= 1.0 - reflection**2
    return taps


def precision(taps: np.ndarray) -> np.ndarray:
    """Diagonals [lags + 1, channels] of the inverse correlation matrix: value [l, c] couples channels c and c + l."""
    lags, channels = taps.shape[0] - 1, taps.shape[1]
    bands = np.zeros_like(taps)
    for apart in range(lags + 1):
        for lag in range(lags + 1 - apart):
            # row c + lag + apart of the whitening matrix holds channel c + apart at lag and channel c at lag + apart
            rows = channels - lag - apart
            bands[apart, :rows] += taps[lag, lag + apart :] * taps[lag + apart, lag + apart :]
    return bands
