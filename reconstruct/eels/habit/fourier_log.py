"""Fourier-log deconvolution of low-loss spectra: the single-scattering distribution and t/lambda.

Plural scattering is Poisson: j(f) = z(f) exp(s(f) / I0), with j, z and s the Fourier transforms of the spectrum, of the zero loss (of area I0) and of
single scattering. D. W. Johnson and J. C. H. Spence, J. Phys. D 7, 771 (1974); R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope
(3rd ed., 2011), section 4.2.1. Returned with the zero loss's resolution, z s / I0, as which noise is not amplified.
"""

from typing import NamedTuple

import numpy as np

PADDING = 2
"""Length of the transform over that of the spectrum: what was scattered beyond its end must not wrap around."""
END = 0.05
"""Share of the spectrum at its end to which the power law is fitted that continues it."""
LEAST_COUNTS = 1e-12


class SingleScattering(NamedTuple):
    """``distribution`` [channels] in counts, ``relative_thickness`` t/lambda, and ``zero_loss_counts`` I0."""

    distribution: np.ndarray
    relative_thickness: float
    zero_loss_counts: float


def fourier_log(counts: np.ndarray, zero_loss: np.ndarray, zero_channel: int) -> SingleScattering:
    """Single scattering of a spectrum ``counts`` [channels] whose ``zero_loss`` [channels] (on the same channels, without inelastic counts) has its
    centre in ``zero_channel``. ValueError where shapes differ or the zero loss holds nothing.

    A spectrum that is not zero at its end is continued by the power law of its end, faded to zero over the padding.
    """
    counts, zero_loss = np.asarray(counts, np.float64), np.asarray(zero_loss, np.float64)
    if counts.ndim != 1 or counts.shape != zero_loss.shape:
        raise ValueError(f"a spectrum of {counts.shape} channels has a zero loss of {zero_loss.shape}; give one each")
    total = float(zero_loss.sum())
    if not total > 0.0 or not 0 <= zero_channel < len(counts):
        raise ValueError("the zero loss holds no counts within the spectrum")
    size = PADDING * len(counts)
    spectrum = _transform(continued(counts, zero_channel, size), zero_channel)
    elastic = _transform(np.pad(zero_loss, (0, size - len(counts))), zero_channel)
    ratio = spectrum / np.where(np.abs(elastic) > LEAST_COUNTS * total, elastic, LEAST_COUNTS * total)
    # the phase is followed from zero frequency on, where it is 0: its principal value is wrong above t/lambda = pi
    logarithm = np.log(np.maximum(np.abs(ratio), LEAST_COUNTS)) + 1j * np.unwrap(np.angle(ratio))
    distribution = np.fft.irfft(logarithm * elastic, size)
    distribution = np.roll(distribution, zero_channel)[: len(counts)]
    return SingleScattering(distribution, float(logarithm[0].real), total)


def continued(counts: np.ndarray, zero_channel: int, size: int) -> np.ndarray:
    """``counts`` [channels] continued to ``size`` channels by the power law in the loss that fits its end, times half a cosine that ends at zero."""
    channels = len(counts)
    near = max(int(END * channels), 3)
    losses = np.arange(size) - zero_channel
    before, last = counts[channels - 2 * near : channels - near].mean(), counts[channels - near :].mean()
    tail = np.zeros(size - channels)
    if last > 0.0 and channels - 2 * near > zero_channel:
        middle = losses[channels - near // 2 - 1]
        step = np.log(middle / (middle - near))
        exponent = float(np.clip(np.log(max(before / last, 1e-3)) / step, 0.0, 10.0))
        fade = 0.5 + 0.5 * np.cos(np.pi * (np.arange(size - channels) + 1) / (size - channels))
        tail = last * (losses[channels:] / middle) ** -exponent * fade
    return np.concatenate([counts, tail])


def _transform(counts: np.ndarray, zero_channel: int) -> np.ndarray:
    """Fourier transform with the zero loss's channel as origin."""
    return np.fft.rfft(np.roll(counts, -zero_channel))
