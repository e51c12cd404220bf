"""The self-consistent atom: Hartree-Fock-Slater, scalar-relativistic. Hartree atomic units.

Electrons move in the potential of the nucleus, of the mean charge of all electrons, and of Slater's local exchange (alpha = 1), never weaker than that of
the ion that an electron leaves behind, -1 / r (Latter, Phys. Rev. 99 (1955) 510). With alpha = 1 the eigenvalues of inner shells are close to
measured binding energies (Herman and Skillman, Atomic Structure Calculations, 1963), so that energies and waves need no correction; bound and
continuum states of the same potential are orthogonal, and their oscillator strengths obey sum rules.

Scalar-relativistic and not Dirac-Slater: mass-velocity and Darwin terms are exact, which is what moves inner shells of heavy atoms; spin and orbit
stay separate, so that an edge has one l, a spectrum's L3 and L2 share their radial waves, and transition potentials have quantum numbers
l m. What is lost is the difference of the waves of j = l + 1/2 and l - 1/2, of order (Z / c)^2 / n^2. It is small where edges lie below 3 keV: against
Bote and Salvat's Dirac-Slater cross-sections at 300 keV, L3 is 0.5 % low and L2 3 % high for Kr, M5 1 % low for Au; it is largest for M2 and M3 of
the heaviest, 20 % high and 6 % low for Pt. The splitting of energies is added to first order. With light -> infinity it is Schroedinger's atom.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.integrate import cumulative_simpson

from twin.eels.atoms.solver.bound import Wave, bound_state, density, derivative, grid
from twin.eels.atoms.solver.configurations import Orbital, atomic_number, configuration
from twin.eels.atoms.solver.potential import LIGHT, Potential, on_grid

LARGEST = 120.0
"""Radius of the grid, bohr."""
CHANGE = 1e-6
"""Change of r V between iterations, hartree bohr, at which the potential is self-consistent."""
ITERATIONS = 300
MEMORY = 6
"""Earlier iterations from which the next potential is extrapolated (Anderson's mixing)."""


class Atom(NamedTuple):
    """A neutral atom: the ``potential`` of one electron and the occupied ``shells`` with their waves."""

    element: str
    potential: Potential
    shells: dict[Orbital, Wave]

    def shell(self, n: int, l: int) -> Orbital:  # noqa: E741
        """The occupied shell ``n`` ``l``; ValueError that names those there are."""
        for orbital in self.shells:
            if (orbital.n, orbital.l) == (n, l):
                return orbital
        there = ", ".join(f"{o.n}{'spdf'[o.l]}" for o in self.shells)
        raise ValueError(f"{self.element} has no electrons with n = {n}, l = {l}; it has {there}")

    def state(self, n: int, l: int) -> Wave | None:  # noqa: E741
        """The state ``n`` ``l`` of the potential, occupied or not; None where it isn't bound."""
        for orbital, wave in self.shells.items():
            if (orbital.n, orbital.l) == (n, l):
                return wave
        return bound_state(self.potential, n, l)

    def spin_orbit(self, orbital: Orbital) -> float:
        """Energy zeta of the spin-orbit coupling, hartree: the level j lies zeta (j (j + 1) - l (l + 1) - 3/4) / 2 above the shell's."""
        wave, field = self.shells[orbital], self.potential
        force = derivative(field.radii, field.values) / field.radii
        step = np.log(field.radii[1] / field.radii[0])
        small = (wave.large / field.mass(wave.energy) / field.light) ** 2 / 2
        return float(step * (force * small * field.radii).sum())

    def binding(self, orbital: Orbital, twice_j: int) -> float:
        """Binding energy of an electron of the subshell, hartree: minus the eigenvalue (not the difference of total energies)."""
        j, l = twice_j / 2, orbital.l  # noqa: E741
        coupling = self.spin_orbit(orbital) * (j * (j + 1) - l * (l + 1) - 0.75) / 2 if l else 0.0
        return -self.shells[orbital].energy - coupling


@lru_cache(maxsize=8)
def solve_atom(
    element: str, light: float = LIGHT, exchange: float = 1.0, shells: tuple[Orbital, ...] | None = None
) -> Atom:
    """The self-consistent atom of a chemical symbol; ArithmeticError if it does not converge.

    ``exchange`` is Slater's alpha; ``shells`` are those of the ground state (`configuration`), or others that hold Z electrons.
    """
    charge = atomic_number(element)
    radii = grid(charge, LARGEST)
    shells = configuration(element) if shells is None else shells
    if sum(orbital.electrons for orbital in shells) != charge:
        raise ValueError(f"shells of {element} hold {sum(o.electrons for o in shells)} electrons; give {charge}")
    # Thomas and Fermi's screening, roughly
    product = -1.0 - (charge - 1) * np.exp(-1.2 * charge ** (1 / 3) * radii)
    near: dict[Orbital, float] = {}
    tried: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    for _ in range(ITERATIONS):
        potential = on_grid(radii, product, light)
        waves: dict[Orbital, Wave] = {}
        for orbital in shells:
            wave = bound_state(potential, orbital.n, orbital.l, near.get(orbital))
            if wave is None:
                raise ArithmeticError(f"{element}: a potential on the way does not bind {orbital}")
            waves[orbital] = wave
            near[orbital] = wave.energy
        error = _product(charge, potential, waves, exchange) - product
        if np.abs(error).max() < CHANGE:
            return Atom(element, potential, waves)
        tried, errors = [*tried[1 - MEMORY :], product], [*errors[1 - MEMORY :], error]
        product = np.minimum(_mixed(tried, errors), -1.0)
    raise ArithmeticError(f"the potential of {element} is not self-consistent after {ITERATIONS} iterations")


def _mixed(tried: list[np.ndarray], errors: list[np.ndarray]) -> np.ndarray:
    """Anderson's mixing: the combination of earlier potentials with the least error, and a share of that error."""
    if len(tried) < 3:
        return tried[-1] + 0.35 * errors[-1]
    differences = np.stack([error - errors[-1] for error in errors[:-1]], axis=1)
    share = np.linalg.lstsq(differences, -errors[-1], rcond=1e-8)[0]
    before = tried[-1] + np.stack([p - tried[-1] for p in tried[:-1]], axis=1) @ share
    return before + 0.4 * (errors[-1] + differences @ share)


def _product(charge: int, potential: Potential, waves: dict[Orbital, Wave], exchange: float) -> np.ndarray:
    """r V of the charge of all electrons."""
    radii = potential.radii
    total = np.sum([orbital.electrons * density(potential, orbital.l, wave) for orbital, wave in waves.items()], axis=0)
    step = np.log(radii[1] / radii[0])
    inside = cumulative_simpson(total * radii, dx=step, initial=0.0) + total[0] * radii[0]
    outside = cumulative_simpson(total, dx=step, initial=0.0)
    hartree = inside + radii * (outside[-1] - outside)
    slater = -3 * exchange * (3 * total / (32 * np.pi**2 * radii**2)) ** (1 / 3)
    return np.minimum(-charge + hartree + radii * slater, -1.0)
