"""The maxima of the posterior: a coarse look over defocus, astigmatism and source, each registered to the data by a Fourier transform of the unit cell, and
Levenberg-Marquardt from the likeliest."""

import itertools

import numpy as np

from reconstruct.measurement.haadf.fit import Maximum, Problem
from reconstruct.measurement.haadf.model import POSITION, SHARED

START_COUNT = 8
"""Starting points that are maximised."""
DEFOCUS_VALUES, ASTIGMATISM_RINGS = 13, 2
"""Defoci and radii of astigmatism (with 8 azimuths each) within `PRIOR_REACH` of their prior standard deviations that are looked at."""
PRIOR_REACH = 2.5
SOURCE_FACTORS = (0.7, 1.0, 1.4)
"""Sizes of the source, over what is thought likeliest."""
REGISTRATION_POINTS = 64
"""Points along either side of the cell for finding the position."""
SEPARATION = 1.0
"""Maxima that are nearer than so many standard deviations in all of defocus and astigmatism are one."""
EVIDENCE_MARGIN = 12.0
"""Maxima whose evidence is lower by more than this (logarithm) are left out."""


def find_maxima(problem: Problem) -> list[Maximum]:
    """Distinct maxima, that of most evidence first."""
    start_points = starting_points(problem)
    problem.update_model_error(start_points[0])
    best = min((problem.maximise(z) for z in start_points[:3]), key=lambda fit: fit[1])[0]
    for _ in range(2):
        problem.update_model_error(best)
        problem.relative = problem.fit_error_size(best).relative
        best = problem.maximise(best)[0]
    optics = [index for index in map(problem.free_index, ("C10", "C12a", "C12b")) if index is not None]
    mirrored = best.copy()
    mirrored[optics] = -mirrored[optics]
    fits = sorted((problem.maximise(z) for z in [best, mirrored, *start_points]), key=lambda fit: fit[1])
    initial_relative, maxima = problem.relative, []
    for position, _ in fits:
        if any(_near(position, maximum, optics) for maximum in maxima):
            continue
        # a maximum that fits less well is given the error that it asks for, or it would be thought too unlikely
        problem.relative = problem.fit_error_size(position).relative
        maxima.append(problem.fit_error_size(problem.maximise(position)[0]))
    maxima.sort(key=lambda maximum: -maximum.evidence)
    problem.relative = maxima[0].relative if maxima else initial_relative
    distinct: list[Maximum] = []
    for maximum in maxima:
        if (
            not any(_near(maximum.position, other, optics) for other in distinct)
            and maximum.evidence > maxima[0].evidence - EVIDENCE_MARGIN
        ):
            distinct.append(maximum)
    return distinct


def _near(position: np.ndarray, other: Maximum, optics: list[int]) -> bool:
    """Whether defocus and astigmatism at a place are those of another maximum."""
    distance = np.abs(position[optics] - other.position[optics])
    return bool(np.all(distance < SEPARATION * np.sqrt(np.diag(other.covariance)[optics])))


def starting_points(problem: Problem) -> list[np.ndarray]:
    """Likely places z [p], registered, the likeliest first, none near another."""
    grid = _grid(problem)
    theta = problem.theta(grid)
    score = np.zeros((2, len(grid)))
    shifts = np.zeros((2, len(grid), len(problem.data), 2))
    for image in range(len(problem.data)):
        model_harmonics = problem.harmonics(theta, image)
        for orientation in (0, 1):
            gain, shift = _register(problem, model_harmonics, image, orientation == 1)
            score[orientation] += gain
            shifts[orientation, :, image] = shift
    # what a turn by pi tells apart; a crystal with a centre looks the same
    orientation = int(score[1].max() > score[0].max() + 2.0)
    problem.inverted = np.full(len(problem.data), float(orientation))
    likely, start_points = score[orientation] - 0.5 * (grid**2).sum(axis=1), []
    optics = [problem.free_index(name) for name in ("C10", "C12a", "C12b")]
    optics = [index for index in optics if index is not None]
    for row in np.argsort(-likely):
        z = grid[row].copy()
        if any(np.abs(z[optics] - start[optics]).max() < 0.5 for start in start_points):
            continue
        for image, axis in itertools.product(range(len(problem.data)), (0, 1)):
            entry = len(SHARED) + len(POSITION) * image + axis
            z[np.flatnonzero(problem.free == entry)[0]] = (
                shifts[orientation, row, image, axis] - problem.mean[entry]
            ) / problem.sd[entry]
        start_points.append(z)
        if len(start_points) == START_COUNT:
            break
    return start_points


