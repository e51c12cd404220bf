"""Starts of the image fit, from registering the measured image to predicted images over optics and positions."""

import numpy as np

from reconstruct.inference.belief import Belief
from twin.image.microscope import PARAMETERS
from twin.image.prediction import SAMPLE_BATCH, View

MAX_STARTS = 6
MAX_STARTS_UNIFORM = 16
CANDIDATES_UNIFORM = 4 * SAMPLE_BATCH
"""Candidates where the position in the unit cell is unknown."""
WIDE_DRAW_FACTOR = 2.0
"""Every second candidate is drawn so many times wider than the prior, to cover its tails."""
_OPTICS = tuple(PARAMETERS.index(name) for name in ("C10", "C12a", "C12b"))
_POSITION = (PARAMETERS.index("x"), PARAMETERS.index("y"))
MIN_OPTICS_SEPARATION = 15.0
"""Starts whose C10 and C12 all differ by less (angstrom), and that stand nearer than `APART_PLACE`, count as one."""
MIN_POSITION_SEPARATION = 0.7


def starts(
    microscope,
    request: View,
    belief: Belief,
    prior_means,
    prior_cov_sqrts,
    data,
    evaluate,
    generator: np.random.Generator,
):
    """Starts [s, p] and the belief's component each belongs to [s], best first.

    Candidates are draws from the prior. Where the position in the unit cell is unknown, each is registered: its image is shifted to the maximum of its
    correlation with the data, by Fourier transform if the scan spans whole cells and by trial otherwise. Each is scored by its misfit
    after the best scale and level; the means of the belief's components are always among the starts.
    """
    spans = _spans_cells(request, microscope.cell)
    candidates, components = [prior_means], [np.arange(len(prior_means))]
    shares = np.maximum(belief.weights, 0.1 / len(belief.weights))
    draws = CANDIDATES_UNIFORM if belief.circular_uniform else SAMPLE_BATCH
    counts = np.floor(shares / shares.sum() * (draws - len(prior_means))).astype(int)
    for k, count in enumerate(counts):
        normal = generator.standard_normal((count, prior_means.shape[1]))
        if belief.circular_uniform:
            normal[::2] *= WIDE_DRAW_FACTOR
        candidates.append(prior_means[k][None, :] + normal @ prior_cov_sqrts[k].T)
        components.append(np.full(count, k))
    candidates, components = np.concatenate(candidates), np.concatenate(components)
    if belief.circular_uniform:
        candidates[:, _POSITION] = prior_means[components][:, _POSITION] + microscope.cell * (
            generator.random((len(candidates), 2)) - 0.5
        )
    images = evaluate(microscope, candidates, request)
    if belief.circular_uniform and spans:
        candidates, images = _registered(candidates, images, data, request, prior_means[components], microscope.cell)
    return _best_apart(
        candidates,
        components,
        _misfit(images, data),
        microscope.cell,
        MAX_STARTS_UNIFORM if belief.circular_uniform else MAX_STARTS,
    )


def _spans_cells(request: View, cell: float) -> bool:
    """Whether the scan spans a whole number of cells along both axes, so that a cyclic shift of pixels is a shift of the lattice."""
    spans = np.array(request.scan.shape) * request.scan.pixel / cell
    return bool(np.abs(spans - np.round(spans)).max() < 0.01 and spans.min() > 0.5)


def _registered(candidates, images, data, request: View, means, cell: float):
    """Candidates shifted to the maximum of their image's correlation with the data, and their images shifted alike."""
    shape = request.scan.shape
    frames = images.reshape(-1, *shape)
    target = np.fft.fft2(data.reshape(shape) - data.mean())
    correlation = np.fft.ifft2(target[None] * np.fft.fft2(frames).conj()).real
    best = correlation.reshape(len(frames), -1).argmax(axis=1)
    down, right = np.unravel_index(best, shape)
    moved = candidates.copy()
    # pixels rolled to the right show what stood to their left: the scan's centre has moved to smaller x
    moved[:, _POSITION[0]] -= right * request.scan.pixel
    moved[:, _POSITION[1]] -= down * request.scan.pixel
    for axis in _POSITION:
        moved[:, axis] -= cell * np.round((moved[:, axis] - means[:, axis]) / cell)
    rolled = np.stack(
        [np.roll(frame, (dy, dx), axis=(0, 1)) for frame, dy, dx in zip(frames, down, right, strict=True)]
    )
    return moved, rolled.reshape(len(frames), -1)


def _misfit(images, data):
    """Residual sum of squares of each image [s, pixels] against data [pixels] after the best scale (the fit finds a gain easily, a position not)."""
    centred = images - images.mean(axis=1, keepdims=True)
    target = data - data.mean()
    scale = (centred @ target) / np.maximum((centred**2).sum(axis=1), 1e-300)
    scale = np.clip(scale, 0.5, 2.0)
    return ((target[None, :] - scale[:, None] * centred) ** 2).sum(axis=1)


def _best_apart(candidates, components, score, cell, max_count):
    component_count = int(components.max()) + 1
    chosen: list[int] = []
    for i in np.argsort(score):
        difference = candidates[i] - candidates[chosen] if chosen else np.zeros((0, candidates.shape[1]))
        dx, dy = ((difference[:, axis] + cell / 2) % cell - cell / 2 for axis in _POSITION)
        near = (np.hypot(dx, dy) < MIN_POSITION_SEPARATION) & (
            np.abs(difference[:, _OPTICS]) < MIN_OPTICS_SEPARATION
        ).all(axis=1)
        if not near.any():
            chosen.append(int(i))
        if len(chosen) == max_count:
            break
    # the first candidates are the components' means, kept even where a draw has a lower misfit
    chosen += [k for k in range(component_count) if k not in chosen][: max(0, 16 - len(chosen))]
    return candidates[chosen], components[chosen]
