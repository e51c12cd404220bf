"""Background and areal densities of each spectrum, all spectra at once, for near-edge shapes that are known.

A spectrum's expectation is pattern x (exp(level - exponent x log energy) + sum of amplitudes x edges). Edges may move with unknowns of each spectrum (its own
offset of the axis, its own thickness), to first order. The estimate solves the quasi-likelihood equations
(R. W. M. Wedderburn, Biometrika 61, 439, 1974) by Fisher scoring with the covariance of the camera: the variance of a channel is gain x expectation +
readout^2, and neighbours are whitened (`reconstruct.eels.camera`). With a white camera of gain 1 these are the equations of the Poisson likelihood.

Amplitudes may come out negative; variances are those of the expectation with negative amplitudes set to zero, so that they stay positive and, at few
counts, are not too small.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

EXPONENT, EXPONENT_SPREAD = 3.5, 3.0
"""Prior of the background's exponent: most are 2 to 6 (Egerton, section 4.4.1); wide, so that it matters only where there are hardly any counts."""
LEVEL_SPREAD = 20.0
"""Prior rms of the logarithm of the level: none in effect, but solvable without counts."""
ITERATIONS, SMALL_STEP = 30, 1e-3
"""Steps at most, and the change in standard errors below which no further one is taken."""
LARGEST_STEP = 1.0
"""Of level and exponent."""
BLOCK = 64
"""Spectra that are fitted side by side."""
LEAST = 1e-6
"""Least expectation of a channel, over the background's mean: variances stay positive."""


class Shared(NamedTuple):
    """What all spectra have in common: ``edges`` [k, c], ``pattern`` [c] and ``log_energy`` [c]; the camera's ``taps`` [lags + 1, c], ``gain`` and
    ``readout``; ``used`` [c], 0 for channels that are left out; ``moves`` [e, k, c] of the edges with each spectrum's own further unknowns."""

    edges: Any
    pattern: Any
    log_energy: Any
    taps: Any
    gain: Any
    readout: Any
    used: Any
    moves: Any


class Own(NamedTuple):
    """Of the further unknowns of n spectra ``centre`` and ``precision`` [n, e] of the prior."""

    centre: Any
    precision: Any

    @classmethod
    def none(cls, count: int) -> "Own":
        """Without such unknowns."""
        return cls(np.zeros((count, 0)), np.zeros((count, 0)))


class Fitted(NamedTuple):
    """Of n spectra ``parameters`` [n, p], p = 2 + k + e (log level, exponent, amplitudes, further unknowns), their ``information`` [n, p, p] and
    ``chi_squared`` [n] (whitened)."""

    parameters: np.ndarray
    information: np.ndarray
    chi_squared: np.ndarray


def fit_spectra(counts: np.ndarray, shared: Shared, start: np.ndarray | None = None, own: Own | None = None) -> Fitted:
    """Fit each of ``counts`` [n, c] (not NaN where used). Blocks of `BLOCK` spectra compile once for a number of channels and edges. ``own``: prior of
    further unknowns, where ``shared`` has ``moves``."""
    from twin.blocks import evaluate

    own = own or Own.none(len(counts))
    first = starting(counts, shared, own) if start is None else start
    result = evaluate(
        lambda y, p, *q: _fit_block(y, p, shared, Own(*q)), BLOCK, np.asarray(counts, np.float64), first, *own
    )
    return Fitted(*result)


def starting(counts: np.ndarray, shared: Shared, own: Own) -> np.ndarray:
    """Parameters [n, p] to start from: the mean as level, a usual exponent, no edges."""
    used = np.asarray(shared.used) > 0
    falling = np.exp(-EXPONENT * np.asarray(shared.log_energy))[used].mean()
    level = np.log(np.maximum(counts[:, used].mean(axis=1), 1e-3) / falling)
    rest = np.zeros((len(counts), len(np.asarray(shared.edges))))
    return np.concatenate([level[:, None], np.full((len(counts), 1), EXPONENT), rest, np.asarray(own.centre)], axis=1)


def amplitudes_of(parameters: Any, shared: Shared) -> Any:
    """Amplitudes [n, k] among parameters."""
    return parameters[:, 2 : 2 + shared.edges.shape[0]]


def curves_of(parameters: Any, shared: Shared) -> Any:
    """Edges of each spectrum [n, k, c], or [1, k, c] where they do not move."""
    if not shared.moves.shape[0]:
        return shared.edges[None]
    moved = parameters[:, 2 + shared.edges.shape[0] :]
    return shared.edges[None] + jnp.einsum("ne,ekc->nkc", moved, shared.moves)


def expectation(parameters: Any, shared: Shared) -> Any:
    """Background and edges of spectra [n, c] each, without the pattern."""
    background = jnp.exp(parameters[:, :1] - parameters[:, 1:2] * shared.log_energy[None, :])
    amplitudes = amplitudes_of(parameters, shared)
    if not shared.moves.shape[0]:
        return background, amplitudes @ shared.edges
    return background, jnp.einsum("nk,nkc->nc", amplitudes, curves_of(parameters, shared))


def inverse_noise(parameters: Any, background: Any, shared: Shared) -> Any:
    """One over the rms noise of each channel [n, c], 0 where it is left out."""
    positive = background + jnp.maximum(amplitudes_of(parameters, shared), 0.0) @ jnp.maximum(shared.edges, 0.0)
    positive = jnp.maximum(positive, LEAST * background.mean(axis=1, keepdims=True))
    variance = shared.gain * shared.pattern[None, :] * positive + shared.readout**2
    return shared.used[None, :] / jnp.sqrt(variance)


