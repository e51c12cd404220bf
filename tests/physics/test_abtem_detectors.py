"""abTEM's annular, segmented and flexible detectors on the same waves, in double precision; hard edges, which is how abTEM defines them."""

import abtem
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.detectors import Annular, Segmented, detect
from twin.detection.pixelated import crop
from twin.detection.radial import integrate, radial_bins
from twin.grid import band_limit, frequencies
from twin.optics.electrons import wavelength
from twin.scattering.multislice import intensities

ENERGY = 200e3
LENGTH = wavelength(ENERGY)
SHAPE, EXTENT = (96, 80), (15.3, 17.9)
KX, KY = (each.reshape(form) for each, form in zip(frequencies(SHAPE, EXTENT), ((1, 80), (96, 1)), strict=True))


@pytest.fixture(scope="module")
def waves() -> np.ndarray:
    """Two random band-limited waves [2, ny, nx] whose diffraction patterns have no symmetry, total intensity 1."""
    random = np.random.default_rng(0)
    beams = random.standard_normal((2, *SHAPE)) + 1j * random.standard_normal((2, *SHAPE))
    beams *= band_limit(SHAPE, EXTENT) * np.exp(-np.hypot(KX, KY) / 0.8)
    beams /= np.sqrt((np.abs(beams) ** 2).sum((-2, -1), keepdims=True))
    return np.fft.ifft2(beams) * beams[0].size


@pytest.fixture(scope="module")
def patterns(waves):
    return intensities(jnp.asarray(waves))


def by_abtem(waves: np.ndarray, detector) -> np.ndarray:
    with abtem.config.set({"precision": "float64", "device": "cpu", "fft": "numpy"}):
        signals = []
        for wave in waves:
            array = np.ascontiguousarray(wave.T)
            exit_wave = abtem.Waves(array, energy=ENERGY, extent=EXTENT, reciprocal_space=False)
            signals.append(np.asarray(detector.detect(exit_wave).array))
        return np.stack(signals)


def scale(waves: np.ndarray) -> float:
    """abTEM's total for a wave whose intensity is 1 here."""
    return float(by_abtem(waves[:1], abtem.PixelatedDetector(max_angle="full")).sum())


@pytest.mark.smoke
def test_annular(waves, patterns):
    for inner, outer in ((0.0, 20.0), (13.7, 31.2), (30.0, 41.0)):
        expected = by_abtem(waves, abtem.AnnularDetector(inner, outer)) / scale(waves)
        computed = detect(patterns, Annular(inner * 1e-3, outer * 1e-3).weights(KX, KY, LENGTH))
        np.testing.assert_allclose(computed, expected, rtol=1e-9)


def test_annular_off_centre(waves, patterns):
    """abTEM moves its mask by whole pixels: an offset that is one."""
    offset = (3 * LENGTH / EXTENT[0], -2 * LENGTH / EXTENT[1])
    expected = by_abtem(waves, abtem.AnnularDetector(8.0, 25.3, offset=(1e3 * offset[0], 1e3 * offset[1])))
    computed = detect(patterns, Annular(8e-3, 25.3e-3, offset=offset).weights(KX, KY, LENGTH))
    np.testing.assert_allclose(computed, expected / scale(waves), rtol=1e-9)


@pytest.mark.parametrize("rings,sectors,rotation", [(2, 4, 0.3), (1, 4, -0.77), (3, 6, 0.1)])
def test_segmented(waves, patterns, rings, sectors, rotation):
    """abTEM's arrays are [x, y] and its azimuth runs from x to y as ours; its rotation, documented in mrad, is used in radian."""
    detector = abtem.SegmentedDetector(rings, sectors, inner=7.3, outer=32.9, rotation=rotation)
    expected = by_abtem(waves, detector).reshape(2, rings, sectors) / scale(waves)
    radii = tuple(np.linspace(7.3e-3, 32.9e-3, rings + 1).tolist())
    computed = detect(patterns, Segmented(radii, sectors, rotation).weights(KX, KY, LENGTH))
    np.testing.assert_allclose(computed, expected, rtol=1e-9)


def test_flexible(waves, patterns):
    expected = by_abtem(waves, abtem.FlexibleAnnularDetector(step_size=1.7, inner=2.2, outer=2.2 + 20 * 1.7))
    bins = radial_bins(patterns, KX, KY, LENGTH, 1.7e-3, 2.2e-3 + 20 * 1.7e-3, 2.2e-3)
    np.testing.assert_allclose(bins.values, expected.reshape(2, 20) / scale(waves), rtol=1e-9)
    np.testing.assert_allclose(
        integrate(bins, 2.2e-3 + 3 * 1.7e-3, 2.2e-3 + 9 * 1.7e-3),
        expected.reshape(2, 20)[:, 3:9].sum(-1) / scale(waves),
        rtol=1e-9,
    )


def test_pixelated(waves, patterns):
    full = by_abtem(waves, abtem.PixelatedDetector(max_angle="full")).transpose(0, 2, 1) / scale(waves)
    computed = crop(patterns, EXTENT, LENGTH)
    rows, columns = computed.values.shape[1] // 2, computed.values.shape[2] // 2
    middle = full[:, 48 - rows : 48 + rows + 1, 40 - columns : 40 + columns + 1]
    np.testing.assert_allclose(computed.values, middle, rtol=1e-8, atol=1e-16)
    np.testing.assert_allclose(computed.values.sum((-2, -1)), full.sum((-2, -1)), rtol=1e-9)
