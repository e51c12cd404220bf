"""Projected potentials of atoms on a grid: scattering factors of Lobato and Van Dyck times exact structure factors.

Every atom is projected whole along z into one slice. Positions enter through the phases of its Fourier components, so sub-pixel
positions are exact and the potential is differentiable in x and y. Potentials are in V angstrom.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from twin.grid import frequencies
from twin.optics.electrons import LIGHT_ANGSTROM_S, PLANCK_EV_S, REST_ENERGY_EV
from twin.sample.lobato import LOBATO

_POTENTIAL_PER_FACTOR = (PLANCK_EV_S * LIGHT_ANGSTROM_S) ** 2 / (2.0 * np.pi * REST_ENERGY_EV)
"""h^2 / (2 pi m e) in V angstrom^2: Fourier transform of a potential per scattering factor in angstrom."""


def projected_factor(symbol: str, k_squared: np.ndarray) -> np.ndarray:
    """Fourier transform in V angstrom^3 of the projected potential of an atom at |k|^2 in 1/angstrom^2. ValueError if not in the table."""
    if symbol not in LOBATO:
        raise ValueError(
            f"no scattering factor for element {symbol!r}; the table holds hydrogen to lawrencium (Z 1 to 103)"
        )
    total = np.zeros_like(k_squared, dtype=np.float64)
    for a, b in zip(*LOBATO[symbol], strict=True):
        total += a * (2.0 + b * k_squared) / (1.0 + b * k_squared) ** 2
    return _POTENTIAL_PER_FACTOR * total


def factors(symbols: tuple[str, ...], gpts: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """`projected_factor` of every symbol on the grid in FFT order: [elements, ny, nx] float64."""
    kx, ky = frequencies(gpts, extent)
    k_squared = kx[None, :] ** 2 + ky[:, None] ** 2
    return np.stack([projected_factor(symbol, k_squared) for symbol in symbols])


@partial(jax.jit, static_argnames=("extent",))
def project(
    positions: Float[Array | np.ndarray, "atoms 3"],
    members: Int[Array | np.ndarray, "slices elements most"],
    factors: Float[Array | np.ndarray, "elements y x"],
    extent: tuple[float, float],
) -> Float[Array, "slices y x"]:
    """Projected potential of every slice in V angstrom, in the dtype of ``factors``.

    ``positions`` in angstrom; ``members`` are the indices of the atoms of one element in one slice, padded with -1; ``factors`` as
    `factors` gives them; ``extent`` (x, y) of the periodic cell in angstrom.
    """
    ny, nx = factors.shape[-2:]
    complex_type = jnp.complex128 if factors.dtype == jnp.float64 else jnp.complex64
    kx, ky = frequencies((ny, nx), extent)
    x, y = jnp.asarray(positions)[:, 0], jnp.asarray(positions)[:, 1]

    def wave(coordinate: Array, k: np.ndarray) -> Array:
        angle = -2.0 * jnp.pi * coordinate[..., None] * jnp.asarray(k, coordinate.dtype)[None, :]
        return jax.lax.complex(jnp.cos(angle), jnp.sin(angle)).astype(complex_type)

    def one_slice(indices: Array) -> Array:
        present = (indices >= 0).astype(complex_type)
        structure = jax.vmap(lambda i, w: (wave(y[i], ky) * w[:, None]).T @ wave(x[i], kx))(indices, present)
        spectrum = jnp.sum(structure * factors, axis=0)
        return jnp.fft.ifft2(spectrum).real * (ny * nx / (extent[0] * extent[1]))

    return jax.lax.map(one_slice, jnp.asarray(members)).astype(factors.dtype)
