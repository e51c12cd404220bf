"""Tabulated oscillator strengths of one shell: the nodes, how they are computed, packed and interpolated. Hartree atomic units.

Rows are energies of the ejected electron, columns momenta as shares s of that of a free electron with the same energy loss: close collisions, the
"Bethe ridge", stand at s = 1 in every row. Values are natural logarithms of the strength S (`oscillator`) per electron and hartree, in steps
of `RESOLUTION`, which is the loss by packing: 0.05 % at most. Splines of third order in both directions go through them.

Excitations to bound levels make no lines here: in matter they are bands. Their strength is spread between the lowest level with room, where the measured
edge lies, and the threshold of ionisation: each level's from its own energy to the next level's of the same l, in bins of equal width. So no
strength is lost, a white line lies at the edge, and the continuum goes on where the bins end.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from twin.eels.atoms.oscillator import SERIES, Level, excitation, ionisation, largest_energy
from twin.eels.atoms.solver.atom import Atom
from twin.eels.atoms.solver.configurations import Orbital
from twin.eels.atoms.solver.potential import HARTREE

ENERGIES = 50
"""Energies of the ejected electron."""
BINS = 4
"""Bins of energy below the threshold of ionisation, before them."""
FIRST = 1.0 / HARTREE
"""Energies are e = FIRST (exp(u) - 1) with equal steps in u, hartree: close together at the threshold, where f waves resonate (4f of Cs: 1 eV wide)."""
_SPACED = ((-3.9, -0.9, 10), (-0.9, -0.45, 5), (-0.45, 0.45, 18), (0.45, 0.9, 5))
SHARES = np.exp(
    [*(x for low, high, n in _SPACED for x in np.linspace(low, high, n, endpoint=False)), *np.linspace(0.9, 2.1, 6)]
)
"""The columns s: from the optical limit, close together at the ridge, to where nothing is left."""
HIGHEST = 30.0
"""Largest energy as a multiple of the binding energy, if that is more than 1500 eV and the waves allow it."""
RESOLUTION = 1e-3
LEAST = 16.0
"""Logarithm of the largest value over the smallest that is held."""


class ShellTable(NamedTuple):
    """S of one shell: ``values`` ln S [BINS + ENERGIES, s]; ``binding``: eigenvalue; ``largest``: last energy; ``window``: energy of the threshold above
    the lowest level with room. Bins are densities: S of their levels over their width."""

    binding: float
    largest: float
    window: float
    values: np.ndarray


def nodes(largest: float) -> np.ndarray:
    """The energies of the rows after the bins."""
    return FIRST * np.expm1(np.linspace(0.0, np.log1p(largest / FIRST), ENERGIES))


def free_momentum(loss: np.ndarray, light: float) -> np.ndarray:
    """Momentum that gives a free electron at rest the energies ``loss``."""
    return np.sqrt(2 * loss * (1 + loss / (2 * light**2)))


def tabulate(atom: Atom, orbital: Orbital, levels: list[Level]) -> ShellTable:
    """Compute the table of one shell; ``levels`` of the atom as `oscillator.levels` gives them."""
    binding = -atom.shells[orbital].energy
    largest = min(max(HIGHEST * binding, 1500 / HARTREE), largest_energy(atom, orbital))
    energies, light = nodes(largest), atom.potential.light
    ends = np.log(free_momentum(binding + energies[[0, -1]], light)) + np.log(SHARES[[0, -1]])
    momenta = np.exp(np.linspace(ends[0], ends[1], int(np.ptp(ends) / 0.055) + 2))
    strength = ionisation(atom, orbital, energies, momenta)
    rows = _at_shares(strength, momenta, free_momentum(binding + energies, light))
    room = [level for level in levels if level.vacancy > 1e-6 and level.wave.energy > -binding]
    window = -min([SERIES, *(level.wave.energy for level in room)])
    below = _binned(room, excitation(atom, orbital, room, momenta), strength[0], window)
    bins = _at_shares(below, momenta, free_momentum(np.full(BINS, binding), light))
    return ShellTable(binding, largest, window, np.concatenate([bins, rows]))


def _at_shares(strength: np.ndarray, momenta: np.ndarray, free: np.ndarray) -> np.ndarray:
    """ln S at the columns, for each row its own momenta."""
    logs = np.log(np.maximum(strength, strength.max() * np.exp(-2 * LEAST)))
    rows = [CubicSpline(np.log(momenta), row)(np.log(SHARES * scale)) for row, scale in zip(logs, free, strict=True)]
    return np.stack(rows)


def _binned(room: list[Level], strength: np.ndarray, threshold: np.ndarray, window: float) -> np.ndarray:
    """Density of the levels' strength in the bins, [bin, momentum]."""
    edges = np.linspace(-window, 0.0, BINS + 1)

    def share(start: float, end: float) -> np.ndarray:
        covered = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        return np.maximum(covered, 0.0) / (end - start) * BINS / window

    density = share(SERIES, 0.0)[:, None] * threshold * -SERIES
    for level, row in zip(room, strength, strict=True):
        above = [other.wave.energy for other in room if other.l == level.l and other.n == level.n + 1]
        density += share(level.wave.energy, min([*above, SERIES * 0.999]))[:, None] * row * level.vacancy
    return density


class Packed(NamedTuple):
    """Values as steps of RESOLUTION below their largest, ``top``: differences along s and energy, the ``high`` and the ``low`` byte apart, uint8."""

    top: float
    high: np.ndarray
    low: np.ndarray


def pack(values: np.ndarray) -> Packed:
    """Pack ``values``; what is more than LEAST below the largest is held as that."""
    top = float(values.max())
    steps = np.round((np.maximum(values, top - LEAST) - top) / RESOLUTION)
    packed = np.diff(np.diff(steps, axis=1, prepend=0), axis=0, prepend=0)  # at most twice LEAST: 16 bits hold it
    words = packed.astype(np.int16).view(np.uint16)
    return Packed(top, (words >> 8).astype(np.uint8), (words & 255).astype(np.uint8))


def unpack(packed: Packed) -> np.ndarray:
    """The values of `pack`."""
    words = (packed.high.astype(np.uint16) << 8 | packed.low).view(np.int16)
    return packed.top + RESOLUTION * np.cumsum(np.cumsum(words, axis=0, dtype=np.int32), axis=1, dtype=np.int32)
