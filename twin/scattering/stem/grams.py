"""Detector Gram matrices in blocks, and images from them at any aberrations, positions and source without further multislice.

With S[q, j] the amplitude in beam q behind the specimen for the incident plane wave j and D the detector's weights, G = S^H D S. A probe
sum_j a_j |k_j> at r has a_j = A_j exp(-i chi_j - 2 pi i k_j.r), and the detector sees

    I(r) = a^H G a = sum_g I_g exp(2 pi i g.r),   I_g = sum over k_j - k_k = g of conj(a_j) a_k G_jk  (a at r = 0).

A perfect crystal scatters an incident beam only to k + g, with g of its own reciprocal lattice: G falls into blocks.
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Complex, Float, Shaped

from twin import checks
from twin.optics.aberrations import phase
from twin.optics.electrons import wavelength
from twin.phases import cis, cos_sin
from twin.scattering.stem.beams import Beams


class Grams(eqx.Module):
    """Gram matrices of one detector. ``matrices`` [blocks, m, m] couple the beams ``members`` [blocks, m] (-1: none) of ``indices`` [n, 2]
    (x, y) on the reciprocal lattice of ``extent`` (x, y) in angstrom; ``amplitude`` [n] of the unaberrated probe; ``energy`` in eV."""

    matrices: Complex[Array | np.ndarray, "blocks m m"]
    members: np.ndarray
    indices: np.ndarray
    amplitude: np.ndarray
    extent: tuple[float, float] = eqx.field(static=True)
    energy: float = eqx.field(static=True)

    @property
    def k(self) -> np.ndarray:
        """Spatial frequencies [n, 2] of the incident beams in 1/angstrom."""
        return self.indices / np.asarray(self.extent)[None, :]

    @property
    def reach(self) -> tuple[int, int]:
        """Largest difference (x, y) between two beams' indices."""
        span = self.indices.max(axis=0) - self.indices.min(axis=0)
        return int(span[0]), int(span[1])

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pair of beams adds [blocks, m, m] in the flat spectrum of the image, and whether both beams exist."""
        along = self.reach
        member = np.maximum(self.members, 0)
        difference = self.indices[member][:, :, None, :] - self.indices[member][:, None, :, :]
        row = (difference[..., 1] + along[1]) * (2 * along[0] + 1) + difference[..., 0] + along[0]
        present = self.members >= 0
        return row, present[:, :, None] & present[:, None, :]


def whole(bundle: Beams, extent: tuple[float, float], energy: float, matrix: Array | np.ndarray) -> Grams:
    """One block [n, n] with all beams: the general form."""
    members = np.arange(len(bundle.indices))[None, :]
    return Grams(matrix[None], members, bundle.indices, bundle.amplitude, extent, energy)


def image_spectrum(
    grams: Grams,
    coefficients: Float[Array | np.ndarray, " 25"],
    focal_spread: float | Float[Array, ""] = 0.0,
) -> Complex[Array, "gy gx"]:
    """I_g on the lattice of ``grams``, g = 0 in the middle: index (gy + reach_y, gx + reach_x). ``coefficients`` and rms ``focal_spread`` in angstrom.

    Pure and differentiable; the average over focal spread is exact.
    """
    row, present = grams.pairs()
    order = np.argsort(row, axis=None, kind="stable")
    along = grams.reach
    spread = None if not isinstance(focal_spread, Tracer) and float(focal_spread) == 0.0 else focal_spread
    return _image_spectrum(
        coefficients, spread, grams.k, grams.amplitude, grams.matrices, np.maximum(grams.members, 0), present,
        order, row.reshape(-1)[order], (2 * along[1] + 1, 2 * along[0] + 1), wavelength(grams.energy),
    )  # fmt: skip


@functools.partial(jax.jit, static_argnames=("shape", "length"), inline=True)
def _image_spectrum(
    coefficients, focal_spread, k, amplitude, matrices, member, present, order, sorted_row, shape, length
):
    chi = phase(coefficients, k[:, 0], k[:, 1], length)
    real = matrices.real.dtype
    wave = (amplitude * cis(-chi)).astype(matrices.dtype)
    a = wave[member]
    weight = present.astype(real)
    if focal_spread is not None:
        square = jnp.sum(k**2, axis=1)[member]
        blur = math.pi * length * checks.float64(focal_spread)
        weight = weight * jnp.exp(-0.5 * (blur * (square[:, :, None] - square[:, None, :])) ** 2).astype(real)
    pairs = jnp.conj(a)[:, :, None] * a[:, None, :] * matrices * weight
    sums = jax.ops.segment_sum(pairs.reshape(-1)[order], sorted_row, shape[0] * shape[1], indices_are_sorted=True)
    return sums.reshape(shape)


def raster(
    spectrum: Complex[Array, "gy gx"],
    extent: tuple[float, float],
    x: Shaped[Array | np.ndarray, " nx"],
    y: Shaped[Array | np.ndarray, " ny"],
    source: float | Float[Array, ""] = 0.0,
) -> Float[Array, "ny nx"]:
    """The image at all pairs of ``x`` and ``y`` in angstrom, as fractions of the beam, for a round Gaussian source of rms ``source`` angstrom."""
    return _raster(spectrum, (float(extent[0]), float(extent[1])), x, y, source)


@functools.partial(jax.jit, static_argnames="extent", inline=True)
def _raster(spectrum, extent, x, y, source):
    def along(count: int, side: float, points: Shaped[Array | np.ndarray, " n"]) -> Array:
        g = (np.arange(count) - count // 2) / side
        turns = checks.float64(points)[:, None] * jnp.asarray(g)[None, :]
        blur = jnp.exp(-2.0 * math.pi**2 * checks.float64(source) ** 2 * g**2)[None, :]
        return (blur * jax.lax.complex(*cos_sin(turns))).astype(spectrum.dtype)

    over_y, over_x = along(spectrum.shape[0], extent[1], y), along(spectrum.shape[1], extent[0], x)
    return (over_y @ spectrum @ over_x.T).real
