"""The decision to measure a request or to answer it from the twin, by expected loss reduction per electron.

The loss of an answer is its squared relative error. A measurement lowers it for this request and for the next requests at the same site, whose
predictions start from the updated belief; the benefit decays as the column drifts.
"""

import msgspec
import numpy as np


class Budget(msgspec.Struct, frozen=True):
    """Limit on measurements: ``share`` of all ``requests``, of which ``reserve`` are reserved for each site to come."""

    requests: int
    share: float
    reserve: int = 0

    def left(self, measured: int, places_to_come: int = 0) -> int:
        """Number of measurements left at this site after ``measured`` measurements, with ``places_to_come`` sites ahead."""
        return max(0, int(np.floor(self.share * self.requests)) - measured - self.reserve * places_to_come)


class Choice(msgspec.Struct, frozen=True):
    """A decision ("answer", "measure", "audit" or "distrusted"), the reason ``why``, and the numbers behind it.

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
    """Relative error after a measurement with noise variance ``noise`` [pixels] (linear Gaussian update)."""
    root = np.linalg.cholesky(covariance + np.diag(noise))
    explained = np.linalg.solve(root, covariance)
    return relative_error(covariance - explained.T @ explained, mean)


MIN_SAVING = 0.1
"""Least reduction of the summed error that is worth a measurement with the whole dose, as a share of the tolerance."""


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
    share: float = 1.0,
) -> Choice:
    """The decision for one request.

    ``electrons``: cost of measuring; ``left``: measurements left at this site; ``audit``: this request was drawn for an audit; ``lost``: the phase of the
    lattice is unknown; ``gain``: loss of the best plan that answers this request, less that of the best plan that measures it (relative error summed over
    this and the next requests; None without a plan: then of this request alone); ``share``: the electrons of measuring over those of the whole dose.
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
        why = f"{error} exceeds {tolerance:.1%}, but the budget for this site is spent"
        return Choice("answer", why, *figures, reason="budget spent")
    if lost:
        return Choice("measure", f"{error}: the position of the lattice is unknown", *figures)
    if saved > MIN_SAVING * tolerance * share:
        return Choice(
            "measure",
            f"{error} exceeds {tolerance:.1%}; measuring lowers the error by {saved:.1%} here and on the next requests",
            *figures,
        )
    if audit:
        return Choice(
            "audit", f"{error} exceeds {tolerance:.1%}, the budget leaves it to the twin; drawn for an audit", *figures
        )
    return Choice(
        "answer",
        f"{error} exceeds {tolerance:.1%}, but the budget lowers the error more on later requests at this site (by {-saved:.1%})",
        *figures,
        reason="budget kept",
    )
