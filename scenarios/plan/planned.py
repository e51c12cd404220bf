"""What a plan is: options with their assessment and costs, and how their merit is told."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from learn.feasibility.hypotheses import Hypotheses
from learn.feasibility.scans import Window
from scenarios.plan.costs import Costs
from scenarios.plan.damage import Damage
from scenarios.plan.search.found import Searched
from scenarios.question.options import OptionPlan
from scenarios.question.tables import Question


class Merit(NamedTuple):
    """How well an option does: ``name`` ("power"), the value ``asked`` for, its ``text``, its ``unit``, whether a larger one is better (``rising``), and what
    the figure's ``caption`` says of it; ``titles`` of the two images of an option."""

    name: str
    asked: float
    text: str
    unit: str
    rising: bool
    caption: str
    titles: tuple[str, str] = ("without the change", "with it")


class Judged(Protocol):
    """What every kind of question finds of an option."""

    @property
    def curve(self) -> Float[np.ndarray, " d"]:
        """The merit at `DOSES`."""
        ...

    @property
    def dose(self) -> float:
        """Electrons per square angstrom at which the merit asked for is reached; inf: never."""
        ...

    @property
    def efficiency(self) -> float:
        """Dose of the best of all detectors as a share of it."""
        ...

    @property
    def costs(self) -> dict[str, float]:
        """Factor of dose that each unknown costs."""
        ...

    @property
    def inseparable(self) -> tuple[str, ...]:
        """Unknowns that stand in the way where no dose is enough."""
        ...

    @property
    def titles(self) -> tuple[str, str] | None:
        """Of the two images; None: those of the merit."""
        ...

    @property
    def perfect(self) -> Float[np.ndarray, "c ny nx"]:
        """Rates without the change."""
        ...

    @property
    def changed(self) -> Float[np.ndarray, "c ny nx"]:
        """Rates with it."""
        ...

    @property
    def sigmas(self) -> Float[np.ndarray, "c ny nx"]:
        """Their difference in standard deviations at the dose."""
        ...


class Changed(NamedTuple):
    """The ``option``'s merit at its advised dose, and the dose that it needs, on ``what`` specimen: "at 300 Å instead of 200 Å"."""

    what: str
    option: str
    merit: float
    dose: float


class Weighed(NamedTuple):
    """An option with its name, assessment, costs at the dose that it needs, and the limits that it exceeds (empty: feasible); ``probe``: keys of the
    instrument's probe that it has otherwise than the question."""

    option: OptionPlan
    name: str
    assessment: Judged
    costs: Costs
    obstacles: tuple[str, ...]
    probe: Mapping[str, float] = {}

    @property
    def feasible(self) -> bool:
        """Whether it answers the question within all limits."""
        return not self.obstacles


class Planned(NamedTuple):
    """The answer to a question: options, best first, by a ``merit``, on the ``hypotheses`` over the ``window``; ``damages`` by the beam that bound the dose,
    and the ``seconds`` that it took; what was ``searched`` of settings, and how the best option does on ``changed``
    specimens, if that was asked for."""

    question: Question
    merit: Merit
    options: tuple[Weighed, ...]
    hypotheses: Hypotheses
    window: Window
    damages: tuple[Damage, ...]
    seconds: float
    searched: Searched | None = None
    changed: tuple[Changed, ...] = ()

    @property
    def best(self) -> Weighed | None:
        """The feasible option of the least dose; None where none is."""
        return next((each for each in self.options if each.feasible), None)
