"""Is the twin still a model of this instrument? Three questions to every measured image, asked until one answer is no.

Misfit: is what remains after the fit larger than counting and any discrepancy a sound model may have? Tension: did the fit need
parameters that the priors hardly allow? Prediction: are checked predictions further off than they said? Each has a limit on its
chance in a healthy session; evidence adds up over images.
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
    """How many standard deviations the whitened misfit r^T C^-1 r of a ``residual`` with ``covariance`` C lies above its expectation ``dof``.

    ``fourth`` are the fourth cumulants of the residual's independent part: counting few electrons scatters a misfit far more than a Gaussian of
    the same variance. Var(r^T C^-1 r) = 2 dof + sum_i fourth_i (C^-1)_ii^2 (Seber & Lee, Linear Regression Analysis, 2nd ed., theorem 1.6).
    """
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    misfit = float(((inverse @ residual) ** 2).sum())
    weight = (inverse**2).sum(axis=0)
    return (misfit - dof) / float(np.sqrt(2.0 * dof + fourth @ weight**2))


@dataclasses.dataclass(frozen=True)
class Trust:
    """What speaks against the model so far; ``broken`` is empty while it is trusted, else the reason."""

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
        """After a measured image.

        ``misfit_excess`` is the whitened misfit's distance from its expectation in standard deviations at the largest sound discrepancy,
        ``discrepancy_above`` the probability that the discrepancy exceeds that, ``tension`` and ``tension_dof`` as in `Posterior`, ``inflation``
        the factor learnt from checked predictions.
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
            reason = f"an image needs parameters that the belief allows with a chance of 1e{single:.0f}"
        elif summed < -limits.together:
            reason = f"the images together need parameters that the belief allows with a chance of 1e{summed:.0f}"
        elif inflation > limits.inflation:
            reason = f"checked predictions are {inflation:.1f} times further off than they said"
        return Trust(self.images + 1, total, dof, reason)


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to stop trusting: misfit in standard deviations, discrepancy amplitude and the certainty of exceeding it, tension as -log10 of its chance.

    One image may be off by chance, or be badly described: its tension has heavy tails. A wrong model bends every image a little and none by much,
    so all of them ``together`` are held to less: looked at after each of 50 images, 5 healthy sessions in 1,000 fail.
    """

    misfit: float = 6.0
    discrepancy: float = 0.12
    certainty: float = 0.9
    tension: float = 8.0
    together: float = 3.5
    inflation: float = 1.8


def _log10_chance(square: float, dof: float) -> float:
    """Logarithm to base 10 of the chance of a larger chi squared."""
    with np.errstate(divide="ignore"):
        return float(np.log(chdtrc(dof, square)) / np.log(10))
