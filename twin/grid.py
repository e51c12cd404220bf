"""Grids: points (ny, nx) over a periodic extent (x, y) in angstrom, their frequencies, and the band that multislice keeps of them."""

import numpy as np

CUTOFF = 2.0 / 3.0
"""Antialiasing: share of the Nyquist frequency that is kept."""
TAPER = 0.02
"""Width of the smooth edge of the band limit as a share of the Nyquist frequency."""


def grid(gpts: int | tuple[int, int]) -> tuple[int, int]:
    """``gpts`` as (ny, nx); ValueError unless positive."""
    shape = (gpts, gpts) if isinstance(gpts, int) else tuple(gpts)
    if len(shape) != 2 or min(shape) < 4:
        raise ValueError(f"gpts is {gpts}; give a number of points, or (ny, nx), of at least 4")
    return shape


def frequencies(gpts: tuple[int, int], extent: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Spatial frequencies (kx [nx], ky [ny]) in 1/angstrom, in FFT order, of a grid (ny, nx) over ``extent`` (x, y) angstrom."""
    return np.fft.fftfreq(gpts[1], extent[0] / gpts[1]), np.fft.fftfreq(gpts[0], extent[1] / gpts[0])


def band_limit(gpts: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Antialiasing aperture [ny, nx] in FFT order: 1 inside, a cosine edge TAPER wide, 0 beyond CUTOFF of the Nyquist frequency."""
    kx, ky = frequencies(gpts, extent)
    nyquist = 0.5 * min(gpts[1] / extent[0], gpts[0] / extent[1])
    inside = (CUTOFF * nyquist - np.hypot(kx[None, :], ky[:, None])) / (TAPER * nyquist)
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(inside, 0.0, 1.0))
