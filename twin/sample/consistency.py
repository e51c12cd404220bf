"""Checks of a specimen: cell, positions, occupancies and distances."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

OVERLAP_DISTANCE = 0.5
"""Distance in angstrom below which two atoms are taken for a mistake unless they share a site: no bond is shorter than 0.74."""


def check_cell(cell: tuple[float, float, float]) -> None:
    """ValueError unless all three lengths are positive and finite."""
    if not np.all(np.isfinite(cell)) or min(cell) <= 0.0:
        raise ValueError(f"the specimen's cell is {cell}; give three positive lengths in angstrom")


def check_positions(positions: np.ndarray) -> None:
    """ValueError for no atoms, or atoms that are nowhere."""
    if len(positions) == 0:
        raise ValueError("the specimen has no atoms; check the structure file")
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions have shape {positions.shape}; give x, y, z for every atom")
    if not np.all(np.isfinite(positions)):
        raise ValueError("the specimen has atoms at positions that are not numbers; check the structure file")


def check_occupancy(occupancy: Float[np.ndarray, " n"], atoms: int) -> None:
    """ValueError unless there is one number from 0 to 1 for every atom."""
    if occupancy.shape != (atoms,):
        raise ValueError(f"occupancy has shape {occupancy.shape}; give one value for each of the {atoms} atoms")
    if not np.all((occupancy >= 0.0) & (occupancy <= 1.0)):
        invalid = occupancy[~((occupancy >= 0.0) & (occupancy <= 1.0))][0]
        raise ValueError(f"occupancy has {invalid}; a site is filled from 0 (a vacancy) to 1")


def check_distances(
    positions: Float[np.ndarray, "atoms 3"],
    cell: tuple[float, float, float],
    occupancy: Float[np.ndarray, " atoms"],
    symbols: tuple[str, ...],
) -> None:
    """ValueError for atoms closer than CLOSEST in the periodic cell, unless their occupancies say that they share one site.

    A neighbour search in a tree: a tenth of a second for 1e5 atoms.
    """
    size = np.asarray(cell)
    # the tree wants 0 <= position < size, which rounding may break
    wrapped = positions % size[None, :]
    wrapped = np.where(wrapped >= size[None, :], 0.0, wrapped)
    reach = min(OVERLAP_DISTANCE, 0.49 * float(size.min()))
    pairs = KDTree(wrapped, boxsize=size).query_pairs(reach, output_type="ndarray")
    if len(pairs) == 0:
        return
    difference = wrapped[pairs[:, 0]] - wrapped[pairs[:, 1]]
    distance = np.linalg.norm(difference - np.round(difference / size) * size, axis=1)
    check_pairs(pairs[:, 0], pairs[:, 1], distance, occupancy, symbols)


def check_pairs(
    i: np.ndarray, j: np.ndarray, distance: np.ndarray, occupancy: Float[np.ndarray, " atoms"], symbols: tuple[str, ...]
) -> None:
    """ValueError for pairs ``i``, ``j`` of atoms at a ``distance`` (angstrom) below CLOSEST, unless their occupancies say that they share one site."""
    load = occupancy.copy()
    np.add.at(load, i, occupancy[j])
    np.add.at(load, j, occupancy[i])
    close = np.flatnonzero((occupancy[i] > 0.0) & (occupancy[j] > 0.0) & (np.maximum(load[i], load[j]) > 1.0 + 1e-6))
    if len(close):
        first, second, gap = int(i[close[0]]), int(j[close[0]]), float(distance[close[0]])
        total = float(max(load[first], load[second]))
        raise ValueError(
            f"atoms {first} ({symbols[first]}) and {second} ({symbols[second]}) are {gap:.3f} angstrom apart and overlap: their occupancies sum to "
            f"{total:g} ({len(close)} pairs closer than {OVERLAP_DISTANCE}); remove duplicates, or give atoms of one site occupancies that sum to at most 1"
        )
