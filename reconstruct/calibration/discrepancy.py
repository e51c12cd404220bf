"""Model discrepancy of a column: errors of its lenses that change with their excitation.

The errors of a lens's strength, width and position are functions of its own excitation (saturation differs) and, less, of all excitations (stray fields,
hysteresis). The width errs most: Ampere's law fixes the strength, and the gap does not move. Both functions are Gaussian processes, and propagate to a
measured quantity by its derivative: near a magnification of zero a small error of a lens is a large one of the quantity. M. Kennedy &
A. O'Hagan, J. R. Stat. Soc. B 63, 425 (2001), with the error inside the model. Added are a constant error for each key, where the column's table says
that zeros differ, and white noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize

OWN_EXCITATION_PRIOR = ((0.01, 2.0), (0.04, 1.5), (0.01, 2.0))
ALL_EXCITATIONS_PRIOR, LENGTH_PRIOR, NOISE_PRIOR = (0.005, 1.7), (0.3, 1.5), (0.01, 3.0)
"""Priors (median, factor of one sigma): relative errors of lenses (strength, width, place) by their own and by all excitations, the length in full-scale
excitations on which they change, and noise that a table does not state, on a quantity's scale."""
CONSTANT_WIDENING = 5.0
"""Factor on the prior standard deviations of constants where hyperparameters are estimated."""
MIN_CURVATURE = 0.5
"""Smallest curvature of the proposal for draws of hyperparameters, in units of the prior's."""


class Hyper(NamedTuple):
    """Rms errors of lenses: ``own_excitation`` [3] of strengths and widths (relative) and positions (in half widths); ``all_excitations`` of widths, with
    the others in the proportions of ``own_excitation``; the ``length`` on which they change; ``noise`` [q] of each quantity."""

    own_excitation: np.ndarray
    all_excitations: float
    length: float
    noise: np.ndarray


class RowInputs(NamedTuple):
    """Settings of rows: the quantity ``kind`` [n], ``excitations`` [n, m] of lenses, logarithm of the tension ``tension`` [n]; ``levers`` [n, m, 3],
    derivatives of the row's quantity by relative errors of each lens's strength, width and position; the ``zero`` [n] they share (-1: none) and its
    ``zero_std``.
    """

    kind: np.ndarray
    excitations: np.ndarray
    tension: np.ndarray
    levers: np.ndarray
    zero: np.ndarray
    zero_std: np.ndarray

    def at(self, chosen: np.ndarray) -> "RowInputs":
        """The rows with indices ``chosen`` [k]."""
        return RowInputs(*(field[chosen] for field in self))


class _Pairs(NamedTuple):
    """For all pairs of two sets of rows: products of levers [m, 3, n, k], squared distances of each lens [m, n, k], shared zeros [n, k]."""

    levers: np.ndarray
    square_distance: np.ndarray
    tension: np.ndarray
    shared_zeros: np.ndarray


def prior_median(count: int) -> Hyper:
    """The priors' medians for ``count`` quantities."""
    return Hyper(
        np.array([median for median, _ in OWN_EXCITATION_PRIOR]),
        ALL_EXCITATIONS_PRIOR[0],
        LENGTH_PRIOR[0],
        np.full(count, NOISE_PRIOR[0]),
    )


def kernel(hyper: Hyper, a: RowInputs, b: RowInputs) -> np.ndarray:
    """Covariance [n, k] between the model's errors at two sets of rows, without white noise."""
    return np.asarray(_kernel(hyper.own_excitation, hyper.all_excitations, hyper.length, _pairs(a, b)))


def expected_lens_errors(
    hyper: Hyper, excitations: np.ndarray, tension: np.ndarray, rows: RowInputs, weights: np.ndarray
) -> np.ndarray:
    """Expected errors of lenses [s, m, 3] at ``excitations`` [s, m] and logarithms of tensions [s], given the rows' ``weights`` [n]: K^-1 (data)."""
    square_distance = ((excitations[:, None, :] - rows.excitations[None]) ** 2).transpose(2, 0, 1)
    shared = np.asarray(
        _shared(
            hyper.own_excitation[1],
            hyper.all_excitations,
            hyper.length,
            square_distance,
            (tension[:, None] - rows.tension[None]) ** 2,
        )
    )
    return np.einsum("msn,nmc,n->smc", shared, rows.levers, weights) * hyper.own_excitation**2


