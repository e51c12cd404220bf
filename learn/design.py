"""Whether to measure: expected loss reduction per electron, against a tolerance and a budget.

The loss of an answer is its squared relative error. Measuring lowers it now, and for the requests that follow at the same place, whose
predictions start from what was learnt, ever less as the column drifts.
"""

import msgspec
import numpy as np


class Budget(msgspec.Struct, frozen=True):
    """What may be spent: ``share`` of all ``requests`` may be measured. Spending ahead of that pace makes measuring dearer.

    The price is on the predicted error: a request is worth measuring if its error exceeds the tolerance times `price`, which grows by the
    factor ``steepness`` for each measurement that the session is ahead of its share. So the budget goes to the requests that the twin is
    least sure of, and is spread over the session, as the column drifts.
    """

    requests: int
    share: float
    reserve: int = 0
    steepness: float = 1.35

    def allows(self, measured: int, places_to_come: int = 0) -> bool:
        """May one more be measured after ``measured`` measurements, with ``places_to_come`` new places ahead, each with its ``reserve``?"""
        return measured + 1 <= self.share * self.requests - self.reserve * places_to_come

    def price(self, index: int, measured: int) -> float:
        """Factor (at least 1) on the tolerance for request ``index`` (from 0) after ``measured`` measurements."""
        return max(1.0, self.steepness ** (measured - self.share * index))


class Choice(msgspec.Struct, frozen=True):
    """A decision ("answer", "measure", "audit" or "distrusted"), why, and the figures behind it."""

    decision: str
    why: str
    predicted_error: float
    expected_after: float
    gain_per_electron: float
    electrons: float

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


def choose(
    predicted_error: float,
    expected_after: float,
    electrons: float,
    tolerance: float,
    followers: int,
    allowed: bool,
    distrusted: bool,
    audit: bool,
    price: float = 1.0,
    fading: float = 0.6,
) -> Choice:
    """The decision for one request.

    ``followers`` requests at the same place follow; each inherits ``fading`` of the loss reduction of the one before. ``electrons`` is what
    measuring costs, ``allowed`` and ``price`` what the budget says, ``audit`` whether this one was drawn for an audit.
    """
    inherited = sum(fading**k for k in range(followers + 1))
    gain = max(predicted_error**2 - expected_after**2, 0.0) * inherited / electrons
    figures = (predicted_error, expected_after, gain, electrons)
    if distrusted:
        return Choice("distrusted", "the model is not trusted: every request is measured", *figures)
    if predicted_error <= tolerance:
        if audit and allowed:
            return Choice("audit", f"predicted error {predicted_error:.1%} is within {tolerance:.1%}; drawn for an audit", *figures)
        return Choice("answer", f"predicted error {predicted_error:.1%} is within {tolerance:.1%}", *figures)
    if not allowed:
        return Choice("answer", f"predicted error {predicted_error:.1%} exceeds {tolerance:.1%}, but the budget is spent", *figures)
    if predicted_error <= price * tolerance:
        return Choice("answer", f"predicted error {predicted_error:.1%} exceeds {tolerance:.1%}, but less than the {price:.1f} times that the budget's pace asks", *figures)
    if expected_after > 0.95 * predicted_error and followers == 0:
        return Choice("answer", f"measuring would not help: {predicted_error:.1%} before, {expected_after:.1%} after", *figures)
    return Choice("measure", f"predicted error {predicted_error:.1%} exceeds {tolerance:.1%}; {expected_after:.1%} expected after", *figures)
