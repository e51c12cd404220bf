"""Simulated scans of Ronchigrams over a film into `measure("film")`: defocus and astigmatism."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip, random_film
from twin import Microscope, Pixelated, Sample, Scan, simulate

PRINCIPAL: dict[str, float | None] = dict.fromkeys(("C10", "C12.a", "C12.b"))


def draw(seed: int) -> Trip:
    """Two scans of 24 x 24 probes over all of 2 nm of amorphous carbon, which repeats with them, at a known change of defocus."""
    generator = np.random.default_rng(15_000 + seed)
    side, thickness = 24.0, 20.0
    film = random_film(generator, side, thickness)
    semiangle = float(generator.uniform(24e-3, 30e-3))
    c10, c12 = 60.0 * float(generator.standard_normal()), 25.0 * generator.standard_normal(2)
    camera = Pixelated((26, 26), pixel=2.6 * semiangle / 26)
    changes = (-120.0, 120.0)
    scans = [
        simulate(
            Sample.from_atoms(film, "amorphous carbon", cells=1, repeats=(1, 1), slice_thickness=5.0),
            Microscope(
                energy=200e3, semiangle=semiangle, aberrations={"C10": c10 + change, "C12a": float(c12[0]), "C12b": float(c12[1])}
            ),
            "4d-stem", scan=Scan((24, 24), fov=side), detectors=[camera], dose=float(10.0 ** generator.uniform(3.8, 4.6)), sampling=0.13,
            seed=seed + 1000 * number,
        )["data"].values
        for number, change in enumerate(changes)
    ]  # fmt: skip
    known = {
        "gain": 1.0, "pixel": camera.pixel, "step": side / 24, "energy": 200e3, "semiangle": semiangle, "changes": changes, "repeats": True,
        "error": {"C10": 100.0, "C12": 50.0, "C21": 300.0, "C23": 300.0, "C30": 3000.0}, "thickness": 20.0, "thickness_error": 10.0,
    }  # fmt: skip
    return Trip(scans, known, {"C10": c10, "C12.a": float(c12[0]), "C12.b": float(c12[1])})
