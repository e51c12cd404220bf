"""Cross-sections of inner-shell excitation and ionisation by fast electrons. Losses in eV, high tension in V, angles in rad, areas in angstrom^2.

First Born approximation with relativistic kinematics and the transverse term (`kinematics`), tabulated oscillator strengths (`tabulation`), measured edges
(`edges`). They are those of free atoms: in matter near-edge structure stands on them, and the giant resonances of 4d, where electrons of one
shell act together, lie some 10 eV higher and broader than an independent electron has them.
"""

import numpy as np
from numpy.polynomial.legendre import leggauss

from twin.eels.atoms.edges import Subshell
from twin.eels.atoms.interpolation import density_at, finite_axis, strength_of
from twin.eels.atoms.kinematics import Beam
from twin.eels.atoms.solver.potential import BOHR, HARTREE
from twin.eels.atoms.tabulation import BINS, FIRST

LARGEST_ANGLE = 0.3
"""Semi-angles in rad up to which angles count as small where disks overlap."""
TOTAL = 90
"""Quadrature points of the loss in total cross-sections."""


def differential_cross_section(
    subshell: Subshell,
    losses: np.ndarray,
    high_tension: float,
    collection: float,
    convergence: float = 0.0,
    bound: bool = True,
) -> np.ndarray:
    """d sigma / dE into the collection aperture, angstrom^2 / eV, [n] at ``losses`` (eV, any order and sign); 0 below the edge.

    ``collection`` and ``convergence`` (of the probe): semi-angles. Without ``bound`` ionisation alone, from `ionisation_threshold` on, for who
    draws the strength of bound levels (`excitation_cross_section`) with a shape of his own. ValueError for what is out of range.
    """
    losses = finite_axis("losses", losses)
    beam, strength = _checked(high_tension, collection, convergence), strength_of(subshell)
    edge = subshell.energy / HARTREE
    if np.any(losses >= high_tension):
        raise ValueError(f"losses go up to {losses.max():g} eV; give losses below the energy {high_tension:g} eV")

    def above(energies: np.ndarray) -> np.ndarray:
        momenta, weights = beam.collected(edge + strength.window + energies, collection, convergence)
        return (strength.above(energies[:, None], momenta) * weights).sum(1)

    bins = _bins(subshell, beam, collection, convergence)
    density = density_at(losses / HARTREE - edge, strength.window, bins if bound else 0 * bins, above)
    if not bound:
        density[losses / HARTREE - edge < strength.window] = 0.0
    return subshell.occupancy * density * BOHR**2 / HARTREE


def excitation_cross_section(
    subshell: Subshell, high_tension: float, collection: float, convergence: float = 0.0
) -> float:
    """Cross-section of excitation to all bound levels that have room, angstrom^2: the white lines of d and f levels, or the first eV of an edge."""
    beam = _checked(high_tension, collection, convergence)
    bins = _bins(subshell, beam, collection, convergence)
    return float(subshell.occupancy * bins.mean() * strength_of(subshell).window * BOHR**2)


def total_cross_section(subshell: Subshell, high_tension: float, bound: bool = True) -> float:
    """Cross-section of the subshell for all angles, and losses up to half of the energy that is left above the edge, angstrom^2.

    Without ``bound`` that of ionisation alone, with the edge's energy for the threshold of ionisation, as tables for X-ray analysis have it.
    """
    beam, strength = Beam(high_tension), strength_of(subshell)
    edge = subshell.energy / HARTREE
    first = edge + (strength.window if bound else 0.0)
    nodes, shares = leggauss(TOTAL)
    last = np.log1p((beam.kinetic - edge) / 2 / FIRST)
    energies = FIRST * np.expm1(last * (nodes + 1) / 2)
    momenta, weights = beam.collected(first + energies)
    density = (strength.above(energies[:, None], momenta) * weights).sum(1)
    total = float((shares * last / 2 * (energies + FIRST)) @ density)
    if bound:
        total += float(_bins(subshell, beam, np.pi, 0.0).mean() * strength.window)
    return subshell.occupancy * total * BOHR**2


def _checked(high_tension: float, collection: float, convergence: float) -> Beam:
    if not (0.0 < collection <= LARGEST_ANGLE and 0.0 <= convergence <= LARGEST_ANGLE):
        raise ValueError(
            f"semi-angles of collection and convergence are {collection} and {convergence} rad; give radians up to {LARGEST_ANGLE}, the first above 0"
        )
    return Beam(high_tension)


def _bins(subshell: Subshell, beam: Beam, collection: float, convergence: float) -> np.ndarray:
    """d sigma / dW per electron in each bin of bound levels, bohr^2 / hartree."""
    strength = strength_of(subshell)
    momenta, weights = beam.collected(subshell.energy / HARTREE + strength.middles(), collection, convergence)
    return np.array([strength.bins(momenta[row])[row] @ weights[row] for row in range(BINS)])
