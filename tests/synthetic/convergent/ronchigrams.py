"""Shadow images of amorphous films of random atoms in a convergent beam: the probe on the film and one Fourier transform in NumPy, independent of any fit."""

import dataclasses
import math

import numpy as np
from scipy.ndimage import gaussian_filter

from tests.synthetic.films import ENERGY, WAVELENGTH
from twin.records import Axis, Claim, Signal, axis_claims, collect

REACH = 2.0
"""Highest frequency of the wave over that of the aperture's edge."""


@dataclasses.dataclass(frozen=True)
class Shadow:
    """How an image is drawn: ``c10``, ``c12`` (a, b) and ``c30`` in angstrom, ``semiangle`` and ``pixel`` in radian, ``electrons`` a pixel, ``strength``: rms
    phase of the film in radian (0: none), ``source``: rms size of the source in angstrom, ``thickness`` of the film in angstrom, ``pixels`` of the camera."""

    c10: float
    semiangle: float = 12e-3
    pixel: float = 1.25e-4
    electrons: float = 100.0
    c12: tuple[float, float] = (0.0, 0.0)
    c30: float = 0.0
    strength: float = 0.3
    source: float = 0.5
    thickness: float = 50.0
    pixels: int = 256


def grid_of(drawn: Shadow) -> tuple[int, float, int]:
    """Points along a side, its length in angstrom, and points of the wave's spectrum along a pixel of the camera."""
    lit = 2.0 * drawn.semiangle * abs(drawn.c10) + 2.0 * abs(drawn.c30) * drawn.semiangle**3 + 20.0
    factor = math.ceil(1.2 * lit * drawn.pixel / WAVELENGTH)
    extent = factor * WAVELENGTH / drawn.pixel
    size = max(2.0 * REACH * drawn.semiangle / WAVELENGTH * extent, drawn.pixels * factor)
    return 2 * math.ceil(0.5 * size), extent, factor


def shadow_of(drawn: Shadow, seed: int, phase: np.ndarray | None = None) -> np.ndarray:
    """The counts [pixels, pixels] of one image; ``phase`` [n, n] in radian is that of another specimen than a film, on the grid of `grid_of`."""
    rng = np.random.default_rng(seed)
    size, extent, factor = grid_of(drawn)
    kx, ky = np.meshgrid(*2 * [np.fft.fftfreq(size, extent / size)])
    square = kx**2 + ky**2
    theta2, azimuth = WAVELENGTH**2 * square, np.arctan2(ky, kx)
    layers = 3 if drawn.thickness > 0.0 else 1
    step = drawn.thickness / layers
    # C10 refers to the middle of the film
    defocus = drawn.c10 + drawn.c12[0] * np.cos(2.0 * azimuth) + drawn.c12[1] * np.sin(2.0 * azimuth)
    chi = 2.0 * np.pi / WAVELENGTH * (0.5 * theta2 * defocus + 0.25 * drawn.c30 * theta2**2)
    travel = np.exp(-1j * np.pi * WAVELENGTH * step * square)
    spectrum = (theta2 < drawn.semiangle**2) * np.exp(-1j * chi) * travel ** (-0.5 * (layers - 1))
    for index in range(layers):
        layer = phase / layers if phase is not None else _film(rng, square, extent, drawn.strength / math.sqrt(layers))
        spectrum = np.fft.fft2(np.fft.ifft2(spectrum) * np.exp(1j * layer))
        spectrum = spectrum * travel if index < layers - 1 else spectrum
    pattern = np.fft.fftshift(np.abs(spectrum) ** 2)
    # a displacement of the source moves the shadow by the displacement over C10
    pattern = gaussian_filter(pattern, drawn.source / abs(drawn.c10) * extent / WAVELENGTH, mode="wrap")
    first = size // 2 - drawn.pixels * factor // 2
    cut = pattern[first : first + drawn.pixels * factor, first : first + drawn.pixels * factor]
    binned = cut.reshape(drawn.pixels, factor, drawn.pixels, factor).mean(axis=(1, 3))
    return rng.poisson(drawn.electrons * np.maximum(binned, 0.0)).astype(float)


def _film(rng: np.random.Generator, square: np.ndarray, extent: float, strength: float) -> np.ndarray:
    """Phase [n, n] of rms ``strength`` of half an atom a square angstrom."""
    size = len(square)
    atoms = np.zeros((size, size))
    np.add.at(atoms, tuple(rng.integers(0, size, (2, int(0.5 * extent**2)))), 1.0)
    factor = np.exp(-0.6 * square) / (1.0 + square / 0.12) ** 1.5
    phase = np.fft.ifft2(np.fft.fft2(atoms - atoms.mean()) * factor).real
    return strength * phase / max(float(phase.std()), 1e-300)


def signal_of_shadow(counts: np.ndarray, drawn: Shadow, unit: str = "radian", **claims: float) -> Signal:
    """A recording that claims what it was drawn with, but for ``claims`` in inside units."""
    pixel = claims.pop("pixel", drawn.pixel)
    pixel = pixel if unit == "radian" else pixel / WAVELENGTH
    axes = (Axis("y", counts.shape[-2], pixel, 0.0, unit), Axis("x", counts.shape[-1], pixel, 0.0, unit))
    measured, _ = collect(axis_claims(axes, "image"))
    true = {"C10": drawn.c10, "convergence_semiangle": drawn.semiangle, "high_tension": ENERGY}
    true |= {"spherical_aberration": drawn.c30} if drawn.c30 else {}
    stated = {name: Claim(value, None, name) for name, value in {**true, **claims}.items()}
    return Signal(counts, axes, "image", "", "", "synthetic", {**measured, **stated})
