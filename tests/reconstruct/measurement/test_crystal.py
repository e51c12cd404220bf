"""Aberrations from a crystal that is known: slopes, the bound of Cramer and Rao, and a crystal that is another than stated."""

import dataclasses
import functools

import numpy as np
import pytest

from reconstruct.measurement.crystal import (
    Crystal,
    Model,
    build_model,
    crystal_information,
    expected_counts,
    fit_crystal,
)
from reconstruct.measurement.film.exposure import Exposure, Optics, Setting
from reconstruct.measurement.outcome import DETERMINED, NO_FIT
from reconstruct.measurement.prior import Prior
from twin.sample.specimen import Specimen, srtio3_unit

OPTICS = Optics(200e3, 30e-3)
A = 3.905
POINTS = 10
STEPS = np.array([1, 1, 1, 20, 20, 20, 20, 500, 300, 300, 300, 300, 0.01, 0.01, 0.01], float)
TRUE = np.array([35.0, 12.0, -8.0, 300, -200, 150, 100, 5e3, 1e3, 2e3, -1e3, 500, 0.6, 1.1, 0.02])
PRIOR = Prior.independent([60, 20, 20, 400, 400, 400, 400, 1e4, 5e3, 5e3, 5e3, 5e3])


def crystal(cells: int = 4) -> Crystal:
    return Crystal(Specimen.from_atoms(srtio3_unit(A)).slices(24, 2, thermal="debye-waller"), cells)


@functools.cache
def setting() -> Setting:
    line = np.linspace(-0.8, 0.8, 7) * OPTICS.semiangle
    angles = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return Setting((POINTS, POINTS), A / POINTS, angles[np.hypot(*angles.T) < 0.9 * OPTICS.semiangle], 1e-3, 3e7)


@functools.cache
def prepared_model() -> Model:
    return build_model(crystal(), setting(), OPTICS)


def exposure_at(seed: int) -> Exposure:
    mean = expected_counts(prepared_model(), TRUE)[0]
    return Exposure(np.random.default_rng(seed).poisson(mean).reshape(POINTS, POINTS, -1).astype(float), setting())


@pytest.mark.slow
def test_slopes_are_those_of_differences():
    slopes = expected_counts(prepared_model(), TRUE)[1]
    for index, step in enumerate(STEPS):
        move = np.eye(15)[index] * step
        forward, backward = (expected_counts(prepared_model(), TRUE + sign * move, False)[0] for sign in (1, -1))
        difference = (forward - backward) / (2 * step)
        assert np.abs(slopes[index] - difference).max() < 5e-3 * np.abs(difference).max(), index


def test_information_is_the_spread_of_scores():
    mean, slopes = expected_counts(prepared_model(), TRUE)
    generator = np.random.default_rng(3)
    drawn = np.array([(slopes * (generator.poisson(mean) / mean - 1.0)).sum(axis=(1, 2)) for _ in range(400)])
    information = crystal_information(prepared_model(), TRUE)
    scale = np.sqrt(np.diag(information))
    np.testing.assert_allclose(
        np.cov(drawn.T) / np.outer(scale, scale), information / np.outer(scale, scale), atol=0.25
    )


def test_errors_are_near_the_bound_and_truth_within_them():
    bound = np.sqrt(np.diag(np.linalg.inv(crystal_information(prepared_model(), TRUE))))[:12]
    off = []
    for seed in range(3):
        result = fit_crystal(exposure_at(seed), crystal(), OPTICS, PRIOR, model=prepared_model())
        assert result.misfit == pytest.approx(1.0, abs=0.1)
        off.append((result.mean[:12] - TRUE[:12]) / bound)
        assert result.std[:12] == pytest.approx(bound, rel=0.2)
    assert np.sqrt(np.mean(np.square(off))) < 1.35


@pytest.mark.slow
def test_a_wrong_stated_thickness_does_not_fit_and_leaves_the_prior():
    result = fit_crystal(exposure_at(0), crystal(7), OPTICS, PRIOR)
    assert result.misfit > 1.2
    assert result.outcome == NO_FIT
    assert {check.name for check in result.failed_checks} & {
        "chi square of readings",
        "chi square of the bright-field image",
    }
    assert "thickness" in result.undetermined["C10"]
    assert result.std[:12] == pytest.approx(np.sqrt(np.diag(PRIOR.covariance)))


def test_the_right_crystal_passes_every_check():
    result = fit_crystal(exposure_at(2), crystal(), OPTICS, PRIOR, model=prepared_model())
    assert result.outcome == DETERMINED
    assert len(result.checks) == 3
    for check in result.checks:
        assert 0.5 < check.value < 1.6


def test_missing_readings_are_not_zeros():
    exposure = exposure_at(1)
    counts = exposure.counts.copy()
    counts[2, 3, ::5] = np.nan
    whole = fit_crystal(exposure, crystal(), OPTICS, PRIOR, model=prepared_model())
    part = fit_crystal(Exposure(counts, setting()), crystal(), OPTICS, PRIOR, model=prepared_model())
    assert np.abs((part.mean - whole.mean) / whole.std).max() < 1.0


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        dataclasses.replace(crystal(), cells=0)
    empty = Exposure(np.zeros((POINTS, POINTS, len(setting().angles))), setting())
    with pytest.raises(ValueError, match="no pixel"):
        fit_crystal(empty, crystal(), OPTICS, PRIOR, model=prepared_model())
