"""Edges of the elements from the tabulated atoms of `twin.eels.atoms`: which there are in a range, and their cross-sections into the spectrometer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.checks import require
from twin.eels.atoms import (
    Subshell,
    differential_cross_section,
    edges_of,
    excitation_cross_section,
    ionisation_threshold,
)
from twin.eels.spectrum.edges import Continuum, Edge, continuum, edge, energies_for

PARTNERS = {"K": ("K",), "L": ("L3", "L2"), "M": ("M5", "M4"), "N": ("N5", "N4"), "O": ("O5", "O4")}
"""Subshells of the edges that are called by a shell: its spin-orbit partners of the highest orbital momentum that is common. Others are edges by their own
names."""
CORE = 50.0
"""Energy in eV from which an edge counts as one; below, electrons are in the valence losses."""


def names_of(element: str, low: float = CORE, high: float = 3000.0) -> tuple[str, ...]:
    """Names of the edges of ``element`` between ``low`` and ``high`` eV, by rising onset: "M", "M3", "L", "K". ValueError for what is no element."""
    onsets: dict[str, float] = {}
    for shell in edges_of(element, low, high):
        name = next((name for name, partners in PARTNERS.items() if shell.name in partners), shell.name)
        onsets[name] = min(shell.energy, onsets.get(name, shell.energy))
    return tuple(sorted(onsets, key=lambda name: onsets[name]))


def atomic_edge(
    element: str,
    name: str,
    high_tension: float,
    collection: float,
    convergence: float = 0.0,
    *,
    last: float = 3000.0,
    **shape: Any,
) -> Edge:
    """The edge ``name`` ("L": L3 and L2; "L1") of ``element`` for a beam of ``high_tension`` volt and semi-angles in radian, up to losses of ``last`` eV.

    ``shape``: as `twin.eels.spectrum.edge` takes it. ValueError that lists the edges of the element where it has no such edge.
    """
    wanted = PARTNERS.get(name, (name,))
    parts = [shell for shell in edges_of(element, 0.0, float("inf")) if shell.name in wanted]
    there = ", ".join(names_of(element, 0.0, float("inf")))
    require(len(parts) > 0, f"{element} has no edge {name!r}; it has {there or 'none up to 3 keV'}")
    white = bool(shape.get("white"))
    made = [_continuum(part, high_tension, collection, convergence, last, white) for part in parts]
    whole = edge(element, name, [part for part, _ in made], **shape)
    return whole._replace(white_area=sum(area for _, area in made) / whole.reference) if white else whole


def edges_in(
    elements: Sequence[str],
    low: float,
    high: float,
    high_tension: float,
    collection: float,
    convergence: float = 0.0,
    *,
    shapes: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Edge, ...]:
    """All edges of ``elements`` with onsets from ``low`` to ``high`` eV; ``shapes``: how some of them are shaped, by label ("Ti L")."""
    made = []
    for element in elements:
        for name in names_of(element, low, high):
            shape = (shapes or {}).get(f"{element} {name}", {})
            made.append(atomic_edge(element, name, high_tension, collection, convergence, last=high, **shape))
    return tuple(made)


def _continuum(
    part: Subshell, high_tension: float, collection: float, convergence: float, last: float, white: bool
) -> tuple[Continuum, float]:
    """A subshell, and the cross-section in angstrom^2 of what is left to ``white`` lines: excitations to bound states of the atom. In their place the
    continuum goes on to the onset as it begins above them."""
    losses, threshold = energies_for(part.energy, last), ionisation_threshold(part)
    values = differential_cross_section(part, losses, high_tension, collection, convergence)
    area, begin = 0.0, int(np.argmax(losses >= threshold))
    if white:
        area = excitation_cross_section(part, high_tension, collection, convergence)
        area = max(area - float(values[begin]) * (threshold - part.energy), 0.0)
        values = np.where(losses >= threshold, values, values[begin]) if area > 0.0 else values
    return continuum(part.name, part.energy, losses, values), area
