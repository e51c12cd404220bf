"""Where to begin: starts for the image fit, from registering the measured image against the twin's over the cell and over defocus."""

import numpy as np

from reconstruct.belief import Belief
from twin.microscope import PARAMETERS

GRID = 10
"""Places along each edge of the cell at which an image is compared, when its place is not known."""
WIDE = 0.12
"""Standard deviation of the position, as a share of the cell, from which places are searched and not followed."""
STARTS = 8


def starts(microscope, request, belief: Belief, prior_means, prior_factors, data, evaluate, generator: np.random.Generator):
    """Starts [s, p] and the belief's component each belongs to [s], best first.

    Candidates are draws of defocus, astigmatism, thickness and gain from the prior, mirrored in defocus, on a grid of places in the cell
    where the place is open; each is scored by its misfit after the best scale and level, and the best ones that differ are kept.
    """
    candidates, owners = [], []
    ix, iy = PARAMETERS.index("x"), PARAMETERS.index("y")
    cell = microscope.cell
    for k, (mean, factor) in enumerate(zip(prior_means, prior_factors, strict=True)):
        if belief.weights[k] < 1e-3:
            continue
        covariance = factor @ factor.T
        spread = np.sqrt(np.diag(covariance))
        wide = bool(belief.lost) or max(spread[ix], spread[iy]) > WIDE * cell
        steps = (0.0, 0.7, -0.7, 1.5, -1.5) if spread[0] > 4.0 else (0.0,)
        focus = [mean + covariance[:, 0] / spread[0] * step for step in steps]
        if abs(mean[0]) < 3.0 * spread[0] + 20.0:
            mirrored = mean.copy()
            mirrored = mean - covariance[:, 0] / spread[0] ** 2 * 2.0 * mean[0]
            focus.append(mirrored)
        focus += [mean + 0.8 * factor @ generator.standard_normal(len(mean)) for _ in range(2)]
        for start in focus:
            if wide:
                reach = cell / 2 if belief.lost else min(cell / 2, 2.5 * max(spread[ix], spread[iy]))
                offsets = (np.arange(GRID) + 0.5) / GRID * 2 * reach - reach
                for dy in offsets:
                    for dx in offsets:
                        moved = start.copy()
                        moved[ix], moved[iy] = mean[ix] + dx, mean[iy] + dy
                        candidates.append(moved)
                        owners.append(k)
            candidates.append(start)
            owners.append(k)
    candidates, owners = np.stack(candidates), np.array(owners)
    score = _misfit(evaluate(microscope, candidates, request), data)
    return _best_apart(candidates, owners, score, cell)


def _misfit(images, data):
    """Residual sum of squares of each image [s, pixels] against data [pixels] after the best scale (a gain is soon found; a place is not)."""
    centred = images - images.mean(axis=1, keepdims=True)
    wanted = data - data.mean()
    scale = (centred @ wanted) / np.maximum((centred**2).sum(axis=1), 1e-300)
    scale = np.clip(scale, 0.5, 2.0)
    return ((wanted[None, :] - scale[:, None] * centred) ** 2).sum(axis=1)


def _best_apart(candidates, owners, score, cell):
    kept: list[int] = []
    for i in np.argsort(score):
        apart = candidates[i] - candidates[kept] if kept else np.zeros((0, candidates.shape[1]))
        dx, dy = ((apart[:, place] + cell / 2) % cell - cell / 2 for place in (PARAMETERS.index("x"), PARAMETERS.index("y")))
        near = (np.hypot(dx, dy) < 0.7) & (np.abs(apart[:, 0]) < 12.0)
        if not near.any():
            kept.append(int(i))
        if len(kept) == STARTS:
            break
    return candidates[kept], owners[kept]
