"""Generalised oscillator strengths (GOS) of an atom's shells, from its waves. Hartree atomic units.

Per electron of a shell n l, excited to energy E with momentum transfer q, averaged over m and summed over all final states of that energy,

    df/dE = 2 W / q^2 sum_l' sum_lambda (2 lambda + 1)(2 l' + 1)(l lambda l'; 0 0 0)^2 R^2,    W = E - E_nl,

with R the radial matrix element of j_lambda(q r) with the charge density of large and small components. This module gives the strength without W,
S = (df/dE) / W, so that W may be the loss from a measured edge. S tends to a constant for small q (the optical limit).

Excited states are ions with an electron in the continuum (`ionisation`), or bound: levels of the neutral atom's own potential with room left in them
(`levels`, `excitation`). The series of levels passes into the continuum: strength per energy is continuous at its threshold (Gailitis' rule), so
that above -1 / (2 * 6.5^2) it is taken from the continuum.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from twin.eels.atoms.solver.angular import coupling, multipoles, spherical_bessel
from twin.eels.atoms.solver.atom import Atom
from twin.eels.atoms.solver.bound import Wave, density
from twin.eels.atoms.solver.configurations import Orbital, atomic_number
from twin.eels.atoms.solver.continuum import continuum, mesh
from twin.eels.atoms.solver.potential import Potential

SERIES = -1 / (2 * 6.5**2)
"""Energy from which on levels are taken as a continuum, hartree."""
LARGEST_L = 48
"""Of continuum waves."""
NOTHING = 1e-13
"""Share of a bound electron beyond the radius at which its wave is taken to end: with 1e-7, strengths are wrong by a per cent far above the edge."""
OUTSKIRTS = 3e-3
"""Share of it beyond the radius that decides which l' are reached: about k times it."""
FARTHEST = 60.0
"""Radius in bohr at which waves of any energy are normalised at the latest; the potential is -1 / r there."""


class Level(NamedTuple):
    """A bound state ``n`` ``l`` of an atom's potential, occupied or not; ``vacancy``: the share of its places that are free."""

    n: int
    l: int  # noqa: E741
    vacancy: float
    wave: Wave


def extent(atom: Atom, orbital: Orbital, share: float) -> float:
    """Radius in bohr outside of which less than ``share`` of the electron is."""
    r = atom.potential.radii
    beyond = np.cumsum((density(atom.potential, orbital.l, atom.shells[orbital]) * r)[::-1])[::-1]
    return float(r[np.argmax(beyond < share * beyond[0])])


def largest_energy(atom: Atom, orbital: Orbital) -> float:
    """Energy of the ejected electron, hartree, up to which waves of l' to `LARGEST_L` are all that it takes."""
    return ((LARGEST_L - 6 - orbital.l) / extent(atom, orbital, OUTSKIRTS)) ** 2 / 2


def ionisation(atom: Atom, orbital: Orbital, energies: np.ndarray, momenta: np.ndarray, groups: int = 4) -> np.ndarray:
    """S per electron and hartree of the shell, [energy, momentum].

    ``energies`` of the ejected electron (hartree, rising, >= 0) are taken in ``groups``, each on a mesh of its own; ``momenta`` q in 1 / bohr.
    """
    if np.any(energies < 0) or np.any(np.diff(energies) <= 0) or np.any(momenta <= 0):
        raise ValueError("energies of the ejected electron must rise from 0 hartree or more, and momenta be above 0")
    parts = np.array_split(energies, min(groups, len(energies)))
    return np.concatenate([_group(atom, orbital, part, momenta) for part in parts])


class Pair(NamedTuple):
    """Bound and continuum waves of one shell on one mesh."""

    potential: Potential
    weights: np.ndarray
    bound: Wave
    energies: np.ndarray
    large: np.ndarray
    slope: np.ndarray


