"""A detected intensity as a function of everything there is to differ in, for comparing derivatives with differences."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twin.grid import band_limit, frequencies
from twin.optics.aberrations import coefficients, index
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe
from twin.sample.potentials import factors, project
from twin.sample.specimen import srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission

ENERGY = 200e3
SHAPE = (64, 64)


def detected() -> tuple[Callable[[dict[str, Array]], Array], dict[str, Array]]:
    """Share of the beam in a ring, float64 throughout, as a function of all there is to differ in, and where to differ."""
    specimen = srtio3((2, 2, 2))
    moved = specimen.positions + specimen.displacements(1)
    members, elements = specimen.members(4, specimen.displacements(1))
    table = factors(elements, SHAPE, specimen.extent)
    limit = band_limit(SHAPE, specimen.extent)
    kx, ky = frequencies(SHAPE, specimen.extent)
    angle = wavelength(ENERGY) * np.hypot(kx[None, :], ky[:, None])
    ring = jnp.asarray((angle > 30e-3) & (angle < 55e-3), jnp.float64)
    window = aperture(SHAPE, specimen.extent, ENERGY, 21.4e-3)

    @jax.jit
    def share(parameters):
        slices = project(jnp.asarray(moved) + parameters["displacements"], members, table, specimen.extent)
        functions = transmission(slices * parameters["occupancy"], ENERGY, limit)
        kernel = propagator(SHAPE, specimen.extent, ENERGY, parameters["spacing"], parameters["tilt"], jnp.complex128)
        wave = probe(parameters["aberrations"], parameters["position"], window, specimen.extent, ENERGY, jnp.complex128)
        return jnp.sum(intensities(multislice(wave, functions, kernel)) * ring)

    start = {
        "displacements": jnp.zeros_like(jnp.asarray(moved)),
        "occupancy": jnp.asarray(1.0),
        "spacing": jnp.asarray(3.905 / 2),
        "tilt": jnp.asarray([2e-3, -1e-3]),
        "aberrations": jnp.asarray(coefficients({"C10": 15.0, "C12a": 10.0, "C21b": 200.0, "C30": 1e4})),
        "position": jnp.asarray([0.7, 0.5]),
    }
    return share, start


CASES = [
    *(
        ("aberrations", (index(name),), step)
        for name, step in [("C10", 0.05), ("C12b", 0.05), ("C21a", 1.0), ("C30", 50.0)]
    ),
    ("tilt", (0,), 1e-5),
    ("tilt", (1,), 1e-5),
    ("spacing", (), 1e-4),
    ("occupancy", (), 1e-4),
    ("position", (0,), 1e-4),
    ("displacements", (0, 0), 1e-4),
    ("displacements", (1, 1), 1e-4),
]
"""Parameter, entry, and the step of its central difference."""


def slope_and_difference(
    share: Callable[[dict[str, Array]], Array], start: dict[str, Array], name: str, place: tuple[int, ...], step: float
) -> tuple[float, float]:
    """The derivative of ``share`` and its central difference."""
    gradient = jax.grad(share)(start)[name][place]
    ends = [share({**start, name: start[name].at[place].add(sign * step)}) for sign in (1.0, -1.0)]
    return float(gradient), float(ends[0] - ends[1]) / (2.0 * step)
