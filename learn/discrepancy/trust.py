"""Tests of whether the twin is still a valid model of the instrument, applied to every measured image until one fails.

Misfit: is the residual of the fit larger than counting noise and the largest discrepancy of a sound model allow? Tension: did the fit need parameters
that the prior hardly allows? Prediction: are checked predictions further off than their standard deviations say? Each test has a false-alarm
probability for a healthy session; evidence accumulates over images.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.special import chdtrc


def misfit_excess(
    residual: Float[np.ndarray, " n"],
    covariance: Float[np.ndarray, "n n"],
    fourth: Float[np.ndarray, " n"],
    dof: float,
) -> float:
    """Standard deviations by which the whitened misfit r^T C^-1 r of a ``residual`` with ``covariance`` C exceeds its expectation ``dof``.

    ``fourth``: fourth cumulants of the independent part of the residual, since counts of few electrons scatter more than a Gaussian of the same variance.
    Var(r^T C^-1 r) = 2 dof + sum_i fourth_i (C^-1)_ii^2 (Seber & Lee, Linear Regression Analysis, 2nd ed., theorem 1.6).
    """
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    misfit = float(((inverse @ residual) ** 2).sum())
    weight = (inverse**2).sum(axis=0)
    return (misfit - dof) / float(np.sqrt(2.0 * dof + fourth @ weight**2))


@dataclasses.dataclass(frozen=True)
class Trust:
    """Evidence against the model so far; ``broken`` is the reason for distrust, empty while the model is trusted."""

    images: int = 0
    tension: float = 0.0
    tension_dof: float = 0.0
    broken: str = ""

    @property
    def distrusted(self) -> bool:
        return bool(self.broken)

    def update(
        self,
        misfit_excess: float,
        discrepancy_above: float,
        tension: float,
        tension_dof: float,
        inflation: float,
        limits: "Limits",
    ) -> "Trust":
        """State after a measured image.

        ``misfit_excess``: excess of the whitened misfit in standard deviations at the largest sound discrepancy; ``discrepancy_above``: probability that the
        discrepancy exceeds that; ``tension`` and its degrees of freedom ``tension_dof`` as in `Posterior`; ``inflation``: factor from checked predictions.
        """
        if self.broken:
            return dataclasses.replace(self, images=self.images + 1)
        total, dof = self.tension + tension, self.tension_dof + tension_dof
        single = _log10_chance(tension, max(tension_dof, 1.0))
        summed = _log10_chance(total, max(dof, 1.0))
        reason = ""
        if misfit_excess > limits.misfit:
            reason = f"the best image is {misfit_excess:.1f} sigmas worse than counting and a discrepancy of {limits.discrepancy:.0%} allow"
        elif discrepancy_above > limits.certainty:
            reason = f"the discrepancy exceeds {limits.discrepancy:.0%} with probability {discrepancy_above:.2f}"
        elif single < -limits.tension:
            reason = f"an image needs parameters that have a p-value of 1e{single:.0f}"
        elif summed < -limits.together:
            reason = f"the images together need parameters that have a p-value of 1e{summed:.0f}"
        elif inflation > limits.inflation:
            reason = f"errors of checked predictions are {inflation:.1f} times their standard deviations"
        return Trust(self.images + 1, total, dof, reason)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Thresholds of distrust: misfit in standard deviations, discrepancy amplitude and the probability of exceeding it, tension as -log10 of its p-value.

    One image may have a large tension by chance or by a poor approximation. A wrong model gives a small tension in every image, so the limit ``together``
    on the sum is tighter: tested after each of 50 images, 5 healthy sessions in 1,000 fail.
    """

    misfit: float = 6.0
    discrepancy: float = 0.12
    certainty: float = 0.9
    tension: float = 8.0
    together: float = 3.5
    inflation: float = 1.8


def _log10_chance(square: float, dof: float) -> float:
    """Logarithm to base 10 of the probability of a larger chi squared."""
    with np.errstate(divide="ignore"):
        return float(np.log(chdtrc(dof, square)) / np.log(10))
