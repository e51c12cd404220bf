"""What an image is expected to tell of a mixture of Gaussians: against Gaussian updates, and against many drawn images."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import multivariate_normal

from learn.design.ambiguity import Components, Response, components_of, confusion, expected_variances
from reconstruct.inference.belief import Belief, cov_sqrt_of
from twin.state import Entry, Layout

RNG = np.random.default_rng(5)
LAYOUT = Layout((Entry("C10", "angstrom", 0.0, 60.0), Entry("C12.a", "angstrom", 0.0, 5.0)))
ROWS = np.eye(2)


def mixture(weights: list[float], means: list[list[float]], covariances: list[np.ndarray]) -> Components:
    return Components(np.array(weights), np.array(means), np.stack([cov_sqrt_of(each) for each in covariances]))


def test_one_component_is_a_gaussian_update() -> None:
    covariance = np.array([[9.0, 1.0], [1.0, 4.0]])
    jacobian = RNG.normal(size=(7, 2))
    made = expected_variances(
        mixture([1.0], [[0.0, 0.0]], [covariance]), ROWS, Response(np.zeros((1, 7)), jacobian[None], 1.0), 5
    )
    for count in range(1, 6):
        after = np.linalg.inv(np.linalg.inv(covariance) + count * jacobian.T @ jacobian)
        np.testing.assert_allclose(made[count - 1], np.diag(after), rtol=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.97])
def test_confusion_is_the_mean_over_drawn_data(share: float) -> None:
    squares = np.array([0.0, 0.3, 2.0, 9.0, 30.0])
    made = confusion(squares, share)
    logit = np.log(share / (1.0 - share))
    for square, value in zip(squares, made, strict=True):
        ratio = 0.5 * square + np.sqrt(square) * RNG.standard_normal(400_000)
        chance = [expit(sign * ratio + logit) for sign in (1.0, -1.0)]
        drawn = share * np.mean(chance[0] * (1 - chance[0])) + (1 - share) * np.mean(chance[1] * (1 - chance[1]))
        assert value == pytest.approx(drawn, rel=0.05, abs=1e-4)
    assert made[0] == pytest.approx(share * (1.0 - share))
    assert np.all(np.diff(made) < 0.0)


def test_variances_of_two_components_are_those_after_drawn_images() -> None:
    covariances = [np.diag([4.0, 1.0]), np.diag([2.0, 3.0])]
    components = mixture([0.7, 0.3], [[10.0, 0.0], [-6.0, 1.0]], covariances)
    images = np.array([[0.0, 1.0, 0.5], [1.2, 0.0, 0.0]])
    jacobians = 0.15 * RNG.normal(size=(2, 3, 2))
    variances = expected_variances(components, ROWS, Response(images, jacobians, 1.0), 1)[0]
    seen = [jacobian @ covariance @ jacobian.T + np.eye(3) for jacobian, covariance in zip(jacobians, covariances, strict=True)]  # fmt: skip
    total, draws = np.zeros(2), 3000
    for _ in range(draws):
        which = int(RNG.random() < 0.3)
        data = RNG.multivariate_normal(images[which], seen[which])
        weights = np.array(
            [components.weights[c] * multivariate_normal(images[c], seen[c]).pdf(data) for c in range(2)]
        )
        weights /= weights.sum()
        means, within = [], []
        for c in range(2):
            gain = covariances[c] @ jacobians[c].T @ np.linalg.inv(seen[c])
            means.append(components.means[c] + gain @ (data - images[c]))
            within.append(np.diag(covariances[c] - gain @ jacobians[c] @ covariances[c]))
        mean = weights @ np.array(means)
        total += weights @ (np.array(within) + (np.array(means) - mean) ** 2)
    # what tells components apart also shifts their means: left out, it counts for a few per cent
    np.testing.assert_allclose(variances, total / draws, rtol=0.12)
    alone = components._replace(means=np.repeat(components.means[:1], 2, axis=0))
    assert expected_variances(alone, ROWS, Response(images, jacobians, 1.0), 1)[0][0] < 0.5 * variances[0]


def test_a_wide_component_is_split_with_its_moments() -> None:
    covariance = np.array([[3600.0, 90.0], [90.0, 25.0]])
    belief = Belief(LAYOUT, 0, np.ones(1), np.array([[5.0, 1.0]]), cov_sqrt_of(covariance)[None])
    made = components_of(belief, np.array([1.0, 0.0]), 15.0, 50, 0.0)
    assert len(made.weights) > 5
    np.testing.assert_allclose(made.weights @ made.means, [5.0, 1.0], atol=1e-9)
    deviations = made.means - made.weights @ made.means
    whole = np.einsum("c,cij,ckj->ik", made.weights, made.roots, made.roots)
    whole += np.einsum("c,ci,cj->ij", made.weights, deviations, deviations)
    np.testing.assert_allclose(whole, covariance, rtol=1e-9)
    np.testing.assert_allclose([(root @ root.T)[0, 0] for root in made.roots], 15.0**2)
    np.testing.assert_allclose(made.variances(ROWS), np.diag(covariance), rtol=1e-9)
    narrow = components_of(belief, np.array([0.0, 1.0]), 15.0, 50)
    assert len(narrow.weights) == 1
