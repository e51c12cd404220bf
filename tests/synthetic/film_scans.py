"""4D-STEM scans of films by full multislice of random atoms, with what goes wrong in a microscope: test data for the fit of films.

Independent of the fit's model: every beam of the camera is multislice through all atoms (by reciprocity), the source is finite, and scans, cameras and
counts are made by plain NumPy. `true_scan` is the expected pattern at any probe position of a film; `record` samples and counts it.
"""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from tests.synthetic.amorphous_films import random_atoms
from twin.grid import frequencies
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture
from twin.sample.specimen import Specimen
from twin.scattering.reciprocity import rows, scan_images
from twin.scattering.signals import prepared

ENERGY, SEMIANGLE = 200e3, 25e-3
SIDE, GPTS, SLICE = 25.6, 128, 10.0
"""Side of the film in angstrom, points along it, thickness of a slice."""
BIN = 3
"""Beams along the side of a camera pixel."""
CAMERA = 24
"""Pixels of the camera along a side."""
PIXEL = BIN * wavelength(ENERGY) / SIDE
"""Angle of a camera pixel in radian."""
SOURCE = 0.4
"""Rms of the source's image in angstrom."""
DARK_SHARE = 2e-4
"""Level of the camera outside the disk over that inside."""
BATCH = 256


@dataclasses.dataclass(frozen=True)
class Matter:
    """What the film is made of: atoms of ``symbol``, ``density`` per cubic angstrom, none nearer than ``closest``; ``thickness`` in angstrom; a ``crystal``
    (radius in angstrom of a particle of gold in it) and an ``empty`` share of its area."""

    symbol: str = "C"
    density: float = 0.1
    closest: float = 1.35
    thickness: float = 50.0
    crystal: float = 0.0
    empty: float = 0.0


CARBON = Matter()


def atoms(seed: int, matter: Matter) -> tuple[np.ndarray, tuple[str, ...]]:
    """Positions [n, 3] in angstrom and symbols of a film's atoms."""
    cell = (SIDE, SIDE, matter.thickness)
    positions = random_atoms(
        np.random.default_rng([11, seed]), round(matter.density * SIDE * SIDE * matter.thickness), cell, matter.closest
    )
    symbols = np.full(len(positions), matter.symbol, dtype=object)
    if matter.empty:
        kept = positions[:, 0] >= matter.empty * SIDE
        positions, symbols = positions[kept], symbols[kept]
    if matter.crystal:
        middle = np.array([0.4 * SIDE, 0.4 * SIDE, 0.5 * matter.thickness])
        # gold along [110], as in a decahedron's face: planes at 2.35 and 2.04 angstrom
        a, count = 4.08, int(matter.crystal / 2.0) + 3
        i, j, k = (grid.ravel() for grid in np.meshgrid(*[np.arange(-count, count + 1)] * 3, indexing="ij"))
        lattice = a * np.stack([(i - j) / np.sqrt(8), (i + j) / 2 + k * 0.0, (i - j) / np.sqrt(8)], axis=-1)
        lattice = np.unique(
            np.concatenate(
                [
                    lattice + shift
                    for shift in np.arange(-count, count + 1)[:, None] * np.array([0.0, 0.0, a / np.sqrt(2)])
                ]
            ).round(4),
            axis=0,
        )
        lattice = lattice[np.hypot.reduce(lattice, axis=1) <= matter.crystal] + middle
        away = np.hypot.reduce(positions - middle, axis=1) > matter.crystal + 1.5
        positions = np.concatenate([positions[away], lattice])
        symbols = np.concatenate([symbols[away], np.full(len(lattice), "Au", dtype=object)])
    return positions, tuple(symbols)


