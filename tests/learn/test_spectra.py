"""The Gaussian process of a map and its design, on synthetic maps whose truth and noise are known."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from learn.design.sampling import most_informative, spread_out
from learn.gp import spectra
from learn.gp.kernels import CONSTANT_VARIANCE, map_covariance, map_prior, squared_distance
from learn.gp.spectra import GPMap, MapPrediction, check_measured, image_features
from reconstruct.eels.columns import EdgeResponse

SHAPE = (14, 5)
COUNT = SHAPE[0] * SHAPE[1]


def _world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [n, 2], a map [n] that is smooth plus a function of the first feature, and one noisy record of it (variance 0.01)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    features = rng.standard_normal((COUNT, 2))
    truth = np.sin(rows / 4.0 + columns / 9.0).ravel() + 0.8 * np.tanh(features[:, 0])
    return features, truth, truth + 0.1 * rng.standard_normal(COUNT)


def test_the_covariance_is_one() -> None:
    features, _, _ = _world(0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    where = jnp.asarray(np.stack([rows.ravel(), columns.ravel()], 1).astype(float))
    theta = jnp.asarray(map_prior(14.0, 2).mean)
    matrix = map_covariance(theta, where, jnp.asarray(features), where, jnp.asarray(features), jnp.eye(COUNT))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(np.asarray(matrix)).min() > 0.9 * np.exp(2 * float(theta[0]))


def test_distances() -> None:
    rng = np.random.default_rng(1)
    a, b, lengths = rng.standard_normal((5, 3)), rng.standard_normal((4, 3)), np.array([0.5, 1.0, 3.0])
    direct = (((a[:, None] - b[None]) / lengths) ** 2).sum(-1)
    np.testing.assert_allclose(squared_distance(jnp.asarray(a), jnp.asarray(b), jnp.log(lengths)), direct, rtol=1e-10)


def test_predictions_are_those_of_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    """With parameters held fixed: mean and covariance against the formulae in numpy, padding and standardising undone."""
    features, _, values = _world(2)
    model = GPMap(SHAPE, features)
    theta = model.prior.mean + 0.1
    monkeypatch.setattr(GPMap, "_best", lambda self, given: theta)
    monkeypatch.setattr(GPMap, "_posterior", lambda self, best, given: (best[None, :], np.ones(1)))
    chosen = np.arange(0, COUNT, 3)
    noise = np.full(chosen.size, 0.01)
    prediction = model.predict(chosen, values[chosen], noise)
    centre, scale = values[chosen].mean(), values[chosen].std()
    where, inputs = jnp.asarray(model.positions), jnp.asarray(features)
    prior = np.asarray(map_covariance(jnp.asarray(theta), where, inputs, where, inputs, jnp.eye(COUNT)))
    inner = prior[np.ix_(chosen, chosen)] + np.diag(noise / scale**2)
    gain = np.linalg.solve(inner, prior[chosen]).T
    np.testing.assert_allclose(prediction.mean, centre + gain @ (values[chosen] - centre), atol=1e-5)
    expected = scale**2 * (prior - gain @ prior[chosen])
    np.testing.assert_allclose(prediction.covariance, expected, atol=1e-5)


@pytest.mark.parametrize("frequencies", [[], [0.25, 0.4]])
def test_the_gradient_is_right(frequencies: list[float]) -> None:
    features, _, values = _world(3)
    harmonics = 0.3 * np.random.default_rng(5).standard_normal((COUNT, len(frequencies)))
    model = GPMap(SHAPE, features, response=EdgeResponse(harmonics, np.array(frequencies)))
    chosen = np.arange(0, COUNT, 2)
    sites = spectra._Sites(*(jnp.asarray(each[chosen]) for each in (model.positions, features, harmonics)))
    measurements = spectra._padded(sites, model._rates, values[chosen], np.full(chosen.size, 0.01))
    prior = jnp.asarray(model.prior.mean), jnp.asarray(model.prior.std)
    theta = jnp.asarray(model.prior.mean + 0.2)
    _, gradient = spectra._loss_and_gradient(theta, *prior, measurements)
    for k in range(theta.size):
        step = 1e-5 * jnp.eye(theta.size)[k]
        up, down = (spectra._loss_and_gradient(theta + sign * step, *prior, measurements)[0] for sign in (1.0, -1.0))
        assert float(gradient[k]) == pytest.approx(float(up - down) / 2e-5, rel=1e-3, abs=1e-5)


def test_learns_the_map() -> None:
    explained = []
    for seed in range(4):
        features, truth, values = _world(10 + seed)
        chosen = np.random.default_rng(seed).permutation(COUNT)[:35]
        prediction = GPMap(SHAPE, features).predict(chosen, values[chosen], np.full(35, 0.01))
        others = np.setdiff1d(np.arange(COUNT), chosen)
        explained.append(
            1 - ((truth - prediction.mean)[others] ** 2).sum() / ((truth - truth.mean())[others] ** 2).sum()
        )
    assert np.mean(explained) > 0.85


def test_intervals_cover_maps_drawn_from_the_prior() -> None:
    sigmas = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        features, _, _ = _world(seed)
        model = GPMap(SHAPE, features)
        where, inputs = jnp.asarray(model.positions), jnp.asarray(features)
        theta = jnp.asarray(model.prior.mean + model.prior.std * rng.standard_normal(model.prior.mean.size))
        prior = np.asarray(map_covariance(theta, where, inputs, where, inputs, jnp.eye(COUNT))) - CONSTANT_VARIANCE
        truth = np.linalg.cholesky(prior + 1e-9 * np.eye(COUNT)) @ rng.standard_normal(COUNT)
        noise = 0.02 * prior[0, 0]
        values = truth + np.sqrt(noise) * rng.standard_normal(COUNT)
        chosen = rng.permutation(COUNT)[:35]
        prediction = model.predict(chosen, values[chosen], np.full(35, noise))
        others = np.setdiff1d(np.arange(COUNT), chosen)
        sigmas.append((truth - prediction.mean)[others] / prediction.std[others])
    assert 0.84 < (np.abs(np.concatenate(sigmas)) < 1.645).mean() < 0.96


def test_the_same_data_give_the_same_map() -> None:
    features, _, values = _world(4)
    chosen, noise = np.arange(20), np.full(20, 0.01)
    first, second = (GPMap(SHAPE, features).predict(chosen, values[chosen], noise) for _ in range(2))
    np.testing.assert_array_equal(first.mean, second.mean)


def test_values_may_have_any_unit() -> None:
    features, _, values = _world(5)
    chosen, noise = np.arange(0, COUNT, 2), np.full(COUNT // 2, 0.01)
    plain = GPMap(SHAPE, features).predict(chosen, values[chosen], noise)
    scaled = GPMap(SHAPE, features).predict(chosen, 1e4 * values[chosen] + 3e4, 1e8 * noise)
    np.testing.assert_allclose(scaled.mean, 1e4 * plain.mean + 3e4, rtol=1e-3, atol=20.0)
    np.testing.assert_allclose(scaled.std, 1e4 * plain.std, rtol=0.02)


def test_counts_of_single_precision_without_features() -> None:
    """As an instrument's frames give them, where there is no finer image."""
    _, _, values = _world(5)
    model, chosen = GPMap(SHAPE, np.zeros((COUNT, 0))), np.arange(0, COUNT, 3)
    single = values[chosen].astype(np.float32)
    prediction = model.predict(chosen, single, np.full(chosen.size, 0.01, np.float32))
    assert prediction.mean.dtype == prediction.covariance.dtype == np.float64
    exact = GPMap(SHAPE, np.zeros((COUNT, 0))).predict(chosen, single.astype(float), np.full(chosen.size, 0.01))
    np.testing.assert_allclose(prediction.mean, exact.mean, rtol=1e-5)


