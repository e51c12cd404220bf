"""Cross-sections of inner-shell ionisation by fast electrons, from tabulated oscillator strengths. Losses in eV, high tension in V, areas in angstrom^2.

First Born approximation with relativistic kinematics: momentum p of an electron of kinetic energy T loses W and turns by theta,
q^2 = p^2 + p'^2 - 2 p p' cos(theta). The longitudinal (Coulomb) and the transverse term (virtual photons; Fano, Ann. Rev. Nucl. Sci. 13 (1963) 1;
Bote and Salvat, Phys. Rev. A 77 (2008) 042701) are, with x = W / (c q) and the velocity v = beta c, in atomic units

    d sigma / dW dq = 4 pi / (v^2 W q) df/dW (q) [1 + x^2 (beta^2 - x^2) / (1 - x^2)^2].

Losses near the incident energy itself count with Ochkur's factor of exchange, 1 - Q / T + (Q / T)^2, Q the energy of a free electron with momentum q.
A convergent probe of semi-angle alpha and a collection aperture beta: a turn theta passes with the probability that the disk of the probe,
shifted by theta, overlaps the aperture.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.interpolate import CubicHermiteSpline, RectBivariateSpline

from twin.checks import electron_energy
from twin.eels.atoms.edges import Subshell, shell_table
from twin.eels.atoms.solver.configurations import Orbital
from twin.eels.atoms.solver.potential import BOHR, HARTREE, LIGHT
from twin.eels.atoms.tabulation import BINS, FIRST, SHARES, ShellTable, free_momentum

POINTS = 40
"""Quadrature points of ln q, on each side of the angle from which the aperture cuts the probe's disk."""
LARGEST_ANGLE = 0.3
"""Semi-angles in rad up to which angles count as small where disks overlap."""
TOTAL = 90
"""Quadrature points of ln W of total cross-sections."""


class Strength:
    """S(e, q) of a shell between the nodes of its table: `above` the threshold of ionisation, and in the `bins` below it. Hartree atomic units."""

    def __init__(self, table: ShellTable):
        self.table = table
        self._last = np.log1p(table.largest / FIRST)
        rows = np.linspace(0.0, self._last, len(table.values) - BINS)
        self._spline = RectBivariateSpline(rows, np.log(SHARES), table.values[BINS:], s=0)

    def above(self, energies: np.ndarray, momenta: np.ndarray) -> np.ndarray:
        """S at ``energies`` above the threshold; beyond the table by the power of the loss that it ends with, at the same share s."""
        losses = self.table.binding + energies
        s = np.log(momenta / free_momentum(losses, LIGHT))
        row = np.log1p(energies / FIRST)
        inside = np.minimum(row, self._last)
        column = np.maximum(s, np.log(SHARES[0]))  # constant towards the optical limit
        logs = self._spline.ev(inside, np.minimum(column, np.log(SHARES[-1])))
        if np.any(row > self._last):
            ratio = np.log(losses / (self.table.binding + self.table.largest))
            logs = logs - np.maximum(ratio, 0.0) * self._powers(np.minimum(column, np.log(SHARES[-1])))
        return np.where(s <= np.log(SHARES[-1]), np.exp(logs), 0.0)

    def _powers(self, column: np.ndarray) -> np.ndarray:
        """-d ln S / d ln W at the table's last energy."""
        per_row = self._spline.ev(np.full_like(column, self._last), column, dx=1)
        last, binding = self.table.largest, self.table.binding
        return np.maximum(-per_row * (last + binding) / (last + FIRST), 0.0)

    def bins(self, momenta: np.ndarray) -> np.ndarray:
        """Densities of S in the bins below the threshold, [bin, momentum]."""
        s = np.log(momenta / free_momentum(self.table.binding, LIGHT))
        column = np.clip(s, *np.log(SHARES[[0, -1]]))
        rows = [np.interp(column, np.log(SHARES), row) for row in self.table.values[:BINS]]
        return np.where(s <= np.log(SHARES[-1]), np.exp(rows), 0.0)

    @property
    def window(self) -> float:
        """Width of the bins together: from the lowest level with room to the threshold of ionisation."""
        return self.table.window


