"""The shipped table between its nodes, against the waves themselves."""

from collections.abc import Callable

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.eels.atoms import ionisation_threshold, subshell
from twin.eels.atoms.interpolation import strength_of
from twin.eels.atoms.kinematics import Beam
from twin.eels.atoms.oscillator import ionisation
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.potential import HARTREE

EDGES = (
    *(("C", "K"), ("O", "K"), ("Al", "K"), ("Si", "L3"), ("Ti", "M1"), ("Ti", "L3"), ("Cu", "L3"), ("Sr", "L3"), ("Ag", "N3")),
    *(("Ba", "M5"), ("Ce", "M5"), ("Ba", "N5"), ("W", "N7"), ("Au", "O3"), ("Pb", "N5"), ("U", "O5")),
)  # fmt: skip
SOME = (len(EDGES), 6, 1)
COLLECTIONS = (0.01, 0.1)
"""Semi-angles of collection at 200 kV, rad."""
DRAWN = 20
"""Energies of the ejected electron for each edge."""


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """The largest and the median error of d sigma / dE over all edges, energies to 20 times the binding energy, and apertures."""
    errors, worst = [], (0.0, "")
    for element, name in EDGES[: SOME[short]]:
        progress(f"table of {element} {name}")
        here = errors_between_nodes(element, name)
        errors += here
        worst = max(worst, (max(here), f"{element} {name}"))
    return [
        case(
            f"d sigma / dE between nodes of the table, {SOME[short]} edges: largest error ({worst[1]})",
            100 * worst[0],
            "%",
        ),
        case("the same, median", 100 * float(np.median(errors)), "%"),
    ]


def errors_between_nodes(element: str, name: str) -> list[float]:
    """Relative errors at random energies, for both apertures."""
    edge, atom, beam = subshell(element, name), solve_atom(element), Beam(200e3)
    strength, binding = strength_of(edge), -atom.shells[edge.orbital].energy
    generator = np.random.default_rng(7)
    near, far = generator.uniform(0, 40 / HARTREE, DRAWN // 2), binding * generator.uniform(0, 20, DRAWN // 2)
    energies = np.sort(np.concatenate([near, far]))
    q = np.geomspace(0.005, 12 * np.sqrt(2 * (binding + energies[-1])), 700)
    logs = np.log(ionisation(atom, edge.orbital, energies, q))
    errors = []
    for collection in COLLECTIONS:
        momenta, weights = beam.collected(ionisation_threshold(edge) / HARTREE + energies, collection)
        rows = [np.exp(np.interp(np.log(at), np.log(q), row)) for at, row in zip(momenta, logs, strict=True)]
        exact = (np.array(rows) * weights).sum(1)
        errors += np.abs((strength.above(energies[:, None], momenta) * weights).sum(1) / exact - 1).tolist()
    return errors
