"""Simulated 4D-STEM scans of a film into `measure("rotation")`: the camera's rotation against the scan."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip, random_film
from twin import Microscope, Pixelated, Sample, Scan, simulate

PRINCIPAL: dict[str, float | None] = {"rotation": 2.0 * np.pi}


def draw(seed: int) -> Trip:
    """20 x 20 probes near focus over 2 nm of amorphous carbon on a camera of 40 pixels that is turned by any angle."""
    generator = np.random.default_rng(13_000 + seed)
    film = random_film(generator, 26.0, 20.0)
    semiangle = float(generator.uniform(15e-3, 25e-3))
    angle = float(generator.uniform(-np.pi, np.pi))
    camera = Pixelated((40, 40), pixel=2.6 * semiangle / 40, rotation=angle)
    step = float(generator.uniform(0.35, 0.6))
    scan = Scan((20, 20), fov=20 * step)
    patterns = simulate(
        Sample.from_atoms(film, "amorphous carbon", cells=1, repeats=(1, 1)),
        Microscope(energy=200e3, semiangle=semiangle, aberrations={"C10": float(generator.uniform(-60.0, 60.0))}),
        "4d-stem", scan=scan, detectors=[camera], dose=float(10.0 ** generator.uniform(3.7, 5.0)), sampling=0.13, seed=seed,
    )["data"].values  # fmt: skip
    # a vector of the scan appears on a camera that is turned by +angle turned by -angle
    return Trip(patterns, {"gain": 1.0, "step": step}, {"rotation": -angle})
