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
    pixel, padded = 0.8, pixels + 2 * (pixels // 6)
    k = np.fft.fftfreq(padded, pixel)
    kx, ky = np.meshgrid(k, k)
    square = kx**2 + ky**2
    atoms = np.zeros((padded, padded))
    if not flat:
        pixels_of_atoms = generator.integers(0, padded, (2, int(0.5 * padded**2 * pixel**2)))
        np.add.at(atoms, tuple(pixels_of_atoms), 1.0)
    # a screened atom's scattering falls off as a Lorentzian squared, and atoms shake
    factor = 0.12 / (1.0 + square / 0.12) ** 1.5 * np.exp(-0.6 * square)
    phase = np.fft.ifft2(np.fft.fft2(atoms) * factor).real
    c30 = c30 if c30 is not None else float(generator.choice([0.0, 1.2e7]))
    c10 = float(generator.choice([-1.0, 1.0]) * generator.uniform(500.0, 4000.0))
    c12 = 150.0 * generator.standard_normal(2)
    theta2, azimuth = WAVELENGTH**2 * square, np.arctan2(ky, kx)
    chi = (
        2.0
        * np.pi
        / WAVELENGTH
        * (0.5 * theta2 * (c10 + c12[0] * np.cos(2 * azimuth) + c12[1] * np.sin(2 * azimuth)) + 0.25 * c30 * theta2**2)
    )
    spread = np.exp(-0.5 * (np.pi * WAVELENGTH * 30.0 * square) ** 2)
    wave = np.fft.ifft2(np.fft.fft2(np.exp(1j * (phase - phase.mean()))) * np.exp(-1j * chi) * spread)
    start = pixels // 6
    clean = (np.abs(wave) ** 2)[start : start + pixels, start : start + pixels]
    electrons = (dose if dose is not None else 10.0 ** generator.uniform(1.5, 3.0)) * pixel**2
    return Film(generator.poisson(electrons * clean).astype(float), np.array([c10, *c12]), pixel, c30)
