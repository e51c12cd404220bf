"""The maxima of the posterior: a coarse look over defocus, astigmatism and source, each registered to the data by a Fourier transform of the unit cell, and
Levenberg-Marquardt from the likeliest."""

import itertools

import numpy as np

from reconstruct.measure.haadf.fit import Problem, Top
from reconstruct.measure.haadf.model import POSITION, SHARED

STARTS = 8
"""Places to climb from."""
FOCI, RINGS = 13, 2
"""Defoci and radii of astigmatism (with 8 azimuths each) within `REACH` of their prior standard deviations that are looked at."""
REACH = 2.5
SOURCES = (0.7, 1.0, 1.4)
"""Sizes of the source, over what is thought likeliest."""
REGISTERED = 64
"""Points along either side of the cell for finding the position."""
APART = 1.0
"""Maxima that are nearer than so many standard deviations in all of defocus and astigmatism are one."""
KEPT = 12.0
"""Maxima whose evidence is lower by more than this (logarithm) are left out."""


def climbed(problem: Problem) -> list[Top]:
    """Distinct maxima, that of most evidence first."""
    places = starts(problem)
    problem.weigh(places[0])
    best = min((problem.climb(z) for z in places[:3]), key=lambda one: one[1])[0]
    for _ in range(2):
        problem.weigh(best)
        problem.relative = problem.size(best).relative
        best = problem.climb(best)[0]
    optics = [place for place in map(problem.place, ("C10", "C12a", "C12b")) if place is not None]
    mirrored = best.copy()
    mirrored[optics] = -mirrored[optics]
    climbs = sorted((problem.climb(z) for z in [best, mirrored, *places]), key=lambda one: one[1])
    own, tops = problem.relative, []
    for place, *_ in climbs:
        if any(_near(place, one, optics) for one in tops):
            continue
        # a maximum that fits less well is given the error that it asks for, or it would be thought too unlikely
        problem.relative = problem.size(place).relative
        tops.append(problem.size(problem.climb(place)[0]))
    tops.sort(key=lambda one: -one.evidence)
    problem.relative = tops[0].relative if tops else own
    kept: list[Top] = []
    for one in tops:
        if not any(_near(one.place, other, optics) for other in kept) and one.evidence > tops[0].evidence - KEPT:
            kept.append(one)
    return kept


def _near(place: np.ndarray, other: Top, optics: list[int]) -> bool:
    """Whether defocus and astigmatism at a place are those of another maximum."""
    away = np.abs(place[optics] - other.place[optics])
    return bool(np.all(away < APART * np.sqrt(np.diag(other.covariance)[optics])))


def starts(problem: Problem) -> list[np.ndarray]:
    """Likely places z [p], registered, the likeliest first, none near another."""
    grid = _grid(problem)
    theta = problem.theta(grid)
    score = np.zeros((2, len(grid)))
    spots = np.zeros((2, len(grid), len(problem.data), 2))
    for image in range(len(problem.data)):
        made = problem.harmonics(theta, image)
        for way in (0, 1):
            gain, spot = _registered(problem, made, image, way == 1)
            score[way] += gain
            spots[way, :, image] = spot
    # what a turn by pi tells apart; a crystal with a centre looks the same
    way = int(score[1].max() > score[0].max() + 2.0)
    problem.inverted = np.full(len(problem.data), float(way))
    likely, found = score[way] - 0.5 * (grid**2).sum(axis=1), []
    optics = [problem.place(name) for name in ("C10", "C12a", "C12b")]
    optics = [place for place in optics if place is not None]
    for number in np.argsort(-likely):
        z = grid[number].copy()
        if any(np.abs(z[optics] - one[optics]).max() < 0.5 for one in found):
            continue
        for image, axis in itertools.product(range(len(problem.data)), (0, 1)):
            entry = len(SHARED) + len(POSITION) * image + axis
            z[np.flatnonzero(problem.free == entry)[0]] = (
                spots[way, number, image, axis] - problem.mean[entry]
            ) / problem.sd[entry]
        found.append(z)
        if len(found) == STARTS:
            break
    return found


def _grid(problem: Problem) -> np.ndarray:
    focus = np.linspace(-REACH, REACH, FOCI)
    rings = [(0.0, 0.0)]
    for ring in range(1, RINGS + 1):
        turn = 2.0 * np.pi * (np.arange(8) + 0.5 * (ring % 2)) / 8.0
        rings += [(ring * REACH / (RINGS + 0.5) * np.cos(a), ring * REACH / (RINGS + 0.5) * np.sin(a)) for a in turn]
    rows = []
    source = SHARED.index("source")
    for c10, (a, b), size in itertools.product(focus, rings, SOURCES):
        z = np.zeros(len(problem.free))
        for name, value in zip(("C10", "C12a", "C12b"), (c10, a, b), strict=True):
            place = problem.place(name)
            if place is not None:
                z[place] = value
        place = problem.place("source")
        if place is not None:
            z[place] = np.clip(problem.mean[source] * (size - 1.0) / problem.sd[source], -2.5, 2.5)
        rows.append(z)
    return np.unique(np.array(rows), axis=0)


def _registered(problem: Problem, made: np.ndarray, image: int, inverted: bool) -> tuple[np.ndarray, np.ndarray]:
    """By how much each of ``made`` [s, c] at the best position, scale and level explains the data (half a chi square, roughly weighed), and where."""
    one, g = problem.data[image], problem.data[image].g
    n = len(g)
    level = float(np.trace(one.information)) / len(one.mean)
    # the model may be off by some per cent: more than counting where there are many electrons
    noise = 1.0 / level + (problem.error.relative * one.mean[0]) ** 2 / n
    data = 0.5 * (one.mean[1:n] - 1j * one.mean[n:])
    some = 0.5 * (made[:, 1:n] - 1j * made[:, n:])
    some = some.conj() if inverted else some
    whole = np.rint(g[1:] * np.asarray(problem.model.cell)).astype(int)
    count = REGISTERED
    # sum over g of conj(data) made exp(2 pi i g.s), for all shifts s
    table = np.zeros((len(made), count, count), complex)
    table[:, whole[:, 1] % count, whole[:, 0] % count] = data.conj()[None] * some
    likeness = np.fft.ifft2(table).real * count**2
    flat = likeness.reshape(len(made), -1)
    best = flat.argmax(axis=1)
    top = np.maximum(flat[np.arange(len(made)), best], 0.0)
    size = (np.abs(some) ** 2).sum(axis=1)
    scale = np.clip(top / np.maximum(size, 1e-300), 0.5, 2.0)
    gain = (2.0 * scale * top - scale**2 * size) * 2.0 / (2.0 * noise)
    spot = np.stack([best % count, best // count], axis=1) * np.asarray(problem.model.cell)[None] / count
    return gain, spot
