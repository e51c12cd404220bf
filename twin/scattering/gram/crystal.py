"""Building a `GramModel` of a crystal from frozen phonons, tilts and depths through the scattering matrix, using its symmetry."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twin import checks
from twin.detection.detectors import annular
from twin.grid import CUTOFF, band_limit, frequencies, grid
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen, check_probe_fits
from twin.scattering.gram.model import GramModel, harmonics, image, model_from_grams
from twin.scattering.multislice import propagator, transmission
from twin.scattering.stem.beams import Beams, beams, gram, scattered

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["VERSION", "GramModel", "build_gram", "harmonics", "image"]

VERSION = 1
"""Version of the numbers that `build_gram` computes: part of the key of stored models. Raise it with every change, here or in what it calls, that
alters them by more than rounding."""

_QUARTER = np.array([[0, -1], [1, 0]])
_MIRROR = np.array([[1, 0], [0, -1]])


def operations(symmetry: str | None) -> list[np.ndarray]:
    """Integer matrices [2, 2] of a plane point group about the origin: None, "2", "2mm", "4" or "4mm"."""
    orders = {None: 1, "2": 2, "2mm": 2, "4": 4, "4mm": 4}
    if symmetry not in orders:
        raise ValueError(
            f"symmetry is {symmetry!r}; give None, '2', '2mm', '4' or '4mm', that of the projected cell about its origin"
        )
    angle = 4 // orders[symmetry]
    rotations = [np.linalg.matrix_power(_QUARTER, angle * number) for number in range(orders[symmetry])]
    return rotations + ([rotation @ _MIRROR for rotation in rotations] if symmetry in ("2mm", "4mm") else [])


def tilt_nodes(step: float) -> np.ndarray:
    """The 3 x 3 stencil [9, 2] of tilts in radian, or only zero [1, 2] if ``step`` is 0."""
    axis = np.array([0.0, -step, step]) if step > 0.0 else np.zeros(1)
    return np.array([(x, y) for x in axis for y in axis])


def centred_in_slices(atoms: "Atoms", slices: int) -> "Atoms":
    """The atoms moved along z so that the widest gap between atomic planes falls on the slice boundaries: thermal motion then seldom
    takes an atom into the next slice."""
    spacing = atoms.cell.array[2, 2] / slices
    planes = np.sort(atoms.get_positions()[:, 2] % spacing)
    gaps = np.diff(np.append(planes, planes[0] + spacing))
    widest = int(np.argmax(gaps))
    shifted = atoms.copy()
    shifted.translate((0.0, 0.0, -(planes[widest] + 0.5 * gaps[widest])))
    shifted.wrap()
    return shifted


SEMIANGLE, DETECTOR = 21.4e-3, (60e-3, 95e-3)
"""Convergence semi-angle of the probe, and angles of its annular detector, by default (radian)."""


def build_gram(
    atoms_unit: "Atoms",
    repeats_xy: tuple[int, int] = (3, 3),
    cells_z: int = 32,
    depths: Sequence[int] | None = None,
    tilt_step: float = 5e-3,
    seeds: Sequence[int] = (0, 1, 2),
    untilted_seeds: Sequence[int] = (3, 4, 5, 6, 7, 8),
    energy: float = 200e3,
    semiangle: float = SEMIANGLE,
    detector: tuple[float, float] = DETECTOR,
    gpts: int = 160,
    slices_per_cell: int = 2,
    symmetry: str | None = "4mm",
    periodic: bool = True,
    degree: int = 4,
    u2: dict[str, float] | None = None,
    progress: Callable[[str, float], None] | None = None,
    margin: float = 0.0,
) -> GramModel:
    """Gram model of a crystal seen by an annular detector, averaged over frozen phonons.

    ``atoms_unit`` is the orthogonal unit cell (ASE), repeated ``repeats_xy`` times sideways and up to ``cells_z`` times in depth; ``depths``
    are the thicknesses in cells to compute (default: every second from 10 on). ``tilt_step`` (radian; 0 leaves tilt out) is the step of a
    3 x 3 stencil; ``seeds`` one per phonon configuration, the same for all tilts; ``untilted_seeds`` further configurations computed
    without tilt only, to which the tilt dependence of the first ones is added: phonon noise changes little with tilt, and
    limits the accuracy of such a model. ``detector`` (inner, outer) in radian has an edge one grid step wide. With ``periodic`` only frequencies of the
    unit cell are kept (the average over the crystal's translations) and ``symmetry`` spares tilts and beams; without it, all pairs of
    beams of the one supercell are kept. Plane waves are kept up to ``margin`` (share of the semi-angle) beyond the aperture, for `with_semiangle`.
    ValueError for impossible values.
    """
    checks.require_float64()
    shape = grid(gpts)
    stops = _depths(depths, cells_z)
    _check_average(seeds, symmetry, periodic)
    unit = centred_in_slices(atoms_unit, slices_per_cell)
    specimen = Specimen.from_atoms(unit * (*repeats_xy, stops[-1]), u2)
    check_probe_fits(specimen.extent, energy, semiangle, thickness=specimen.thickness)
    weights = detector_weights(shape, specimen.extent, energy, detector)
    pixels = np.flatnonzero(weights)
    response = jnp.asarray(weights.ravel()[pixels], jnp.float32)

    bundle = beams(specimen.extent, energy, semiangle, margin=margin)
    group = operations(symmetry)
    moves = _permutations(bundle, group, symmetry)
    nodes = tilt_nodes(tilt_step)
    classes = _classes(bundle, repeats_xy if periodic else (1, 1))
    plan = _plan(nodes, group, moves, classes)
    slice_stops = tuple(stop * slices_per_cell for stop in stops)
    spacing = specimen.thickness / (stops[-1] * slices_per_cell)
    sums = np.zeros((len(nodes), len(stops), len(bundle.k), len(bundle.k)), dtype=np.complex64)
    extra = np.zeros_like(sums[:1])
    runs = [(seed, sums, len(seeds), step) for seed in seeds for step in plan]
    runs += [(seed, extra, len(untilted_seeds), plan[0]) for seed in untilted_seeds]
    transmit = functools.partial(_transmissions, specimen, shape, stops[-1] * slices_per_cell, energy)
    kernels = [propagator(shape, specimen.extent, energy, spacing, node) for node in nodes]
    _add_configurations(runs, transmit, kernels, bundle, classes, (pixels, response), slice_stops, progress)
    grams = _expand(sums, nodes, group, moves, plan, classes)
    untilted = None
    if untilted_seeds:
        further = _expand(extra, nodes[:1], group, moves, plan[:1], classes)[0]
        untilted = (len(seeds) * grams[0] + len(untilted_seeds) * further) / (len(seeds) + len(untilted_seeds))
    if progress is not None:
        progress("fitting thickness and tilt", 1.0)
    thicknesses = np.asarray(slice_stops) * spacing
    return model_from_grams(
        grams,
        bundle,
        specimen.extent,
        repeats_xy,
        thicknesses,
        nodes,
        energy,
        semiangle,
        detector,
        periodic,
        degree,
        untilted,
    )


def _depths(depths: Sequence[int] | None, cells_z: int) -> tuple[int, ...]:
    """Thicknesses in cells, rising; ValueError for others."""
    stops = tuple(range(min(10, cells_z), cells_z + 1, 2)) if depths is None else tuple(int(depth) for depth in depths)
    if not stops or list(stops) != sorted(set(stops)) or stops[0] < 1 or stops[-1] > cells_z:
        raise ValueError(f"depths {stops} must rise within 1 and cells_z = {cells_z}")
    return stops


def _check_average(seeds: Sequence[int], symmetry: str | None, periodic: bool) -> None:
    """ValueError unless there are configurations to average, and a ``symmetry`` only where translations are averaged (``periodic``)."""
    if not seeds:
        raise ValueError("seeds is empty; give one integer for each phonon configuration")
    if symmetry is not None and not periodic:
        raise ValueError(
            f"symmetry {symmetry!r} needs periodic=True: one frozen supercell has no symmetry; give symmetry=None"
        )


def _transmissions(specimen: Specimen, shape: tuple[int, int], slices: int, energy: float, seed: int) -> Array:
    """Transmission functions of one frozen phonon configuration."""
    stack = specimen.slices(shape, slices, specimen.displacements(seed))
    return transmission(stack.array, energy, band_limit(shape, specimen.extent))


def _add_configurations(
    runs: list[tuple[int, np.ndarray, int, tuple[int, list[int]]]], transmit: Callable[[int], Array], kernels: list[Array],
    bundle: Beams, classes: list[np.ndarray], detector: tuple[np.ndarray, Array], stops: tuple[int, ...],
    progress: Callable[[str, float], None] | None,
) -> None:  # fmt: skip
    """Add the Gram matrices of each run (seed, sums [tilts, depths, n, n], divisor, (tilt, classes of beams)) to its sums.

    ``detector`` are the flat indices of its pixels and their weights; ``stops`` the numbers of slices at which the Gram matrices are taken.
    """
    pixels, response = detector
    done, total = 0, sum(len(classes[number]) for *_, (_, chosen) in runs for number in chosen)
    transmissions, built_seed = None, None
    for seed, sums, divisor, (node, chosen) in runs:
        if progress is not None:
            progress(f"multislice of the crystal: phonon configuration {seed}, tilt {node + 1}", done / total)
        if transmissions is None or built_seed != seed:
            transmissions, built_seed = transmit(seed), seed
        for number in chosen:
            members = classes[number]
            passes = scattered(bundle.indices[members], transmissions, kernels[node], pixels, stops)
            for depth, amplitudes in enumerate(passes):
                sums[node, depth][np.ix_(members, members)] += np.asarray(gram(amplitudes, response)) / divisor
            done += len(members)


def detector_weights(
    shape: tuple[int, int], extent: tuple[float, float], energy: float, detector: tuple[float, float]
) -> np.ndarray:
    """The ring's response [ny, nx] in FFT order with an edge one grid step wide; ValueError if the grid does not carry its angles."""
    length = wavelength(energy)
    highest = CUTOFF * length * 0.5 * min(shape[1] / extent[0], shape[0] / extent[1])
    if not 0.0 <= detector[0] < detector[1] <= highest:
        raise ValueError(
            f"a detector from {detector[0] * 1e3:.1f} to {detector[1] * 1e3:.1f} mrad does not lie within the {highest * 1e3:.1f} mrad that a grid of "
            f"{shape[1]} x {shape[0]} points over {extent[0]:.2f} x {extent[1]:.2f} angstrom carries; use more gpts or smaller angles"
        )
    kx, ky = frequencies(shape, extent)
    return annular(kx[None, :], ky[:, None], length, *detector, edge=length * 0.5 * (1 / extent[0] + 1 / extent[1]))


def _permutations(bundle: Beams, group: list[np.ndarray], symmetry: str | None) -> list[np.ndarray]:
    """For every operation R the number of the beam R k_j, for all j."""
    number_of = {tuple(index): number for number, index in enumerate(bundle.indices.tolist())}
    permutations = []
    for operation in group:
        images = [number_of.get(tuple(index), -1) for index in (bundle.indices @ operation.T).tolist()]
        same = min(images) >= 0 and np.allclose(
            np.linalg.norm(bundle.k[images], axis=1), np.linalg.norm(bundle.k, axis=1)
        )
        if not same:
            raise ValueError(
                f"the supercell does not have the symmetry {symmetry!r}; make its sides equal, or give symmetry=None"
            )
        permutations.append(np.asarray(images))
    return permutations


def _classes(bundle: Beams, periods: tuple[int, int]) -> list[np.ndarray]:
    """Numbers of the beams of each class: those that differ by reciprocal lattice vectors of the unit cell."""
    key = (bundle.indices[:, 0] % periods[0]) * periods[1] + bundle.indices[:, 1] % periods[1]
    return [np.flatnonzero(key == value) for value in np.unique(key)]


def _plan(
    nodes: np.ndarray, group: list[np.ndarray], moves: list[np.ndarray], classes: list[np.ndarray]
) -> list[tuple[int, list[int]]]:
    """Which nodes of the stencil to compute, and for each which classes of beams; symmetry gives the rest."""
    of_beam = np.empty(sum(len(members) for members in classes), dtype=np.int64)
    for number, members in enumerate(classes):
        of_beam[members] = number
    plan, covered_nodes = [], np.zeros(len(nodes), dtype=bool)
    for node, tilt in enumerate(nodes):
        if covered_nodes[node]:
            continue
        images = [tilt @ operation.T for operation in group]
        covered_nodes |= np.any([np.linalg.norm(nodes - image[None, :], axis=1) < 1e-12 for image in images], axis=0)
        keeping = [move for move, image in zip(moves, images, strict=True) if np.linalg.norm(image - tilt) < 1e-12]
        chosen, covered = [], set()
        for number, members in enumerate(classes):
            if number not in covered:
                chosen.append(number)
                covered |= {int(of_beam[move[members[0]]]) for move in keeping}
        plan.append((node, chosen))
    return plan


def _expand(
    sums: np.ndarray,
    nodes: np.ndarray,
    group: list[np.ndarray],
    moves: list[np.ndarray],
    plan: list[tuple[int, list[int]]],
    classes: list[np.ndarray],
) -> np.ndarray:
    """Gram matrices at all nodes: G(R tau)[R j, R k] = G(tau)[j, k], averaged over the operations that give the same entry."""
    grams = np.zeros_like(sums)
    counts = np.zeros((len(nodes), sums.shape[-1]), dtype=np.float32)
    for node, chosen in plan:
        for operation, move in zip(group, moves, strict=True):
            target = int(np.argmin(np.linalg.norm(nodes - (nodes[node] @ operation.T)[None, :], axis=1)))
            for number in chosen:
                members = classes[number]
                grams[target][:, move[members][:, None], move[members][None, :]] += sums[node][
                    :, members[:, None], members[None, :]
                ]
                counts[target, move[members]] += 1.0
    return grams / np.maximum(counts, 1.0)[:, None, :, None]
