"""What a grid leaves out, as estimated on one cell: against images and waves of the whole specimen on finer grids."""

import numpy as np
import pytest

from twin.grid import frequencies
from twin.optics.aberrations import coefficients
from twin.optics.illumination import Illumination
from twin.sample.specimen import srtio3
from twin.scattering import grid_error
from twin.scattering.grid_error import compared, cone
from twin.scattering.scene import Scene
from twin.scattering.signals import exit_waves
from twin.scattering.stem import stem_images

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


def test_error_of_a_detector_is_that_of_the_brightest_pixels_on_a_grid_three_times_as_fine():
    found = compared(ONE, (36, 36), 2 * CELLS, ENERGY, cone(SEMIANGLE, ENERGY), finer=2)
    coarse, fine = images(108), images(324)
    actual = np.abs(coarse - fine).max(axis=(1, 2)) / fine.max(axis=(1, 2))
    mean = np.abs(coarse.mean(axis=(1, 2)) / fine.mean(axis=(1, 2)) - 1.0)
    estimated = np.array([found.of_detector(one) for one in DETECTORS])
    # an error that matters, far above what the forms of computation differ by
    assert actual[1] > 0.05
    assert np.all(estimated > mean)
    assert np.all((estimated > actual / 3.0) & (estimated < actual * 3.0))


def test_error_of_beams_is_that_of_the_whole_specimen_on_a_finer_grid():
    found = compared(ONE, (36, 36), 2 * CELLS, ENERGY, cone(0.0, ENERGY))
    waves = {n: next(iter(exit_waves([lambda n=n: WHOLE.slices((n, n), 2 * CELLS)], ENERGY)))[-1] for n in (108, 324)}
    beams = {n: np.fft.fft2(wave)[::3, ::3] / n**2 for n, wave in waves.items()}
    inside = np.abs(np.fft.fftfreq(36, 1 / 36)) <= 11  # within the band, which ends at 11.6
    rows = np.flatnonzero(inside)
    coarse, fine = (np.abs(beams[n][np.ix_(at, at)]) ** 2 for n, at in ((108, rows), (324, _same(rows))))
    weak = (fine > 1e-4) & (fine < 1e-2)
    wrong = np.abs(coarse - fine)[weak].sum() / fine[weak].sum()
    assert wrong > 0.01
    assert found.of_weak_beams() == pytest.approx(wrong, rel=0.5)


def _same(rows: np.ndarray) -> np.ndarray:
    """Places on 108 points of the frequencies at ``rows`` of 36."""
    return np.fft.fftfreq(36, 1 / 36).astype(int)[rows] % 108


def test_thick_and_large_cells_are_estimated_from_their_first_slices(monkeypatch):
    whole = compared(ONE, (36, 36), 2 * CELLS, ENERGY, cone(0.0, ENERGY))
    monkeypatch.setattr(grid_error, "MOST", 4 * 36 * 36 * CELLS)
    part = compared(ONE, (36, 36), 2 * CELLS, ENERGY, cone(SEMIANGLE, ENERGY))
    assert part.depth == 2.0
    assert len(part.k) == 1
    assert 0.3 < part.of_pattern() / whole.of_pattern() < 3.0


def test_k_are_the_grids_frequencies_from_the_direction():
    found = compared(srtio3((1, 1, 1)), (16, 16), 2, ENERGY, cone(SEMIANGLE, ENERGY))
    kx, _ky = frequencies((16, 16), (3.905, 3.905))
    np.testing.assert_allclose(found.k[0, :, 0].reshape(16, 16), np.broadcast_to(kx[None], (16, 16)))
    np.testing.assert_allclose(found.k[1, 0], cone(SEMIANGLE, ENERGY)[1])
    assert np.hypot(*cone(SEMIANGLE, ENERGY)[1]) == pytest.approx(SEMIANGLE / np.sqrt(2.0) / 0.0250793, rel=1e-4)
