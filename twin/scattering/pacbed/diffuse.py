"""Thermal diffuse scattering between the Bragg beams of a crystal, for all incident directions and thicknesses, from frozen phonons.

In a supercell with random displacements, the Bragg beams are those of the unit cell, and all other beams are diffuse scattering, including
its further scattering in the crystal (Kikuchi bands). At the Bragg beams it is interpolated from its neighbours. It is smooth, so that
few directions and configurations suffice: layers of cells are drawn from a pool and shifted at random by whole cells, so that layers with equal
displacements do not interfere.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.ndimage import gaussian_filter

from twin import checks
from twin.grid import band_limit
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.scattering.batching import compiled, in_pieces
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.pacbed.rocking import directions
from twin.scattering.stem.beams import plane_waves
from twin.scattering.stem.crystal import symmetries

LAYER_COUNT = 24
"""Layers in the pool, one cell thick, each with its own displacements."""
WAVE_BATCH = 8
"""Waves that pass the same layers."""
SMOOTHING_WIDTH = 0.8
"""Rms width of the filter over outgoing directions in steps of their lattice."""


class Diffuse(NamedTuple):
    """Diffuse intensities ``table`` [depths, m, ny, nx] (shares of one incident beam per outgoing direction) of incident directions ``k`` [m, 2].

    Directions are integers (x, y) on a lattice of ``step`` radian in the crystal's frame, outgoing ones with K = 0 in the middle; ``depths`` in angstrom.
    """

    depths: Float[np.ndarray, " depths"]
    table: Float[np.ndarray, "depths m y x"]
    k: Int[np.ndarray, "m 2"]
    step: tuple[float, float]


def diffuse(
    cell: Specimen,
    slices: int,
    gpts: tuple[int, int],
    energy: float,
    incident: float,
    reach: float,
    thickness: float,
    repeats: tuple[int, int],
    configurations: int = 4,
    spacing: float = 25.0,
    seed: int = 0,
    parametrization: str = "lobato",
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Diffuse:
    """Diffuse scattering of a crystal of the unit ``cell`` (``slices`` and ``gpts`` (ny, nx) as in `rocking`), about every ``spacing`` up to ``thickness``.

    The supercell is ``repeats`` (x, y) cells wide, ``seed`` fixes the displacements, each direction meets ``configurations`` of them (more where symmetry
    lets directions share). Angles in radian and depths in angstrom.
    """
    checks.require_float64()
    length = wavelength(energy)
    wide = (gpts[0] * repeats[1], gpts[1] * repeats[0])
    extent = (cell.extent[0] * repeats[0], cell.extent[1] * repeats[1])
    step = (length / extent[0], length / extent[1])
    at_rest = cell.slices(gpts, slices, parametrization=parametrization)
    group = symmetries(
        np.asarray(transmission(at_rest.array, energy, band_limit(gpts, cell.extent), 2)), lambda _: True
    )
    pool = _pool(cell, slices, wide, energy, repeats, seed, parametrization)
    kernel = propagator(wide, extent, energy, cell.thickness / slices)
    k = directions(step, incident)
    number_of = {tuple(direction): number for number, direction in enumerate(k.tolist())}
    orbits = _orbits(k, number_of, group)
    cells_per_depth = max(1, round(spacing / cell.thickness))
    depths = np.arange(1, int(np.ceil(thickness / cell.thickness / cells_per_depth)) + 1) * cells_per_depth
    half = [int(reach / pitch) + 1 for pitch in step]
    rows, columns = np.arange(-half[1], half[1] + 1), np.arange(-half[0], half[0] + 1)
    pixels = (rows[:, None] % wide[0]) * wide[1] + columns[None, :] % wide[1]

    run, generator = _run(), np.random.default_rng(seed)
    waves = np.tile(np.asarray(list(orbits)), configurations)
    groups = [waves[start : start + WAVE_BATCH] for start in range(0, len(waves), WAVE_BATCH)]

    def work() -> Any:
        for members in groups:
            indices = k[np.resize(members, WAVE_BATCH)]
            layers = generator.integers(0, LAYER_COUNT, int(depths[-1]))
            moves = generator.integers(0, repeats, (int(depths[-1]), 2)) * np.array([gpts[1], gpts[0]])
            shaped = (len(depths), cells_per_depth)
            yield (
                jnp.asarray(indices), kernel, pool, jnp.asarray(layers.reshape(shaped)),
                jnp.asarray(moves.reshape(*shaped, 2)), jnp.asarray(pixels.ravel()),
            )  # fmt: skip

    sums = np.zeros((len(k), len(depths), len(rows), len(columns)), np.float32)
    for number, (members, result) in enumerate(zip(groups, in_pieces(run, work(), workers), strict=True)):
        images = np.asarray(result)[:, : len(members)].reshape(len(depths), len(members), len(rows), len(columns))
        for column, source in enumerate(members):
            sums[source] += images[:, column] / configurations
        if progress is not None:
            progress((number + 1) / len(groups))
    table = np.zeros_like(sums)
    for source, images in orbits.items():
        smooth = _between(sums[source], k[source], rows, columns, repeats)
        for target, operation in images:
            table[target] = _turned(smooth, operation)
    return Diffuse(depths * cell.thickness, np.ascontiguousarray(table.swapaxes(0, 1)), k, step)


def _pool(
    cell: Specimen, slices: int, wide: tuple[int, int], energy: float, repeats: tuple[int, int], seed: int, table: str
) -> Array:
    """Transmission functions [POOL, slices, y, x] of layers of displaced cells."""
    index = np.stack(np.meshgrid(np.arange(repeats[0]), np.arange(repeats[1]), [0], indexing="ij"), -1).reshape(-1, 3)
    moves = (index[:, None, :] * np.asarray(cell.cell)).repeat(len(cell.symbols), axis=1)
    positions = (moves + cell.positions[None]).reshape(-1, 3)
    size = (cell.cell[0] * repeats[0], cell.cell[1] * repeats[1], cell.cell[2])
    layer = Specimen(
        positions, np.tile(cell.u2, len(index)), cell.symbols * len(index), size, np.tile(cell.occupancy, len(index))
    )
    limit, layers = band_limit(wide, layer.extent), []
    for number in range(LAYER_COUNT):
        displacements = layer.displacements(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        # planes keep their slices: a layer must fit any other
        displacements[:, 2] = 0.0
        layers.append(
            transmission(layer.slices(wide, slices, displacements, parametrization=table).array, energy, limit, 2)
        )
    return jnp.stack(layers)


def _orbits(
    k: np.ndarray, number_of: dict[tuple[int, ...], int], group: list[np.ndarray]
) -> dict[int, list[tuple[int, np.ndarray]]]:
    """One direction of every set that symmetry makes equal, with all of the set and the operations that lead to them."""
    orbits: dict[int, list[tuple[int, np.ndarray]]] = {}
    done: set[int] = set()
    for number, direction in enumerate(k):
        if number in done:
            continue
        orbits[number] = []
        for operation in group:
            target = number_of.get(tuple((operation @ direction).tolist()))
            if target is not None and target not in done:
                orbits[number].append((target, operation))
                done.add(target)
    return orbits


def _between(
    images: np.ndarray, direction: np.ndarray, rows: np.ndarray, columns: np.ndarray, repeats: tuple[int, int]
) -> np.ndarray:
    """Smoothed images [depths, y, x] without the Bragg beams of the incident direction ``direction``."""
    free = ((rows[:, None] - direction[1]) % repeats[1] != 0) | ((columns[None, :] - direction[0]) % repeats[0] != 0)
    weight = gaussian_filter(free.astype(np.float64), SMOOTHING_WIDTH, mode="constant")
    diffuse_part = np.where(free, images, 0.0)
    return gaussian_filter(diffuse_part, (0.0, SMOOTHING_WIDTH, SMOOTHING_WIDTH), mode="constant") / np.maximum(
        weight, 1e-6
    )


def _turned(images: np.ndarray, operation: np.ndarray) -> np.ndarray:
    """Images [depths, y, x] whose value at operation @ K is that of ``images`` at K."""
    y, x = np.meshgrid(*(np.arange(-(n // 2), n // 2 + 1) for n in images.shape[1:]), indexing="ij")
    inverse = np.rint(np.linalg.inv(operation)).astype(int)
    source_x, source_y = inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y
    return images[:, source_y + images.shape[1] // 2, source_x + images.shape[2] // 2]


def _intensities(waves: Array, kernel: Array, pool: Array, layers: Array, moves: Array, pixels: Array) -> Array:
    """Intensities [depths, m, pixels] of plane waves behind ``layers`` [depths, cells] of the pool, moved by ``moves`` [depths, cells, 2] grid points."""
    gpts = (kernel.shape[0], kernel.shape[1])

    def cell(psi: Array, choice: tuple[Array, Array]) -> tuple[Array, None]:
        functions = jnp.roll(pool[choice[0]], choice[1][::-1], axis=(1, 2))
        return multislice(psi, functions, kernel), None

    def deeper(psi: Array, layer_choices: tuple[Array, Array]) -> tuple[Array, Array]:
        psi = jax.lax.scan(cell, psi, layer_choices)[0]
        amplitudes = jnp.fft.fft2(psi).reshape(psi.shape[0], -1)[:, pixels] / (gpts[0] * gpts[1])
        return psi, (amplitudes.real**2 + amplitudes.imag**2).astype(jnp.float32)

    return jax.lax.scan(deeper, plane_waves(waves, gpts), (layers, moves))[1]


@functools.cache
def _run() -> Any:
    return compiled(_intensities)
