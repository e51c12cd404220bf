"""Transition potentials for multislice: what a fast electron meets where it ejects an electron of an atom.

An electron that passes (x, y) leaves the atom in the state eps l' m' with the amplitude -i sigma V(x, y), with sigma the interaction constant of elastic
scattering (rad / (V angstrom)) and V the projected potential of the transition's charge, for V per square root of eV of the ejected energy:
sum over the transitions of |sigma V|^2 dx dy over all positions, or over all angles, is d sigma / dE of the spectrum (`differential_cross_section`).
In reciprocal space

    V(Q) = -(e / epsilon_0) rho(Q*) / (Q_perp^2 + q_z^2 / gamma^2),   rho(Q) = integral of psi_f* exp(-i Q r) psi_i.

Small-angle, high-energy approximation: the momentum lost along the beam is q_z = W / v for all angles, which is exact to theta W / 2 T; sums over angles
go over Q_perp as if the sphere of final momenta were a plane, which is exact to theta^2 / 2, 0.5 % at 100 mrad. Both are far below the error of the waves.
On a grid over an extent L the potential is that of an atom and of its periodic images, whose amplitudes add up. They do not where every momentum
stands for its cell of the reciprocal lattice: potentials at other ``shift`` s of the momenta are those of images whose phases turn, so that on average over
shifts images scatter without interference, as atoms do. A probe that is narrower than L sees with n x n shifts what it sees on a grid n times as wide.

With retardation, charge and current of the transition act through the relativistic propagator: 1 / (Q^2 - (W / c)^2) = 1 / (Q_perp^2 + q_z^2 / gamma^2), and
with the equation of continuity the dipole's rho - v j_z / c^2 is rho at Q* = (Q_perp, -q_z / gamma^2). That is Fano's transverse term, wave by wave.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import sph_harm_y

from twin.eels.atoms.edges import Subshell
from twin.eels.atoms.interpolation import ionisation_threshold
from twin.eels.atoms.kinematics import Beam
from twin.eels.atoms.oscillator import pair, radial
from twin.eels.atoms.solver.angular import coupling, multipoles, spherical_bessel, three_j
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.potential import BOHR, HARTREE, LIGHT

WIDTHS = 3.5
"""Width of a grid over the potential's reach at which the sum of |V|^2 is the cross-section to 0.5 %."""
RADIAL = 240
"""Momenta at which radial matrix elements are computed; between them they are interpolated."""


class TransitionPotentials(NamedTuple):
    """``values``: V [transition, y, x] in V angstrom / sqrt(eV), complex64, the atom in the corner [0, 0] of the periodic grid; ``labels``: (l', m', m) of
    each; ``loss``: energy in eV that the fast electron loses; ``share``: of the cross-section within the grid's momenta, what these transitions hold."""

    values: np.ndarray
    labels: tuple[tuple[int, int, int], ...]
    loss: float
    share: float


def transition_potentials(
    subshell: Subshell,
    ejected: float,
    shape: tuple[int, int],
    sampling: tuple[float, float],
    high_tension: float,
    share: float = 0.99,
    retarded: bool = True,
    shift: tuple[float, float] = (0.0, 0.0),
) -> TransitionPotentials:
    """The potentials of transitions from the subshell to electrons of ``ejected`` eV above the threshold of ionisation (`ionisation_threshold`).

    ``shape`` (ny, nx) and ``sampling`` (angstrom a pixel, y and x) of the grid, ``high_tension`` in V. The l' that matter most are taken until they
    hold ``share`` of the cross-section on this grid. ``retarded=False``: the Coulomb potential alone, as non-relativistic codes have it.
    ``shift`` (y, x) of the momenta in the cells of the reciprocal lattice, as shares of its sides from the middle, -1/2 to 1/2.
    The grid should be `WIDTHS` times as wide as the potential reaches, gamma v / W (`reach`: 3.6 angstrom for O K at 200 kV, 19 for Si L), or shifts averaged.
    """
    if not (np.isfinite(ejected) and ejected >= 0):
        raise ValueError(f"energy of the ejected electron is {ejected} eV; give it above the threshold, from 0 on")
    if min(shape) < 1 or not min(sampling) > 0 or not 0 < share <= 1:
        raise ValueError(f"shape {shape}, sampling {sampling} and share {share}: give all above 0, and a share up to 1")
    l = subshell.orbital.l  # noqa: E741
    loss = ionisation_threshold(subshell) + ejected
    grid = _reciprocal(Beam(high_tension), loss / HARTREE, shape, sampling, retarded, shift)
    splines = _splines(subshell, ejected, grid.least, 1.5 * np.pi * BOHR * math.hypot(1 / sampling[0], 1 / sampling[1]))
    elements = {key: spline(np.log(grid.q)) for key, spline in splines.items()}
    chosen, kept = _largest(elements, l, grid.propagator, share)
    # per electron of the subshell, and ifft2 to a density over the grid's area
    scale = np.sqrt(subshell.occupancy / (2 * l + 1) * HARTREE) * BOHR**3 / (sampling[0] * sampling[1])
    harmonics: dict[tuple[int, int], np.ndarray] = {}
    labels = [(final, end, m) for final in chosen for m in range(-l, l + 1) for end in range(-final, final + 1)]
    values = np.empty((len(labels), *shape), np.complex64)
    for row, (final, end, m) in enumerate(labels):
        charge = _charge(elements, harmonics, grid, (l, m), (final, end))
        values[row] = scale * np.fft.ifft2(grid.propagator * charge)
    return TransitionPotentials(values, tuple(labels), loss, kept)


