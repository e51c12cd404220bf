"""What annular detectors count of all plane waves of the probe, through the crystal without the change and with it: Gram matrices by abTEM, and their cache.

Settings of the probe do not enter them, so that all seeds of a specimen share one computation.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.fft import next_fast_len

from instrument.core.result_cache import load_or_compute
from instrument.simulation.field.config import FieldConfig
from instrument.simulation.field.waves import Medium, plain_abtem
from instrument.simulation.truth.imaging.specimen import wavelength

VERSION = 1
"""Raised with every change that alters the numbers of `Grams`."""
WIDTH = 7.5
"""Angstrom that the computed part of the crystal is wide at least."""
DEPTHS = 4
"""Depths at which an atom is changed, at most."""
SLICE, SHEET_SLICE, MARGIN = 2.0, 1.4, 1.0
"""Angstrom of a slice of a crystal and of a sheet, and of free space that is kept above and below the atoms of a sheet."""
BAND = 2.0 / 3.0
FURTHER = 1.15
"""How much farther than the largest angle that is counted waves are followed."""


class Beams(NamedTuple):
    """Plane waves of the probe by their whole ``indices`` [n, 2], ``k`` [n, 2] in 1/angstrom, and ``amplitude`` [n] in focus."""

    indices: np.ndarray
    k: np.ndarray
    amplitude: np.ndarray


class Grams(NamedTuple):
    """``perfect`` [exits, n, n] of each detector by name, and what changes add to it, ``changes`` [exits, depths, n, n], behind crystals of ``cells`` [exits]
    in depth; ``repeats`` (x, y) cells across, the changed column at ``location`` (x, y), ``depths`` of the atoms that are changed, in angstrom."""

    beams: Beams
    perfect: dict[str, np.ndarray]
    changes: dict[str, np.ndarray]
    cells: tuple[int, ...]
    repeats: tuple[int, int]
    location: tuple[float, float]
    depths: tuple[float, ...]


class _Atoms(NamedTuple):
    numbers: np.ndarray
    positions: np.ndarray
    u2: np.ndarray
    occupancy: np.ndarray
    extent: tuple[float, float]
    thickness: float


def grams_of(config: FieldConfig, cache: Path | None, progress: Callable[[str, float], None]) -> Grams:
    """Of a specimen, from the ``cache`` folder if they are there."""
    cells, repeats = _cells(config), _repeats(config)
    atoms = _repeated(config, repeats, cells[-1])
    location, changed, depths = _changed(config, atoms, repeats, cells[0])
    beams = probe_beams(config, atoms.extent)

    def compute() -> dict[str, np.ndarray]:
        with plain_abtem():
            return _computed(config, atoms, changed, cells, beams, progress)

    inputs = {
        **{name: getattr(config, name) for name in ("numbers", "positions", "u2", "occupancy", "sides", "depth", "site", "by", "at", "energy", "semiangle")},
        **{name: getattr(config, name) for name in ("detectors", "motion", "configurations")}, "cells": list(cells), "repeats": list(repeats),
    }  # fmt: skip
    arrays = load_or_compute(cache, "field", VERSION, inputs, compute, progress)
    perfect = {name: arrays[f"perfect {name}"] for name in config.detectors}
    return Grams(
        beams, perfect, {name: arrays[f"changes {name}"] for name in config.detectors}, cells, repeats, location, depths
    )


def probe_beams(config: FieldConfig, extent: tuple[float, float]) -> Beams:
    """The aperture on a period of ``extent`` (x, y): of a beam on its edge the share that is inside."""
    sides, highest = np.array(extent), config.semiangle / wavelength(config.energy)
    reach = np.ceil(highest * sides).astype(int) + 1
    whole = np.stack(
        [part.ravel() for part in np.meshgrid(*(np.arange(-each, each + 1) for each in reach), indexing="ij")], 1
    )
    k = whole / sides
    share = np.clip((highest - np.hypot(*k.T)) / np.mean(1.0 / sides) + 0.5, 0.0, 1.0)
    inside = share > 0.0
    return Beams(whole[inside], k[inside], np.sqrt(share[inside] / share.sum()))


def _cells(config: FieldConfig) -> tuple[int, ...]:
    """Depths in cells that a specimen may have: as told, and where its thickness is not known those a cell thinner and thicker."""
    deep = config.depth
    return (deep - 1, deep, deep + 1) if deep > 1 and (config.thickness_std or config.roughness) else (deep,)


def _repeats(config: FieldConfig) -> tuple[int, int]:
    return max(1, math.ceil(WIDTH / config.sides[0])), max(1, math.ceil(WIDTH / config.sides[1]))


def _repeated(config: FieldConfig, repeats: tuple[int, int], deep: int) -> _Atoms:
    counts = (*repeats, deep)
    offsets = np.stack(np.meshgrid(*(np.arange(count) for count in counts), indexing="ij"), -1).reshape(-1, 3)
    positions = (np.array(config.positions)[None] + offsets[:, None] * np.array(config.sides)).reshape(-1, 3)
    many = len(offsets)
    tiled = (np.tile(np.array(each), many) for each in (config.numbers, config.u2, config.occupancy))
    numbers, u2, occupancy = tiled
    return _Atoms(
        numbers, positions, u2, occupancy.astype(float), (repeats[0] * config.sides[0], repeats[1] * config.sides[1]), deep * config.sides[2]
    )  # fmt: skip


def _changed(
    config: FieldConfig, atoms: _Atoms, repeats: tuple[int, int], thinnest: int
) -> tuple[tuple[float, float], list[int], tuple[float, ...]]:
    """Place of the column in the middle, the atoms of it that may be changed, and their depths."""
    sides, extent = np.array(config.sides), np.array(atoms.extent)
    location = np.array(config.positions[config.site])[:2] % sides[:2] + sides[:2] * (np.array(repeats) // 2)
    off = (atoms.positions[:, :2] - location + extent / 2) % extent - extent / 2
    column = np.flatnonzero((atoms.numbers == config.numbers[config.site]) & (np.hypot(*off.T) < 0.1))
    heights = atoms.positions[column, 2]
    last = thinnest * config.sides[2]
    column, heights = column[heights < last], heights[heights < last]
    if config.at is not None:
        wanted = [config.at]
    elif len(column) <= DEPTHS:
        wanted = sorted(heights)
    else:
        wanted = [(number + 0.5) / DEPTHS * last for number in range(DEPTHS)]
    chosen = sorted(
        {int(column[np.argmin(np.abs(heights - depth))]) for depth in wanted}, key=lambda atom: atoms.positions[atom, 2]
    )
    return (float(location[0]), float(location[1])), chosen, tuple(float(atoms.positions[atom, 2]) for atom in chosen)


def _computed(
    config: FieldConfig,
    atoms: _Atoms,
    changed: list[int],
    cells: tuple[int, ...],
    beams: Beams,
    progress: Callable[[str, float], None],
) -> dict[str, np.ndarray]:
    from ase.data import chemical_symbols

    weights, medium = _medium(config, atoms.extent, beams)
    heights = atoms.positions[:, 2]
    sheet = len(cells) == 1 and np.ptp(heights) + 4.0 * MARGIN < atoms.thickness
    top = max(float(heights.min()) - MARGIN, 0.0) if sheet else 0.0
    deep = min(float(heights.max()) + MARGIN, atoms.thickness) - top if sheet else atoms.thickness
    slices = math.ceil(deep / SHEET_SLICE) if sheet else cells[-1] * max(1, round(config.sides[2] / SLICE))
    exits = tuple(slices * each // cells[-1] for each in cells)
    size = (len(cells), len(beams.k), len(beams.k))
    total = {name: [np.zeros(size, np.complex128) for _ in range(1 + len(changed))] for name in weights}
    symbols = [chemical_symbols[number] for number in atoms.numbers]
    for number in range(config.configurations):
        rng = np.random.default_rng([17, number])
        moved = atoms.positions + np.sqrt(config.motion * atoms.u2)[:, None] * rng.standard_normal(
            atoms.positions.shape
        )
        moved[:, 2] = np.clip(moved[:, 2] - top, 1e-3, deep - 1e-3)
        for which, atom in enumerate([None, *changed]):
            names, filled = list(symbols), atoms.occupancy.copy()
            if atom is not None:
                names[atom] = chemical_symbols[config.by] if config.by else names[atom]
                filled[atom] = filled[atom] if config.by else 0.0
            functions = medium.transmissions(names, moved, filled, deep, slices)
            behind = medium.scattered([], functions, exits, [], top)
            for name, weight in weights.items():
                for row, waves in enumerate(behind):
                    total[name][which][row] += (waves * weight) @ waves.conj().T / config.configurations
            progress("scattering by the field", (number + (which + 1) / (1 + len(changed))) / config.configurations)
    made = {f"perfect {name}": each[0].astype(np.complex64) for name, each in total.items()}
    return made | {
        f"changes {name}": np.stack([part - each[0] for part in each[1:]], 1).astype(np.complex64)
        for name, each in total.items()
    }


def _medium(config: FieldConfig, extent: tuple[float, float], beams: Beams) -> tuple[dict[str, np.ndarray], Medium]:
    """Shares of the scattered beams that each detector counts, and what the waves go through."""
    length, sides = wavelength(config.energy), np.array(extent)
    largest = max(outer for _, outer in config.detectors.values())
    reach = np.ceil(largest / length * sides).astype(int) + 1
    whole = np.stack(
        [part.ravel() for part in np.meshgrid(*(np.arange(-each, each + 1) for each in reach), indexing="ij")], 1
    )
    angle, step = np.hypot(*(whole / sides).T) * length, length * float(np.mean(1.0 / sides))
    weights = {}
    for name, (inner, outer) in config.detectors.items():
        above = np.clip((angle - inner) / step + 0.5, 0.0, 1.0) if inner > 0.0 else 1.0
        weights[name] = above * np.clip((outer - angle) / step + 0.5, 0.0, 1.0)
    counted = np.any([each > 0.0 for each in weights.values()], axis=0)
    highest = FURTHER * max(largest, config.semiangle) / length / BAND
    nx, ny = (int(next_fast_len(math.ceil(2.0 * highest * side)) or 0) for side in extent)
    medium = Medium(extent, config.energy, (nx, ny), beams.indices, whole[counted])
    return {name: each[counted].astype(np.float32) for name, each in weights.items()}, medium
