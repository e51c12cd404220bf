"""The width of an edge, by the likelihood of widths from that of a sharp edge on, and what it leaves open of the outline.

Where hardly an electron falls outside a disk, a wide edge and a sharp one farther out are alike: at few electrons the outline is fitted again at each width.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from reconstruct.measurement.disk.outline import Fit, outline_rows
from reconstruct.measurement.disk.sectors import MIN_WIDTH, Edges, Ring, fit_edges

TRIALS = 9
"""Widths that are tried."""
SHARP_ERROR = 0.06
"""Standard error of the width over the width below which the outline is the same at all widths that are likely."""
MAX_DISPERSION = 1.5
"""Dispersion of counts over that of electrons up to which they follow the likelihood of counts."""
OUTLINE_STEPS = 3
"""Steps of the outline at each width."""


class Width(NamedTuple):
    """The rms width of the edge (``mean``, ``std``) in pixels, and the ``fit`` with what the width leaves open of it."""

    mean: float
    std: float
    fit: Fit


def fit_width(ring: Ring, edges: Edges, fit: Fit, floor: float, electron: float) -> Width:
    """Width of the edges of ``ring``, fitted as ``fit``; ``floor`` and ``electron`` as `fit_edges` takes them."""
    outline = fit.outline
    linear = float(np.sqrt(fit.width_variance)) / (2.0 * outline.width)
    relative = max(linear / outline.width, 0.01)
    # of counts that scatter more than electrons do, sectors say more than the likelihood
    if edges.dispersion > MAX_DISPERSION * electron:
        relative = min(relative, 0.99 * SHARP_ERROR)
    if relative < SHARP_ERROR:
        widths = np.unique(np.maximum(outline.width * np.exp(relative * np.linspace(-4.0, 4.0, TRIALS)), MIN_WIDTH))
    else:
        widest = outline.width + max(5.0 * linear, outline.width, 1.0)
        widths = np.geomspace(MIN_WIDTH, min(widest, 0.25 * outline.radius), TRIALS)
    weight = np.where(edges.usable, fit.weight, 0.0) / edges.dispersion
    rows = outline_rows(ring.azimuth, outline)
    costs, steps, covariances = [], [], []
    for width in widths:
        trial, step, information = dataclasses.replace(outline, width=float(width)), np.zeros(5), np.eye(5)
        for _ in range(OUTLINE_STEPS if relative >= SHARP_ERROR else 0):
            said = fit_edges(ring, trial, fit.shift + rows @ step, floor, electron)
            own = said.information[:, 0, 0] * weight
            # of the place alone, at this width
            score = weight * np.einsum("sq,sq->s", said.information[:, 0], said.step)
            information = (rows * own[:, None]).T @ rows + fit.prior
            step = step + np.linalg.solve(information, rows.T @ score - fit.prior @ (step + outline_parts(fit)))
        said = fit_edges(ring, trial, fit.shift + rows @ step, floor, electron)
        shift = step + outline_parts(fit)
        costs.append(float(weight @ said.cost) + 0.5 * float(shift @ fit.prior @ shift))
        steps.append(step)
        covariances.append(np.linalg.inv(information))
    if len(widths) < 3:
        return Width(float(widths.mean()), max(linear, 0.1), fit)
    fine = np.linspace(widths[0], widths[-1], 400)
    logs = -CubicSpline(widths, np.array(costs) - min(costs))(fine)
    density = np.exp(logs - logs.max())
    density /= density.sum()
    mean = float(density @ fine)
    # sectors whose widths scatter more than counting says, and what a motion leaves open
    std = max(float(np.sqrt(density @ (fine - mean) ** 2)), linear)
    if relative < SHARP_ERROR:
        return Width(mean, std, fit)
    shares = np.array([np.interp(fine, widths, unit) @ density for unit in np.eye(len(widths))])
    middle = shares @ np.array(steps)
    deviations = np.array(steps) - middle
    covariance = np.einsum("k,kpq->pq", shares, np.array(covariances) + deviations[:, :, None] * deviations[:, None])
    parts = np.array([outline.radius, outline.x, outline.y, outline.a, outline.b]) + middle
    radius, x, y, a, b = parts.tolist()
    moved = dataclasses.replace(outline, radius=radius, x=x, y=y, a=a, b=b, width=mean)
    return Width(mean, std, fit._replace(outline=moved, covariance=covariance))


def outline_parts(fit: Fit) -> np.ndarray:
    """(0, 0, 0, a, b) of the fit's outline: what the prior of the ellipticity pulls to none."""
    return np.array([0.0, 0.0, 0.0, fit.outline.a, fit.outline.b])
