"""Maps of a spectrum image: what each spectrum says, with the error of its own noise and that which all share."""

import math

import numpy as np

from reconstruct.eels.core_loss.common import own_names
from reconstruct.eels.core_loss.fit import CoreLossFit
from reconstruct.measurement.eels.core import quantities_of
from reconstruct.measurement.measurement import Map

Extent = tuple[tuple[float, ...], str]


def maps_of(
    fit: CoreLossFit,
    shape: tuple[int, ...],
    valid: np.ndarray,
    electrons: np.ndarray | None,
    extent: Extent,
    thickness: tuple[float, float] | None = None,
) -> tuple[Map, ...]:
    """Maps of an image of ``shape``: atoms per area where the ``electrons`` [n] of each spectrum are known, else electrons of each edge; the background's
    exponent; where spectra have their own, the shift of the axis in eV and t/lambda about the mean ``thickness`` (value, rms error). ``valid``: places
    of the spectra that were fitted."""
    if len(shape) != 2:
        return ()
    design, learned = fit.design, fit.learned
    gain, scattering = learned.camera.counts_per_electron, learned.known.scattering
    curve, parameters = learned.curves.sum(axis=1), fit.fitted.parameters
    own = np.sqrt(np.diagonal(fit.own_covariance, axis1=1, axis2=2))
    quantities = quantities_of(fit, None if electrons is None else float(electrons.mean()))
    errors = np.sqrt(np.diag(quantities.covariance))
    mean_own = np.sqrt((own**2).sum(axis=0)) / len(own)
    maps = []

    def put(name: str, unit: str, values: np.ndarray, noise: np.ndarray, common: float) -> None:
        grids = [np.full(len(valid), np.nan) for _ in range(2)]
        for grid, part in zip(grids, (values, noise), strict=True):
            grid[valid] = part
        maps.append(Map(name, grids[0].reshape(shape), grids[1].reshape(shape), unit, common, *extent))

    def add(name: str, unit: str, column: int, factor: np.ndarray | float, counted: np.ndarray | float = 0.0) -> None:
        values = factor * parameters[:, column]
        noise = np.hypot(factor * own[:, column], values * counted)
        common = 0.0
        if name in quantities.names:
            index = quantities.names.index(name)
            rest = errors[index] ** 2 - float(np.mean(factor) * mean_own[column]) ** 2
            common = math.sqrt(max(rest, 0.0)) / max(abs(float(quantities.mean[index])), 1e-300)
        put(name, unit, values, noise, common)

    each = None if scattering is None else scattering.each
    counted = 0.0 if each is None else np.sqrt(gain / each.counts)
    for k, element in enumerate(design.elements):
        if electrons is None:
            add(f"electrons_{element}", "electron", 2 + k, float(curve[k] / gain))
        else:
            factor = 1.0 / (design.scale[k] * gain * electrons * (fit.more_electrons if each is None else 1.0))
            add(f"areal_density_{element}", "1/angstrom^2", 2 + k, factor, counted)
    add("background_exponent", "1", 1, 1.0)
    for column, name in enumerate(own_names(learned.known), 2 + len(design.elements)):
        if name == "energy_shift":
            put(name, "electronvolt", parameters[:, column], own[:, column], 0.0)
        elif thickness is not None:
            put("t_over_lambda", "1", thickness[0] + parameters[:, column], own[:, column], thickness[1] / thickness[0])
    return tuple(maps)
