"""Where a pattern has a disk: the ring across which counts fall most, outwards; and the camera's noise."""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter, rank_filter

COARSE_PIXELS = 128
"""Pixels along a side of what the disk is first looked for in."""
FINE_RADIUS = 10.0
"""Radius in coarse pixels below which a disk is looked for again in finer ones."""
MIN_RADIUS = 6.0
"""Pixels of the radius from which an edge can be fitted."""
MIN_VISIBLE = 0.15
"""Share of a ring that must be in the frame."""
MIN_RING = 8.0
"""Coarse pixels of a ring that must be in the frame."""
TRIMMED = 0.005
"""Share of the lowest and of the highest pixels that a level is not made of."""
HOT_SIGMAS = 8.0
"""Standard deviations of counting above its neighbours from which a pixel is hot."""
SATURATED_SHARE = 0.2
"""Share of the disk's pixels that read the very same, highest value in a saturated pattern."""
MIN_CONTRAST = 8.0
"""Standard errors by which the disk is brighter than what is around it."""


class Found(NamedTuple):
    """A disk of ``radius`` about (``x``, ``y``) in pixels; ``rival``: how strongly another disk of its size stands out elsewhere, over how strongly it does."""

    x: float
    y: float
    radius: float
    rival: float = 0.0


def despiked(counts: np.ndarray) -> np.ndarray:
    """``counts`` [ny, nx], no pixel above the third largest of its 3 x 3: single hot pixels and pairs of them are gone, edges are not."""
    return np.minimum(counts, rank_filter(counts, -3, size=3, mode="nearest"))


