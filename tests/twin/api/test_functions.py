"""Pure functions of the face: derivatives against finite differences, vmap, and float64 where it is needed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from twin import Annular, Microscope, Sample, cbed, diffraction, exit_wave, hrtem, ronchigram, stem, stem4d

SAMPLE = Sample.crystal("SrTiO3", cells=2, repeats=(2, 2))
PLANE = Microscope(energy=200e3, aperture=15e-3, focal_spread=20.0, convergence=2e-4)
PROBE = Microscope(energy=200e3, semiangle=12e-3)
GRID = {"gpts": (40, 40), "dtype": jnp.complex128}
SPOT = np.array([[1.0, 0.7]])
RINGS = [Annular(0.0, 0.012), Annular(0.02, 0.035)]


def _mean_angle(pattern: Array) -> Array:
    """A number that shifts and contrast of a pattern change."""
    weights = (
        jnp.sin(0.3 * jnp.arange(pattern.shape[-1]))[None, :] + jnp.cos(0.2 * jnp.arange(pattern.shape[-2]))[:, None]
    )
    return (pattern * weights).sum()


def _of_plane(signal: Callable[..., Array]) -> Callable[[Array], Array]:
    """A number from a plane-wave ``signal`` as a function of C10, tilt and thickness."""

    def number(at: Array) -> Array:
        return signal(SAMPLE, PLANE.at(C10=at[0], tilt=(at[1], 0.0)), thickness=at[2], **GRID)

    return number


PLANE_AT, PLANE_STEPS = (50.0, 2e-3, 5.0), (1e-2, 1e-6, 1e-4)
SIGNALS: dict[str, tuple[Callable[[Array], Array], tuple[float, ...], tuple[float, ...], tuple[str, ...]]] = {
    "hrtem": (
        _of_plane(lambda sample, lens, **more: hrtem(sample, lens, [30.0], **more).var()),
        PLANE_AT, PLANE_STEPS, ("C10", "tilt", "thickness"),
    ),
    "exit-wave": (
        _of_plane(lambda *known, **more: (jnp.abs(exit_wave(*known, **more)) ** 2).var()),
        PLANE_AT, PLANE_STEPS, ("", "tilt", "thickness"),
    ),
    "diffraction": (
        _of_plane(lambda *known, **more: _mean_angle(diffraction(*known, **more))),
        PLANE_AT, PLANE_STEPS, ("", "tilt", "thickness"),
    ),
    "cbed and ronchigram": (
        lambda at: _mean_angle(cbed(SAMPLE, PROBE.at(C10=at[1]), (at[0], 0.7), **GRID)),
        (1.0, 20.0), (1e-4, 1e-2), ("position", "C10"),
    ),
    "stem": (
        lambda at: stem(SAMPLE, PROBE.at(C12a=at[0]), jnp.stack([at[1], jnp.asarray(0.7)])[None], RINGS, **GRID)[0, 1],
        (15.0, 1.0), (1e-2, 1e-4), ("C12a", "position"),
    ),
    "4d-stem": (
        lambda at: _mean_angle(stem4d(SAMPLE, PROBE.at(C10=at[1]), SPOT, thickness=at[0], **GRID)[0]),
        (5.0, 20.0), (1e-4, 1e-2), ("thickness", "C10"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.slow
def test_gradients_are_those_of_finite_differences(name: str):
    """In every parameter on which the signal depends (an exit wave and a pattern of a plane wave do not on C10)."""
    function, at, steps, parameters = SIGNALS[name]
    with jax.enable_x64(True):
        start = jnp.asarray(at)
        value_and_slope = jax.jit(jax.value_and_grad(function))
        slope = np.asarray(value_and_slope(start)[1])
        for index, (parameter, step) in enumerate(zip(parameters, steps, strict=True)):
            ends = [float(value_and_slope(start.at[index].add(sign * step))[0]) for sign in (1.0, -1.0)]
            difference = (ends[0] - ends[1]) / (2.0 * step)
            assert (slope[index] != 0.0) == bool(parameter), parameter
            assert slope[index] == pytest.approx(difference, rel=1e-4), parameter


def test_a_ronchigram_is_the_pattern_of_a_probe():
    assert ronchigram is cbed


@pytest.mark.slow
def test_aberrations_and_positions_are_mapped_over():
    c10 = jnp.asarray([0.0, 30.0, 60.0])
    with jax.enable_x64(True):
        images = jax.vmap(lambda c: hrtem(SAMPLE, PLANE.at(C10=c), [0.0], **GRID)[0])(c10)
        one_by_one = [hrtem(SAMPLE, PLANE.at(C10=float(c)), [0.0], **GRID)[0] for c in c10]
        spots = jnp.asarray([[0.0, 0.0], [1.0, 0.7]])
        mapped = jax.vmap(lambda spot: stem(SAMPLE, PROBE, spot, RINGS, **GRID))(spots)
        together = stem(SAMPLE, PROBE, spots, RINGS, **GRID)
    np.testing.assert_allclose(images, one_by_one, rtol=1e-9)
    np.testing.assert_allclose(mapped, together, rtol=1e-9)


def test_a_focal_series_is_images_at_its_defoci():
    with jax.enable_x64(True):
        series = hrtem(SAMPLE, PLANE, [0.0, 40.0], **GRID)
        underfocused = hrtem(SAMPLE, PLANE.at(C10=-40.0), **GRID)
    np.testing.assert_allclose(series[1], underfocused[0], rtol=1e-9)


def test_the_whole_thickness_is_the_sample_without_one():
    with jax.enable_x64(True):
        part = hrtem(SAMPLE, PLANE, [30.0], thickness=2 * 3.905, **GRID)
        whole = hrtem(SAMPLE, PLANE, [30.0], **GRID)
        np.testing.assert_allclose(part, whole, rtol=1e-6)
        with pytest.raises(ValueError, match=r"sample is 7\.81 thick"):
            hrtem(SAMPLE, PLANE, thickness=9.0, **GRID)


@pytest.mark.parametrize("function", [hrtem, exit_wave, diffraction, cbed])
def test_without_float64_nothing_is_computed(function: Callable[..., Array]):
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        function(SAMPLE, PROBE)
