"""The discrepancy learns the amplitude it was drawn with, also beside parameters; inflation learns from checked numbers."""

import numpy as np
import pytest

from learn.discrepancy import AMPLITUDES, Inflation, prior_discrepancy
from twin.microscope import raster
from twin.records import Scan

POSITIONS = raster(Scan(shape=(12, 12), pixel=3.905 / 12)).reshape(-1, 2)
COUNT = len(POSITIONS)


def taught(true: float, slopes: np.ndarray, images: int, seed: int):
    """The posterior after ``images`` images with a field of amplitude ``true``, and parameters from the unit normal with ``slopes``."""
    generator = np.random.default_rng(seed)
    found = prior_discrepancy()
    root = np.linalg.cholesky(found.correlation(POSITIONS) + 1e-9 * np.eye(COUNT))
    expected = 1.0 + 0.5 * np.cos(2 * np.pi * POSITIONS[:, 0] / 3.905)
    noise = 4e-4 * expected
    for _ in range(images):
        field = true * expected * (root @ generator.standard_normal(COUNT))
        innovation = (
            field
            + slopes @ generator.standard_normal(slopes.shape[1])
            + np.sqrt(noise) * generator.standard_normal(COUNT)
        )
        found = found.learnt(POSITIONS, expected, innovation, slopes, noise)
    return found


@pytest.mark.parametrize("true", [0.022, 0.06, 0.19])
@pytest.mark.parametrize("parameters", [0, 6])
def test_it_learns_the_amplitude(true, parameters):
    """Beside parameters that explain much more of the image than the field does."""
    slopes = 0.3 * np.random.default_rng(5).standard_normal((COUNT, parameters)) if parameters else np.zeros((COUNT, 1))
    found = taught(true, slopes, 12, 1)
    assert found.images == 12
    assert found.weights.sum() == pytest.approx(1.0)
    assert true / 1.35 < found.amplitude < true * 1.35
    place = int(np.abs(AMPLITUDES - true).argmin())
    assert found.weights[max(place - 1, 0) : place + 2].sum() > 0.9
    assert found.above(true * 1.6) < 0.05
    assert found.above(true / 1.6) > 0.9


def test_a_model_without_discrepancy_teaches_a_small_one():
    slopes = np.random.default_rng(5).standard_normal((COUNT, 4))
    assert taught(1e-4, slopes, 8, 2).amplitude < 0.015 < prior_discrepancy().amplitude


def test_fields_have_the_stated_covariance():
    generator = np.random.default_rng(0)
    found = prior_discrepancy(amplitude=0.06, spread=0.3, length=0.9)
    fields = found.sample(POSITIONS, 20_000, generator)
    variance = found.variance
    np.testing.assert_allclose(np.cov(fields.T) / variance, found.correlation(POSITIONS), atol=0.06)
    np.testing.assert_allclose(found.covariance(POSITIONS), variance * found.correlation(POSITIONS))
    near = np.hypot(*(POSITIONS - POSITIONS[0]).T)
    np.testing.assert_allclose(found.correlation(POSITIONS)[0], np.exp(-0.5 * (near / 0.9) ** 2))
    # the amplitude's own uncertainty is in the tails
    assert (fields[:, 0] ** 4).mean() / (fields[:, 0] ** 2).mean() ** 2 > 3.15
    assert found.amplitude == pytest.approx(np.sqrt(found.weights @ AMPLITUDES**2))


@pytest.mark.parametrize("values", [(0.0, 0.3, 1.0), (0.05, -1.0, 1.0), (0.05, 0.3, 0.0)])
def test_what_is_no_prior(values):
    with pytest.raises(ValueError, match="must be positive"):
        prior_discrepancy(*values)


def test_inflation_follows_the_standardised_errors():
    generator = np.random.default_rng(0)
    right, wrong = Inflation(), Inflation()
    assert right.factor == 1.0
    for _ in range(200):
        errors = generator.standard_normal(9)
        right, wrong = right.learnt(errors), wrong.learnt(2.0 * errors)
    assert right.factor == pytest.approx(1.0, abs=0.05)
    assert 1.7 < wrong.factor < 2.0  # a single number counts for four sigmas at most
    assert Inflation().learnt(np.array([1e9])).factor == pytest.approx(np.sqrt((40 + 8.0) / 40.5))
    assert Inflation().learnt(np.zeros(0)).factor == 1.0
