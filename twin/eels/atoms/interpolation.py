"""Generalised oscillator strengths between the nodes of the shipped table, as smooth functions of loss and momentum."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline, RectBivariateSpline

from twin.eels.atoms.edges import Subshell, shell_table
from twin.eels.atoms.solver.configurations import Orbital
from twin.eels.atoms.solver.potential import BOHR, HARTREE, LIGHT
from twin.eels.atoms.tabulation import BINS, FIRST, SHARES, ShellTable, free_momentum

COLUMNS = np.log(SHARES)


class Strength:
    """S of a shell per electron (`oscillator`): `above` the threshold of ionisation, and in the `bins` of bound levels below it. Hartree atomic units.

    ``window``: width of the bins together, from the lowest level with room to the threshold.
    """

    def __init__(self, table: ShellTable):
        self.window = table.window
        self._binding, self._largest = table.binding, table.largest
        self._last = np.log1p(table.largest / FIRST)
        rows = np.linspace(0.0, self._last, len(table.values) - BINS)
        self._spline = RectBivariateSpline(rows, COLUMNS, table.values[BINS:], s=0)
        self._bins = CubicSpline(COLUMNS, table.values[:BINS], axis=1)

    def above(self, energies: np.ndarray, momenta: np.ndarray) -> np.ndarray:
        """S at ``energies`` above the threshold; beyond the table by the power of the loss that it ends with, at the same share s."""
        losses = self._binding + energies
        s = np.log(momenta / free_momentum(losses, LIGHT))
        row = np.log1p(energies / FIRST)
        column = np.clip(s, COLUMNS[0], COLUMNS[-1])  # constant towards the optical limit
        logs = self._spline.ev(np.minimum(row, self._last), column)
        if np.any(row > self._last):
            ratio = np.log(losses / (self._binding + self._largest))
            logs = logs - np.maximum(ratio, 0.0) * self._power(column)
        return np.where(s <= COLUMNS[-1], np.exp(logs), 0.0)

    def _power(self, column: np.ndarray) -> np.ndarray:
        """-d ln S / d ln W at the table's last energy."""
        slope = self._spline.ev(np.full_like(column, self._last), column, dx=1)
        return np.maximum(-slope * (self._largest + self._binding) / (self._largest + FIRST), 0.0)

    def bins(self, momenta: np.ndarray) -> np.ndarray:
        """Densities of S in the bins, [bin, ...momenta]."""
        s = np.log(momenta / free_momentum(np.array([self._binding]), LIGHT))
        logs = self._bins(np.clip(s, COLUMNS[0], COLUMNS[-1]))
        return np.where(s <= COLUMNS[-1], np.exp(logs), 0.0)

    def middles(self) -> np.ndarray:
        """Energies of the bins' middles, from the lowest level with room on."""
        return (np.arange(BINS) + 0.5) * self.window / BINS


@lru_cache(maxsize=256)
def _of_shell(element: str, orbital: Orbital) -> Strength:
    return Strength(shell_table(element, orbital))


def strength_of(subshell: Subshell) -> Strength:
    """The interpolated strength of the shell that ``subshell`` belongs to."""
    return _of_shell(subshell.element, subshell.orbital)


def ionisation_threshold(subshell: Subshell) -> float:
    """Loss in eV from which on the electron leaves the atom; between the edge's energy and this one it fills levels that have room."""
    return subshell.energy + strength_of(subshell).window * HARTREE


def generalised_oscillator_strength(subshell: Subshell, losses: np.ndarray, momenta: np.ndarray) -> np.ndarray:
    """df/dE of all electrons of the subshell, 1/eV, [loss, momentum]; 0 below the edge.

    ``losses`` in eV, [n]; ``momenta`` q > 0 in radians per angstrom, [m].
    """
    losses, momenta = finite_axis("losses", losses), finite_axis("momenta", momenta) * BOHR
    if np.any(momenta <= 0):
        raise ValueError("momenta must be above 0; give the optical limit as a small one, e.g. 1e-3 rad / angstrom")
    strength = strength_of(subshell)

    def above(energies: np.ndarray) -> np.ndarray:
        return strength.above(energies[:, None], momenta)

    density = density_at((losses - subshell.energy) / HARTREE, strength.window, strength.bins(momenta), above)
    return subshell.occupancy * density * losses[:, None] / HARTREE**2


def finite_axis(name: str, values: np.ndarray) -> np.ndarray:
    """``values`` as float64 [n]; ValueError unless they are that and finite."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be a one-dimensional array of finite numbers; got shape {values.shape}")
    return values


def density_at(
    excess: np.ndarray, window: float, bins: np.ndarray, above: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Density [n, ...] at energies ``excess`` over the edge: of the continuum, ``above``, from ``window`` on, and of ``bins`` [bin, ...] below.

    There it is the slope of a monotone cubic through the bins' running sum: each bin keeps its strength, the density is continuous, and passes
    into the continuum's where that is no more than three times the last bin's.
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
