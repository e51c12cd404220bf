"""Scan jitter: against images at displaced positions, and its stated statistics."""

import jax.numpy as jnp
import numpy as np

from tests.small import CELL, small_microscope
from twin.detection import jitter
from twin.image.microscope import PARAMETERS, images, raster
from twin.records import Scan

SCAN = Scan(shape=(16, 16), pixel=CELL / 16)


def image(grid: np.ndarray) -> np.ndarray:
    point = np.zeros((1, len(PARAMETERS)))
    for name, value in (("C10", 30.0), ("thickness", 28.0), ("source", 0.35)):
        point[0, PARAMETERS.index(name)] = value
    return np.asarray(images(small_microscope(), jnp.asarray(point), jnp.asarray(grid), jnp.asarray(0.0)))[0]


def test_a_small_displacement_is_the_gradient_times_it():
    """Line by line displacements of 0.03 angstrom, against the image function at the displaced positions."""
    generator = np.random.default_rng(0)
    displacement = 0.03 * np.repeat(generator.standard_normal((16, 1, 2)), 16, axis=1).reshape(-1, 2)
    grid = raster(SCAN).reshape(-1, 2)
    plain = image(grid)
    exact = image(grid + displacement) - plain
    linear = (jitter.gradients(plain, SCAN) * displacement.T).sum(axis=0)
    inside = np.ones((16, 16), dtype=bool)
    inside[[0, -1]] = inside[:, [0, -1]] = False
    error = (exact - linear).reshape(16, 16)[inside]
    assert np.sqrt((error**2).mean()) < 0.2 * exact.reshape(16, 16)[inside].std()


def test_gradients_are_those_of_waves_of_four_and_eight_pixels():
    """Differences between neighbours give 0.64 and 0.90 of them; at the edges no neighbour is on one side."""
    pixels = np.arange(16)
    for period, share in ((4, 0.05), (8, 0.01)):
        wave = np.repeat(np.sin(2 * np.pi * pixels / period)[None, :], 16, axis=0)
        exact = 2 * np.pi / (period * SCAN.pixel) * np.cos(2 * np.pi * pixels / period)
        along_x, along_y = jitter.gradients(wave.reshape(-1), SCAN).reshape(2, 16, 16)
        assert np.abs(along_x - exact)[:, 4:-4].max() < share * np.abs(exact).max()
        assert np.abs(along_y).max() < 1e-12


def test_vibration_displaces_neighbouring_lines_alike():
    """Displacement of the next line predicted from this one, the mains' half known: a random walk of milliseconds would leave more."""
    correlation = jitter.correlation(SCAN)
    line = 16 * SCAN.dwell + SCAN.flyback
    vibration = 2.0 * correlation[0, 16] - np.cos(2 * np.pi * jitter.MAINS_FREQUENCY * line)
    lowest, highest = (np.cos(2 * np.pi * frequency * line) for frequency in (60.0, 5.0))
    assert lowest < vibration < highest
    assert vibration > 0.6


def test_the_covariance_is_that_of_the_samples():
    generator = np.random.default_rng(1)
    plain = image(raster(SCAN).reshape(-1, 2))
    samples = jitter.sample(np.repeat(plain[None], 20_000, axis=0), SCAN, generator)
    expected = jitter.covariance(plain, SCAN)
    assert np.abs(np.cov(samples.T) - expected).max() < 0.05 * expected.max()


def test_lines_are_torn_by_the_mains_and_pixels_of_a_line_are_not():
    correlation = jitter.correlation(SCAN)
    np.testing.assert_allclose(np.diag(correlation), 1.0)
    assert np.linalg.eigvalsh(correlation).min() > -1e-9
    times = jitter.pixel_times(SCAN)
    line = 16 * SCAN.dwell + SCAN.flyback
    np.testing.assert_allclose(times[16] - times[0], line)
    assert correlation[0, 1] > 0.95
    period = 0.02 / line  # in lines
    near, half, whole = (round(lines) * 16 for lines in (1, period / 2, period))
    assert correlation[0, half] < correlation[0, near] < correlation[0, 1]
    assert correlation[0, half] < -0.2 < 0.2 < correlation[0, whole]


def test_a_single_line_or_pixel_has_no_gradient_across():
    line = Scan(shape=(1, 8), pixel=0.2)
    values = np.arange(8.0)
    np.testing.assert_allclose(jitter.gradients(values, line), [np.full(8, 5.0), np.zeros(8)])
    assert jitter.gradients(np.ones((3, 1)), Scan(shape=(1, 1))).shape == (2, 3, 1)
