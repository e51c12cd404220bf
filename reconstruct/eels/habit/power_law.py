"""Background below an edge as a power law A (E/E0)^-r, fitted before the edge and subtracted beyond it.

R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope (3rd ed., 2011), section 4.4.1; the error of the extrapolation: section 4.4.4.
There the logarithms of counts are fitted, whose noise biases the fit; here counts are, with the weights of the fit itself.
"""

from typing import NamedTuple

import numpy as np

SCORING_ITERATIONS = 8
TYPICAL_EXPONENT = 3.0
"""Where the iteration starts: most exponents are 2 to 6."""


class PowerLaw(NamedTuple):
    """Of each spectrum: ``level`` [n] (counts at the reference energy), ``exponent`` [n], and the ``covariance`` [n, 2, 2] of (log level, exponent)."""

    level: np.ndarray
    exponent: np.ndarray
    covariance: np.ndarray


class Net(NamedTuple):
    """Spectra [n, channels] less their backgrounds: ``counts``, ``background``, and the variance of ``counts`` (single channels; the background's error is
    shared by all of them) ."""

    counts: np.ndarray
    background: np.ndarray
    variance: np.ndarray


def fit_power_law(
    counts: np.ndarray, log_energy: np.ndarray, counts_per_electron: float = 1.0, name: str = "the edge"
) -> PowerLaw:
    """Power laws of ``counts`` [n, channels] at ``log_energy`` = ln(E/E0) [channels] by Fisher scoring. ValueError where a spectrum has no counts."""
    mean = counts.mean(1)
    if not (mean > 0).all():
        raise ValueError(f"a spectrum has no counts before {name}; leave it out, or subtract less dark current")
    basis = np.stack([np.ones_like(log_energy), -log_energy], axis=1)
    fitted = np.stack([np.log(mean), np.full_like(mean, TYPICAL_EXPONENT)], axis=1)
    information = np.zeros((counts.shape[0], 2, 2))
    for _ in range(SCORING_ITERATIONS):
        model = np.exp(np.clip(fitted @ basis.T, -30.0, 30.0))
        jacobian = model[:, :, None] * basis[None, :, :]
        weight = 1.0 / (counts_per_electron * model)
        information = np.einsum("nci,nc,ncj->nij", jacobian, weight, jacobian)
        gradient = np.einsum("nci,nc->ni", jacobian, weight * (counts - model))
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
        fitted = fitted + np.clip(step, -1.0, 1.0)
    return PowerLaw(np.exp(fitted[:, 0]), fitted[:, 1], np.linalg.inv(information))


def subtract_power_law(
    energies: np.ndarray, spectra: np.ndarray, window: tuple[float, float], counts_per_electron: float = 1.0
) -> Net:
    """Spectra [..., channels] less the power law that fits them in ``window`` (eV, both ends included). ``energies`` [channels] rise and are positive in and
    beyond the window; below it the background is as it is extrapolated. ValueError for a window off the spectrum or a spectrum without counts in it."""
    energies = np.asarray(energies, np.float64)
    inside = (energies >= window[0]) & (energies <= window[1])
    if not (energies[0] <= window[0] < window[1] <= energies[-1]) or inside.sum() < 3 or not energies[inside][0] > 0.0:
        span = f"{energies[0]:g} to {energies[-1]:g} eV"
        raise ValueError(f"the window {window[0]:g} to {window[1]:g} eV does not lie within {span}; give another")
    shape = np.shape(spectra)
    flat = np.asarray(spectra, np.float64).reshape(-1, energies.size)
    # below zero loss there is no power law
    logs = np.log(np.maximum(energies, energies[inside][0] * 1e-2) / np.sqrt(window[0] * window[1]))
    fitted = fit_power_law(flat[:, inside], logs[inside], counts_per_electron)
    background = fitted.level[:, None] * np.exp(-fitted.exponent[:, None] * logs)
    slope = np.stack([background, -background * logs], axis=-1)
    extrapolated = np.einsum("nci,nij,ncj->nc", slope, fitted.covariance, slope)
    variance = counts_per_electron * np.maximum(flat, 0.0) + extrapolated
    return Net((flat - background).reshape(shape), background.reshape(shape), variance.reshape(shape))
