"""What is measured of energy-loss spectra, put together: quantities with one covariance, maps, checks and notes."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from reconstruct.eels.core_loss.elements import Proposal
from reconstruct.eels.core_loss.fit import CoreLossFit
from reconstruct.eels.core_loss.learning import LEAST_NOISE_SPECTRA
from reconstruct.eels.features import Rise
from reconstruct.measurement.eels.core import Found, Quantities, details_of, plot_of, quantities_of, with_plural_error
from reconstruct.measurement.eels.joint import low_quantities
from reconstruct.measurement.eels.low import Kernel, Low
from reconstruct.measurement.eels.maps import maps_of
from reconstruct.measurement.eels.setup import Setup
from reconstruct.measurement.eels.spectra import Spectra
from reconstruct.measurement.measurement import Component, Measurement
from reconstruct.measurement.outcome import NO_FIT, FitCheck

DETERMINED_SHARE = 0.5
"""Error of the axis's offset over its prior up to which edges determine it."""
SHALLOW = 100.0
"""Onsets in eV below which backgrounds are no power laws, and are believed where the fit is tested."""
LARGEST_MISFIT = 1.2
"""Reduced chi squared, of spectra that were not learnt from, up to which the model fits."""
UNVERIFIABLE = "unverifiable: there is no zero loss"
ABSOLUTE = "state the energies of edges that are known, {edge_energies}, to determine it"


def result_of(
    spectra: Spectra,
    setup: Setup,
    low: Low | None,
    fit: CoreLossFit | None,
    tests: list[Found],
    kernel: Kernel | None,
    proposals: list[Proposal],
    rises: Sequence[Rise],
) -> Measurement:
    """The measurement of ``spectra`` by their ``low`` loss and the ``fit`` of their edges, whose presence was tested (``tests``)."""
    electrons = _electrons(spectra, fit, kernel, setup)
    checks = [] if fit is None else _checks(fit, [item.element for item in tests])
    passed = all(check.passed for check in checks) and not _untested(fit)
    low_values, low_shared = low_quantities(low, spectra, fit if passed else None)
    parts = [low_values]
    undetermined = _low_undetermined(low, fit)
    plots, notes, details, maps = [], [], {}, ()
    if fit is not None:
        edges = quantities_of(fit, None if electrons is None else float(electrons.mean()))
        parts.append(edges if kernel is not None else with_plural_error(fit, edges))
        undetermined |= _not_found(tests, parts[-1])
        plots.append(plot_of(fit))
        details = details_of(fit, tests, _seen(fit, spectra, rises))
        thickness = None if low is None or low.fit is None else low.values["t_over_lambda"]
        maps = maps_of(fit, spectra.shape, spectra.valid, electrons, setup.extent, thickness)
        notes = _notes(fit, tests, kernel, proposals)
    elif low is None and not proposals:
        notes = ["no rise of an edge and no zero loss is seen; state {elements} to fit their edges all the same"]
    if proposals and fit is None:
        listed = ", ".join(f"{item.element} ({item.plausibility:.0%})" for item in proposals)
        notes.append(
            f"rises speak for {listed}, whose edges are not fitted without {{collection}}, the collection semi-angle"
        )
    if low is not None:
        plots += low.plots
        ends = {"value": low.recorded[0], "error": low.recorded[1]}
        details = {**details, "low_loss": {"t_over_lambda_of_recorded_range": ends}}
    names = tuple(name for part in parts for name in part.names)
    mean, covariance = np.concatenate([part.mean for part in parts]), _block([part.covariance for part in parts])
    if fit is not None and passed:
        together = low_shared @ fit.learned.covariance @ parts[1].shared.T
        first = len(low_values.names)
        covariance[:first, first:], covariance[first:, :first] = together, together.T
    principal = tuple(name for name in names if name.startswith(("electrons_", "areal", "ratio")))
    measured = Measurement(
        "eels",
        names,
        tuple(unit for part in parts for unit in part.units),
        (Component(1.0, mean, covariance),),
        undetermined,
        misfit=math.nan if fit is None or fit.tested is None else fit.tested[0],
        electrons=_total(spectra, fit, low),
        plots=tuple(plots),
        notes=tuple(notes),
        checks=tuple(checks),
        defects=spectra.defects,
        principal=principal or ("t_over_lambda", "plasmon_energy", "energy_offset"),
        maps=maps,
        details={**details, "proposed": [{"element": item.element, "plausibility": item.plausibility, "places": dict(item.places)} for item in proposals]},
    )  # fmt: skip
    failed = measured.failed_checks
    why = f"{NO_FIT}: {failed[0].finding}" if failed else _untested(fit)
    return _without_edges(measured, len(parts[0].names), why) if why else measured


