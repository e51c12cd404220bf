"""Images of a plane wave from scattering matrices against multislice of that wave, and their derivatives."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from learn.feasibility.hypotheses import Change, hypotheses_of
from learn.feasibility.imaged import imaged
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Unknown, signatures_of
from learn.feasibility.scans import window_of
from learn.information import classical_distance
from twin.grid import band_limit
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging, focal_series
from twin.sample.specimen import srtio3
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.stem.by_probes import OVERSAMPLING

GRID = Grid((72, 72), 8, 200e3, 10e-3, 60e-3, (1, 2), before=2)
CELLS = (2, 2, 4)
LENS = Imaging(coefficients({"C10": -60.0}), 200e3, 30e-3, focal_spread=20.0)
HYPOTHESES = hypotheses_of(srtio3((1, 1, 1)), CELLS, Change("substitution", "Sr", "La", depth=0.0))
WINDOW = window_of(HYPOTHESES.location, (3.905, 3.905), 0.3)


@functools.cache
def matrices() -> tuple[Matrices, Matrices]:
    return matrices_of(HYPOTHESES.perfect, GRID), matrices_of(HYPOTHESES.changed[0], GRID)


def multislice_image(specimen, slices: int = 8) -> np.ndarray:
    """The mean image [72, 72] of both configurations behind the first ``slices``."""
    kernel = propagator(GRID.gpts, specimen.extent, GRID.energy, specimen.thickness / GRID.slices)
    images = []
    for seed in GRID.seeds:
        stack = specimen.slices(GRID.gpts, GRID.slices, specimen.displacements(seed)).array
        functions = transmission(jnp.asarray(stack), GRID.energy, band_limit(GRID.gpts, specimen.extent), OVERSAMPLING)
        wave = multislice(jnp.ones(GRID.gpts, jnp.complex64), functions[:slices], kernel)
        images.append(focal_series(wave, specimen.extent, LENS, jnp.zeros(1))[0])
    return np.mean(images, axis=0)


@pytest.mark.slow
def test_images_are_those_of_multislice_around_the_place() -> None:
    perfect, changed = matrices()
    seen = imaged(perfect, [changed], WINDOW, LENS)
    assert seen.window.shape == (36, 36)
    for image, specimen in ((seen.rates, HYPOTHESES.perfect), (seen.changed[0], HYPOTHESES.changed[0])):
        whole = multislice_image(specimen)
        # the changed column is in the corner between the four cells: the window wraps to the pixels about it
        rows = np.arange(36) - 18 + 36
        np.testing.assert_allclose(image.reshape(36, 36), whole[np.ix_(rows, rows)], atol=2e-3)
    difference = np.abs(seen.changed[0] - seen.rates).reshape(36, 36)
    assert difference[12:24, 12:24].mean() > 2.0 * difference[[0, 1, -2, -1]].mean()


def test_derivatives_are_differences() -> None:
    perfect, changed = matrices()
    seen = imaged(perfect, [changed], WINDOW, LENS)
    steps = [
        imaged(
            perfect, [changed], WINDOW, Imaging(coefficients({"C10": -60.0 + step}), 200e3, 30e-3, focal_spread=20.0)
        )
        for step in (2.0, -2.0)
    ]
    np.testing.assert_allclose(seen.derivatives["C10"], (steps[0].rates - steps[1].rates) / 4.0, atol=2e-4)
    whole = multislice_image(HYPOTHESES.perfect)
    pixel = 2 * 3.905 / 72
    rows = np.arange(36) + 18
    moved = (np.roll(whole, 1, 1) - np.roll(whole, -1, 1))[np.ix_(rows, rows)] / (2.0 * pixel)
    assert np.corrcoef(seen.derivatives["x"].ravel(), moved.ravel())[0, 1] > 0.99
    thinner = multislice_image(HYPOTHESES.perfect, 6)
    expected = (whole - thinner)[np.ix_(rows, rows)] / perfect.step
    np.testing.assert_allclose(seen.derivatives["thickness"].reshape(36, 36), expected, atol=2e-3)
    assert seen.halves is not None
    np.testing.assert_allclose(seen.halves.mean(0)[0], seen.changed[0] - seen.rates, atol=1e-6)


def test_an_image_tells_no_more_than_the_exit_wave() -> None:
    perfect, changed = matrices()
    field = perfect.extent[0] * perfect.extent[1]
    # all of the field, so that no electron is elsewhere
    everything = window_of(HYPOTHESES.location, perfect.extent, 0.3)
    seen = imaged(perfect, [changed], everything, LENS)
    pixels = len(seen.rates)
    told = classical_distance(seen.rates.T / pixels, seen.changed[0].T / pixels)
    assert 0.0 < told < seen.quantum[0]
    assert imaged(perfect, [changed], WINDOW, LENS).quantum[0] == seen.quantum[0] * field / WINDOW.area
    (signature,), _ = signatures_of(seen, Detector(np.ones((1, 1))), Unknown({"C10": 20.0}, {}, 0.02))
    assert 0.8 < signature.rates.sum() <= 1.0
