"""Sparse probes: what lies between them is told as well as is said, and a Gaussian source belongs to it."""

import numpy as np
import pytest

from twin.scattering.sparse import axis, raster, sparsest

REACH = 1.7


def band(seed, reach=REACH, waves=60):
    """A random image without frequencies beyond ``reach``, power as an aperture leaves it; its place in x and y, blurred by ``source``."""
    drawn = np.random.default_rng(seed)
    g = reach * np.sqrt(drawn.uniform(0.0, 1.0, waves))
    azimuth, start = drawn.uniform(0.0, 2.0 * np.pi, waves), drawn.uniform(0.0, 2.0 * np.pi, waves)
    t = g / reach
    height = np.maximum(2.0 / np.pi * (np.arccos(t) - t * np.sqrt(1.0 - t**2)), 0.0)
    gx, gy = g * np.cos(azimuth), g * np.sin(azimuth)

    def image(x, y, source=0.0):
        angle = (
            2.0 * np.pi * (gx[:, None, None] * x[None, None, :] + gy[:, None, None] * y[None, :, None])
            + start[:, None, None]
        )
        return np.einsum("n,nyx->yx", height * np.exp(-2.0 * (np.pi * source * g) ** 2), np.cos(angle))

    return image


@pytest.mark.parametrize("spread", [3e-3, 3e-4])
@pytest.mark.parametrize("source", [0.0, 0.4])
def test_the_rest_of_an_image_follows(spread, source):
    """Images of the band's power, and a scan of no whole number of anything: errors are what the spread says, and there are far fewer probes."""
    x, y = np.linspace(0.3, 7.1, 90), np.linspace(-1.0, 3.2, 70)
    found = raster(x, y, REACH, source, spread)
    assert found is not None
    assert found.probes < 0.2 * len(x) * len(y)
    assert 0.0 < found.spread <= spread * (1 + 1e-9)
    errors = []
    for seed in range(40):
        image = band(seed)
        probed = image(found.x.at, found.y.at)
        told, true = found.image(probed.ravel()[None])[0], image(x, y, source)
        errors.append(np.abs(told - true).max() / probed.std())
    # the largest of a whole image, some 30 of them independent, is within a few of the worst place's standard deviations
    assert np.mean(errors) < 3.0 * spread
    assert np.max(errors) < 6.0 * spread


def test_a_band_that_is_wider_is_not_told():
    x = np.linspace(0.0, 5.0, 80)
    found = raster(x, x, REACH, 0.0, 1e-3)
    assert found is not None
    image = band(3, reach=1.5 * REACH)
    told = found.image(image(found.x.at, found.y.at).ravel()[None])[0]
    assert np.abs(told - image(x, x)).max() > 20e-3 * told.std()


def test_the_variance_is_that_of_the_process():
    """Against draws of the process itself along one axis, at probes too far apart to tell all."""
    at, wanted = np.linspace(0.0, 4.0, 12), np.linspace(0.5, 3.5, 41)
    found = axis(at, wanted, REACH)
    drawn = np.random.default_rng(2)
    g = np.linspace(0.0, REACH, 400)
    t = g / REACH
    power = (2.0 / np.pi * (np.arccos(t) - t * np.sqrt(1.0 - t**2))) ** 2
    power /= power.sum()
    both = np.concatenate([at, wanted])
    off = []
    for _ in range(3000):
        cosine, sine = drawn.standard_normal((2, len(g))) * np.sqrt(power)[None]
        angle = 2.0 * np.pi * both[:, None] * g[None, :]
        line = np.cos(angle) @ cosine + np.sin(angle) @ sine
        off.append(found.weights @ line[: len(at)] - line[len(at) :])
    assert np.mean(np.square(off), axis=0).max() == pytest.approx(found.variance, rel=0.1)
    assert found.variance > 1e-6


def test_no_more_probes_than_are_wanted():
    few = np.array([0.0, 1.0, 2.0])
    found = sparsest(few, REACH)
    assert found is not None
    np.testing.assert_array_equal(found.at, few)
    np.testing.assert_array_equal(found.weights, np.eye(3))
    assert sparsest(np.linspace(0.0, 3.0, 40), REACH, 0.0, 1e-9).variance == 0.0


def test_one_place_under_a_source():
    """Its value is the average of what lies around it."""
    found = raster(np.array([0.2]), np.array([0.1]), REACH, 0.5, 1e-3)
    assert found is not None
    assert found.probes > 9
    image = band(5)
    told = found.image(image(found.x.at, found.y.at).ravel()[None])
    true = image(np.array([0.2]), np.array([0.1]), 0.5)
    assert told.shape == (1, 1, 1)
    assert abs(told[0] - true)[0, 0] < 5e-3 * np.std(image(found.x.at, found.y.at))
