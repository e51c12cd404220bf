"""Gram matrices of core-loss maps, as those of detectors (`twin.scattering.stem.grams`): maps at any aberrations, positions and source follow from them.

An atom at depth z takes the incident beam j to the collected beam k behind the specimen with the amplitude

    A_kj = sum over points of b_k(x, z) V(x) psi_j(x, z)

with psi_j the incident beam at that depth, b_k the wave on its way back from the detector (`depths`) and V a transition mode (`window`). Transitions of
different modes, atoms and depths don't interfere: G = sum of A^H A, and a^H G a is the probability for an electron of the probe a.

Channelling "double": as above. "single": electrons are collected as they leave the atom, b_k = exp(-2 pi i k.x). "local": by the effective local
potential, without interference between different places. Electrons that lost energy go on with the wavelength of those that did not, which turns
their phase by less than W / T of the elastic scattering.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twin import checks
from twin.eels.maps.depths import Depths, coupled, local
from twin.eels.maps.sites import BlochModes, Sites, mean_u2, sites_of
from twin.eels.maps.waves import Medium, Waves
from twin.eels.maps.window import EdgeWindow, Modes, local_potential, window_modes
from twin.grid import band_limit
from twin.optics.illumination import Illumination
from twin.scattering.batching import in_pieces
from twin.scattering.multislice import transmission
from twin.scattering.stem.beams import beams
from twin.scattering.stem.by_probes import OVERSAMPLING
from twin.scattering.stem.crystal import block_plan, point_group, zones
from twin.scattering.stem.grams import Grams
from twin.scattering.stem.scene import Scene

CHANNELLING = ("double", "single", "local")
Report = Callable[[float], None]


class EdgeGrams(NamedTuple):
    """Gram matrices of a window's map, and ``missing``: the share of the cross-section that the modes left out hold."""

    window: EdgeWindow
    grams: Grams
    missing: float


def edge_grams(
    scene: Scene,
    beam: Illumination,
    windows: Sequence[EdgeWindow],
    channelling: str = "double",
    depths: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    progress: Report | None = None,
) -> list[EdgeGrams]:
    """Gram matrices of the maps of ``windows``, probabilities for each incident electron, averaged over the configurations of ``scene``.

    A crystal (``scene.cell``) whose atoms are at rest or damped is computed on one unit cell; anything else on its whole cell, whose waves at all depths
    must fit in ``memory`` bytes (default `batching.MEMORY_BYTES`). With ``depths`` the atoms of so many cells, evenly through the crystal, stand for all.
    Damped potentials smear the transition potentials alike. ValueError for an
    unknown channelling, elements that the specimen lacks, and for what does not fit.
    """
    checks.require_float64()
    if channelling not in CHANNELLING:
        raise ValueError(f"channelling is {channelling!r}; give {', '.join(map(repr, CHANNELLING))}")
    made: list[list[Grams]] = []
    missing: list[float] = []
    for number in range(scene.configurations):
        medium = _medium_of(scene, beam, number)
        modes = [_modes(medium, scene, beam, window) for window in windows]
        missing = [each.missing for each in modes]

        def report(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / scene.configurations)

        made.append(_of_medium(medium, scene, beam, windows, modes, channelling, depths, memory, workers, report))
    averaged = []
    for window, left_out, *each in zip(windows, missing, *made, strict=True):
        mean = np.mean([np.asarray(part.matrices) for part in each], axis=0)
        first = each[0]
        grams = Grams(mean, first.members, first.indices, first.amplitude, first.extent, first.energy)
        averaged.append(EdgeGrams(window, grams, left_out))
    return averaged


def _medium_of(scene: Scene, beam: Illumination, number: int) -> Medium:
    extent, options = scene.specimen.extent, dict(scene.options)
    if scene.cell is not None and not scene.seeds:
        depth = scene.slices // scene.repeats[2]
        slices = scene.cell.slices(scene.cell_points(), depth, highest=scene.highest, **options)
        cell, cells, repeats, moved = scene.cell, scene.repeats[2], scene.repeats[:2], None
    else:
        slices, moved = scene.stack(number), scene.displacements(number)
        cell, cells, repeats = scene.specimen, 1, (1, 1)
    gpts = (slices.array.shape[-2], slices.array.shape[-1])
    limit = band_limit(gpts, cell.extent, scene.cutoff)
    functions = transmission(slices.array, beam.energy, limit, OVERSAMPLING).astype(jnp.complex64)
    return Medium(cell, slices, functions, cells, repeats, extent, moved)


def _modes(medium: Medium, scene: Scene, beam: Illumination, window: EdgeWindow) -> Modes:
    shape = (medium.gpts[0] * medium.repeats[1], medium.gpts[1] * medium.repeats[0])
    u2 = mean_u2(medium.cell, window.element) * scene.damped
    return window_modes(window, shape, medium.extent, beam.energy, beam.semiangle, u2)


