"""What many spectra share, fitted together with what each has of its own: near-edge shapes, and the fixed pattern of the camera's gain.

One Gauss-Newton step of the quasi-likelihood. Its matrix has a block for each spectrum (level, exponent, amplitudes) and a border for what is shared, so
that the shared part is solved first, with each spectrum's own unknowns eliminated (Schur complement). Products with the channels' precision matrix, which
is a band, are sums over lags, so that no spectrum needs a matrix of derivatives by all shared unknowns.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]

from reconstruct.eels.core_loss.common import Rows
from reconstruct.eels.core_loss.pixels import (
    Own,
    Shared,
    amplitudes_of,
    derivatives,
    expectation,
    inverse_noise,
    prior_terms,
    whitened,
    with_prior,
)

Members = tuple[tuple[int, int], ...]
"""Of each element the first and the last but one of its rows."""


class Prior(NamedTuple):
    """Of the shape coefficients and what else all edges share: ``mean`` and ``spread`` [m + g]; of the logarithm of the pattern: rms ``pattern`` of each
    channel, 0 for none; of the spectra's ``own`` further unknowns. ``unbiased``: the scale of amplitudes is that of `scale_pull`."""

    mean: np.ndarray
    spread: np.ndarray
    pattern: float
    own: Own
    unbiased: bool = True


class Step(NamedTuple):
    """Moves of the ``parameters`` [n, p], of what edges share, ``edges`` [m + g], and of the logarithm of the ``pattern`` [c]; ``information`` of the
    latter two ([m + g + c], or [m + g] without a pattern), own unknowns eliminated; ``size`` of the move in standard errors (rms)."""

    parameters: np.ndarray
    edges: np.ndarray
    pattern: np.ndarray
    information: np.ndarray
    size: float


class Expansion(NamedTuple):
    """The quasi-likelihood of n spectra expanded about an expectation, noise-weighted: ``information`` and ``gradient`` of own unknowns; their derivatives
    ``own`` [n, p, c] and the ``residual`` [n, c], both times the precision matrix; ``share`` [n, k, c] what a unit of an edge's curve adds, and ``whole``
    [n, c] the expectation."""

    information: Any
    gradient: Any
    own: Any
    residual: Any
    share: Any
    whole: Any


@jax.jit
def expand(counts: Any, parameters: Any, shared: Shared, own: Own) -> Expansion:
    """The expansion for spectra ``counts`` [n, c]."""
    background, core = expectation(parameters, shared)
    scale = inverse_noise(parameters, background, shared)
    whole = scale * shared.pattern[None, :] * (background + core)
    residual = whitened(scale * counts - whole, shared.taps)
    slopes = whitened(scale[:, None, :] * derivatives(parameters, background, shared), shared.taps)
    gradient, precision = prior_terms(parameters, own)
    return Expansion(
        with_prior(slopes, precision),
        jnp.einsum("nic,nc->ni", slopes, residual) + gradient,
        transposed(slopes, shared.taps),
        transposed(residual, shared.taps),
        (scale * shared.pattern[None, :])[:, None, :] * amplitudes_of(parameters, shared)[:, :, None],
        whole,
    )


def joint_step(
    counts: np.ndarray,
    parameters: np.ndarray,
    edges: np.ndarray,
    shared: Shared,
    rows: Rows,
    bands: np.ndarray,
    prior: Prior,
) -> Step:
    """One step for spectra ``counts`` [n, c]; ``edges`` [m + g]: shapes and what else all edges share, with the derivatives ``rows``, ``bands``: diagonals of
    the precision matrix of neighbouring channels (`camera.precision`); ``shared.edges`` are those of ``edges``."""
    pieces = Expansion(*(np.asarray(part) for part in expand(counts, parameters, shared, prior.own)))
    border = tied(_row_information(pieces, rows.basis, bands, rows.members), rows, 2) + np.diag(prior.spread**-2.0)
    slope = tied(_row_gradient(pieces, rows.basis, rows.members), rows) - (edges - prior.mean) * prior.spread**-2.0
    own = crossed(pieces, rows, prior.pattern > 0.0)
    if prior.unbiased:
        gradient, amplitudes = pieces.gradient.copy(), slice(2, 2 + len(rows.shapes))
        gradient[:, amplitudes] -= scale_pull(parameters[:, amplitudes], pieces.information, edges, prior, rows.shapes)
        pieces = pieces._replace(gradient=gradient)
    if prior.pattern > 0.0:
        mixed, square = _pattern_information(pieces, rows.basis, bands, rows.members)
        mixed = mixed if rows.tie is None else rows.tie.T @ mixed
        square[np.diag_indices_from(square)] += prior.pattern**-2.0
        border = np.block([[border, mixed], [mixed.T, square]])
        pattern = (pieces.whole * pieces.residual).sum(axis=0) - np.log(shared.pattern) * prior.pattern**-2.0
        slope = np.concatenate([slope, pattern])
    return _solved(pieces, border, own, slope, len(edges))


def tied(values: np.ndarray, rows: Rows, axes: int = 1) -> np.ndarray:
    """Sums over rows of the same unknown, along the first one or two axes."""
    if rows.tie is None:
        return values
    return rows.tie.T @ values if axes == 1 else rows.tie.T @ values @ rows.tie


def crossed(pieces: Expansion, rows: Rows, pattern: bool) -> np.ndarray:
    """Information [n, p, m + g (+ c)] that own and shared unknowns share."""
    parts = [
        (pieces.own * pieces.share[:, k, None, :]) @ rows.basis[begin:end].T
        for k, (begin, end) in enumerate(rows.members)
    ]
    if rows.tie is not None:
        parts = [np.concatenate(parts, axis=2) @ rows.tie]
    if pattern:
        parts.append(pieces.own * pieces.whole[:, None, :])
    return np.concatenate(parts, axis=2)


