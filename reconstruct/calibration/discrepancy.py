"""What a column's form gets wrong: lenses that are not quite the lenses of the model, by an error that changes with what they carry.

Every lens's strength, width and place may err by a function of its own excitation (other iron saturates by another law) and, less, of all excitations (fields
leak, iron remembers). Both are Gaussian processes, and reach a measured quantity by its derivative: near a magnification of zero a small error of a lens is a
large one of the quantity. M. Kennedy & A. O'Hagan, J. R. Stat. Soc. B 63, 425 (2001), with the error inside the model and not behind it. A constant error for
each key, where the column's table says that zeros differ, and white noise come on top.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize

OWN, ALL, LENGTH, NOISE = (0.01, 3.0), (0.002, 3.0), (0.3, 1.5), (0.01, 3.0)
"""Priors (median, factor of one sigma): relative errors of lenses by their own and by all excitations, the length in full-scale excitations on which they
change, and noise that a table does not state, on a quantity's scale."""
FREE = 5.0
"""By how much wider than believed constants are taken where hyperparameters are learnt."""


class Hyper(NamedTuple):
    """Rms errors ``own`` and ``all`` of lenses (relative; of places in half widths), the ``length`` on which they change, ``noise`` [q] of each quantity."""

    own: float
    all: float
    length: float
    noise: np.ndarray


class Places(NamedTuple):
    """Where rows stand: the quantity ``kind`` [n], excitations of lenses ``told`` [n, m], logarithm of the tension ``tension`` [n]; ``levers`` [n, m, 3], derivatives
    of the row's quantity by relative errors of each lens's strength, width and place; the ``zero`` [n] they share (-1: none) and its ``zero_std`` [n].
    """

    kind: np.ndarray
    told: np.ndarray
    tension: np.ndarray
    levers: np.ndarray
    zero: np.ndarray
    zero_std: np.ndarray

    def at(self, chosen: np.ndarray) -> "Places":
        """Those numbered ``chosen`` [k]."""
        return Places(*(field[chosen] for field in self))


class _Pairs(NamedTuple):
    """Of all pairs of two sets of places: products of levers [m, n, k], squared distances of each lens [m, n, k], shared zeros [n, k]."""

    levers: np.ndarray
    apart: np.ndarray
    tension: np.ndarray
    zeros: np.ndarray


def start(count: int) -> Hyper:
    """The priors' medians for ``count`` quantities."""
    return Hyper(OWN[0], ALL[0], LENGTH[0], np.full(count, NOISE[0]))


def kernel(hyper: Hyper, a: Places, b: Places) -> np.ndarray:
    """Covariance [n, k] between the model's errors at two sets of places, white noise left out."""
    return np.asarray(_kernel(hyper.own, hyper.all, hyper.length, _pairs(a, b)))


def learnt(away: np.ndarray, linear: np.ndarray, stated: np.ndarray, places: Places, first: Hyper) -> Hyper:
    """The hyperparameters under which ``away`` [n] = ``linear`` [n, p] (unit normals) + the model's error + noise is most probable.

    Constants are left free here, so that a prior that is off is not taken for lenses of another form. ``stated`` [n] are variances that the table itself gives; rows without (0) have their quantity's noise. Priors keep what few rows say nothing about.
    """
    count = len(first.noise)
    plain = FREE**2 * linear @ linear.T + np.diag(stated)
    unstated = (stated == 0).astype(float)
    middle = np.log(np.r_[OWN[0], ALL[0], LENGTH[0], np.full(count, NOISE[0])])
    width = np.log(np.r_[OWN[1], ALL[1], LENGTH[1], np.full(count, NOISE[1])])
    given = (away, plain, _pairs(places, places), places.kind, unstated, middle, width)
    begin = np.log(np.r_[first.own, first.all, first.length, first.noise])
    bounds = [(m - 4 * w, m + 4 * w) for m, w in zip(middle, width, strict=True)]

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _COST(jnp.asarray(x), *given)
        return float(value), np.asarray(slope)

    x = np.exp(minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x)
    return Hyper(float(x[0]), float(x[1]), float(x[2]), x[3:])


def _pairs(a: Places, b: Places) -> _Pairs:
    shared = (a.zero[:, None] == b.zero[None, :]) & (a.zero[:, None] >= 0)
    return _Pairs(
        np.einsum("nmc,kmc->mnk", a.levers, b.levers),
        ((a.told[:, None, :] - b.told[None, :, :]) ** 2).transpose(2, 0, 1),
        (a.tension[:, None] - b.tension[None, :]) ** 2,
        np.where(shared, a.zero_std[:, None] * b.zero_std[None, :], 0.0),
    )


def _kernel(own, every, length, pairs: _Pairs) -> Float[Array, "n k"]:
    near = jnp.exp(-0.5 * (pairs.apart + pairs.tension) / length**2)
    together = jnp.exp(-0.5 * (pairs.apart.sum(axis=0) + pairs.tension) / length**2)
    return (pairs.levers * (own**2 * near + every**2 * together)).sum(axis=0) + pairs.zeros


def _cost(
    x: Float[Array, " h"],
    away: Float[Array, " n"],
    plain: Float[Array, "n n"],
    pairs: _Pairs,
    kind: Int[Array, " n"],
    unstated: Float[Array, " n"],
    middle: Float[Array, " h"],
    width: Float[Array, " h"],
) -> Float[Array, ""]:
    """Minus the log posterior of the hyperparameters' logarithms ``x``: own, all, length, noises."""
    noise = unstated * jnp.exp(x[3:])[kind] ** 2
    total = plain + _kernel(jnp.exp(x[0]), jnp.exp(x[1]), jnp.exp(x[2]), pairs) + jnp.diag(noise)
    factor = jnp.linalg.cholesky(total)
    white = jax.scipy.linalg.solve_triangular(factor, away, lower=True)
    return 0.5 * white @ white + jnp.log(jnp.diag(factor)).sum() + 0.5 * (((x - middle) / width) ** 2).sum()


_COST = jax.jit(jax.value_and_grad(_cost))
