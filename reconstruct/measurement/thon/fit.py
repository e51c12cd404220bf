"""Fits of the model of Thon rings to a power spectrum: posterior, Laplace's evidence, covariance, and what a smooth spectrum explains.

The power at each frequency is exponentially distributed about S, as the film's atoms stand at random (Whittle's likelihood); of neighbours that the window ties
only a share counts.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from reconstruct.inference.damped_newton import minimise_single
from reconstruct.measurement.thon.model import C10, C12, C30, DRIFT, FILM_TERMS, PSI, REST, SIZE, Model
from reconstruct.measurement.thon.spectrum import Power

TERM_SPREAD = 5.0
"""Prior spread of the coefficients of film and rest."""
DRIFT_SPREAD = 2.0
"""Prior spread of the film's anisotropy: of drift by two pixels in the frame it is 3."""
C10_SPREAD = 1e5
"""Prior spread of C10 in angstrom, within a maximum of the likelihood: nothing is known."""
MAX_STEPS = 40
COST_TOLERANCE = 1e-3
"""Of minus the log posterior, at a maximum."""
ANISOTROPIC_TERMS = 4
"""Coefficients of each harmonic of a spectrum without rings."""
SCORE_BLOCKS = (18, 24)
"""Sectors and shells in which the scatter of the score is looked at."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """``c30`` in angstrom with its spread; ``psi`` in radian with the scale of its Student distribution of 3 degrees of freedom; ``astigmatism`` in angstrom is
    the scale of C12, whose prior has the tails of a Cauchy distribution: what is far from expected costs some nat, which any rings outweigh."""

    c30: float
    psi: float
    psi_spread: float
    astigmatism: float
    c30_spread: float = 1e-3

    def centre_and_spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of the Gaussian part; C12 and psi are free in it."""
        centre, spread = np.zeros(SIZE), np.full(SIZE, TERM_SPREAD)
        centre[C30] = self.c30
        spread[C10], spread[C12], spread[C30] = C10_SPREAD, np.inf, self.c30_spread
        spread[PSI], spread[DRIFT] = np.inf, DRIFT_SPREAD
        return centre, spread


class Fit(NamedTuple):
    """A maximum of the posterior: ``values`` [p], ``covariance`` [p, p], log ``evidence`` (Laplace), ``likelihood`` (log)."""

    values: np.ndarray
    covariance: np.ndarray
    evidence: float
    likelihood: float

    @property
    def std(self) -> np.ndarray:
        """[p]."""
        return np.sqrt(np.diag(self.covariance))


def start_values(c10: float, c12: np.ndarray, psi: float, prior: Prior) -> np.ndarray:
    """Values [p] from which a fit starts."""
    values = np.zeros(SIZE)
    values[C10], values[C12], values[C30], values[PSI] = c10, c12, prior.c30, psi
    values[REST.start] = -1.0
    return values


