"""Amorphous carbon on both faces of a crystal: by how much what one column counts differs from another's."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from learn.feasibility.imaged import image_of
from learn.feasibility.matrices import Grid, Matrices, matrices_of
from learn.feasibility.scanned import Detector, Variations
from learn.feasibility.scans import Probe, Window, patterns_of
from twin.optics.electrons import wavelength
from twin.optics.transfer import Imaging
from twin.sample.specimen import Specimen
from twin.sample.thermal import U2

DENSITY, NEAREST = 0.1, 1.35
"""Atoms per cubic angstrom of amorphous carbon (2 g/cm^3), and the least distance between them in angstrom."""


class Covered(NamedTuple):
    """The scattering matrices of one frozen crystal ``bare`` and with carbon on its faces, each with other carbon."""

    bare: Matrices
    covered: tuple[Matrices, ...]


def covered(
    specimen: Specimen,
    grid: Grid,
    thickness: tuple[float, float],
    count: int,
    seed: int = 0,
    report: Callable[[float], None] | None = None,
) -> Covered:
    """``specimen`` with ``count`` times other carbon, ``thickness`` angstrom of it on the entrance and the exit face, all with the grid's first configuration.

    Waves refer to the crystal's faces: what the layers do beyond free space is all that is added.
    """  # fmt: skip
    single = grid._replace(seeds=grid.seeds[:1], before=0)
    made = []
    for number in range(count):
        made.append(_with_carbon(specimen, single, thickness, np.random.default_rng([seed, number])))
        if report is not None:
            report((number + 1) / count)
    return Covered(matrices_of(specimen, single), tuple(made))


def _with_carbon(specimen: Specimen, grid: Grid, thickness: tuple[float, float], rng: np.random.Generator) -> Matrices:
    spacing = specimen.thickness / grid.slices
    slices = [int(np.ceil(each / spacing - 1e-6)) for each in thickness]
    above, below = (number * spacing for number in slices)
    first, last = (_carbon(specimen.extent, each, rng) for each in thickness)
    first[:, 2] += above - thickness[0]
    last[:, 2] += above + specimen.thickness
    crystal = specimen.positions + np.array([0.0, 0.0, above])
    carbon = len(first) + len(last)
    whole = Specimen(
        np.vstack([crystal, first, last]), np.append(specimen.u2, np.full(carbon, U2["C"])), specimen.symbols + ("C",) * carbon,
        (*specimen.extent, above + specimen.thickness + below), np.append(specimen.occupancy, np.ones(carbon)),
    )  # fmt: skip
    matrices = matrices_of(whole, grid._replace(slices=grid.slices + sum(slices)))
    length = wavelength(grid.energy)
    into, out = (
        np.exp(1j * np.pi * length * depth * (k**2).sum(1)).astype(np.complex64)
        for depth, k in ((above, matrices.bundle.k), (below, matrices.k))
    )
    return matrices._replace(amplitudes=matrices.amplitudes * into[:, None] * out)


def _carbon(extent: tuple[float, float], thickness: float, rng: np.random.Generator) -> np.ndarray:
    """Places [n, 3] at random, none too near to another, periodic in x and y."""
    size = np.array([*extent, thickness])
    count, places = round(DENSITY * float(np.prod(size))), np.empty((0, 3))
    while len(places) < count:
        candidate = rng.uniform(size=3) * size
        apart = np.abs(places - candidate)
        apart[:, :2] = np.minimum(apart[:, :2], size[:2] - apart[:, :2])
        if not len(places) or (apart**2).sum(1).min() > NEAREST**2:
            places = np.vstack([places, candidate])
    return places


def windows_of(window: Window, extent: tuple[float, float]) -> tuple[Window, ...]:
    """The ``window`` about the same place of every cell of the field."""
    counts = [max(1, round(side / width)) for side, width in zip(extent, window.sides, strict=True)]
    return tuple(
        window._replace(positions=window.positions + np.array([x * window.sides[0], y * window.sides[1]]))
        for y in range(counts[1])
        for x in range(counts[0])
    )


def scan_variations(
    layers: Covered, window: Window, probes: Sequence[Probe], detectors: Sequence[Detector]
) -> list[Variations]:
    """By how much what each detector counts at a column differs from the mean of the columns of the field, for `signatures_of`; each carbon with the next of
    the ``probes`` that there may be."""
    windows = windows_of(window, layers.bare.extent)

    def counted(matrices: Matrices, probe: Probe) -> list[np.ndarray]:
        patterns = [patterns_of(matrices, each, probe) for each in windows]
        return [np.stack([detector.counted(each) for each in patterns]) for detector in detectors]

    before = [counted(layers.bare, probe) for probe in probes[: len(layers.covered)]]
    rows = []
    for number, each in enumerate(layers.covered):
        which = number % len(probes)
        rows.append([after - bare for after, bare in zip(counted(each, probes[which]), before[which], strict=True)])
    return [_deviations([row[number] for row in rows]) for number in range(len(detectors))]


def image_variations(layers: Covered, window: Window, lenses: Sequence[Imaging]) -> Variations:
    """The same of images."""
    windows = windows_of(window, layers.bare.extent)

    def images(matrices: Matrices, lens: Imaging) -> np.ndarray:
        return np.stack([image_of(matrices, column, lens) for column in windows])

    fields = []
    for number, each in enumerate(layers.covered):
        lens = lenses[number % len(lenses)]
        fields.append(images(each, lens) - images(layers.bare, lens))
    return _deviations(fields)


def _deviations(fields: Sequence[np.ndarray]) -> Variations:
    columns = len(fields[0])
    if columns < 2:
        raise ValueError("a field of one cell has no other columns to differ from; give at least two")
    scale = np.sqrt(columns / (columns - 1.0))
    deviations = np.concatenate([scale * (field - field.mean(0)) for field in fields])
    return Variations(deviations, np.mean([field.mean(0) for field in fields], axis=0))
