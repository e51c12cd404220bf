"""Rings of a polycrystal of known structure: spatial frequencies of its lines and kinematic intensities."""

from typing import Any, NamedTuple

import numpy as np

POTENTIAL_EXPONENT = 0.8
"""Exponent of the atomic number in what an atom scatters to small angles."""
SHARE = 0.02
"""Intensity, as a share of the strongest line's, below which a line is left out."""
FALL = 0.5
"""Atomic scattering and vibrations let amplitudes fall off as exp(-FALL g^2), g in 1/angstrom: about right for elements from carbon to gold."""
SAME = 3e-3
"""Relative difference of frequencies within which lines are one ring."""


class Lines(NamedTuple):
    """``frequencies`` [n] in 1/angstrom, rising, and ``intensities`` [n], 1 for the strongest."""

    frequencies: np.ndarray
    intensities: np.ndarray


def powder_lines(atoms: Any, highest: float = 1.2) -> Lines:
    """Lines of a unit cell (ASE's Atoms) up to ``highest`` (1/angstrom). Integrated ring intensities: sum of |F|^2 over reflections, over the ring's length."""
    cell = np.asarray(atoms.cell.array, float)
    reciprocal = np.linalg.inv(cell).T
    reach = np.ceil(highest * np.linalg.norm(cell, axis=1)).astype(int)
    grid = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")
    indices = np.stack([axis.ravel() for axis in grid], axis=1)
    lengths = np.linalg.norm(indices @ reciprocal, axis=1)
    kept = (lengths > 1e-6) & (lengths <= highest)
    indices, lengths = indices[kept], lengths[kept]
    shares = np.asarray(getattr(atoms, "arrays", {}).get("occupancy", np.ones(len(atoms.numbers))), float)
    weights = shares * np.asarray(atoms.numbers, float) ** POTENTIAL_EXPONENT
    waves = np.exp(-2j * np.pi * indices @ np.asarray(atoms.get_scaled_positions(), float).T)
    powers = np.abs(waves @ weights) ** 2 * np.exp(-2.0 * FALL * lengths**2) / lengths
    order = np.argsort(lengths)
    lengths, powers = lengths[order], powers[order]
    # a new ring begins where the frequency steps
    ring = np.concatenate([[0], np.cumsum(np.diff(lengths) > SAME * lengths[1:])])
    total = np.bincount(ring, powers)
    mean = np.bincount(ring, powers * lengths) / np.maximum(total, 1e-300)
    strong = total > SHARE * total.max()
    return Lines(mean[strong], total[strong] / total.max())
