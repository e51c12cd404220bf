"""Where in an image the lattice is: local power of its two strong reflections, over squares of a period or two.

Vacuum, a hole, the edge of a specimen, another grain or a thick contamination show nothing of the lattice; they would count as an image of it that is known.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

ABSENT = 0.1
"""Share of the typical power of the reflections below which the lattice is absent."""
MIN_SIGNAL = 10.0
"""Typical power over that of the noise from which its absence can be seen."""
MIN_ABSENT = 0.02
"""Share of an image from which an absence is one: less are chance and scan distortion."""


def lattice_region(image: np.ndarray, known: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """Where the lattice of the frequencies ``strong`` [2, 2] is seen in the filled ``image`` [ny, nx], of which ``known`` were recorded: [ny, nx]; everywhere
    where that cannot be said, or nearly everywhere."""
    ny, nx = image.shape
    everywhere = np.ones(image.shape, bool)
    period = 1.0 / float(np.linalg.norm(strong, axis=1).min())
    size = max(2, round(1.5 * period))
    rows, columns = ny // size, nx // size
    if min(rows, columns) < 4:
        return everywhere
    cut = np.s_[: rows * size, : columns * size]
    share = known[cut].reshape(rows, size, columns, size).mean(axis=(1, 3))
    window = np.hanning(size + 2)[1:-1]
    blocks = image[cut].reshape(rows, size, columns, size)
    blocks = blocks - blocks.mean(axis=(1, 3), keepdims=True)
    y, x = np.arange(rows * size), np.arange(columns * size)

    def power(wave: np.ndarray) -> np.ndarray:
        along = np.exp(-2j * np.pi * wave[0] * x).reshape(columns, size) * window
        down = np.exp(-2j * np.pi * wave[1] * y).reshape(rows, size) * window
        return np.abs(np.einsum("ajbk,bk,aj->ab", blocks, along, down, optimize=True)) ** 2

    signal = sum(power(wave) for wave in strong)
    # frequencies where the lattice has none, but noise has as much
    between = np.array([[-wave[1], wave[0]] for wave in strong]) * np.sqrt(1.31)
    noise = float(np.median(sum(power(wave) for wave in between))) / 1.68  # median of the sum of two exponentials
    # blocks are compared as sets of neighbours: one alone may hold scan distortion or stray pixels
    known_share = gaussian_filter(share, 1.0)
    local = gaussian_filter(signal * share, 1.0) / np.maximum(known_share, 0.1)
    usable = known_share > 0.3
    if not usable.any():
        return everywhere
    typical = float(np.quantile(local[usable], 0.9)) - 2.0 * noise
    if typical < MIN_SIGNAL * 2.0 * noise:
        return everywhere
    present = (local - 2.0 * noise > ABSENT * typical) | ~usable
    if (~present).mean() < MIN_ABSENT:
        return everywhere
    fine = zoom(present.astype(float), size, order=1, grid_mode=True, mode="nearest") > 0.5
    return np.pad(fine, ((0, ny - fine.shape[0]), (0, nx - fine.shape[1])), mode="edge")
