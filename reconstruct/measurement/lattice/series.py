"""A Fourier series on a lattice, fitted to an image by weighted least squares, with what is slower than the lattice beside it."""

from typing import NamedTuple

import numpy as np

BACKGROUND_COSINES = 4
"""Cosines each way that make up what is slower than the lattice."""
ROWS = 32
"""Lines that are handled at a time: their waves stay in the processor's cache."""


class Series(NamedTuple):
    """The ``model`` of best fit [ny, nx], its derivative by displacement ``slope`` [ny, nx, 2], and the model without the lattice, ``background`` [ny, nx]."""

    model: np.ndarray
    slope: np.ndarray
    background: np.ndarray


def fit_series(
    data: np.ndarray, weight: np.ndarray, positions: np.ndarray, lattice: np.ndarray, reflections: np.ndarray
) -> Series:
    """The series over ``reflections`` [m, 2] of ``lattice`` B at ``positions`` [ny, nx, 2] (pixels) that fits ``data`` [ny, nx] with ``weight`` [ny, nx] best.

    Waves are of single precision, which is finer than any image's noise; their products are summed in double.
    """
    ny, nx = data.shape
    cosines = [
        np.cos(np.pi * np.arange(BACKGROUND_COSINES)[:, None] * (np.arange(size) + 0.5) / size) for size in (ny, nx)
    ]
    terms, m = BACKGROUND_COSINES**2, len(reflections)
    count = terms + 2 * m
    normal, right = np.zeros((count, count)), np.zeros(count)
    parts = [slice(start, start + ROWS) for start in range(0, ny, ROWS)]
    waves = np.empty((count, ROWS * nx), np.float32)
    level = float(np.average(data, weights=weight))
    for part in parts:
        lines = positions[part]
        basis = waves[:, : lines.shape[0] * nx]
        basis[:terms] = np.einsum("ay,bx->abyx", cosines[0][:, part], cosines[1]).reshape(terms, -1)
        _waves(lines.reshape(-1, 2) @ lattice.T, reflections, basis[terms : terms + m], basis[terms + m :])
        root = np.sqrt(weight[part]).ravel().astype(np.float32)
        weighted = basis * root
        normal += weighted @ weighted.T
        right += weighted @ (root * (data[part] - level).ravel().astype(np.float32))
    coefficients = np.linalg.solve(normal + 1e-7 * np.trace(normal) / count * np.eye(count), right)
    slow = coefficients[:terms].reshape(BACKGROUND_COSINES, BACKGROUND_COSINES)
    background = level + cosines[0].T @ slow @ cosines[1]
    even, odd = coefficients[terms:-m], coefficients[-m:]
    frequencies = (2.0 * np.pi * reflections @ lattice).T
    # rows: the series and its derivatives along x and y
    of_cosine = np.stack([even, *(odd * frequencies)]).astype(np.float32)
    of_sine = np.stack([odd, *(-even * frequencies)]).astype(np.float32)
    model, slope = background.copy(), np.empty((ny, nx, 2))
    for part in parts:
        lines = positions[part]
        basis = waves[: 2 * m, : lines.shape[0] * nx]
        _waves(lines.reshape(-1, 2) @ lattice.T, reflections, basis[:m], basis[m:])
        values = (of_cosine @ basis[:m] + of_sine @ basis[m:]).reshape(3, -1, nx)
        model[part] += values[0]
        slope[part] = np.moveaxis(values[1:], 0, -1)
    return Series(model, slope, background)


def _waves(positions: np.ndarray, reflections: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> None:
    """Put cosines and sines of 2 pi h . n at ``positions`` n [p, 2] into ``cosine`` and ``sine`` [m, p], by powers of the two first."""
    highest = int(np.abs(reflections).max())
    powers = []
    for axis in (0, 1):
        angle = (2.0 * np.pi * (positions[:, axis] - np.round(positions[:, axis]))).astype(np.float32)
        first = np.empty(len(angle), np.complex64)
        np.cos(angle, out=first.real)
        np.sin(angle, out=first.imag)
        table = [np.ones_like(first), first]
        for _ in range(highest - 1):
            table.append(table[-1] * first)
        powers.append(table)
    for index, (h, k) in enumerate(reflections):
        along, across = powers[0][abs(h)], powers[1][abs(k)]
        wave = (along if h >= 0 else along.conj()) * (across if k >= 0 else across.conj())
        cosine[index], sine[index] = wave.real, wave.imag