def _grid(problem: Problem) -> np.ndarray:
    focus = np.linspace(-PRIOR_REACH, PRIOR_REACH, DEFOCUS_VALUES)
    rings = [(0.0, 0.0)]
    for ring in range(1, ASTIGMATISM_RINGS + 1):
        turn = 2.0 * np.pi * (np.arange(8) + 0.5 * (ring % 2)) / 8.0
        rings += [
            (
                ring * PRIOR_REACH / (ASTIGMATISM_RINGS + 0.5) * np.cos(a),
                ring * PRIOR_REACH / (ASTIGMATISM_RINGS + 0.5) * np.sin(a),
            )
            for a in turn
        ]
    rows = []
    source = SHARED.index("source")
    for c10, (a, b), size in itertools.product(focus, rings, SOURCE_FACTORS):
        z = np.zeros(len(problem.free))
        for name, value in zip(("C10", "C12a", "C12b"), (c10, a, b), strict=True):
            index = problem.free_index(name)
            if index is not None:
                z[index] = value
        index = problem.free_index("source")
        if index is not None:
            z[index] = np.clip(problem.mean[source] * (size - 1.0) / problem.sd[source], -2.5, 2.5)
        rows.append(z)
    return np.unique(np.array(rows), axis=0)


def _register(
    problem: Problem, model_harmonics: np.ndarray, image: int, inverted: bool
) -> tuple[np.ndarray, np.ndarray]:
    """By how much each of ``made`` [s, c] at the best position, scale and level explains the data (half a chi square, roughly weighed), and where."""
    cell, g = problem.data[image], problem.data[image].g
    n = len(g)
    level = float(np.trace(cell.information)) / len(cell.mean)
    # the model may be off by some per cent: more than counting where there are many electrons
    noise = 1.0 / level + (problem.error.relative * cell.mean[0]) ** 2 / n
    data = 0.5 * (cell.mean[1:n] - 1j * cell.mean[n:])
    shape_harmonics = 0.5 * (model_harmonics[:, 1:n] - 1j * model_harmonics[:, n:])
    shape_harmonics = shape_harmonics.conj() if inverted else shape_harmonics
    indices = np.rint(g[1:] * np.asarray(problem.model.cell)).astype(int)
    count = REGISTRATION_POINTS
    # sum over g of conj(data) made exp(2 pi i g.s), for all shifts s
    table = np.zeros((len(model_harmonics), count, count), complex)
    table[:, indices[:, 1] % count, indices[:, 0] % count] = data.conj()[None] * shape_harmonics
    likeness = np.fft.ifft2(table).real * count**2
    flat = likeness.reshape(len(model_harmonics), -1)
    best = flat.argmax(axis=1)
    top = np.maximum(flat[np.arange(len(model_harmonics)), best], 0.0)
    size = (np.abs(shape_harmonics) ** 2).sum(axis=1)
    scale = np.clip(top / np.maximum(size, 1e-300), 0.5, 2.0)
    gain = (2.0 * scale * top - scale**2 * size) * 2.0 / (2.0 * noise)
    shift = np.stack([best % count, best // count], axis=1) * np.asarray(problem.model.cell)[None] / count
    return gain, shift
