"""Edges of elements in a spectrum: which ones are within its range, where their onsets are seen, and which elements its rises speak for.

Onsets are taken where the spectrum rises, since energy axes without a zero loss are off by electronvolts. Edges whose rise is not seen are put where the
others say that the axis is.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from reconstruct.eels.core_loss.design import Edge
from reconstruct.eels.features import Rise, onsets
from reconstruct.eels.references import ONSETS, Onset
from twin.eels.atoms import Subshell, differential_cross_section, edges_of

SHIFT_SPREAD, LARGEST_SHIFT = 4.0, 15.0
"""Rms by which an energy axis without a zero loss is off, and the most that is looked for, in eV."""
SLACK = 3.5
"""Rms by which single edges are off beyond that: chemical shifts, and axes that are not quite linear."""
UNEXPLAINED, STRONGEST = 0.8, 30.0
"""Cost of a rise that no edge explains, times its significance up to a largest."""
UNSEEN = 4.0
"""Cost of an edge that the element should show and the spectrum does not."""
LEAST_RISE = 7.0
"""Standard deviations from which a rise is to be explained by an element that was not told."""
PARTS, NEAR = 8, 6.0
"""Parts of a spectrum image that are searched for rises of their own, and channels within which two rises are one."""
AFTER = 8.0
"""Least range in eV behind an onset in which its edge is fitted."""
BEFORE = 10.0
"""Least range in eV before an onset, which holds the background."""
GROUPS = {"K": ("K",), "L2,3": ("L3", "L2"), "M4,5": ("M5", "M4"), "N4,5": ("N5", "N4")}
"""Edges with a free near-edge shape; other subshells are steps."""


class Proposal(NamedTuple):
    """An ``element`` that rises of a spectrum speak for: the places of its edges (name, eV on the spectrum's axis), and its ``plausibility`` among the elements
    that could explain the strongest of these rises."""

    element: str
    places: tuple[tuple[str, float], ...]
    plausibility: float


def rises_of(spectra: np.ndarray) -> list[Rise]:
    """Rises of the sum of ``spectra`` [n, channels], and of parts of it, so that an element that is in one part only is seen."""
    count = len(spectra)
    size = math.ceil(count / PARTS)
    parts = [spectra] if count < 2 * PARTS else [spectra, *(spectra[at : at + size] for at in range(0, count, size))]
    kept: list[Rise] = []
    for part in parts:
        for rise in onsets(part.sum(axis=0)):
            near = [index for index, other in enumerate(kept) if abs(other.channel - rise.channel) < NEAR]
            if not near:
                kept.append(rise)
            elif rise.significance > kept[near[0]].significance:
                kept[near[0]] = rise
    return kept


def axis_shift(rises: Sequence[Rise], energies: np.ndarray, elements: Collection[str]) -> float:
    """By how much in eV the edges of ``elements`` are seen above their usual energies; 0 where none is seen."""
    wanted = [onset for onset in ONSETS if onset.element in elements]
    return _best_shift(rises, energies, wanted) if wanted and rises else 0.0


def shift_to(rises: Sequence[Rise], energies: np.ndarray, onsets: Collection[float]) -> float:
    """By how much in eV edges of the energies ``onsets`` are seen above them; 0 where none is seen."""
    wanted = [Onset("", "", energy, 0.5, True) for energy in onsets]
    return _best_shift(rises, energies, wanted) if wanted and rises else 0.0


def _best_shift(rises: Sequence[Rise], energies: np.ndarray, wanted: Sequence[Onset]) -> float:
    shifts = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 0.25, 0.5)
    places, spreads, strengths = _seen(rises, energies)
    scores = -0.5 * (shifts / SHIFT_SPREAD) ** 2
    for position, spread, strength in zip(places, spreads, strengths, strict=True):
        off = np.array([position - onset.energy for onset in wanted])[:, None] - shifts
        error = np.array([math.hypot(onset.error, spread, SLACK) for onset in wanted])[:, None]
        scores += np.maximum((UNEXPLAINED * strength - 0.5 * (off / error) ** 2).max(axis=0), 0.0)
    best = int(np.argmax(scores))
    return shifts.tolist()[best] if scores[best] > 0.0 else 0.0


def _seen(rises: Sequence[Rise], energies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place and error in eV, and significance up to the largest that counts."""
    step = float(energies[1] - energies[0])
    places = np.array([energies[0] + step * rise.channel for rise in rises])
    errors = np.array([step * rise.error for rise in rises])
    return places, errors, np.array([min(rise.significance, STRONGEST) for rise in rises])


def propose(
    rises: Sequence[Rise], energies: np.ndarray, told: Collection[str] = (), trusted: bool = False
) -> list[Proposal]:
    """Elements for the rises that edges of the ``told`` ones do not explain, most significant first; ``trusted``: the axis has its zero loss."""
    rises = [rise for rise in rises if rise.significance > LEAST_RISE]
    if not rises:
        return []
    places, errors, strengths = _seen(rises, energies)
    shift = 0.0 if trusted else axis_shift(rises, energies, told) if told else _common_shift(rises, energies)
    free = np.ones(len(rises), bool)
    for element in told:
        for index in _explained(element, places, errors, shift, free, trusted):
            free[index[0]] = False
    proposals: list[Proposal] = []
    candidates = sorted({onset.element for onset in ONSETS} - set(told))
    while free.any():
        top = int(np.argmax(np.where(free, strengths, 0.0)))
        scored = []
        for element in candidates:
            matched = _explained(element, places, errors, shift, free, trusted)
            if top in [index for index, _, _ in matched]:
                scored.append((_merit(element, matched, strengths, energies, shift), element, matched))
        if not scored:
            free[top] = False
            continue
        scores = np.array([score for score, _, _ in scored])
        best = int(np.argmax(scores))
        if scores[best] > 0.0:
            total = float(np.logaddexp.reduce(np.append(scores, 0.0)))  # 0: none of the known edges
            _, element, matched = scored[best]
            detected = tuple((onset.name, float(places[index])) for index, onset, _ in matched)
            proposals.append(Proposal(element, detected, math.exp(scores[best] - total)))
            for index, _, _ in matched:
                free[index] = False
        free[top] = False
    return proposals


def _common_shift(rises: Sequence[Rise], energies: np.ndarray) -> float:
    """The shift of an axis by the elements that are on most specimens, where they are seen; else 0."""
    places, _, strengths = _seen(rises, energies)
    best, shift = 0.0, 0.0
    for element in sorted({onset.element for onset in ONSETS}):
        lines = [onset for onset in ONSETS if onset.element == element and energies[0] < onset.energy < energies[-1]]
        if not any(onset.main for onset in lines):
            continue
        moved = _best_shift(rises, energies, lines)
        off = np.abs(places[:, None] - np.array([onset.energy for onset in lines]) - moved)
        score = float(strengths[off.min(axis=1) < SLACK].sum()) - 0.5 * (moved / SHIFT_SPREAD) ** 2
        score *= 1.0 if (off.min(axis=0) < SLACK).all() else 0.3
        if score > best:
            best, shift = score, moved
    return shift


def _explained(
    element: str, places: np.ndarray, errors: np.ndarray, shift: float, free: np.ndarray, trusted: bool
) -> list[tuple[int, Onset, float]]:
    """The free rises that edges of an element explain: (rise, edge, deviation in standard errors)."""
    matched: list[tuple[int, Onset, float]] = []
    for onset in (onset for onset in ONSETS if onset.element == element):
        best: tuple[float, int] | None = None
        for index in np.flatnonzero(free):
            if any(index == taken for taken, _, _ in matched):
                continue
            error = math.hypot(onset.error, errors[index], 1.0 if trusted else SLACK)
            off = abs(places[index] - shift - onset.energy) / error
            if off < 2.5 and (best is None or off < best[0]):
                best = off, int(index)
        if best is not None:
            matched.append((best[1], onset, best[0]))
    return matched


def _merit(
    element: str,
    matched: Sequence[tuple[int, Onset, float]],
    strengths: np.ndarray,
    energies: np.ndarray,
    shift: float,
) -> float:
    """How well an element explains its rises, in log units; 0 is as well as leaving them unexplained."""
    score = sum(UNEXPLAINED * strengths[index] - 0.5 * off**2 for index, _, off in matched)
    seen = {onset for _, onset, _ in matched}
    for onset in (onset for onset in ONSETS if onset.element == element):
        inside = energies[0] + BEFORE < onset.energy + shift < energies[-1] - AFTER
        if inside and onset not in seen:
            score -= UNSEEN * (3.0 if onset.main else 0.5)
    return score


def edges_for(
    element: str,
    energies: np.ndarray,
    high_tension: float,
    collection: float,
    convergence: float = 0.0,
    rises: Sequence[Rise] = (),
    shift: float = 0.0,
    absolute: Mapping[str, float] | None = None,
) -> list[Edge]:
    """The edges of ``element`` within ``energies`` (eV), with cross-sections per channel; onsets at rises that are near, else where ``shift`` puts them.
    ``absolute``: energies in eV of edges by shell ("K", "L", "M", "N"), which are taken as they are, with all subshells of the shell.

    ``high_tension`` in V, semi-angles in radian. Empty where the element has no edge here. ValueError for what is no element.
    """
    step, low, high = float(energies[1] - energies[0]), float(energies[0]), float(energies[-1])
    shells = {shell.name: shell for shell in edges_of(element, high=high + LARGEST_SHIFT)}
    edges, taken, told = [], set(), absolute or {}
    by_shell: dict[str, float] = {}
    for name, members in GROUPS.items():
        group = [shells[member] for member in members if member in shells]
        if not group:
            continue
        taken |= {shell.name for shell in group}
        known = told.get(name[0])
        moved = _moved(element, group[0], energies, rises, shift) if known is None else known - group[0].energy
        if known is not None:
            by_shell[name[0]] = moved
        onset = group[0].energy + moved
        if not low + BEFORE <= onset <= high - AFTER:
            continue
        curve = sum(_curve(shell, energies - moved, high_tension, collection, convergence) for shell in group)
        edges.append(Edge(element, name, onset, step * np.asarray(curve), absolute=known is not None))
    if not edges:
        return []
    for name, shell in shells.items():
        moved = by_shell.get(name[0], shift)
        onset = shell.energy + moved
        if name not in taken and low + BEFORE <= onset <= high - AFTER:
            curve = _curve(shell, energies - moved, high_tension, collection, convergence)
            edges.append(Edge(element, name, onset, step * curve, shaped=False, absolute=name[0] in by_shell))
    return edges


def _moved(element: str, shell: Subshell, energies: np.ndarray, rises: Sequence[Rise], shift: float) -> float:
    """By how much the edge is seen above its energy."""
    reference = next(
        (onset.energy for onset in ONSETS if onset.element == element and onset.name.split(",")[0] in (shell.name, f"{shell.name[0]}2")
         and onset.main), shell.energy,
    )  # fmt: skip
    expected = reference + shift
    places, errors, _ = _seen(rises, energies) if rises else (np.zeros(0), np.zeros(0), np.zeros(0))
    near = np.abs(places - expected) < 2.0 * np.hypot(SLACK, errors)
    if near.any():
        expected = float(places[near][int(np.argmin(np.abs(places[near] - expected)))])
    return expected - shell.energy


def _curve(
    shell: Subshell, losses: np.ndarray, high_tension: float, collection: float, convergence: float
) -> np.ndarray:
    """Cross-section in angstrom^2 / eV at ``losses``, before the edge as at it."""
    above = np.maximum(losses, shell.energy * (1.0 + 1e-9))
    return differential_cross_section(shell, above, high_tension, collection, convergence)
