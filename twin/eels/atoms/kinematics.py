"""Relativistic kinematics of fast electrons that lose energy: momenta, angles, and what passes a collection aperture. Hartree atomic units.

Momentum p of an electron of kinetic energy T loses W and turns by theta: q^2 = p^2 + p'^2 - 2 p p' cos(theta). In first Born approximation the longitudinal
(Coulomb) and the transverse term (virtual photons; U. Fano, Ann. Rev. Nucl. Sci. 13 (1963) 1; D. Bote and F. Salvat, Phys. Rev. A 77 (2008) 042701)
are together, with x = W / (c q) and the velocity v = beta c,

    d sigma / dW dq = 4 pi / (v^2 q) S(W, q) [1 + x^2 (beta^2 - x^2) / (1 - x^2)^2],   S = (df/dW) / W.

Close collisions count with Ochkur's factor of exchange, 1 - Q / T + (Q / T)^2, with Q the energy of a free electron with momentum q.
"""

import numpy as np
from numpy.polynomial.legendre import leggauss

from twin.checks import electron_energy
from twin.eels.atoms.solver.potential import HARTREE, LIGHT
from twin.eels.atoms.tabulation import SHARES, free_momentum

POINTS = 40
"""Quadrature points of ln q, on each side of the angle from which the aperture cuts the probe's disk."""


class Beam:
    """Electrons of a ``high_tension`` in V, with their ``kinetic`` energy and ``momentum``; ``beta2`` is (v / c)^2."""

    def __init__(self, high_tension: float):
        self.kinetic = electron_energy(high_tension) / HARTREE
        self.gamma = 1 + self.kinetic / LIGHT**2
        self.beta2 = 1 - 1 / self.gamma**2
        self.momentum = float(free_momentum(np.array([self.kinetic]), LIGHT)[0])

    def collected(
        self, losses: np.ndarray, collection: float = np.pi, convergence: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Momenta q and weights, [loss, point]: the sum of S(q) times weights is d sigma / dW per electron into the aperture, bohr^2 / hartree."""
        after = free_momentum(self.kinetic - losses, LIGHT)
        least = self.momentum - after
        nodes, shares = leggauss(POINTS)
        momenta, weights, start = [], [], least
        for end in sorted({abs(collection - convergence), min(collection + convergence, np.pi)} - {0.0}):
            stop = np.sqrt(least**2 + 4 * self.momentum * after * np.sin(end / 2) ** 2)
            stop = np.clip(stop, start, np.maximum(start, SHARES[-1] * free_momentum(losses, LIGHT)))  # beyond, S is 0
            span = np.log(stop / start)[:, None]
            momenta.append(start[:, None] * np.exp(span * (nodes + 1) / 2))
            weights.append(span / 2 * shares)
            start = stop
        q = np.concatenate(momenta, axis=1)
        sine = np.sqrt(np.maximum(q**2 - least[:, None] ** 2, 0.0) / (4 * self.momentum * after[:, None]))
        passed = overlap(2 * np.arcsin(np.minimum(sine, 1.0)), collection, convergence)
        x2 = (losses[:, None] / (LIGHT * q)) ** 2
        transverse = x2 * np.maximum(self.beta2 - x2, 0.0) / (1 - x2) ** 2
        recoil = q**2 / (1 + np.sqrt(1 + (q / LIGHT) ** 2)) / self.kinetic
        exchange = 1 - recoil + recoil**2
        rate = 4 * np.pi / (self.beta2 * LIGHT**2)
        return q, rate * np.concatenate(weights, axis=1) * passed * (1 + transverse) * exchange


def overlap(turn: np.ndarray, collection: float, convergence: float) -> np.ndarray:
    """Share of a disk of radius ``convergence`` that, shifted by ``turn``, lies in the disk of radius ``collection``: the probability that an electron
    of the probe which turns by that angle is collected."""
    if convergence == 0.0:
        return (turn <= collection).astype(np.float64)
    a, b = convergence, collection
    d = np.clip(turn, max(abs(a - b), 1e-12), a + b)
    first = np.arccos(np.clip((d**2 + a**2 - b**2) / (2 * d * a), -1, 1))
    second = np.arccos(np.clip((d**2 + b**2 - a**2) / (2 * d * b), -1, 1))
    kite = np.sqrt(np.maximum((a + b - d) * (d + a - b) * (d - a + b) * (d + a + b), 0.0)) / 2
    lens = (a**2 * first + b**2 * second - kite) / np.pi
    return np.where(turn <= abs(a - b), min(a, b) ** 2, np.where(turn >= a + b, 0.0, lens)) / a**2
