"""Plans of alignment images: close to the best of all plans, within their electrons; gains agree with dense conditioning."""

import dataclasses
import itertools

import numpy as np
import pytest

from learn.design.exposure_design import Exposure, Measurement, Question, Transition, best_series, gains, measurement
from learn.design.lookahead import Step

COUNT, PARAMETERS, PIXELS, STEPS = 4, 3, 12, 4


def a_question(seed: int, **changed) -> Question:
    generator = np.random.default_rng(seed)

    def slopes():
        return generator.standard_normal((PIXELS, PARAMETERS))

    def walk(size):
        root = size * generator.standard_normal((COUNT, COUNT))
        return root @ root.T

    jacobian = generator.standard_normal((PARAMETERS, COUNT))
    steps, transitions = [], []
    for _ in range(STEPS):
        step_slopes = slopes()
        steps.append(
            Step(
                np.eye(COUNT),
                walk(0.3),
                jacobian,
                step_slopes.T @ step_slopes / PIXELS,
                0.5 * step_slopes.T @ step_slopes,
                0.02,
                0.01,
                50.0,
            )
        )
        transitions.append(Transition(np.eye(COUNT), walk(0.05)))
    few = slopes()
    exposures = [Exposure(jacobian, dwell * few.T @ few, 1.0 + dwell) for dwell in (0.3, 1.5)]
    question = Question(
        np.eye(COUNT), steps, transitions, [exposures] * STEPS, cost=2.0, electrons=6.0, most=2, price=1e-4
    )
    return dataclasses.replace(question, **changed)


def loss_of(question: Question, measured: tuple[int, ...], exposed: dict[int, int]) -> float:
    """By conditioning a joint Gaussian on noisy linear observations, written with explicit pseudo-observations."""
    covariance, loss = question.covariance, 0.0

    def updated(covariance, jacobian, information):
        values, vectors = np.linalg.eigh(information)
        rows = (np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T) @ jacobian
        gain = covariance @ rows.T @ np.linalg.inv(rows @ covariance @ rows.T + np.eye(len(rows)))
        return covariance - gain @ rows @ covariance

    for number, (step, transition) in enumerate(zip(question.steps, question.transitions, strict=True)):
        covariance = step.transition @ covariance @ step.transition.T + step.noise
        if number in exposed:
            exposure = question.exposures[number][exposed[number]]
            covariance = updated(covariance, exposure.jacobian, exposure.information)
        covariance = transition.matrix @ covariance @ transition.matrix.T + transition.noise
        if number in measured:
            covariance = updated(covariance, step.jacobian, step.information)
        loss += step.error(covariance, step.floor_measured if number in measured else None)
    return loss


def every_plan(question: Question):
    """Loss of every allowed plan, indexed by the requests measured and the exposures taken."""
    for measured in itertools.chain.from_iterable(
        itertools.combinations(range(STEPS), size) for size in range(question.most + 1)
    ):
        for choice in itertools.product((None, 0, 1), repeat=STEPS):
            exposed = {step: index for step, index in enumerate(choice) if index is not None}
            spent = question.cost * len(measured)
            spent += sum(question.exposures[step][index].electrons for step, index in exposed.items())
            if spent <= question.electrons and not (question.passed and 0 in exposed):
                yield (measured, tuple(exposed.items())), loss_of(question, measured, exposed)


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_keeps_its_budget_says_its_loss_and_is_near_the_best_of_all(seed):
    question = a_question(seed)
    best = best_series(question)
    losses = dict(every_plan(question))
    assert best.loss == pytest.approx(losses[best.measured, best.exposed], rel=1e-9)
    assert best.electrons <= question.electrons
    assert len(best.measured) <= question.most
    nothing, least = losses[(), ()], min(losses.values())
    assert nothing - best.loss >= 0.9 * (nothing - least)


def test_more_electrons_or_measurements_never_make_a_plan_worse_by_much_and_none_means_none():
    losses = [best_series(a_question(1, electrons=electrons)).loss for electrons in (0.0, 2.0, 4.0, 8.0)]
    assert all(later <= before * 1.01 for before, later in itertools.pairwise(losses))
    assert losses[-1] < 0.9 * losses[0]
    nothing = best_series(a_question(1, electrons=0.0))
    assert (nothing.measured, nothing.exposed, nothing.first) == ((), (), None)
    assert best_series(a_question(1, most=0)).measured == ()


