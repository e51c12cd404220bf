"""The grid error estimated on one cell, against images and waves of the whole specimen on finer grids."""

import numpy as np
import pytest

from twin.grid import frequencies
from twin.optics.aberrations import coefficients
from twin.optics.illumination import Illumination
from twin.sample.specimen import srtio3
from twin.scattering import grid_error
from twin.scattering.grid_error import compare_grids
from twin.scattering.signals import exit_waves
from twin.scattering.stem.images import stem_images
from twin.scattering.stem.scene import Scene

CELLS, ENERGY, SEMIANGLE = 6, 200e3, 0.02
WHOLE, ONE = srtio3((3, 3, CELLS)), srtio3((1, 1, CELLS))


def between(inner: float, outer: float):
    """A detector between two angles in radian, as a function of (kx, ky)."""
    return lambda kx, ky: ((k := 0.0250793 * np.hypot(kx, ky)) >= inner).astype(float) * (k < outer)


DETECTORS = [between(0.0, 0.01), between(0.03, 0.05)]


def images(gpts: int) -> np.ndarray:
    """STEM images [detectors, y, x] of the whole specimen."""
    scene = Scene(WHOLE, (gpts, gpts), 2 * CELLS, cell=srtio3((1, 1, 1)), repeats=(3, 3, CELLS))
    beam = Illumination(coefficients({}), ENERGY, SEMIANGLE)
    along = np.arange(6) * 3.905 / 6
    return stem_images(scene, beam, along, along, DETECTORS, form="crystal").array


@pytest.mark.slow
def test_error_of_a_detector_is_that_of_the_brightest_pixels_on_a_grid_three_times_as_fine():
    comparison = compare_grids(ONE, (36, 36), 2 * CELLS, ENERGY, SEMIANGLE, finer=2)
    coarse, fine = images(108), images(324)
    actual = np.abs(coarse - fine).max(axis=(1, 2)) / fine.max(axis=(1, 2))
    estimated = np.array([comparison.detector_error(detector) for detector in DETECTORS])
    # relevant errors, far above the differences between algorithms
    assert actual.min() > 0.01
    np.testing.assert_allclose(estimated, actual, rtol=0.25)


@pytest.mark.slow
def test_error_of_beams_is_that_of_the_whole_specimen_on_a_finer_grid():
    comparison = compare_grids(ONE, (36, 36), 2 * CELLS, ENERGY)
    waves = {n: next(iter(exit_waves([lambda n=n: WHOLE.slices((n, n), 2 * CELLS)], ENERGY)))[-1] for n in (108, 324)}
    beams = {n: np.fft.fft2(wave)[::3, ::3] / n**2 for n, wave in waves.items()}
    inside = np.abs(np.fft.fftfreq(36, 1 / 36)) <= 11  # within the band, which ends at 11.6
    rows = np.flatnonzero(inside)
    coarse, fine = (np.abs(beams[n][np.ix_(at, at)]) ** 2 for n, at in ((108, rows), (324, _same(rows))))
    weak = (fine > 1e-4) & (fine < 1e-2)
    actual = np.abs(coarse - fine)[weak].sum() / fine[weak].sum()
    assert actual > 0.01
    assert comparison.weak_beam_error() == pytest.approx(actual, rel=0.5)


def _same(rows: np.ndarray) -> np.ndarray:
    """Places on 108 points of the frequencies at ``rows`` of 36."""
    return np.fft.fftfreq(36, 1 / 36).astype(int)[rows] % 108


@pytest.mark.slow
def test_thick_and_large_cells_are_estimated_from_their_first_slices(monkeypatch):
    full = compare_grids(ONE, (36, 36), 2 * CELLS, ENERGY)
    monkeypatch.setattr(grid_error, "POINT_BUDGET", 4 * 36 * 36 * CELLS)
    part = compare_grids(ONE, (36, 36), 2 * CELLS, ENERGY)
    assert (full.depth, part.depth) == (1.0, 2.0)
    assert 0.3 < part.pattern_error() / full.pattern_error() < 3.0


def test_beams_of_a_probe_are_the_reciprocal_lattice_moved_by_an_offset():
    comparison = compare_grids(srtio3((1, 1, 1)), (16, 16), 2, ENERGY, SEMIANGLE)
    kx, _ = frequencies((16, 16), (3.905, 3.905))
    relative = comparison.k[0].reshape(16, 16, 2) - comparison.k[0, 0]
    np.testing.assert_allclose(relative[..., 0], np.broadcast_to(kx[None], (16, 16)), atol=1e-12)
    assert 0.0 < np.hypot(*comparison.k[0, 0]) < 0.5 * 2**0.5 / 3.905
    assert comparison.cone == pytest.approx(SEMIANGLE / 0.0250793, rel=1e-4)
    np.testing.assert_array_equal(comparison.places, [0, 1, 2, 3] * 2)
    # a grid this coarse loses some of the beam, and makes none
    assert (
        0.7
        < (np.abs(comparison.fine) ** 2).sum(axis=1).min()
        <= (np.abs(comparison.fine) ** 2).sum(axis=1).max()
        < 1.0 + 1e-4
    )
