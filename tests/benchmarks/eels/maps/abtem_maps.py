"""``PYTHON abtem_maps.py OUT.npz``, with a PYTHON that has abTEM and GPAW: core-loss maps of SrTiO3 by abTEM, for `tests.benchmarks.eels.maps.core_loss`.

It imports its own folder alone, since that environment has no emtwin. Probabilities per eV of loss for each incident electron, [y, x], and seconds.
"""

import sys
import time
from typing import Any

import abtem
import ase
import numpy as np
from abtem.inelastic.core_loss import SubshellTransitions
from abtem_settings import CELL, COLLECTION, ENERGY, EPSILON, GPTS, REPEATS, SCAN, SEMIANGLE, SHELLS


def specimen() -> ase.Atoms:
    """Atomic planes in the middles of slices of half a cell."""
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    unit = ase.Atoms("SrTiO3", scaled_positions=places, cell=[CELL] * 3, pbc=True)
    unit.translate((0, 0, CELL / 4))
    return unit * REPEATS


def main(out: str) -> None:
    abtem.config.set({"precision": "float32", "diagnostics.progress_bar": False})
    potential = abtem.Potential(
        specimen(), gpts=GPTS, slice_thickness=CELL / 2, parametrization="lobato", projection="infinite"
    )
    probe = abtem.Probe(energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3)
    probe.grid.match(potential)
    scan = abtem.GridScan(start=(0, 0), end=(CELL, CELL), gpts=(SCAN, SCAN), endpoint=False)
    detector = abtem.AnnularDetector(inner=0, outer=COLLECTION * 1e3)
    made = {}
    for label, (number, n, l) in SHELLS.items():  # noqa: E741
        start = time.perf_counter()
        shell = SubshellTransitions(Z=number, n=n, l=l, order=1, epsilon=EPSILON)
        transitions = shell.get_transition_potentials(energy=ENERGY)
        for double in (True, False):
            image: Any = probe.transition_potential_scan(
                potential, transitions, scan=scan, detectors=detector, double_channel=double, lazy=False
            )
            made[f"{label} {'double' if double else 'single'}"] = np.asarray(image.array).squeeze().T
        made[f"{label} seconds"] = np.array(time.perf_counter() - start)
    np.savez(out, **made)


if __name__ == "__main__":
    main(sys.argv[1])
