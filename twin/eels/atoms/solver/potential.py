"""A central potential and the scalar-relativistic radial equation in it. Hartree atomic units.

The equation (Koelling and Harmon, J. Phys. C 10 (1977) 3107; Cowan and Griffin, J. Opt. Soc. Am. 66 (1976) 1010) is Dirac's without its spin-orbit term:
-div (1 / 2M) grad phi + V phi = E phi with M = 1 + (E - V) / 2 c^2. With phi = P Y_lm / r and P = sqrt(M) u it has no first derivative:

    u'' = G u,   G = l (l + 1) / r^2 + 2 M (V - E) - M' / (M r) + 3/4 (M' / M)^2 - M'' / 2 M

Its states with the small components grad phi / (2 M c) are exactly orthogonal, as M depends on E linearly.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

LIGHT = 137.035999177
"""Speed of light in atomic units (CODATA 2022)."""
HARTREE = 27.211386245981
"""Electronvolts in a hartree (CODATA 2022)."""
BOHR = 0.529177210544
"""Angstroms in a bohr (CODATA 2022)."""


class Potential(NamedTuple):
    """V (hartree) of an electron on ``radii`` (bohr): ``product`` r V, its first and second derivative with respect to ln r, speed of ``light``."""

    radii: np.ndarray
    product: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    light: float

    @property
    def values(self) -> np.ndarray:
        """V on the radii."""
        return self.product / self.radii

    def mass(self, energy: float | np.ndarray) -> np.ndarray:
        """M on the radii; ``energy`` may have leading axes."""
        return 1 + (energy - self.values) / (2 * self.light**2)

    def curvature(self, energy: float | np.ndarray) -> np.ndarray:
        """G without its centrifugal term, which is l (l + 1) / radii^2."""
        r = self.radii
        mass = self.mass(energy)
        first = -(self.slope - self.product) / r**2 / (2 * self.light**2) / mass
        second = -(self.bend - 3 * self.slope + 2 * self.product) / r**3 / (2 * self.light**2) / mass
        return 2 * mass * (self.values - energy) - first / r + 0.75 * first**2 - 0.5 * second

    def within(self, count: int) -> "Potential":
        """The same on the first ``count`` radii."""
        return Potential(self.radii[:count], self.product[:count], self.slope[:count], self.bend[:count], self.light)

    def on(self, radii: np.ndarray) -> "Potential":
        """The same potential on other radii; -1 / r beyond its own."""
        own, x = np.log(self.radii), np.log(radii)
        spline = CubicSpline(own, self.product)
        inside = x < own[-1]
        x = np.minimum(x, own[-1])
        product, slope, bend = (np.where(inside, spline(x, order), -1.0 if order == 0 else 0.0) for order in range(3))
        return Potential(radii, product, slope, bend, self.light)


def on_grid(radii: np.ndarray, product: np.ndarray, light: float) -> Potential:
    """The potential r V = ``product`` on radii with equal steps in ln r."""
    step = np.log(radii[1] / radii[0])
    slope = np.gradient(product, step, edge_order=2)
    return Potential(radii, product, slope, np.gradient(slope, step, edge_order=2), light)
