"""One outline through the edges of all sectors: ellipse, width, and the motion that smears it, with the scatter of edges beyond counting learnt.

Lines and other disks of a crystal move the edges of some sectors: their scatter has a size of its own, by restricted likelihood (Patterson & Thompson,
Biometrika 58, 545, 1971), and the tails of a t distribution.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.disk.motion import motion_of, parts_of
from reconstruct.measurement.disk.sectors import MIN_WIDTH, Edges, Outline, tail_factor

ELLIPTICITY_SPREAD = 0.03
"""Prior rms of each part of the ellipticity: projector lenses leave a few percent at most."""
SCATTER_SHARE = 0.0007
"""Scatter of edges over the radius that is expected."""
WIDTH_STEP = 0.3
"""Share of the width that a step of it is compared with."""
ARCS = 8
"""Arcs that are left out in turn."""


class Fit(NamedTuple):
    """The ``outline``; covariance [5, 5] of (radius, x, y, a, b) and variance of its edge's variance; the ``shift`` [s] of each sector's edge beyond it; the
    weights [s] of sectors; the last ``step`` over its error (a width's over `WIDTH_STEP` of it); the ``scatter`` in pixels beyond counting; the deviation of
    left-out arcs from what the others say, [k], and its standard error, [k]; precision [5, 5] of the ``prior`` of (radius, x, y, a, b)."""

    outline: Outline
    covariance: np.ndarray
    width_variance: float
    shift: np.ndarray
    weight: np.ndarray
    step: float
    scatter: float
    arc_deviation: np.ndarray
    arc_error: np.ndarray
    prior: np.ndarray


class _Solution(NamedTuple):
    log_likelihood: float
    parameters: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray


def fit_outline(edges: Edges, outline: Outline, shift: np.ndarray, moving: bool) -> Fit:
    """The outline that the usable ``edges`` of sectors tell, which lay ``shift`` [s] beyond ``outline``; ``moving``: a motion may smear it."""
    use = edges.usable
    azimuth = edges.azimuth[use]
    values = edges.step[use] + np.stack([shift[use], np.zeros(use.sum())], axis=1)
    noise = np.linalg.inv(edges.information[use]) * edges.dispersion
    rows = _rows(azimuth, outline, moving)
    prior = np.zeros((rows.shape[2],) * 2)
    prior[3, 3] = prior[4, 4] = ELLIPTICITY_SPREAD**-2
    # the prior is of the ellipticity, the fit of its change
    pull = -prior @ np.array([0.0, 0.0, 0.0, outline.a, outline.b, *np.zeros(rows.shape[2] - 5)])
    sizes = np.exp(np.linspace(np.log(1e-3), np.log(0.1 * outline.radius), 40))
    factor = np.ones(len(azimuth))
    for _ in range(4):
        likeliest = max(
            (_solve(values, noise, rows, prior, pull, float(size), factor) for size in sizes),
            key=lambda solution: solution.log_likelihood,
        )
        residual = values - np.einsum("spk,k->sp", rows, likeliest.parameters)
        square = np.einsum("sp,spq,sq->s", residual, likeliest.weights * factor[:, None, None], residual)
        factor = tail_factor(square)
    solutions = [_solve(values, noise, rows, prior, pull, float(size), factor) for size in sizes]
    # few electrons do not tell the scatter: edges are smooth unless they are seen not to be
    logs = np.array([solution.log_likelihood for solution in solutions])
    logs -= np.log1p((sizes / (SCATTER_SHARE * outline.radius)) ** 2)
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    parameters = np.einsum("s,sp->p", shares, [solution.parameters for solution in solutions])
    deviations = np.array([solution.parameters for solution in solutions]) - parameters
    covariance = np.einsum("s,spq->pq", shares, [solution.covariance for solution in solutions])
    covariance += np.einsum("s,sp,sq->pq", shares, deviations, deviations)
    residual = values - np.einsum("spk,k->sp", rows, parameters)
    scatter = float(shares @ sizes)
    weights = np.einsum("s,snpq->npq", shares, [solution.weights for solution in solutions])
    covariance = covariance * _correlation(residual[:, 0] * np.sqrt(weights[:, 0, 0]))
    kept = np.zeros(len(use))
    # where a sector's edge is, between the outline and what the sector says
    position_noise = edges.dispersion / edges.information[use, 0, 0] * factor
    kept[use] = residual[:, 0] * np.einsum(
        "k,kn->n", shares, sizes[:, None] ** 2 / (sizes[:, None] ** 2 + position_noise)
    )
    new, step = _moved(outline, parameters, np.sqrt(np.diag(covariance)), moving)
    weight = np.zeros(len(use))
    weight[use] = 1.0 / factor
    deviation, error = _left_out(azimuth, values, rows, weights, prior, pull)
    spread = float(np.average(residual[:, 1] ** 2 * weights[:, 1, 1], weights=1.0 / factor))
    # the variance of the edge that is left after what the motion makes
    row = np.zeros(rows.shape[2])
    row[5] = 1.0
    if moving and new.motion != (0.0, 0.0):
        parts = parts_of(new)[0]
        row[6:8] = -parts / np.hypot(*parts)
    wider = residual[:, 1] * np.sqrt(weights[:, 1, 1])
    width_variance = float(row @ covariance @ row) * max(spread, 1.0) * _correlation(wider)
    return Fit(
        new, covariance[:5, :5], width_variance, kept, weight, step, scatter, deviation, error, prior[:5, :5]
    )  # fmt: skip


def outline_rows(azimuth: np.ndarray, outline: Outline) -> np.ndarray:
    """How the place of an edge at ``azimuth`` [s] changes with (radius, x, y, a, b), [s, 5]."""
    cos, sin = outline.radius * np.cos(2.0 * azimuth), outline.radius * np.sin(2.0 * azimuth)
    return np.stack([np.ones_like(azimuth), np.cos(azimuth), np.sin(azimuth), cos, sin], axis=1)


def _rows(azimuth: np.ndarray, outline: Outline, moving: bool) -> np.ndarray:
    """How place and variance of an edge [s, 2] change with (radius, x, y, a, b, variance, and its parts along cos 2phi, sin 2phi) [s, 2, k]."""
    rows = np.zeros((len(azimuth), 2, 8 if moving else 6))
    rows[:, 0, :5] = outline_rows(azimuth, outline)
    rows[:, 1, 5] = 1.0
    if moving:
        rows[:, 1, 6], rows[:, 1, 7] = np.cos(2.0 * azimuth), np.sin(2.0 * azimuth)
    return rows


def _solve(
    values: np.ndarray,
    noise: np.ndarray,
    rows: np.ndarray,
    prior: np.ndarray,
    pull: np.ndarray,
    excess: float,
    factor: np.ndarray,
) -> _Solution:
    covariance = noise + excess**2 * np.diag([1.0, 0.0])
    weights = np.linalg.inv(covariance) / factor[:, None, None]
    weighted = np.einsum("spq,sqk->spk", weights, rows)
    information = np.einsum("spj,spk->jk", weighted, rows) + prior
    parameters = np.linalg.solve(information, np.einsum("spk,sp->k", weighted, values) + pull)
    residual = values - np.einsum("spk,k->sp", rows, parameters)
    # restricted likelihood: the fitted numbers are allowed for
    log_likelihood = -0.5 * (
        np.linalg.slogdet(covariance)[1].sum()
        + np.einsum("sp,spq,sq->", residual, weights, residual)
        + np.linalg.slogdet(information)[1]
    )
    return _Solution(float(log_likelihood), parameters, np.linalg.inv(information), weights)


def _correlation(residual: np.ndarray) -> float:
    """By how much variances grow since lines and disks of a crystal pull several neighbours at once."""
    result, square = 1.0, float((residual**2).mean())
    for lag in range(1, 6):
        share = float((residual[lag:] * residual[:-lag]).mean()) / max(square, 1e-300)
        if share < 1.0 / np.sqrt(len(residual)):
            break
        result += 2.0 * share
    return result


def _left_out(
    azimuth: np.ndarray, values: np.ndarray, rows: np.ndarray, weights: np.ndarray, prior: np.ndarray, pull: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean place of each arc's edges beyond the outline that all other arcs tell, and its standard error, [k] each in pixels."""
    weighted = np.einsum("spq,sqk->spk", weights, rows)
    information = np.einsum("spj,spk->sjk", weighted, rows)
    score = np.einsum("spk,sp->sk", weighted, values)
    arc = np.minimum(((azimuth + np.pi) / (2.0 * np.pi) * ARCS).astype(int), ARCS - 1)
    deviations, errors = [], []
    for k in range(ARCS):
        own = arc == k
        if own.sum() < 2 or (~own).sum() < 2 * ARCS // 2:
            continue
        covariance = np.linalg.inv(information[~own].sum(axis=0) + prior)
        parameters = covariance @ (score[~own].sum(axis=0) + pull)
        weight = weights[own, 0, 0]
        row = (weight[:, None] * rows[own, 0]).sum(axis=0) / weight.sum()
        deviations.append(float((weight * (values[own, 0] - rows[own, 0] @ parameters)).sum() / weight.sum()))
        errors.append(float(np.sqrt(1.0 / weight.sum() + row @ covariance @ row)))
    return np.array(deviations), np.array(errors)


def _moved(outline: Outline, step: np.ndarray, error: np.ndarray, moving: bool) -> tuple[Outline, float]:
    """The outline after a step, no longer than what a step can tell, and how long it was beside the errors."""
    spread = np.sqrt(outline.width**2 + np.hypot(*outline.motion) ** 2 / 12.0)
    length = float(np.abs(step[0]) + np.hypot(step[1], step[2]) + outline.radius * np.hypot(step[3], step[4]))
    step = step.copy()
    step[:5] *= min(1.0, 2.0 * spread / max(length, 1e-300))
    before, total = parts_of(outline)
    part = before + (step[6:8] if moving else 0.0)
    total = float(np.clip(total + step[5], 0.6 * total, 1.7 * total))
    size = min(float(np.hypot(*part)), max(total - MIN_WIDTH**2, 0.0)) if moving else 0.0
    motion = motion_of(part * size / np.hypot(*part)) if size > 0.0 else (0.0, 0.0)
    width = float(np.sqrt(max(total - size, MIN_WIDTH**2)))
    new = dataclasses.replace(
        outline,
        radius=float(outline.radius + step[0]),
        x=float(outline.x + step[1]),
        y=float(outline.y + step[2]),
        a=float(outline.a + step[3]),
        b=float(outline.b + step[4]),
        width=width,
        motion=motion,
    )
    shares = np.abs(step[:5]) / error[:5]
    return new, max(float(shares.max()), abs(width - outline.width) / width / WIDTH_STEP)
