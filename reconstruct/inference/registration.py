"""Where to begin: starts for the image fit, from registering the measured image against the twin's over optics and places."""

import numpy as np

from reconstruct.inference.belief import Belief
from twin.image.microscope import PARAMETERS
from twin.image.prediction import SAMPLE_BATCH, View

STARTS = 6
STARTS_LOST = 16
DRAWS_LOST = 4 * SAMPLE_BATCH
"""Candidates where the place in the cell is open, and the optics with it."""
FARTHER = 2.0
"""Every other of them is drawn so many times farther off: what the prior allows with a chance of one in a thousand does happen."""
_OPTICS = tuple(PARAMETERS.index(name) for name in ("C10", "C12a", "C12b"))
_PLACE = (PARAMETERS.index("x"), PARAMETERS.index("y"))
APART_OPTICS = 15.0
"""Starts whose C10 and C12 all differ by less (angstrom), and that stand nearer than `APART_PLACE`, count as one."""
APART_PLACE = 0.7


def starts(
    microscope,
    request: View,
    belief: Belief,
    prior_means,
    prior_factors,
    data,
    evaluate,
    generator: np.random.Generator,
):
    """Starts [s, p] and the belief's component each belongs to [s], best first.

    Candidates are draws from the prior. Where the place in the cell is open, each is registered: its image is shifted to where it correlates
    best with the data, by Fourier transform if the scan spans whole cells and by trial otherwise. Each is scored by its misfit
    after the best scale and level; the means of the belief's components are always among the starts.
    """
    spans = _spans_cells(request, microscope.cell)
    candidates, owners = [prior_means], [np.arange(len(prior_means))]
    shares = np.maximum(belief.weights, 0.1 / len(belief.weights))
    draws = DRAWS_LOST if belief.lost else SAMPLE_BATCH
    counts = np.floor(shares / shares.sum() * (draws - len(prior_means))).astype(int)
    for k, count in enumerate(counts):
        normal = generator.standard_normal((count, prior_means.shape[1]))
        if belief.lost:
            normal[::2] *= FARTHER
        candidates.append(prior_means[k][None, :] + normal @ prior_factors[k].T)
        owners.append(np.full(count, k))
    candidates, owners = np.concatenate(candidates), np.concatenate(owners)
    if belief.lost:
        candidates[:, _PLACE] = prior_means[owners][:, _PLACE] + microscope.cell * (
            generator.random((len(candidates), 2)) - 0.5
        )
    images = evaluate(microscope, candidates, request)
    if belief.lost and spans:
        candidates, images = _registered(candidates, images, data, request, prior_means[owners], microscope.cell)
    return _best_apart(
        candidates, owners, _misfit(images, data), microscope.cell, STARTS_LOST if belief.lost else STARTS
    )


def _spans_cells(request: View, cell: float) -> bool:
    """Does the scan span a whole number of cells both ways, so that shifting its pixels round is moving the lattice?"""
    spans = np.array(request.scan.shape) * request.scan.pixel / cell
    return bool(np.abs(spans - np.round(spans)).max() < 0.01 and spans.min() > 0.5)


def _registered(candidates, images, data, request: View, means, cell: float):
    """Candidates moved to where their image correlates best with the data, and their images moved alike."""
    shape = request.scan.shape
    frames = images.reshape(-1, *shape)
    wanted = np.fft.fft2(data.reshape(shape) - data.mean())
    correlation = np.fft.ifft2(wanted[None] * np.fft.fft2(frames).conj()).real
    best = correlation.reshape(len(frames), -1).argmax(axis=1)
    down, right = np.unravel_index(best, shape)
    moved = candidates.copy()
    # pixels rolled to the right show what stood to their left: the scan's centre has moved to smaller x
    moved[:, _PLACE[0]] -= right * request.scan.pixel
    moved[:, _PLACE[1]] -= down * request.scan.pixel
    for place in _PLACE:
        moved[:, place] -= cell * np.round((moved[:, place] - means[:, place]) / cell)
    rolled = np.stack(
        [np.roll(frame, (dy, dx), axis=(0, 1)) for frame, dy, dx in zip(frames, down, right, strict=True)]
    )
    return moved, rolled.reshape(len(frames), -1)


def _misfit(images, data):
    """Residual sum of squares of each image [s, pixels] against data [pixels] after the best scale (a gain is soon found; a place is not)."""
    centred = images - images.mean(axis=1, keepdims=True)
    wanted = data - data.mean()
    scale = (centred @ wanted) / np.maximum((centred**2).sum(axis=1), 1e-300)
    scale = np.clip(scale, 0.5, 2.0)
    return ((wanted[None, :] - scale[:, None] * centred) ** 2).sum(axis=1)


def _best_apart(candidates, owners, score, cell, most):
    components = int(owners.max()) + 1
    kept: list[int] = []
    for i in np.argsort(score):
        apart = candidates[i] - candidates[kept] if kept else np.zeros((0, candidates.shape[1]))
        dx, dy = ((apart[:, place] + cell / 2) % cell - cell / 2 for place in _PLACE)
        near = (np.hypot(dx, dy) < APART_PLACE) & (np.abs(apart[:, _OPTICS]) < APART_OPTICS).all(axis=1)
        if not near.any():
            kept.append(int(i))
        if len(kept) == most:
            break
    # the first candidates are the components' means: followed even where a draw came nearer by chance
    kept += [k for k in range(components) if k not in kept][: max(0, 16 - len(kept))]
    return candidates[kept], owners[kept]
