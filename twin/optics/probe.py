"""The probe: an aperture full of coherent waves with aberrations, and its averages over source size and focal spread.

C10 refers to the entrance face. A wave is psi(x) = sum_k a_k exp(+2 pi i k.x) with sum |a_k|^2 = 1.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from twin.grid import frequencies
from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength


def aperture(
    gpts: tuple[int, int], extent: tuple[float, float], energy: float, semiangle: float, soft: bool = True
) -> np.ndarray:
    """Amplitude of a round aperture of ``semiangle`` radian on the grid in FFT order, sum of squares 1; [ny, nx] float64.

    ``soft`` gives it a linear edge one grid step wide (a beam counts by how far it lies inside); otherwise it is cut.
    """
    kx, ky = frequencies(gpts, extent)
    weight = aperture_weight(kx[None, :], ky[:, None], extent, energy, semiangle, soft)
    return weight / math.sqrt(float(np.sum(weight**2)))


def aperture_weight(
    kx: np.ndarray, ky: np.ndarray, extent: tuple[float, float], energy: float, semiangle: float, soft: bool = True
) -> np.ndarray:
    """Unnormalised amplitude of the aperture at (kx, ky) in 1/angstrom; the soft edge is one step 1/extent wide (their mean)."""
    if not 0.0 < semiangle < 0.2:
        raise ValueError(f"semiangle is {semiangle} rad; give the convergence semi-angle in radian, between 0 and 0.2")
    length = wavelength(energy)
    angle = length * np.hypot(kx, ky)
    if not soft:
        return (angle <= semiangle).astype(np.float64)
    step = length * 0.5 * (1.0 / extent[0] + 1.0 / extent[1])
    return np.clip((semiangle - angle) / step + 0.5, 0.0, 1.0)


def probe(
    coefficients: Float[Array | np.ndarray, " 25"],
    positions: Float[Array | np.ndarray, "*batch 2"],
    amplitude: Float[Array | np.ndarray, "y x"],
    extent: tuple[float, float],
    energy: float,
    dtype: Any = jnp.complex64,
) -> Complex[Array, "*batch y x"]:
    """Incident waves psi(x - r) at ``positions`` r (x, y) in angstrom, aberrations in angstrom, ``amplitude`` as `aperture` gives it."""
    ny, nx = amplitude.shape
    kx, ky = frequencies((ny, nx), extent)
    grid_x, grid_y = jnp.broadcast_arrays(jnp.asarray(kx)[None, :], jnp.asarray(ky)[:, None])
    chi = phase(jnp.asarray(coefficients), grid_x, grid_y, wavelength(energy))
    spots = jnp.asarray(positions, jnp.float64)
    lead = (1,) * (spots.ndim - 1)
    along_x, along_y = jnp.asarray(kx).reshape(*lead, 1, nx), jnp.asarray(ky).reshape(*lead, ny, 1)
    shift = spots[..., 0, None, None] * along_x + spots[..., 1, None, None] * along_y
    angle = -chi.reshape(*lead, ny, nx) - 2.0 * jnp.pi * shift
    window = jnp.asarray(amplitude).reshape(*lead, ny, nx)
    spectrum = (jax.lax.complex(jnp.cos(angle), jnp.sin(angle)) * window).astype(dtype)
    return jnp.fft.ifft2(spectrum) * jnp.asarray(ny * nx, spectrum.real.dtype)


def gauss_hermite(sigma: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and weights (sum 1) whose average is that over a Gaussian of rms ``sigma``: for defocus spread, or one axis of a source."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return sigma * points, weights / weights.sum()


def source_offsets(sigma: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions [nodes^2, 2] in angstrom and weights of a round Gaussian source of rms ``sigma`` angstrom."""
    points, weights = gauss_hermite(sigma, nodes)
    x, y = np.meshgrid(points, points)
    return np.stack([x.ravel(), y.ravel()], axis=-1), np.outer(weights, weights).ravel()
