"""Waves at the depths of atoms, in blocks of beams that a crystal couples: on the way in from the source, and on the way back from the detector.

Waves of a block are exp(2 pi i q.x) times functions with the cell's period (`twin.scattering.stem.crystal`). The amplitude that a wave phi before a slice
has in the beam k behind the specimen is sum over points of b_k(x) phi(x): b_k is exp(-2 pi i k.x) through the transposed steps, which is the wave of a
source in the place of the detector (reciprocity).

The waves of a block at all depths span few dimensions, about as many as there are Bloch waves with some weight (`Depths`): transition potentials meet
those instead of every wave at every depth.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from twin.scattering.batching import compiled
from twin.scattering.multislice import together
from twin.scattering.stem.beams import plane_waves

NEGLECTED = 2e-4
"""Largest share of the intensity at all depths that `Depths` may leave out, in weak beams at high angles: maps of 24 cells of SrTiO3 change by at most
6e-4 of their mean."""
FIRST_DIMENSIONS, GROWTH = 160, 1.5
"""Random sums that are tried first, and how their number grows until little enough is left out."""
STEP = 32
"""Dimensions are a multiple of this where they can, so that few shapes are compiled."""


def _inwards(lattice: Array, functions: Array, kernel: Array, cells: int, planes: tuple[int, ...]) -> Array:
    def through_cell(psi: Array, _: None) -> tuple[Array, Array]:
        kept = []
        for number in range(functions.shape[0]):
            if number in planes:
                kept.append(psi)
            psi = jnp.fft.ifft2(jnp.fft.fft2(psi * functions[number]) * kernel)
        return psi, jnp.stack(kept)

    return _each(through_cell, lattice, functions, kernel, cells)


def _backwards(lattice: Array, functions: Array, kernel: Array, cells: int, planes: tuple[int, ...]) -> Array:
    def through_cell(psi: Array, _: None) -> tuple[Array, Array]:
        kept = []
        for number in reversed(range(functions.shape[0])):
            psi = functions[number] * jnp.fft.ifft2(jnp.fft.fft2(psi) * kernel)
            if number in planes:
                kept.append(psi)
        return psi, jnp.stack(kept[::-1])

    return _each(through_cell, lattice, functions, kernel, cells)[:, ::-1]


def _each(through_cell: Any, lattice: Array, functions: Array, kernel: Array, cells: int) -> Array:
    """Plane waves ``lattice`` [n, 2] one by one through all cells: [n, cells, planes, y x]."""
    gpts = (kernel.shape[0], kernel.shape[1])

    def single(wave: Array) -> Array:
        kept = jax.lax.scan(through_cell, wave, None, length=cells)[1]
        return kept.reshape(*kept.shape[:2], -1)

    waves = plane_waves(lattice, gpts, functions.dtype)
    return jax.lax.map(single, waves, batch_size=together(gpts, functions.dtype))


@functools.cache
def through(back: bool) -> Any:
    """``(lattice [n, 2], functions [slices, y, x], kernel [y, x], cells, planes) -> waves [n, cells, planes, y x]`` before the slices ``planes``
    (rising) of every cell: of plane waves exp(2 pi i g.x) at the entrance face, or, ``back``, at the exit face on the way to the entrance. The
    ``kernel`` is the propagator at q + g, for waves on their way back with the opposite tilt. Compiled once for each shape."""
    return compiled(_backwards if back else _inwards, static_argnums=(3, 4))


class Depths(NamedTuple):
    """Waves of a block at one slice of every cell: ``coefficients`` [n, cells, r] of the functions ``rows`` [r, points]."""

    coefficients: Complex[Array, "n cells r"]
    rows: Complex[Array, "r points"]


def depths_of(waves: Complex[Array, "n cells points"]) -> Depths:
    """``waves`` in few dimensions that leave out no more than NEGLECTED of their intensity; waves at one depth are left as they are.

    The range of random sums of all waves (Halko, Martinsson and Tropp, SIAM Review 53, 217, 2011), and of that the principal components.
    """
    if waves.shape[1] == 1:
        return Depths(jnp.eye(waves.shape[0], dtype=waves.dtype)[:, None, :], waves[:, 0])
    count, points = waves.shape[0] * waves.shape[1], waves.shape[2]
    sums = FIRST_DIMENSIONS
    while sums < min(count, points):
        components, left_out = _projected(waves, _mixture(sums, count))
        if float(left_out[-1]) <= NEGLECTED / 2:
            enough = 1 + int(np.argmax(np.asarray(left_out) <= NEGLECTED))
            size = min(-(-enough // STEP) * STEP, sums)
            return Depths(components.coefficients[:, :, -size:], components.rows[-size:])
        sums = int(GROWTH * sums)
    if count <= points:
        return _projected(waves, np.eye(count, dtype=np.float32))[0]
    return Depths(waves, jnp.eye(points, dtype=waves.dtype))


@functools.cache
def _mixture(sums: int, count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((sums, count), np.float32)


@jax.jit
def _projected(waves: Array, mixture: Array) -> tuple[Depths, Array]:
    """``waves`` in the principal components of their random sums, the weakest first, and the share of the intensity
    that the strongest, the two strongest, ... and all of them leave out."""
    flat = waves.reshape(-1, waves.shape[2])
    columns = jnp.linalg.qr((mixture.astype(flat.dtype) @ flat).T)[0]
    coefficients = flat @ columns.conj()
    power, turn = jnp.linalg.eigh(coefficients.conj().T @ coefficients)
    total = jnp.sum(jnp.abs(flat) ** 2, dtype=jnp.float64)
    kept = jnp.cumsum(power[::-1].astype(jnp.float64))
    left_out = 1.0 - kept / total
    rows = (columns @ turn.conj()).T
    return Depths((coefficients @ turn).reshape(*waves.shape[:2], -1), rows), left_out


def _coupled(back: Depths, inside: Depths, modes: Array, weights: Array) -> Array:
    points = modes.shape[-1]
    # [r of back x modes, r of inside]
    matrices = (back.rows[:, None, :] * modes[None, :, :]).reshape(-1, points) @ inside.rows.T
    count, cells = inside.coefficients.shape[:2]
    left = back.coefficients * weights[:, None, None]
    left = jnp.broadcast_to(left, (left.shape[0], cells, left.shape[2]))

    def at_depth(total: Array, depth: tuple[Array, Array]) -> tuple[Array, None]:
        b, u = depth
        met = (matrices @ u.T).reshape(b.shape[1], -1)  # [r of back, modes x j]
        amplitudes = (b @ met).reshape(-1, count)
        return total + amplitudes.conj().T @ amplitudes, None

    start = jnp.zeros((count, count), modes.dtype)
    return jax.lax.scan(at_depth, start, (left.swapaxes(0, 1), inside.coefficients.swapaxes(0, 1)))[0]


def _local(inside: Depths, potential: Array) -> Array:
    matrix = (inside.rows.conj() * potential[None, :]) @ inside.rows.T
    flat = inside.coefficients
    return jnp.einsum("jcr,rs,kcs->jk", flat.conj(), matrix, flat, optimize=True)


@functools.cache
def coupled() -> Any:
    """``(back, inside, modes [n, points], weights [k]) -> Gram matrix [j, j]``: sum over cells, beams k and modes of A* A', with A the sum over points of
    the three. ``back`` may have one depth for all cells."""
    return compiled(_coupled)


@functools.cache
def local() -> Any:
    """``(inside, potential [points]) -> Gram matrix [j, j]``: sum over cells and points of psi* W psi'."""
    return compiled(_local)