def test_what_is_not_worth_its_price_is_not_done():
    dear = best_series(a_question(2, price=10.0))
    assert (dear.measured, dear.exposed) == ((), ())


def test_a_moment_that_has_passed_is_not_planned_for():
    question = a_question(3, most=0, electrons=100.0)
    assert best_series(question).first is not None
    assert best_series(dataclasses.replace(question, passed=True)).first is None


def test_the_next_exposure_by_its_gain_per_electron():
    question = a_question(4)
    nothing = loss_of(question, (), {})
    expected = [(nothing - loss_of(question, (), {0: k})) / question.exposures[0][k].electrons for k in (0, 1)]
    np.testing.assert_allclose(gains(question), expected, rtol=1e-9)


def test_what_measuring_the_first_saves_is_between_the_best_plans_with_it_and_without():
    question = a_question(5)
    losses = dict(every_plan(question))
    without = min(loss for (measured, _), loss in losses.items() if 0 not in measured)
    with_it = min(loss for (measured, _), loss in losses.items() if 0 in measured)
    assert measurement(question) == (pytest.approx(without - with_it, abs=0.1 * without), 0)
    assert measurement(dataclasses.replace(question, most=0)) == (-np.inf, 0)
    assert measurement(dataclasses.replace(question, electrons=1.9)) == (-np.inf, 0)


DOSES = (0.5, 1.0, 2.0)


def with_doses(seed: int, **changed) -> Question:
    """Each step may be measured with each of `DOSES`: information and cost are in proportion; no alignment images."""
    question = a_question(seed, exposures=[[]] * STEPS, most=STEPS, price=0.0, **changed)
    measurements = [
        [Measurement(dose * step.information, step.floor_measured / dose, dose * question.cost) for dose in DOSES]
        for step in question.steps
    ]
    return dataclasses.replace(question, measurements=measurements)


def loss_with_doses(question: Question, doses: tuple[int | None, ...]) -> float:
    """The loss where each step is measured with its dose: that of `loss_of`, of steps that have the dose's information and floor."""
    measured = tuple(number for number, dose in enumerate(doses) if dose is not None)
    steps = list(question.steps)
    for number in measured:
        chosen = question.measurements[number][doses[number] or 0]
        steps[number] = dataclasses.replace(steps[number], information=chosen.information, floor_measured=chosen.floor)
    return loss_of(dataclasses.replace(question, steps=steps), measured, {})


@pytest.mark.parametrize("seed", range(6))
def test_doses_are_near_the_best_of_all_and_better_than_one_dose_for_all(seed):
    question = with_doses(seed, electrons=8.0)
    best = best_series(question)
    chosen = dict(zip(best.measured, best.doses, strict=True))
    assert best.loss == pytest.approx(loss_with_doses(question, tuple(chosen.get(k) for k in range(STEPS))), rel=1e-9)
    assert best.electrons == pytest.approx(sum(DOSES[dose] * question.cost for dose in best.doses))
    assert best.electrons <= question.electrons
    every = {
        doses: loss_with_doses(question, doses)
        for doses in itertools.product((None, 0, 1, 2), repeat=STEPS)
        if sum(DOSES[dose] * question.cost for dose in doses if dose is not None) <= question.electrons
    }
    nothing, least = every[(None,) * STEPS], min(every.values())
    assert nothing - best.loss >= 0.97 * (nothing - least)
    assert best.loss <= every[(1,) * STEPS] * (1.0 + 1e-9)


def test_the_first_request_is_measured_with_the_dose_of_the_best_plan_that_measures_it():
    question = with_doses(2, electrons=8.0)
    saved, dose = measurement(question)
    assert dose == best_series(question, True).doses[0]
    assert saved == pytest.approx(best_series(question, False).loss - best_series(question, True).loss)
    poor = with_doses(2, electrons=1.0)
    assert best_series(poor, True).doses == (0,)
    assert measurement(with_doses(2, electrons=0.9)) == (-np.inf, 0)
