"""A perfect crystal in one unit cell: each incident beam k couples only to k + g, so its waves fit on the cell's own grid.

The wave of an incident beam k = q + g_j, q in the first Brillouin zone, is exp(2 pi i q.x) times a function with the cell's period; that
function goes through the slices of one cell with the propagator taken at q + g. The same multislice as on a supercell whose side
holds all the q, with 1 / (number of cells) of its points for every wave.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twin import checks
from twin.grid import band_limit, frequencies
from twin.optics.probe import Edge
from twin.sample.specimen import Slices
from twin.scattering.batching import compiled, in_pieces
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.stem.beams import Response, beams, gram, plane_waves
from twin.scattering.stem.grams import Grams


def zones(indices: np.ndarray, repeats: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of beams [n, 2] (indices on the lattice of ``repeats`` cells) that a crystal couples: ``members`` [blocks, m] padded with -1, and the
    reduced index [blocks, 2] of each, nearest zero."""
    period = np.asarray(repeats)
    reduced = (indices + period // 2) % period - period // 2
    unique, owner = np.unique(reduced, axis=0, return_inverse=True)
    counts = np.bincount(owner.ravel())
    members = np.full((len(unique), counts.max()), -1)
    for block in range(len(unique)):
        members[block, : counts[block]] = np.flatnonzero(owner.ravel() == block)
    return members, unique


def symmetries(
    functions: np.ndarray, weights: Callable[[np.ndarray], bool], tolerance: float = 1e-4
) -> list[np.ndarray]:
    """Integer matrices [2, 2] (x, y) of the plane point operations about the origin that leave all slices ``functions`` [slices, ny, nx] and,
    as ``weights`` says, the detector as they are; the identity first. Diagonals only where the cell is square on its grid."""
    ny, nx = functions.shape[-2:]
    y, x = np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij")
    scale = np.abs(functions).max()
    operations = []
    for a, b, c, d in (
        (1, 0, 0, 1),
        (-1, 0, 0, -1),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
        (0, -1, 1, 0),
        (0, 1, -1, 0),
    ):
        operation = np.array([[a, b], [c, d]])
        if b != 0 and nx != ny:
            continue
        transformed = functions[:, (c * x + d * y) % ny, (a * x + b * y) % nx]
        if np.abs(transformed - functions).max() <= tolerance * scale and weights(operation):
            operations.append(operation)
    return operations


def crystal_grams(
    cell: Slices,
    cells: int,
    repeats: tuple[int, int],
    energy: float,
    semiangle: float,
    detectors: Sequence[Response],
    tilt: tuple[float, float] = (0.0, 0.0),
    soft: Edge = True,
    cutoff: float | None = None,
    finer: int = 2,
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Grams], float]:
    """Gram matrices for each of ``detectors`` of a perfect crystal, ``cells`` unit cells deep, from the slices of one ``cell``; and the share of
    the transmitted beam, averaged over all probe positions.

    ``repeats`` (x, y) cells make the periodic extent in which a probe lives and so say which incident beams there are. ``semiangle`` and specimen
    ``tilt`` (x, y) in radian. ``cutoff`` of the band as in `grid.band_limit`: a supercell's, to have its waves; ``finer`` as in `transmission`.
    ``progress`` hears the share that is done.
    """
    checks.require_float64()
    gpts = (cell.array.shape[-2], cell.array.shape[-1])
    extent = (cell.extent[0] * repeats[0], cell.extent[1] * repeats[1])
    bundle = beams(extent, energy, semiangle, soft)
    members, reduced = zones(bundle.indices, repeats)
    functions = jnp.tile(transmission(cell.array, energy, band_limit(gpts, cell.extent, cutoff), finer), (cells, 1, 1))
    kx, ky = frequencies(gpts, cell.extent)
    q = reduced / np.asarray(extent)[None, :]
    weights = np.stack(
        [[detector(kx[None, :] + k[0], ky[:, None] + k[1]).ravel() for detector in detectors] for k in q]
    )
    recorded = np.flatnonzero(np.any(weights != 0.0, axis=(0, 1)))
    weights = weights[:, :, recorded].astype(np.float32)
    inner = np.where(members[..., None] >= 0, (bundle.indices[members] - reduced[:, None, :]) // np.asarray(repeats), 0)

    run, where = _block_run(), jnp.asarray(recorded)
    fixed = (functions, where)
    group = point_group(cell, functions, bundle.indices, extent, detectors, tilt)
    plan = block_plan(bundle.indices, members, group)
    work = (
        (
            jnp.asarray(inner[n]),
            propagator(gpts, cell.extent, energy, cell.spacing, tilt, cutoff=cutoff, q=q[n]),
            jnp.asarray(weights[n]),
            *fixed,
        )
        for n in plan
    )
    matrices = np.zeros((len(detectors), len(members), members.shape[1], members.shape[1]), np.complex64)
    transmitted = 0.0
    for number, (block_number, result) in enumerate(zip(plan, in_pieces(run, work, workers), strict=True)):
        grams, shares = (np.asarray(part) for part in result)
        for target, order in plan[block_number]:
            matrices[:, target] = grams[:, order][:, :, order]
            beam_numbers = members[target]
            transmitted += float((bundle.amplitude[beam_numbers] ** 2 * shares[order])[beam_numbers >= 0].sum())
        if progress is not None:
            progress((number + 1) / len(plan))
    return [
        Grams(matrix, members, bundle.indices, bundle.amplitude, extent, energy) for matrix in matrices
    ], transmitted


def _block(lattice: Array, kernel: Array, weights: Array, functions: Array, pixels: Array) -> tuple[Array, Array]:
    """Gram matrices [d, m, m] of the beams g_j = ``lattice`` [m, 2] of one block for ``weights`` [d, pixels], and the share of each beam [m] that
    comes through."""
    gpts = (kernel.shape[0], kernel.shape[1])
    waves = multislice(plane_waves(lattice, gpts), functions, kernel)
    amplitudes = jnp.fft.fft2(waves).reshape(waves.shape[0], -1)[:, pixels] / (gpts[0] * gpts[1])
    matrices = jax.lax.map(lambda weight: gram(amplitudes.astype(jnp.complex64), weight), weights)
    return matrices, (waves.real**2 + waves.imag**2).mean(axis=(1, 2))


@functools.cache
def _block_run() -> Any:
    return compiled(_block)


def point_group(
    cell: Slices,
    functions: Array,
    indices: np.ndarray,
    extent: tuple[float, float],
    detectors: Sequence[Response],
    tilt: tuple[float, float],
) -> list[np.ndarray]:
    """Operations under which crystal, beam and every detector are as they were; the identity alone for a tilted crystal."""
    known = {tuple(pair) for pair in indices.tolist()}
    gpts = (cell.array.shape[-2], cell.array.shape[-1])
    kx, ky = np.meshgrid(*frequencies(gpts, cell.extent))
    sampled = [detector(kx, ky) for detector in detectors]

    def same(operation: np.ndarray) -> bool:
        if np.any(operation[0, 1]) and not np.isclose(extent[0], extent[1], rtol=1e-9):
            return False
        if not all(tuple(pair) in known for pair in (indices @ operation.T).tolist()):
            return False
        rotated = [detector(*(np.tensordot(operation, np.stack([kx, ky]), axes=1))) for detector in detectors]
        return all(np.abs(a - b).max() <= 1e-6 * np.abs(b).max() for a, b in zip(rotated, sampled, strict=True))

    upright = not np.any(np.asarray(tilt))
    cell_functions = np.asarray(functions[: cell.array.shape[0]])
    return symmetries(cell_functions, same) if upright else [np.eye(2, dtype=int)]


def block_plan(
    indices: np.ndarray, members: np.ndarray, group: list[np.ndarray]
) -> dict[int, list[tuple[int, list[int]]]]:
    """Blocks to compute, and for each the blocks that follow from it by G[R j, R k] = G[j, k]: their numbers, and for each of their beams
    which of the computed block's it is the image of."""
    owner = {}
    for block, block_members in enumerate(members):
        for position, number in enumerate(block_members):
            if number >= 0:
                owner[tuple(indices[number].tolist())] = (block, position)
    plan: dict[int, list[tuple[int, list[int]]]] = {}
    done: set[int] = set()
    width = members.shape[1]
    for block, block_members in enumerate(members):
        if block in done:
            continue
        plan[block] = []
        present = [number for number in block_members if number >= 0]
        for operation in group:
            images = [owner[tuple((operation @ indices[number]).tolist())] for number in present]
            target = images[0][0]
            if target in done:
                continue
            order = list(range(width))
            for position, (_, source) in enumerate(images):
                order[source] = position
            plan[block].append((target, order))
            done.add(target)
    return plan
