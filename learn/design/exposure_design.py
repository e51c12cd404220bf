"""Plans of alignment images and measurements: which image to take next, at which exposure.

An alignment image answers no request. It is taken before one, at the defocus and dwell time with the largest reduction of expected loss per electron
(A-optimal: trace of the error covariance of the images to come). The evolution of a covariance under a plan does not depend on the data (linear
Gaussian), so plans are evaluated in advance: by greedy addition per electron, then by exchanges while they help (Fedorov, Theory of Optimal
Experiments, 1972; for series of exposures of a film see `learn.design.film_design`).
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from learn.design.lookahead import Step, conditioned


@dataclasses.dataclass(frozen=True)
class Exposure:
    """An alignment image: ``jacobian`` [p, n] of its image parameters with respect to the state, ``information`` [p, p] about them, cost in
    ``electrons``.
    """

    jacobian: np.ndarray
    information: np.ndarray
    electrons: float


@dataclasses.dataclass(frozen=True)
class Transition:
    """The state from the time of an alignment image to its request: x -> ``matrix`` x, with process ``noise`` [n, n] added to the covariance."""

    matrix: np.ndarray
    noise: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A request measured with one dose: ``information`` [p, p] about its image parameters, the squared error ``floor`` after it, cost in ``electrons``."""

    information: np.ndarray
    floor: float
    electrons: float


@dataclasses.dataclass(frozen=True)
class Series:
    """A plan: expected ``loss`` (sum of the relative errors of all requests), ``electrons``, the steps ``measured``, their ``doses`` (numbers of the
    measurements), and the alignment images ``exposed`` as (step before which it is taken, number).
    """

    loss: float
    electrons: float
    measured: tuple[int, ...]
    exposed: tuple[tuple[int, int], ...]
    doses: tuple[int, ...] = ()

    @property
    def first(self) -> int | None:
        """Number of the alignment image to take before the first step, or None."""
        return next((number for step, number in self.exposed if step == 0), None)


@dataclasses.dataclass(frozen=True)
class Question:
    """The problem that a plan solves. ``steps`` [k] propagate the state from one request to the time of the next alignment image, ``transitions`` [k]
    from there to the request; ``exposures`` [k, e] are the alignment images that may be taken, as many before each request.

    A plan spends at most ``electrons``; measuring one request costs ``cost`` of them, and at most ``most`` requests are measured. An exposure that lowers
    the loss by less than ``price`` per electron is left out. ``passed``: it is too late for an alignment image before the first request.
    ``measurements`` [k, d], of rising electrons: the doses with which a request may be measured, where there is more than that of its step.
    """

    covariance: np.ndarray
    steps: Sequence[Step]
    transitions: Sequence[Transition]
    exposures: Sequence[Sequence[Exposure]]
    cost: float
    electrons: float
    most: int
    price: float = 0.0
    passed: bool = False
    measurements: Sequence[Sequence[Measurement]] = ()

    def doses(self, number: int) -> Sequence[Measurement]:
        """The measurements among which a plan chooses at step ``number``."""
        step = self.steps[number]
        return (
            self.measurements[number]
            if self.measurements
            else [Measurement(step.information, step.floor_measured, self.cost)]
        )


class Addition(NamedTuple):
    """A ``step``, and the number of the alignment ``image`` before it or of the ``dose`` with which it is measured."""

    step: int
    image: int | None = None
    dose: int | None = None


def best_series(question: Question, first: bool | None = None) -> Series:
    """The best plan found; ``first``: whether the first step is measured (None: free)."""
    search = _Search(question, first)
    plan = [Addition(0, dose=0)] if first else []
    while (better := search.added(plan)) is not None:
        plan = better
    while (better := search.exchanged(plan)) is not None:
        plan = better
    return search.series(plan)


def gains(question: Question) -> np.ndarray:
    """Loss reduction per electron [exposures] of each alignment image alone, before the first step."""
    search = _Search(dataclasses.replace(question, passed=False), None)
    without = sum(search.along([])[1])
    return np.array(
        [
            (without - search.onward(question.covariance, 0, [Addition(0, image=number)])) / exposure.electrons
            for number, exposure in enumerate(question.exposures[0])
        ]
    )


def measurement(question: Question) -> tuple[float, int]:
    """Loss of the best plan that answers the first step, less that of the best plan that measures it (-inf if it may not be measured), and the number of
    the dose with which the latter measures it.
    """
    if question.most < 1 or question.doses(0)[0].electrons > question.electrons:
        return -np.inf, 0
    measuring = best_series(question, True)
    return best_series(question, False).loss - measuring.loss, measuring.doses[0]


def errors_of_measuring_all(covariance: np.ndarray, steps: Sequence[Step], transitions: Sequence[Transition]) -> float:
    """Sum of the expected relative errors if every step is measured and no alignment image is taken."""
    question = Question(covariance, steps, transitions, [()] * len(steps), 0.0, 0.0, len(steps))
    return _Search(question, None).onward(covariance, 0, [Addition(number, dose=0) for number in range(len(steps))])


