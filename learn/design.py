"""Whether to measure: expected loss reduction per electron, against a tolerance and a budget.

The loss of an answer is its squared relative error. Measuring lowers it now, and for the requests that follow at the same place, whose
predictions start from what was learnt, ever less as the column drifts.
"""

import msgspec
import numpy as np


class Budget(msgspec.Struct, frozen=True):
    """What may be spent: ``share`` of all ``requests`` may be measured, and at any moment no more than that share and ``ahead`` more.

    The pace keeps measurements for later, when the column has drifted; what is saved by answers within tolerance may be spent at any time.
    """

    requests: int
    share: float
    ahead: float = 1.0

    def allows(self, index: int, measured: int) -> bool:
        """May request ``index`` (from 0) be measured after ``measured`` measurements?"""
        paced = self.share * (index + 1) + self.ahead
        return measured + 1 <= min(paced, self.share * self.requests)


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
    fading: float = 0.6,
) -> Choice:
    """The decision for one request.

    ``followers`` requests at the same place follow; each inherits ``fading`` of the loss reduction of the one before. ``electrons`` is what
    measuring costs, ``allowed`` what the budget says, ``audit`` whether this one was drawn for an audit.
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
        return Choice("answer", f"predicted error {predicted_error:.1%} exceeds {tolerance:.1%}, but the budget is spent or reserved", *figures)
    if expected_after > 0.95 * predicted_error and followers == 0:
        return Choice("answer", f"measuring would not help: {predicted_error:.1%} before, {expected_after:.1%} after", *figures)
    return Choice("measure", f"predicted error {predicted_error:.1%} exceeds {tolerance:.1%}; {expected_after:.1%} expected after", *figures)
