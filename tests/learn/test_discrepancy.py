"""The discrepancy posterior recovers amplitude, length and jitter, also with free parameters; inflation from checked numbers."""

import numpy as np
import pytest

from learn.discrepancy.field import AMPLITUDES, JITTERS, LENGTHS, Discrepancy, Inflation
from twin.detection import jitter
from twin.image.microscope import raster
from twin.records import Scan

SCAN = Scan(shape=(12, 12), pixel=3.905 / 12)
POSITIONS = raster(SCAN).reshape(-1, 2)
COUNT = len(POSITIONS)
IMAGE = 1.0 + 0.5 * np.cos(2 * np.pi * POSITIONS[:, 0] / 3.905) + 0.4 * np.cos(4 * np.pi * POSITIONS[:, 1] / 3.905)


def certain(amplitude: float, length: float, size: float) -> Discrepancy:
    """All belief on one point of the grid."""
    weights = np.full((len(AMPLITUDES), len(LENGTHS), len(JITTERS)), -1e3)
    weights[np.abs(AMPLITUDES - amplitude).argmin(), LENGTHS.tolist().index(length), JITTERS.tolist().index(size)] = 0.0
    return Discrepancy(weights)


def taught(true: Discrepancy, slopes: np.ndarray, images: int, seed: int) -> Discrepancy:
    """The posterior after ``images`` images with errors drawn from ``true``, and parameters from the unit normal with ``slopes``."""
    generator = np.random.default_rng(seed)
    discrepancy = Discrepancy.prior()
    noise = 4e-4 * IMAGE
    for _ in range(images):
        innovation = (
            true.sample(IMAGE[None], SCAN, generator)[0]
            + slopes @ generator.standard_normal(slopes.shape[1])
            + np.sqrt(noise) * generator.standard_normal(COUNT)
        )
        discrepancy = discrepancy.update(SCAN, IMAGE, innovation, slopes, noise)
    return discrepancy


@pytest.mark.parametrize("true", [0.022, 0.06, 0.19])
@pytest.mark.parametrize("parameters", [0, 6])
def test_it_learns_the_amplitude(true, parameters):
    """Beside parameters that explain much more of the image than the field does."""
    slopes = 0.3 * np.random.default_rng(5).standard_normal((COUNT, parameters)) if parameters else np.zeros((COUNT, 1))
    discrepancy = taught(certain(true, 1.2, 0.003), slopes, 12, 1)
    assert discrepancy.images == 12
    assert discrepancy.weights.sum() == pytest.approx(1.0)
    assert true / 1.35 < discrepancy.amplitude < true * 1.35
    index = int(np.abs(AMPLITUDES - true).argmin())
    assert discrepancy.weights[max(index - 1, 0) : index + 2].sum() > 0.9
    assert discrepancy.above(true * 1.6) < 0.05
    assert discrepancy.above(true / 1.6) > 0.9


@pytest.mark.parametrize(("length", "size"), [(0.6, 0.003), (1.2, 0.003), (1.2, 0.06), (0.6, 0.06)])
def test_a_wrong_model_is_distinguished_from_jitter(length, size):
    """Length and jitter are found, and a probe that shakes is not taken for a wrong model."""
    discrepancy = taught(certain(0.045, length, size), np.zeros((COUNT, 1)), 12, 3)
    assert discrepancy.weights.sum(axis=(0, 2))[LENGTHS.tolist().index(length)] > 0.9
    assert discrepancy.jitter == pytest.approx(size, abs=0.015)
    assert discrepancy.amplitude == pytest.approx(0.045, rel=0.35)


def test_without_discrepancy_the_posterior_is_small():
    slopes = np.random.default_rng(5).standard_normal((COUNT, 4))
    discrepancy = taught(certain(0.01, 1.2, 0.003), slopes, 8, 2)
    assert discrepancy.amplitude < 0.018 < Discrepancy.prior().amplitude
    assert discrepancy.jitter < 0.02 < Discrepancy.prior().jitter


def test_errors_have_the_stated_covariance():
    generator = np.random.default_rng(0)
    discrepancy = certain(0.06, 0.6, 0.03)
    drawn = discrepancy.sample(np.repeat(IMAGE[None], 30_000, axis=0), SCAN, generator)
    expected = discrepancy.covariance(IMAGE, SCAN)
    assert np.abs(np.cov(drawn.T) - expected).max() < 0.05 * expected.max()
    near = np.hypot(*(POSITIONS - POSITIONS[0]).T)
    field = 0.06**2 * IMAGE * np.exp(-0.5 * (near / 0.6) ** 2) * IMAGE[0]
    np.testing.assert_allclose(expected[0], field + 0.03**2 * jitter.covariance(IMAGE, SCAN)[0], rtol=1e-9)
    assert discrepancy.amplitude == pytest.approx(0.06)
    assert discrepancy.jitter == pytest.approx(0.03)
    wider = discrepancy.covariance(IMAGE, SCAN, amplitude=0.12)
    np.testing.assert_allclose(wider[0] - expected[0], 3 * field, rtol=1e-9, atol=1e-12)


def test_its_own_uncertainty_is_in_the_tails():
    drawn = Discrepancy.prior().sample(np.ones((20_000, COUNT)), SCAN, np.random.default_rng(0))
    assert (drawn[:, 0] ** 4).mean() / (drawn[:, 0] ** 2).mean() ** 2 > 3.3
    assert drawn[:, 0].std() == pytest.approx(Discrepancy.prior().amplitude, rel=0.05)


@pytest.mark.parametrize("values", [(0.0, 0.3, 0.03, 0.7), (0.05, -1.0, 0.03, 0.7), (0.05, 0.3, 0.0, 0.7)])
def test_what_is_no_prior(values):
    with pytest.raises(ValueError, match="must be positive"):
        Discrepancy.prior(*values)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"innovation": np.zeros(3)}, r"innovation has shape \(3,\)"),
        ({"slopes": np.zeros(COUNT)}, "slopes has shape"),
        ({"expected": np.full(COUNT, np.nan)}, "expected is not finite"),
        ({"noise": np.zeros(COUNT)}, "noise is not finite and above 0"),
    ],
)
def test_what_is_no_image_of_the_scan(changed, words):
    image = {
        "expected": np.ones(COUNT),
        "innovation": np.zeros(COUNT),
        "slopes": np.zeros((COUNT, 2)),
        "noise": np.ones(COUNT),
    }
    with pytest.raises(ValueError, match=words):
        Discrepancy.prior().update(SCAN, **{**image, **changed})
    assert "jitter" in Discrepancy.prior().update(SCAN, **image)._repr_html_()


def test_inflation_follows_the_standardised_errors():
    generator = np.random.default_rng(0)
    right, wrong = Inflation(), Inflation()
    assert right.factor == 1.0
    for _ in range(200):
        errors = generator.standard_normal(9)
        right, wrong = right.update(errors), wrong.update(2.0 * errors)
    assert right.factor == pytest.approx(1.0, abs=0.05)
    assert 1.7 < wrong.factor < 2.0  # a single number counts for four sigmas at most
    assert Inflation().update(np.array([1e9])).factor == pytest.approx(np.sqrt((40 + 8.0) / 40.5))
    assert Inflation().update(np.zeros(0)).factor == 1.0
    assert Inflation().update(np.zeros(100)).factor == 1.0  # no licence to be surer than the model says
