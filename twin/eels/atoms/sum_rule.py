"""Bethe's sum rule: the oscillator strengths of one electron to all states of its potential add up to 1 at every momentum transfer.

It holds without relativity for a local potential, with transitions to all bound states, those that other electrons fill among them (with a negative
sign to lower ones), and to the continuum. With a finite speed of light the sum is less by about the mean of p^2 / 2 c^2 and more: strength of
states of negative energy is missing (12 % for 1s of Ba).
"""

import numpy as np
from scipy.integrate import simpson

from twin.eels.atoms.oscillator import OUTSKIRTS, SERIES, excitation, extent, ionisation, largest_energy, levels
from twin.eels.atoms.solver.atom import Atom
from twin.eels.atoms.solver.configurations import Orbital

ENERGIES = 75
FIRST = 0.1
"""Energies are e = FIRST (exp(u) - 1), hartree."""


def largest_momentum(atom: Atom, orbital: Orbital) -> float:
    """Momentum (1 / bohr) up to which the sum is right: the ridge of close collisions needs waves of l' up to about 2 q r."""
    return 20 / extent(atom, orbital, OUTSKIRTS)


def bethe_sum(atom: Atom, orbital: Orbital, momenta: np.ndarray) -> np.ndarray:
    """The sum of strengths per electron of the shell at each of ``momenta`` (1 / bohr)."""
    if momenta.max() > largest_momentum(atom, orbital):
        raise ValueError(
            f"momentum {momenta.max():g} per bohr needs waves of too large l'; go up to {largest_momentum(atom, orbital):g}"
        )
    binding = -atom.shells[orbital].energy
    to = levels(atom, orbital.l + 5)
    gaps = np.array([level.wave.energy for level in to]) + binding
    bound = gaps @ excitation(atom, orbital, to, momenta)
    largest = min(300 * binding + 3 * momenta.max() ** 2, largest_energy(atom, orbital))
    u = np.linspace(0.0, np.log1p(largest / FIRST), ENERGIES)
    energies = FIRST * np.expm1(u)
    losses = energies + binding
    strength = ionisation(atom, orbital, energies, momenta, groups=6) * losses[:, None]
    free = simpson(strength * (energies + FIRST)[:, None], x=u, axis=0)
    # beyond, by the power of the loss with which it falls, 2.5 at least: in the end that is l + 7/2
    power = np.log(strength[-4] / strength[-1]) / np.log(losses[-1] / losses[-4])
    tail = strength[-1] * losses[-1] / np.maximum(power - 1, 1.5)
    series = strength[0] * -SERIES
    return bound + series + free + tail
