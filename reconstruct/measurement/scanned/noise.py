"""Counts per electron of a spectrometer or a camera, as the data of a few pixels tell it."""

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from reconstruct.eels.camera import LEAST_CHANNELS, LEAST_SPECTRA, camera_by_background, noise_of
from reconstruct.measurement.counting.gain import Gain, gain_of

MOST_TERMS, CHANNELS_PER_TERM = 16, 16
"""Chebyshev polynomials by which spectra may differ from their mean: at most so many, and one for so many channels."""
LEAST_PATTERNS = 4
"""Patterns whose noise must tell the counts per electron."""


def gain_by_background(energies: np.ndarray, spectra: np.ndarray, window: tuple[float, float]) -> float | None:
    """Counts per electron of sums of channels, by the scatter of ``spectra`` [n, channels] about power laws in a ``window`` of background; None where these
    are too few."""
    try:
        return camera_by_background(energies, spectra, window).counts_per_electron
    except ValueError:
        return None


def gain_by_shape(energies: np.ndarray, spectra: np.ndarray, window: tuple[float, float]) -> float | None:
    """The same in a ``window`` of any shape, by the scatter about the mean spectrum times a smooth curve of each spectrum's own; None where these are too few.

    The curves are Chebyshev polynomials of the energy, by weighted least squares. What spectra differ by beyond them is taken out with the correlation of
    distant channels (`camera.noise_of`).
    """
    step = float(energies[1] - energies[0])
    missing = LEAST_CHANNELS * step - (window[1] - window[0])
    if missing > 0.0:
        window = window[0] - 0.5 * missing, window[1] + 0.5 * missing
    inside = (energies >= window[0]) & (energies <= window[1])
    shape = spectra[:, inside].mean(axis=0)
    dark = np.flatnonzero(shape <= 0.0)
    channels = int(dark[0]) if len(dark) else len(shape)
    counts, shape = spectra[:, inside][:, :channels], shape[:channels]
    if len(counts) < LEAST_SPECTRA or channels < LEAST_CHANNELS // 2:
        return None
    terms = min(MOST_TERMS, channels // CHANNELS_PER_TERM)
    basis = chebvander(np.linspace(-1.0, 1.0, channels), terms - 1)
    # relative deviations have the variance 1 / shape
    design = basis * np.sqrt(shape)[:, None]
    curves = np.linalg.lstsq(design, (counts / np.sqrt(shape)).T, rcond=None)[0]
    mean = shape * (basis @ curves).T
    if not (mean > 0.0).all():
        return None
    freedom = (1.0 - 1.0 / len(counts)) * (1.0 - terms / channels)
    gain = noise_of(counts - mean, mean, freedom).counts_per_electron
    return gain if gain > 0.0 else None


def gain_by_patterns(patterns: np.ndarray) -> float | None:
    """Counts per electron of a camera: the median over ``patterns`` [n, ky, kx] whose noise tells it; None where too few do."""
    told = [made.value for made in map(gain_of, patterns) if isinstance(made, Gain)]
    return float(np.median(told)) if len(told) >= LEAST_PATTERNS else None