class _Search:
    def __init__(self, question: Question, first: bool | None):
        self.question, self.fixed = question, first
        count = len(question.steps)
        self.doses = [question.doses(step) for step in range(count)]
        self.possible = [
            Addition(step, dose=dose)
            for step in range(count)
            if step or first is not False
            for dose in range(len(self.doses[step]))
        ]
        begin = 1 if question.passed else 0
        self.possible += [
            Addition(step, image=number)
            for step in range(begin, count)
            for number in range(len(question.exposures[step]))
        ]

    def cost(self, addition: Addition) -> float:
        if addition.image is not None:
            return self.question.exposures[addition.step][addition.image].electrons
        return self.doses[addition.step][addition.dose or 0].electrons

    def allowed(self, plan: list[Addition]) -> bool:
        """At most one alignment image before a step, each step measured once, within the electrons and the number of measurements."""
        slots = [(addition.step, addition.image is None) for addition in plan]
        measured = sum(addition.image is None for addition in plan)
        spent = sum(map(self.cost, plan))
        return (
            len(set(slots)) == len(slots)
            and measured <= self.question.most
            and spent <= self.question.electrons * (1.0 + 1e-9)
        )

    def added(self, plan: list[Addition]) -> list[Addition] | None:
        """The plan with the addition, or the higher dose of a measurement, that reduces the loss most per electron; None if none is worth its price."""
        starts, losses = self.along(plan)
        best, best_trial = self.question.price, None
        for addition in self.possible:
            rest = [a for a in plan if a.step != addition.step or (a.dose is None) != (addition.dose is None)]
            trial = [*rest, addition]
            cost = self.cost(addition) - (sum(map(self.cost, plan)) - sum(map(self.cost, rest)))
            if cost <= 0.0 or (addition.dose is None and len(rest) < len(plan)) or not self.allowed(trial):
                continue
            saved = sum(losses[addition.step :]) - self.onward(starts[addition.step], addition.step, trial)
            if saved > best * cost:
                best, best_trial = saved / cost, trial
        return best_trial

    def exchanged(self, plan: list[Addition]) -> list[Addition] | None:
        """The plan with one item exchanged so that loss plus price falls; None if there is no such exchange."""
        least = self.value(plan)
        for position, old in enumerate(plan):
            keeps_first = bool(self.fixed) and old.step == 0 and old.dose is not None
            for new in self.possible:
                if abs(new.step - old.step) > 1 or new == old or (keeps_first and (new.step or new.dose is None)):
                    continue
                trial = [*plan[:position], new, *plan[position + 1 :]]
                if self.allowed(trial) and self.value(trial) < least - 1e-4 * abs(least):
                    return trial
        return None

    def series(self, plan: list[Addition]) -> Series:
        measured = sorted((addition.step, addition.dose) for addition in plan if addition.dose is not None)
        return Series(
            loss=sum(self.along(plan)[1]),
            electrons=float(sum(map(self.cost, plan))),
            measured=tuple(step for step, _ in measured),
            exposed=tuple(sorted((addition.step, addition.image) for addition in plan if addition.image is not None)),
            doses=tuple(dose for _, dose in measured),
        )

    def value(self, plan: list[Addition]) -> float:
        return sum(self.along(plan)[1]) + self.question.price * sum(map(self.cost, plan))

    def along(self, plan: list[Addition]) -> tuple[list[np.ndarray], list[float]]:
        """Covariance before each step, and error of each step."""
        covariance, starts, losses = self.question.covariance, [], []
        for number in range(len(self.question.steps)):
            starts.append(covariance)
            covariance, loss = self.posterior_of(covariance, number, plan)
            losses.append(loss)
        return starts, losses

    def onward(self, covariance: np.ndarray, begin: int, plan: list[Addition]) -> float:
        total = 0.0
        for number in range(begin, len(self.question.steps)):
            covariance, loss = self.posterior_of(covariance, number, plan)
            total += loss
        return total

    def posterior_of(self, covariance: np.ndarray, number: int, plan: list[Addition]) -> tuple[np.ndarray, float]:
        step, transition = self.question.steps[number], self.question.transitions[number]
        here = step.transition @ covariance @ step.transition.T + step.noise
        for addition in plan:
            if addition.step == number and addition.image is not None:
                chosen = self.question.exposures[number][addition.image]
                here = conditioned(here, chosen.jacobian, chosen.information)
        here = transition.matrix @ here @ transition.matrix.T + transition.noise
        dose = next((a.dose for a in plan if a.step == number and a.dose is not None), None)
        if dose is None:
            return here, step.error(here)
        measured = self.doses[number][dose]
        here = conditioned(here, step.jacobian, measured.information)
        return here, step.error(here, measured.floor)
