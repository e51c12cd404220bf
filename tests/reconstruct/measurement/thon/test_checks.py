"""Checks of the rings: a right fit passes, one whose rings lie elsewhere fails although film and background are fitted again."""

import dataclasses
import re

import numpy as np
import pytest

from reconstruct.measurement.thon.checks import (
    MAX_UNEXPLAINED,
    predict_left_out,
    ring_check,
    stated_checks,
    unexplained,
)
from reconstruct.measurement.thon.fit import Prior, fit_rings, likelihood_without_rings, start_values
from reconstruct.measurement.thon.flatten import flatten
from reconstruct.measurement.thon.model import C10, Model
from reconstruct.measurement.thon.spectrum import power_plane, used
from tests.synthetic.films import ENERGY, film_phase, imaged
from twin.optics.aberrations import index
from twin.optics.transfer import Imaging

TRUTH, C30 = np.array([-2500.0, 150.0, -80.0]), 2.7e7


@pytest.fixture(scope="module")
def film():
    generator = np.random.default_rng(11)
    clean = imaged(film_phase(generator, 256, 1.0), 256, 1.0, tuple(TRUTH.tolist()), C30)
    flat = flatten(generator.poisson(400.0 * clean).astype(float))
    assert flat is not None
    power = used(power_plane(flat, 1.0, 100.0))
    lens = np.zeros(25)
    lens[index("C30")] = C30
    model = Model(power, Imaging(lens, ENERGY))
    return power, model, likelihood_without_rings(power, model)


PRIOR = Prior(C30, 0.05, 0.05, 300.0)


def fitted(film, c10: float, prior: Prior = PRIOR):
    power, model, _ = film
    return fit_rings(power, model, start_values(c10, TRUTH[1:], prior.psi, prior), prior)


def test_the_right_fit_predicts_what_was_left_out(film):
    power, model, (without, smooth) = film
    fit = fitted(film, TRUTH[0])
    assert fit.likelihood - without > 500.0
    assert np.abs((fit.values[:3] - TRUTH) / fit.std[:3]).max() < 4.0
    prediction = predict_left_out(power, model, fit, smooth)
    # exponentially distributed about the prediction: means of blocks scatter as counting says, and less where blocks hold few neighbours that are tied
    spread = (prediction.count * (prediction.ratio - 1.0) ** 2).mean()
    assert 0.65 < spread < 1.1
    assert unexplained(prediction) < 0.02
    assert all(check.passed for check in (ring_check(prediction), *stated_checks(power, model, fit, PRIOR, False)))


@pytest.mark.parametrize("c10", [-1500.0, -5500.0, 2500.0])
def test_rings_elsewhere_fail_though_film_and_background_adapt(film, c10):
    power, model, (_, smooth) = film
    fit = fitted(film, c10)
    assert abs(fit.values[C10] - TRUTH[0]) > 300.0
    prediction = predict_left_out(power, model, fit, smooth)
    assert unexplained(prediction) > 2.0 * MAX_UNEXPLAINED
    assert "do not pass" in ring_check(prediction).finding
    assert not ring_check(prediction).passed


@pytest.mark.slow
def test_a_wrong_spherical_aberration_or_phase_is_found_from_the_right_rings(film):
    power, model, _ = film
    wrong = dataclasses.replace(PRIOR, c30=1.2 * C30)
    aberration, _ = stated_checks(power, model, fitted(film, TRUTH[0], wrong), wrong, False)
    assert not aberration.passed
    assert re.search(r"aberration of 2\.[67]\d* ", aberration.finding)
    shifted = dataclasses.replace(PRIOR, psi=PRIOR.psi + 0.8)
    _, phase = stated_checks(power, model, fitted(film, TRUTH[0], shifted), shifted, False)
    assert not phase.passed
    assert "phase plate" in phase.finding
    assert len(stated_checks(power, model, fitted(film, TRUTH[0], shifted), shifted, True)) == 1
