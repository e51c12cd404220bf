"""Which image to take next, of which exposure: the plan of alignment images and measurements that saves most error for its electrons.

An alignment image answers no request: it is taken in front of one, at the defocus and dwell time where an electron tells most of what the requests
to come need (small trace of what is left of their images' error: A-optimal). How covariances evolve under a plan does not depend on what will be seen (linear
Gaussian), so plans are valued beforehand. They are made by adding, one after the other, what saves most per electron, and then exchanging
while that helps (Fedorov, Theory of Optimal Experiments, 1972; as a series of exposures in `learn.alignment`).
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from learn.planning import Step


@dataclasses.dataclass(frozen=True)
class Exposure:
    """An alignment image: ``door`` [p, n] leads from the state to image parameters, of which it brings ``information`` [p, p]; it costs ``electrons``."""

    door: np.ndarray
    information: np.ndarray
    electrons: float


@dataclasses.dataclass(frozen=True)
class Way:
    """From the moment before a request at which an alignment image would be taken to the request: ``transition``, ``noise`` [n, n]."""

    transition: np.ndarray
    noise: np.ndarray


@dataclasses.dataclass(frozen=True)
class Series:
    """A plan: ``loss`` (expected relative errors of all requests, summed), its ``electrons``, the steps ``measured``, and of alignment images
    the step each is taken before and its number, ``exposed``."""

    loss: float
    electrons: float
    measured: tuple[int, ...]
    exposed: tuple[tuple[int, int], ...]

    @property
    def first(self) -> int | None:
        """The alignment image to take before the first step, or None."""
        return next((number for step, number in self.exposed if step == 0), None)


@dataclasses.dataclass(frozen=True)
class Question:
    """What a plan is made for. ``steps`` [k] lead each from the request before it to the moment of an alignment image, ``ways`` [k] thence to the request;
    ``exposures`` [k, e] are what could be taken then, as many before each.

    ``electrons`` may be spent in all, ``cost`` of them on measuring one request, and at most ``most`` requests are measured. What saves less than ``price``
    per electron is not done. ``passed``: the moment before the first request is over.
    """

    covariance: np.ndarray
    steps: Sequence[Step]
    ways: Sequence[Way]
    exposures: Sequence[Sequence[Exposure]]
    cost: float
    electrons: float
    most: int
    price: float = 0.0
    passed: bool = False


Addition = tuple[int, int | None]
"""A step, and the alignment image before it, or None: the step is measured."""


def best_series(question: Question, first: bool | None = None) -> Series:
    """The best plan found; ``first`` says whether the first step is measured (None: as is best)."""
    return _best(_Losses(question), first)


def gains(question: Question) -> np.ndarray:
    """What each alignment image alone, before the first step, saves per electron, [exposures]: the next one of an A-optimal series is the greatest."""
    losses = _Losses(question)
    without, alone = losses.with_each([], [(0, number) for number in range(len(question.exposures[0]))])
    return (without - alone) / np.array([one.electrons for one in question.exposures[0]])


def gain(question: Question) -> float:
    """Loss of the best plan that answers the first step, less that of the best that measures it; minus infinity where nothing may be measured."""
    if question.most < 1 or question.cost > question.electrons:
        return -np.inf
    losses = _Losses(question)
    return _best(losses, False).loss - _best(losses, True).loss


def _best(losses: "_Losses", first: bool | None) -> Series:
    search = _Search(losses, first)
    taken: list[Addition] = [(0, None)] if first else []
    while (better := search.added(taken)) is not None:
        taken = better
    while (better := search.exchanged(taken)) is not None:
        taken = better
    return search.series(taken)


class _Search:
    def __init__(self, losses: "_Losses", first: bool | None):
        self.losses, self.question, self.fixed = losses, losses.question, first
        count = len(self.question.steps)
        self.possible: list[Addition] = [(step, None) for step in range(count) if step or first is None]
        begin = 1 if self.question.passed else 0
        self.possible += [
            (step, number) for step in range(begin, count) for number in range(len(self.question.exposures[step]))
        ]

    def cost(self, addition: Addition) -> float:
        return (
            self.question.cost if addition[1] is None else self.question.exposures[addition[0]][addition[1]].electrons
        )

    def allowed(self, taken: list[Addition]) -> bool:
        """One alignment image before a step, each step measured once, and no more than may be spent."""
        places = [(step, number is None) for step, number in taken]
        measured = sum(number is None for _, number in taken)
        spent = sum(map(self.cost, taken))
        return (
            len(set(places)) == len(places)
            and measured <= self.question.most
            and spent <= self.question.electrons * (1.0 + 1e-9)
        )

    def added(self, taken: list[Addition]) -> list[Addition] | None:
        """With what saves most per electron besides; None if nothing is worth its price."""
        trials = [one for one in self.possible if self.allowed([*taken, one])]
        without, losses = self.losses.with_each(taken, trials)
        best, found = self.question.price, None
        for one, loss in zip(trials, losses, strict=True):
            if without - loss > best * self.cost(one):
                best, found = (without - loss) / self.cost(one), [*taken, one]
        return found

    def exchanged(self, taken: list[Addition]) -> list[Addition] | None:
        """With one thing in another's place, where loss and price together fall by that; None if they do not."""
        least = self.losses.with_each(taken, [])[0] + self.price(taken)
        for place, old in enumerate(taken):
            if self.fixed and old == (0, None):
                continue
            others = [*taken[:place], *taken[place + 1 :]]
            near = [new for new in self.possible if abs(new[0] - old[0]) <= 1 and new != old]
            trials = [new for new in near if self.allowed([*others, new])]
            _, losses = self.losses.with_each(others, trials)
            for new, loss in zip(trials, losses, strict=True):
                trial = [*taken[:place], new, *taken[place + 1 :]]
                if loss + self.price(trial) < least - 1e-4 * abs(least):
                    return trial
        return None

    def series(self, taken: list[Addition]) -> Series:
        return Series(
            loss=self.losses.with_each(taken, [])[0],
            electrons=float(sum(map(self.cost, taken))),
            measured=tuple(sorted(step for step, number in taken if number is None)),
            exposed=tuple(sorted((step, number) for step, number in taken if number is not None)),
        )

    def price(self, taken: list[Addition]) -> float:
        return self.question.price * sum(map(self.cost, taken))


