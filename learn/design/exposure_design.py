"""Plans of alignment images and measurements: which image to take next, at which exposure.

An alignment image answers no request. It is taken before one, at the defocus and dwell time with the largest reduction of expected loss per electron
(A-optimal: trace of the error covariance of the images to come). The evolution of a covariance under a plan does not depend on the data (linear
Gaussian), so plans are evaluated in advance: by greedy addition per electron, then by exchanges while they help (Fedorov, Theory of Optimal
Experiments, 1972; for series of exposures of a film see `learn.design.film_design`).
"""

import dataclasses
from collections.abc import Sequence

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
class Series:
    """A plan: expected ``loss`` (sum of the relative errors of all requests), ``electrons``, the steps ``measured``, and the alignment images
    ``exposed`` as (step before which it is taken, number).
    """

    loss: float
    electrons: float
    measured: tuple[int, ...]
    exposed: tuple[tuple[int, int], ...]

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


Addition = tuple[int, int | None]
"""A step, and the alignment image before it, or None: the step is measured."""


def best_series(question: Question, first: bool | None = None) -> Series:
    """The best plan found; ``first``: whether the first step is measured (None: free)."""
    search = _Search(question, first)
    plan: list[Addition] = [(0, None)] if first else []
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
            (without - search.onward(question.covariance, 0, [(0, number)])) / exposure.electrons
            for number, exposure in enumerate(question.exposures[0])
        ]
    )


def gain(question: Question) -> float:
    """Loss of the best plan that answers the first step, less that of the best plan that measures it; -inf if it may not be measured."""
    if question.most < 1 or question.cost > question.electrons:
        return -np.inf
    return best_series(question, False).loss - best_series(question, True).loss


def errors_of_measuring_all(covariance: np.ndarray, steps: Sequence[Step], transitions: Sequence[Transition]) -> float:
    """Sum of the expected relative errors if every step is measured and no alignment image is taken."""
    question = Question(covariance, steps, transitions, [()] * len(steps), 0.0, 0.0, len(steps))
    return _Search(question, None).onward(covariance, 0, [(number, None) for number in range(len(steps))])


class _Search:
    def __init__(self, question: Question, first: bool | None):
        self.question, self.fixed = question, first
        count = len(question.steps)
        self.possible: list[Addition] = [(step, None) for step in range(count) if step or first is None]
        begin = 1 if question.passed else 0
        self.possible += [
            (step, number) for step in range(begin, count) for number in range(len(question.exposures[step]))
        ]

    def cost(self, addition: Addition) -> float:
        return (
            self.question.cost if addition[1] is None else self.question.exposures[addition[0]][addition[1]].electrons
        )

    def allowed(self, plan: list[Addition]) -> bool:
        """At most one alignment image before a step, each step measured once, within the electrons and the number of measurements."""
        slots = [(step, number is None) for step, number in plan]
        measured = sum(number is None for _, number in plan)
        spent = sum(map(self.cost, plan))
        return (
            len(set(slots)) == len(slots)
            and measured <= self.question.most
            and spent <= self.question.electrons * (1.0 + 1e-9)
        )

    def added(self, plan: list[Addition]) -> list[Addition] | None:
        """The plan with the addition that reduces the loss most per electron; None if none is worth its price."""
        starts, losses = self.along(plan)
        best, best_trial = self.question.price, None
        for addition in self.possible:
            trial = [*plan, addition]
            if not self.allowed(trial):
                continue
            saved = sum(losses[addition[0] :]) - self.onward(starts[addition[0]], addition[0], trial)
            if saved > best * self.cost(addition):
                best, best_trial = saved / self.cost(addition), trial
        return best_trial

    def exchanged(self, plan: list[Addition]) -> list[Addition] | None:
        """The plan with one item exchanged so that loss plus price falls; None if there is no such exchange."""
        least = self.value(plan)
        for position, old in enumerate(plan):
            if self.fixed and old == (0, None):
                continue
            for new in self.possible:
                if abs(new[0] - old[0]) > 1 or new == old:
                    continue
                trial = [*plan[:position], new, *plan[position + 1 :]]
                if self.allowed(trial) and self.value(trial) < least - 1e-4 * abs(least):
                    return trial
        return None

    def series(self, plan: list[Addition]) -> Series:
        return Series(
            loss=sum(self.along(plan)[1]),
            electrons=float(sum(map(self.cost, plan))),
            measured=tuple(sorted(step for step, number in plan if number is None)),
            exposed=tuple(sorted((step, number) for step, number in plan if number is not None)),
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
        for at, exposure in plan:
            if at == number and exposure is not None:
                chosen = self.question.exposures[number][exposure]
                here = conditioned(here, chosen.jacobian, chosen.information)
        here = transition.matrix @ here @ transition.matrix.T + transition.noise
        measured = (number, None) in plan
        if measured:
            here = conditioned(here, step.jacobian, step.information)
        return here, step.error(here, measured)
