"""Maxima of the posterior of optics and specimen given the mean unit cells of one or more images of it, the model's error marginalised.

A coarse look over defocus, astigmatism and source, each registered to the data by a Fourier transform of the cell; Levenberg-Marquardt from the likeliest.
"""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np

from reconstruct.measure.haadf_cell import Cell
from reconstruct.measure.haadf_error import Lowered, ModelError, field
from reconstruct.measure.haadf_model import POSITION, SHARED, cells, slopes, waves
from twin.scattering.gram import GramModel

STARTS, STEPS = 8, 25
"""Places to climb from, and steps of a climb."""
FOCI, RINGS = 13, 2
"""Defoci and radii of astigmatism (with 8 azimuths each) within `REACH` of their prior standard deviations that are looked at."""
REACH = 2.5
SOURCES = (0.7, 1.0, 1.4)
REGISTERED = 64
"""Points along either side of the cell for finding the position."""
SIZES = np.exp(np.linspace(np.log(0.002), np.log(0.5), 34))
BATCH = 64
APART = 1.0
"""Maxima that are nearer than so many standard deviations in all of defocus and astigmatism are one."""
KEPT = 12.0
"""Maxima whose evidence is lower by more than this (logarithm) are left out."""


@dataclasses.dataclass(frozen=True)
class Top:
    """A maximum in units of the prior, ``place`` [p + 1] with the size of the model's error last, Laplace's ``covariance`` [p + 1, p + 1] and the logarithm
    of ``evidence``; ``relative`` is that size."""

    place: np.ndarray
    covariance: np.ndarray
    evidence: float
    relative: float


