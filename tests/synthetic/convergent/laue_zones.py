"""Diffraction patterns with their high-order Laue zones: multislice of one cell of a crystal, with the exact propagator and a beam of several directions."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

GRID = 96
"""Points along a side of the cell."""
SLICE = 1.0
"""Angstrom of a slice: several make a cell, so that the first zone is that of the crystal and not of the slices."""
DEBYE_WALLER = 0.5
"""B in square angstrom."""


@dataclasses.dataclass(frozen=True)
class Zone:
    """How a pattern is drawn: ``tension`` in volt, ``cells`` along the beam, ``pixel`` in 1/angstrom, ``disk``: radius of the disks in 1/angstrom, ``tilt`` of
    the beam in 1/angstrom, ``background``: share of the electrons that are scattered diffusely; ``flat``: the camera shows tangents of angles, not sines;
    ``stretched``: factor on radii beyond 2.5 1/angstrom, by a projector."""

    tension: float = 200e3
    cells: int = 40
    pixel: float = 0.021
    disk: float = 0.06
    tilt: tuple[float, float] = (0.0, 0.0)
    electrons: float = 3e8
    background: float = 0.3
    pixels: int = 512
    rotation: float = 0.2
    centre: tuple[float, float] = (2.3, -3.6)
    directions: int = 24
    flat: bool = True
    stretched: float = 1.0


def strontium_titanate() -> Any:
    """SrTiO3 along [001]."""
    from ase import Atoms

    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("SrTiO3", scaled_positions=places, cell=3 * [3.905], pbc=True)


def zone_pattern(drawn: Zone, seed: int, atoms: Any = None) -> np.ndarray:
    """Counts [pixels, pixels]."""
    rng = np.random.default_rng(seed)
    places, intensities = _beams(drawn, seed, atoms)
    length = _wavelength(drawn.tension)
    if drawn.flat:
        sine = length * np.hypot(*places.T)
        places = places / np.sqrt(1.0 - sine**2)[:, None]
    places = places * np.where(np.hypot(*places.T) > 2.5, drawn.stretched, 1.0)[:, None]
    cosine, sine = math.cos(drawn.rotation), math.sin(drawn.rotation)
    middle = 0.5 * drawn.pixels + np.array(drawn.centre)
    places = places @ np.array([[cosine, sine], [-sine, cosine]]) / drawn.pixel + middle
    image = np.zeros((drawn.pixels, drawn.pixels))
    nearest = np.round(places).astype(int)
    inside = ((nearest >= 0) & (nearest < drawn.pixels)).all(axis=1)
    np.add.at(image, (nearest[inside, 1], nearest[inside, 0]), intensities[inside])
    image = gaussian_filter(image, 0.8)
    y, x = np.mgrid[: drawn.pixels, : drawn.pixels]
    radius = drawn.pixel * np.hypot(x - middle[0], y - middle[1])
    diffuse = np.exp(-radius / 0.5) + 0.02 * np.exp(-radius / 3.0)
    image = (1.0 - drawn.background) * image + drawn.background * diffuse / diffuse.sum()
    return rng.poisson(drawn.electrons * image).astype(float)


def _beams(drawn: Zone, seed: int, atoms: Any) -> tuple[np.ndarray, np.ndarray]:
    """Transverse frequencies [n, 2] (x, y) of the beams behind the crystal, of all directions in the cone, and their intensities [n]."""
    rng = np.random.default_rng(seed + 1)
    atoms = atoms if atoms is not None else strontium_titanate()
    key = (tuple(atoms.numbers), tuple(map(tuple, atoms.get_scaled_positions())), tuple(np.diag(atoms.cell.array)))
    potential = _slices(key)
    length = _wavelength(drawn.tension)
    sides = np.diag(atoms.cell.array)
    step = float(sides[2]) / len(potential)
    transmission = np.exp(1j * _interaction(drawn.tension) * potential)
    kx, ky = (np.fft.fftfreq(GRID, side / GRID) for side in sides[:2])
    kept = (np.abs(kx) < 2.0 / 3.0 * kx.max())[:, None] & (np.abs(ky) < 2.0 / 3.0 * ky.max())[None]
    radii = drawn.disk * np.sqrt(rng.uniform(size=drawn.directions))
    angles = rng.uniform(0.0, 2.0 * np.pi, drawn.directions)
    places, intensities = [], []
    for radius, angle in zip(radii, angles, strict=True):
        # the crystal is along z; the camera's middle is where the beam goes
        own = radius * np.array([np.cos(angle), np.sin(angle)])
        x, y = (kx + own[0] + drawn.tilt[0])[:, None], (ky + own[1] + drawn.tilt[1])[None]
        travel = np.where(
            kept, np.exp(2j * np.pi * step * (np.sqrt(1.0 / length**2 - x**2 - y**2) - 1.0 / length)), 0.0
        )
        wave = np.ones((GRID, GRID), complex)
        for _ in range(drawn.cells):
            for layer in transmission:
                wave = np.fft.ifft2(np.fft.fft2(wave * layer) * travel)
        power = np.abs(np.fft.fft2(wave) / GRID**2) ** 2
        x, y = np.broadcast_arrays(x - drawn.tilt[0], y - drawn.tilt[1])
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
        intensities.append(power.ravel() / drawn.directions)
    return np.concatenate(places), np.concatenate(intensities)


@functools.cache
def _slices(key: tuple) -> np.ndarray:
    import abtem
    from ase import Atoms

    numbers, places, sides = key
    atoms = Atoms(numbers, scaled_positions=places, cell=sides, pbc=True)
    potential = abtem.Potential(atoms, gpts=GRID, slice_thickness=SLICE, parametrization="lobato")
    values = np.asarray(potential.build(lazy=False).array, float)
    kx, ky = (np.fft.fftfreq(GRID, side / GRID) for side in sides[:2])
    damping = np.exp(-0.25 * DEBYE_WALLER * (kx[:, None] ** 2 + ky[None] ** 2))
    return np.fft.ifft2(np.fft.fft2(values) * damping).real


def _wavelength(tension: float) -> float:
    return 12.2643 / math.sqrt(tension * (1.0 + 0.978476e-6 * tension))


def _interaction(tension: float) -> float:
    """Radian per volt and angstrom."""
    mass = 1.0 + tension / 510998.95
    return 2.0 * np.pi * mass * 510998.95 * _wavelength(tension) / 12398.4198**2
