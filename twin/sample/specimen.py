"""Specimen: atoms in an orthogonal cell, their thermal motion and occupancy, and the potential slices they make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Complex, Float

from twin.grid import frequencies, grid
from twin.optics.electrons import wavelength
from twin.sample import consistency, slicing
from twin.sample.potential.absorption import absorption
from twin.sample.potential.factors import factors
from twin.sample.potential.finite_projection import tails
from twin.sample.potential.projected import Plan, potential
from twin.sample.structures import read_structure, srtio3_unit
from twin.sample.thermal import U2, U2_OTHER, normals, u2_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "U2",
    "U2_OTHER",
    "Slices",
    "Specimen",
    "check_probe_fits",
    "probe_diameter",
    "read_structure",
    "srtio3",
    "srtio3_unit",
]

PROJECTIONS = ("infinite", "finite")
THERMAL = ("none", "debye-waller", "absorptive")


class Slices(NamedTuple):
    """Projected potential: ``array`` [slices, ny, nx] V angstrom, ``spacing`` of slices and ``extent`` (x, y) in angstrom.

    ``damped``: thermal motion is in it as Debye-Waller factors, so that diffuse scattering is missing and signals at high angles are
    not to be taken from it. ``absorptive``: ``array`` is complex, its imaginary part what diffuse scattering takes out of the wave.
    """

    array: Float[Array, "slices y x"] | Complex[Array, "slices y x"]
    spacing: float
    extent: tuple[float, float]
    damped: bool = False
    absorptive: bool = False


class Specimen(eqx.Module):
    """Atoms in an orthogonal periodic cell. ``positions`` [n, 3] and ``cell`` (x, y, z) in angstrom, ``u2`` [n] in angstrom^2, ``occupancy`` [n]
    from 0 (a vacancy) to 1; atoms on one site share it with occupancies that add up to at most 1."""

    positions: np.ndarray
    u2: np.ndarray
    symbols: tuple[str, ...] = eqx.field(static=True)
    cell: tuple[float, float, float] = eqx.field(static=True)
    occupancy: np.ndarray

    def __init__(
        self,
        positions: np.ndarray,
        u2: np.ndarray,
        symbols: tuple[str, ...],
        cell: tuple[float, float, float],
        occupancy: np.ndarray | None = None,
    ):
        """ValueError for no atoms, NaN, an occupancy outside 0 to 1, a negative u2, and atoms that overlap."""
        self.positions = np.asarray(positions, dtype=np.float64)
        self.symbols = tuple(symbols)
        self.cell = (float(cell[0]), float(cell[1]), float(cell[2]))
        consistency.check_cell(self.cell)
        consistency.check_positions(self.positions)
        if len(self.symbols) != len(self.positions):
            raise ValueError(
                f"{len(self.symbols)} symbols for {len(self.positions)} positions; give one for every atom"
            )
        self.u2 = u2_of(self.symbols, np.asarray(u2, dtype=np.float64))
        filled = np.ones(len(self.symbols)) if occupancy is None else np.asarray(occupancy, dtype=np.float64)
        consistency.check_occupancy(filled, len(self.symbols))
        self.occupancy = filled
        consistency.check_distances(self.positions, self.cell, self.occupancy, self.symbols)

    @classmethod
    def from_atoms(
        cls,
        atoms: "Atoms",
        u2: Mapping[str, float] | np.ndarray | None = None,
        occupancy: np.ndarray | None = None,
    ) -> "Specimen":
        """From ASE atoms. ``u2`` gives <u^2> along one axis per element or per atom in angstrom^2 (default: the atoms' array "u2" where it has numbers,
        else U2); ``occupancy`` per atom (default: the atoms' array "occupancy" if they have one, else 1). ValueError for a cell that will not do."""
        matrix = np.asarray(atoms.cell.array, dtype=np.float64)
        lengths = np.linalg.norm(matrix, axis=1)
        consistency.check_positions(np.asarray(atoms.get_positions(), dtype=np.float64))
        if not np.all(lengths > 0.0) or not np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-6 * lengths.max()):
            raise ValueError(
                f"the specimen's cell {matrix.round(3).tolist()} is not orthogonal with axes along x, y, z; "
                "make it so with twin.sample.orthogonal (orthogonal, or zone_axis)"
            )
        symbols = tuple(atoms.get_chemical_symbols())
        if occupancy is None and "occupancy" in atoms.arrays:
            occupancy = np.asarray(atoms.arrays["occupancy"], dtype=np.float64)
        if u2 is None and "u2" in atoms.arrays:
            given_u2 = np.asarray(atoms.arrays["u2"], dtype=np.float64)
            u2 = np.where(np.isnan(given_u2), u2_of(symbols, None), given_u2)
        cell = (float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[2, 2]))
        return cls(atoms.get_positions(), u2_of(symbols, u2), symbols, cell, occupancy)

    @property
    def extent(self) -> tuple[float, float]:
        """Lateral size (x, y) of the cell in angstrom."""
        return self.cell[0], self.cell[1]

    @property
    def thickness(self) -> float:
        """Depth of the cell in angstrom."""
        return self.cell[2]

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements there are, sorted."""
        return tuple(sorted(set(self.symbols)))

    def kinds(self) -> np.ndarray:
        """Number of every atom's element among `elements`, [n]."""
        return np.searchsorted(np.array(self.elements), np.array(self.symbols))

    def displacements(self, seed: int) -> np.ndarray:
        """One frozen configuration of independent thermal displacements [n, 3] in angstrom, fixed by ``seed``.

        For derivatives in u2 see `twin.sample.thermal.displaced`.
        """
        return normals(seed, len(self.symbols)) * np.sqrt(self.u2)[:, None]

    def members(self, slices: int, displacements: np.ndarray | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Indices of atoms [slices, elements, most] (padded with -1) in each slice, by displaced z, and the elements' symbols."""
        z = self.positions[:, 2] + (0.0 if displacements is None else displacements[:, 2])
        slice_index = slicing.slice_of(z, self.cell[2], slices)
        return slicing.members(slice_index, self.kinds(), slices, len(self.elements)), self.elements

    def plan(
        self,
        gpts: int | tuple[int, int],
        slices: int,
        displacements: np.ndarray | None = None,
        dtype: Any = np.float32,
        *,
        parametrization: str = "lobato",
        projection: str = "infinite",
        periodic: bool = True,
        thermal: str = "none",
        energy: float | None = None,
        highest: tuple[float, float] | None = None,
    ) -> Plan:
        """Data for `twin.sample.potential.projected.potential`, which makes slices as a differentiable function of positions, occupancy and u2.

        ``slices`` slices on a grid ``gpts`` (ny, nx), for atoms moved by ``displacements`` [n, 3] angstrom. ``projection`` "infinite" puts every
        atom whole into one slice, "finite" integrates over each slice; ``periodic``: whether the cell repeats along z (if not, the part of
        an atom beyond the faces stays in the outer slices). ``thermal`` "debye-waller" damps factors by u2, "absorptive" adds the
        imaginary potential of diffuse scattering for electrons of ``energy`` eV, whole in each atom's slice. ``highest`` frequencies (x, y) in
        1/angstrom limit the potential, as a grid with that band does (infinite projection only). ValueError for
        impossible values.
        """
        shape = grid(gpts)
        if slices < 1:
            raise ValueError(f"{slices} slices; give at least one")
        if displacements is not None and np.shape(displacements) != self.positions.shape:
            raise ValueError(
                f"displacements have shape {np.shape(displacements)}, but the specimen needs {self.positions.shape}"
            )
        if projection not in PROJECTIONS or thermal not in THERMAL:
            raise ValueError(
                f"projection is {projection!r} and thermal {thermal!r}; give 'infinite' or 'finite', and 'none', 'debye-waller' or 'absorptive'"
            )
        if thermal != "none" and displacements is not None:
            raise ValueError(f"displacements and thermal={thermal!r} count thermal motion twice; leave one of them out")
        if thermal == "absorptive" and energy is None:
            raise ValueError("thermal='absorptive' depends on the beam; give energy in eV")
        positions = self.positions if displacements is None else self.positions + np.asarray(displacements, np.float64)
        if not np.all(np.isfinite(positions)):
            raise ValueError("displacements hold values that are not numbers; give angstroms")
        kind, count = self.kinds(), len(self.elements)
        slice_index = slicing.slice_of(positions[:, 2], self.cell[2], slices, periodic)
        members = slicing.members(slice_index, kind, slices, count)
        table = factors(self.elements, shape, self.extent, parametrization).astype(dtype)
        if highest is not None:
            if projection != "infinite" or thermal == "absorptive":
                raise ValueError("highest is for infinite projection without absorption; leave it out, or change them")
            kx, ky = frequencies(shape, self.extent)
            inside = [np.abs(k) <= limit * (1.0 + 1e-9) for k, limit in zip((kx, ky), highest, strict=True)]
            table = table * (inside[0][None, :] & inside[1][:, None])[None]
        plan = Plan(members, table, self.extent, self.cell[2] / slices, thermal != "none")
        if projection == "finite":
            expansion = tails(self.elements, shape, self.extent, parametrization)
            spectra = expansion.tables.astype(dtype)
            if thermal != "none":
                spectra = np.concatenate([table[:, None], spectra], axis=1)
            near = slicing.neighbours(
                positions[:, 2], slice_index, kind, self.cell[2], slices, count, expansion.reach, periodic
            )
            plan = replace(plan, tail_spectra=spectra, basis=expansion.basis, neighbours=near)
        if thermal == "absorptive" and energy is not None:
            ranges = tuple(
                (float(element_u2.min()), float(element_u2.max()))
                for element_u2 in (self.u2[kind == e] for e in range(count))
            )
            absorptive = absorption(self.elements, ranges, shape, self.extent, energy, parametrization)
            absorbed = absorptive.tables.astype(dtype)
            plan = replace(plan, absorbed=absorbed, middle=absorptive.middle[kind], half=absorptive.half[kind])
        return plan

    def slices(
        self,
        gpts: int | tuple[int, int],
        slices: int,
        displacements: np.ndarray | None = None,
        dtype: Any = np.float32,
        *,
        parametrization: str = "lobato",
        projection: str = "infinite",
        periodic: bool = True,
        thermal: str = "none",
        energy: float | None = None,
        highest: tuple[float, float] | None = None,
    ) -> Slices:
        """Potential slices on a grid ``gpts`` (ny, nx), ``slices`` of them, with optional ``displacements`` [n, 3] in angstrom; see `plan`."""
        plan = self.plan(
            gpts,
            slices,
            displacements,
            dtype,
            parametrization=parametrization,
            projection=projection,
            periodic=periodic,
            thermal=thermal,
            energy=energy,
            highest=highest,
        )
        positions = self.positions if displacements is None else self.positions + np.asarray(displacements, np.float64)
        array = potential(plan, positions, self.occupancy, self.u2)
        return Slices(array, plan.spacing, plan.extent, plan.damped, plan.absorbed is not None)


def srtio3(repeats: tuple[int, int, int] = (3, 3, 20), a: float = 3.905) -> Specimen:
    """SrTiO3 [001] with its atomic planes in the middles of slices of a/2, ``repeats`` cells in x, y, z."""
    unit = srtio3_unit(a)
    unit.translate((0.0, 0.0, a / 4.0))
    return Specimen.from_atoms(unit * repeats)


def probe_diameter(energy: float, semiangle: float, C10: float = 0.0, thickness: float = 0.0) -> float:
    """Diameter in angstrom that a probe needs: four diffraction radii (0.61 lambda/alpha) and its geometric cone.

    ``C10`` is the largest defocus in angstrom, ``thickness`` of the specimen in angstrom; the cone is widest over |C10| or through the specimen.
    """
    return 4.0 * 0.61 * wavelength(energy) / semiangle + 2.0 * semiangle * max(abs(C10), abs(thickness - abs(C10)))


def check_probe_fits(
    extent: tuple[float, float], energy: float, semiangle: float, C10: float = 0.0, thickness: float = 0.0
) -> None:
    """ValueError if a probe is wider than the periodic cell ``extent`` (x, y) in angstrom, so that it would overlap its periodic images."""
    needed = probe_diameter(energy, semiangle, C10, thickness)
    if min(extent) < needed:
        raise ValueError(
            f"the specimen cell of {extent[0]:.2f} x {extent[1]:.2f} angstrom is too small for a probe {needed:.2f} angstrom wide "
            f"({semiangle * 1e3:.3g} mrad, C10 up to {abs(C10):.0f} angstrom): it would wrap around; "
            f"repeat the cell to at least {needed:.2f} angstrom, or bring the defocus nearer to zero"
        )