def whitened(values: Any, taps: Any) -> Any:
    """Whitening along the last axis of [..., c]."""
    rows = taps.reshape(taps.shape[0], *[1] * (values.ndim - 1), taps.shape[1])
    total = values * rows[0]
    for lag in range(1, taps.shape[0]):
        total = total + rows[lag] * jnp.pad(values[..., :-lag], [(0, 0)] * (values.ndim - 1) + [(lag, 0)])
    return total


def derivatives(parameters: Any, background: Any, shared: Shared) -> Any:
    """Of the expectation by level, exponent, amplitudes and further unknowns, [n, p, c], pattern included."""
    curves = curves_of(parameters, shared)
    edges = jnp.broadcast_to(curves, (background.shape[0], *curves.shape[1:]))
    rows = [jnp.stack([background, -background * shared.log_energy[None, :]], axis=1), edges]
    if shared.moves.shape[0]:
        rows.append(jnp.einsum("nk,ekc->nec", amplitudes_of(parameters, shared), shared.moves))
    return jnp.concatenate(rows, axis=1) * shared.pattern[None, None, :]


def prior_terms(parameters: Any, own: Own) -> tuple[Any, Any]:
    """Gradient and precision [n, p] of the prior."""
    count, further = parameters.shape[0], own.precision.shape[1]
    amplitudes = jnp.zeros((count, parameters.shape[1] - 2 - further))
    fixed = jnp.broadcast_to(jnp.array([LEVEL_SPREAD**-2.0, EXPONENT_SPREAD**-2.0]), (count, 2))
    precision = jnp.concatenate([fixed, amplitudes, own.precision], axis=1)
    middle = jnp.broadcast_to(jnp.array([0.0, EXPONENT]), (count, 2))
    centre = jnp.concatenate([middle, amplitudes, own.centre], axis=1)
    return -(parameters - centre) * precision, precision


def with_prior(slopes: Any, precision: Any) -> Any:
    """Information [n, p, p] of whitened derivatives [n, p, c] and a prior's precision [n, p]."""
    return jnp.einsum("nic,njc->nij", slopes, slopes) + jax.vmap(jnp.diag)(precision)


def _terms(counts: Any, parameters: Any, shared: Shared, own: Own) -> tuple[Any, Any, Any]:
    """Information, gradient and chi squared."""
    background, edges = expectation(parameters, shared)
    scale = inverse_noise(parameters, background, shared)
    residual = whitened(scale * (counts - shared.pattern[None, :] * (background + edges)), shared.taps)
    slopes = whitened(scale[:, None, :] * derivatives(parameters, background, shared), shared.taps)
    gradient, precision = prior_terms(parameters, own)
    return (
        with_prior(slopes, precision),
        jnp.einsum("nic,nc->ni", slopes, residual) + gradient,
        jnp.sum(residual**2, axis=1),
    )


@jax.jit
def _fit_block(counts: Any, start: Any, shared: Shared, own: Own) -> tuple[Any, Any, Any]:
    further = own.precision.shape[1]

    def step(state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        number, parameters, _ = state
        information, gradient, _ = _terms(counts, parameters, shared, own)
        move = solve(information, gradient)
        limited = move.at[:, :2].set(jnp.clip(move[:, :2], -LARGEST_STEP, LARGEST_STEP))
        if further:
            most = 1.0 / jnp.sqrt(own.precision)
            limited = limited.at[:, -further:].set(jnp.clip(move[:, -further:], -most, most))
        size = jnp.max(jnp.abs(limited) * jnp.sqrt(jnp.diagonal(information, axis1=1, axis2=2)))
        return number + 1, parameters + limited, size

    def going(state: tuple[Any, Any, Any]) -> Any:
        return (state[0] < ITERATIONS) & (state[2] > SMALL_STEP)

    _, parameters, _ = jax.lax.while_loop(going, step, (0, start, jnp.inf))
    information, _, chi_squared = _terms(counts, parameters, shared, own)
    return parameters - _bias(parameters, information, shared), information, chi_squared


def _bias(parameters: Any, information: Any, shared: Shared) -> Any:
    """Bias [n, 2 + k] to first order in the noise, by the background's curvature (D. R. Cox and E. J. Snell, J. R. Stat. Soc. B 30, 248, 1968)."""
    background, _ = expectation(parameters, shared)
    scale = inverse_noise(parameters, background, shared)
    slopes = whitened(scale[:, None, :] * derivatives(parameters, background, shared), shared.taps)
    bent = whitened(scale * curvature(background, information, shared), shared.taps)
    return solve(information, -jnp.einsum("nic,nc->ni", slopes, bent))


def curvature(background: Any, information: Any, shared: Shared) -> Any:
    """By how much [n, c] the expectation at the mean of uncertain levels and exponents is below the mean of expectations, to first order."""
    covariance = inverted(information)[:, :2, :2]
    basis = jnp.stack([jnp.ones_like(shared.log_energy), -shared.log_energy])
    variance = jnp.einsum("ic,nij,jc->nc", basis, covariance, basis)
    return 0.5 * shared.pattern[None, :] * background * variance


def inverted(information: Any) -> Any:
    """Inverses [n, p, p], of unknowns with different units."""
    scale = 1.0 / jnp.sqrt(jnp.diagonal(information, axis1=1, axis2=2))
    both = scale[:, :, None] * scale[:, None, :]
    return jnp.linalg.inv(information * both) * both


def solve(information: Any, gradient: Any) -> Any:
    """Solutions [n, p] of systems [n, p, p] whose unknowns have different units."""
    scale = 1.0 / jnp.sqrt(jnp.diagonal(information, axis1=1, axis2=2))
    scaled = information * scale[:, :, None] * scale[:, None, :]
    return scale * jnp.linalg.solve(scaled, (scale * gradient)[..., None])[..., 0]
