"""Simulated TEM images of a film into `measure("thon")`: defocus and astigmatism."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip, random_film
from twin import Microscope, Sample, simulate

PRINCIPAL: dict[str, float | None] = dict.fromkeys(("C10", "C12a", "C12b"))


def draw(seed: int) -> Trip:
    """A square of 384 points of 2 nm of amorphous carbon, half of which in each direction is recorded, so that it does not repeat; C10 at the film's middle."""
    generator = np.random.default_rng(14_000 + seed)
    side, thickness, count = 260.0, 20.0, 384
    film = random_film(generator, side, thickness, 0.07)
    energy = float(generator.choice([120e3, 200e3, 300e3]))
    c10 = float(generator.choice([-1.0, 1.0]) * generator.uniform(700.0, 3000.0))
    c12 = 120.0 * generator.standard_normal(2)
    c30 = float(generator.choice([0.0, 1.2e7, 2.7e7]))
    pixel = side / count
    image = simulate(
        Sample.from_atoms(film, "amorphous carbon", cells=1, repeats=(1, 1), slice_thickness=5.0, thermal="debye-waller", u2={"C": 0.01}),
        Microscope(
            energy=energy, aberrations={"C10": c10, "C12a": float(c12[0]), "C12b": float(c12[1]), "C30": c30},
            focal_spread=float(generator.uniform(15.0, 50.0)), convergence=1e-4,
        ),
        "hrtem", dose=float(10.0 ** generator.uniform(2.0, 3.3)), gpts=(count, count), seed=seed,
    )["data"].values  # fmt: skip
    part = image[:256, :256]
    # C10 of an image refers to the exit face; the film lies half of its thickness before it
    truth = {"C10": c10 + 0.5 * thickness, "C12a": float(c12[0]), "C12b": float(c12[1])}
    return Trip(part, {"pixel": pixel, "energy": energy, "spherical": c30, "gain": 1.0}, truth)
