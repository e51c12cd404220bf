"""Gram matrices of core-loss maps, as those of detectors (`twin.scattering.stem.grams`): maps at any aberrations, positions and source follow from them.

An atom at depth z takes the incident beam j to the collected beam k behind the specimen with the amplitude

    A_kj = sum over points of b_k(x, z) V(x) psi_j(x, z)

with psi_j the incident beam at that depth, b_k the wave on its way back from the detector (`depths`) and V a transition mode (`window`). Transitions of
different modes, atoms and depths don't interfere: G = sum of A^H A, and a^H G a is the probability for an electron of the probe a.

Channelling "double": as above. "single": electrons are collected as they leave the atom, b_k = exp(-2 pi i k.x). "local": by the effective local
potential, without interference between different places. Electrons that lost energy go on with the wavelength of those that did not, which turns
their phase by less than W / T of the elastic scattering.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from twin import checks
from twin.eels.maps import depths
from twin.eels.maps.sites import BlochModes, Sites, mean_u2, sites_of
from twin.eels.maps.window import EdgeWindow, Modes, local_potential, window_modes
from twin.grid import band_limit
from twin.optics.illumination import Illumination
from twin.sample.specimen import Slices, Specimen
from twin.scattering.batching import MEMORY_BYTES, in_pieces
from twin.scattering.multislice import propagator, transmission
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


class _Medium(NamedTuple):
    """A crystal or supercell for the waves: transmission ``functions`` of one ``cell``, of which ``repeats`` (x, y) and ``cells`` in depth."""

    cell: Specimen
    slices: Slices
    functions: Array
    cells: int
    repeats: tuple[int, int]
    extent: tuple[float, float]
    displacements: np.ndarray | None

    @property
    def gpts(self) -> tuple[int, int]:
        return self.functions.shape[-2], self.functions.shape[-1]


def edge_grams(
    scene: Scene,
    beam: Illumination,
    windows: Sequence[EdgeWindow],
    channelling: str = "double",
    memory: int | None = None,
    workers: int | None = None,
    progress: Report | None = None,
) -> list[EdgeGrams]:
    """Gram matrices of the maps of ``windows``, probabilities for each incident electron, averaged over the configurations of ``scene``.

    A crystal (``scene.cell``) whose atoms are at rest or damped is computed on one unit cell; anything else on its whole cell, whose waves at all depths
    must fit in ``memory`` bytes (default `batching.MEMORY_BYTES`). Damped potentials smear the transition potentials alike. ValueError for an
    unknown channelling, elements that the specimen lacks, and for what does not fit.
    """
    checks.require_float64()
    if channelling not in CHANNELLING:
        raise ValueError(f"channelling is {channelling!r}; give {', '.join(map(repr, CHANNELLING))}")
    made: list[list[Grams]] = []
    missing: list[float] = []
    for number in range(scene.configurations):
        medium = _medium(scene, beam, number)
        modes = [_modes(medium, scene, beam, window) for window in windows]
        missing = [each.missing for each in modes]

        def report(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / scene.configurations)

        made.append(_of_medium(medium, scene, beam, windows, modes, channelling, memory, workers, report))
    averaged = []
    for window, left_out, *each in zip(windows, missing, *made, strict=True):
        mean = sum(np.asarray(part.matrices) for part in each) / len(each)
        first = each[0]
        grams = Grams(mean, first.members, first.indices, first.amplitude, first.extent, first.energy)
        averaged.append(EdgeGrams(window, grams, left_out))
    return averaged


def _medium(scene: Scene, beam: Illumination, number: int) -> _Medium:
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
    return _Medium(cell, slices, functions, cells, repeats, extent, moved)


def _modes(medium: _Medium, scene: Scene, beam: Illumination, window: EdgeWindow) -> Modes:
    shape = (medium.gpts[0] * medium.repeats[1], medium.gpts[1] * medium.repeats[0])
    u2 = mean_u2(medium.cell, window.element) if scene.damped else 0.0
    return window_modes(window, shape, medium.extent, beam.energy, beam.semiangle, u2)


def _of_medium(
    medium: _Medium, scene: Scene, beam: Illumination, windows: Sequence[EdgeWindow], modes: Sequence[Modes],
    channelling: str, memory: int | None, workers: int | None, report: Report,
) -> list[Grams]:  # fmt: skip
    count = medium.functions.shape[0]
    sites = [sites_of(medium.cell, window.element, count, medium.displacements) for window in windows]
    planes = tuple(sorted({site.slice for each in sites for site in each}))
    bundle = beams(medium.extent, beam.energy, beam.semiangle, beam.soft)
    members, reduced = zones(bundle.indices, medium.repeats)
    group = point_group(medium.slices, medium.functions, bundle.indices, medium.extent, [], scene.tilt)
    plan = block_plan(bundle.indices, members, group)
    _check_memory(medium, len(planes), sum(members.shape[1] for _ in plan), memory)
    run = _Waves(medium, planes, beam.energy, scene.tilt, scene.cutoff, workers)
    inside = dict(zip(plan, run.inwards(bundle.indices, members, reduced, list(plan)), strict=True))
    sums = np.zeros((len(windows), len(members), members.shape[1], members.shape[1]), np.complex128)
    copies = medium.repeats[0] * medium.repeats[1]
    if channelling == "local":
        potentials = [
            local_potential(made, beam.energy, window.collection, beam.semiangle)
            for window, made in zip(windows, modes, strict=True)
        ]
        work = _local_work(medium, sites, planes, potentials, inside)
    else:
        work = _coupled_work(medium, scene, beam, windows, modes, sites, planes, run, inside, reduced, channelling)
    targets: list[tuple[int, int]] = []

    def arguments() -> Iterator[tuple[Any, ...]]:
        for window, block, *rest in work:
            targets.append((window, block))
            yield tuple(rest)

    total = 1
    for number, result in enumerate(in_pieces(_apply, arguments(), workers)):
        window, block = targets[number]
        sums[window, block] += copies * np.asarray(result)
        total = max(total, number + 1)
    report(1.0)
    for block, images in plan.items():
        found = sums[:, block].copy()
        for target, order in images:
            sums[:, target] = found[:, order][:, :, order]
    return [Grams(matrices, members, bundle.indices, bundle.amplitude, medium.extent, beam.energy) for matrices in sums]


def _apply(function: Callable[..., Array], *arguments: Any) -> Array:
    return function(*arguments)


def _check_memory(medium: _Medium, planes: int, waves: int, memory: int | None) -> None:
    points = medium.gpts[0] * medium.gpts[1]
    needed, bound = 2 * 8 * waves * medium.cells * planes * points, memory or MEMORY_BYTES
    if needed > bound:
        raise ValueError(
            f"waves at all depths take {needed / 1e6:.0f} MB, the bound is {bound / 1e6:.0f}; use fewer points or cells, a crystal's unit cell, "
            "or probes with the local potential (one_pass)"
        )


class _Waves(NamedTuple):
    """Makes the waves of blocks at the ``planes`` of every cell."""

    medium: _Medium
    planes: tuple[int, ...]
    energy: float
    tilt: tuple[float, float]
    cutoff: float
    workers: int | None

    def _kernel(self, reduced: np.ndarray, back: bool) -> Array:
        q = reduced / np.asarray(self.medium.extent)
        tilt = (-self.tilt[0], -self.tilt[1]) if back else self.tilt
        cell = self.medium.slices
        return propagator(self.medium.gpts, cell.extent, self.energy, cell.spacing, tilt, cutoff=self.cutoff, q=q)

    def _lattice(self, indices: np.ndarray, members: np.ndarray, reduced: np.ndarray) -> np.ndarray:
        inner = (indices[members] - reduced) // np.asarray(self.medium.repeats)
        return np.where(members[:, None] >= 0, inner, 0)

    def inwards(
        self, indices: np.ndarray, members: np.ndarray, reduced: np.ndarray, blocks: Sequence[int]
    ) -> list[Complex[Array, "j cells planes x"]]:
        """Of each of ``blocks``."""
        run = depths.run(False)
        work = (
            (
                run,
                jnp.asarray(self._lattice(indices, members[n], reduced[n])),
                self.medium.functions,
                self._kernel(reduced[n], False),
                self.medium.cells,
                self.planes,
            )
            for n in blocks
        )
        return list(in_pieces(_apply, work, self.workers))

    def backwards(
        self, indices: np.ndarray, members: np.ndarray, reduced: np.ndarray, free: bool
    ) -> Complex[Array, "k cells planes x"]:
        """Of one block of the beams -k, for a sum over the supercell's points; ``free``: without the specimen, the same at all depths."""
        lattice = jnp.asarray(self._lattice(indices, members, reduced))
        functions, kernel = self.medium.functions, self._kernel(reduced, True)
        if free:
            functions, kernel = jnp.ones_like(functions), jnp.ones_like(kernel)
        points = self.medium.gpts[0] * self.medium.gpts[1] * self.medium.repeats[0] * self.medium.repeats[1]
        run = depths.run(True)
        return run(lattice, functions, kernel, 1 if free else self.medium.cells, self.planes) / points


