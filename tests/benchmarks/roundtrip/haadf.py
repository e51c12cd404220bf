"""Simulated HAADF images of SrTiO3 with frozen phonons into `measure("haadf")`: defocus, astigmatism, source, pixels."""

import numpy as np

from tests.benchmarks.roundtrip.trip import Trip
from twin import Annular, Microscope, Sample, Scan, simulate

PRINCIPAL: dict[str, float | None] = {
    "C10": None, "C12a": None, "C12b": None, "source": None, "thickness": None, "pixel_x": None, "pixel_y": None,
}  # fmt: skip
SETTINGS = (
    (300e3, 19.3e-3, (0.041, 0.068), 9),
    (120e3, 23.7e-3, (0.052, 0.079), 7),
    (200e3, 25.1e-3, (0.047, 0.073), 8),
)
"""Energy in eV, semi-angle and detector angles in radian, cells of stated thickness: few, as each needs a Gram model."""
PERIOD = 3.905


def draw(seed: int) -> Trip:
    """A scan of 4.2 to 6 cells, 1e4 to 1e5 electrons per square angstrom, optics out of the widths that are told."""
    generator = np.random.default_rng(13_000 + seed)
    energy, semiangle, detector, cells = SETTINGS[seed % len(SETTINGS)]
    c10, c12a, c12b = (float(width * generator.standard_normal()) for width in (30.0, 10.0, 10.0))
    true_cells = cells + int(generator.integers(-1, 2))
    sample = Sample.crystal("SrTiO3", cells=true_cells, phonons=4, size=(11.7, 11.7), seed=seed)
    source = float(generator.uniform(0.25, 0.5))
    microscope = Microscope(
        energy=energy, semiangle=semiangle, aberrations={"C10": c10, "C12a": c12a, "C12b": c12b}, source=source, focal_spread=18.0
    )  # fmt: skip
    pixels = int(generator.choice([54, 58, 62]))
    pixel = generator.uniform(4.2, 6.0) * PERIOD / pixels * np.exp(0.002 * generator.standard_normal(2))
    images = simulate(
        sample, microscope, "stem", scan=Scan((pixels, pixels), fov=(float(pixels * pixel[0]), float(pixels * pixel[1]))),
        detectors=[Annular(*detector)], dose=float(10.0 ** generator.uniform(4.0, 5.0)), seed=seed,
    )  # fmt: skip
    known = {
        "frame": 0, "pixel": float(np.sqrt(pixel.prod()) * np.exp(0.01 * generator.standard_normal())), "thickness": cells * PERIOD,
        "thickness_error": 3.0, "c10_error": 30.0, "astigmatism": 10.0, "source": source * float(np.exp(0.2 * generator.standard_normal())),
    }  # fmt: skip
    truth = {
        "C10": c10, "C12a": c12a, "C12b": c12b, "source": source, "thickness": true_cells * PERIOD,
        "pixel_x": float(pixel[0]), "pixel_y": float(pixel[1]),
    }  # fmt: skip
    return Trip(images, known, truth)