@lru_cache(maxsize=256)
def _strength(element: str, orbital: Orbital) -> Strength:
    return Strength(shell_table(element, orbital))


def generalised_oscillator_strength(of: Subshell, losses: np.ndarray, momenta: np.ndarray) -> np.ndarray:
    """df/dE of all electrons of the subshell, 1/eV, [loss, momentum]: ``losses`` in eV, ``momenta`` q > 0 in radians per angstrom."""
    losses, momenta = _axis("losses", losses), _axis("momenta", momenta) * BOHR
    strength = _strength(of.element, of.orbital)
    excess = (losses - of.energy) / HARTREE

    def above(energies: np.ndarray) -> np.ndarray:
        return strength.above(energies[:, None], momenta)

    density = _at(excess, strength.window, strength.bins(momenta), above)
    return of.occupancy * density * losses[:, None] / HARTREE**2


def differential_cross_section(
    of: Subshell, losses: np.ndarray, high_tension: float, collection: float, convergence: float = 0.0
) -> np.ndarray:
    """d sigma / dE into the collection aperture, angstrom^2 / eV, at ``losses`` (eV, [n]); 0 below the edge.

    ``high_tension`` in V; semi-angles of ``collection`` and of the probe's ``convergence`` in rad. ValueError for what is out of range.
    """
    losses = _axis("losses", losses)
    if not (0.0 < collection <= LARGEST_ANGLE and 0.0 <= convergence <= LARGEST_ANGLE):
        raise ValueError(
            f"semi-angles of collection {collection} and convergence {convergence} rad; give a collection above 0 and both up to {LARGEST_ANGLE} rad"
        )
    beam = _Beam(electron_energy(high_tension) / HARTREE)
    strength = _strength(of.element, of.orbital)
    edge = of.energy / HARTREE

    def above(energies: np.ndarray) -> np.ndarray:
        momenta, weights = beam.within(edge + strength.window + energies, collection, convergence)
        return (strength.above(energies[:, None], momenta) * weights).sum(1)

    momenta, weights = beam.within(edge + _middles(strength.window), collection, convergence)
    bins = np.array([strength.bins(q)[row] @ w for row, (q, w) in enumerate(zip(momenta, weights, strict=True))])
    density = _at(losses / HARTREE - edge, strength.window, bins, above)
    return of.occupancy * density * BOHR**2 / HARTREE


def total_cross_section(of: Subshell, high_tension: float, bound: bool = True) -> float:
    """Cross-section of the subshell for all angles and losses up to half of the energy above the edge, angstrom^2.

    Without ``bound`` it is that of ionisation alone, with the edge's energy for the threshold of ionisation, as tables for X-ray analysis have it.
    """
    beam = _Beam(electron_energy(high_tension) / HARTREE)
    strength = _strength(of.element, of.orbital)
    edge = of.energy / HARTREE
    shift = strength.window if bound else 0.0
    x, w = leggauss(TOTAL)
    last = np.log1p((beam.kinetic - edge) / 2 / FIRST)
    energies = FIRST * np.expm1(last * (x + 1) / 2)
    momenta, weights = beam.within(edge + shift + energies)
    per_energy = (strength.above(energies[:, None], momenta) * weights).sum(1)
    total = float((w * last / 2 * (energies + FIRST)) @ per_energy)
    if bound:
        momenta, weights = beam.within(edge + _middles(shift))
        total += sum(float(strength.bins(q)[row] @ weights[row]) for row, q in enumerate(momenta)) * shift / BINS
    return of.occupancy * total * BOHR**2


def _middles(window: float) -> np.ndarray:
    return (np.arange(BINS) + 0.5) * window / BINS


