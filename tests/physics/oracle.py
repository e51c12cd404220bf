"""abTEM as the oracle: the same potential, the same probe, float64, and abTEM's own multislice."""

import abtem
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.cluster import Octahedron

from twin.specimen import Slices, Specimen, srtio3

ENERGY = 200e3
SEMIANGLE = 21.4e-3


def strontium_titanate() -> tuple[Specimen, tuple[int, int], int]:
    """The default crystal: 3 x 3 x 20 cells on 160 x 160 points, two slices a cell."""
    return srtio3((3, 3, 20)), (160, 160), 40


def silicon_110() -> tuple[Specimen, tuple[int, int], int]:
    """Si [110], about 100 angstrom thick, in a cell with unequal sides and grid steps."""
    a = 5.431
    side = a / np.sqrt(2.0)
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.25, 0.5), (0.5, 0.75, 0)]
    unit = Atoms("Si4", scaled_positions=scaled, cell=[side, a, side], pbc=True)
    expected = bulk("Si", "diamond", a=a, cubic=True)
    assert np.isclose(len(unit) / unit.get_volume(), len(expected) / expected.get_volume())
    unit.translate((0.0, 0.0, side / 4.0))
    return Specimen.from_atoms(unit * (4, 3, 26)), (180, 168), 52


def gold_particle() -> tuple[Specimen, tuple[int, int], int]:
    """A truncated octahedron of 201 gold atoms, turned out of its axes, in vacuum."""
    atoms = Octahedron("Au", 7, cutoff=2)
    atoms.rotate(20.0, "x", center="COP")
    atoms.rotate(33.0, "z", center="COP")
    atoms.center(vacuum=3.0)
    side = float(max(atoms.cell.lengths()[:2]))
    atoms.set_cell([side, side, atoms.cell.lengths()[2]])
    atoms.center()
    return Specimen.from_atoms(Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)), (288, 288), 12


SPECIMENS = {"SrTiO3": strontium_titanate, "Si [110]": silicon_110, "Au particle": gold_particle}


def diffraction_by_abtem(
    slices: Slices, position: tuple[float, float], polar: dict[str, float], semiangle: float = SEMIANGLE
) -> np.ndarray:
    """Share of the incident beam in every beam [ny, nx] (FFT order) of a probe that abTEM makes and takes through ``slices``."""
    with abtem.config.set({"precision": "float64", "device": "cpu", "fft": "numpy"}):
        array = np.ascontiguousarray(np.asarray(slices.array, dtype=np.float64).transpose(0, 2, 1))
        potential = abtem.PotentialArray(array, slice_thickness=slices.spacing, extent=slices.extent)
        probe = abtem.Probe(
            energy=ENERGY,
            semiangle_cutoff=semiangle * 1e3,
            extent=slices.extent,
            gpts=array.shape[1:],
            aberrations=polar,
            soft=False,
        )
        scan = abtem.CustomScan([position])
        before = np.asarray(probe.build(scan, lazy=False).array).reshape(array.shape[1:])
        after = np.asarray(probe.multislice(potential, scan=scan, lazy=False).array).reshape(array.shape[1:])
        total = np.sum(np.abs(np.fft.fft2(before)) ** 2)
        return (np.abs(np.fft.fft2(after)) ** 2 / total).T
