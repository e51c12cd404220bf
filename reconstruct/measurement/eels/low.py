"""The low loss of spectra: zero loss, t/lambda and plasmon, and what a low loss says to the core losses of the same place."""

import math
from typing import Any, NamedTuple

import numpy as np

from reconstruct.eels.features import plasmon
from reconstruct.eels.low_loss.fit import LowLoss, fit_low_loss
from reconstruct.eels.low_loss.scattering import Recorded, Scattering, scattering_of
from reconstruct.eels.low_loss.separation import ZeroLoss, separate
from reconstruct.measurement.eels.spectra import Spectra
from reconstruct.measurement.measurement import FitPlot

LAST = 150.0
"""Energy loss in eV up to which valence losses are fitted."""
WIDTH_ERROR = 0.02
"""Relative rms error of the zero loss's width: it is read from its flanks."""
FREE_PATH_ERROR = 0.2
"""Relative rms error of mean free paths by formula (Egerton, section 5.1.2)."""


FITTED = {"t_over_lambda": "t_over_lambda", "plasmon_energy": "plasmon1.energy", "plasmon_width": "plasmon1.width"}
"""Quantities that are parameters of the fit, and these."""


class Low(NamedTuple):
    """What the low loss says: ``values`` with rms errors by name, ``recorded``: t/lambda as the logarithm of all recorded counts over the zero
    loss's (losses beyond the range are not in it), the ``fit`` (None where nothing beyond the zero loss can be fitted, for a ``reason``),
    the ``zero`` loss of the mean spectrum, and ``plots``."""

    values: dict[str, tuple[float, float]]
    fit: LowLoss | None
    reason: str
    zero: ZeroLoss
    recorded: tuple[float, float]
    plots: tuple[FitPlot, ...]


UNITS = {
    "energy_offset": "electronvolt", "core_energy_offset": "electronvolt", "zero_loss_width": "electronvolt",
    "t_over_lambda": "1", "plasmon_energy": "electronvolt",
    "plasmon_width": "electronvolt", "thickness": "angstrom",
}  # fmt: skip


def low_loss_of(
    spectra: Spectra,
    energy: float,
    collection: float | None,
    gain: float | None,
    free_path: float | None,
    last_loss: float = math.inf,
) -> Low:
    """The low loss of the sum of ``spectra``, whose zero loss is seen, up to ``last_loss`` (eV). ``free_path``: inelastic mean free path in angstrom, where it
    is known."""
    assert not isinstance(spectra.zero, str)
    inside = spectra.used > 0
    last = int(np.flatnonzero(inside)[-1]) + 1
    losses, step = spectra.losses, spectra.dispersion
    last = min(last, int(np.searchsorted(losses, min(LAST, last_loss))))
    count, channels = max(int(spectra.valid.sum()), 1), np.arange(last)
    first = int(np.flatnonzero(inside)[0])
    mean = np.interp(channels, channels[inside[:last]], spectra.summed[:last][inside[:last]] / count)
    mean[:first] = 0.0
    zero = separate(mean, spectra.zero)
    values = {
        "energy_offset": (-step * zero.centre, step * math.hypot(zero.error, 0.1 * zero.width)),
        "zero_loss_width": (step * zero.width, step * max(WIDTH_ERROR * zero.width, 0.2)),
    }
    each = None if gain is None else gain / count  # noise of a mean
    try:
        fit, reason = fit_low_loss(mean, zero, step, energy, collection, plasmon(mean, spectra.zero), each), ""
    except ValueError as error:
        fit, reason = None, str(error)
    plots: tuple[FitPlot, ...] = ()
    if fit is not None:
        values |= {name: fit.value(own) for name, own in FITTED.items()}
        thickness = fit.value("t_over_lambda")
        if free_path is not None:
            relative = math.hypot(thickness[1] / thickness[0], FREE_PATH_ERROR)
            values["thickness"] = thickness[0] * free_path, thickness[0] * free_path * relative
        marks = (("plasmon", values["plasmon_energy"][0]),)
        ends = float(fit.energies[0]), float(fit.energies[-1])
        residual = (fit.data - fit.model) / fit.noise
        name = "low loss" if len(spectra.counts) == 1 else "low loss, mean spectrum"
        plots = (FitPlot(name, fit.data, fit.model, residual, ends, "electronvolt", marks),)
    recorded = math.log(max(float(mean.sum()), zero.counts) / zero.counts), zero.counts_error / zero.counts
    return Low(values, fit, reason, zero, recorded, plots)


class Kernel(NamedTuple):
    """The low loss as core losses have it (``scattering``), and the counts of all its electrons, ``total``, of each spectrum [n]."""

    scattering: Scattering
    total: np.ndarray


def kernel_of(spectra: Spectra, low: Low, dispersion: float, reach: float, valid: np.ndarray | None = None) -> Kernel:
    """The mean low loss of ``spectra``, which ``low`` was fitted to, in steps of ``dispersion`` eV up to ``reach`` eV. ``valid`` [n]: core losses of the same
    places that hold numbers; None where there is one low loss for all, or it is in the same spectra."""
    inside: Any = spectra.used > 0
    channels, count = len(spectra.losses), max(int(spectra.valid.sum()), 1)
    fit = low.fit
    influence, growth = np.zeros((0 if fit is None else len(fit.values), channels)), np.zeros(0)
    if fit is not None:
        influence[:, : fit.influence.shape[1]] = fit.influence / count  # the fit is that of a mean
        growth = np.pad(fit.growth, (0, channels - len(fit.growth)))
    recorded = Recorded(
        np.where(inside, spectra.summed, 0.0), spectra.losses, spectra.dispersion * low.zero.width, influence, growth
    )
    counts = np.where(inside, spectra.counts, 0.0)
    each = counts[valid] if valid is not None and len(counts) == len(valid) > 1 else None
    thickness = 0.0 if fit is None else float(fit.values[0])
    # the shape is that of the mean, the electrons are each spectrum's own
    return Kernel(scattering_of(recorded, dispersion, reach, each, thickness), counts.sum(axis=1))


def with_core(low: Low, values: np.ndarray, covariance: np.ndarray) -> Low:
    """The low loss after the core loss was fitted with it: ``values`` [p] and ``covariance`` [p, p] of its fit."""
    assert low.fit is not None
    fit = low.fit._replace(values=values, covariance=covariance)
    changed = {name: fit.value(own) for name, own in FITTED.items()}
    if "thickness" in low.values:
        path = low.values["thickness"][0] / low.values["t_over_lambda"][0]
        relative = math.hypot(changed["t_over_lambda"][1] / changed["t_over_lambda"][0], FREE_PATH_ERROR)
        length = changed["t_over_lambda"][0] * path
        changed["thickness"] = length, length * relative
    return low._replace(values={**low.values, **changed}, fit=fit)