def _row_information(pieces: Expansion, basis: np.ndarray, bands: np.ndarray, members: Members) -> np.ndarray:
    """Of rows among themselves [r, r]."""
    count, channels = basis.shape
    border = np.zeros((count, count))
    for lag in range(bands.shape[0]):
        shares = np.einsum("nkc,njc->kjc", pieces.share[..., : channels - lag], pieces.share[..., lag:], optimize=False)
        shares = shares * bands[lag, : channels - lag]
        for k, (begin, end) in enumerate(members):
            for j, (first, last) in enumerate(members):
                block = (basis[begin:end, : channels - lag] * shares[k, j]) @ basis[first:last, lag:].T
                border[begin:end, first:last] += block
                if lag:
                    border[first:last, begin:end] += block.T
    return border


def scale_pull(
    amplitudes: np.ndarray, information: np.ndarray, shape: np.ndarray, prior: Prior, members: Members
) -> np.ndarray:
    """By how much the gradient [n, k] of amplitudes [n, k] is too large, so that amplitudes times shapes stay and their scale is biased.

    Shapes near zero are nearer to each other than large ones: where amplitudes and shapes are estimated together, the prior pulls every free coefficient down
    and the amplitude up. The estimating equation that has no such bias (generalised least squares, with the shapes' spread as a part of the noise) takes the
    derivative by the scale with the shapes at their prior mean and not as they were estimated; the difference, summed over spectra, is the prior's chi squared.
    """
    pull = np.zeros_like(amplitudes)
    for k, (begin, end) in enumerate(members):
        off = ((shape[begin:end] - prior.mean[begin:end]) / prior.spread[begin:end]) ** 2
        known = information[:, 2 + k, 2 + k]
        # amplitudes without their noise: shrunk to their mean
        mean = np.average(amplitudes[:, k], weights=known)
        scatter = np.average((amplitudes[:, k] - mean) ** 2, weights=known)
        reliable = max(1.0 - len(known) / known.sum() / scatter, 0.0) if scatter > 0.0 else 0.0
        smooth = known * (mean + reliable * (amplitudes[:, k] - mean))
        total = float(smooth @ amplitudes[:, k])
        if total > off.sum():
            pull[:, k] = off.sum() * smooth / total
    return pull


def _row_gradient(pieces: Expansion, basis: np.ndarray, members: Members) -> np.ndarray:
    parts = [
        basis[begin:end] @ np.einsum("nc,nc->c", pieces.share[:, k], pieces.residual)
        for k, (begin, end) in enumerate(members)
    ]
    return np.concatenate(parts)


def _pattern_information(
    pieces: Expansion, basis: np.ndarray, bands: np.ndarray, members: Members
) -> tuple[np.ndarray, np.ndarray]:
    """Of the logarithm of the pattern with rows [r, c] and with itself [c, c]."""
    channels = basis.shape[1]
    mixed, square = np.zeros_like(basis), np.zeros((channels, channels))
    at = np.arange(channels)
    for lag in range(bands.shape[0]):
        rest = channels - lag
        near = bands[lag, :rest]
        diagonal = near * np.einsum("nc,nc->c", pieces.whole[:, :rest], pieces.whole[:, lag:])
        square[at[:rest], at[lag:]] = diagonal
        square[at[lag:], at[:rest]] = diagonal
        later = near * np.einsum("nc,nkc->kc", pieces.whole[:, :rest], pieces.share[..., lag:])
        earlier = near * np.einsum("nc,nkc->kc", pieces.whole[:, lag:], pieces.share[..., :rest])
        for k, (begin, end) in enumerate(members):
            mixed[begin:end, :rest] += basis[begin:end, lag:] * later[k]
            if lag:
                mixed[begin:end, lag:] += basis[begin:end, :rest] * earlier[k]
    return mixed, square


def _solved(pieces: Expansion, border: np.ndarray, own: np.ndarray, slope: np.ndarray, edges: int) -> Step:
    """Moves of the bordered system."""
    unit = 1.0 / np.sqrt(np.diagonal(pieces.information, axis1=1, axis2=2))
    root = np.linalg.cholesky(pieces.information * unit[:, :, None] * unit[:, None, :])
    inverse = np.linalg.inv(root)
    flat = inverse @ (unit[:, :, None] * own)
    right = (inverse @ (unit * pieces.gradient)[..., None])[..., 0]
    rows = flat.reshape(-1, own.shape[2])
    upper = dsyrk(-1.0, rows.T, beta=1.0, c=np.asfortranarray(border))
    reduced = np.triu(upper) + np.triu(upper, 1).T
    scale = 1.0 / np.sqrt(np.diag(reduced))
    factor = cho_factor(reduced * np.outer(scale, scale))
    move = scale * cho_solve(factor, scale * (slope - right.reshape(-1) @ rows))
    moves = (np.swapaxes(inverse, 1, 2) @ (right - flat @ move)[..., None])[..., 0]
    return Step(unit * moves, move[:edges], move[edges:], reduced, float(np.sqrt(np.mean(moves**2))))


def transposed(values: Any, taps: Any) -> Any:
    """The transpose of `whitened`."""
    rows = taps.reshape(taps.shape[0], *[1] * (values.ndim - 1), taps.shape[1])
    total = values * rows[0]
    for lag in range(1, taps.shape[0]):
        shifted = (rows[lag] * values)[..., lag:]
        total = total + jnp.pad(shifted, [(0, 0)] * (values.ndim - 1) + [(0, lag)])
    return total
