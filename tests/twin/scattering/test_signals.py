"""Signals over positions, configurations and foci: averages do not depend on the batches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.optics.aberrations import coefficients
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture
from twin.optics.transfer import Imaging, focal_series
from twin.sample.specimen import srtio3
from twin.scattering.signals import exit_waves, hrtem, patterns, prepared, scanned

ENERGY, SHAPE = 200e3, (64, 60)
SPOTS = np.array([[0.0, 0.0], [1.1, 2.9], [3.3, 0.4], [5.1, 6.6], [7.0, 1.9]])
BEAM = Illumination(coefficients({"C10": 30.0, "C12a": 20.0}), ENERGY, 20e-3, focal_spread=25.0)
TILT = (3e-3, -5e-3)


@pytest.fixture(scope="module")
def stacks():
    specimen = srtio3((3, 3, 2))
    return [lambda seed=seed: specimen.slices(SHAPE, 4, specimen.displacements(seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def averaged(stacks):
    """Patterns [p, y, x] averaged by hand."""
    total = 0.0
    for make in stacks:
        ready = prepared(make(), ENERGY, TILT)
        window = aperture(SHAPE, ready.extent, ENERGY, 20e-3)
        for beam, weight in BEAM.foci(3):
            total = total + weight * np.asarray(patterns(SPOTS, beam, window, ready)) / len(stacks)
    return total


@pytest.mark.parametrize(
    "options", [{}, {"size": 2, "workers": 1}, {"size": 1, "workers": 2}, {"memory": 3_000_000, "workers": 2}]
)
def test_averages_do_not_depend_on_the_batches(stacks, averaged, options):
    assembled = np.zeros_like(averaged)
    visits = np.zeros(len(SPOTS), dtype=int)
    for part, values in scanned(stacks, BEAM, SPOTS, tilt=TILT, focal_nodes=3, **options):
        assembled[part] = values
        visits[part] += 1
    assert np.all(visits == 1)
    np.testing.assert_allclose(assembled, averaged, atol=1e-6 * averaged.max())
    shares = assembled.sum(axis=(1, 2))  # the rest was cut off by the band limit
    assert np.all((shares > 0.96) & (shares < 1.0 + 1e-5))


def test_scanning_resumes_at_a_position(stacks, averaged):
    parts = list(scanned(stacks, BEAM, SPOTS, tilt=TILT, focal_nodes=3, size=2, start=3))
    assert [part for part, _ in parts] == [slice(3, 5)]
    np.testing.assert_allclose(parts[0][1], averaged[3:], atol=1e-6 * averaged.max())
    assert list(scanned(stacks, BEAM, SPOTS, start=5)) == []


def test_reduction_before_averaging_is_the_same(stacks, averaged):
    weight = jnp.asarray(np.random.default_rng(0).uniform(size=SHAPE))
    reduced = [v for _, v in scanned(stacks, BEAM, SPOTS, lambda p: (p * weight[None]).sum(axis=(1, 2)), TILT, 3)]
    np.testing.assert_allclose(np.concatenate(reduced), (averaged * np.asarray(weight)).sum(axis=(1, 2)), rtol=1e-5)


def test_memory_that_does_not_do_and_probes_that_do_not_fit_are_refused(stacks):
    with pytest.raises(ValueError, match="memory bound"):
        next(scanned(stacks, BEAM, SPOTS, memory=100_000))
    defocused = eqx.tree_at(lambda light: light.coefficients, BEAM, jnp.asarray(coefficients({"C10": 2000.0})))
    with pytest.raises(ValueError, match="overlaps itself"):
        next(scanned(stacks, defocused, SPOTS))


def test_exit_waves_at_depths_and_images_of_them(stacks):
    waves = list(exit_waves(stacks, ENERGY, TILT, exits=(2, 4)))
    assert [wave.shape for wave in waves] == [(2, *SHAPE)] * 2
    all_waves = list(exit_waves(stacks, ENERGY, TILT))
    np.testing.assert_allclose(waves[0][1], all_waves[0][0], atol=1e-6)
    assert np.abs(waves[0][0] - waves[0][1]).max() > 0.1
    imaging = Imaging(coefficients({"C30": 1e4}), ENERGY, 15e-3, focal_spread=20.0)
    foci = np.array([-100.0, 50.0])
    images = hrtem(stacks, imaging, foci, TILT)
    extent = stacks[0]().extent
    series = [np.asarray(focal_series(jnp.asarray(wave[0]), extent, imaging, jnp.asarray(foci))) for wave in all_waves]
    np.testing.assert_allclose(images, np.mean(series, axis=0), atol=1e-6)
    with pytest.raises(ValueError, match="must rise"):
        next(exit_waves(stacks, ENERGY, exits=(3, 3)))


@pytest.mark.slow
def test_gradients_go_through_all_of_it(stacks):
    """In tilt and in defocus, against central differences, in float64."""
    slices = stacks[0]()
    window = aperture(SHAPE, slices.extent, ENERGY, 20e-3)
    ring = jnp.asarray(np.hypot(*np.meshgrid(np.fft.fftfreq(60), np.fft.fftfreq(64))) > 0.15)

    def loss(tilt, c10):
        ready = prepared(slices, ENERGY, tilt, jnp.complex128)
        beam = eqx.tree_at(lambda light: light.coefficients, BEAM, BEAM.coefficients.at[0].set(c10))
        return (patterns(SPOTS[:2], beam, window, ready) * ring[None]).sum()

    start = (jnp.asarray(TILT), jnp.asarray(30.0))
    gradient = jax.grad(loss, (0, 1))(*start)
    ends = [loss(start[0].at[0].add(sign * 1e-5), start[1]) for sign in (1, -1)]
    np.testing.assert_allclose(gradient[0][0], (ends[0] - ends[1]) / 2e-5, rtol=1e-4)
    ends = [loss(start[0], start[1] + sign * 1e-2) for sign in (1, -1)]
    np.testing.assert_allclose(gradient[1], (ends[0] - ends[1]) / 2e-2, rtol=1e-4)
