"""Mixture beliefs: moments, merging, jumps, circular uniform entries, refused input."""

import dataclasses

import jax
import numpy as np
import pytest

from reconstruct.inference.belief import Belief, cov_sqrt_of, mixed, prior_belief, triangular
from twin.state import Entry, Layout

LAYOUT = Layout(
    (
        Entry("a", "1", 1.0, 2.0),
        Entry("b", "1", -3.0, 0.5),
        Entry("p", "angstrom", 0.0, 1.2, period=4.0),
        Entry("d", "1", 0.0, 1e-6),
    )
)
SCALE = np.array([2.0, 0.5, 1.2, 1e-6])


def mixture(seed: int = 0, components: int = 3, circular_uniform: tuple[str, ...] = ()) -> Belief:
    generator = np.random.default_rng(seed)
    weights = generator.uniform(0.5, 1.5, components)
    cov_sqrt = np.stack([triangular(SCALE[:, None] * generator.standard_normal((4, 6))) for _ in range(components)])
    return Belief(
        LAYOUT,
        5,
        weights / weights.sum(),
        SCALE[None] * generator.standard_normal((components, 4)),
        cov_sqrt,
        circular_uniform,
    )


def scaled(covariance: np.ndarray) -> np.ndarray:
    return covariance / SCALE[:, None] / SCALE[None, :]


def test_square_roots_of_covariances():
    root = np.random.default_rng(1).standard_normal((4, 7)) * SCALE[:, None]
    lower = triangular(root)
    assert np.all(np.diag(lower) > 0)
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_allclose(scaled(lower @ lower.T), scaled(root @ root.T), atol=1e-12)
    restored = cov_sqrt_of(root @ root.T)
    np.testing.assert_allclose(scaled(restored @ restored.T), scaled(root @ root.T), atol=1e-12)


def test_moments_are_those_of_samples():
    belief = mixture()
    states = belief.sample(200_000, np.random.default_rng(2))
    std = np.sqrt(np.diag(belief.covariance))
    np.testing.assert_allclose((states.mean(axis=0) - belief.mean) / std, 0.0, atol=0.01)
    np.testing.assert_allclose(
        np.cov(states.T) / std[:, None] / std[None], belief.covariance / std[:, None] / std[None], atol=0.02
    )
    np.testing.assert_allclose(belief.std, std)
    alone = mixture(components=1)
    np.testing.assert_allclose(scaled(alone.covariance), scaled(alone.cov_sqrt[0] @ alone.cov_sqrt[0].T), atol=1e-12)


def test_a_sample_has_each_component_in_its_share():
    """Stratified: the count of each component is off by one at most."""
    far = np.array([[0.0, 0, 0, 0], [1e3, 0, 0, 0]])
    belief = Belief(LAYOUT, 0, np.array([0.3, 0.7]), far, np.stack([np.diag(SCALE)] * 2))
    for seed in range(20):
        assert abs((belief.sample(99, np.random.default_rng(seed))[:, 0] > 500).sum() - 69.3) <= 1.0


def test_the_prior():
    belief = prior_belief(LAYOUT, 7)
    np.testing.assert_array_equal(belief.mean, LAYOUT.prior_mean())
    np.testing.assert_allclose(belief.std, LAYOUT.prior_std())
    assert belief.time == 7


@pytest.mark.parametrize(("most", "nearness"), [(2, 0.0), (1, 0.0), (4, 1e9)])
def test_joining_keeps_mean_and_covariance(most, nearness):
    belief = mixture(components=4)
    joined = belief.reduced(max_components=most, min_weight_ratio=0.0, merge_distance=nearness)
    assert len(joined.weights) == (1 if nearness else most)
    assert joined.weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(joined.mean, belief.mean, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(scaled(joined.covariance), scaled(belief.covariance), rtol=1e-6, atol=1e-8)


def test_two_beliefs_become_alternatives():
    first, second = mixture(0, 2), mixture(1, 1)
    apart = dataclasses.replace(second, means=second.means + 50.0)
    mixture_ = mixed(first, apart, 0.25)
    assert mixture_.weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(mixture_.mean, 0.75 * first.mean + 0.25 * apart.mean, atol=1e-9)
    assert np.abs(mixed(first, apart, 1.0).mean - apart.mean).max() < 1e-9
    with pytest.raises(ValueError, match="cannot be alternatives"):
        mixed(first, dataclasses.replace(apart, time=7), 0.5)


def test_light_components_are_dropped_and_distant_ones_kept():
    means = np.array([[0.0, 0, 0, 0], [20.0, 0, 0, 0], [40.0, 0, 0, 0]])
    belief = Belief(LAYOUT, 0, np.array([0.5995, 0.4, 0.0005]), means, np.stack([np.diag(SCALE)] * 3))
    left = belief.reduced()
    np.testing.assert_allclose(left.weights, np.array([0.5995, 0.4]) / 0.9995)
    np.testing.assert_array_equal(left.means, means[:2])


def test_a_jump_adds_its_mean_and_variance():
    belief = mixture()
    mean, std = np.array([3.0, 0.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0, 1e-6])
    updated = belief.widened(mean, std)
    np.testing.assert_allclose(updated.mean, belief.mean + mean)
    np.testing.assert_allclose(scaled(updated.covariance), scaled(belief.covariance + np.diag(std**2)), atol=1e-10)
    assert updated.circular_uniform == ()


def test_circular_uniform_entries_are_independent():
    belief = mixture().widened(np.zeros(4), np.zeros(4), ("p",))
    others = [0, 1, 3]
    before = mixture()
    np.testing.assert_allclose(
        scaled(belief.covariance)[np.ix_(others, others)], scaled(before.covariance)[np.ix_(others, others)], atol=1e-10
    )
    np.testing.assert_allclose(belief.covariance[2, others], 0.0, atol=1e-15)
    assert belief.circular_uniform == ("p",)
    assert belief.std[2] == pytest.approx(4.0 / np.sqrt(12))
    states = belief.sample(20_000, np.random.default_rng(0))
    phase = states[:, 2]
    assert phase.min() >= 0
    assert phase.max() < 4
    # Kolmogorov's distance from the uniform distribution, and no correlation with what else there is
    assert np.abs(np.sort(phase) / 4 - np.arange(20_000) / 20_000).max() < 1e-3
    assert np.abs(np.corrcoef(states.T)[2, others]).max() < 0.04
    assert belief.widened(np.zeros(4), np.zeros(4), ("p",)).circular_uniform == ("p",)


def test_invalid_beliefs_are_refused():
    belief = mixture()
    for field in ("weights", "means", "cov_sqrt"):
        broken = getattr(belief, field).copy()
        broken.flat[0] = np.nan
        with pytest.raises(ValueError, match="must be finite"):
            dataclasses.replace(belief, **{field: broken})
    with pytest.raises(ValueError, match="3 components over 4 entries"):
        dataclasses.replace(belief, means=belief.means[:, :3])


def test_single_precision_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="jax_enable_x64"):
            prior_belief(LAYOUT, 0)
    finally:
        jax.config.update("jax_enable_x64", True)
