"""The verdict on a session: how many answers are within the tolerance, how many are not and why, as numbers and as a sentence."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from scenarios.report.session import Session

REASONS = {
    "budget spent": "since the budget of their site was spent",
    "budget kept": "since the budget saves more on other requests",
    "policy": "since the policy did not measure them",
    "not recorded": "for a reason that was not recorded",
}
"""Why an answer above the tolerance was not measured: the recorded reason, and its text."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A session against its ``tolerance`` (relative): ``answers`` given without measuring; of these ``above`` it by the predicted error, counted by
    reason, ``within`` it the others; ``measured_above``: measured requests whose expected error stays above it.

    ``error``: the session's mean relative error, against the truth where that is known (``scored``), else as expected by the twin; None without requests.
    """

    tolerance: float
    answers: int
    above: dict[str, int]
    measured_above: int
    error: float | None
    scored: bool

    @property
    def above_total(self) -> int:
        return sum(self.above.values())

    @property
    def within(self) -> int:
        return self.answers - self.above_total

    @property
    def reached(self) -> bool:
        """No answer is above the tolerance, nor is the session as a whole."""
        return self.above_total == 0 and (self.error is None or self.error <= self.tolerance)

    @property
    def because(self) -> str:
        """How many answers are above the tolerance for which reason, in words; empty if none are."""
        return because(self.above)

    @property
    def sentence(self) -> str:
        """The answers, the session's error, and the tolerance, in one or two sentences."""
        limit = f"the tolerance of {100 * self.tolerance:.3g} %"
        if self.above_total:
            text = f"{self.above_total} of {self.answers} answers are above {limit} by the twin's own prediction ({self.because})."
        elif self.answers:
            text = f"All {self.answers} answers are within {limit} by the twin's own prediction."
        else:
            text = "Every request was measured."
        if self.error is not None:
            side = "above" if self.error > self.tolerance else "within"
            kind = "The mean error of all requests" if self.scored else "The expected mean error of all requests"
            text += f" {kind} is {100 * self.error:.3g} %, {side} {limit}."
        return text

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``--json`` prints."""
        return {
            "tolerance": self.tolerance,
            "tolerance_reached": self.reached,
            "answers_above_tolerance": self.above_total,
            "answers_above_because": self.above,
            "measured_above_tolerance": self.measured_above,
        }


def because(above: Mapping[str, int]) -> str:
    """Answers above the tolerance, counted by reason, in words."""
    return ", ".join(f"{count} {REASONS.get(reason, reason)}" for reason, count in above.items())


def judge(requests: Sequence[Mapping[str, Any]], tolerance: float, rmse: float | None) -> Verdict:
    """The verdict on ``requests`` (payloads of their rows); ``rmse`` is the error of the session against the truth, or None."""
    answered = [request for request in requests if not request.get("measured")]
    measured = [request for request in requests if request.get("measured")]
    above = Counter(
        str(request.get("reason") or "not recorded") for request in answered if request["predicted_error"] > tolerance
    )
    expected = [request["predicted_error"] for request in answered] + [
        request["expected_after"] for request in measured
    ]
    error = rmse if rmse is not None else sum(expected) / len(expected) if expected else None
    return Verdict(
        tolerance=tolerance,
        answers=len(answered),
        above=dict(above.most_common()),
        measured_above=sum(request["expected_after"] > tolerance for request in measured),
        error=error,
        scored=rmse is not None,
    )


def verdict_of(session: Session) -> Verdict | None:
    """The verdict on a session as recorded, whole or interrupted; None for one that answers no requests (a replay) or states no tolerance."""
    tolerance = session.scenario.get("tolerance")
    if not session.requests or tolerance is None:
        return None
    rmse = (session.result or {}).get("rmse")
    return judge([row.payload for row in session.requests], float(tolerance), rmse)


def banner(session: Session, verdict: Verdict | None) -> tuple[str, str]:
    """How a session ended: "good", "hold" or "bad", and the sentence that says so. "good" only where model and tolerance both hold."""
    result = session.result
    distrusted = any(not session.replay or row.payload.get("kind") == "model_distrusted" for row in session.findings)
    if (result or {}).get("model_distrusted", distrusted):
        return "bad", "The model is distrusted: twin and instrument disagree beyond what the twin can explain."
    if result is None:
        return "hold", "This session has not come to its end; the page shows what was done so far."
    if verdict is not None:
        return ("good" if verdict.reached else "hold"), f"Twin and instrument agree. {verdict.sentence}"
    if session.replay and "tolerance_reached" in result:
        return _banner_of_map(result)
    return "good", "Twin and instrument agree within what the twin expected."


def _banner_of_map(result: Mapping[str, Any]) -> tuple[str, str]:
    """The same of a replayed map."""
    limit, pixels = (
        f"{100 * result['tolerance']:.3g} % of its range",
        f"{result['measured']} of {result['requests']} pixels",
    )
    if result["tolerance_reached"]:
        return (
            "good",
            f"The map is within the tolerance of {limit} everywhere, from {pixels}; random pixels confirmed it.",
        )
    largest = f"its largest standard deviation is {100 * result['uncertainty']:.3g} %"
    if not result.get("contrast", True):
        largest = "the measured values scatter no more than counting noise"
    return "hold", f"The tolerance of {limit} was not reached with {pixels}: {largest}."
