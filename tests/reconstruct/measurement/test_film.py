"""The likelihood of scans over a film: its score against finite differences, its information against the covariance of scores, on data drawn from the model."""

import jax.numpy as jnp
import numpy as np
import pytest

from reconstruct.measurement.film.blocks import block, filled, prepare
from reconstruct.measurement.film.exposure import Optics, Setting, Spectra, scan_frequencies
from reconstruct.measurement.film.likelihood import expected_power, information, informations, scores, value
from reconstruct.measurement.film.search import evaluate, log_posterior_without_film, prior_precision
from reconstruct.measurement.prior import Prior
from twin.optics.weak import THIRD, Sidebands, response

OPTICS = Optics(200e3, 30e-3, 20.0)
ANGLES = 0.03 * np.array([[0.0, 0.0], [0.5, 0.1], [-0.4, 0.6], [0.2, -0.7], [-0.6, -0.3], [0.7, 0.4], [0.0, 0.8]])
SETTING = Setting((24, 24), 0.8, ANGLES, 1e-3, 1e6, (2e-3, -4e-3), 60.0, True)
AT = np.concatenate(
    [
        [40.0, 20.0, -30.0, 400.0, 100.0, -300.0, 200.0, 1e4, 3e3, -2e3, 1e3, 2e3],
        [60.0],
        np.linspace(0.0, -4.0, 10),
        [0.2],
    ]
)
STEPS = np.concatenate([[1, 1, 1, 20, 20, 20, 20, 500, 200, 200, 200, 200], [1.0], np.full(10, 0.05), [0.01]])


def make_block(generator: np.random.Generator | None = None):
    q, _ = scan_frequencies(SETTING, OPTICS)
    z = np.zeros((len(q), len(ANGLES)), np.complex64)
    strength = np.linspace(2.0, 6.0, len(ANGLES))
    empty = block(prepare(Spectra(z, q, strength, ANGLES, SETTING), OPTICS), AT[:THIRD])
    if generator is None:
        return empty
    count = len(ANGLES)
    bands = Sidebands(*(part[:, :count] for part in empty.bands[:2]), *(part[:, :count, 0] for part in empty.bands[2:]))
    # drawn with thickness taken much finer than the likelihood takes it
    nodes, weights = np.polynomial.legendre.leggauss(24)
    power = np.exp(np.asarray(empty.splines) @ AT[THIRD + 1 : -1])
    c = np.array(AT[:THIRD])
    c[0] += SETTING.c10
    drawn = np.zeros(z.shape, complex)

    def normal(*shape):
        return (generator.normal(size=shape) + 1j * generator.normal(size=shape)) / np.sqrt(2)

    for node, weight in zip(nodes, weights, strict=True):
        t = np.asarray(response(bands, c, (0.5 + 0.5 * node) * AT[THIRD]))
        drawn += np.sqrt(0.5 * weight * power)[:, None] * t * normal(len(q))[:, None]
    return empty._replace(z=filled((drawn + np.exp(0.1) * normal(*z.shape)).astype(np.complex64), 1))


@pytest.mark.slow
def test_scores_are_the_slopes_of_the_value():
    part = make_block(np.random.default_rng(0))
    gradient = np.asarray(scores(part, jnp.asarray(AT))[1]).sum(axis=0)
    for index, step in enumerate(STEPS):
        move = np.eye(len(AT))[index] * step
        slope = (float(value(part, jnp.asarray(AT + move))) - float(value(part, jnp.asarray(AT - move)))) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=0.02, abs=0.05 / step), index


@pytest.mark.slow
def test_information_is_the_spread_of_scores_and_their_mean_is_zero():
    generator = np.random.default_rng(1)
    drawn = [np.asarray(scores(make_block(generator), jnp.asarray(AT))[1]) for _ in range(60)]
    expected = np.asarray(information(make_block(), jnp.asarray(AT)))
    outer = np.mean([rows.T @ rows for rows in drawn], axis=0)
    # knots beyond the scan's frequencies have neither
    scale = np.sqrt(np.maximum(np.diag(expected), 1e-6))
    assert (np.diag(outer) > 0).sum() >= 18
    np.testing.assert_allclose(outer / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.15)
    each = np.asarray(informations(make_block(), jnp.asarray(AT)))
    np.testing.assert_allclose(each.sum(axis=0), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    mean = np.mean([rows.sum(axis=0) for rows in drawn], axis=0) / scale * np.sqrt(60)
    assert np.abs(mean).max() < 4.0


@pytest.mark.slow
def test_expected_power_is_that_of_draws():
    generator = np.random.default_rng(2)
    model, std = (np.asarray(array) for array in expected_power(make_block(), jnp.asarray(AT)))
    seen = np.array([(np.abs(make_block(generator).data) ** 2).mean(axis=1) for _ in range(40)])
    off = (seen - model) / std
    assert abs(off.mean()) < 0.05
    assert off.std() == pytest.approx(1.0, abs=0.05)


def test_without_a_film_the_posterior_is_that_of_a_vanishing_one_in_the_likeliest_noise():
    seen, prior = make_block(np.random.default_rng(3)), Prior.independent(np.full(THIRD, 100.0))
    precision, centre = prior_precision(prior)
    q, _ = scan_frequencies(SETTING, OPTICS)
    data = [prepare(Spectra(seen.data, q, np.full(len(ANGLES), 4.0), ANGLES, SETTING), OPTICS)] * 2

    def height(noise: float) -> float:
        none = np.concatenate([centre[: THIRD + 1], np.full(10, -40.0), [noise]])
        return -evaluate([seen, seen], none, precision, centre)[0]

    likeliest = np.log((np.abs(seen.data) ** 2).mean())
    result = log_posterior_without_film(data, precision, centre)
    assert result == pytest.approx(height(likeliest), abs=0.05)
    assert result > max(height(likeliest - 0.1), height(likeliest + 0.1)) + 1.0
