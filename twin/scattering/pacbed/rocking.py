"""Rocking curves of a perfect crystal: the intensity of every Bragg beam for every incident direction and thickness.

An incident beam k couples only to k + g, so one unit cell is enough (`crystal`), and tilting the specimen by tau is the same as tilting the beam by
-tau: in the crystal's frame the aperture moves to k0 = -tau / lambda and the rocking curves I_g(k) do not change. A pattern averaged over whole
unit cells of probe positions is their incoherent sum, since beams that meet at one K from different k then have no fixed phase:

    I(K) = sum_g A(K - g - k0) I_g(K - g)

(LeBeau, Findlay, Allen and Stemmer, Ultramicroscopy 110 (2010) 118). So one table serves all tilts, semi-angles and thicknesses.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from twin import checks
from twin.checks import require
from twin.grid import CUTOFF, nyquist
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.scattering.batching import compiled, in_pieces
from twin.scattering.multislice import multislice, propagator
from twin.scattering.pacbed.coherent import mean_transmission
from twin.scattering.stem.beams import plane_waves
from twin.scattering.stem.crystal import symmetries


class Rocking(NamedTuple):
    """Intensities ``table`` [depths, pairs] (shares of one incident beam) of distinct pairs (k, K) of an incident and an outgoing direction.

    All pairs, equivalent by symmetry or not, are ``pair`` [n] (index in the table), ``incident`` [n] (index in ``k`` [m, 2]) and ``outgoing`` [n] (flat
    index on the lattice of ``shape`` (ny, nx) with K = 0 in its middle). Directions are integers on a lattice of ``step`` (x, y) radian, in the
    crystal's frame; ``depths`` [depths] in angstrom; ``cell`` (x, y) in angstrom.
    """

    depths: Float[np.ndarray, " depths"]
    table: Float[np.ndarray, "depths pairs"]
    pair: Int[np.ndarray, " n"]
    incident: Int[np.ndarray, " n"]
    outgoing: Int[np.ndarray, " n"]
    k: Int[np.ndarray, "m 2"]
    shape: tuple[int, int]
    step: tuple[float, float]
    cell: tuple[float, float]
    energy: float


def directions(step: tuple[float, float], radius: float) -> Int[np.ndarray, "m 2"]:
    """Integer directions (x, y) on a lattice of ``step`` radian within ``radius`` radian of the axis."""
    half = [int(radius / spacing) for spacing in step]
    x, y = np.meshgrid(np.arange(-half[0], half[0] + 1), np.arange(-half[1], half[1] + 1))
    inside = np.hypot(x * step[0], y * step[1]) <= radius
    return np.stack([x[inside], y[inside]], axis=-1)


def rocking(
    cell: Specimen,
    slices: int,
    gpts: tuple[int, int],
    energy: float,
    incident: float,
    reach: float,
    thickness: float,
    step: float = 0.45e-3,
    every: int = 2,
    parametrization: str = "lobato",
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Rocking:
    """Rocking curves of a crystal of the unit ``cell`` (``slices`` on a grid ``gpts`` (ny, nx)) after every ``every`` cells up to ``thickness`` angstrom.

    ``incident`` directions up to this angle in radian from the zone axis (semi-angle plus tilt), outgoing ones up to ``reach`` radian, both about ``step``
    apart. Thermal motion is in the mean transmission functions (`coherent`), so that diffuse scattering is missing, as it is from Bragg beams.
    ``progress`` hears the share that is done. ValueError for angles that the grid does not carry.
    """
    checks.require_float64()
    length = wavelength(energy)
    band = CUTOFF * nyquist(gpts, cell.extent) * length
    require(
        0.0 < max(incident, reach) <= band,
        f"directions up to {max(incident, reach)} rad on a grid that carries {band:.5f}; use more gpts, or smaller angles",
    )
    counts = [2 * max(1, round(0.5 * length / side / step - 0.5)) + 1 for side in cell.extent]
    repeats = (counts[0], counts[1])
    steps = (length / cell.extent[0] / repeats[0], length / cell.extent[1] / repeats[1])
    functions = mean_transmission(cell, slices, gpts, energy, parametrization)
    group = symmetries(functions, lambda _: True)
    k = directions(steps, incident)
    layout = _layout(k, directions(steps, reach), repeats, group)
    depths = np.arange(1, max(2, int(np.ceil(thickness / cell.thickness / every))) + 1) * every

    run, jobs = _run(), _jobs(layout, repeats, gpts)
    spacing = cell.thickness / slices
    stack = jnp.tile(jnp.asarray(functions), (every, 1, 1))

    def work() -> Any:
        for job in jobs:
            q = job.reduced / (np.asarray(cell.extent) * np.asarray(repeats))
            kernel = propagator(gpts, cell.extent, energy, spacing, q=q)
            yield jnp.asarray(job.waves), kernel, stack, jnp.asarray(job.pixels), len(depths)

    table = np.zeros((len(depths), layout.count), np.float32)
    for number, (job, result) in enumerate(zip(jobs, in_pieces(run, work(), workers), strict=True)):
        table[:, job.places] = np.asarray(result)[:, job.rows, job.columns]
        if progress is not None:
            progress((number + 1) / len(jobs))
    half = np.abs(layout.outgoing).max(axis=0)
    shape = (2 * int(half[1]) + 1, 2 * int(half[0]) + 1)
    flat = (layout.outgoing[:, 1] + half[1]) * shape[1] + layout.outgoing[:, 0] + half[0]
    return Rocking(
        depths * cell.thickness, table, layout.pair, layout.incident, flat.astype(np.int32), k, shape, steps, cell.extent, float(energy)
    )  # fmt: skip


class _Layout(NamedTuple):
    """All pairs as in `Rocking` with ``outgoing`` [n, 2]; and of the ``count`` distinct ones k and K, ``first`` [count, 2] and ``last`` [count, 2]."""

    pair: np.ndarray
    incident: np.ndarray
    outgoing: np.ndarray
    first: np.ndarray
    last: np.ndarray
    count: int


def _layout(k: np.ndarray, outgoing: np.ndarray, repeats: tuple[int, int], group: list[np.ndarray]) -> _Layout:
    period = np.asarray(repeats)
    classes = {}
    for direction in outgoing:
        classes.setdefault(tuple(direction % period), []).append(direction)
    number_of = {tuple(direction): number for number, direction in enumerate(k.tolist())}
    chosen: dict[tuple[int, int], int] = {}
    first, last, start = [], [], {}
    pair, incident, out = [], [], []
    for number, direction in enumerate(k):
        ends = np.array(classes.get(tuple(direction % period), np.zeros((0, 2), dtype=int))).reshape(-1, 2)
        images = [(tuple((operation @ direction).tolist()), operation) for operation in group]
        representative, operation = min(images, key=lambda item: item[0])
        if representative not in number_of:
            representative, operation = tuple(direction.tolist()), np.eye(2, dtype=int)
        rotated = ends @ operation.T
        if representative not in chosen:
            chosen[representative] = len(chosen)
            start[representative] = {tuple(end): len(last) + row for row, end in enumerate(rotated.tolist())}
            first += [representative] * len(rotated)
            last += rotated.tolist()
        known = start[representative]
        pair += [known[tuple(end)] for end in rotated.tolist()]
        incident += [number] * len(ends)
        out.append(ends)
    return _Layout(
        np.asarray(pair, np.int32), np.asarray(incident, np.int32), np.concatenate(out), np.asarray(first), np.asarray(last), len(last)
    )  # fmt: skip


class _Job(NamedTuple):
    """Incident beams of one reduced direction: indices ``waves`` [m, 2] of plane waves on the cell, ``pixels`` [p] of outgoing ones, and which
    ``rows`` and ``columns`` of the result belong to which ``places`` of the table."""

    reduced: np.ndarray
    waves: np.ndarray
    pixels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    places: np.ndarray


def _jobs(layout: _Layout, repeats: tuple[int, int], gpts: tuple[int, int]) -> list[_Job]:
    period = np.asarray(repeats)
    reduced = (layout.first + period // 2) % period - period // 2
    unique, owner = np.unique(reduced, axis=0, return_inverse=True)
    owner = owner.ravel()
    lists = []
    for number, q in enumerate(unique):
        pair_index = np.flatnonzero(owner == number)
        waves, rows = np.unique((layout.first[pair_index] - q) // period, axis=0, return_inverse=True)
        ends = (layout.last[pair_index] - q) // period
        flat = (ends[:, 1] % gpts[0]) * gpts[1] + ends[:, 0] % gpts[1]
        pixels, columns = np.unique(flat, return_inverse=True)
        lists.append((q, waves, pixels, rows.ravel(), columns, pair_index))
    sizes = max(len(waves) for _, waves, *_ in lists), max(len(pixels) for _, _, pixels, *_ in lists)
    padded = []
    for q, waves, pixels, *rest in lists:
        padding = np.repeat(waves[:1], sizes[0] - len(waves), axis=0)
        padded.append(_Job(q, np.concatenate([waves, padding]), np.pad(pixels, (0, sizes[1] - len(pixels))), *rest))
    return padded


def _intensities(waves: Array, kernel: Array, functions: Array, pixels: Array, depths: int) -> Array:
    """Intensities [depths, m, p] behind ``functions`` again and again."""
    gpts = (kernel.shape[0], kernel.shape[1])

    def deeper(psi: Array, _: None) -> tuple[Array, Array]:
        psi = multislice(psi, functions, kernel)
        amplitudes = jnp.fft.fft2(psi).reshape(psi.shape[0], -1)[:, pixels] / (gpts[0] * gpts[1])
        return psi, (amplitudes.real**2 + amplitudes.imag**2).astype(jnp.float32)

    return jax.lax.scan(deeper, plane_waves(waves, gpts), None, length=depths)[1]


@functools.cache
def _run() -> Any:
    return compiled(_intensities, static_argnums=(4,))
