"""Orthogonal cells of ASE structures: the least strained cell, and the smallest cell along a zone axis."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from ase import Atoms

ALIGNMENT_TOLERANCE = math.radians(0.5)
"""An axis within this angle of a wanted direction lies along it."""


class Cell(NamedTuple):
    """An orthogonal cell made from another: ``atoms``, the ``matrix`` whose rows are its axes in those of the given cell (integers, or their parts
    where that cell is centred), and the largest relative change of length in any direction, ``strain``, that made it orthogonal (0.01 is
    1 %); its volume per atom is unchanged."""

    atoms: "Atoms"
    matrix: np.ndarray
    strain: float

    @property
    def directions(self) -> tuple[tuple[int, int, int], ...]:
        """Crystal directions [u v w] of x, y and z in the given cell, as the smallest integers."""
        return tuple(_whole(row) for row in self.matrix)

    @property
    def described(self) -> str:
        """``4.080 x 4.080 x 4.080 Å, x along [1 0 0], y along [0 1 0], z along [0 0 1]``."""
        lengths = " x ".join(f"{length:.3f}" for length in np.diag(np.asarray(self.atoms.cell.array)))
        axes = ", ".join(
            f"{axis} along {bracket(direction)}" for axis, direction in zip("xyz", self.directions, strict=True)
        )
        return f"{lengths} Å, {axes}"


def bracket(uvw: tuple[int, int, int]) -> str:
    """``[1 -1 0]``."""
    return "[" + " ".join(str(index) for index in uvw) + "]"


def oriented(atoms: "Atoms", uvw: tuple[int, int, int], x: tuple[int, int, int] | None = None) -> Cell:
    """The cell of a structure seen along [``uvw``]: its own axes where they are orthogonal and z is one of them, else the smallest of `zone_axis`.

    So a face-centred cube along [0 0 1] stays the cube, x along a, and is not the half as large cell with x along [1 1 0]. ``x`` asks for another direction
    to the right; one that is an axis of the given cell keeps it. Of equally small cells the one with x along a is taken. ValueError as `zone_axis`.
    """
    cell = _vectors(atoms)
    own_axes = _own_axes(cell, uvw, x)
    if own_axes is not None:
        return _supercell(atoms, cell, (own_axes, float(_strains((own_axes @ cell)[None])[0])), 0.05, 1)
    default = zone_axis(atoms, uvw, x)
    if x is not None or not (uvw[1] or uvw[2]) or default.directions[0] == (1, 0, 0):
        return default
    along_x = zone_axis(atoms, uvw, (1, 0, 0))
    small = along_x.atoms.get_volume() < 1.001 * default.atoms.get_volume() and along_x.strain < default.strain + 1e-6
    return along_x if small else default


def _own_axes(cell: np.ndarray, uvw: tuple[int, int, int], x: tuple[int, int, int] | None) -> np.ndarray | None:
    """The rows that put axes of the cell along x, y, z; None if they are not orthogonal to 1e-3, or another direction is requested."""
    lengths = np.linalg.norm(cell, axis=1)
    cosines = np.abs((cell @ cell.T) / np.outer(lengths, lengths) - np.eye(3))
    z, right = _axis_of(uvw), None if x is None else _axis_of(x)
    if cosines.max() > 1e-3 or z is None or (x is not None and (right is None or right[0] == z[0])):
        return None
    if right is None:
        right = (0 if z[0] != 0 else 1, 1)
    matrix = np.zeros((3, 3))
    matrix[2, z[0]], matrix[0, right[0]] = z[1], right[1]
    # y completes a right-handed set in space, whichever hand the given cell has
    matrix[1, 3 - z[0] - right[0]] = 1.0
    if np.linalg.det(matrix @ cell) < 0.0:
        matrix[1] *= -1.0
    return matrix + 0.0  # no -0


def _axis_of(uvw: tuple[int, int, int]) -> tuple[int, int] | None:
    """(axis, sign) of a direction along one of the cell's axes; None for any other."""
    along = np.flatnonzero(uvw)
    return (int(along[0]), 1 if uvw[int(along[0])] > 0 else -1) if len(along) == 1 else None