def find_disk(filled: np.ndarray, known: np.ndarray) -> Found | str:
    """The disk in counts ``filled`` [ny, nx] where ``known``, to a few percent of its radius, or why there is none that can be fitted."""
    calm = despiked(filled)
    step = max(1, -(-max(filled.shape) // COARSE_PIXELS))
    candidate = _ring_search(calm, known, step)
    while candidate is not None and step > 1 and candidate.radius < FINE_RADIUS * step:
        step = max(1, step // 2)
        half = COARSE_PIXELS * step // 2
        top, left = max(round(candidate.y) - half, 0), max(round(candidate.x) - half, 0)
        part = (slice(top, top + 2 * half), slice(left, left + 2 * half))
        finer = _ring_search(calm[part], known[part], step)
        if finer is None:
            break
        candidate = Found(finer.x + left, finer.y + top, finer.radius, finer.rival)
    if candidate is None:
        return "no disk stands out: nothing falls outwards across a ring"
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    share = np.hypot(x - candidate.x, y - candidate.y) / candidate.radius
    inside, outside = calm[known & (share < 0.95) & (share > 0.5)], calm[known & (share > 1.05) & (share < 1.5)]
    if inside.size < 12 or outside.size < 12:
        return "no disk's edge is in the frame"
    error = np.sqrt(inside.var() / inside.size + outside.var() / outside.size + 1e-300)
    if (inside.mean() - outside.mean()) / error < MIN_CONTRAST or inside.mean() < 1.2 * outside.mean():
        return "no disk stands out of what is around it: it is empty, or there are too few electrons"
    if candidate.radius < MIN_RADIUS:
        return (
            f"the disk has a radius of about {candidate.radius:.1f} pixels, too small to fit its edge: "
            f"{MIN_RADIUS:.0f} pixels would do (a longer camera length, or less binning)"
        )
    return candidate


def _ring_search(counts: np.ndarray, known: np.ndarray, step: int) -> Found | None:
    """The ring across which ``counts``, in blocks of ``step`` pixels, fall most.

    Falls are of the square root of counts, whose noise is the same everywhere; rings may have their centre off the frame.
    """
    ny, nx = (size // step for size in counts.shape)
    parts = [
        array[: ny * step, : nx * step].reshape(ny, step, nx, step).sum(axis=(1, 3))
        for array in (np.where(known, counts, 0.0), 1.0 * known)
    ]
    share = gaussian_filter(parts[1], 1.0) / step**2
    root_counts = np.sqrt(np.maximum(gaussian_filter(parts[0], 1.0) / np.maximum(share, 1e-2), 0.0))
    # what is scattered with unknown pixels is smoothed from those that are known
    clear = share > min(0.95, 0.6 * float(share.max()))
    fall = [np.where(clear, gradient, 0.0) for gradient in np.gradient(-root_counts)]
    size = tuple(int(next_fast_len(2 * count) or 2 * count) for count in (ny, nx))
    spectra = [np.fft.rfft2(array, size) for array in (*fall, 1.0 * clear)]
    # kernels lie about the first pixel; centres may be half a frame beyond each side of it
    y, x = np.meshgrid(*(np.fft.fftfreq(count) * count for count in size), indexing="ij")
    centre_y, centre_x = np.where(y < -0.5 * ny, y + size[0], y), np.where(x < -0.5 * nx, x + size[1], x)
    distance = np.maximum(np.hypot(x, y), 1e-9)
    best, scores = (0.0, 0.0, 0.0, 0.0), np.zeros(size)
    for radius in np.geomspace(2.0, 0.95 * max(ny, nx), 66):
        ring = np.exp(-0.5 * ((distance - radius) / max(0.7, 0.025 * radius)) ** 2)
        kernels = [np.fft.rfft2(kernel) for kernel in (ring * y / distance, ring * x / distance, ring)]
        down, across, seen = (
            np.fft.irfft2(spectrum * kernel.conj(), size) for spectrum, kernel in zip(spectra, kernels, strict=True)
        )
        visible = seen > max(MIN_VISIBLE * ring.sum(), MIN_RING)
        score = np.where(visible, (down + across) / np.sqrt(np.maximum(seen, 1e-9)), 0.0)
        index = np.unravel_index(int(np.argmax(score)), size)
        if score[index] > best[0]:
            best = (float(score[index]), float(centre_x[index]), float(centre_y[index]), float(radius))
            scores = score
    highest, x0, y0, radius = best
    if radius == 0.0:
        return None
    elsewhere = np.hypot(centre_x - x0, centre_y - y0) > max(1.2 * radius, 3.0)
    rival = float(scores[elsewhere].max(initial=0.0)) / highest
    return Found((x0 + 0.5) * step - 0.5, (y0 + 0.5) * step - 0.5, radius * step, rival)


def is_saturated(filled: np.ndarray, known: np.ndarray, disk: Found) -> bool:
    """Whether many of the disk's pixels read the same, highest value."""
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    inside = known & (np.hypot(x - disk.x, y - disk.y) < disk.radius)
    values = filled[inside]
    return bool(values.size and values.mean() > 5.0 and (values == values.max()).mean() > SATURATED_SHARE)


def camera_noise(filled: np.ndarray, known: np.ndarray, disk: Found) -> tuple[float, float]:
    """(counts of one electron, counts whose noise is that of a pixel without electrons): the variance of counts is the first times (counts + the second).

    From differences of neighbours, in which whatever varies evenly has no part, well inside the disk and well outside.
    """
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    share = np.hypot(x - disk.x, y - disk.y) / disk.radius
    second = 0.5 * (filled[:-1, :-1] - filled[1:, :-1] - filled[:-1, 1:] + filled[1:, 1:])
    whole = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]
    levels, variances = [], []
    for near, far in ((0.0, 0.85), (1.2, 1.8)):
        ring = whole & (share[:-1, :-1] >= near) & (share[:-1, :-1] < far)
        if ring.sum() < 12:
            levels.append(0.0)
            variances.append(0.0)
            continue
        squares = np.sort(second[ring] ** 2)
        levels.append(max(float(stats.trim_mean(filled[:-1, :-1][ring], TRIMMED)), 0.0))
        # hot pixels and lines of a crystal are among the largest 2 %; of normal noise the others have 0.873 of the variance
        variances.append(float(squares[: max(int(0.98 * len(squares)), 1)].mean()) / 0.873)
    electron = variances[0] / levels[0] if levels[0] > 0.0 and variances[0] > 0.0 else 1.0
    return electron, max(variances[1] / electron - levels[1], 0.0)


def hot_pixels(filled: np.ndarray, known: np.ndarray, electron: float, floor: float) -> np.ndarray:
    """Pixels [ny, nx] far above the third largest of their 3 x 3, in units of the camera's noise as `camera_noise` gives it."""
    calm = despiked(filled)
    noise = np.sqrt(electron * (np.maximum(calm, 0.0) + floor + electron))
    return known & (filled > calm + HOT_SIGMAS * noise)
