"""abTEM as the oracle: the same potential, the same probe, float64, and abTEM's own multislice."""

from typing import Any

import abtem
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.cluster import Octahedron

from twin.grid import band_limit, frequencies
from twin.optics.aberrations import coefficients, from_polar
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe
from twin.sample.specimen import Slices, Specimen, srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission

ENERGY = 200e3
SEMIANGLE = 21.4e-3
POLAR = {"C10": 40.0, "C12": 25.0, "phi12": 0.4, "C21": 500.0, "phi21": -1.1, "C30": 2e4}
"""Aberrations of the compared probes, in angstrom and radian, as abTEM names them."""


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
        waves = probe.multislice(potential, scan=scan, lazy=False)
        assert isinstance(waves, abtem.Waves)
        after = np.asarray(waves.array).reshape(array.shape[1:])
        total = np.sum(np.abs(np.fft.fft2(before)) ** 2)
        return (np.abs(np.fft.fft2(after)) ** 2 / total).T


def diffraction(
    slices: Slices, position: tuple[float, float], polar: dict[str, float], dtype: Any = jnp.complex128
) -> np.ndarray:
    """Share of the incident beam in every beam [ny, nx] (FFT order) of our own probe through ``slices``."""
    shape = (slices.array.shape[-2], slices.array.shape[-1])
    cartesian = {}
    for name in ("C10", "C12", "C21", "C30"):
        cartesian |= from_polar(name, polar.get(name, 0.0), polar.get(f"phi{name[1:]}", 0.0))
    amplitude = aperture(shape, slices.extent, ENERGY, SEMIANGLE, soft=False)
    wave = probe(coefficients(cartesian), np.asarray(position), amplitude, slices.extent, ENERGY, dtype)
    limit = band_limit(shape, slices.extent)
    kernel = propagator(shape, slices.extent, ENERGY, slices.spacing, dtype=dtype)
    return np.asarray(intensities(multislice(wave, transmission(slices.array, ENERGY, limit), kernel)))


def rings(pattern: np.ndarray, shape: tuple[int, int], extent: tuple[float, float], width: float = 10e-3) -> np.ndarray:
    """Sums of a diffraction pattern over rings ``width`` radian wide, up to the band limit."""
    kx, ky = frequencies(shape, extent)
    angle = wavelength(ENERGY) * np.hypot(kx[None, :], ky[:, None])
    limit = band_limit(shape, extent)
    number = (angle / width).astype(int)
    last = number[limit > 0.5].max()
    return np.bincount(number.ravel(), pattern.ravel())[:last]