def fit_rings(power: Power, model: Model, values: np.ndarray, prior: Prior, steps: int = MAX_STEPS) -> Fit:
    """The maximum next to ``values`` [p], by damped Fisher scoring."""
    centre, spread = prior.centre_and_spread()
    share = power.weight / power.tied
    scale, width = prior.astigmatism, prior.psi_spread

    def quadratic(at: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        log, rows = model(at)
        ratio = power.power * np.exp(-log)
        deviation = (at - centre) / spread
        far = 1.0 + float(at[C12] @ at[C12]) / scale**2
        gradient = rows @ (share * (1.0 - ratio)) + deviation / spread
        curvature = (rows * share) @ rows.T + np.diag(spread**-2.0)
        gradient[C12] += 3.0 * at[C12] / (scale**2 * far)
        curvature[range(1, 3), range(1, 3)] += 3.0 / (scale**2 * far)
        off = at[PSI] - prior.psi
        beyond = 1.0 + off**2 / (3.0 * width**2)
        gradient[PSI] += 4.0 / 3.0 * off / (width**2 * beyond)
        curvature[PSI, PSI] += 4.0 / 3.0 / (width**2 * beyond)
        cost = float(share @ (log + ratio)) + 0.5 * float(deviation @ deviation)
        cost += 1.5 * np.log(far) + 2.0 * np.log(beyond)
        return cost, gradient, curvature

    minimum = minimise_single(quadratic, values, steps, COST_TOLERANCE)
    values, information = minimum.position, minimum.curvature
    scales = np.sqrt(np.diag(information))
    scaled = information / np.outer(scales, scales)
    covariance = np.linalg.inv(scaled) / np.outer(scales, scales)
    log, rows = model(values)
    ratio = power.power * np.exp(-log)
    covariance = covariance * np.sqrt(
        np.outer(*[_variance_inflation(power, rows, share * (1.0 - ratio), covariance)] * 2)
    )
    evidence = -minimum.cost - 0.5 * float(np.linalg.slogdet(scaled)[1]) - float(np.log(scales).sum())
    return Fit(values, covariance, evidence, -float(share @ (log + ratio)))


def score_blocks(power: Power, sectors: int, shells: int) -> np.ndarray:
    """Number [m] of the block of sectors and of shells of equal area in which each frequency is."""
    sector = np.minimum((power.azimuth / np.pi * sectors).astype(int), sectors - 1)
    return sector * shells + np.minimum((power.share**2 * shells).astype(int), shells - 1)


def _variance_inflation(power: Power, rows: np.ndarray, deviation: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """By how much the variances [p] are larger for the score's own scatter between `SCORE_BLOCKS` of neighbouring frequencies; at least 1.

    Where film and rest are not quite polynomials, or frequencies more tied than the window ties them, it is more than information says (White,
    Econometrica 50, 1, 1982).
    """
    block = score_blocks(power, *SCORE_BLOCKS)
    total = np.stack([np.bincount(block, row, SCORE_BLOCKS[0] * SCORE_BLOCKS[1]) for row in rows * deviation])
    wider = covariance @ (total @ total.T) @ covariance
    return np.maximum(np.diag(wider) / np.diag(covariance), 1.0)


def likelihood_without_rings(power: Power, model: Model, anisotropic: bool = False) -> tuple[float, np.ndarray]:
    """Log likelihood of a spectrum without rings, and its logarithm [m]: a polynomial of two more coefficients than the film's, with the film's
    anisotropy; or, ``anisotropic``, with polynomials for the second and fourth harmonic of the azimuth as well."""
    powers = power.share ** np.arange(FILM_TERMS + 2)[:, None]
    rows = np.concatenate([powers, model.film_terms[: DRIFT.stop - DRIFT.start]])
    if anisotropic:
        angles = np.outer([2.0, 4.0], power.azimuth)
        waves = np.concatenate([np.cos(angles), np.sin(angles)])
        rows = np.concatenate([powers, *(powers[:ANISOTROPIC_TERMS] * wave for wave in waves)])
    share = power.weight / power.tied

    def quadratic(at: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        log = np.clip(at @ rows, -50.0, 50.0)
        ratio = power.power * np.exp(-log)
        weak = 1e-6 * np.eye(len(at))
        return float(share @ (log + ratio)), rows @ (share * (1.0 - ratio)), (rows * share) @ rows.T + weak

    minimum = minimise_single(quadratic, np.zeros(len(rows)), MAX_STEPS, COST_TOLERANCE)
    return -minimum.cost, minimum.position @ rows


def distinct(fits: list[Fit], stds: float = 3.0) -> list[Fit]:
    """Fits that are not the same within errors, the likeliest first."""
    selected: list[Fit] = []
    for fit in sorted(fits, key=lambda fit: -fit.evidence):
        lens = slice(C10, C30)
        if not any((np.abs(fit.values - other.values)[lens] < stds * fit.std[lens]).all() for other in selected):
            selected.append(fit)
    return selected
