"""The true specimen as atoms: crystal with frozen motion, tilt and bend, and the amorphous layers on its faces.

Specimen coordinates: a corner column of the unit cell stands at (0, 0) of the entrance face. A specimen tilt of t moves
the columns by +t z with depth z (it equals a beam tilt of -t).
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.imaging.cif import read_cell


def wavelength(energy: float) -> float:
    """Relativistic wavelength in A of an electron of ``energy`` eV (h c and m c^2 of CODATA 2018)."""
    return 12398.419843320026 / math.sqrt(energy * (2.0 * 510998.95 + energy))


def true_tilt(config: SimulatedConfig, seed: int) -> np.ndarray:
    """The mean tilt [2] of this specimen in rad."""
    if config.tilt is not None:
        return np.asarray(config.tilt, dtype=np.float64)
    return config.tilt_sigma * generator(seed, "tilt").standard_normal(2)


def unit_cell(config: SimulatedConfig) -> Any:
    """ASE atoms of one cell. ValueError naming the file, the problem and the cure for a CIF that cannot be used."""
    import ase

    a = config.lattice
    if config.cif is None:
        if config.structure == "NiO":
            sites = [
                (0, 0, 0),
                (0.5, 0.5, 0),
                (0.5, 0, 0.5),
                (0, 0.5, 0.5),
                (0.5, 0, 0),
                (0, 0.5, 0),
                (0, 0, 0.5),
                (0.5, 0.5, 0.5),
            ]
            return ase.Atoms("Ni4O4", scaled_positions=sites, cell=[a, a, a], pbc=True)
        sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        return ase.Atoms(config.structure, scaled_positions=sites, cell=[a, a, a], pbc=True)
    if not Path(config.cif).is_file():
        raise ValueError(f"CIF {config.cif}: no such file; give the path of a CIF, or a structure")
    atoms = read_cell(Path(config.cif))
    if (
        np.abs(atoms.cell.array - np.diag(np.diag(atoms.cell.array))).max() > 1e-3
        or np.diag(atoms.cell.array).min() <= 1.0
    ):
        raise ValueError(f"CIF {config.cif}: its cell is not orthogonal; give an orthogonal cell with the beam along c")
    return atoms


def depths_in_cells(config: SimulatedConfig) -> np.ndarray:
    """Depths, in whole cells, that cover all thicknesses of this specimen."""
    nominal = config.cells * config.thickness_scale
    shallowest = max(1, math.floor(nominal - config.wedge_swing))
    deepest = max(math.ceil(nominal + config.wedge_swing), shallowest + 1)
    return np.arange(shallowest, deepest + 1)


def cell_depth(config: SimulatedConfig) -> float:
    """Length in A of one cell along the beam."""
    return float(unit_cell(config).cell.lengths()[2]) if config.cif else config.lattice


def crystal(config: SimulatedConfig, seed: int, phonon: int) -> Any:
    """ASE atoms of the crystal with the frozen motion of configuration ``phonon``, bent and tilted, deep enough for
    every depth.
    """
    unit = unit_cell(config)
    nx, ny = repeats(config)
    atoms = unit * (nx, ny, int(depths_in_cells(config)[-1]))
    lengths = atoms.cell.lengths()
    b = np.array([config.thermal_b.get(symbol, 0.5) for symbol in atoms.get_chemical_symbols()])
    moved = np.sqrt(b / (8 * np.pi**2))[:, None] * generator(seed, "phonon", phonon).standard_normal((len(atoms), 3))
    positions = atoms.get_positions()
    # planes into the middle of their slices, so that no thermal motion carries an atom over the faces
    z = positions[:, 2] + cell_depth(config) / (2 * config.slices_per_cell)
    nominal = config.cells * config.thickness_scale * cell_depth(config)
    azimuth = generator(seed, "bend").uniform(0, 2 * np.pi)
    bent = config.bend * np.array([np.cos(azimuth), np.sin(azimuth)])
    lean = true_tilt(config, seed)[None, :] * z[:, None] + 0.5 * bent[None, :] * (z * (z - nominal))[:, None]
    positions[:, :2] = (positions[:, :2] + lean + moved[:, :2]) % lengths[None, :2]
    positions[:, 2] = np.clip(z + moved[:, 2], 1e-3, lengths[2] - 1e-3)
    atoms.set_positions(positions)
    return atoms


def repeats(config: SimulatedConfig) -> tuple[int, int]:
    """How many cells the field is wide: as configured, or (for a CIF) enough for about the same width."""
    if config.cif is None:
        return config.repeats_xy, config.repeats_xy
    width = config.repeats_xy * config.lattice
    lengths = unit_cell(config).cell.lengths()
    return max(1, round(width / lengths[0])), max(1, round(width / lengths[1]))


def amorphous(config: SimulatedConfig, seed: int, thickness: float, extent: np.ndarray, label: str) -> Any:
    """ASE atoms of a layer of amorphous carbon: random places no nearer than 1.35 A to each other, periodic in x and
    y.
    """
    import ase

    rng = generator(seed, "amorphous", label)
    size = np.array([extent[0], extent[1], thickness])
    atom_count = max(1, round(config.amorphous_density * float(np.prod(size))))
    positions = np.empty((0, 3))
    for _ in range(200 * atom_count):
        if len(positions) == atom_count:
            break
        candidate = rng.uniform(0, 1, 3) * size
        separation = np.abs(positions - candidate[None, :])
        separation[:, :2] = np.minimum(separation[:, :2], size[None, :2] - separation[:, :2])
        if len(positions) == 0 or (separation**2).sum(axis=1).min() > 1.35**2:
            positions = np.concatenate([positions, candidate[None, :]])
    return ase.Atoms(f"C{len(positions)}", positions=positions, cell=size, pbc=True)