def beams() -> tuple[np.ndarray, np.ndarray]:
    """Beams [n, 2] (x, y) of the lattice that reach the camera near the disk, and the camera pixel [n] that each falls on."""
    half = CAMERA * BIN // 2
    line = np.arange(-half, half)
    x, y = (grid.ravel() for grid in np.meshgrid(line, line))
    # the disk's centre lies in the middle of a pixel
    column, row = ((grid + BIN // 2 + half) // BIN for grid in (x, y))
    near = np.hypot(x, y) * PIXEL / BIN <= SEMIANGLE + 0.3 * PIXEL
    return np.stack([x[near], y[near]], axis=-1), (row * CAMERA + column)[near]


@functools.lru_cache(maxsize=2)
def scattering(seed: int, matter: Matter):
    """Rows of the film's scattering matrix for all `beams`."""
    positions, symbols = atoms(seed, matter)
    specimen = Specimen(positions, np.full(len(positions), 0.006), symbols, (SIDE, SIDE, matter.thickness))
    slices = specimen.slices(GPTS, round(matter.thickness / SLICE), specimen.displacements(seed))
    ready = prepared(slices, ENERGY)
    indices, _ = beams()
    return [
        np.asarray(rows(part, ready.transmissions, ready.kernel))
        for part in np.array_split(indices, max(1, len(indices) // BATCH))
    ]


@functools.lru_cache(maxsize=6)
def true_scan(
    seed: int, matter: Matter, coefficients: tuple[float, ...], phase_ring: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Share of the beam [camera pixels, GPTS, GPTS] on each camera pixel at every point of the film, blurred by the source, as coefficients of cubic
    splines. ``phase_ring``: a phase (radian) of the aperture inside this share of its radius."""
    extent = (SIDE, SIDE)
    amplitude = aperture((GPTS, GPTS), extent, ENERGY, SEMIANGLE, True).astype(complex)
    kx, ky = frequencies((GPTS, GPTS), extent)
    phase, radius = phase_ring
    amplitude *= np.exp(1j * phase * (np.hypot(kx[None], ky[:, None]) * wavelength(ENERGY) < radius * SEMIANGLE))
    # potentials are in the middle of their slices
    effective = np.zeros(25)
    effective[: len(coefficients)] = coefficients
    effective[0] += 0.5 * SLICE
    blur = np.exp(-2.0 * (np.pi * SOURCE) ** 2 * (kx[None, :] ** 2 + ky[:, None] ** 2))
    _, pixel = beams()
    images, start = np.zeros((CAMERA**2, GPTS, GPTS)), 0
    for part in scattering(seed, matter):
        fine = np.asarray(
            scan_images(jnp.asarray(part), effective, amplitude, extent, ENERGY, (GPTS, GPTS)), np.float64
        )
        np.add.at(images, pixel[start : start + len(part)], fine)
        start += len(part)
    images = np.fft.ifft2(np.fft.fft2(images) * blur).real
    lit = np.unique(pixel)
    for index in lit:
        images[index] = spline_filter(images[index], 3, mode="grid-wrap")
    return images.astype(np.float32)


def positions(points: int, step: float) -> np.ndarray:
    """Probe positions [points, points, 2] (x, y) in angstrom of a scan in the middle of the film."""
    line = (np.arange(points) - 0.5 * (points - 1)) * step + 0.5 * SIDE
    return np.stack(np.meshgrid(line, line), axis=-1)


def expected(scan: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Expected shares of the beam [ny, nx, CAMERA, CAMERA] at probe positions ``where`` [ny, nx, 2] of a `true_scan`."""
    places = [where[..., 1] * GPTS / SIDE, where[..., 0] * GPTS / SIDE]
    shares = np.zeros((*where.shape[:2], CAMERA**2))
    for index in np.flatnonzero(np.abs(scan).max(axis=(1, 2)) > 0):
        shares[..., index] = map_coordinates(scan[index], places, order=3, mode="grid-wrap", prefilter=False)
    level = DARK_SHARE * shares.max()
    return np.maximum(shares, level).reshape(*where.shape[:2], CAMERA, CAMERA)