def reach(loss: float, high_tension: float) -> float:
    """gamma v / W in angstrom for a ``loss`` W in eV: the range over which electrons of ``high_tension`` V lose it."""
    beam = Beam(high_tension)
    return float(beam.gamma * np.sqrt(beam.beta2) * LIGHT / (loss / HARTREE) * BOHR)


class _Reciprocal(NamedTuple):
    """On the grid's momenta [y, x]: size and polar angles of Q*, and the propagator -4 pi / (Q_perp^2 + q_z^2 / gamma^2); ``least`` Q*. Atomic units."""

    least: float
    q: np.ndarray
    polar: np.ndarray
    azimuth: np.ndarray
    propagator: np.ndarray


def _reciprocal(
    beam: Beam,
    loss: float,
    shape: tuple[int, int],
    sampling: tuple[float, float],
    retarded: bool,
    shift: tuple[float, float],
) -> _Reciprocal:
    """At the ``shift`` (y, x) in each reciprocal cell, as shares of its sides from its middle."""
    along = loss / (LIGHT * np.sqrt(beam.beta2))
    squeeze = beam.gamma**2 if retarded else 1.0
    y, x = (
        2 * np.pi * (np.fft.fftfreq(n) + off / n) / (d / BOHR) for n, d, off in zip(shape, sampling, shift, strict=True)
    )
    across2 = y[:, None] ** 2 + x**2
    q = np.sqrt(across2 + (along / squeeze) ** 2)
    azimuth = np.arctan2(y[:, None], x)
    return _Reciprocal(
        along / squeeze, q, np.arccos(-along / squeeze / q), azimuth, -4 * np.pi / (across2 + along**2 / squeeze)
    )


@lru_cache(maxsize=32)
def _splines(subshell: Subshell, ejected: float, least: float, largest: float) -> dict[tuple[int, int], CubicSpline]:
    """R of (l', multipole) as functions of the logarithm of momenta from ``least`` to ``largest``."""
    atom, l = solve_atom(subshell.element), subshell.orbital.l  # noqa: E741
    momenta = np.geomspace(least * 0.999, largest, RADIAL)
    waves = pair(atom, subshell.orbital, np.array([ejected / HARTREE]), largest)
    finals = waves.large.shape[1]
    bessel = spherical_bessel(finals - 1 + l, momenta[:, None] * waves.potential.radii)
    return {
        (final, order): CubicSpline(np.log(momenta), radial(waves, l, final, order, bessel[order] - (order == 0))[0])
        for final in range(finals)
        for order in multipoles(l, final)
    }


def _largest(
    elements: dict[tuple[int, int], np.ndarray],
    l: int,  # noqa: E741
    propagator: np.ndarray,
    share: float,
) -> tuple[list[int], float]:
    """The fewest l' whose cross-sections on the grid add up to ``share`` of all, and the share that they have."""
    strength = np.zeros(1 + max(final for final, _ in elements))
    for (final, order), element in elements.items():
        strength[final] += coupling(l, final, order) * np.sum((propagator * element) ** 2)
    falling = np.argsort(strength)[::-1]
    held = np.cumsum(strength[falling]) / strength.sum()
    count = 1 + int(np.searchsorted(held, min(share, float(held[-1]))))
    return sorted(falling[:count].tolist()), float(held[count - 1])


def _charge(
    elements: dict[tuple[int, int], np.ndarray],
    harmonics: dict[tuple[int, int], np.ndarray],
    grid: _Reciprocal,
    start: tuple[int, int],
    end: tuple[int, int],
) -> np.ndarray:
    """rho of l m -> l' m' on the grid: 4 pi sum_lambda (-i)^lambda R Y*_lambda,m'-m(Q*) times the integral of Y*_l'm' Y_lambda,m'-m Y_lm."""
    (l, m), (final, m_final) = start, end  # noqa: E741
    total, mu = np.zeros(grid.q.shape, np.complex128), m_final - m
    for order in multipoles(l, final):
        gaunt = (-1) ** m_final * three_j(final, order, l, 0, 0, 0) * three_j(final, order, l, -m_final, mu, m)
        if gaunt == 0.0:
            continue
        gaunt *= np.sqrt((2 * final + 1) * (2 * order + 1) * (2 * l + 1) / (4 * np.pi))
        if (order, mu) not in harmonics:
            harmonics[order, mu] = sph_harm_y(order, mu, grid.polar, grid.azimuth).conj()
        total += 4 * np.pi * (-1j) ** order * gaunt * elements[final, order] * harmonics[order, mu]
    return total
