"""Robust covariance on linear models in parts, where the true covariance is known."""

import numpy as np
import pytest
from scipy.stats import norm, t

from reconstruct.inference.robust_covariance import INTERVAL_QUANTILE, covariance

PARTS, EACH, N = 14, 4, 3


def parts() -> tuple[np.ndarray, np.ndarray]:
    """Design [PARTS, EACH, N] with different units and one part more informative than the others, and the parts' information."""
    design = np.random.default_rng(0).normal(size=(PARTS, EACH, N)) * np.array([1.0, 1e3, 1e-4])
    design[0] *= 2.0
    return design, np.einsum("pij,pik->pjk", design, design)


def fitted(noise: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error of a fit to data that are ``noise`` [PARTS, EACH], its scores and the parts' information, with a prior drawn to 0."""
    design, informations = parts()
    error = np.linalg.solve(informations.sum(axis=0) + precision, np.einsum("pij,pi->j", design, noise))
    return error, np.einsum("pij,pi->pj", design, noise - design @ error), informations


def test_it_is_unbiased_where_the_model_is_right_and_whites_is_not():
    generator, nothing = np.random.default_rng(1), np.zeros((N, N))
    informations = parts()[1]
    bread = np.linalg.inv(informations.sum(axis=0))
    ours, whites = [], []
    for _ in range(1500):
        _, scores, _ = fitted(generator.normal(size=(PARTS, EACH)), nothing)
        estimate, freedom = covariance(scores, informations, nothing)
        ours.append(np.diag(estimate) / (t.ppf(INTERVAL_QUANTILE, freedom) / norm.ppf(INTERVAL_QUANTILE)) ** 2)
        whites.append(np.diag(bread @ scores.T @ scores @ bread))
    assert np.mean(ours, axis=0) / np.diag(bread) == pytest.approx(np.ones(N), abs=0.06)
    left = informations - informations @ bread @ informations
    assert np.mean(whites, axis=0) == pytest.approx(np.diag(bread @ left.sum(axis=0) @ bread), rel=0.06)
    assert (np.mean(whites, axis=0) / np.diag(bread) < 0.91).all()


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_nine_tenths_of_its_intervals_hold_the_truth_however_noisy_the_data_are(spread: float):
    generator, nothing = np.random.default_rng(2), np.zeros((N, N))
    inside = []
    for _ in range(1000):
        error, scores, informations = fitted(spread * generator.normal(size=(PARTS, EACH)), nothing)
        estimate, _ = covariance(scores, informations, nothing)
        inside.append(np.abs(error) <= norm.ppf(0.95) * np.sqrt(np.diag(estimate)))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.025)


def test_what_only_the_prior_knows_is_as_wide_as_the_prior():
    precision = np.diag([1e-4, 4.0, 1.0])
    informations, scores = np.zeros((PARTS, N, N)), np.zeros((PARTS, N))
    informations[:, 0, 0] = 1.0
    scores[:, 0] = np.where(np.arange(PARTS) % 2, 1.0, -1.0)
    estimate, freedom = covariance(scores, informations, precision)
    assert estimate[1, 1] == pytest.approx(0.25)
    assert estimate[2, 2] == pytest.approx(1.0)
    assert estimate[0, 0] > 1.0 / PARTS
    assert np.isinf(freedom[1:]).all()
