"""Robust (sandwich) covariance of a fit from the scatter of the scores of its independent parts, corrected for few parts.

It holds also where the model is wrong. White's covariance (Econometrica 50, 1, 1982) B (sum_i s_i s_i^T) B is too narrow, since a fit makes the score s_i of
each part smaller than at the true parameters: to I_i - I_i B I_i instead of the part's information I_i. Bell & McCaffrey (Surv. Methodol. 28, 169,
2002; for scores of likelihoods Kauermann & Carroll, J. Am. Stat. Assoc. 96, 1387, 2001) correct for this with
(1 - I_i B)^-1/2, which is unbiased where the model is right. The estimate itself scatters with the degrees of freedom of Satterthwaite's approximation
(Imbens & Kolesar, Rev. Econ. Stat. 98, 701, 2016): Gaussian intervals of 90 % are widened to those of Student's t.
"""

import numpy as np
from scipy.special import ndtri, stdtrit

INTERVAL_QUANTILE = 0.95
"""Quantile at which the reported Gaussian and Student's t agree."""
MIN_RESIDUAL_FRACTION = 1e-3
"""Smallest eigenvalue of 1 - I_i B; a part that reaches it determines a quantity alone and does not measure its scatter."""


def covariance(scores: np.ndarray, informations: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance [n, n] and degrees of freedom [n] from ``scores`` [parts, n] at the maximum, the parts' expected ``informations`` [parts, n, n] and the
    prior's ``precision`` [n, n]."""
    bread = informations.sum(axis=0) + precision
    scale = 1.0 / np.sqrt(np.diag(bread))
    inverse_sqrt = scale[:, None] * np.linalg.inv(np.linalg.cholesky(bread * np.outer(scale, scale))).T
    # inverse_sqrt inverse_sqrt^T = B; in its basis the leverages are symmetric
    values, vectors = np.linalg.eigh(inverse_sqrt.T @ informations @ inverse_sqrt)
    rotated = np.einsum("pij,pi->pj", vectors, scores @ inverse_sqrt)
    corrected = (
        np.einsum("pij,pj->pi", vectors, rotated / np.sqrt(np.maximum(1.0 - values, MIN_RESIDUAL_FRACTION)))
        @ inverse_sqrt.T
    )
    inverse = inverse_sqrt @ inverse_sqrt.T
    total = corrected.T @ corrected + inverse @ precision @ inverse
    expected = np.einsum("ij,pjk,ki->pi", inverse, informations, inverse)
    scatter = (corrected**4 - expected**2).sum(axis=0)
    variance = np.diag(total)
    freedom = np.where(scatter > 0.0, 2.0 * variance**2 / np.where(scatter > 0.0, scatter, 1.0), np.inf)
    widening = stdtrit(freedom, INTERVAL_QUANTILE) / ndtri(INTERVAL_QUANTILE)
    return 0.5 * (total + total.T) * np.outer(widening, widening), freedom
