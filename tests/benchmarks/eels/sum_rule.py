"""Bethe's sum rule over all bound and continuum states, for every shell of some atoms."""

from collections.abc import Callable

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.configurations import Orbital
from twin.eels.atoms.solver.potential import LIGHT
from twin.eels.atoms.sum_rule import bethe_sum, largest_momentum

ATOMS = (("C", "O", "Si", "Ti", "Cu", "Sr", "Ba", "Au"), ("O", "Ti"), ("C",))
MOMENTA = np.array([0.05, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0])
"""Per bohr; each shell up to where waves of l' = 48 are enough."""
FAST = 1e6
"""A speed of light that makes atoms non-relativistic."""


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """The largest deviation from 1 over all shells and momenta of each atom; with relativity the sum of its 1s shell."""
    rows = []
    for element in ATOMS[short]:
        progress(f"sum rule of {element}")
        atom = solve_atom(element, FAST)
        off, where = 0.0, ""
        for orbital in atom.shells:
            momenta = MOMENTA[largest_momentum(atom, orbital) >= MOMENTA]
            sums = bethe_sum(atom, orbital, momenta)
            worst = int(np.abs(sums - 1).argmax())
            off, where = max((off, where), (float(abs(sums[worst] - 1)), f"{_name(orbital)}, q = {momenta[worst]:g}"))
        words = f"{element}, {len(atom.shells)} shells, q {MOMENTA[0]:g} to {MOMENTA[-1]:g} per bohr: largest deviation ({where})"
        rows.append(case(words, 100 * off, "%", "at most 1 %", off <= 0.01))
    if short is not Form.SMOKE:
        for element in ("Ti", "Ba"):
            atom = solve_atom(element, LIGHT)
            sums = [bethe_sum(atom, orbital, np.array([0.3]))[0] for orbital in atom.shells]
            text = ", ".join(f"{_name(orbital)} {value:.3f}" for orbital, value in zip(atom.shells, sums, strict=True))
            rows.append(case(f"{element} with relativity, q = 0.3: sums", text))
    return rows


def _name(orbital: Orbital) -> str:
    return f"{orbital.n}{'spdf'[orbital.l]}"
