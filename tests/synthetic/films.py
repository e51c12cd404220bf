"""Images of amorphous films of random atoms, with a lens in NumPy that is independent of the twin's transfer functions."""

import dataclasses

import numpy as np

ENERGY = 200e3
WAVELENGTH = 0.0250793


@dataclasses.dataclass(frozen=True)
class Film:
    """An image [ny, nx] in electrons, and (C10, C12a, C12b) in angstrom."""

    image: np.ndarray
    truth: np.ndarray
    pixel: float
    c30: float


def film(seed: int, pixels: int = 256, c30: float | None = None, dose: float | None = None, flat: bool = False) -> Film:
    """|exp(i sigma V) * lens|^2 with Poisson counts: defocus of 500 to 4000 angstrom of either sign, C12 of 150 rms, C30 of 0 or 1.2 mm (1.2e7 angstrom).

    The field is a third larger than what is cut out of it, which has no period. ``flat``: no film.
    """
    generator = np.random.default_rng(seed)
    pixel = 0.8
    phase = film_phase(generator, pixels, pixel, flat)
    c30 = c30 if c30 is not None else float(generator.choice([0.0, 1.2e7]))
    c10 = float(generator.choice([-1.0, 1.0]) * generator.uniform(500.0, 4000.0))
    c12 = 150.0 * generator.standard_normal(2)
    clean = imaged(phase, pixels, pixel, (c10, *c12), c30)
    electrons = (dose if dose is not None else 10.0 ** generator.uniform(1.5, 3.0)) * pixel**2
    return Film(generator.poisson(electrons * clean).astype(float), np.array([c10, *c12]), pixel, c30)


def film_phase(generator: np.random.Generator, pixels: int, pixel: float, flat: bool = False) -> np.ndarray:
    """Phase [n, n] in radian of half an atom a square angstrom, over a field a third larger than ``pixels``."""
    padded = pixels + 2 * (pixels // 6)
    square = _square(padded, pixel)[2]
    atoms = np.zeros((padded, padded))
    if not flat:
        pixels_of_atoms = generator.integers(0, padded, (2, int(0.5 * padded**2 * pixel**2)))
        np.add.at(atoms, tuple(pixels_of_atoms), 1.0)
    # a screened atom's scattering falls off as a Lorentzian squared, and atoms shake
    factor = 0.12 / (1.0 + square / 0.12) ** 1.5 * np.exp(-0.6 * square)
    return np.fft.ifft2(np.fft.fft2(atoms) * factor).real


def imaged(
    phase: np.ndarray,
    pixels: int,
    pixel: float,
    lens: tuple[float, float, float],
    c30: float,
    plate: float = 0.0,
    absorption: float = 0.0,
    drift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Intensity [pixels, pixels] behind a ``lens`` of (C10, C12a, C12b) and ``c30`` (angstrom), 1 in vacuum.

    ``plate``: radian by which a phase plate sets the scattered wave before the direct one; ``absorption``: amplitude contrast over phase contrast;
    ``drift``: (x, y) in angstrom, while the frame is exposed.
    """
    padded = len(phase)
    kx, ky, square = _square(padded, pixel)
    theta2, azimuth = WAVELENGTH**2 * square, np.arctan2(ky, kx)
    c10, *c12 = lens
    defocus = c10 + c12[0] * np.cos(2 * azimuth) + c12[1] * np.sin(2 * azimuth)
    chi = 2.0 * np.pi / WAVELENGTH * (0.5 * theta2 * defocus + 0.25 * c30 * theta2**2)
    spread = np.exp(-0.5 * (np.pi * WAVELENGTH * 30.0 * square) ** 2)
    exit_wave = np.exp((1j - absorption) * (phase - phase.mean()))
    spectrum = np.fft.fft2(exit_wave) * np.exp(-1j * chi) * spread
    direct = spectrum[0, 0]
    spectrum *= np.exp(1j * plate)
    spectrum[0, 0] = direct
    intensity = np.abs(np.fft.ifft2(spectrum)) ** 2
    if any(drift):
        blur = np.sinc(kx * drift[0] + ky * drift[1])
        intensity = np.fft.ifft2(np.fft.fft2(intensity) * blur).real
    start = pixels // 6
    return np.maximum(intensity[start : start + pixels, start : start + pixels], 0.0)


def _square(size: int, pixel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kx, ky = np.meshgrid(np.fft.fftfreq(size, pixel), np.fft.fftfreq(size, pixel))
    return kx, ky, kx**2 + ky**2
