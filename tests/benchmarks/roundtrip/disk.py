"""Simulated convergent-beam patterns into `measure("disk")`: radius, centre, ellipse, semi-angle."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip, structure
from twin import Microscope, Pixelated, Sample, simulate

PRINCIPAL: dict[str, float | None] = dict.fromkeys(
    ("radius", "centre_x", "centre_y", "ellipse_a", "ellipse_b", "semiangle")
)


def draw(seed: int) -> Trip:
    """A pattern of a crystal of 5 to 25 nm on a camera of 96 to 160 pixels, whose pixel is known to 0.5 %."""
    generator = np.random.default_rng(12_000 + seed)
    name = ("SrTiO3", "Si", "MgO")[seed % 3]
    sample = Sample.crystal(name) if name == "SrTiO3" else Sample.from_atoms(structure(name), name)
    sample = sample.at(thickness=float(generator.uniform(50.0, 250.0)), size=(44.0, 44.0), phonons=2, seed=seed)
    semiangle, pixels = float(generator.uniform(6e-3, 25e-3)), int(generator.choice([96, 128, 160]))
    pixel = semiangle / float(generator.uniform(0.16, 0.32) * pixels)
    x, y = (pixel * generator.uniform(-3.0, 3.0, 2)).tolist()
    camera = Pixelated((pixels, pixels), pixel=pixel, offset=(x, y))
    pattern = simulate(
        sample, Microscope(energy=200e3, semiangle=semiangle, aberrations={"C10": float(generator.normal(0.0, 50.0))}), "cbed",
        detectors=[camera], dose=float(10.0 ** generator.uniform(4.5, 6.5)), sampling=0.11, seed=seed,
    )["data"]  # fmt: skip
    # the direct beam's place from the coordinates of the camera, mrad
    centre = [float(np.interp(0.0, pattern[axis].values, np.arange(pixels))) for axis in ("theta_x", "theta_y")]
    truth = {
        "radius": semiangle / pixel, "centre_x": centre[0], "centre_y": centre[1], "ellipse_a": 0.0, "ellipse_b": 0.0, "semiangle": semiangle,
    }  # fmt: skip
    stated = pixel * float(np.exp(0.005 * generator.standard_normal()))
    return Trip(pattern.values, {"pixel": stated, "pixel_error": 0.005}, truth)
