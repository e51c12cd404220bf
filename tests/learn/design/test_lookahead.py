"""Look-ahead: a measured step equals dense conditioning, and the plan is the best of all plans."""

import itertools

import numpy as np
import pytest

from learn.design.lookahead import Step, best_plan

GENERATOR = np.random.default_rng(11)
COUNT, PARAMETERS, PIXELS = 5, 3, 12


def a_step() -> Step:
    slopes = GENERATOR.standard_normal((PIXELS, PARAMETERS))
    walk = 0.3 * GENERATOR.standard_normal((COUNT, COUNT))
    return Step(
        transition=np.eye(COUNT) + 0.1 * GENERATOR.standard_normal((COUNT, COUNT)),
        noise=walk @ walk.T,
        jacobian=GENERATOR.standard_normal((PARAMETERS, COUNT)),
        weight=slopes.T @ slopes / PIXELS,
        information=slopes.T @ slopes * float(GENERATOR.uniform(0.1, 3.0)),
        floor=0.01,
        floor_measured=0.004,
        ceiling=50.0,
    )


def test_a_measured_step_is_conditioning_on_its_pixels():
    root = GENERATOR.standard_normal((COUNT, COUNT))
    covariance = root @ root.T
    slopes, noise = GENERATOR.standard_normal((PIXELS, PARAMETERS)), GENERATOR.uniform(0.5, 2.0, PIXELS)
    step = a_step()
    step = Step(
        step.transition, step.noise, step.jacobian, step.weight, slopes.T @ (slopes / noise[:, None]), 0.0, 0.0, 50.0
    )
    rows = slopes @ step.jacobian
    gain = covariance @ rows.T @ np.linalg.inv(rows @ covariance @ rows.T + np.diag(noise))
    np.testing.assert_allclose(step.measured(covariance), covariance - gain @ rows @ covariance, atol=1e-9)


def loss_of(covariance: np.ndarray, steps: list[Step], measured: tuple[int, ...]) -> float:
    loss = 0.0
    for number, step in enumerate(steps):
        covariance = step.transition @ covariance @ step.transition.T + step.noise
        if number in measured:
            covariance = step.measured(covariance)
        loss += step.error(covariance, step.floor_measured if number in measured else None)
    return loss


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_best_plan_is_the_best_of_all_plans(most):
    steps = [a_step() for _ in range(5)]
    plans = [plan for size in range(most + 1) for plan in itertools.combinations(range(5), size)]
    losses = {plan: loss_of(np.eye(COUNT), steps, plan) for plan in plans}
    plan_found = best_plan(np.eye(COUNT), steps, most)
    assert plan_found.answer_first == pytest.approx(min(losses[plan] for plan in plans if 0 not in plan))
    assert plan_found.measure_first == pytest.approx(min(losses[plan] for plan in plans if 0 in plan))
    assert losses[plan_found.measured] == pytest.approx(plan_found.measure_first)


def test_without_measurements_left_measuring_is_no_plan():
    plan = best_plan(np.eye(COUNT), [a_step()], 0)
    assert np.isfinite(plan.answer_first)
    assert plan.gain == -np.inf


def test_an_error_is_never_more_than_knowing_nothing():
    step = a_step()
    assert step.error(1e6 * np.eye(COUNT)) == pytest.approx(np.sqrt(50.01))
