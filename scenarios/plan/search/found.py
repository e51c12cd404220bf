"""What a search over settings found."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from learn.feasibility.search.front import Candidate


class Advice(NamedTuple):
    """Settings of one ``technique``, by their keys in a question: those ``given`` (of the best given option, with its ``given_name`` and ``given_dose``) and
    those ``advised``, with their ``name`` and exact ``dose``; ``gains``: how many times more dose it would take with one of them left as it was given;
    ``evaluations`` of the smooth dose."""

    technique: str
    given_name: str
    given: Mapping[str, float]
    given_dose: float
    name: str
    advised: Mapping[str, float]
    dose: float
    gains: Mapping[str, float]
    evaluations: int

    @property
    def factor(self) -> float:
        """How many times more dose the given settings need."""
        return self.given_dose / self.dose

    @property
    def better(self) -> bool:
        """Whether anything is gained."""
        return self.dose < self.given_dose


class Searched(NamedTuple):
    """``advices`` of each technique, and the ``front``: options and settings of which none other is better in dose, time and error."""

    advices: tuple[Advice, ...]
    front: tuple[Candidate, ...]


def searched_result(searched: Searched | None) -> dict[str, Any] | None:
    """What `--json` prints of a search."""
    if searched is None:
        return None
    return {
        "advices": [
            {
                "technique": each.technique,
                "given": {"name": each.given_name, "settings": dict(each.given), "dose": each.given_dose},
                "advised": {"name": each.name, "settings": dict(each.advised), "dose": each.dose}
                if each.better
                else None,
                "factor": each.factor if each.better else 1.0,
                "gains": dict(each.gains),
                "evaluations": each.evaluations,
            }
            for each in searched.advices
        ],
        "front": [
            {"option": each.what, "dose": each.dose, "seconds": each.seconds, "error": each.error}
            for each in searched.front
        ],
    }