def _untested(fit: CoreLossFit | None) -> str:
    """Why edges that nothing tests are not to be believed; empty where there is no reason."""
    if fit is None or fit.tested is not None:
        return ""
    lowest = min(fit.design.edges, key=lambda edge: edge.onset)
    if lowest.onset >= SHALLOW:
        return ""
    return (
        f"the background of {lowest.element} {lowest.name} at {lowest.onset:.4g} eV is plural losses of valence electrons and no power law, and nothing tests "
        f"the fit of {len(fit.counts)} spectra: state {{gain}}, or record {2 * LEAST_NOISE_SPECTRA} spectra or more, so that it is tested; edges beyond "
        f"{SHALLOW:g} eV are measured with a {{range}} that begins there"
    )


def _without_edges(measured: Measurement, kept: int, why: str) -> Measurement:
    """A measurement whose quantities of edges are taken back for a reason ``why``; the first ``kept`` are those of the low loss."""
    part = measured.components[0]
    wide = np.diag((np.abs(part.mean) + np.sqrt(np.diag(part.covariance)) + 1.0) ** 2)
    wide[:kept, :kept] = part.covariance[:kept, :kept]
    reasons = dict.fromkeys(measured.names[kept:], why)
    return dataclasses.replace(
        measured,
        components=(Component(1.0, part.mean, wide),),
        undetermined={**measured.undetermined, **reasons},
        withheld=measured,
    )


def _electrons(spectra: Spectra, fit: CoreLossFit | None, kernel: Kernel | None, setup: Setup) -> np.ndarray | None:
    """Electrons that made each spectrum [n]: those of its low loss, of one camera, with the exposures' ratio. None where no low loss is there."""
    if fit is None or kernel is None:
        return None
    gain = setup.gain or fit.learned.camera.counts_per_electron
    total = kernel.total * setup.exposure_ratio / gain
    return total[spectra.valid] if len(total) == len(spectra.valid) else np.full(int(spectra.valid.sum()), total.mean())


def _total(spectra: Spectra, fit: CoreLossFit | None, low: Low | None) -> float:
    """Electrons of all spectra, where counts per electron are known."""
    if fit is not None:
        return float(spectra.summed.sum() / fit.learned.camera.counts_per_electron)
    return math.nan


def _low_undetermined(low: Low | None, fit: CoreLossFit | None) -> dict[str, str]:
    missing: dict[str, str] = {}
    if low is None:
        missing |= dict.fromkeys(("energy_offset", "t_over_lambda", "thickness"), UNVERIFIABLE)
        missing["energy_offset"] = f"{UNVERIFIABLE}; {ABSOLUTE}"
        offset = None if fit is None else fit.learned.offset
        if fit is not None and offset is not None:
            if offset[1] < DETERMINED_SHARE * fit.learned.known.offset:
                del missing["energy_offset"]
            else:
                missing["energy_offset"] = (
                    f"there is no zero loss, and the shapes of edges at known energies take up where the axis is off: it is known to {offset[1]:.2g} eV"
                )
        return missing
    if low.fit is None:
        missing |= dict.fromkeys(("t_over_lambda", "thickness"), low.reason)
    elif "thickness" not in low.values:
        missing["thickness"] = "the inelastic mean free path is not known: add {mean_free_path}, or {elements}"
    return missing