def test_bad_input_is_refused() -> None:
    features, _, values = _world(6)
    model = GPMap(SHAPE, features)
    noise = np.full(4, 0.01)
    with pytest.raises(ValueError, match="different"):
        model.predict(np.array([1, 1, 2, 3]), values[:4], noise)
    with pytest.raises(ValueError, match="outside"):
        model.predict(np.array([1, 2, 3, COUNT]), values[:4], noise)
    with pytest.raises(ValueError, match="finite"):
        model.predict(np.arange(4), np.array([1.0, np.nan, 2.0, 3.0]), noise)
    with pytest.raises(ValueError, match="each pixel"):
        GPMap((3, 3), features)
    with pytest.raises(ValueError, match="as many of each"):
        inspect.unwrap(check_measured)(COUNT, np.arange(4), values[:3], noise)
    with jax.enable_x64(False), pytest.raises(ValueError, match="x64"):
        model.predict(np.arange(4), values[:4], noise)


def test_features_do_not_know_black_level_or_gain() -> None:
    image = np.random.default_rng(7).random((48, 24))
    features = image_features(image, 8)
    assert features.shape == (18, 8)
    np.testing.assert_allclose(features.mean(0), 0.0, atol=1e-9)
    np.testing.assert_allclose(image_features(25.0 * image + 1700.0, 8), features, atol=1e-6)
    np.testing.assert_array_equal(image_features(np.full((48, 24), 5.0), 8), np.zeros((18, 8)))
    with pytest.raises(ValueError, match="blocks"):
        image_features(image[:-1], 8)
    image[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        image_features(image, 8)


def test_a_column_shows_in_the_moments_of_its_block() -> None:
    image = np.zeros((32, 32))
    image[10, 3] = 1.0  # in block row 1, column 0, low in it and to the left: rows 8 to 15, columns 0 to 7
    features = image_features(image, 8)
    block = features.reshape(4, 4, 8)
    assert np.unravel_index(block[..., 2].argmax(), (4, 4)) == (1, 0)  # brightness
    assert np.unravel_index(block[..., 3].argmin(), (4, 4)) == (1, 0)  # slope in y: towards smaller y
    assert np.unravel_index(block[..., 4].argmin(), (4, 4)) == (1, 0)  # slope in x


def test_first_pixels_are_spread_out() -> None:
    points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [10.0]])
    for seed in range(5):
        chosen = spread_out(points, 3, np.arange(6), np.random.default_rng(seed))
        assert sorted(round(p) // 5 for p in points[chosen, 0]) == [0, 1, 2]
    assert set(spread_out(points, 2, np.array([0, 1]), np.random.default_rng(0))) == {0, 1}
    with pytest.raises(ValueError, match="requested"):
        spread_out(points, 3, np.array([0, 1]), np.random.default_rng(0))


def test_the_choice_lowers_the_variance_most() -> None:
    root = np.random.default_rng(8).standard_normal((9, 9))
    covariance, noise = root @ root.T, np.linspace(0.5, 2.0, 9)

    def total_variance(pixel: int) -> float:
        return float(
            np.trace(covariance) - (covariance[:, pixel] ** 2).sum() / (covariance[pixel, pixel] + noise[pixel])
        )

    allowed = np.array([0, 2, 3, 5, 8])
    chosen, falls = most_informative(covariance, noise, allowed, 2)
    assert chosen[0] == min(allowed, key=total_variance)
    assert falls[0] == pytest.approx(np.trace(covariance) - total_variance(int(chosen[0])))
    dear = np.ones(9)
    dear[chosen[0]] = 1e6
    assert most_informative(covariance, noise, allowed, 1, dear)[0][0] != chosen[0]
    assert set(most_informative(covariance, noise, allowed, 99)[0]) == set(allowed)


def test_uncertainty_is_a_share_of_the_range() -> None:
    prediction = MapPrediction(np.array([1.0, 5.0, 3.0]), np.diag([0.04, 0.16, 0.09]))
    assert prediction.uncertainty == pytest.approx(0.1)
    assert prediction.inflated(4.0).uncertainty == pytest.approx(0.2)


@pytest.mark.slow
def test_a_response_multiplies_the_process() -> None:
    """Values that are a smooth map times a known response: found where the plain process sees noise, blur with it; covariance against the formula."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    response = EdgeResponse(0.6 * rng.standard_normal((COUNT, 2)) / np.sqrt(2.0), np.array([0.25, 0.4]))
    truth = (3.0 + np.sin(rows / 4.0 + columns / 9.0)).ravel() * response.at(0.5)
    noise = np.full(COUNT, 0.01)
    values, chosen = truth + 0.1 * rng.standard_normal(COUNT), np.arange(0, COUNT, 2)
    others = np.setdiff1d(np.arange(COUNT), chosen)
    model = GPMap(SHAPE, np.zeros((COUNT, 0)), response=response)
    with_it = model.predict(chosen, values[chosen], noise[chosen])
    without = GPMap(SHAPE, np.zeros((COUNT, 0))).predict(chosen, values[chosen], noise[chosen])
    off = np.abs(with_it.mean - truth)[others]
    assert off.std() < 0.2 * np.abs(without.mean - truth)[others].std()
    assert np.mean(off < 1.645 * with_it.std[others]) > 0.7
    theta, where = jnp.asarray(model.prior.mean), jnp.asarray(model.positions)
    none, same = jnp.zeros((COUNT, 0)), jnp.eye(COUNT)
    plain = np.asarray(map_covariance(theta[:-1], where, none, where, none, same)) - np.exp(2 * theta[0]) * np.eye(
        COUNT
    )
    harmonics, rates = jnp.asarray(response.harmonics), jnp.asarray(2.0 * (np.pi * response.frequencies) ** 2)
    multiplied = map_covariance(theta, where, none, where, none, same, harmonics, harmonics, rates)
    factor = response.at(float(np.exp(theta[-1])))
    np.testing.assert_allclose(
        multiplied - np.exp(2 * theta[0]) * np.eye(COUNT), plain * factor[:, None] * factor, rtol=1e-10
    )
    with pytest.raises(ValueError, match="one row for each pixel"):
        GPMap(SHAPE, np.zeros((COUNT, 0)), response=EdgeResponse(np.zeros((3, 2)), np.zeros(2)))
