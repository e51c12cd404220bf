"""abTEM as the reference: the same potential and probe in float64, and abTEM's own multislice."""

from typing import Any, NamedTuple

import abtem
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.build import bulk, mx2
from ase.cluster import Octahedron

from twin.grid import band_limit, frequencies
from twin.optics.aberrations import NAMES, coefficients, from_polar
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe
from twin.sample.orthogonal import orthogonal, zone_axis
from twin.sample.specimen import Slices, Specimen, srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission

ENERGY = 200e3
SEMIANGLE = 21.4e-3
ENERGIES = (60e3, 80e3, 200e3, 300e3)
POLAR = {"C10": 40.0, "C12": 25.0, "phi12": 0.4, "C21": 500.0, "phi21": -1.1, "C30": 2e4}
"""Aberrations of the compared probes, in angstrom and radian, as abTEM names them."""
EVERY = POLAR | {
    "C23": 400.0, "phi23": 0.7, "C32": 1e4, "phi32": -0.5, "C34": 1.5e4, "phi34": 0.2, "C41": 3e5, "phi41": 2.0,
    "C43": 3e5, "phi43": -0.9, "C45": 4e5, "phi45": 0.3, "C50": 1e7, "C52": 8e6, "phi52": 1.2, "C54": 8e6,
    "phi54": -0.1, "C56": 1e7, "phi56": 0.45,
}  # fmt: skip
"""One of every kind, to fifth order: at 21.4 mrad they move rays by 0.04 to 0.9 angstrom each."""
TILT = (4e-3, -7e-3)
"""Specimen tilt (x, y) in radian of the compared crystals. abTEM's is the beam's: the same with the other sign."""


def strontium_titanate(cells: int = 20) -> tuple[Specimen, tuple[int, int], int]:
    """The default crystal: 3 x 3 x ``cells`` on 160 x 160 points, two slices a cell."""
    return srtio3((3, 3, cells)), (160, 160), 2 * cells


def silicon_110(cells: int = 26) -> tuple[Specimen, tuple[int, int], int]:
    """Si [110], about 100 angstrom thick, in a cell with unequal sides and grid steps."""
    a = 5.431
    side = a / np.sqrt(2.0)
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.25, 0.5), (0.5, 0.75, 0)]
    unit = Atoms("Si4", scaled_positions=scaled, cell=[side, a, side], pbc=True)
    expected = bulk("Si", "diamond", a=a, cubic=True)
    assert np.isclose(len(unit) / unit.get_volume(), len(expected) / expected.get_volume())
    unit.translate((0.0, 0.0, side / 4.0))
    return Specimen.from_atoms(unit * (4, 3, cells)), (180, 168), 2 * cells


def gold_particle(slices: int = 12) -> tuple[Specimen, tuple[int, int], int]:
    """A truncated octahedron of 201 gold atoms, turned out of its axes, in vacuum."""
    atoms = Octahedron("Au", 7, cutoff=2)
    atoms.rotate(20.0, "x", center="COP")
    atoms.rotate(33.0, "z", center="COP")
    atoms.center(vacuum=3.0)
    side = float(max(atoms.cell.lengths()[:2]))
    atoms.set_cell([side, side, atoms.cell.lengths()[2]])
    atoms.center()
    return Specimen.from_atoms(Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)), (288, 288), slices


def molybdenum_disulphide(layers: int = 6) -> tuple[Specimen, tuple[int, int], int]:
    """Layers of MoS2 along c, a hexagonal cell made orthogonal, of 6.15 angstrom each and four slices to a layer; in one stacking."""
    layer = mx2("MoS2", a=3.18, thickness=3.19, vacuum=1.48)
    layer.set_pbc(True)
    cell = orthogonal(layer)
    assert cell.strain < 2e-3
    x, y, _ = cell.atoms.cell.lengths()
    repeats = (round(16.5 / x), round(16.5 / y), layers)
    return Specimen.from_atoms(cell.atoms * repeats, {"Mo": 0.006, "S": 0.008}), (180, 192), 4 * layers


def gallium_nitride(cells: int = 12) -> tuple[Specimen, tuple[int, int], int]:
    """Wurtzite GaN along [11-20], whose three-index form is [110], two slices a period; polar, so x and -x differ."""
    cell = zone_axis(bulk("GaN", "wurtzite", a=3.189, c=5.185), (1, 1, 0))
    assert cell.strain < 1e-6
    x, y, z = cell.atoms.cell.lengths()
    cell.atoms.translate((0.0, 0.0, z / 4.0))
    cell.atoms.wrap()
    repeats = (round(16.0 / x), round(16.0 / y), cells)
    return Specimen.from_atoms(cell.atoms * repeats, {"Ga": 0.006, "N": 0.007}), (192, 180), 2 * cells


SPECIMENS = {
    "SrTiO3": strontium_titanate,
    "Si [110]": silicon_110,
    "Au particle": gold_particle,
    "MoS2": molybdenum_disulphide,
    "GaN [11-20]": gallium_nitride,
}
SHORT = {"SrTiO3": 6, "Si [110]": 6, "Au particle": 8, "MoS2": 2, "GaN [11-20]": 5}
"""Cells, slices or layers of the same specimens where time is short."""

_behind = jax.jit(multislice)


