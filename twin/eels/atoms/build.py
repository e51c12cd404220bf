"""``python -m twin.eels.atoms.build [FOLDER]``: compute the table of oscillator strengths, ``strengths.npz``, anew; minutes on one core.

FOLDER keeps a file for each element that is done, so that an interrupted run goes on; give a new one after a change of the physics.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from twin.eels.atoms.edges import edges_of
from twin.eels.atoms.oscillator import levels
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.configurations import SYMBOLS, atomic_number
from twin.eels.atoms.tabulation import pack, tabulate

LEVELS_L = 5
"""Largest l of bound levels: f to h, whose only levels are hydrogenic and hold little."""


def element_rows(element: str) -> dict[str, np.ndarray]:
    """The rows of the table for all shells of ``element`` that have an edge."""
    atom = solve_atom(element)
    shells = sorted({edge.orbital for edge in edges_of(element, high=np.inf)})
    room = levels(atom, LEVELS_L)
    rows: dict[str, list[np.ndarray]] = {"shells": [], "scales": [], "high": [], "low": []}
    for orbital in shells:
        made = tabulate(atom, orbital, room)
        top, steps = pack(made.values)
        rows["shells"].append(np.array([atomic_number(element), orbital.n, orbital.l], np.uint8))
        rows["scales"].append(np.array([made.binding, made.largest, made.window, top]))
        # high and low bytes apart compress to two thirds
        rows["high"].append((steps.view(np.uint16) >> 8).astype(np.uint8))
        rows["low"].append((steps.view(np.uint16) & 255).astype(np.uint8))
    return {name: np.stack(values) for name, values in rows.items()}


def build(folder: Path, out: Path) -> None:
    """Write the table ``out``, with the elements that ``folder`` does not have yet computed and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    elements = [element for element in SYMBOLS if edges_of(element, high=np.inf)]
    for number, element in enumerate(elements, 1):
        kept = folder / f"{element}.npz"
        if not kept.is_file():
            print(f"{element}, {number} of {len(elements)}", file=sys.stderr, flush=True)
            part = kept.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, **element_rows(element))
            part.replace(kept)
        with np.load(kept) as stored:
            parts.append(dict(stored))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    part = out.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **joined)
    part.replace(out)
    print(f"{out}: {len(joined['shells'])} shells, {out.stat().st_size / 1e6:.2f} MB", file=sys.stderr)


if __name__ == "__main__":
    where = Path(__file__).with_name("strengths.npz")
    if len(sys.argv) > 1:
        build(Path(sys.argv[1]), where)
    else:
        with tempfile.TemporaryDirectory() as spare:
            build(Path(spare), where)
