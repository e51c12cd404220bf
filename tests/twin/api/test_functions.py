"""Pure functions of the face: derivatives against finite differences, vmap, and float64 where it is needed."""

from collections.abc import Callable
from typing import Any

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


def _tilted(microscope: Microscope, x: Array) -> Microscope:
    return microscope.at(tilt=(x, 0.0))


def _mean_angle(pattern: Array) -> Array:
    """A number that shifts and contrast of a pattern change."""
    weights = (
        jnp.sin(0.3 * jnp.arange(pattern.shape[-1]))[None, :] + jnp.cos(0.2 * jnp.arange(pattern.shape[-2]))[:, None]
    )
    return (pattern * weights).sum()


CASES: dict[str, tuple[Callable[[Any], Array], float, float]] = {
    "hrtem in C10": (lambda c: hrtem(SAMPLE, PLANE.at(C10=c), [0.0], **GRID).var(), 50.0, 1e-2),
    "hrtem in tilt": (lambda t: hrtem(SAMPLE, _tilted(PLANE, t), [30.0], **GRID).var(), 2e-3, 1e-6),
    "hrtem in thickness": (lambda h: hrtem(SAMPLE, PLANE, [30.0], thickness=h, **GRID).var(), 5.0, 1e-4),
    "exit-wave in thickness": (lambda h: (jnp.abs(exit_wave(SAMPLE, PLANE, thickness=h, **GRID)) ** 2).var(), 5.0, 1e-4),
    "diffraction in thickness": (lambda h: _mean_angle(diffraction(SAMPLE, PLANE, thickness=h, **GRID)), 5.0, 1e-4),
    "diffraction in tilt": (lambda t: _mean_angle(diffraction(SAMPLE, _tilted(PLANE, t), **GRID)), 2e-3, 1e-6),
    "cbed in position": (lambda x: _mean_angle(cbed(SAMPLE, PROBE, (x, 0.7), **GRID)), 1.0, 1e-4),
    "ronchigram in C10": (lambda c: _mean_angle(ronchigram(SAMPLE, PROBE.at(C10=c), (1.0, 0.7), **GRID)), 20.0, 1e-2),
    "stem in C12a": (lambda c: stem(SAMPLE, PROBE.at(C12a=c), SPOT, RINGS, **GRID)[0, 1], 15.0, 1e-2),
    "4d-stem in thickness": (lambda h: _mean_angle(stem4d(SAMPLE, PROBE, SPOT, thickness=h, **GRID)[0]), 5.0, 1e-4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name: str):
    function, at, step = CASES[name]
    with jax.enable_x64(True):
        value = jax.jit(function)
        slope = float(jax.jit(jax.grad(function))(at))
        expected = float(value(at + step) - value(at - step)) / (2.0 * step)
    assert slope != 0.0
    assert slope == pytest.approx(expected, rel=1e-4)


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
