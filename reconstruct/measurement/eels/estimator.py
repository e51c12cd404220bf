"""Energy-loss spectra to quantities: the zero loss and plasmon where they are recorded, and the edges of elements.

Absolute atoms per area need the electrons that made the spectrum, which the low loss counts; without it there are electrons of edges and ratios of
elements. Without a zero loss neither the energy axis nor the thickness can be verified.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reconstruct.eels.core_loss.common import Known
from reconstruct.eels.core_loss.elements import BEFORE, Proposal, axis_shift, edges_for, propose, rises_of, shift_to
from reconstruct.eels.core_loss.fit import CoreLossFit, fit_core_loss
from reconstruct.eels.features import Rise
from reconstruct.measurement.eels.core import presence_of
from reconstruct.measurement.eels.joint import OFFSET_ERROR
from reconstruct.measurement.eels.low import Kernel, Low, kernel_of, low_loss_of
from reconstruct.measurement.eels.result import result_of
from reconstruct.measurement.eels.setup import Setup
from reconstruct.measurement.eels.spectra import Spectra
from reconstruct.measurement.measurement import Measurement
from twin.eels.atoms import edges_of

LEAST_LOSS = 25.0
"""Losses in eV above which edges are looked for in a spectrum that has its zero loss."""
BACKGROUND_SHARE = 0.85
"""Share of the lowest onset from which on the background is fitted."""
BEFORE_EDGE = 0.95
"""Share of the lowest onset up to which valence losses are fitted in the same spectrum."""


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
        fit, kernel = _core(spectra, source, low_part, edges, setup, rises)
        tests = [presence_of(fit, index) for index in range(len(fit.design.elements))]
    return result_of(spectra, setup, low_part, fit, tests, kernel, proposals, rises)


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
        told = setup.onsets.get(element)
        made = edges_for(element, energies, setup.energy, setup.collection or 0.0, setup.convergence, near, shift, told)
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


def _core(
    spectra: Spectra,
    source: Spectra | None,
    low: Low | None,
    edges: list[Any],
    setup: Setup,
    rises: Sequence[Rise],
) -> tuple[CoreLossFit, Kernel | None]:
    """The fit of background and edges, from below the lowest onset on, with the low loss of ``source``."""
    losses = spectra.losses
    offset, start = _offset(spectra, low, edges, rises)
    lowest = min(edge.onset + (start if edge.absolute else 0.0) for edge in edges)
    begin = int(np.searchsorted(losses, max(losses[0], min(BACKGROUND_SHARE * lowest, lowest - 2 * BEFORE), 1.0)))
    kernel = None
    if source is not None and low is not None:
        reach = float(losses[-1] - lowest)
        # in the same spectra each is its own low loss, too
        each = spectra.valid if source.shape == spectra.shape else None
        kernel = kernel_of(source, low, spectra.dispersion, reach, each)
    cut = len(losses) - begin
    shortened = [edge._replace(cross_section=edge.cross_section[-cut:]) for edge in edges]
    fit = fit_core_loss(
        spectra.counts[spectra.valid][:, begin:],
        losses[begin:],
        shortened,
        None,
        spectra.used[begin:],
        setup.gain,
        known=Known(offset, start, setup.drift, None if kernel is None else kernel.scattering),
    )
    return fit, kernel


def _offset(spectra: Spectra, low: Low | None, edges: Sequence[Any], rises: Sequence[Rise]) -> tuple[float, float]:
    """Prior rms of the axis's offset in eV, where edges have absolute energies, and where its search begins."""
    absolute = [edge.onset for edge in edges if edge.absolute]
    if not absolute:
        return 0.0, 0.0
    if low is not None and not isinstance(spectra.zero, str):
        return low.values["energy_offset"][1], 0.0
    return OFFSET_ERROR, shift_to(rises, spectra.losses, absolute)
