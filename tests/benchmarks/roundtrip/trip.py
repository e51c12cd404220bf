"""A round trip: a recording that `twin.simulate` makes, and what `reconstruct.measure` must say of it.

A module beside this file that is called after a kind of measurement has ``PRINCIPAL`` (the quantities that are scored, with the period of those on a
circle) and ``draw(seed) -> Trip``. Settings are drawn from ranges and grids that no test of the simulation or of the measurement uses.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Trip:
    """``data`` as `reconstruct.measure` takes them with what is ``known``, and the ``truth`` that was simulated, in inside units."""

    data: Any
    known: Mapping[str, Any]
    truth: Mapping[str, float]


def structure(name: str) -> Any:
    """ASE atoms of a unit cell: silicon in its conventional cell, body-centred iron, magnesium oxide."""
    from ase.build import bulk

    if name == "Si":
        return bulk("Si", "diamond", a=5.431, cubic=True)
    if name == "Fe":
        return bulk("Fe", "bcc", a=2.8665, cubic=True)
    return bulk("MgO", "rocksalt", a=4.212, cubic=True)


def random_film(generator: np.random.Generator, side: float, thickness: float, density: float = 0.09) -> Any:
    """ASE atoms of an amorphous carbon film of ``side`` x ``side`` x ``thickness`` angstrom with ``density`` atoms in a cubic angstrom, none nearer to another
    than 0.9 angstrom where a few attempts can avoid it."""
    from ase import Atoms
    from scipy.spatial import KDTree

    count = int(density * side * side * thickness)
    box = np.array([side, side, thickness])
    positions = generator.uniform(0.0, 1.0, (count, 3)) * box
    for _ in range(10):
        near = KDTree(positions % box, boxsize=box * (1.0 + 1e-9)).query_pairs(0.9, output_type="ndarray")
        if not len(near):
            break
        moved = np.unique(near[:, 0])
        positions[moved] = generator.uniform(0.0, 1.0, (len(moved), 3)) * box
    return Atoms("C" * count, positions=positions, cell=box, pbc=True)