def _whole(row: np.ndarray) -> tuple[int, int, int]:
    """A vector with rational components as the smallest integers along it."""
    scaled = next(
        (row * times for times in range(1, 49) if np.abs(row * times - np.round(row * times)).max() < 1e-4 * times), row
    )
    integers = [round(float(index)) for index in scaled]
    common = math.gcd(*integers) or 1
    return (integers[0] // common, integers[1] // common, integers[2] // common)


def orthogonal(atoms: "Atoms", bound: int = 4, strain: float = 1e-3, limit: float = 0.05) -> Cell:
    """The smallest orthogonal supercell strained no more than ``strain``, else the one strained least, with all three axes free to choose.

    Integer combinations of the cell vectors up to ``bound`` are tried. Of equal cells the one is taken whose z is nearest to c and x nearest
    to a. ValueError if the best is strained more than ``limit``, or the cell has no volume.
    """
    cell = _vectors(atoms)
    axes = _combinations(bound)
    lengths = np.linalg.norm(axes @ cell, axis=1)
    shortest = axes[np.argsort(lengths, kind="stable")][:80]
    lean = np.abs((shortest @ cell) @ cell[2]) / np.linalg.norm(shortest @ cell, axis=1) / np.linalg.norm(cell[2])
    best, chosen = (math.inf, math.inf, math.inf), None
    for axis, along in zip(shortest, lean, strict=True):
        candidate = _cell_across(cell, axis if (axis @ cell) @ cell[2] >= -1e-9 else -axis, axes, strain, cell[0])
        if candidate is None:
            continue
        score = (*_merit(candidate[1], _volume(candidate[0], cell), strain), -round(float(along), 6))
        if score < best:
            best, chosen = score, candidate
    return _supercell(atoms, cell, chosen, limit, bound)


def zone_axis(
    atoms: "Atoms",
    uvw: tuple[int, int, int],
    x: tuple[int, int, int] | None = None,
    bound: int = 6,
    strain: float = 1e-3,
    limit: float = 0.05,
) -> Cell:
    """An orthogonal supercell seen along the lattice direction [``uvw``] of the given cell, which becomes z.

    Of the cells strained no more than ``strain`` the smallest is taken, else the one strained least; with ``x`` = [u, v, w], of these one with an
    axis along the projection of that direction, where there is one. Of the in-plane axes (integer combinations of the primitive cell's
    vectors up to ``bound``) the one nearest to ``x``, or else to a, becomes x. ValueError if it is strained more than ``limit``, or [uvw] is
    [000].
    """
    cell = _vectors(atoms)
    if not any(uvw) or (x is not None and not any(x)):
        raise ValueError(f"zone axis {uvw} with x along {x}: [0 0 0] is no direction; give integers u, v, w")
    basis, unit = primitive(atoms)
    along = np.rint(np.asarray(uvw, dtype=np.float64) @ np.linalg.inv(basis)).astype(np.int64)
    axis = along // math.gcd(*(int(index) for index in along))
    towards = np.asarray((1, 0, 0) if x is None else x, dtype=np.float64) @ cell
    lattice = basis @ cell
    best = _cell_across(lattice, axis, _combinations(bound), strain, towards, x is not None)
    oriented_cell = _supercell(unit, lattice, best, limit, bound)
    return oriented_cell._replace(matrix=(oriented_cell.matrix @ basis).round(9))


def primitive(atoms: "Atoms", tolerance: float = 0.01) -> tuple[np.ndarray, "Atoms"]:
    """The smallest cell that repeats, for atoms that agree within ``tolerance`` angstrom: its vectors [3, 3] in those of the given cell, and its atoms.

    Translations are sought among the differences of atoms of the rarest element; the shortest three independent ones are a basis.
    """
    cell = _vectors(atoms)
    scaled = atoms.get_scaled_positions(wrap=True) % 1.0
    identity = np.round(np.stack([atoms.numbers, atoms.arrays.get("occupancy", np.ones(len(atoms)))], axis=1), 6)
    kinds, kind, counts = np.unique(identity, axis=0, return_inverse=True, return_counts=True)
    same = np.flatnonzero(kind.ravel() == int(np.argmin(counts)))
    near = tolerance / float(np.linalg.svd(cell, compute_uv=False)[-1])
    trees = [KDTree(scaled[kind.ravel() == number], boxsize=1.0) for number in range(len(kinds))]
    shifts = []
    for shift in scaled[same] - scaled[same[0]][None, :]:
        shifted = (scaled + shift[None, :]) % 1.0
        shifted = np.where(shifted >= 1.0, 0.0, shifted)
        gaps = [tree.query(shifted[kind.ravel() == number])[0].max() for number, tree in enumerate(trees)]
        if max(gaps) <= near:
            shifts.append(shift)
    if len(shifts) == 1:
        return np.eye(3), atoms
    side = np.arange(-1, 2)
    translations = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    candidates = (np.stack(shifts)[:, None, :] + translations[None, :, :]).reshape(-1, 3)
    candidates = candidates[np.argsort(np.linalg.norm(candidates @ cell, axis=1).round(6), kind="stable")]
    chosen: list[np.ndarray] = []
    for vector in candidates:
        if np.linalg.matrix_rank(np.stack([*chosen, vector]) @ cell, tol=1e-3) == len(chosen) + 1:
            chosen.append(vector)
        if len(chosen) == 3:
            break
    basis = np.stack(chosen)
    if abs(abs(float(np.linalg.det(basis))) * len(shifts) - 1.0) > 1e-3:
        return np.eye(3), atoms
    unit = atoms.copy()
    unit.set_cell(basis @ cell, scale_atoms=False)
    fractions = unit.get_scaled_positions(wrap=True) % 1.0
    # one atom of each set that the translations make one
    pairs = KDTree(np.where(fractions >= 1.0, 0.0, fractions), boxsize=1.0).query_pairs(
        tolerance / float(np.linalg.svd(basis @ cell, compute_uv=False)[-1]), output_type="ndarray"
    )
    same_kind = kind.ravel()[pairs[:, 0]] == kind.ravel()[pairs[:, 1]]
    selected = np.setdiff1d(np.arange(len(atoms)), pairs[same_kind].max(axis=1))
    return (basis, unit[selected]) if len(selected) * len(shifts) == len(atoms) else (np.eye(3), atoms)


def _vectors(atoms: "Atoms") -> np.ndarray:
    """Cell vectors as rows; ValueError unless they span a volume."""
    cell = np.asarray(atoms.cell.array, dtype=np.float64)
    if len(atoms) == 0 or not np.all(np.isfinite(cell)) or abs(np.linalg.det(cell)) < 1e-3:
        raise ValueError(
            f"{len(atoms)} atoms in a cell {cell.round(3).tolist()}: an orthogonal cell needs atoms and three vectors that span a volume; "
            "set the cell (for a sheet or a particle: atoms.center(vacuum=5))"
        )
    return cell


def _combinations(bound: int) -> np.ndarray:
    """Integer vectors [n, 3] up to ``bound`` without a common divisor, one of each pair of opposites."""
    if bound < 1:
        raise ValueError(f"bound is {bound}; give at least 1")
    side = np.arange(-bound, bound + 1)
    combinations = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    first = np.where(
        combinations[:, 0] != 0,
        combinations[:, 0],
        np.where(combinations[:, 1] != 0, combinations[:, 1], combinations[:, 2]),
    )
    return combinations[(first > 0) & (np.gcd.reduce(combinations, axis=1) == 1)]


def _volume(matrix: np.ndarray, cell: np.ndarray) -> float:
    return abs(float(np.linalg.det(matrix @ cell)))


def _merit(strain: float, volume: float, allowed: float) -> tuple[float, float]:
    """Sort key, smaller is better: first the strain in excess of the allowed one, then the volume."""
    return (float(_excess(np.array([strain]), allowed)[0]), round(volume, 4))


def _excess(strain: np.ndarray, allowed: float) -> np.ndarray:
    """Excess strain in steps of the allowed strain: smaller differences do not justify a larger cell."""
    return np.floor(np.maximum(strain - allowed, 0.0) / max(allowed, 1e-7) + 1.0 - 1e-9)


def _cell_across(
    cell: np.ndarray, axis: np.ndarray, axes: np.ndarray, allowed: float, towards: np.ndarray, aligned: bool = False
) -> tuple[np.ndarray, float] | None:
    """The best two of ``axes`` to go with ``axis`` as z: rows of a right-handed integer matrix [3, 3], and its strain; None if there are none."""
    beam = axis @ cell
    length = np.linalg.norm(beam)
    lattice = axes @ cell
    sizes = np.linalg.norm(lattice, axis=1)
    lean = np.abs(lattice @ beam) / (sizes * length)
    # the straightest, and of these the shortest: among them the best pair will be
    order = np.lexsort((sizes, np.maximum(lean, allowed).round(6)))[:120]
    order = order[lean[order] < 0.3]
    if len(order) < 2:
        return None
    i, j = (grid.ravel() for grid in np.meshgrid(order, order, indexing="ij"))
    selected = (i < j) & (np.abs(np.sum(lattice[i] * lattice[j], axis=1)) < 0.3 * sizes[i] * sizes[j])
    i, j = i[selected], j[selected]
    if len(i) == 0:
        return None
    basis = np.stack([lattice[i], lattice[j], np.broadcast_to(beam, (len(i), 3))], axis=1)
    basis[np.linalg.det(basis) < 0.0, 0] *= -1.0
    strains = _strains(basis)
    volumes = np.abs(np.linalg.det(basis))
    direction = towards - (towards @ beam) / length**2 * beam
    direction = direction / max(float(np.linalg.norm(direction)), 1e-9)
    along = (lattice @ direction) / sizes
    astray = (
        np.maximum(np.abs(along[i]), np.abs(along[j])) < math.cos(ALIGNMENT_TOLERANCE) if aligned else np.zeros(len(i))
    )
    best = int(np.lexsort((sizes[i] + sizes[j], volumes.round(4), astray, _excess(strains, allowed)))[0])
    pair = [int(i[best]), int(j[best])]
    # x is the axis, of either sign, nearest to the direction towards
    if abs(along[pair[1]]) > abs(along[pair[0]]) + 1e-9:
        pair = pair[::-1]
    first = axes[pair[0]] if along[pair[0]] >= -1e-9 else -axes[pair[0]]
    matrix = np.stack([first, axes[pair[1]], axis])
    if np.linalg.det(matrix @ cell) < 0.0:
        matrix[1] *= -1
    return matrix, float(strains[best])


def _strains(basis: np.ndarray) -> np.ndarray:
    """Largest principal strain that takes each set of rows [n, 3, 3] to an orthogonal set of the same volume and ratios of lengths."""
    target = _targets(basis)
    stretch = np.linalg.svd(np.linalg.solve(basis, target[:, :, None] * np.eye(3)[None]), compute_uv=False)
    return np.abs(stretch - 1.0).max(axis=1)


def _targets(basis: np.ndarray) -> np.ndarray:
    """Lengths [n, 3] of the orthogonal axes: those of the rows, scaled by one factor to keep the volume."""
    lengths = np.linalg.norm(basis, axis=2)
    scale = (np.abs(np.linalg.det(basis)) / np.prod(lengths, axis=1)) ** (1.0 / 3.0)
    return lengths * scale[:, None]


def _supercell(
    atoms: "Atoms", cell: np.ndarray, best: tuple[np.ndarray, float] | None, limit: float, bound: int
) -> Cell:
    from ase.build import make_supercell

    if best is None or best[1] > limit:
        reason = "none was found" if best is None else f"the best is strained by {best[1] * 100:.1f} %"
        raise ValueError(
            f"no orthogonal cell of the structure with axes up to {bound} cell vectors: {reason}; raise bound (longer axes fit better) or limit"
        )
    matrix, strain = best
    sign = 1 if np.linalg.det(matrix) > 0.0 else -1
    supercell = make_supercell(atoms, sign * matrix)
    if sign < 0:
        # a left-handed cell: the same lattice, with its axes turned back
        supercell.set_cell(matrix @ cell, scale_atoms=False)
    supercell.set_cell(np.diag(_targets((matrix @ cell)[None])[0]), scale_atoms=True)
    supercell.set_pbc(True)
    supercell.wrap(eps=1e-6)
    return Cell(supercell, matrix, strain)
