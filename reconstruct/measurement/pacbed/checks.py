"""Tests of a fitted pattern against data that the fit was not free to absorb, and pixels that no pattern explains.

The relative error of the model is fitted to each image, so that the misfit alone never fails. What it was fitted to is itself a test (other code's
patterns of the right crystal ask for 1 to 5 %), and every pixel and every block of pixels is predicted from all the others: with precision P of the residual
r (counting, single pixels, the smooth field of the model's error), a pixel's residual given all others is (P r)_i / P_ii with variance 1 / P_ii, a
block's P_bb^-1 (P r)_b with covariance P_bb^-1 (Rasmussen & Williams, Gaussian Processes for Machine Learning, 5.4.2).
"""

import numpy as np

from reconstruct.measurement.outcome import FitCheck
from reconstruct.measurement.pacbed.fit import Fit, Maximum

MAX_ERROR_RATIO = 3.25
"""Relative error of a pattern over the expected one that a right structure stays below: 1.3 times the largest of abTEM's patterns of 16 specimens."""
MAX_PIXEL_MISFIT = 2.0
"""Mean square of the residuals of single pixels; clean patterns have 0.5 to 1.3."""
MAX_BLOCK_MISFIT = 4.0
"""Of the block that is predicted worst; clean patterns have up to 2."""
BLOCKS = 6
"""Blocks along a side of the part of the camera that is used."""
OUTLYING = 6.0
"""Standard deviations of its prediction by all others from which a pixel is left out."""
FEW = 5.0
"""Electrons by which it is so, besides."""
MAX_OUTLIERS = 0.03
"""Share of the pixels that may be left out so."""


def outlying_pixels(fit: Fit, maximum: Maximum) -> np.ndarray:
    """Mask [y, x] of pixels that are farther from what all others predict than counting and the model's errors allow; none where there are many."""
    axes, shrinkage, white = _precision(fit, maximum)
    weighted = white - axes @ (shrinkage * (axes.T @ white))
    own = 1.0 - (axes**2) @ shrinkage
    away = np.abs(weighted) / np.sqrt(np.maximum(own, 1e-9))
    outlying = np.zeros(fit.data.shape, bool)
    gain, counted = fit.frame.gains[fit.mask], maximum.expected[fit.mask]
    # single electrons where few are expected are no outliers
    far = np.abs(fit.data[fit.mask] - counted) > OUTLYING * np.sqrt(np.maximum(gain * counted, 0.0)) + FEW * gain
    outliers = far & (away > OUTLYING * max(1.0, 1.5 * float(np.median(away))))
    if 0 < outliers.sum() <= MAX_OUTLIERS * len(away):
        outlying[fit.mask] = outliers
    return outlying


def block_misfits(fit: Fit, maximum: Maximum) -> np.ndarray:
    """Mean square [blocks] of what is left of each block of pixels after all others have predicted it, in units of its variance."""
    axes, shrinkage, white = _precision(fit, maximum)
    weighted = white - axes @ (shrinkage * (axes.T @ white))
    y, x = np.nonzero(fit.mask)
    cells = [((v - v.min()) * BLOCKS // (np.ptp(v) + 1)).astype(int) for v in (y, x)]
    number = cells[0] * BLOCKS + cells[1]
    values = []
    for block in np.unique(number):
        inside = number == block
        if inside.sum() < 9:
            continue
        part = axes[inside]
        # P_bb = 1 - A S A^T, and its inverse by Woodbury
        scaled = part * np.sqrt(shrinkage)
        small = np.eye(len(shrinkage)) - scaled.T @ scaled
        solved = weighted[inside] + scaled @ np.linalg.solve(small, scaled.T @ weighted[inside])
        values.append(float(weighted[inside] @ solved) / int(inside.sum()))
    return np.array(values)


def _precision(fit: Fit, maximum: Maximum) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the residual's precision D^-1/2 (1 - A S A^T) D^-1/2: A [n, m] and S [m]; and the residual in sigmas of D [n]."""
    white = fit.whitened(maximum.theta)
    residual = (fit.data - maximum.expected)[fit.mask] * white.root
    shrinkage = maximum.relative**2 / (1.0 + maximum.relative**2 * white.values)
    return white.axes, shrinkage, residual


def fit_checks(fit: Fit, maximum: Maximum) -> tuple[FitCheck, ...]:
    """Of a fit's likeliest maximum."""
    blocks = block_misfits(fit, maximum)
    worst = float(blocks.max(initial=0.0)) / max(1.0, float(np.median(blocks)) if len(blocks) else 1.0)
    cures = "the crystal is of another structure, zone axis, energy or rotation than stated, more than one crystal, or thicker than what was searched"
    return (
        FitCheck(
            "unexplained share of the pattern", maximum.relative, MAX_ERROR_RATIO * fit.error.relative,
            f"patterns are {maximum.relative:.0%} off at best, where {fit.error.relative:.0%} is expected: {cures}; check {{structure}}, {{zone}}, "
            "{energy} and {rotation}, or raise {thickest}",
        ),
        FitCheck(
            "misfit of single pixels", maximum.misfit, MAX_PIXEL_MISFIT,
            f"single pixels differ by {np.sqrt(maximum.misfit):.1f} times what counting allows: hot or dead pixels, a camera that does not count, a wrong "
            "{gain}, or a simulation of few frozen phonons; check {gain}, or leave pixels out with {mask}",
        ),
        FitCheck(
            "misfit of the worst block", worst, MAX_BLOCK_MISFIT,
            "a part of the pattern differs from what the rest predicts: a shadow, a beam stop or a damaged part of the camera; leave it out with {mask}",
        ),
    )  # fmt: skip
