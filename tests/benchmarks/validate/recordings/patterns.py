"""Diffraction patterns: spots of a known crystal, with frequencies or angles for axes, and bright-field disks over or beside a crystal."""

import numpy as np

from reconstruct.validation.data.diffraction.patterns import RADIUS_ERROR
from reconstruct.validation.data.diffraction.spots import DISTORTION
from reconstruct.validation.data.options import CELL_ERROR, Known
from tests.benchmarks.spoiled.lattice import crystals
from tests.benchmarks.validate.recordings.made import Made
from tests.synthetic.diffraction_patterns import Drawn, pattern_of
from tests.synthetic.disks import pattern
from twin.optics.electrons import wavelength

PIXELS = 160
CAMERA = 14e4
"""Angstrom: side of the camera's pixels."""


def spots(seed: int, angles: bool = False) -> Made:
    """Spots of one of three crystals; the cell and the projector are off by the errors that are assumed. ``angles``: axes in radian."""
    generator = np.random.default_rng([seed, 53])
    crystal = crystals()[seed % 3]
    tension = float(generator.choice([80e3, 200e3, 300e3]))
    pixel = float(generator.uniform(0.016, 0.026))
    cell = 1.0 + CELL_ERROR * generator.standard_normal()
    seen = pixel * cell * (1.0 + DISTORTION * generator.standard_normal(2))
    drawn = Drawn(
        crystal.drawn, (PIXELS, PIXELS), (float(seen[0]), float(seen[1])), float(generator.uniform(-np.pi, np.pi)),
        tuple(generator.uniform(-8.0, 8.0, 2)), electrons=float(np.exp(generator.uniform(np.log(1e5), np.log(1e7)))),
        background=float(generator.uniform(0.1, 0.5)), width=float(generator.uniform(0.9, 1.6)),
    )  # fmt: skip
    length = float(CAMERA / (wavelength(tension) * pixel))
    values = {"high_tension": tension, "camera_length": length, "C10": 0.0, "exposure": 0.2, "stage.alpha": 0.05}
    if angles:
        values |= dict.fromkeys(("pixel.angle.x", "pixel.angle.y"), pixel * float(wavelength(tension)))
    else:
        values |= dict.fromkeys(("pixel.kx", "pixel.ky"), pixel)
    known = Known(crystal.known["structure"], crystal.known["zone"], crystal.known.get("x"))
    return Made("disk" if angles else "pattern", pattern_of(drawn, seed), values, known)


def disk(seed: int) -> Made:
    """A bright-field disk of known semi-angle; its radius is off by the error that is assumed besides counting."""
    generator = np.random.default_rng([seed, 54])
    drawn = pattern(seed, 128, 0.5 * (seed % 2))
    semiangle = float(generator.uniform(0.008, 0.035))
    pixel = semiangle / float(drawn.truth[0]) * float(1.0 + RADIUS_ERROR * generator.standard_normal())
    values = {
        "high_tension": 200e3, "convergence_semiangle": semiangle, "pixel.angle.x": pixel, "pixel.angle.y": pixel, "camera_length": 1e9, "C10": 0.0,
    }  # fmt: skip
    return Made("disk", np.asarray(drawn.counts), values)
