"""Whether to measure: expected loss reduction per electron, against a tolerance and a budget.

The loss of an answer is its squared relative error. Measuring lowers it now, and for the requests that follow at the same place, whose
predictions start from what was learnt, ever less as the column drifts.
"""

import msgspec
import numpy as np


class Budget(msgspec.Struct, frozen=True):
    """What may be spent: ``share`` of all ``requests`` may be measured, and ``reserve`` of these are kept for each place to come."""

    requests: int
    share: float
    reserve: int = 0

    def left(self, measured: int, places_to_come: int = 0) -> int:
        """How many more may be measured here after ``measured`` measurements, with ``places_to_come`` new places still ahead."""
        return max(0, int(np.floor(self.share * self.requests)) - measured - self.reserve * places_to_come)


class Choice(msgspec.Struct, frozen=True):
    """A decision ("answer", "measure", "audit" or "distrusted"), why, and the figures behind it.

    ``reason``, of an answer above the tolerance: "budget spent", "budget kept" (for other requests) or "policy"; else empty.
    """

    decision: str
    why: str
    predicted_error: float
    expected_after: float
    gain_per_electron: float
    electrons: float
    reason: str = ""

    @property
    def measures(self) -> bool:
        return self.decision != "answer"


def relative_error(covariance: np.ndarray, mean: np.ndarray) -> float:
    """Expected RMS error of an image with this covariance [pixels, pixels], relative to its mean intensity."""
    return float(np.sqrt(np.trace(covariance) / len(mean)) / max(abs(mean.mean()), 1e-12))


def after_measuring(covariance: np.ndarray, noise: np.ndarray, mean: np.ndarray) -> float:
    """The same after a measurement with noise variance ``noise`` [pixels] (linear Gaussian update)."""
    root = np.linalg.cholesky(covariance + np.diag(noise))
    explained = np.linalg.solve(root, covariance)
    return relative_error(covariance - explained.T @ explained, mean)


WORTHWHILE = 0.1
"""Share of the tolerance that measuring must take off the summed error of the requests at hand."""


def choose(
    predicted_error: float,
    expected_after: float,
    electrons: float,
    tolerance: float,
    left: int,
    distrusted: bool,
    audit: bool,
    lost: bool,
    gain: float | None,
) -> Choice:
    """The decision for one request.

    ``electrons`` is what measuring costs, ``left`` how many measurements the budget leaves here, ``audit`` whether this request was drawn for
    one, ``lost`` whether the lattice's phase is unknown, and ``gain`` the loss that the best plan with measuring it saves against the best
    plan without (summed relative error of this and the following requests; None where no plan was made: then of this alone).
    """
    saved = predicted_error - expected_after if gain is None else gain
    figures = (predicted_error, expected_after, saved / electrons, electrons)
    error = f"predicted error {predicted_error:.1%}"
    if distrusted:
        return Choice("distrusted", "the model is not trusted: every request is measured", *figures)
    if predicted_error <= tolerance:
        if audit and left > 0:
            return Choice("audit", f"{error} is within {tolerance:.1%}; drawn for an audit", *figures)
        return Choice("answer", f"{error} is within {tolerance:.1%}", *figures)
    if left <= 0:
        why = f"{error} exceeds {tolerance:.1%}, but the budget for this place is spent"
        return Choice("answer", why, *figures, reason="budget spent")
    if lost:
        return Choice("measure", f"{error}: where the lattice is, is unknown", *figures)
    if saved > WORTHWHILE * tolerance:
        return Choice(
            "measure",
            f"{error} exceeds {tolerance:.1%}; measuring saves {saved:.1%} here and in what follows",
            *figures,
        )
    if audit:
        return Choice(
            "audit", f"{error} exceeds {tolerance:.1%}, left to the twin by the budget; drawn for an audit", *figures
        )
    return Choice(
        "answer",
        f"{error} exceeds {tolerance:.1%}, but the budget saves more on later requests here ({-saved:.1%})",
        *figures,
        reason="budget kept",
    )
