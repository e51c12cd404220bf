"""Reciprocity, reversal, flux and published figures: see `tests.physics.checks.evidence`."""

import numpy as np
import pytest

from tests.physics.checks.evidence import (
    beyond_the_band,
    constants,
    crystal,
    flux,
    gratings,
    nothing,
    reciprocity,
    there_and_back,
)

ABSORPTIVE = {"thermal": "absorptive", "energy": 200e3}


@pytest.fixture(scope="module")
def displaced():
    return crystal()


@pytest.fixture(scope="module")
def absorptive():
    return crystal(**ABSORPTIVE)


def test_published_constants():
    deviations = constants()
    assert len(deviations) == 8
    for name, (deviation, bound) in deviations.items():
        assert deviation < bound, name


@pytest.mark.parametrize("tilt,beam", [((0.0, 0.0), (0, 0)), ((5e-3, -8e-3), (0, 0)), ((-4e-3, 2e-3), (3, -2))])
def test_reciprocity_of_stem_and_tem(displaced, tilt, beam):
    assert reciprocity(displaced, tilt, beam) < 1e-10


def test_reciprocity_holds_with_absorption(absorptive):
    assert reciprocity(absorptive, (2e-3, 1e-3), (1, 1)) < 1e-10


def test_reciprocity_needs_the_reversed_specimen(displaced):
    assert reciprocity(displaced, reversed_in_z=False) > 0.01


def test_backward_undoes_forward():
    """A specimen that scatters nothing past the band limit is reversible to rounding."""
    empty, weak = there_and_back(nothing()), there_and_back(gratings())
    assert empty.changed == 0.0
    assert weak.changed > 0.03
    for round_trip in (empty, weak):
        assert round_trip.residual < 1e-12
        assert abs(round_trip.lost) < 1e-12


def test_the_returned_wave_lacks_the_lost_share(displaced):
    round_trip = there_and_back(displaced)
    assert round_trip.changed > 0.1
    assert round_trip.overlap < 1e-12
    assert 1e-5 < round_trip.residual**2 < round_trip.lost


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (6e-3, 4e-3)])
def test_real_potentials_lose_flux_only_past_the_band_limit(displaced, tilt):
    account = flux(displaced, False, tilt)
    assert account.unaccounted < 1e-12
    assert account.unexplained < 1e-12
    assert account.absorbed == 0.0
    assert 1e-4 < account.past < 0.05
    np.testing.assert_allclose(account.kept + account.past, 1.0, atol=1e-12)


def test_the_loss_of_absorptive_potentials_is_absorption(absorptive):
    account = flux(absorptive, False)
    assert account.unaccounted < 1e-12
    assert account.unexplained < 1e-12
    assert account.absorbed > 0.001
    np.testing.assert_allclose(account.kept + account.past + account.absorbed, 1.0, atol=1e-12)


def test_the_default_path_accounts_for_all_flux(displaced, absorptive):
    """Band-limited transmissions: the filtered share is small, and all shares sum to the incident beam."""
    for slices in (displaced, absorptive):
        account = flux(slices, True)
        assert account.unaccounted < 1e-12
        assert abs(account.filtered) < 0.02
        np.testing.assert_allclose(account.kept + account.past + account.filtered + account.absorbed, 1.0, atol=1e-12)


def test_vacuum_keeps_the_whole_beam():
    account = flux(nothing(), True)
    np.testing.assert_allclose(account.kept, 1.0, atol=1e-12)


def test_no_wrap_around_of_the_grid(displaced):
    assert beyond_the_band(displaced) < 1e-14
