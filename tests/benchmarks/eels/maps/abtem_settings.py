"""What `core_loss` and ``abtem_maps.py``, in their two environments, compute alike. Lengths in angstrom, energies in eV, angles in rad."""

CELL, REPEATS, GPTS = 3.905, (2, 2, 4), 96
ENERGY, SEMIANGLE, COLLECTION = 200e3, 21e-3, 30e-3
EPSILON = 10.0
"""Energy of the ejected electron."""
SCAN = 8
"""Probes along each side of a unit cell."""
SHELLS = {"Ti L": (22, 2, 1), "O K": (8, 1, 0)}
"""Z, n and l."""
