"""Thon rings: against films imaged by another lens, and images without rings."""

import numpy as np
import pytest

from reconstruct.measure.thon import measure_thon
from tests.films import ENERGY, film

SPAN = 5000.0


def test_spherical_aberration_tells_the_sign_of_defocus():
    seen = film(14, c30=1.2e7, dose=500.0)
    found = measure_thon(seen.image, seen.pixel, ENERGY, seen.c30, SPAN)
    assert not found.undetermined
    assert max(one.weight for one in found.components) > 0.99
    assert np.abs((found.mean - seen.truth) / found.std).max() < 4.0
    assert found.std[0] < 20.0
    assert found.misfit == pytest.approx(1.0, abs=0.05)


def test_without_it_both_signs_are_kept():
    seen = film(4, c30=0.0, dose=500.0)
    found = measure_thon(seen.image, seen.pixel, ENERGY, 0.0, SPAN)
    assert {bool(one.mean[0] > 0) for one in found.components} == {True, False}
    assert max(one.weight for one in found.components) < 0.95
    assert any("both signs" in note for note in found.notes)
    right = max((one for one in found.components if one.mean[0] * seen.truth[0] > 0), key=lambda one: one.weight)
    assert np.abs((right.mean - seen.truth) / np.sqrt(np.diag(right.covariance))).max() < 4.0


def test_an_image_without_rings_leaves_the_prior():
    seen = film(1, flat=True, dose=100.0)
    flat = measure_thon(np.ones((128, 128)), 1.0, ENERGY)
    for found, why in ((measure_thon(seen.image, seen.pixel, ENERGY, 0.0, SPAN), "no Thon rings"), (flat, "flat")):
        assert set(found.undetermined) == {"C10", "C12a", "C12b"}
        assert why in found.undetermined["C10"]
        assert found.std[0] > 1000.0


@pytest.mark.parametrize("name, value", [("pixel", 0.0), ("span", np.nan), ("astigmatism", -1.0), ("energy", 200.0)])
def test_bad_numbers_are_named(name, value):
    arguments = {"pixel": 1.0, "energy": ENERGY} | {name: value}
    with pytest.raises(ValueError, match=name):
        measure_thon(np.ones((64, 64)), **arguments)
    with pytest.raises(ValueError, match="shape"):
        measure_thon(np.ones((8, 8)), 1.0, ENERGY)