def pair(atom: Atom, orbital: Orbital, energies: np.ndarray, largest_q: float) -> Pair:
    """The shell's wave, and continuum waves of ``energies`` with every l' that it can be excited to with some probability."""
    slowest, fastest = np.maximum(np.sqrt(2 * energies[[0, -1]]), 1e-3)
    end, bulk = extent(atom, orbital, NOTHING), extent(atom, orbital, OUTSKIRTS)
    most = min(LARGEST_L, int(fastest * bulk) + orbital.l + 6)
    # the bound wave ends, the largest l' of the fastest has passed its barrier, and the slowest varies little in a wavelength
    outer = max(1.05 * end, min(FARTHEST, max(3.0, 1.3 * (most + 5) / fastest, 12 / slowest)))
    on = mesh(atomic_number(atom.element), bulk, max(fastest, 0.15 * largest_q), outer, max(fastest, 1.0))
    potential = atom.potential.on(on.radii)
    kept = int(np.searchsorted(on.radii, end))
    waves = continuum(potential, on, energies, most, kept)
    wave = atom.shells[orbital]
    large, slope = (_between(atom.potential.radii, values, on.radii[:kept]) for values in (wave.large, wave.slope))
    return Pair(
        potential.within(kept), on.weights[:kept], Wave(wave.energy, large, slope), energies, waves.large, waves.slope
    )


def _between(radii: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return CubicSpline(np.log(radii), values)(np.log(wanted))


def radial(waves: Pair, l: int, final: int, order: int, bessel: np.ndarray) -> np.ndarray:  # noqa: E741
    """Matrix elements R of the multipole ``order`` of l -> ``final``, [energy, momentum]; ``bessel``: j_order [momentum, r].

    For order 0 give j_0 - 1: states of different energy are orthogonal, which keeps rounding errors out of small q. The small components are
    grad phi / (2 M c); grad phi' . grad phi of a multipole lambda is D' D + (l (l + 1) + l' (l' + 1) - lambda (lambda + 1)) P' P / 2 r^2.
    """
    field, bound = waves.potential, waves.bound
    large, slope = waves.large[:, final], waves.slope[:, final]
    small = 1 / (4 * field.mass(waves.energies[:, None]) * field.mass(bound.energy) * field.light**2)
    twist = (l * (l + 1) + final * (final + 1) - order * (order + 1)) / (2 * field.radii**2)
    product = large * bound.large
    product += small * (slope * bound.slope + twist * product)
    return product * waves.weights @ bessel.T


def _group(atom: Atom, orbital: Orbital, energies: np.ndarray, momenta: np.ndarray) -> np.ndarray:
    """S [energy, momentum] of energies that share a mesh."""
    waves = pair(atom, orbital, energies, float(momenta.max()))
    finals = waves.large.shape[1]
    bessel = spherical_bessel(finals - 1 + orbital.l, momenta[:, None] * waves.potential.radii)
    strength = np.zeros((len(energies), len(momenta)))
    for final in range(finals):
        for order in multipoles(orbital.l, final):
            element = radial(waves, orbital.l, final, order, bessel[order] - (order == 0))
            strength += coupling(orbital.l, final, order) * element**2
    return 2 * strength / momenta**2


def levels(atom: Atom, largest_l: int) -> list[Level]:
    """The bound states of the atom's potential below `SERIES` with l up to ``largest_l``, in the order of their energies."""
    occupied = {(orbital.n, orbital.l): orbital.electrons for orbital in atom.shells}
    states = []
    for l in range(largest_l + 1):  # noqa: E741
        n = l + 1
        while (wave := atom.state(n, l)) is not None and wave.energy < SERIES:
            states.append(Level(n, l, 1 - occupied.get((n, l), 0) / (4 * l + 2), wave))
            n += 1
    return sorted(states, key=lambda level: level.wave.energy)


def excitation(atom: Atom, orbital: Orbital, to: Sequence[Level], momenta: np.ndarray) -> np.ndarray:
    """S per electron of transitions to each level, were it empty, [level, momentum]."""
    field, bound = atom.potential, atom.shells[orbital]
    kept = int(np.searchsorted(field.radii, extent(atom, orbital, NOTHING)))
    inner = field.within(kept)
    weights = inner.radii * np.log(field.radii[1] / field.radii[0])
    bessel = spherical_bessel(max(level.l for level in to) + orbital.l, momenta[:, None] * inner.radii)
    start = Wave(bound.energy, bound.large[:kept], bound.slope[:kept])
    strength = np.zeros((len(to), len(momenta)))
    for row, level in enumerate(to):
        large, slope = (np.broadcast_to(v[:kept], (1, level.l + 1, weights.size)) for v in level.wave[1:])
        waves = Pair(inner, weights, start, np.array([level.wave.energy]), large, slope)
        for order in multipoles(orbital.l, level.l):
            element = radial(waves, orbital.l, level.l, order, bessel[order] - (order == 0))[0]
            strength[row] += coupling(orbital.l, level.l, order) * element**2
    return 2 * strength / momenta**2