class Problem:
    """Images' ``data``, known changes ``offsets`` of their C10, and the prior ``mean`` and ``sd`` of `SHARED` followed by `POSITION` of each image; entries
    with an ``sd`` of 0 are fixed. Parameters z [p] are the free ones less their mean over their sd."""

    def __init__(
        self,
        model: GramModel,
        data: list[Cell],
        offsets: tuple[float, ...],
        angles: list[float],
        mean: np.ndarray,
        sd: np.ndarray,
        fixed: np.ndarray,
        nominal: float,
        error: ModelError,
    ):
        self.model, self.data, self.offsets, self.angles, self.error = model, data, offsets, angles, error
        self.mean, self.sd, self.fixed, self.nominal = mean, sd, fixed, nominal
        self.free = np.flatnonzero(sd > 0.0)
        self.inverted = np.zeros(len(data))
        self.columns: list[np.ndarray] = []
        self.lowered: list[Lowered] = []
        self.relative = 2.0 * error.relative

    def names(self) -> list[str]:
        """Of the entries of theta."""
        return [*SHARED, *(f"{name}.{k}" for k in range(len(self.data)) for name in POSITION)]

    def theta(self, z: np.ndarray) -> np.ndarray:
        """Parameters [s, q] of all images for free ones z [s, p]."""
        found = np.repeat(self.mean[None], len(z), axis=0)
        found[:, self.free] += z * self.sd[self.free][None]
        return found

    def _inputs(self, theta: np.ndarray, image: int) -> tuple:
        own = len(SHARED) + len(POSITION) * image
        at = np.concatenate([theta[:, : len(SHARED)], theta[:, own : own + len(POSITION)]], axis=1)
        fixed = np.repeat(self.fixed[None], len(at), axis=0)
        fixed[:, 0] += self.offsets[image]
        at, fixed = (np.concatenate([one, np.repeat(one[-1:], -len(one) % BATCH, axis=0)]) for one in (at, fixed))
        numbers = (self.angles[image], self.inverted[image], self.nominal)
        return at, fixed, tuple(jnp.asarray(one, jnp.float64) for one in numbers)

    def harmonics(self, theta: np.ndarray, image: int) -> np.ndarray:
        """Of one image, [s, c], for parameters [s, q]."""
        at, fixed, numbers = self._inputs(theta, image)
        parts = [slice(start, start + BATCH) for start in range(0, len(at), BATCH)]
        found = [np.asarray(cells(self.model, jnp.asarray(at[p]), jnp.asarray(fixed[p]), *numbers)) for p in parts]
        return np.concatenate(found)[: len(theta)]

    def cost(self, z: np.ndarray) -> np.ndarray:
        """Minus the logarithm of the posterior [s], up to a constant, at z [s, p + 1]: the last is the logarithm of the model's error in units of its prior."""
        theta, total = self.theta(z[:, :-1]), 0.5 * (z**2).sum(axis=1)
        relative = self.error.relative * np.exp(self.error.spread * z[:, -1])
        for image, (one, lowered) in enumerate(zip(self.data, self.lowered, strict=True)):
            away = one.mean[None] - self.harmonics(theta, image)
            total = total + 0.5 * lowered.squares(away, relative)
        return total

    def weights(self, relative: float) -> list[np.ndarray]:
        """Inverse covariances [c, c] of the images' harmonics."""
        return [one.weight(relative) for one in self.lowered]

    def linear(self, z: np.ndarray, weights: list[np.ndarray]) -> tuple[float, np.ndarray, np.ndarray]:
        """Cost, downhill gradient [p] and Gauss-Newton curvature [p, p] at z [p]."""
        cost, down, curvature = 0.5 * float(z @ z), -z, np.eye(len(z))
        for image, (one, weight) in enumerate(zip(self.data, weights, strict=True)):
            own = len(SHARED) + len(POSITION) * image
            theta = self.theta(z[None])
            at = np.concatenate([theta[:, : len(SHARED)], theta[:, own : own + len(POSITION)]], axis=1)
            fixed = self.fixed.copy()[None]
            fixed[:, 0] += self.offsets[image]
            numbers = (self.angles[image], self.inverted[image], self.nominal)
            given = tuple(jnp.asarray(part, jnp.float64) for part in numbers)
            value, slope = (np.asarray(a)[0] for a in slopes(self.model, jnp.asarray(at), jnp.asarray(fixed), *given))
            whole = np.zeros((len(value), len(self.mean)))
            whole[:, : len(SHARED)] = slope[:, : len(SHARED)]
            whole[:, own : own + len(POSITION)] = slope[:, len(SHARED) :]
            whole = whole[:, self.free] * self.sd[self.free][None]
            away = one.mean - value
            cost += 0.5 * float(away @ weight @ away)
            down = down + whole.T @ weight @ away
            curvature = curvature + whole.T @ weight @ whole
        return cost, down, curvature

    def weigh(self, z: np.ndarray) -> None:
        """Make the model's error what the signal at z makes it."""
        theta = self.theta(z[None])
        black = SHARED.index("black")
        self.columns = []
        for image, one in enumerate(self.data):
            signal = self.harmonics(theta, image)[0]
            signal[0] -= theta[0, black]
            self.columns.append(field(signal, one.g, self.model.cell, self.error.length))
        self.lowered = [Lowered(one.information, c) for one, c in zip(self.data, self.columns, strict=True)]

    def size(self, z: np.ndarray) -> Top:
        """The maximum at z [p] with the size of the model's error that has most evidence there, and how well that is known."""
        linear = [self.linear(z, self.weights(relative)) for relative in SIZES]
        unit = np.log(SIZES / self.error.relative) / self.error.spread
        logs = np.array([-cost - 0.5 * np.linalg.slogdet(curvature)[1] for cost, _, curvature in linear])
        logs = logs - 0.5 * sum(one.volume(SIZES) for one in self.lowered) - 0.5 * unit**2
        shares = np.exp(logs - logs.max())
        step = float(unit[1] - unit[0])
        evidence = float(logs.max() + np.log(shares.sum() * step) - 0.5 * np.log(2.0 * np.pi))
        shares = shares / shares.sum()
        best = int(shares.argmax())
        covariance = np.zeros((len(z) + 1,) * 2)
        covariance[:-1, :-1] = np.linalg.inv(linear[best][2])
        covariance[-1, -1] = float(shares @ (unit - shares @ unit) ** 2) + step**2 / 12.0
        return Top(np.append(z, unit[best]), 0.5 * (covariance + covariance.T), evidence, float(SIZES[best]))

    def climb(self, z: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Levenberg-Marquardt with the model's error as large as it was last found: place, cost and curvature."""
        weights = self.weights(self.relative)
        cost, down, curvature = self.linear(z, weights)
        damping = 1e-2
        for _ in range(STEPS):
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), down)
            new, *rest = self.linear(z + step, weights)
            if new < cost:
                gained, z, cost, (down, curvature) = cost - new, z + step, new, rest
                damping = max(0.2 * damping, 1e-6)
                if gained < 1e-2:
                    break
            else:
                damping *= 6.0
                if damping > 1e5:
                    break
        return z, cost, curvature

    def misfit(self, z: np.ndarray) -> float:
        """Chi square of the harmonics at z, the model's error taken out, over their number."""
        cost, *_ = self.linear(z, self.weights(self.relative))
        count = sum(len(one.mean) for one in self.data)
        return (2.0 * cost - float(z @ z)) / count

    def starts(self) -> list[np.ndarray]:
        """Likely places z [p], registered, the likeliest first, none near another."""
        grid = self._grid()
        theta = self.theta(grid)
        score = np.zeros((2, len(grid)))
        spots = np.zeros((2, len(grid), len(self.data), 2))
        for image in range(len(self.data)):
            made = self.harmonics(theta, image)
            for way in (0, 1):
                gain, spot = self._registered(made, image, way == 1)
                score[way] += gain
                spots[way, :, image] = spot
        # what a turn by pi tells apart; a crystal with a centre looks the same
        way = int(score[1].max() > score[0].max() + 2.0)
        self.inverted = np.full(len(self.data), float(way))
        likely, found = score[way] - 0.5 * (grid[:, :] ** 2).sum(axis=1), []
        optics = [self.place(name) for name in ("C10", "C12a", "C12b")]
        optics = [place for place in optics if place is not None]
        for number in np.argsort(-likely):
            z = grid[number].copy()
            if any(np.abs(z[optics] - one[optics]).max() < 0.5 for one in found):
                continue
            for image, axis in itertools.product(range(len(self.data)), (0, 1)):
                entry = len(SHARED) + len(POSITION) * image + axis
                z[np.flatnonzero(self.free == entry)[0]] = (
                    spots[way, number, image, axis] - self.mean[entry]
                ) / self.sd[entry]
            found.append(z)
            if len(found) == STARTS:
                break
        return found

    def place(self, name: str) -> int | None:
        """Of an entry of `SHARED` among the free parameters; None if it is fixed."""
        where = np.flatnonzero(self.free == SHARED.index(name))
        return int(where[0]) if len(where) else None

    def _grid(self) -> np.ndarray:
        focus = np.linspace(-REACH, REACH, FOCI)
        rings = [(0.0, 0.0)]
        for ring in range(1, RINGS + 1):
            turn = 2.0 * np.pi * (np.arange(8) + 0.5 * (ring % 2)) / 8.0
            rings += [
                (ring * REACH / (RINGS + 0.5) * np.cos(a), ring * REACH / (RINGS + 0.5) * np.sin(a)) for a in turn
            ]
        rows = []
        source = SHARED.index("source")
        for c10, (a, b), size in itertools.product(focus, rings, SOURCES):
            z = np.zeros(len(self.free))
            for name, value in zip(("C10", "C12a", "C12b"), (c10, a, b), strict=True):
                place = self.place(name)
                if place is not None:
                    z[place] = value
            place = self.place("source")
            if place is not None:
                z[place] = np.clip(self.mean[source] * (size - 1.0) / self.sd[source], -2.5, 2.5)
            rows.append(z)
        return np.unique(np.array(rows), axis=0)

    def _registered(self, made: np.ndarray, image: int, inverted: bool) -> tuple[np.ndarray, np.ndarray]:
        """By how much each of ``made`` [s, c] at the best position, scale and level explains the data (half a chi square, roughly weighed), and where."""
        one, g = self.data[image], self.data[image].g
        n = len(g)
        level = float(np.trace(one.information)) / len(one.mean)
        # the model may be off by some per cent: more than counting where there are many electrons
        noise = 1.0 / level + (self.error.relative * one.mean[0]) ** 2 / n
        data = 0.5 * (one.mean[1:n] - 1j * one.mean[n:])
        some = 0.5 * (made[:, 1:n] - 1j * made[:, n:])
        some = some.conj() if inverted else some
        whole = np.rint(g[1:] * np.asarray(self.model.cell)).astype(int)
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
        spot = np.stack([best % count, best // count], axis=1) * np.asarray(self.model.cell)[None] / count
        return gain, spot


def climbed(problem: Problem) -> list[Top]:
    """Distinct maxima, that of most evidence first."""
    places = problem.starts()
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


def unit_cell(cell: Cell, values: np.ndarray, size: tuple[float, float], points: int = 48) -> np.ndarray:
    """An image [points, points] of the unit cell from harmonics [c]."""
    side = (np.arange(points) + 0.5) / points
    x, y = np.meshgrid(side * size[0], side * size[1])
    return (waves(cell.g, np.stack([x.ravel(), y.ravel()], axis=-1), size) @ values).reshape(points, points)
