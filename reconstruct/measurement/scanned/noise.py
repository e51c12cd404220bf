"""Counts per electron of a spectrometer or a camera, as the data of a few pixels tell it."""

import numpy as np

from reconstruct.eels.camera import LEAST_CHANNELS, LEAST_SPECTRA, camera_by_background, noise_of
from reconstruct.measurement.counting.gain import Gain, gain_of

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
    """The same in a ``window`` of any shape, by the scatter about the mean spectrum times each spectrum's own counts; None where these are too few.

    What spectra differ by beyond that is slow against a channel, and is taken out with the correlation of distant channels (`camera.noise_of`).
    """
    step = float(energies[1] - energies[0])
    missing = LEAST_CHANNELS * step - (window[1] - window[0])
    if missing > 0.0:
        window = window[0] - 0.5 * missing, window[1] + 0.5 * missing
    inside = (energies >= window[0]) & (energies <= window[1])
    counts = spectra[:, inside]
    if len(counts) < LEAST_SPECTRA or inside.sum() < LEAST_CHANNELS // 2:
        return None
    shape, levels = counts.sum(axis=0), counts.sum(axis=1)
    if not ((shape > 0.0).all() and (levels > 0.0).all()):
        return None
    mean = levels[:, None] * shape / shape.sum()
    gain = noise_of(counts - mean, mean, 1.0 - 1.0 / len(counts)).counts_per_electron
    return gain if gain > 0.0 else None


def gain_by_patterns(patterns: np.ndarray) -> float | None:
    """Counts per electron of a camera: the median over ``patterns`` [n, ky, kx] whose noise tells it; None where too few do."""
    told = [made.value for made in map(gain_of, patterns) if isinstance(made, Gain)]
    return float(np.median(told)) if len(told) >= LEAST_PATTERNS else None
