"""Energy-loss spectra to quantities: the zero loss and plasmon where they are recorded, and the edges of elements.

Absolute atoms per area need the electrons that made the spectrum, which the low loss counts; without it there are electrons of edges and ratios of
elements. Without a zero loss neither the energy axis nor the thickness can be verified.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from reconstruct.eels.core_loss.elements import BEFORE, Proposal, axis_shift, edges_for, propose, rises_of
from reconstruct.eels.core_loss.fit import CoreLossFit, fit_core_loss
from reconstruct.eels.features import Rise
from reconstruct.measurement.eels.core import (
    Found,
    Quantities,
    details_of,
    maps_of,
    plot_of,
    presence_of,
    quantities_of,
    with_plural_error,
)
from reconstruct.measurement.eels.low import UNITS, Kernel, Low, kernel_of, low_loss_of
from reconstruct.measurement.eels.spectra import Spectra
from reconstruct.measurement.measurement import Component, Measurement
from reconstruct.measurement.outcome import NO_FIT, FitCheck
from twin.eels.atoms import edges_of

LEAST_LOSS = 25.0
"""Losses in eV above which edges are looked for in a spectrum that has its zero loss."""
BACKGROUND_SHARE = 0.85
"""Share of the lowest onset from which on the background is fitted."""
BEFORE_EDGE = 0.95
"""Share of the lowest onset up to which valence losses are fitted in the same spectrum."""
LARGEST_MISFIT = 1.2
"""Reduced chi squared, of spectra that were not learnt from, up to which the model fits."""
OFFSET_ERROR = 10.0
"""Rms in eV by which energy axes without a zero loss may be off."""
UNKNOWN = {"t_over_lambda": (0.5, 0.5), "thickness": (500.0, 500.0)}
"""What is thought of thickness without data."""
UNVERIFIABLE = "unverifiable: there is no zero loss"


class Setup(NamedTuple):
    """What is known: beam ``energy`` in eV, semi-angles in radian (``collection`` None: not known), ``elements`` (None: to be proposed), ``gain`` in counts per
    electron, the ratio of the exposures of core and low loss, the mean ``free_path`` in angstrom of a specimen of some elements, and the ``extent`` of maps
    with its unit."""

    energy: float
    collection: float | None
    convergence: float
    elements: tuple[str, ...] | None = None
    gain: float | None = None
    exposure_ratio: float = 1.0
    free_path: Callable[[Sequence[str]], float | None] = lambda elements: None
    extent: tuple[tuple[float, ...], str] = ((), "1")


def measure_eels(
    spectra: Spectra, low: Spectra | None, setup: Setup, tell: Callable[[str, float | None], None]
) -> Measurement:
    """Measure ``spectra``, with the ``low`` loss of the same place where it was recorded apart. ValueError naming what cannot be measured."""
    own_zero = not isinstance(spectra.zero, str)
    source = low if low is not None else spectra if own_zero else None
    elements, proposals, rises, shift = _elements(spectra, setup)
    if setup.collection is None and setup.elements:
        raise ValueError("the collection semi-angle is not known, on which cross-sections depend; add {collection}")
    edges = _edges(spectra, elements, setup, rises, shift) if setup.collection is not None else []
    low_part = None
    if source is not None:
        tell("fitting the low loss", None)
        # losses to the cores that are fitted are none of valence electrons
        last = min((edge.onset for edge in edges), default=math.inf) if low is None else math.inf
        path = setup.free_path(elements)
        low_part = low_loss_of(source, setup.energy, setup.collection, setup.gain, path, BEFORE_EDGE * last)
    fit, tests, kernel = None, [], None
    if edges:
        tell("fitting background and edges", None)
        fit, kernel = _core(spectra, source, edges, setup)
        tests = [presence_of(fit, index) for index in range(len(fit.design.elements))]
    return _measurement(spectra, setup, low_part, fit, tests, kernel, proposals, rises)


def _elements(spectra: Spectra, setup: Setup) -> tuple[tuple[str, ...], list[Proposal], list[Rise], float]:
    """Elements that are fitted, those of them that were proposed, the rises of the spectra, and the shift of their axis."""
    trusted = not isinstance(spectra.zero, str)
    losses = spectra.losses
    told = setup.elements or ()
    part = np.flatnonzero((losses > (LEAST_LOSS if trusted else 0.0)) & (spectra.used > 0))
    if len(part) < 2 * BEFORE:
        return told, [], [], 0.0
    begin, whole = int(part[0]), np.arange(part[0], part[-1] + 1)
    counts = spectra.counts[spectra.valid]
    if len(whole) > len(part):  # no rise is looked for in a gap
        counts = np.array([np.interp(whole, part, row[part]) for row in counts])
    else:
        counts = counts[:, part]
    rises = [rise._replace(channel=rise.channel + begin) for rise in rises_of(counts)]
    proposals = propose(rises, losses, told, trusted)
    elements = (*told, *(item.element for item in proposals))
    shift = 0.0 if trusted else axis_shift(rises, losses, elements)
    return elements, proposals, rises, shift


def _edges(spectra: Spectra, elements: Sequence[str], setup: Setup, rises: Sequence[Rise], shift: float) -> list[Any]:
    losses = spectra.losses
    first = int(np.searchsorted(losses, LEAST_LOSS if not isinstance(spectra.zero, str) else 1.0))
    energies = losses[first:]
    near = [rise._replace(channel=rise.channel - first) for rise in rises]
    edges = []
    for element in elements:
        made = edges_for(element, energies, setup.energy, setup.collection or 0.0, setup.convergence, near, shift)
        if not made and element in (setup.elements or ()) and not _only_low(spectra, setup.elements or ()):
            there = ", ".join(f"{shell.name} {shell.energy:g} eV" for shell in edges_of(element)) or "none up to 3 keV"
            raise ValueError(
                f"{element} has no edge within {energies[0]:.5g} to {energies[-1]:.5g} eV with {BEFORE:g} eV of background before it (its edges: "
                f"{there}); leave it out of {{elements}} to measure the others, "
                "or record a range that holds its edge"
            )
        edges += made
    return edges


def _only_low(spectra: Spectra, elements: Sequence[str]) -> bool:
    """Whether a spectrum with its zero loss ends before every edge of the elements: then they are told for the mean free path."""
    if isinstance(spectra.zero, str):
        return False
    return not any(edges_of(element, LEAST_LOSS, float(spectra.losses[-1])) for element in elements)


def _core(spectra: Spectra, low: Spectra | None, edges: list[Any], setup: Setup) -> tuple[CoreLossFit, Kernel | None]:
    """The fit of background and edges, from below the lowest onset on."""
    losses = spectra.losses
    lowest = min(edge.onset for edge in edges)
    begin = int(np.searchsorted(losses, max(losses[0], min(BACKGROUND_SHARE * lowest, lowest - 2 * BEFORE), 1.0)))
    kernel = None if low is None else kernel_of(low, spectra.dispersion)
    cut = len(losses) - begin
    shortened = [edge._replace(cross_section=edge.cross_section[-cut:]) for edge in edges]
    fit = fit_core_loss(
        spectra.counts[spectra.valid][:, begin:],
        losses[begin:],
        shortened,
        None if kernel is None else kernel.curve,
        spectra.used[begin:],
        setup.gain,
    )
    return fit, kernel


def _measurement(
    spectra: Spectra,
    setup: Setup,
    low: Low | None,
    fit: CoreLossFit | None,
    tests: list[Found],
    kernel: Kernel | None,
    proposals: list[Proposal],
    rises: Sequence[Rise],
) -> Measurement:
    electrons = _electrons(spectra, fit, kernel, setup)
    parts = [_low_quantities(low, spectra)]
    undetermined = _low_undetermined(low)
    plots, notes, checks, details, maps = [], [], [], {}, ()
    if fit is not None:
        edges = quantities_of(fit, None if electrons is None else float(electrons.mean()))
        parts.append(edges if kernel is not None else with_plural_error(fit, edges))
        undetermined |= _not_found(tests, parts[-1])
        plots.append(plot_of(fit))
        details = details_of(fit, tests, _seen(fit, spectra, rises))
        maps = maps_of(fit, spectra.shape, spectra.valid, electrons, setup.extent)
        checks = _checks(fit, [item.element for item in tests])
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
    return _without_edges(measured, len(parts[0].names))


def _without_edges(measured: Measurement, kept: int) -> Measurement:
    """A measurement whose quantities of edges are taken back where their check failed; the first ``kept`` are those of the low loss."""
    failed = measured.failed_checks
    if not failed:
        return measured
    part = measured.components[0]
    wide = np.diag((np.abs(part.mean) + np.sqrt(np.diag(part.covariance)) + 1.0) ** 2)
    wide[:kept, :kept] = part.covariance[:kept, :kept]
    reasons = dict.fromkeys(measured.names[kept:], f"{NO_FIT}: {failed[0].finding}")
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


def _low_quantities(low: Low | None, spectra: Spectra) -> Quantities:
    values = {} if low is None else dict(low.values)
    values.setdefault("energy_offset", (float(spectra.energies[0]), OFFSET_ERROR))
    for name, guess in UNKNOWN.items():
        values.setdefault(name, guess)
    names = tuple(name for name in UNITS if name in values)
    errors = np.array([values[name][1] for name in names])
    covariance = np.diag(errors**2)
    if low is not None and low.fit is not None:
        order = {
            "t_over_lambda": "t_over_lambda",
            "plasmon_energy": "plasmon1.energy",
            "plasmon_width": "plasmon1.width",
        }
        rows = [names.index(name) for name in order]
        inner = [low.fit.names.index(name) for name in order.values()]
        covariance[np.ix_(rows, rows)] = low.fit.covariance[np.ix_(inner, inner)]
        if "thickness" in low.values:
            index, relative = names.index("thickness"), values["thickness"][0] / values["t_over_lambda"][0]
            covariance[index, rows] = covariance[rows, index] = relative * covariance[rows[0], rows]
    return Quantities(
        names, tuple(UNITS[name] for name in names), np.array([values[name][0] for name in names]), covariance
    )


def _low_undetermined(low: Low | None) -> dict[str, str]:
    if low is None:
        return dict.fromkeys(("energy_offset", "t_over_lambda", "thickness"), UNVERIFIABLE)
    missing: dict[str, str] = {}
    if low.fit is None:
        missing = dict.fromkeys(("t_over_lambda", "thickness"), low.reason)
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
