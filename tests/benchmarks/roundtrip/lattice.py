"""Simulated HAADF images of crystals into `measure("lattice")`: pixel sizes, shear, rotation."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip, structure
from twin import Annular, Microscope, Sample, Scan, simulate

PRINCIPAL: dict[str, float | None] = {"pixel_x": None, "pixel_y": None, "shear": None, "rotation": 0.5 * np.pi}


def draw(seed: int) -> Trip:
    """A scan of 7 to 14 cells of SrTiO3, Fe or MgO along [001] on unlike sides of a pixel, the pixel stated within its error of 5 %."""
    generator = np.random.default_rng(11_000 + seed)
    name = ("SrTiO3", "Fe", "MgO")[seed % 3]
    known = Sample.crystal(name) if name == "SrTiO3" else Sample.from_atoms(structure(name), name)
    sample = known.at(cells=int(generator.integers(8, 30)), thermal="absorptive")
    side = float(sample.atoms.cell.lengths()[0])
    cells, pixels = generator.uniform(7.0, 14.0), int(generator.choice([88, 112, 136]))
    pixel = cells * side / pixels * np.exp(0.01 * generator.standard_normal(2))
    microscope = Microscope(
        energy=float(generator.choice([120e3, 200e3, 300e3])),
        semiangle=float(generator.uniform(16e-3, 24e-3)),
        aberrations={"C10": float(generator.normal(0.0, 30.0))},
        source=float(generator.uniform(0.2, 0.5)),
    )
    scan = Scan((pixels, pixels), fov=(float(pixels * pixel[0]), float(pixels * pixel[1])))
    images = simulate(
        sample, microscope, "stem", scan=scan, detectors=[Annular(0.035, 0.06)],
        dose=float(10.0 ** generator.uniform(3.3, 5.0)), sampling=0.1, seed=seed,
    )  # fmt: skip
    stated = float(np.sqrt(pixel.prod()) * np.exp(0.05 * generator.standard_normal()))
    truth = {"pixel_x": float(pixel[0]), "pixel_y": float(pixel[1]), "shear": 0.0, "rotation": 0.0}
    return Trip(images["data"].values[0], {"structure": known, "pixel": stated, "pixel_error": 0.05}, truth)
