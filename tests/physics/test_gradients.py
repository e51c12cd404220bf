"""Derivatives against central differences: in aberrations, tilt, thickness and atom positions, and their memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.physics.checks.derivatives import BY_THERMAL, along, compiled, detected, slope_and_difference
from twin.optics.aberrations import coefficients, index
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import harmonics, image
from twin.scattering.multislice import multislice


@pytest.fixture(scope="module", params=["frozen", "absorptive"])
def case(request):
    """How u2 enters, the loss, the starting point, and the gradient there. An absorptive potential is damped too: Debye-Waller factors alone are
    compared in the benchmark and in the test of the potential's derivative.
    """
    loss, start = detected(request.param)
    return request.param, compiled(loss), start, compiled(jax.grad(loss))(start)


def test_every_gradient_is_its_difference(case):
    """Aberrations, tilt, thickness, positions of probe and atoms, occupancies, thermal amplitudes, detector and objective angles, source, coherence."""
    thermal, loss, start, gradient = case
    for name, position, step in BY_THERMAL[thermal]:
        slope, difference = slope_and_difference(loss, start, name, position, step, gradient)
        # a difference is limited by the rounding of its terms
        assert abs(slope - difference) < 1e-6 * abs(difference) + 1e-14 / step, (thermal, name, position)
        assert abs(slope) * step > 1e-10, (thermal, name, position)


def test_the_gradient_as_a_whole_is_its_difference(case):
    """Along a random direction of all parameters at once."""
    _, loss, start, gradient = case
    slope, difference = along(loss, start, gradient)
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_infinite_projection_does_not_depend_on_depth(case):
    thermal, _, _, gradient = case
    depth = float(jnp.abs(gradient["positions"][:, 2]).max())
    assert (depth > 1e-7) if thermal == "frozen" else (depth == 0.0)


def test_gradient_memory_does_not_grow_with_slices_times_waves():
    """Beyond inputs and outputs, only the intermediate waves of one batch are stored."""

    def memory(waves, slices):
        """Bytes in use at most beyond arguments and results."""
        shapes = [(waves, 64, 64), (slices, 64, 64), (64, 64)]
        arguments = [jax.ShapeDtypeStruct(shape, jnp.complex64) for shape in shapes]

        def loss(wave, functions, kernel):
            return jnp.sum(jnp.abs(multislice(wave, functions, kernel, size=1)) ** 4)

        analysis = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(*arguments).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    wave_bytes = 64 * 64 * 8
    assert memory(256, 32) - memory(32, 32) < 4 * (256 - 32) * wave_bytes
    assert memory(32, 256) - memory(32, 32) < 5 * (256 - 32) * wave_bytes


@pytest.fixture(scope="module")
def gram():
    """A detector's share by a Gram model, where to differ, and the gradient there; each compiled once."""
    model = build_gram(
        srtio3_unit(),
        (2, 2),
        cells_z=4,
        depths=(2, 3, 4),
        tilt_step=5e-3,
        seeds=(0,),
        untilted_seeds=(),
        detector=(30e-3, 55e-3),
        gpts=64,
        degree=2,
    )

    def share(parameters):
        spectrum = harmonics(
            model, parameters["aberrations"], parameters["thickness"], parameters["tilt"], parameters["focal_spread"]
        )
        return image(model, spectrum, parameters["position"], parameters["source"])

    start = {
        "aberrations": coefficients({"C10": 25.0, "C12a": 12.0, "C12b": 5.0, "C21b": 200.0, "C30": 1e4}),
        "thickness": 12.6,
        "tilt": [2e-3, -1e-3],
        "focal_spread": 30.0,
        "source": 0.4,
        "position": [0.7, 0.5],
    }
    start = {name: jnp.asarray(value, jnp.float64) for name, value in start.items()}
    return compiled(share), start, compiled(jax.grad(share))(start)


@pytest.mark.parametrize(
    "name,position,step",
    [
        *(
            ("aberrations", (index(name),), step)
            for name, step in [("C10", 2.0), ("C12a", 2.0), ("C21b", 60.0), ("C30", 3e3)]
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
def test_gram_gradient(gram, name, position, step):
    """The Gram model's derivatives against five-point differences; it is complex64 inside, so steps are not small."""
    share, start, slopes = gram
    at = {shift: share({**start, name: start[name].at[position].add(shift * step)}) for shift in (-2, -1, 1, 2)}
    difference = float(8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12.0 * step)
    gradient = float(slopes[name][position])
    np.testing.assert_allclose(gradient, difference, rtol=1e-3, atol=2e-7 * float(share(start)) / step)
    assert abs(gradient) * step > 1e-5 * float(share(start))
