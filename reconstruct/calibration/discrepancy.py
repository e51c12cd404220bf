"""What a column's model gets wrong, as a Gaussian process over its settings: near settings share an error, far ones do not.

Kernel of one quantity: size^2 exp(-d^2 / 2), d the distance between lens excitations (and logarithms of tensions) in units of a length; plus a constant
error for each key where the column's table says that zeros differ; plus white noise. M. Kennedy & A. O'Hagan, J. R. Stat. Soc. B 63, 425 (2001).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

SIZE, NOISE, LENGTH = (0.03, 3.0), (0.01, 3.0), (0.3, 2.0)
"""Priors (median, factor of one sigma): the model's error and unstated noise on a quantity's scale, and the length in full-scale excitations."""


class Hyper(NamedTuple):
    """``size`` [q] and ``noise`` [q] of each quantity in the table, ``length`` in units of full-scale excitation."""

    size: np.ndarray
    noise: np.ndarray
    length: float


class Places(NamedTuple):
    """Where rows stand: the quantity ``kind`` [n], lens excitations ``told`` [n, m], the ``zero`` [n] they share (-1: none) and its ``zero_std`` [n]."""

    kind: np.ndarray
    told: np.ndarray
    zero: np.ndarray
    zero_std: np.ndarray


def start(count: int) -> Hyper:
    """The priors' medians for ``count`` quantities."""
    return Hyper(np.full(count, SIZE[0]), np.full(count, NOISE[0]), LENGTH[0])


def kernel(hyper: Hyper, a: Places, b: Places) -> np.ndarray:
    """Covariance [n, k] between the model's errors at two sets of places, white noise left out."""
    apart = ((a.told[:, None, :] - b.told[None, :, :]) ** 2).sum(axis=2) / hyper.length**2
    same = a.kind[:, None] == b.kind[None, :]
    smooth = np.where(same, hyper.size[a.kind][:, None] * hyper.size[b.kind][None] * np.exp(-0.5 * apart), 0.0)
    shared = (a.zero[:, None] == b.zero[None, :]) & (a.zero[:, None] >= 0)
    return smooth + np.where(shared, a.zero_std[:, None] * b.zero_std[None, :], 0.0)


def learnt(away: np.ndarray, linear: np.ndarray, stated: np.ndarray, places: Places, first: Hyper) -> Hyper:
    """The hyperparameters under which ``away`` [n] = ``linear`` [n, p] (unit normals) + the model's error + noise is most probable.

    ``stated`` [n] are variances that the table itself gives. Priors keep what few rows say nothing about.
    """
    count = len(first.size)
    plain = linear @ linear.T + np.diag(stated)

    def unpack(x: np.ndarray) -> Hyper:
        return Hyper(np.exp(x[:count]), np.exp(x[count : 2 * count]), float(np.exp(x[-1])))

    middle = np.log(np.r_[np.full(count, SIZE[0]), np.full(count, NOISE[0]), LENGTH[0]])
    width = np.log(np.r_[np.full(count, SIZE[1]), np.full(count, NOISE[1]), LENGTH[1]])

    def cost(x: np.ndarray) -> float:
        hyper = unpack(x)
        total = plain + kernel(hyper, places, places) + np.diag(hyper.noise[places.kind] ** 2)
        factor = cho_factor(total, lower=True)
        logs = np.log(np.diag(factor[0])).sum()
        return float(0.5 * away @ cho_solve(factor, away) + logs + 0.5 * (((x - middle) / width) ** 2).sum())

    begin = np.log(np.r_[first.size, first.noise, first.length])
    bounds = [(m - 4 * w, m + 4 * w) for m, w in zip(middle, width, strict=True)]
    return unpack(minimize(cost, begin, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x)