class _Losses:
    """Losses of plans. Plans that differ from one by a single addition are followed through the steps together, as a stack of covariances."""

    def __init__(self, question: Question):
        self.question = question
        self._observed: dict[tuple[int, int], np.ndarray] = {}

    @functools.cached_property
    def _through(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each step without an alignment image, transition and noise [n, n] from the request before it to its own."""
        pairs = zip(self.question.steps, self.question.ways, strict=True)
        return [
            (way.transition @ step.transition, way.transition @ step.noise @ way.transition.T + way.noise)
            for step, way in pairs
        ]

    def with_each(self, taken: list[Addition], additions: Sequence[Addition]) -> tuple[float, np.ndarray]:
        """Loss of the plan ``taken``, and its losses [a] with each of ``additions`` besides."""
        exposed = {step: number for step, number in taken if number is not None}
        measured = {step for step, number in taken if number is None}
        stack, members = self.question.covariance[None], [-1]
        losses = np.zeros(len(additions) + 1)  # the last one is the plan's own
        for step in range(len(self.question.steps)):
            before = stack[:1]
            stack, loss = self._passed(stack, step, exposed.get(step), step in measured)
            losses[members] += loss
            base = losses[-1] - loss[0]
            for place, (_, number) in enumerate(additions):
                if additions[place][0] != step:
                    continue
                image, seen = (exposed.get(step), True) if number is None else (number, step in measured)
                one, loss = self._passed(before, step, image, seen)
                stack, members = np.concatenate([stack, one]), [*members, place]
                losses[place] = base + loss[0]
        return float(losses[-1]), losses[:-1]

    def _passed(
        self, stack: np.ndarray, number: int, exposure: int | None, measured: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Covariances [c, n, n] after a step, from those before it, and the step's expected errors [c]."""
        step, way = self.question.steps[number], self.question.ways[number]
        if exposure is None:
            transition, noise = self._through[number]
            stack = transition @ stack @ transition.T + noise
        else:
            stack = step.transition @ stack @ step.transition.T + step.noise
            chosen = self.question.exposures[number][exposure]
            stack = self._conditioned(stack, chosen.door, chosen.information)
            stack = way.transition @ stack @ way.transition.T + way.noise
        if measured:
            stack = self._conditioned(stack, step.door, step.information)
        return stack, step.errors(stack, measured)

    def _conditioned(self, stack: np.ndarray, door: np.ndarray, information: np.ndarray) -> np.ndarray:
        """As `learn.planning.conditioned`, for a stack [c, n, n]: information L L^T observes ``rows`` = L^T door with unit noise."""
        key = (id(door), id(information))
        if key not in self._observed:
            values, vectors = np.linalg.eigh(information)
            kept = values > 1e-14 * values[-1]
            self._observed[key] = (np.sqrt(values[kept])[:, None] * vectors[:, kept].T) @ door
        rows = self._observed[key]
        seen = rows @ stack
        inside = seen @ rows.T + np.eye(len(rows))
        return stack - seen.transpose(0, 2, 1) @ np.linalg.solve(inside, seen)
