"""Grids: points (ny, nx) over a periodic extent (x, y) in angstrom, their frequencies, and the band that multislice keeps of them."""

from typing import Any

import jax.numpy as jnp
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


def nyquist(gpts: tuple[int, int], extent: tuple[float, float]) -> float:
    """Largest frequency in 1/angstrom that the grid carries in every direction."""
    return 0.5 * min(gpts[1] / extent[0], gpts[0] / extent[1])


def window(k: Any, cutoff: Any) -> Any:
    """The band limit of multislice at the frequency ``k`` (1/angstrom; NumPy or JAX): 1 inside, a cosine edge below ``cutoff``, 0 beyond."""
    library = np if isinstance(k, np.ndarray) else jnp
    inside = (cutoff - k) / (TAPER / CUTOFF * cutoff)
    return 0.5 - 0.5 * library.cos(np.pi * library.clip(inside, 0.0, 1.0))


def band_limit(gpts: tuple[int, int], extent: tuple[float, float], cutoff: float | None = None) -> np.ndarray:
    """Antialiasing aperture [ny, nx] in FFT order up to ``cutoff`` in 1/angstrom (default: CUTOFF of the Nyquist frequency).

    A lower cutoff makes one grid keep the band of another, so that their waves can be compared. ValueError for a higher one.
    """
    kx, ky = frequencies(gpts, extent)
    highest = CUTOFF * nyquist(gpts, extent)
    if cutoff is not None and not 0.0 < cutoff <= highest * (1.0 + 1e-9):
        raise ValueError(
            f"a band of {cutoff} 1/angstrom does not lie within the {highest:.3f} that the grid keeps; give less, or use more gpts"
        )
    return window(np.hypot(kx[None, :], ky[:, None]), cutoff or highest)


def smooth(minimum: int) -> int:
    """The smallest number of at least ``minimum`` with no prime factor above 7: grids of such sizes are transformed quickly."""
    if minimum < 1:
        raise ValueError(f"a grid needs at least one point, not {minimum}")
    number = minimum
    while True:
        cofactor = number
        for prime in (2, 3, 5, 7):
            while cofactor % prime == 0:
                cofactor //= prime
        if cofactor == 1:
            return number
        number += 1
