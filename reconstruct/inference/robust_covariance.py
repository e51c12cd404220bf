"""The covariance of a fit from how the scores of its independent parts scatter, right also where the model is not, and of few parts.

White's covariance (Econometrica 50, 1, 1982) B (sum_i s_i s_i^T) B is too narrow, since a fit makes the score s_i of each part smaller than it is at the
truth: to I_i - I_i B I_i instead of the part's information I_i. Bell & McCaffrey (Surv. Methodol. 28, 169, 2002; for scores of likelihoods Kauermann &
Carroll, J. Am. Stat. Assoc. 96, 1387, 2001) undo that by (1 - I_i B)^-1/2, which makes it unbiased where the model is right. It scatters itself, as if it had
so many degrees of freedom as Satterthwaite's approximation says (Imbens & Kolesar, Rev. Econ. Stat. 98, 701, 2016): Gaussian intervals of 90 % are made as
wide as Student's.
"""

import numpy as np
from scipy.special import ndtri, stdtrit

LEVEL = 0.95
"""Quantile at which the Gaussian that is told and Student's distribution agree."""
LEAST = 1e-3
"""What is at least left of a score after the fit; a part that has it determines a quantity alone, and says nothing of how it scatters."""


def covariance(scores: np.ndarray, informations: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance [n, n] and degrees of freedom [n] from ``scores`` [parts, n] at the maximum, the parts' expected ``informations`` [parts, n, n] and the
    prior's ``precision`` [n, n]."""
    bread = informations.sum(axis=0) + precision
    scale = 1.0 / np.sqrt(np.diag(bread))
    root = scale[:, None] * np.linalg.inv(np.linalg.cholesky(bread * np.outer(scale, scale))).T
    # root root^T = B; in its basis leverages are symmetric
    values, vectors = np.linalg.eigh(root.T @ informations @ root)
    turned = np.einsum("pij,pi->pj", vectors, scores @ root)
    mended = np.einsum("pij,pj->pi", vectors, turned / np.sqrt(np.maximum(1.0 - values, LEAST))) @ root.T
    inverse = root @ root.T
    whole = mended.T @ mended + inverse @ precision @ inverse
    expected = np.einsum("ij,pjk,ki->pi", inverse, informations, inverse)
    scatter = (mended**4 - expected**2).sum(axis=0)
    variance = np.diag(whole)
    freedom = np.where(scatter > 0.0, 2.0 * variance**2 / np.where(scatter > 0.0, scatter, 1.0), np.inf)
    wider = stdtrit(freedom, LEVEL) / ndtri(LEVEL)
    return 0.5 * (whole + whole.T) * np.outer(wider, wider), freedom
