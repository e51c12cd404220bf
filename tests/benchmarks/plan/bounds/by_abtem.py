"""The same expected counts by abTEM: its probe and multislice in float32, through the potential of the same frozen phonons."""

from typing import Any

import numpy as np

from learn.feasibility.scans import blurred
from tests.benchmarks.plan.bounds.studies import C10, PROBE, Study, at, detector_for, matrix, window_for


def abtem_rates(study: Study) -> np.ndarray:
    """Expected counts [places, channels] for each electron on a place."""
    import abtem

    made, window, base = at(study, study.true), window_for(study), matrix(at(study, study.true))
    grid, total = made.grid, 0.0
    with abtem.config.set({"precision": "float32", "device": "cpu", "fft": "numpy"}):
        for seed in grid.seeds:
            moved = made.specimen.displacements(seed)
            stack = made.specimen.slices(grid.gpts, grid.slices, moved if made.sites is None else moved[made.sites])
            array = np.asarray(stack.array)[: grid.slices - made.before]
            potential = abtem.PotentialArray(
                np.ascontiguousarray(array.transpose(0, 2, 1)), slice_thickness=stack.spacing, extent=stack.extent
            )
            probe = abtem.Probe(
                energy=grid.energy, semiangle_cutoff=1e3 * grid.semiangle, extent=stack.extent, gpts=array.shape[:0:-1], soft=False,
                aberrations={"C10": C10}, tilt=(-1e3 * grid.tilt[0], -1e3 * grid.tilt[1]),
            )  # fmt: skip
            scan = abtem.CustomScan(window.positions)
            incident = np.asarray(probe.build(scan, lazy=False).array)
            waves = _array(probe.multislice(potential, scan=scan, lazy=False))
            norm = np.sum(np.abs(np.fft.fft2(incident[0])) ** 2)
            beams = np.abs(np.fft.fft2(waves)).transpose(0, 2, 1) ** 2 / norm
            total = total + beams.reshape(len(beams), -1)[:, base.pixels] / len(grid.seeds)
    source = 0.0 if study.technique == "CBED" else PROBE.source
    sharp = np.asarray(total, np.float64)
    return detector_for(study)(base).counted(blurred(sharp, window, source))


def _array(waves: Any) -> np.ndarray:
    return np.asarray(waves.array)
