"""Fisher information of counts, and the bounds on errors that follow.

Counts n are Poisson numbers of mean dose x rate, with a readout of known variance: of many electrons, or few per pixel and many pixels, their information about
parameters is J^T J weighted with the inverse variance (S. Van Aert et al., J. Struct. Biol. 138, 21 (2002), eq. 9 for Poisson counts).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


def fisher_information(
    jacobian: Float[np.ndarray, "m p"],
    rates: Float[np.ndarray, " m"],
    dose: float,
    readout: float | Float[np.ndarray, " m"] = 0.0,
) -> Float[np.ndarray, "p p"]:
    """Information [p, p] of counts of mean ``dose`` x ``rates`` [m], whose derivatives in p parameters are ``dose`` x ``jacobian`` [m, p].

    ``readout``: variance (electrons^2) that is added to each count. Counts that are never made (a rate of 0 without readout noise) tell nothing. ValueError for
    negative rates or dose.
    """
    if dose < 0 or np.any(rates < 0) or np.any(np.asarray(readout) < 0):
        raise ValueError("dose, rates and readout variance must not be negative")
    variance = dose * rates + readout
    weight = np.where(variance > 0.0, dose**2 / np.where(variance > 0.0, variance, 1.0), 0.0)
    return jacobian.T @ (jacobian * weight[:, None])


class Bound(NamedTuple):
    """Least standard deviations ``std`` [w] of the wanted parameters, nuisances estimated along; ``known`` [w]: if nuisances were known exactly;
    ``covariance`` [p, p] of all parameters."""

    std: Float[np.ndarray, " w"]
    known: Float[np.ndarray, " w"]
    covariance: Float[np.ndarray, "p p"]


def bound(information: Float[np.ndarray, "p p"], wanted: int, prior: Float[np.ndarray, " p"] | None = None) -> Bound:
    """Cramer-Rao bound of the first ``wanted`` of p parameters, the others being nuisances.

    ``prior``: standard deviations [p] known beforehand (inf where nothing is), added as information (Van Trees' bound for normal priors).
    ValueError where the information does not determine a wanted parameter.

    >>> bound(np.array([[4.0, 2.0], [2.0, 4.0]]), 1).std.round(4).tolist()
    [0.5774]
    """
    if not 1 <= wanted <= len(information):
        raise ValueError(f"{wanted} of {len(information)} parameters are asked for; give 1 to {len(information)}")
    total = np.array(information, float)
    if prior is not None:
        if np.any(prior <= 0):
            raise ValueError("prior standard deviations must be positive: leave parameters of zero width out")
        total += np.diag(np.where(np.isfinite(prior), 1.0 / np.square(prior), 0.0))
    scale = np.sqrt(np.maximum(np.diag(total), 1e-300))
    values, vectors = np.linalg.eigh(total / scale[:, None] / scale[None, :])
    lost = values < 1e-12 * values.max()
    unseen = np.abs(vectors[:wanted][:, lost]).max(axis=1, initial=0.0) > 1e-6
    if unseen.any():
        names = ", ".join(str(index) for index in np.flatnonzero(unseen))
        raise ValueError(f"the counts do not determine parameter {names}: give it a prior, or measure something else")
    inverse = (vectors[:, ~lost] / values[~lost]) @ vectors[:, ~lost].T
    covariance = inverse / scale[:, None] / scale[None, :]
    alone = np.linalg.inv(total[:wanted, :wanted])
    return Bound(np.sqrt(np.diag(covariance)[:wanted]), np.sqrt(np.diag(alone)), covariance)
