"""The Gaussian process of a deep kernel: its covariance over pixels, its density given measured values, and the map that follows (tinygp)."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from tinygp import GaussianProcess
from tinygp.kernels import Kernel
from tinygp.solvers import DirectSolver

from learn.gp.deep_kernel.network import DeepParameters, Layout, parameters
from learn.gp.evidence import left_out
from learn.gp.kernels import map_covariance, matern52, responses, squared_distance

JITTER = 1e-8


class Pixels(NamedTuple):
    """Pixels: positions [n, 2], features [n, f] of the plain kernel, inputs [n, i] of the network, harmonics [n, h] of their response, and 1 where they are
    ``present`` [n], 0 for padding."""

    positions: Float[Array, "n 2"]
    features: Float[Array, "n f"]
    inputs: Float[Array, "n i"]
    harmonics: Float[Array, "n h"]
    present: Float[Array, " n"]


class Data(NamedTuple):
    """Measured pixels with values and variances [m], in units of the spread of the values; the prior's ``mean`` and ``std`` [p] of the plain kernel's
    parameters, and the ``rates`` [h] of the damping of harmonics."""

    pixels: Pixels
    values: Float[Array, " m"]
    variances: Float[Array, " m"]
    mean: Float[Array, " p"]
    std: Float[Array, " p"]
    rates: Float[Array, " h"]


class DeepKernel(Kernel):
    """`map_covariance` over position and features, plus a deep part: a Matern 5/2 covariance of ``amplitude`` over the inputs in their ``lengths`` and what
    the network makes of them. It does not know positions: what a patch says holds over the whole map.

    Wilson, Hu, Salakhutdinov & Xing, Deep kernel learning (AISTATS 2016), with the plain kernel as a part, so that the deep one has to explain only what
    that one leaves. Known responses of pixels multiply both.
    """

    theta: Float[Array, " p"]
    amplitude: Float[Array, ""]
    lengths: Float[Array, " i"]
    network: Callable[[Array], Array]
    rates: Float[Array, " h"]

    def evaluate(self, X1: Any, X2: Any) -> Array:
        """Covariance of one pixel and another (`Pixels` without their first axis; tinygp's annotations do not know trees)."""
        return self(*(jax.tree.map(lambda leaf: leaf[None], each) for each in (X1, X2)))[0, 0]

    def __call__(self, X1: Any, X2: Any = None) -> Array:
        """Covariances [n, m] of `Pixels`, all at once in matrix products; with one argument the variances [n]."""
        if X2 is None:
            return jax.vmap(self.evaluate_diag)(X1)
        same = jnp.all(X1.positions[:, None, :] == X2.positions[None, :, :], axis=-1).astype(X1.positions.dtype)
        plain = map_covariance(
            self.theta,
            X1.positions,
            X1.features,
            X2.positions,
            X2.features,
            same,
            X1.harmonics,
            X2.harmonics,
            self.rates,
        )
        a, b = (jnp.concatenate([X.inputs / self.lengths[None, :], self.network(X.inputs)], axis=1) for X in (X1, X2))
        deep = self.amplitude**2 * matern52(squared_distance(a, b, jnp.zeros(a.shape[1], dtype=a.dtype)))
        if self.rates.size:
            damped = responses(self.theta, X1.harmonics, self.rates), responses(self.theta, X2.harmonics, self.rates)
            deep = deep * damped[0][:, None] * damped[1][None, :]
        return (plain + deep) * X1.present[:, None] * X2.present[None, :]


def kernel_of(given: DeepParameters, data: Data) -> DeepKernel:
    """The kernel of some parameters."""
    theta = data.mean + data.std * given.plain
    return DeepKernel(theta, given.deep_amplitude, given.input_lengths, given.network, data.rates)


def process(given: DeepParameters, data: Data) -> GaussianProcess:
    """The process at the measured pixels; padding is independent, with variance 1."""
    pixels: Any = data.pixels
    return GaussianProcess(kernel_of(given, data), pixels, diag=_diagonal(data))


def _diagonal(data: Data) -> Float[Array, " m"]:
    return jnp.where(data.pixels.present > 0, data.variances + JITTER, 1.0)


@jax.custom_vjp
def log_density(covariance: Float[Array, "m m"], values: Float[Array, " m"]) -> Float[Array, ""]:
    """Log density of normal values of mean zero. Its derivative by the covariance is (a a^T - C^-1) / 2 with a = C^-1 values (Rasmussen & Williams eq. 5.9),
    which takes less time than to differentiate the Cholesky factor."""
    return _density(covariance, values)[0]


def _density(covariance: Array, values: Array) -> tuple[Array, tuple[Array, Array]]:
    root = jnp.linalg.cholesky(covariance)
    inverse = jax.scipy.linalg.solve_triangular(root, jnp.eye(values.size, dtype=values.dtype), lower=True)
    white = inverse @ values
    value = -0.5 * white @ white - jnp.log(jnp.diag(root)).sum() - 0.5 * values.size * math.log(2.0 * math.pi)
    return value, (inverse, white @ inverse)


def _slopes(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    inverse, solved = kept
    return 0.5 * slope * (jnp.outer(solved, solved) - inverse.T @ inverse), -slope * solved


log_density.defvjp(_density, _slopes)


def log_posterior(vector: Float[Array, " q"], data: Data, layout: Layout) -> Float[Array, ""]:
    """Log of marginal likelihood times prior, up to a constant (Rasmussen & Williams eq. 5.8): the objective of training."""
    given = parameters(vector, layout)
    covariance = kernel_of(given, data)(data.pixels, data.pixels) + jnp.diag(_diagonal(data))
    return log_density(covariance, data.values) - 0.5 * vector @ vector


class Predicted(NamedTuple):
    """``mean`` and ``variance`` [n] at all pixels without noise; ``off`` [m] of each measured value from what the others predict, the ``spread`` [m] of that
    prediction (variance, noise included) and the ``noise`` [m] in it."""

    mean: Float[Array, " n"]
    variance: Float[Array, " n"]
    off: Float[Array, " m"]
    spread: Float[Array, " m"]
    noise: Float[Array, " m"]


def predicted(vector: Float[Array, " q"], everywhere: Pixels, data: Data, layout: Layout) -> Predicted:
    """The map by one set of parameters (Rasmussen & Williams eq. 2.25), and each value by the others."""
    prior = process(parameters(vector, layout), data)
    solver, kernel = prior.solver, kernel_of(parameters(vector, layout), data)
    assert isinstance(solver, DirectSolver)
    projected = solver.solve_triangular(kernel(data.pixels, everywhere))
    mean = projected.T @ solver.solve_triangular(data.values)
    variance = kernel(everywhere) - jnp.sum(projected**2, axis=0)
    off, spread = left_out(solver.scale_tril, data.values)
    return Predicted(mean, variance, off, spread, prior.noise.diagonal())


def conditioned(vector: Float[Array, " q"], everywhere: Pixels, data: Data, layout: Layout) -> Float[Array, "n n"]:
    """Covariance at all pixels without noise, by one set of parameters."""
    prior = process(parameters(vector, layout), data)
    kernel = kernel_of(parameters(vector, layout), data)
    assert isinstance(prior.solver, DirectSolver)
    projected = prior.solver.solve_triangular(kernel(data.pixels, everywhere))
    return kernel(everywhere, everywhere) - projected.T @ projected
