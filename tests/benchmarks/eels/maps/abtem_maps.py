"""``PYTHON abtem_maps.py OUT.npz SETTINGS``, with a PYTHON that has abTEM and GPAW: core-loss maps of SrTiO3 by abTEM, for `core_loss`.

It stands alone, since that environment has no emtwin. SETTINGS: `core_loss.Shared` as JSON. Made are probabilities per eV of loss for each incident
electron, [y, x], and seconds.
"""

import json
import sys
import time
from typing import Any

import abtem
import ase
import numpy as np
from abtem.inelastic.core_loss import SubshellTransitions


def specimen(cell: float, repeats: tuple[int, int, int]) -> ase.Atoms:
    """Atomic planes in the middles of slices of half a cell."""
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    unit = ase.Atoms("SrTiO3", scaled_positions=places, cell=[cell] * 3, pbc=True)
    unit.translate((0, 0, cell / 4))
    return unit * repeats


def main(out: str, settings: dict[str, Any]) -> None:
    cell, energy = settings["cell"], settings["energy"]
    abtem.config.set({"precision": "float32", "diagnostics.progress_bar": False})
    potential = abtem.Potential(
        specimen(cell, tuple(settings["repeats"])),
        gpts=settings["gpts"],
        slice_thickness=cell / 2,
        parametrization="lobato",
        projection="infinite",
    )
    probe = abtem.Probe(energy=energy, semiangle_cutoff=settings["semiangle"] * 1e3)
    probe.grid.match(potential)
    scan = abtem.GridScan(start=(0, 0), end=(cell, cell), gpts=(settings["scan"],) * 2, endpoint=False)
    detector = abtem.AnnularDetector(inner=0, outer=settings["collection"] * 1e3)
    made = {}
    for label, (number, n, l) in settings["shells"].items():  # noqa: E741
        start = time.perf_counter()
        shell = SubshellTransitions(Z=number, n=n, l=l, order=1, epsilon=settings["epsilon"])
        transitions = shell.get_transition_potentials(energy=energy)
        for double in (True, False):
            image: Any = probe.transition_potential_scan(
                potential, transitions, scan=scan, detectors=detector, double_channel=double, lazy=False
            )
            made[f"{label} {'double' if double else 'single'}"] = np.asarray(image.array).squeeze().T
        made[f"{label} seconds"] = np.array(time.perf_counter() - start)
    np.savez(out, **made)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
