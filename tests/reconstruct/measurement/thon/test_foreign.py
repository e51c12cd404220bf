"""Rings and spots that are not of a film: found where they are, and not where there are none."""

import numpy as np
import pytest

from reconstruct.measurement.thon.flatten import flatten
from reconstruct.measurement.thon.foreign import arcs, defects, narrow_rings, spots, without
from reconstruct.measurement.thon.spectrum import Plane, power_plane
from tests.synthetic.films import film_phase, imaged


def plane_of(image: np.ndarray) -> Plane:
    flat = flatten(image)
    assert flat is not None
    return power_plane(flat, 1.0, 100.0)


@pytest.fixture(scope="module")
def clean() -> Plane:
    generator = np.random.default_rng(2)
    return plane_of(generator.poisson(400.0 * imaged(film_phase(generator, 256, 1.0), 256, 1.0, (-2500, 100, 0), 1e7)))


def brighter(plane: Plane, where: np.ndarray, factor: float) -> Plane:
    return plane._replace(power=plane.power * np.where(where, factor, 1.0))


def test_a_film_has_neither_rings_nor_spots(clean):
    assert narrow_rings(clean) == []
    assert not spots(clean).any()


@pytest.mark.parametrize("spacing, factor", [(3.7, 8.0), (2.6, 5.0)])
def test_a_narrow_ring_is_found_and_masked(clean, spacing, factor):
    ring = np.abs(clean.frequency - 1.0 / spacing) < 0.006
    marked = narrow_rings(brighter(clean, ring, factor))
    assert len(marked) == 1
    low, high = marked[0]
    assert low < 1.0 / spacing - 0.005
    assert high > 1.0 / spacing + 0.005
    assert high - low < 0.025
    masked = without(clean, marked)
    assert masked.weight[ring].sum() == 0.0
    assert masked.weight.sum() > 0.8 * clean.weight.sum()
    assert f"ring at {spacing:.2g} Å" in defects(marked, np.zeros_like(ring))[0].description


def test_the_residual_of_a_right_fit_has_a_weak_ring(clean):
    flat = np.random.default_rng(3).exponential(size=clean.power.shape)
    ring = np.abs(clean.frequency - 0.3) < 0.006
    plane = clean._replace(power=flat * np.where(ring, 1.4, 1.0))
    marked = narrow_rings(plane, np.ones_like(flat))
    assert len(marked) == 1
    assert marked[0][0] < 0.3 < marked[0][1]


def test_broad_rings_are_not_taken_for_foreign(clean):
    """A fit with wrong rings leaves broad rings in its residual: they must stay, so that its check fails."""
    flat = np.random.default_rng(4).exponential(size=clean.power.shape)
    wrong = 1.0 + 0.6 * np.cos(2.0 * np.pi * 40.0 * clean.frequency**2)
    total = sum(high - low for low, high in narrow_rings(clean._replace(power=flat * wrong), np.ones_like(flat)))
    assert total < 0.2 * clean.highest


def test_spots_are_found_with_what_touches_them(clean):
    spot = np.zeros(clean.power.shape, bool)
    spot[60:62, 80] = True
    marked = spots(brighter(clean, spot, 300.0))
    assert marked[spot].all()
    assert marked.sum() < 30
    assert "1 spot in" in defects([], marked)[0].description


def test_arcs_of_a_residual_are_found_unless_they_are_everywhere(clean):
    flat = np.random.default_rng(5).exponential(size=clean.power.shape)
    arc = (np.abs(clean.frequency - 0.36) < 0.01) & (np.abs(clean.azimuth - 1.0) < 0.15)
    marked = arcs(clean._replace(power=np.where(arc, 4.0, 1.0) * flat), np.ones_like(flat))
    assert marked[arc & (clean.weight > 0)].mean() > 0.6
    assert marked.sum() < 4 * arc.sum()
    halves = np.where(clean.azimuth < 1.0, 3.0, 1.0)
    assert not arcs(clean._replace(power=halves * flat), np.ones_like(flat)).any()
