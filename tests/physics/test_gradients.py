"""Derivatives against central differences: in aberrations, tilt, thickness and atom positions, and their memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.aberrations import coefficients, index
from twin.electrons import wavelength
from twin.gram import GramModel, harmonics, image
from twin.multislice import band_limit, intensities, multislice, propagator, transmission
from twin.potentials import factors, frequencies, project
from twin.probe import aperture, probe
from twin.smatrix import build_gram
from twin.specimen import srtio3, srtio3_unit

ENERGY = 200e3
SHAPE = (64, 64)


@pytest.fixture(scope="module")
def detected():
    """Share of the beam in a ring, float64 throughout, as a function of all there is to differ in."""
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


@pytest.mark.parametrize("name,place,step", CASES)
def test_multislice_gradient(detected, name, place, step):
    share, start = detected
    gradient = jax.grad(share)(start)[name][place]
    ends = [share({**start, name: start[name].at[place].add(sign * step)}) for sign in (1.0, -1.0)]
    difference = (ends[0] - ends[1]) / (2.0 * step)
    assert abs(float(difference)) > 1e-10
    np.testing.assert_allclose(float(gradient), float(difference), rtol=1e-3)


def test_gradient_memory_grows_slowly_with_depth():
    """Four times as many slices need far less than four times the memory to go back through."""

    def memory(count):
        waves = jax.ShapeDtypeStruct((64, 64), jnp.complex64)
        stack = jax.ShapeDtypeStruct((count, 64, 64), jnp.complex64)

        def loss(wave, functions, kernel):
            return jnp.sum(jnp.abs(multislice(wave, functions, kernel)) ** 4)

        return (
            jax.jit(jax.grad(loss, argnums=2, holomorphic=False)).lower(waves, stack, waves).compile().memory_analysis()
        )

    few, many = memory(16).temp_size_in_bytes, memory(256).temp_size_in_bytes
    assert many < 8 * few


@pytest.fixture(scope="module")
def model() -> GramModel:
    return build_gram(
        srtio3_unit(),
        (2, 2),
        cells_z=4,
        depths=(2, 3, 4),
        tilt_step=5e-3,
        seeds=(0,),
        detector=(30e-3, 55e-3),
        gpts=64,
        degree=2,
    )


@pytest.mark.parametrize(
    "name,place,step",
    [
        *(
            ("aberrations", (index(one),), step)
            for one, step in [("C10", 2.0), ("C12a", 2.0), ("C21b", 60.0), ("C30", 3e3)]
        ),
        ("thickness", (), 0.2),
        ("tilt", (0,), 5e-4),
        ("tilt", (1,), 5e-4),
        ("focal_spread", (), 2.0),
        ("source", (), 0.02),
        ("position", (0,), 0.02),
        ("position", (1,), 0.02),
    ],
)
def test_gram_gradient(model, name, place, step):
    """The Gram model's derivatives against five-point differences; it is complex64 inside, so steps are not small."""

    def share(parameters):
        found = harmonics(
            model, parameters["aberrations"], parameters["thickness"], parameters["tilt"], parameters["focal_spread"]
        )
        return image(model, found, parameters["position"], parameters["source"])

    start = {
        "aberrations": jnp.asarray(coefficients({"C10": 25.0, "C12a": 12.0, "C12b": 5.0, "C21b": 200.0, "C30": 1e4})),
        "thickness": jnp.asarray(12.6),
        "tilt": jnp.asarray([2e-3, -1e-3]),
        "focal_spread": jnp.asarray(30.0),
        "source": jnp.asarray(0.4),
        "position": jnp.asarray([0.7, 0.5]),
    }
    at = {shift: share({**start, name: start[name].at[place].add(shift * step)}) for shift in (-2, -1, 1, 2)}
    difference = float(8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12.0 * step)
    gradient = float(jax.grad(share)(start)[name][place])
    np.testing.assert_allclose(gradient, difference, rtol=1e-3, atol=2e-7 * float(share(start)) / step)
    assert abs(gradient) * step > 1e-5 * float(share(start))
