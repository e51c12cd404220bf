"""Quantities of the low loss, with what core losses of the same electrons add: t/lambda by both, and the offset of the axis by edges of known energies."""

import math

import numpy as np

from reconstruct.eels.core_loss.fit import CoreLossFit
from reconstruct.measurement.eels.core import Quantities
from reconstruct.measurement.eels.low import FITTED, UNITS, Low, with_core
from reconstruct.measurement.eels.spectra import Spectra

UNKNOWN = {"t_over_lambda": (0.5, 0.5), "thickness": (500.0, 500.0)}
"""What is thought of thickness without data."""
OFFSET_ERROR = 10.0
"""Rms in eV by which energy axes without a zero loss may be off."""


def low_quantities(low: Low | None, spectra: Spectra, fit: CoreLossFit | None) -> tuple[Quantities, np.ndarray]:
    """Quantities of the ``low`` loss of ``spectra``, and their derivatives by what the core losses of the ``fit`` share [p, m + g (+ c)]; None: without."""
    if fit is not None and low is not None and low.fit is not None:
        low = _updated(low, fit)
    values = {} if low is None else dict(low.values)
    values.setdefault("energy_offset", (float(spectra.energies[0]), OFFSET_ERROR))
    moved = None
    if fit is not None and fit.learned.offset is not None:
        # of a low loss that was recorded apart the axis is another one
        moved = "energy_offset" if low is None or not isinstance(spectra.zero, str) else "core_energy_offset"
        values[moved] = float(spectra.losses[0]) - fit.learned.offset[0], fit.learned.offset[1]
    for name, guess in UNKNOWN.items():
        values.setdefault(name, guess)
    names = tuple(name for name in UNITS if name in values)
    mean, errors = (np.array([values[name][index] for name in names]) for index in (0, 1))
    covariance = np.diag(errors**2)
    shared = np.zeros((len(names), 0 if fit is None else len(fit.learned.information)))
    if moved is not None and fit is not None:
        shared[names.index(moved), len(fit.learned.shape)] = -1.0
    if low is not None and low.fit is not None:
        rows = [names.index(name) for name in FITTED]
        inner = [low.fit.names.index(name) for name in FITTED.values()]
        covariance[np.ix_(rows, rows)] = low.fit.covariance[np.ix_(inner, inner)]
        if fit is not None:
            slopes = _slopes(fit)
            last = fit.shared_by_edges
            shared[rows, last - slopes.shape[1] : last] = slopes[inner]
        if "thickness" in low.values:
            index, relative = names.index("thickness"), values["thickness"][0] / values["t_over_lambda"][0]
            covariance[index, rows] = covariance[rows, index] = relative * covariance[rows[0], rows]
            shared[index] = relative * shared[rows[0]]
    return Quantities(names, tuple(UNITS[name] for name in names), mean, covariance, shared), shared


def _slopes(fit: CoreLossFit) -> np.ndarray:
    """Of the low loss's parameters by the unknowns of its noise [p, q]."""
    scattering = fit.learned.known.scattering
    assert scattering is not None
    return math.sqrt(fit.learned.camera.counts_per_electron) * scattering.values


def _updated(low: Low, fit: CoreLossFit) -> Low:
    """The low loss with what the core losses say of its noise. The error that its fit has beside counting stays as it is."""
    assert low.fit is not None
    slopes = _slopes(fit)
    mean, covariance = fit.learned.scattering
    rest = low.fit.covariance - slopes @ slopes.T
    scale = np.sqrt(np.diag(low.fit.covariance))
    values, vectors = np.linalg.eigh(rest / np.outer(scale, scale))
    rest = (vectors * np.maximum(values, 0.0)) @ vectors.T * np.outer(scale, scale)
    return with_core(low, low.fit.values + slopes @ mean, rest + slopes @ covariance @ slopes.T)