def _of_medium(
    medium: Medium, scene: Scene, beam: Illumination, windows: Sequence[EdgeWindow], modes: Sequence[Modes],
    channelling: str, depths: int | None, memory: int | None, workers: int | None, report: Report,
) -> list[Grams]:  # fmt: skip
    count = medium.functions.shape[0]
    sites = [sites_of(medium.cell, window.element, count, medium.displacements) for window in windows]
    bundle = beams(medium.extent, beam.energy, beam.semiangle, beam.soft)
    members, reduced = zones(bundle.indices, medium.repeats)
    group = point_group(medium.slices, medium.functions, bundle.indices, medium.extent, [], scene.tilt)
    plan = block_plan(bundle.indices, members, group)
    planes = tuple(sorted({site.slice for each in sites for site in each}))
    chosen = tuple(
        ((np.arange(taken := min(depths or medium.cells, medium.cells)) + 0.5) * medium.cells / taken)
        .astype(int)
        .tolist()
    )
    waves = Waves(medium, planes, beam.energy, scene.tilt, scene.cutoff, chosen, memory)
    inside = {block: waves.inwards(bundle.indices, members[block], reduced[block]) for block in plan}
    job = _Job(beam, tuple(windows), tuple(modes), sites, waves, inside, reduced)
    work = _local_work(job) if channelling == "local" else _coupled_work(job, channelling == "single")
    sums = np.zeros((len(windows), len(members), members.shape[1], members.shape[1]), np.complex128)
    for window, block, share, matrix in _summed(work, workers):
        sums[window, block] += matrix
        report(share)
    copies = medium.repeats[0] * medium.repeats[1] * medium.cells / len(chosen)
    for block, images in plan.items():
        scaled = copies * sums[:, block]
        for target, order in images:
            sums[:, target] = scaled[:, order][:, :, order]
    return [Grams(matrices, members, bundle.indices, bundle.amplitude, medium.extent, beam.energy) for matrices in sums]


class _Job(NamedTuple):
    """What both kinds of sums need: waves ``inside`` for each block, at each of the planes of ``waves``."""

    beam: Illumination
    windows: tuple[EdgeWindow, ...]
    modes: tuple[Modes, ...]
    sites: list[tuple[Sites, ...]]
    waves: Waves
    inside: dict[int, tuple[Depths, ...]]
    reduced: np.ndarray


class _Piece(NamedTuple):
    """One sum: the ``window`` and ``block`` that it belongs to, the ``share`` of all work that is done with it, and what is called with which arguments."""

    window: int
    block: int
    share: float
    function: Callable[..., Array]
    arguments: tuple[Any, ...]


def _summed(work: Iterator[_Piece], workers: int | None) -> Iterator[tuple[int, int, float, np.ndarray]]:
    taken: deque[_Piece] = deque()

    def calls() -> Iterator[tuple[Any, ...]]:
        for piece in work:
            taken.append(piece)
            yield piece.function, *piece.arguments

    for matrix in in_pieces(lambda function, *arguments: function(*arguments), calls(), workers):
        piece = taken.popleft()
        yield piece.window, piece.block, piece.share, np.asarray(matrix)


def _local_work(job: _Job) -> Iterator[_Piece]:
    medium, convergence = job.waves.medium, job.beam.semiangle
    points = np.prod(medium.gpts) * np.prod(medium.repeats)
    for index, (window, modes) in enumerate(zip(job.windows, job.modes, strict=True)):
        potential = local_potential(modes, job.beam.energy, window.collection, convergence)
        bloch = BlochModes(np.fft.fft2(potential)[None], medium.extent, medium.repeats)
        for site in job.sites[index]:
            # a potential is linear in the share of atoms, modes in its root
            on_cell = np.real(bloch.at(site._replace(share=site.share**2), (0, 0))).sum(axis=0)
            scaled = jnp.asarray(on_cell / points, jnp.float32)
            plane = job.waves.planes.index(site.slice)
            for block, waves in job.inside.items():
                yield _Piece(index, block, (index + 1) / len(job.windows), local(), (waves[plane], scaled))


def _coupled_work(job: _Job, free: bool) -> Iterator[_Piece]:
    medium, beam = job.waves.medium, job.beam
    bloch = [BlochModes.of(modes, medium.repeats) for modes in job.modes]
    collections = sorted({window.collection for window in job.windows})
    for step, collection in enumerate(collections):
        behind = beams(medium.extent, beam.energy, collection, "electrons")
        members, turned = zones(-behind.indices, medium.repeats)
        amplitude = behind.amplitude / behind.amplitude.max()
        chosen = [index for index, window in enumerate(job.windows) if window.collection == collection]
        for number, group in enumerate(members):
            weights = jnp.asarray(np.where(group >= 0, amplitude[group], 0.0), jnp.float32)
            back = job.waves.backwards(-behind.indices, group, turned[number], free)
            share = (step + (number + 1) / len(members)) / len(collections)
            for block, waves in job.inside.items():
                turn = turned[number] + job.reduced[block]
                for index in chosen:
                    for site in job.sites[index]:
                        plane = job.waves.planes.index(site.slice)
                        values = jnp.asarray(bloch[index].at(site, (int(turn[0]), int(turn[1]))), jnp.complex64)
                        yield _Piece(index, block, share, coupled(), (back[plane], waves[plane], values, weights))
