"""The spectrometer's camera: from electrons in each channel to counts, with spread, gain, fixed pattern, dark level, readout and counting noise.

Each electron makes ``gain`` counts on average, with the relative variance ``excess``: 0 where all make the same, 1 for electron multiplication, where the gain
is distributed exponentially (Robbins and Hadwen, IEEE Trans. Electron Devices 50, 1227, 2003). They are spread over channels by a Gaussian (its share
within each channel) and a Lorentzian's tails; the fixed pattern multiplies channels. So neighbouring channels share noise: cov(i, j) = gain^2 (1 + excess)
p_i p_j sum_k h(i - k) h(j - k) n_k, with n_k electrons in channel k, and readout noise on the diagonal.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float, PRNGKeyArray

from twin.detection.counting import poisson
from twin.eels.spectrum.parameters import Parameter


def detector_parameters(spread: bool, pattern: int, excess: bool = False) -> list[Parameter]:
    """Of the camera; ``spread``: electrons reach other channels, ``pattern``: number of channels with a gain of their own (0: all alike), ``excess``: electrons
    make unlike numbers of counts."""
    given = [
        Parameter("gain", "1", 1.0, 0.0, doc="counts for each electron", open=True),
        Parameter("dark", "count", 0.0, doc="counts of a channel without electrons"),
        Parameter("readout", "count", 0.0, 0.0, doc="readout noise of a channel, rms"),
    ]
    if spread:
        given += [
            Parameter(
                "psf.width",
                "1",
                0.5,
                0.0,
                doc="rms in channels of the Gaussian that an electron is spread by",
                open=True,
            ),
            Parameter("psf.tail", "1", 0.0, 0.0, 1.0, doc="share of its counts that lie in a Lorentzian's tails"),
            Parameter("psf.tail_width", "1", 4.0, 0.0, doc="half width in channels of that Lorentzian", open=True),
        ]
    if excess:
        doc = "variance over squared mean of the counts that an electron makes"
        given.append(Parameter("excess", "1", 1.0, 0.0, doc=doc, open=True))
    if pattern:
        given.append(Parameter("pattern", "1", 1.0, 0.0, doc="gain of each channel over the mean", size=pattern))
    return given


def spread(values: Mapping[str, Any], reach: int) -> Float[Array, " taps"]:
    """Shares [2 reach + 1] of an electron's counts in the channels around its own, of sum 1."""
    if reach == 0:
        return jnp.ones(1)
    edges = np.arange(-reach, reach + 2) - 0.5
    gaussian = 0.5 * jnp.diff(jax.scipy.special.erf(edges / (np.sqrt(2.0) * values["psf.width"])))
    lorentz = jnp.diff(jnp.arctan(edges / values["psf.tail_width"])) / np.pi
    taps = (1.0 - values["psf.tail"]) * gaussian + values["psf.tail"] * lorentz
    return taps / taps.sum()


def expected_counts(
    electrons: Float[Array, "*batch wide"], values: Mapping[str, Any], reach: int
) -> Float[Array, "*batch channels"]:
    """Mean counts of ``electrons`` [..., channels + 2 reach] for each channel."""
    return _patterned(values["gain"] * _filtered(electrons, spread(values, reach), reach), values) + values["dark"]


def covariance(
    electrons: Float[Array, "*batch wide"], values: Mapping[str, Any], reach: int, lag: int = 0
) -> Float[Array, "*batch channels"]:
    """Covariance in counts^2 of each channel with the one ``lag`` channels on, [..., channels - lag]; for lag 0 the variance."""
    taps = spread(values, reach)
    if lag > 2 * reach:
        return jnp.zeros((*electrons.shape[:-1], electrons.shape[-1] - 2 * reach - lag))
    pairs = jnp.zeros_like(taps).at[: len(taps) - lag].set(taps[: len(taps) - lag] * taps[lag:])
    shared = values["gain"] ** 2 * (1.0 + values.get("excess", 0.0)) * _filtered(electrons, pairs, reach)
    shared = _patterned(shared, values)[..., : shared.shape[-1] - lag]
    if "pattern" in values:
        shared = shared * _along_last(values["pattern"][lag:], shared.ndim)
    return shared + values["readout"] ** 2 if lag == 0 else shared


def covariance_matrix(
    electrons: Float[Array, " wide"], values: Mapping[str, Any], reach: int, lags: int
) -> Float[Array, "channels channels"]:
    """The covariance of all channels of one spectrum, 0 beyond ``lags`` channels."""
    total = jnp.diag(covariance(electrons, values, reach))
    for lag in range(1, lags + 1):
        band = jnp.diag(covariance(electrons, values, reach, lag), lag)
        total = total + band + band.T
    return total


def sample(
    key: PRNGKeyArray | Array, electrons: Float[Array, "*batch wide"], values: Mapping[str, Any], reach: int
) -> Float[Array, "*batch channels"]:
    """One noisy recording: Poisson numbers of electrons in each channel, with excess noise each counted by a gamma distributed number, spread as in
    `expected_counts`, and readout noise. ``key`` is explicit."""
    shots, hum = jax.random.split(key)
    counted = poisson(shots, jnp.maximum(electrons, 0.0))
    if "excess" in values:
        # the sum of n gamma variables of shape 1 / excess is one of shape n / excess
        shape = counted / values["excess"]
        drawn = values["excess"] * jax.random.gamma(jax.random.fold_in(key, 2), jnp.maximum(shape, 1e-6))
        counted = jnp.where(counted > 0, drawn, 0.0)
    counts = expected_counts(counted, values, reach)
    return counts + values["readout"] * jax.random.normal(hum, counts.shape, counts.dtype)


def _patterned(counts: Float[Array, "*batch channels"], values: Mapping[str, Any]) -> Float[Array, "*batch channels"]:
    return counts * _along_last(values["pattern"], counts.ndim) if "pattern" in values else counts


def _along_last(values: Array, rank: int) -> Array:
    return values.reshape(*(1,) * (rank - 1), -1)


def _filtered(
    electrons: Float[Array, "*batch wide"], taps: Float[Array, " taps"], reach: int
) -> Float[Array, "*batch channels"]:
    """Sums over channels: out[i] = sum_m taps[reach + m] electrons[reach + i - m]."""
    if reach == 0:
        return electrons * taps[0]
    wide = electrons.shape[-1]
    length = scipy.fft.next_fast_len(wide, real=True)
    product = jnp.fft.rfft(electrons, n=length) * _along_last(jnp.fft.rfft(taps, n=length), electrons.ndim)
    return jnp.fft.irfft(product, n=length)[..., 2 * reach : wide]