class HyperparameterPosterior:
    """Posterior of the hyperparameters given rows: ``residual`` [n] = ``slopes`` [n, p] (unit normals) + the model's error + noise.

    Constants have wide priors here, so that a wrong prior is not taken for an error of lenses. ``stated`` [n] are variances that the table itself
    gives; rows without (0) have their quantity's noise. Priors hold what few rows do not determine.
    """

    def __init__(self, residual: np.ndarray, slopes: np.ndarray, stated: np.ndarray, rows: RowInputs, first: Hyper):
        count = len(first.noise)
        plain = CONSTANT_WIDENING**2 * slopes @ slopes.T + np.diag(stated)
        self._prior_median, self._width = np.log(
            [*OWN_EXCITATION_PRIOR, ALL_EXCITATIONS_PRIOR, LENGTH_PRIOR, *[NOISE_PRIOR] * count]
        ).T
        unstated = (stated == 0).astype(float)
        self._given = (residual, plain, _pairs(rows, rows), rows.kind, unstated, self._prior_median, self._width)
        begin = np.log(np.r_[first.own_excitation, first.all_excitations, first.length, first.noise])
        bounds = [(m - 4 * w, m + 4 * w) for m, w in zip(self._prior_median, self._width, strict=True)]
        self._best = minimize(self._cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x

    def _cost(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _COST(jnp.asarray(x), *self._given)
        return float(value), np.asarray(slope)

    def best(self) -> Hyper:
        """The most probable hyperparameters."""
        return _hyper(self._best)

    def draws(self, count: int, generator: np.random.Generator) -> tuple[list[Hyper], np.ndarray]:
        """``count`` of their posterior with weights [count] that sum to 1: draws of a Gaussian about the best, weighted by importance."""
        curvature = np.asarray(_CURVATURE(jnp.asarray(self._best), *self._given)) * np.outer(self._width, self._width)
        values, vectors = np.linalg.eigh(curvature)  # 1 where the rows say nothing
        spread = self._width[:, None] * vectors / np.sqrt(np.maximum(values, MIN_CURVATURE))
        normal = generator.standard_normal((count, len(self._best)))
        x = self._best + normal @ spread.T
        logs = np.array([0.5 * z @ z - self._cost(position)[0] for z, position in zip(normal, x, strict=True)])
        weights = np.exp(logs - logs.max())
        return [_hyper(position) for position in x], weights / weights.sum()


def _hyper(x: np.ndarray) -> Hyper:
    x = np.exp(x)
    return Hyper(x[:3], float(x[3]), float(x[4]), x[5:])


def _pairs(a: RowInputs, b: RowInputs) -> _Pairs:
    same_zero = (a.zero[:, None] == b.zero[None, :]) & (a.zero[:, None] >= 0)
    return _Pairs(
        np.einsum("nmc,kmc->mcnk", a.levers, b.levers),
        ((a.excitations[:, None, :] - b.excitations[None, :, :]) ** 2).transpose(2, 0, 1),
        (a.tension[:, None] - b.tension[None, :]) ** 2,
        np.where(same_zero, a.zero_std[:, None] * b.zero_std[None, :], 0.0),
    )


@jax.jit
def _kernel(own_excitation, all_excitations, length, pairs: _Pairs) -> Float[Array, "n k"]:
    by_lens = jnp.einsum("c,mcnk->mnk", jnp.asarray(own_excitation) ** 2, jnp.asarray(pairs.levers))
    return (by_lens * _shared(own_excitation[1], all_excitations, length, pairs.square_distance, pairs.tension)).sum(
        axis=0
    ) + pairs.shared_zeros


@jax.jit
def _shared(width, all_excitations, length, square_distance, tension) -> Float[Array, "m n k"]:
    """Covariance between the errors of one lens at two settings, over the variance of those by its own excitation."""
    square_distance, tension = jnp.asarray(square_distance), jnp.asarray(tension)
    by_all = _correlation((square_distance.sum(axis=0) + tension) / length**2)[None]
    return _correlation((square_distance + tension[None]) / length**2) + (all_excitations / width) ** 2 * by_all


def _correlation(square: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Correlation by squared distances in lengths: iron's magnetisation is smooth."""
    return jnp.exp(-0.5 * square)


def _cost(
    x: Float[Array, " h"],
    residual: Float[Array, " n"],
    plain: Float[Array, "n n"],
    pairs: _Pairs,
    kind: Int[Array, " n"],
    unstated: Float[Array, " n"],
    median: Float[Array, " h"],
    width: Float[Array, " h"],
) -> Float[Array, ""]:
    """Minus the log posterior of the hyperparameters' logarithms ``x``: three of own, all, length, noises."""
    noise = unstated * jnp.exp(x[5:])[kind] ** 2
    total = plain + _kernel(jnp.exp(x[:3]), jnp.exp(x[3]), jnp.exp(x[4]), pairs) + jnp.diag(noise)
    lower = jnp.linalg.cholesky(total)
    white = jax.scipy.linalg.solve_triangular(lower, residual, lower=True)
    return 0.5 * white @ white + jnp.log(jnp.diag(lower)).sum() + 0.5 * (((x - median) / width) ** 2).sum()


_COST = jax.jit(jax.value_and_grad(_cost))
_CURVATURE = jax.jit(jax.hessian(_cost))
