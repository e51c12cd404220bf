"""Simulated scans of one cell of a tilted crystal, summed, into `measure("pacbed")`: thickness, tilt, semi-angle."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip, structure
from twin import Microscope, Pixelated, Sample, Scan, simulate

PRINCIPAL: dict[str, float | None] = dict.fromkeys(("thickness", "tilt.x", "tilt.y", "semiangle"))
STATED = ((9e-3, 1.0e-3), (14e-3, 1.2e-3), (18e-3, 1.4e-3))
"""Semi-angle and pixel in radian, as they are stated: the same for ten seeds, which share a library so."""


def draw(seed: int) -> Trip:
    """SrTiO3 [001] or silicon [110] of 8 to 14 nm, tilted by up to 1.5 mrad, in a beam and on a camera that are known to 2 and 1 %."""
    generator = np.random.default_rng(16_000 + seed)
    block = seed // 10
    known = Sample.crystal("SrTiO3") if block % 2 == 0 else Sample.from_atoms(structure("Si"), "Si", zone=(1, 1, 0))
    stated, angle = STATED[(block // 2 + block) % 3]
    radius, way = 1.5e-3 * np.sqrt(generator.uniform()), generator.uniform(0.0, 2.0 * np.pi)
    tilt = float(radius * np.cos(way)), float(radius * np.sin(way))
    sample = known.at(
        thickness=float(generator.uniform(80.0, 140.0)), size=(15.0, 15.0), tilt=tilt, phonons=int(generator.integers(4, 7)), seed=seed,
    )  # fmt: skip
    semiangle = stated * float(np.exp(0.01 * generator.standard_normal()))
    pixel = angle * float(np.exp(0.005 * generator.standard_normal()))
    cell = sample.atoms.cell.lengths()
    probes = [int(np.ceil(side * 2.1 * semiangle / 0.0251)) + 1 for side in cell[:2]]
    data = simulate(
        sample, Microscope(energy=200e3, semiangle=semiangle, aberrations={"C10": float(generator.normal(0.0, 50.0))}), "4d-stem",
        scan=Scan((probes[1], probes[0]), fov=(float(cell[0]), float(cell[1]))), detectors=[Pixelated((64, 64), pixel=pixel)],
        dose=float(10.0 ** generator.uniform(3.0, 5.0)), sampling=0.12, seed=seed,
    )  # fmt: skip
    # whole cells, about as thick as asked for
    truth = {"thickness": data.provenance["thickness"], "tilt.x": tilt[0], "tilt.y": tilt[1], "semiangle": semiangle}
    return Trip(data, {"structure": known, "semiangle": stated, "pixel": angle, "thickest": 190.0}, truth)
