"""Diffraction patterns of crystals: spots and small disks, their reciprocal lattice, and which reflections they are."""
