"""Scans of amorphous films by full multislice of random atoms: test data for the estimators of `reconstruct.measurement`.

They are independent of the estimators' model: random atoms with a minimum distance, float32 multislice through slices of 5 angstrom, a finite source,
Poisson counts. A film is periodic, and the points of its camera are beams of its lattice.
"""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from reconstruct.measurement.film.exposure import Exposure, Setting
from twin.grid import frequencies
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture
from twin.sample.specimen import Specimen
from twin.scattering.reciprocity import rows, scan_images
from twin.scattering.signals import prepared

ENERGY, SEMIANGLE = 200e3, 30e-3
SIDE = 32.0
GPTS = 160
SLICE = 5.0


def random_atoms(
    generator: np.random.Generator, count: int, cell: tuple[float, float, float], closest: float
) -> np.ndarray:
    """Positions [count, 3] (angstrom) at random in a periodic cell, none nearer to another than ``closest``."""
    atoms = np.zeros((0, 3))
    while len(atoms) < count:
        candidates = np.concatenate([atoms, generator.uniform(0.0, cell, (count, 3))])
        pairs = KDTree(candidates, boxsize=cell).query_pairs(closest, output_type="ndarray")
        # of two too near the later goes, unless its partner is gone already
        removed = np.zeros(len(candidates), dtype=bool)
        for first, second in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]:
            if not removed[first]:
                removed[second] = True
        atoms = candidates[~removed][:count]
    return atoms


@dataclasses.dataclass(frozen=True)
class Film:
    """Rows of a film's scattering matrix for detector beams ``indices`` [n, 2], and its ``thickness`` in angstrom."""

    rows: jnp.ndarray
    indices: np.ndarray
    thickness: float


def camera(pitch: int = 4, margin: float = 1.5e-3) -> np.ndarray:
    """Beams [n, 2] of every ``pitch``-th of the lattice within the disk, from its rim by ``margin`` radian."""
    step = wavelength(ENERGY) / SIDE
    reach = int(SEMIANGLE / step / pitch)
    x, y = np.meshgrid(np.arange(-reach, reach + 1) * pitch, np.arange(-reach, reach + 1) * pitch)
    inside = np.hypot(x, y) * step <= SEMIANGLE - margin
    return np.stack([x[inside], y[inside]], axis=-1)


def film(
    seed: int,
    thickness: float = 50.0,
    symbol: str = "C",
    density: float = 0.1,
    closest: float = 1.35,
    *,
    indices: np.ndarray,
) -> Film:
    """A random film of ``density`` atoms per cubic angstrom as detector beams ``indices`` see it."""
    generator = np.random.default_rng(seed)
    cell = (SIDE, SIDE, thickness)
    atoms = random_atoms(generator, round(density * SIDE * SIDE * thickness), cell, closest)
    specimen = Specimen(atoms, np.full(len(atoms), 0.006), (symbol,) * len(atoms), cell)
    slices = specimen.slices(GPTS, round(thickness / SLICE), specimen.displacements(seed))
    ready = prepared(slices, ENERGY)
    return Film(rows(indices, ready.transmissions, ready.kernel), indices, thickness)


def tilted(indices: np.ndarray, tilt: tuple[int, int]) -> np.ndarray:
    """Beams of a camera that follows a probe tilted by whole beams."""
    return indices + np.asarray(tilt)


def exposure(
    film: Film,
    coefficients: np.ndarray,
    electrons: float,
    generator: np.random.Generator,
    points: int = 64,
    tilt: tuple[int, int] = (0, 0),
    c10: float = 0.0,
    source: float = 0.3,
) -> Exposure:
    """One scan of ``points`` x ``points`` probes with ``electrons`` in all, tilted by whole beams, C10 changed by ``c10`` angstrom."""
    extent = (SIDE, SIDE)
    step = wavelength(ENERGY) / SIDE
    centre = (tilt[0] * step, tilt[1] * step)
    amplitude = aperture((GPTS, GPTS), extent, ENERGY, SEMIANGLE, True, centre)
    # potentials are in the middle of their slices
    effective = coefficients + np.eye(25)[0] * (c10 + 0.5 * SLICE)
    fine = np.asarray(scan_images(film.rows, effective, amplitude, extent, ENERGY, (GPTS, GPTS)), np.float64)
    kx, ky = frequencies((GPTS, GPTS), extent)
    blur = np.exp(-2.0 * (np.pi * source) ** 2 * (kx[None, :] ** 2 + ky[:, None] ** 2))
    spectrum = np.fft.fft2(fine) * blur
    # on so few pixels, frequencies that differ by the sampling frequency are equal
    fold = np.zeros((points, GPTS))
    fold[np.rint(kx * SIDE).astype(int) % points, np.arange(GPTS)] = 1.0
    share = np.fft.ifft2(fold @ spectrum @ fold.T).real * (points / GPTS) ** 2
    mean = np.maximum(share, 0.0) * electrons / points**2
    counts = generator.poisson(mean).astype(np.float64)
    setting = Setting(
        points=(points, points),
        step=SIDE / points,
        angles=(film.indices - np.asarray(tilt)) * step,
        width=step,
        electrons=electrons,
        tilt=centre,
        c10=c10,
        periodic=True,
    )
    return Exposure(np.moveaxis(counts, 0, -1), setting)


@functools.cache
def standard_camera() -> np.ndarray:
    return camera()
