"""One electron and a nucleus."""

import numpy as np

from twin.eels.atoms.solver.bound import grid
from twin.eels.atoms.solver.potential import Potential, on_grid

SLOW = 1e6
"""A speed of light that leaves no relativity."""


def nucleus(charge: int, light: float) -> Potential:
    """The potential -Z / r."""
    radii = grid(charge, 120.0)
    return on_grid(radii, np.full_like(radii, -float(charge)), light)
