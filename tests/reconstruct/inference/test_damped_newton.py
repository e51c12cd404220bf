"""Damped Newton steps: minima where SciPy finds them, starts that do not touch each other, rank-deficient, bounded and unusable problems."""

from typing import Any, cast

import numpy as np
import pytest
from scipy.optimize import least_squares, rosen, rosen_der

from reconstruct.inference.damped_newton import Quadratic, SingleMinimum, minimise, minimise_single

TIMES = np.linspace(0.0, 3.0, 40)


def rosenbrock(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals [..., 2] and their derivatives [..., 2, 2]."""
    x, y = z[..., 0], z[..., 1]
    unit, zero = np.ones_like(x), np.zeros_like(x)
    residual = np.stack([10.0 * (y - x**2), 1.0 - x], axis=-1)
    return residual, np.stack([np.stack([-20.0 * x, 10.0 * unit], axis=-1), np.stack([-unit, zero], axis=-1)], axis=-2)


def decay(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals [..., t] of a exp(-b t) + c about 2 exp(-1.3 t) + 0.5 with an error, and their derivatives [..., t, 3]."""
    a, b = z[..., :1], z[..., 1:2]
    falling = np.exp(-b * TIMES)
    data = 2.0 * np.exp(-1.3 * TIMES) + 0.5 + 0.05 * np.sin(17.0 * TIMES)
    slopes = np.stack([falling, -a * TIMES * falling, np.ones_like(falling)], axis=-1)
    return a * falling + z[..., 2:] - data, slopes


def squares(problem, z: np.ndarray) -> Quadratic:
    """The sum of squares of a problem's residuals at z [k, p]."""
    residual, slopes = problem(z)
    transposed = slopes.swapaxes(-1, -2)
    gradient = (transposed @ residual[..., None])[..., 0]
    return Quadratic(0.5 * (residual**2).sum(axis=-1), gradient, transposed @ slopes, (residual,))


def single(problem, start, max_steps: int = 100, tolerance: float = 1e-12, **bounds) -> SingleMinimum:
    def evaluate(z: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        cost, gradient, curvature, _ = squares(problem, z[None])
        return float(cost[0]), gradient[0], curvature[0]

    return minimise_single(evaluate, np.array(start), max_steps, tolerance, **bounds)


def by_scipy(problem, start, **options: Any) -> Any:
    def residual(z: np.ndarray) -> np.ndarray:
        return problem(z)[0]

    def slopes(z: np.ndarray) -> Any:
        return problem(z)[1]

    return least_squares(residual, start, cast(Any, slopes), **options)


@pytest.mark.smoke
def test_rosenbrocks_valley_is_followed_to_its_end():
    start = np.array([-1.2, 1.0])
    minimum = single(rosenbrock, start)
    np.testing.assert_allclose(minimum.position, [1.0, 1.0], atol=1e-6)
    assert minimum.converged
    expected = by_scipy(rosenbrock, start, method="lm")
    assert minimum.steps <= 2 * expected.nfev
    cost, gradient, _, _ = squares(rosenbrock, start[None])
    assert 2.0 * cost[0] == pytest.approx(rosen(start))
    np.testing.assert_allclose(2.0 * gradient[0], rosen_der(start))


def test_residuals_that_do_not_vanish_are_fitted_as_scipy_does():
    minimum = single(decay, [1.0, 0.3, 0.0])
    expected = by_scipy(decay, [1.0, 0.3, 0.0], xtol=1e-14, ftol=1e-14)
    np.testing.assert_allclose(minimum.position, expected.x, rtol=1e-5)
    assert minimum.cost == pytest.approx(expected.cost, rel=1e-10)
    np.testing.assert_allclose(minimum.curvature, expected.jac.T @ expected.jac, rtol=1e-4)


def test_a_batch_is_its_starts_one_by_one():
    generator = np.random.default_rng(0)
    starts = np.array([1.0, 1.0]) + generator.normal(size=(7, 2)) * np.array([1.0, 2.0])
    starts[3] = 1.0
    batch = minimise(lambda z: squares(rosenbrock, z), starts, 100, 1e-12)
    singles = [single(rosenbrock, start) for start in starts]
    np.testing.assert_allclose(batch.position, [minimum.position for minimum in singles], atol=1e-6)
    assert batch.steps == max(minimum.steps for minimum in singles) > 1
    assert singles[3].steps == 1
    assert batch.converged.all()
    np.testing.assert_allclose(batch.details[0], rosenbrock(batch.position)[0], atol=1e-15)


def test_worse_starts_of_a_batch_converge_less_far():
    """Two valleys, one much higher: the tolerance grows with the height, which ends the steps earlier."""
    far, near = np.array([1.0, 0.3, 0.0]), single(decay, [1.0, 0.3, 0.0]).position

    def steps(height: float) -> int:
        def evaluate(z: np.ndarray) -> Quadratic:
            cost, gradient, curvature, _ = squares(decay, z)
            return Quadratic(cost + np.array([0.0, height]), gradient, curvature)

        minimum = minimise(evaluate, np.stack([near, far]), 100, 1e-6)
        assert minimum.converged.all()
        return minimum.steps

    assert steps(1e6) < steps(0.0)


def test_a_direction_without_information_keeps_its_value():
    """Only the sum of the first two enters; the third does not at all."""

    def problem(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = np.exp(z[..., :1] + z[..., 1:2]), np.array([1.0, 1.0, 0.0])
        return value - 3.0, value[..., None] * slope

    minimum = single(problem, [0.2, -0.1, 7.0])
    assert minimum.converged
    assert minimum.position[0] + minimum.position[1] == pytest.approx(np.log(3.0), abs=1e-6)
    # the shortest of all steps there
    assert minimum.position[0] - minimum.position[1] == pytest.approx(0.3, abs=1e-6)
    assert minimum.position[2] == 7.0


@pytest.mark.parametrize(
    ("low", "high"), [((-2.0, -2.0), (0.5, 2.0)), ((-2.0, 0.8), (0.5, 2.0)), ((1.2, -2.0), (3.0, 1.0))]
)
def test_bounds_are_kept_as_scipy_keeps_them(low, high):
    start = np.clip([-1.2, 1.0], low, high)
    minimum = single(rosenbrock, start, low=np.array(low), high=np.array(high))
    inside = np.clip(start, np.array(low) + 1e-3, np.array(high) - 1e-3)
    expected = by_scipy(rosenbrock, inside, bounds=(low, high), xtol=1e-14, ftol=1e-14)
    np.testing.assert_allclose(minimum.position, expected.x, atol=1e-4)
    assert minimum.converged
    assert (minimum.position >= low).all()
    assert (minimum.position <= high).all()


def test_no_step_changes_a_parameter_by_more_than_it_may():
    positions = []

    def evaluate(z: np.ndarray) -> Quadratic:
        positions.append(z[0])
        return squares(decay, z)

    minimise(evaluate, np.array([[5.0, 4.0, -3.0]]), 30, max_change=0.1)
    accepted = [positions[0]]
    for position in positions[1:]:
        assert np.abs(position - accepted[-1]).max() <= 0.1 + 1e-12
        costs = squares(decay, np.stack([position, accepted[-1]])).cost
        if costs[0] < costs[1]:
            accepted.append(position)
    assert len(accepted) > 20


def test_scoring_finds_the_maximum_of_a_poisson_likelihood():
    """A straight line in the logarithm: the likelihood is concave, and the score vanishes at its maximum alone."""
    generator, x = np.random.default_rng(1), np.linspace(-1.0, 1.0, 200)
    basis = np.stack([np.ones_like(x), x])
    counts = generator.poisson(np.exp(2.0 + 0.7 * x))

    def evaluate(z: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        mean = np.exp(z @ basis)
        return float((mean - counts * np.log(mean)).sum()), basis @ (mean - counts), (basis * mean) @ basis.T

    minimum = minimise_single(evaluate, np.zeros(2), 50, 1e-10)
    assert minimum.converged
    np.testing.assert_allclose(evaluate(minimum.position)[1], 0.0, atol=1e-3)
    assert (np.abs(minimum.position - [2.0, 0.7]) < 4.0 * np.sqrt(np.diag(np.linalg.inv(minimum.curvature)))).all()


def test_what_is_not_finite_is_never_accepted():
    """Beyond x = 1.5 nothing is defined, and the first start is there: it stays, and the others converge."""

    def evaluate(z: np.ndarray) -> Quadratic:
        results = squares(rosenbrock, np.where(z[:, :1] > 1.5, np.nan, z))
        return Quadratic(*results[:3])

    starts = np.array([[2.0, 0.0], [-1.2, 1.0], [1.4, 1.0]])
    minimum = minimise(evaluate, starts, 100, 1e-12)
    np.testing.assert_allclose(minimum.position[1:], 1.0, atol=1e-6)
    np.testing.assert_array_equal(minimum.position[0], starts[0])
    np.testing.assert_array_equal(minimum.converged, [False, True, True])
    assert minimum.cost[0] == np.inf
    everywhere = minimise(evaluate, starts[:1], 100, 1e-12)
    assert not everywhere.converged.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_step_to_a_cost_that_is_not_finite_is_not_taken(value):
    """A parabola whose full step from 0 to 2 crosses into x > 1.5, where there is no cost: shorter steps go up to there."""

    def evaluate(z: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return (value if z[0] > 1.5 else float((z[0] - 2.0) ** 2)), 2.0 * (z - 2.0), 2.0 * np.eye(1)

    minimum = minimise_single(evaluate, np.zeros(1), 100, 1e-9)
    assert 1.0 < minimum.position[0] <= 1.5
    assert not minimum.converged


def test_a_gradient_that_points_uphill_ends_the_search():
    def evaluate(z: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return float(z @ z), -2.0 * z, 2.0 * np.eye(2)

    minimum = minimise_single(evaluate, np.ones(2), 100, 1e-9)
    assert not minimum.converged
    assert minimum.steps < 12
    np.testing.assert_array_equal(minimum.position, 1.0)
