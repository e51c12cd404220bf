"""4D-STEM of a thin phase object of random atoms, with a scan rotated against the camera and possibly mirrored; plain NumPy."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Scanned:
    """Counts [ny, nx, ky, kx], a dark-field image [ny, nx], the rotation (radian) and flip of the camera, and what was ``expected`` of the counts."""

    patterns: np.ndarray
    bright: np.ndarray
    rotation: float
    flip: int
    expected: np.ndarray


def scanned(
    seed: int,
    electrons: float = 400.0,
    atoms: int = 60,
    scan: int = 24,
    pixels: int = 32,
    drift: tuple[float, float] = (0.0, 0.0),
    jitter: float = 0.0,
    vacuum: float = 0.0,
    slices: int = 1,
) -> Scanned:
    """``electrons`` on each of ``scan`` ** 2 patterns of ``pixels`` ** 2, defocused a little; 0.4 angstrom steps, phases up to a radian.

    In steps: the specimen's ``drift`` (x, y) against the scan in the time of a row, and rms ``jitter`` of a row along x. ``vacuum``: share of the box without
    atoms. ``slices``: layers like the one of other seeds, 40 angstrom apart: with several the pattern's centre is no longer a gradient.
    """
    generator = np.random.default_rng(seed)
    box, fine = 16.0, 64
    x = (np.arange(fine) - fine / 2) * box / fine
    centres = generator.uniform(-0.5 * box, 0.5 * box, (atoms, 2))
    heights = generator.uniform(0.1, 0.5, atoms)
    phase, heavy = np.zeros((fine, fine)), np.zeros((fine, fine))
    for centre, height in zip(centres, heights, strict=True):
        if centre[0] < (vacuum - 0.5) * box:
            continue
        separation = [(x - coordinate + 0.5 * box) % box - 0.5 * box for coordinate in centre]
        square = separation[0][None, :] ** 2 + separation[1][:, None] ** 2
        phase += height * np.exp(-square / (2.0 * 0.35**2))
        heavy += height**2 * np.exp(-square / (2.0 * 0.3**2))
    k = np.fft.fftfreq(fine, box / fine)
    kx, ky = np.meshgrid(k, k)
    aperture = (np.hypot(kx, ky) < 0.8) * np.exp(-1j * np.pi * 0.025 * generator.uniform(-60, 60) * (kx**2 + ky**2))
    rotation, flip = float(generator.uniform(-np.pi, np.pi)), int(generator.integers(2))
    # a vector g of the scan is seen as C g: so a step s of the scan is the step C s in the camera's axes
    cos, sin = np.cos(rotation), np.sin(rotation)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, -1.0 if flip else 1.0])
    steps = (np.arange(scan) - 0.5 * (scan - 1)) * 0.4
    across, down = np.meshgrid(steps, steps)
    rows = np.random.default_rng((seed, 1)).standard_normal((scan, 1))
    moved = np.stack([across + drift[0] * down + 0.4 * jitter * rows, (1.0 + drift[1]) * down], axis=-1)
    grid = moved @ turn.T
    layers = [np.exp(1j * np.roll(phase, (17 * k, 29 * k), axis=(0, 1))) for k in range(slices)]
    propagator = np.exp(-1j * np.pi * 0.025 * 40.0 * (kx**2 + ky**2))
    patterns, bright = np.zeros((scan, scan, pixels, pixels)), np.zeros((scan, scan))
    expected = np.zeros_like(patterns)
    central = slice(fine // 2 - pixels // 2, fine // 2 + pixels // 2)
    origin = -0.5 * box
    for i in range(scan):
        for j in range(scan):
            px, py = grid[i, j]
            probe = np.fft.ifft2(aperture * np.exp(-2j * np.pi * (kx * (px - origin) + ky * (py - origin))))
            probe /= np.sqrt((np.abs(probe) ** 2).sum())
            bright[i, j] = ((np.abs(probe) ** 2) * heavy).sum()
            for layer in layers[:-1]:
                probe = np.fft.ifft2(np.fft.fft2(probe * layer) * propagator)
            wave = np.fft.fftshift(np.abs(np.fft.fft2(probe * layers[-1])) ** 2) / fine**2
            expected[i, j] = electrons * wave[central, central]
            patterns[i, j] = generator.poisson(expected[i, j])
    return Scanned(
        patterns,
        generator.poisson(2.0 * electrons * bright / max(float(heavy.max()), 1e-9)).astype(float),
        rotation,
        flip,
        expected,
    )
