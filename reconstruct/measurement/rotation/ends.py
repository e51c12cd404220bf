"""Which end of a direction: that atoms attract electrons, so that the field points to them, by an image that is bright at atoms or by the phase's own peaks."""

import numpy as np
from scipy.special import log_ndtr

from reconstruct.measurement.rotation.likelihood import directions, parts
from reconstruct.measurement.rotation.spectrum import Spectrum, image_of, window

IMAGE_DOUBT, PEAKS_DOUBT = 5e-4, 2e-2
"""Chance, assumed, that atoms are dark in the image, or that what attracts electrons least stands out most: without an image neither end is the answer."""


def end_probabilities(
    spectrum: Spectrum, flip: int, position: np.ndarray, bright: np.ndarray | None, known: np.ndarray
) -> list[tuple[float, float]]:
    """Both ends of a direction as (rotation, probability), by the sign of the phase that the field along q makes."""
    along = directions(spectrum, flip, position)
    signal = (spectrum.field * along).sum(axis=0)
    power, across = parts(spectrum, along)
    count = np.bincount(spectrum.ring)
    power, noise = np.bincount(spectrum.ring, power) / count, np.bincount(spectrum.ring, across) / count
    share = np.maximum(1.0 - noise / np.maximum(power, 1e-300), 0.0)[spectrum.ring]
    kx, ky = spectrum.wave[:2]
    phase = -1j * signal * share / np.hypot(kx, ky)
    if bright is not None:
        evidence, doubt = _by_image(spectrum, phase, bright, known), IMAGE_DOUBT
    else:
        image, powers = image_of(phase, spectrum.wave), np.abs(phase) ** 2
        independent = powers.sum() ** 2 / max((powers**2).sum(), 1e-300) / spectrum.tied
        scatter = image.std()
        skewness = float((image**3).mean() / scatter**3) if scatter > 0.0 else 0.0
        evidence, doubt = skewness / np.sqrt(6.0 / max(independent, 1.0)), PEAKS_DOUBT
    logs = log_ndtr(evidence), log_ndtr(-evidence)
    first = float(1.0 / (1.0 + np.exp(np.clip(logs[1] - logs[0], -500.0, 500.0))))
    first = doubt + (1.0 - 2.0 * doubt) * first
    return [(float(position[0]), first), (float(position[0]) + np.pi, 1.0 - first)]


def _by_image(spectrum: Spectrum, phase: np.ndarray, bright: np.ndarray, known: np.ndarray) -> float:
    """Standard deviations by which the phase goes with an image [ny, nx] that is bright at atoms."""
    kx, ky = spectrum.wave[:2]
    ny, nx = known.shape
    image = np.where(known & np.isfinite(bright), bright, np.nan)
    image = np.where(np.isfinite(image), image - np.nanmean(image), 0.0)
    spectrum_of_image = np.fft.fft2(image * window(ny, nx))
    other = spectrum_of_image[np.round(ky * ny).astype(int), np.round(kx * nx).astype(int)]
    joint = np.real(phase * other.conj()).sum()
    spread = np.sqrt(0.5 * spectrum.tied * (np.abs(phase) ** 2 * np.abs(other) ** 2).sum() + 1e-300)
    return float(joint / spread)