def diffraction_by_abtem(
    slices: Slices,
    position: tuple[float, float],
    polar: dict[str, float],
    semiangle: float = SEMIANGLE,
    energy: float = ENERGY,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Share of the incident beam in every beam [ny, nx] (FFT order) of a probe that abTEM makes and takes through ``slices``.

    ``tilt`` is the specimen's (x, y) in radian, minus the beam tilt that abTEM is given.
    """
    with abtem.config.set({"precision": "float64", "device": "cpu", "fft": "numpy"}):
        array = np.ascontiguousarray(np.asarray(slices.array, dtype=np.float64).transpose(0, 2, 1))
        potential = abtem.PotentialArray(array, slice_thickness=slices.spacing, extent=slices.extent)
        beam_tilt = (-1e3 * tilt[0], -1e3 * tilt[1])
        probe = abtem.Probe(
            energy=energy,
            semiangle_cutoff=semiangle * 1e3,
            extent=slices.extent,
            gpts=array.shape[1:],
            aberrations=polar,
            soft=False,
            tilt=beam_tilt,
        )
        scan = abtem.CustomScan([position])
        incident = np.asarray(probe.build(scan, lazy=False).array).reshape(array.shape[1:])
        waves = probe.multislice(potential, scan=scan, lazy=False)
        assert isinstance(waves, abtem.Waves)
        exit_wave = np.asarray(waves.array).reshape(array.shape[1:])
        total = np.sum(np.abs(np.fft.fft2(incident)) ** 2)
        return (np.abs(np.fft.fft2(exit_wave)) ** 2 / total).T


def cartesian(polar: dict[str, float]) -> np.ndarray:
    """Vector [25] of the aberrations that abTEM's names give."""
    values: dict[str, float] = {}
    for name in sorted({parameter[:3] for parameter in NAMES}):
        values |= from_polar(name, polar.get(name, 0.0), polar.get(f"phi{name[1:]}", 0.0))
    return coefficients(values)


def diffraction(
    slices: Slices,
    position: tuple[float, float],
    polar: dict[str, float],
    dtype: Any = jnp.complex128,
    energy: float = ENERGY,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Share of the incident beam in every beam [ny, nx] (FFT order) of our own probe through ``slices``."""
    shape = (slices.array.shape[-2], slices.array.shape[-1])
    amplitude = aperture(shape, slices.extent, energy, SEMIANGLE, soft=False)
    wave = probe(cartesian(polar), np.asarray(position), amplitude, slices.extent, energy, dtype)
    limit = band_limit(shape, slices.extent)
    kernel = propagator(shape, slices.extent, energy, slices.spacing, tilt, dtype)
    functions = transmission(slices.array, energy, limit).astype(dtype)
    return np.asarray(intensities(_behind(wave, functions, kernel)))


def rings(
    pattern: np.ndarray,
    shape: tuple[int, int],
    extent: tuple[float, float],
    width: float = 10e-3,
    energy: float = ENERGY,
) -> np.ndarray:
    """Sums of a diffraction pattern over rings ``width`` radian wide, up to the band limit."""
    kx, ky = frequencies(shape, extent)
    angle = wavelength(energy) * np.hypot(kx[None, :], ky[:, None])
    limit = band_limit(shape, extent)
    number = (angle / width).astype(int)
    last = number[limit > 0.5].max()
    return np.bincount(number.ravel(), pattern.ravel())[:last]


class Deviation(NamedTuple):
    """How far our diffraction pattern lies from abTEM's: ``total``, the sum of absolute differences over all beams, as a share of the pattern's sum, and
    ``ring``, the worst relative difference of its ``count`` rings of 10 mrad; ``single`` and ``single_ring`` the same of the float32 path;
    ``passed`` the share of the incident beam that is left."""

    total: float
    ring: float
    single: float
    single_ring: float
    count: int
    passed: float


def against_abtem(
    name: str,
    energies: tuple[float, ...] = ENERGIES,
    tilt: tuple[float, float] = TILT,
    polar: dict[str, float] = EVERY,
    short: bool = False,
    seed: int = 11,
) -> dict[float, Deviation]:
    """For each of ``energies`` how far the specimen ``name`` diffracts a tilted, aberrated probe otherwise than abTEM has it, the frozen potential being
    the same."""
    specimen, shape, count = SPECIMENS[name](SHORT[name]) if short else SPECIMENS[name]()
    displacements = specimen.displacements(seed)
    fine = specimen.slices(shape, count, displacements, dtype=np.float64)
    fast = specimen.slices(shape, count, displacements)
    spot = (0.31 * fine.extent[0], 0.57 * fine.extent[1])
    deviations = {}
    for energy in energies:
        theirs = diffraction_by_abtem(fine, spot, polar, energy=energy, tilt=tilt)
        expected = rings(theirs, shape, fine.extent, energy=energy)
        total, ring = [], []
        for slices, dtype in ((fine, jnp.complex128), (fast, jnp.complex64)):
            ours = diffraction(slices, spot, polar, dtype, energy, tilt)
            total.append(float(np.abs(ours - theirs).sum() / theirs.sum()))
            ring.append(float(np.abs(rings(ours, shape, fine.extent, energy=energy) / expected - 1.0).max()))
        deviations[energy] = Deviation(total[0], ring[0], total[1], ring[1], len(expected), float(theirs.sum()))
    return deviations