def _axis(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 1 or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError(f"{name} must be a one-dimensional array of finite numbers above 0, got shape {values.shape}")
    return values


def _at(excess: np.ndarray, window: float, bins: np.ndarray, above: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Density at energies above the edge [n, ...]: of the continuum from the ``window`` on, and of the ``bins`` [bin, ...] below.

    There it is the slope of a monotone cubic through the bins' running sum: each bin keeps its strength, and the density is continuous inside and
    passes into the continuum where that is no more than three times the last bin.
    """
    density = np.zeros((len(excess), *bins.shape[1:]))
    free = excess >= window
    if free.any():
        density[free] = above(excess[free] - window)
    held = (excess >= 0) & ~free
    if held.any():
        limit = above(np.zeros(1))
        inner = 2 * bins[1:] * bins[:-1] / np.maximum(bins[1:] + bins[:-1], 1e-300)
        first = np.clip(1.5 * bins[:1] - 0.5 * bins[1:2], 0.0, 3 * bins[:1])
        slopes = np.concatenate([first, inner, np.minimum(limit, 3 * bins[-1:])])
        sums = np.concatenate([np.zeros_like(bins[:1]), np.cumsum(bins, 0)]) * window / BINS
        curve = CubicHermiteSpline(np.linspace(0.0, window, BINS + 1), sums, slopes)
        density[held] = curve(excess[held], 1)
    return density


class _Beam:
    """Kinematics of electrons of ``kinetic`` energy, hartree atomic units."""

    def __init__(self, kinetic: float):
        self.kinetic = kinetic
        gamma = 1 + kinetic / LIGHT**2
        self.beta2 = 1 - 1 / gamma**2
        self.momentum = free_momentum(kinetic, LIGHT)

    def within(
        self, losses: np.ndarray, collection: float = np.pi, convergence: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Momenta q and weights, [loss, point]: cross-section per energy and electron is the sum of S times weights."""
        after = free_momentum(self.kinetic - losses, LIGHT)
        least = self.momentum - after
        ends = np.minimum([abs(collection - convergence), collection + convergence], np.pi)
        nodes, weights = leggauss(POINTS)
        parts = []
        start = least
        for end in np.unique(ends[ends > 0]):
            q = np.sqrt(least**2 + 4 * self.momentum * after * np.sin(end / 2) ** 2)
            q = np.minimum(q, 1.001 * SHARES[-1] * free_momentum(losses, LIGHT))  # beyond, S is 0
            span = np.maximum(np.log(q / start), 0.0)[:, None]
            parts.append((start[:, None] * np.exp(span * (nodes + 1) / 2), span / 2 * weights))
            start = np.maximum(q, start)
        momenta = np.concatenate([q for q, _ in parts], 1)
        shares = np.concatenate([w for _, w in parts], 1)
        half = np.sqrt(np.maximum(momenta**2 - least[:, None] ** 2, 0.0) / (4 * self.momentum * after[:, None]))
        passed = _overlap(2 * np.arcsin(np.minimum(half, 1.0)), collection, convergence)
        x2 = (losses[:, None] / (LIGHT * momenta)) ** 2
        transverse = x2 * np.maximum(self.beta2 - x2, 0.0) / (1 - x2) ** 2
        recoil = momenta**2 / (1 + np.sqrt(1 + (momenta / LIGHT) ** 2)) / self.kinetic
        exchange = 1 - recoil + recoil**2
        return momenta, 4 * np.pi / (self.beta2 * LIGHT**2) * shares * passed * (1 + transverse) * exchange


def _overlap(turn: np.ndarray, collection: float, convergence: float) -> np.ndarray:
    """Share of a disk of radius ``convergence`` that, shifted by ``turn``, lies in one of radius ``collection``."""
    if convergence == 0.0:
        return (turn <= collection).astype(float)
    a, b = convergence, collection
    d = np.clip(turn, abs(a - b), a + b)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.arccos(np.clip((d**2 + a**2 - b**2) / (2 * d * a), -1, 1))
        second = np.arccos(np.clip((d**2 + b**2 - a**2) / (2 * d * b), -1, 1))
    kite = np.sqrt(np.maximum((a + b - d) * (d + a - b) * (d - a + b) * (d + a + b), 0.0)) / 2
    lens = a**2 * first + b**2 * second - kite
    return np.where(turn <= abs(a - b), min(a, b) ** 2, np.where(turn >= a + b, 0.0, lens)) / a**2
