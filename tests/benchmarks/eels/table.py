"""``python -m tests.benchmarks.eels.table [FOLDER]``: compute the shipped table of oscillator strengths, ``strengths.npz``, anew (8 minutes on one core).

FOLDER keeps a file for each element that is done, so that an interrupted run goes on; give a new one after a change of the physics.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import twin.eels.atoms
from tests.benchmarks._output import progress
from twin.eels.atoms.edges import edges_of
from twin.eels.atoms.oscillator import levels
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.configurations import SYMBOLS, atomic_number
from twin.eels.atoms.tabulation import pack, tabulate

LEVELS_L = 5
"""Largest l of bound levels; beyond, levels are hydrogenic and hold little."""


def element_rows(element: str) -> dict[str, np.ndarray]:
    """The rows of the table for all shells of ``element`` that have an edge."""
    atom = solve_atom(element)
    room = levels(atom, LEVELS_L)
    shells = sorted({edge.orbital for edge in edges_of(element, high=np.inf)})
    tables = [tabulate(atom, orbital, room) for orbital in shells]
    packed = [pack(table.values) for table in tables]
    return {
        "shells": np.array([(atomic_number(element), orbital.n, orbital.l) for orbital in shells], np.uint8),
        "scales": np.array([(*table[:3], made.top) for table, made in zip(tables, packed, strict=True)]),
        "high": np.stack([made.high for made in packed]),
        "low": np.stack([made.low for made in packed]),
    }


def build(folder: Path, out: Path) -> None:
    """Write the table ``out``; elements that ``folder`` does not have yet are computed and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    elements = [element for element in SYMBOLS if edges_of(element, high=np.inf)]
    for number, element in enumerate(elements):
        kept = folder / f"{element}.npz"
        if not kept.is_file():
            progress(element, number / len(elements))
            _save(kept, element_rows(element), np.savez)
        with np.load(kept) as stored:
            parts.append(dict(stored))
    _save(out, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, np.savez_compressed)
    progress(f"{out}: {sum(len(part['shells']) for part in parts)} shells, {out.stat().st_size / 1e6:.2f} MB", 1.0)


def _save(path: Path, arrays: dict[str, np.ndarray], writer: Callable[..., None]) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        writer(file, **arrays)
    part.replace(path)


if __name__ == "__main__":
    where = Path(twin.eels.atoms.__file__).with_name("strengths.npz")
    if len(sys.argv) > 1:
        build(Path(sys.argv[1]), where)
    else:
        with tempfile.TemporaryDirectory() as spare:
            build(Path(spare), where)
