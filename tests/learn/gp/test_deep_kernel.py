"""The deep kernel: its objective and covariance against formulae and the plain kernel, and its maps on data whose truth is known."""

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

import learn.gp.deep_kernel.model as model_module
from learn.gp.deep_kernel import ComparedMap, DeepGPMap, patch_inputs
from learn.gp.deep_kernel.network import Layout, PatchNetwork, count, parameters
from learn.gp.deep_kernel.process import (
    Data,
    DeepKernel,
    Pixels,
    kernel_of,
    log_density,
    log_posterior,
    predicted,
    process,
)
from learn.gp.kernels import map_covariance, map_prior
from learn.gp.spectra import GPMap, MapPrediction
from reconstruct.eels.columns import EdgeResponse

SHAPE = (8, 7)
COUNT = 56
INPUTS = 4


def _inputs(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((COUNT, INPUTS))


def _model(case: int = 0, harmonics: int = 0, **options: int) -> DeepGPMap:
    rng = np.random.default_rng(90 + case)
    response = EdgeResponse(0.3 * rng.standard_normal((COUNT, harmonics)), np.linspace(0.2, 0.4, harmonics))
    inputs = _inputs(case)
    return DeepGPMap(
        SHAPE, inputs[:, :2], inputs[:, 2:], response=response, **{"width": 5, "outputs": 2, "chains": 4, **options}
    )


def _drawn(model: DeepGPMap, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A map drawn from the prior of the model, network and all, and one record of it with a noise of a tenth of its variance."""
    rng = np.random.default_rng(seed)
    layout = model._layout
    given = parameters(jnp.asarray(rng.standard_normal(count(layout))), layout)
    pixels = model._pixels(np.arange(COUNT), 0)
    matrix = np.asarray(kernel_of(given, model._data(np.arange(3), np.zeros(3), np.ones(3)))(pixels, pixels)) - 25.0
    truth = np.linalg.cholesky(matrix + 1e-9 * np.eye(COUNT)) @ rng.standard_normal(COUNT)
    return truth, truth + np.sqrt(0.1 * truth.var()) * rng.standard_normal(COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("harmonics", [0, 2])
def test_the_gradient_is_right(harmonics: int) -> None:
    model = _model(1, harmonics)
    chosen = np.arange(0, COUNT, 2)
    rng = np.random.default_rng(3)
    data = model._data(chosen, rng.standard_normal(chosen.size), np.full(chosen.size, 0.02))
    layout = model._layout
    vector = 0.5 * rng.standard_normal(count(layout))
    density = jax.jit(jax.value_and_grad(lambda at: log_posterior(at, data, layout)))
    gradient = np.asarray(density(jnp.asarray(vector))[1])
    for k in range(vector.size):
        step = 1e-5 * np.eye(vector.size)[k]
        up, down = (float(density(jnp.asarray(vector + sign * step))[0]) for sign in (1, -1))
        assert gradient[k] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-5), k


@pytest.mark.slow
def test_without_a_deep_part_it_is_the_plain_kernel() -> None:
    """Density, mean and variance by the formulae in numpy, padding included."""
    model, chosen = _model(2), np.arange(0, COUNT, 3)
    layout = model._layout
    rng = np.random.default_rng(4)
    values, noise = rng.standard_normal(chosen.size), np.full(chosen.size, 0.05)
    given = parameters(jnp.asarray(0.3 * rng.standard_normal(count(layout))), layout)
    given = eqx.tree_at(lambda it: it.amplitude, given, jnp.array(-1e3))
    data = model._data(chosen, values, noise)
    theta = jnp.asarray(model.prior.mean + model.prior.std * np.asarray(given.plain))
    where, inputs = jnp.asarray(model.positions), jnp.asarray(model.features)
    prior = np.asarray(map_covariance(theta, where, inputs, where, inputs, jnp.eye(COUNT)))
    inner = prior[np.ix_(chosen, chosen)] + 0.05 * np.eye(chosen.size)
    expected = -0.5 * values @ np.linalg.solve(inner, values) - 0.5 * np.linalg.slogdet(2 * np.pi * inner)[1]
    padding = -0.5 * (data.values.size - chosen.size) * np.log(2 * np.pi)
    made = process(given, data)
    ours = log_density(made.covariance, data.values)
    assert float(ours) == pytest.approx(float(made.log_probability(data.values)), rel=1e-12)
    assert float(made.log_probability(data.values)) == pytest.approx(expected + padding, rel=1e-6)
    gain = np.linalg.solve(inner, prior[chosen]).T
    everywhere: Any = model._pixels(np.arange(COUNT), 0)
    posterior = made.condition(data.values, everywhere, diag=jnp.zeros(())).gp
    np.testing.assert_allclose(posterior.loc, gain @ values, atol=1e-6)
    np.testing.assert_allclose(posterior.covariance, prior - gain @ prior[chosen], atol=1e-6)
    np.testing.assert_allclose(posterior.variance, np.diag(prior - gain @ prior[chosen]), atol=1e-6)


def test_an_identity_for_a_network_is_the_plain_kernel() -> None:
    """The deep part over the inputs themselves is the plain kernel's local part where that extends over the whole map."""
    model, inputs = _model(3), _inputs(3)
    lengths = np.linspace(0.3, 0.8, INPUTS)
    pixels = model._pixels(np.arange(COUNT), 0)
    mean = map_prior(8.0, INPUTS).mean
    mean[5:7], mean[7:] = 20.0, lengths
    none = np.array(map_prior(8.0, 2).mean)
    none[4] = -400.0
    scaled = pixels._replace(inputs=pixels.inputs * np.exp(-lengths)[None, :])
    past = jnp.full(INPUTS, 1e12)  # nothing goes past the network
    deep = DeepKernel(jnp.asarray(none), jnp.asarray(np.exp(mean[4])), past, eqx.nn.Identity(), jnp.zeros(0))
    where, every = jnp.asarray(model.positions), jnp.asarray(inputs)
    expected = map_covariance(jnp.asarray(mean), where, every, where, every, jnp.eye(COUNT))
    np.testing.assert_allclose(deep(scaled, scaled), expected, rtol=1e-9)


@pytest.mark.slow
def test_one_pair_of_pixels_and_all_agree() -> None:
    model = _model(4, 2)
    layout = model._layout
    given = parameters(jnp.asarray(np.random.default_rng(5).standard_normal(count(layout))), layout)
    kernel = kernel_of(given, model._data(np.arange(3), np.zeros(3), np.ones(3)))
    pixels = model._pixels(np.arange(6), 1)
    every = np.asarray(kernel(pixels, pixels))
    np.testing.assert_allclose(kernel(pixels), np.diag(every), rtol=1e-12)
    single = [Pixels(*(leaf[k] for leaf in pixels)) for k in range(7)]
    np.testing.assert_allclose(kernel.evaluate(single[1], single[4]), every[1, 4], rtol=1e-12)
    assert np.all(every[6] == 0.0)
    assert np.linalg.eigvalsh(every[:6, :6]).min() > 0


def test_a_feature_varies_by_about_one() -> None:
    """Over draws of the prior, for few and many inputs and units."""
    for size, width in ((4, 8), (16, 8), (8, 64)):
        spreads = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            layout = Layout(1, size, width, 2)
            network = parameters(jnp.asarray(rng.standard_normal(count(layout))), layout).network
            assert isinstance(network, PatchNetwork)
            spreads.append(np.asarray(network(jnp.asarray(rng.standard_normal((50, size))))).std(0))
        assert 0.3 < np.median(spreads) < 1.2


@pytest.mark.slow
def test_intervals_cover_maps_drawn_from_the_prior() -> None:
    """And do not where the network is trained to the end by the marginal likelihood alone, without the guard."""
    guarded, unguarded = [], []
    for seed in range(14):
        model = _model(seed)
        truth, values = _drawn(model, seed)
        chosen = np.random.default_rng(seed).permutation(COUNT)[:24]
        others, noise = np.setdiff1d(np.arange(COUNT), chosen), np.full(24, 0.1 * truth.var())
        prediction = model.predict(chosen, values[chosen], noise)
        guarded.append((truth - prediction.mean)[others] / prediction.std[others])
        mean, std = _trained_to_the_end(model, chosen, values[chosen], noise)
        unguarded.append((truth - mean)[others] / std[others])
    assert 0.84 < (np.abs(np.concatenate(guarded)) < 1.645).mean() < 0.96
    assert (np.abs(np.concatenate(unguarded)) < 1.645).mean() < 0.80


def _trained_to_the_end(
    model: DeepGPMap, chosen: np.ndarray, values: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation at the maximum of the marginal likelihood, without penalty."""
    centre, scale = values.mean(), values.std()
    data, layout = model._data(chosen, (values - centre) / scale, noise / scale**2), model._layout
    optimiser = optax.adam(0.05)

    @jax.jit
    def train(vector: jax.Array, data: Data) -> jax.Array:
        def step(carry: tuple, _: None) -> tuple[tuple, None]:
            at, state = carry
            slope = jax.grad(lambda v: -log_posterior(v, data, layout) - 0.5 * v @ v)(at)
            changes, state = optimiser.update(jnp.nan_to_num(slope), state)
            return (optax.apply_updates(at, changes), state), None

        return jax.lax.scan(step, (vector, optimiser.init(vector)), None, length=600)[0][0]

    vector = train(jnp.asarray(0.5 * np.random.default_rng(0).standard_normal(count(layout))), data)
    made = predicted(vector, model._pixels(np.arange(COUNT), 0), data, layout)
    return centre + scale * np.asarray(made.mean), scale * np.sqrt(np.maximum(np.asarray(made.variance), 1e-12))


@pytest.mark.slow
def test_the_same_calls_give_the_same_map_in_any_unit() -> None:
    _truth, values = _drawn(_model(5), 5)
    first, then = np.arange(0, COUNT, 5), np.arange(0, COUNT, 3)

    def last(factor: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        model = _model(5, seed=seed)
        for chosen in (first, then):
            prediction = model.predict(chosen, factor * values[chosen], np.full(chosen.size, factor**2 * 0.01))
        return prediction.mean, prediction.std, prediction.covariance

    mean, std, covariance = last(1.0)
    for factor in (1.0, 1024.0):
        again = last(factor)
        np.testing.assert_array_equal(again[0], factor * mean)
        np.testing.assert_array_equal(again[1], factor * std)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), std, rtol=1e-6)
    other = last(1.0, seed=1)[0]
    assert 0 < np.abs(other - mean).max() < 1.5 * std.max()


@pytest.mark.slow
def test_the_better_model_gets_the_weight() -> None:
    """A map that only the inputs explain, in one direction that no single input has, across a map without order; and inputs that explain nothing."""
    rng = np.random.default_rng(7)
    inputs = rng.standard_normal((COUNT, INPUTS))
    truth = 2.0 * np.tanh(1.5 * (inputs @ np.array([0.6, -0.5, 0.4, 0.5])))
    values = truth + 0.1 * rng.standard_normal(COUNT)
    chosen, noise, nothing = rng.permutation(COUNT)[:40], np.full(40, 0.01), np.zeros((COUNT, 0))

    def followed(both: ComparedMap) -> MapPrediction:
        for size in (12, 20, 40):
            made = both.predict(chosen[:size], values[chosen[:size]], noise[:size])
        return made

    both = ComparedMap(GPMap(SHAPE, nothing), DeepGPMap(SHAPE, nothing, inputs, width=5, outputs=2, chains=4))
    used = followed(both)
    assert both.evidence.count == 28
    assert both.evidence.weight > 0.95
    others = np.setdiff1d(np.arange(COUNT), chosen)
    assert np.mean((used.mean - truth)[others] ** 2) < 0.5 * truth.var()
    apart = rng.standard_normal((COUNT, INPUTS))
    empty = ComparedMap(GPMap(SHAPE, inputs), DeepGPMap(SHAPE, nothing, apart, width=5, outputs=2, chains=4))
    followed(empty)
    assert empty.evidence.weight < 0.05
    with pytest.raises(ValueError, match="same shape"):
        ComparedMap(GPMap((2, 2), np.zeros((4, 0))), _model(7))


class _Told:
    """A model of two pixels whose predictions are given."""

    shape, positions = (1, 3), np.zeros((3, 2))

    def __init__(self, mean: float, variance: float):
        self.made = MapPrediction(np.full(3, mean), variance * np.eye(3))

    def predict(self, *_: np.ndarray) -> MapPrediction:
        return self.made


def test_the_average_is_a_mixture_by_what_was_predicted_before() -> None:
    """Values that are known when a model is trained tell nothing of it: the weights come from the next ones, as they were predicted."""
    both: Any = ComparedMap.__new__(ComparedMap)
    inspect.unwrap(ComparedMap.__init__)(both, _Told(1.0, 0.2), _Told(3.0, 0.5))
    first, noise = np.array([1.0]), np.array([0.1, 0.1])
    made = both.predict(np.array([0]), first, noise[:1])
    np.testing.assert_allclose(made.mean, 2.0)  # as probable at first
    np.testing.assert_allclose(
        made.covariance, 0.35 * np.eye(3) + 1.0
    )  # mean of the variances, and half their distance squared
    made = both.predict(np.array([0, 2]), np.array([1.0, 2.5]), noise)
    nats = norm.logpdf(2.5, 3.0, np.sqrt(0.6)) - norm.logpdf(2.5, 1.0, np.sqrt(0.3))
    assert both.evidence.nats == pytest.approx(nats)
    weight = 1.0 / (1.0 + np.exp(-nats))
    np.testing.assert_allclose(made.mean, 1.0 + 2.0 * weight)
    again = both.predict(np.array([0, 2]), np.array([1.0, 2.5]), noise)  # nothing new
    np.testing.assert_array_equal(again.mean, made.mean)


@pytest.mark.slow
def test_many_values_are_all_in_the_map_but_not_in_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """With parameters by 20 of 48 values of little noise, the map goes through all of them."""
    monkeypatch.setattr(model_module, "MOST_TRAINED", 20)
    model = _model(10)
    truth, _ = _drawn(model, 10)
    chosen = np.random.default_rng(10).permutation(COUNT)[:48]
    noise = np.full(48, 1e-3 * truth.var())
    prediction = model.predict(chosen, truth[chosen], noise)
    assert np.abs(prediction.mean - truth)[chosen].max() < 0.25 * truth.std()
    np.testing.assert_allclose(prediction.covariance, prediction.covariance.T, atol=1e-9 * truth.var())
    assert np.linalg.eigvalsh(prediction.covariance).min() > -1e-9 * truth.var()


def test_patches_do_not_know_the_gain() -> None:
    image = np.random.default_rng(8).random((48, 40))
    inputs = patch_inputs(image, 8)
    assert inputs.shape == (30, 8)
    np.testing.assert_allclose(patch_inputs(25.0 * image + 1700.0, 8), inputs, atol=1e-6)
    spreads = inputs.std(0)
    assert spreads[0] == pytest.approx(1.0)
    assert (np.diff(spreads) <= 1e-12).all()
    np.testing.assert_array_equal(patch_inputs(np.full((48, 40), 5.0), 8), np.zeros((30, 8)))
    with pytest.raises(ValueError, match="blocks"):
        patch_inputs(image[:-1], 8)
    with pytest.raises(ValueError, match="components"):
        patch_inputs(image, 8, components=0)


def test_a_patch_sees_beyond_its_own_block() -> None:
    """A bright column in the next block: the features of the block's own moments do not show which side it is on, the patch does."""
    image = np.zeros((40, 40))
    image[4::16, 4::16] = 1.0
    inputs = patch_inputs(image, 8, components=4).reshape(5, 5, -1)
    right, left = inputs[2, 1], inputs[2, 3]  # between columns: periodic, and mirrored in the middle
    assert np.abs(right - inputs[1, 2]).max() > 0.1
    assert np.abs(left - right).max() < 0.5


def test_bad_input_is_refused() -> None:
    model, noise = _model(9), np.full(4, 0.01)
    with pytest.raises(ValueError, match="different"):
        model.predict(np.array([1, 1, 2, 3]), np.zeros(4), noise)
    with pytest.raises(ValueError, match="finite"):
        model.predict(np.arange(4), np.array([1.0, np.nan, 2.0, 3.0]), noise)
    with pytest.raises(ValueError, match="each pixel"):
        DeepGPMap((3, 3), _inputs(0), _inputs(0))
    with pytest.raises(ValueError, match="finite"):
        DeepGPMap((1, 2), np.zeros((2, 0)), np.array([[1.0], [np.inf]]))
    with pytest.raises(ValueError, match="use GPMap"):
        DeepGPMap(SHAPE, np.zeros((COUNT, 0)), np.zeros((COUNT, 0)))
    with pytest.raises(ValueError, match="no network"):
        DeepGPMap(SHAPE, _inputs(0), _inputs(0), width=0)
    with pytest.raises(ValueError, match="one row for each pixel"):
        DeepGPMap(SHAPE, _inputs(0), _inputs(0), response=EdgeResponse(np.zeros((3, 2)), np.zeros(2)))
    with jax.enable_x64(False), pytest.raises(ValueError, match="x64"):
        model.predict(np.arange(4), np.zeros(4), noise)