def _not_found(tests: list[Found], quantities: Quantities) -> dict[str, str]:
    """Quantities of elements whose edges are not seen."""
    reasons = {}
    for test in tests:
        if test.presence.false_alarm < 0.05:
            continue
        words = f"no edge of {test.element} is found; one of {test.pooled_limit:.3g} electrons in the mean spectrum would be, with 95 % probability"
        for name in quantities.names:
            if test.element in name.split("_")[1:]:
                reasons[name] = words
    return reasons


def _seen(fit: CoreLossFit, spectra: Spectra, rises: Sequence[Rise]) -> dict[str, float]:
    """Onsets that were put where a rise is, by edge."""
    places = spectra.losses[0] + spectra.dispersion * np.array([rise.channel for rise in rises])
    return {
        f"{edge.element} {edge.name}": edge.onset
        for edge in fit.design.edges
        if edge.shaped and len(places) and np.abs(places - edge.onset).min() < 0.5 * spectra.dispersion
    }


def _checks(fit: CoreLossFit, elements: list[str]) -> list[FitCheck]:
    if fit.tested is None:
        return []
    finding = (
        f"the spectra differ from background and edges of {', '.join(elements)} by more than "
        f"their noise (reduced chi squared {fit.tested[0]:.3g}): another element, a background that "
        "is no power law, shapes that differ between spectra, or drift of the energy axis; state {elements} that are there, or a {range}"
    )
    which = "spectra" if fit.chosen.all() else "spectra that were left out"
    return [FitCheck(f"reduced chi squared of {which}", fit.tested[0], LARGEST_MISFIT, finding)]


def _notes(fit: CoreLossFit, tests: list[Found], kernel: Kernel | None, proposals: list[Proposal]) -> list[str]:
    notes = []
    camera = fit.learned.camera
    if not fit.learned.told:
        words = f"{camera.counts_per_electron:.4g} counts per electron"
        source = (
            "the scatter of spectra"
            if len(fit.counts) > 1 and not fit.chosen.all()
            else "what is left of the fit, misfit included"
        )
        shared = (
            f", noise of neighbouring channels correlated by {camera.correlation[0]:.2f}" if camera.correlation else ""
        )
        pattern = (
            f", a fixed pattern of {100.0 * fit.learned.roughness:.2g} % rms" if fit.learned.roughness > 0.0 else ""
        )
        notes.append(f"camera by {source}: {words}{shared}{pattern}")
    for test in tests:
        seen = f"{int(test.presence.detected().sum())} of {test.tested} spectra" if test.tested > 1 else "the spectrum"
        notes.append(
            f"{test.element}: {test.presence.pooled:.1f} standard deviations; found in {seen} at 5 % false alarms; detection limit "
            f"{test.limit:.3g} electrons a spectrum (95 %)"
        )
    if proposals:
        listed = ", ".join(f"{item.element} ({item.plausibility:.0%})" for item in proposals)
        notes.append(f"proposed by rises of the spectra: {listed}; state {{elements}} to choose")
    if kernel is None:
        notes.append(
            "not corrected for plural scattering, no low loss is given ({low_loss}): errors hold what t/lambda = 0.5 would change"
        )
    notes.append(
        "near-edge shapes are fitted, alike in all spectra: within 60 eV of an onset they take up what goes with the element, such as weak edges of others"
    )
    return notes


def _block(parts: list[np.ndarray]) -> np.ndarray:
    size = sum(len(part) for part in parts)
    whole, begin = np.zeros((size, size)), 0
    for part in parts:
        whole[begin : begin + len(part), begin : begin + len(part)] = part
        begin += len(part)
    return whole
