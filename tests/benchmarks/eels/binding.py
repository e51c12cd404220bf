"""Binding energies of the self-consistent atoms against the edges of Bote and Salvat's cross-sections, and against measured ones."""

from collections.abc import Callable

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.eels.cross_sections import BARS, references
from twin.eels.atoms import edges_of
from twin.eels.atoms.solver.atom import Atom, solve_atom
from twin.eels.atoms.solver.configurations import SYMBOLS, Orbital, configuration, subshells
from twin.eels.atoms.solver.potential import HARTREE

STEP = (1, 6, 30)
"""Every how many elements are computed."""
INNER = 100.0
"""Energy in eV from which on a measured edge counts as that of an inner shell."""
THEIRS: dict[str, dict[tuple[int, int], int]] = {
    "Cr": {(3, 2): 4, (4, 0): 2}, "Cu": {(3, 2): 9, (4, 0): 2}, "Nb": {(4, 2): 3, (5, 0): 2}, "Mo": {(4, 2): 4, (5, 0): 2},
    "Tc": {(4, 2): 6, (5, 0): 1}, "Pd": {(4, 2): 9, (5, 0): 1},
    **{element: {(4, 3): 2 + number, (5, 2): 1} for number, element in enumerate(SYMBOLS[58:70]) if element != "Gd"},
}  # fmt: skip
"""Electrons n l of the configurations that Bote and Salvat's edges belong to, where the ground state is another: found by their energies."""


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Deviations of the subshells that have a bar, in their configurations; those of ground states; and from measured edges."""
    judged = {(r.number, r.edge.name): r.edge.energy for r in references(tuple(BARS))}
    judged = {key: edge for key, edge in judged.items() if BARS[key[1]][0] <= key[0] <= BARS[key[1]][1]}
    same, ground, measured = [], [], []
    for number in range(3, 93, STEP[short]):
        element = SYMBOLS[number - 1]
        progress(f"binding energies of {element}", (number - 3) / 90)
        edges = {edge.name: edge.energy for edge in edges_of(element, high=np.inf) if edge.energy >= INNER}
        for name, energy in _energies(solve_atom(element)).items():
            if name in edges:
                measured.append((abs(energy / edges[name] - 1), f"{element} {name}"))
            if (number, name) in judged:
                ground.append((abs(energy / judged[number, name] - 1), f"{element} {name}"))
        held = {(orbital.n, orbital.l): orbital.electrons for orbital in configuration(element)}
        held |= THEIRS.get(element, {})
        theirs = tuple(Orbital(*shell, count) for shell, count in sorted(held.items()))
        for name, energy in _energies(solve_atom(element, shells=theirs)).items():
            if (number, name) in judged:
                same.append((abs(energy / judged[number, name] - 1), f"{element} {name}"))
    rows = []
    if same:
        off, where = max(same)
        words = f"binding energies, {len(same)} subshells of the bars above, Bote and Salvat's configurations: largest deviation ({where})"
        rows.append(case(words, 100 * off, "%", "1 %", off <= 0.01))
        off, where = max(ground)
        rows.append(case(f"the same in ground states, which are others for {len(THEIRS)} elements ({where})", 100 * off, "%"))  # fmt: skip
    for bounds in ((INNER, 1000.0), (1000.0, np.inf)):
        chosen = [pair for pair in measured if bounds[0] <= _measured(pair[1]) < bounds[1]]
        if chosen:
            mean, (off, where) = float(np.mean([deviation for deviation, _ in chosen])), max(chosen)
            words = f"binding energies from {bounds[0]:g} eV" + ("" if np.isinf(bounds[1]) else f" to {bounds[1]:g} eV")
            rows.append(case(f"{words}: mean deviation from measured edges", 100 * mean, "%"))
            rows.append(case(f"the same, largest ({where})", 100 * off, "%"))
    return rows


def _energies(atom: Atom) -> dict[str, float]:
    """Binding energies in eV of the subshells of ``atom``."""
    return {
        name: HARTREE * atom.binding(orbital, twice_j)
        for orbital in atom.shells
        for name, twice_j, count in subshells(*orbital)
        if count
    }


def _measured(words: str) -> float:
    element, name = words.split()
    return next(edge.energy for edge in edges_of(element, high=np.inf) if edge.name == name)
