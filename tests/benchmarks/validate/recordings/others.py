"""Amorphous films, 4D-STEM scans and spectra, by makers that share no code with the estimators."""

import numpy as np

from reconstruct.validation.data.films import FLOOR
from reconstruct.validation.data.options import AMORPHOUS, Known
from tests.benchmarks.validate.recordings.made import Made
from tests.synthetic.energy_losses import Axes, core_loss, low_loss
from tests.synthetic.films import ENERGY, film
from tests.synthetic.scans4d import scanned


def rings(seed: int) -> Made:
    """An image of an amorphous film by a lens with spherical aberration, which tells the sign of its defocus from the rings alone; the film lies off the plane
    of the specimen by the error that is assumed."""
    drawn = film(seed, 256, c30=1.2e7, dose=400.0)
    off_plane = FLOOR * float(np.random.default_rng([seed, 59]).standard_normal())
    values = {
        "high_tension": ENERGY, "pixel.x": drawn.pixel, "pixel.y": drawn.pixel, "C10": float(drawn.truth[0]) + off_plane, "spherical_aberration": drawn.c30,
        "exposure": 1.0,
    }  # fmt: skip
    return Made("image", drawn.image, values, Known(AMORPHOUS))


def scan(seed: int) -> Made:
    """A 4D-STEM scan of a thin object whose camera is turned, without a mirror."""
    number = seed
    drawn = scanned(number)
    while drawn.flip:
        number += 100_000
        drawn = scanned(number)
    values = {
        "high_tension": 200e3, "pixel.x": 0.4, "pixel.y": 0.4, "pixel.angle.x": 1.5e-3, "pixel.angle.y": 1.5e-3,
        "pattern_rotation": drawn.rotation, "dwell": 1e-3,
    }  # fmt: skip
    return Made("scan", drawn.patterns, values)


def core(seed: int) -> Made:
    """A spectrum of SrTiO3 with the Ti L and O K edges."""
    generator = np.random.default_rng([seed, 57])
    axis = Axes(
        0.5 * float(np.exp(0.05 * generator.standard_normal())), 350.0 + 10.0 * float(generator.standard_normal())
    )
    counts = core_loss(("Ti", "O"), axis, seed, shift=1.2)
    values = {
        "high_tension": 200e3,
        "dispersion": axis.dispersion,
        "energy_offset": axis.offset,
        "collection_semiangle": 0.03,
        "exposure": 0.1,
    }
    return Made("spectrum", counts, values, Known("SrTiO3"))


def low(seed: int) -> Made:
    """A spectrum with its zero loss."""
    generator = np.random.default_rng([seed, 58])
    axis = Axes(0.05, -5.0 + float(generator.standard_normal()))
    counts = low_loss(axis, seed)
    values = {
        "high_tension": 200e3,
        "dispersion": axis.dispersion,
        "energy_offset": axis.offset,
        "collection_semiangle": 0.03,
        "exposure": 0.1,
    }
    return Made("spectrum", counts, values)