def _local_work(
    medium: _Medium, sites: Sequence[tuple[Sites, ...]], planes: tuple[int, ...],
    potentials: Sequence[np.ndarray], inside: dict[int, Array],
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    """What is summed: window, block, function and its arguments."""
    for window, (each, potential) in enumerate(zip(sites, potentials, strict=True)):
        spectra = np.fft.fft2(potential)[None]
        for site in each:
            plane = site._replace(share=site.share**2)  # a potential is linear in the share
            on_cell = BlochModes(spectra, medium.extent, medium.repeats).at(plane, (0, 0)).real.sum(axis=0)
            scaled = jnp.asarray(on_cell / np.prod(medium.gpts) / np.prod(medium.repeats), jnp.float32)
            for block, waves in inside.items():
                yield window, block, depths.local_run(), waves[:, :, planes.index(site.slice)], scaled


def _coupled_work(
    medium: _Medium, scene: Scene, beam: Illumination, windows: Sequence[EdgeWindow], modes: Sequence[Modes],
    sites: Sequence[tuple[Sites, ...]], planes: tuple[int, ...], run: _Waves, inside: dict[int, Array],
    reduced: np.ndarray, channelling: str,
) -> Iterator[tuple[Any, ...]]:  # fmt: skip
    """What is summed: window, block, function and its arguments, for each block of collected beams."""
    bloch = [BlochModes.of(made, medium.repeats) for made in modes]
    for collection in sorted({window.collection for window in windows}):
        behind = beams(medium.extent, beam.energy, collection, "electrons")
        members, turned = zones(-behind.indices, medium.repeats)
        amplitude = behind.amplitude / behind.amplitude.max()
        for number in range(len(members)):
            weights = np.where(members[number] >= 0, amplitude[members[number]], 0.0).astype(np.float32)
            back = run.backwards(-behind.indices, members[number], turned[number], channelling == "single")
            for block, waves in inside.items():
                turn = tuple((turned[number] + reduced[block]).tolist())
                for index, window in enumerate(windows):
                    if window.collection != collection:
                        continue
                    for site in sites[index]:
                        plane = planes.index(site.slice)
                        values = jnp.asarray(bloch[index].at(site, turn), jnp.complex64)
                        yield (
                            *(index, block, depths.coupled_run(), back[:, :, plane], waves[:, :, plane], values),
                            jnp.asarray(weights),
                        )
