"""Waves at the depths of atoms, in blocks of beams that a crystal couples: on the way in from the source, and on the way back from the detector.

Waves of a block are exp(2 pi i q.x) times functions with the cell's period (`twin.scattering.stem.crystal`). The amplitude that a wave phi before a slice
has in the beam k behind the specimen is sum over points of b_k(x) phi(x): b_k is exp(-2 pi i k.x) through the transposed steps, which is the wave of a
source in the place of the detector (reciprocity).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from twin.scattering.batching import compiled
from twin.scattering.multislice import together
from twin.scattering.stem.beams import plane_waves


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
def run(back: bool) -> Any:
    """``(lattice [n, 2], functions [slices, y, x], kernel [y, x], cells, planes) -> waves [n, cells, planes, y x]`` before the slices ``planes``
    (rising) of every cell: of plane waves exp(2 pi i g.x) at the entrance face, or, ``back``, at the exit face on the way to the entrance. The
    ``kernel`` is the propagator at q + g, for waves on their way back with the opposite tilt. Compiled once for each shape."""
    return compiled(_backwards if back else _inwards, static_argnums=(3, 4))


def _coupled(back: Array, inside: Array, modes: Array, weights: Array) -> Array:
    """sum over cells, collected beams and modes of A* A', A = sum over points of back values inside: [j, j]."""
    count = inside.shape[0]
    back = jnp.broadcast_to(back, (back.shape[0], *inside.shape[1:]))

    def at_depth(total: Array, depth: tuple[Array, Array]) -> tuple[Array, None]:
        b, u = depth
        left = (b[:, None, :] * weights[:, None, None] * modes[None, :, :]).reshape(-1, modes.shape[-1])
        amplitudes = left @ u.T
        return total + amplitudes.conj().T @ amplitudes, None

    start = jnp.zeros((count, count), inside.dtype)
    return jax.lax.scan(at_depth, start, (back.swapaxes(0, 1), inside.swapaxes(0, 1)))[0]


def _local(inside: Array, potential: Array) -> Array:
    """sum over cells and points of u* W u': [j, j]."""

    def at_depth(total: Array, u: Array) -> tuple[Array, None]:
        return total + (u.conj() * potential) @ u.T, None

    start = jnp.zeros((inside.shape[0], inside.shape[0]), inside.dtype)
    return jax.lax.scan(at_depth, start, inside.swapaxes(0, 1))[0]


@functools.cache
def coupled_run() -> Any:
    """``(back [k, cells, x], inside [j, cells, x], modes [n, x], weights [k]) -> Gram matrix [j, j]``; ``back`` may have one depth for all."""
    return compiled(_coupled)


@functools.cache
def local_run() -> Any:
    """``(inside [j, cells, x], potential [x]) -> Gram matrix [j, j]``."""
    return compiled(_local)

