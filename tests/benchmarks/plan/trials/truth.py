"""Mean counts of the true specimens: abTEM's waves, other thermal motion, amorphous carbon on both faces, and settings drawn from the priors.

Averages over thermal motion are those of many configurations; what amorphous layers change is taken from few, each computed with the layers and without.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from instrument.simulation.field.waves import Medium, carbon, plain_abtem
from instrument.simulation.truth.imaging.specimen import wavelength
from learn.feasibility.matrices import Matrices
from learn.feasibility.scans import Window
from tests.benchmarks.plan.trials.recorder import Recorder
from tests.benchmarks.plan.trials.specimens import SHIFT, Image, Settings, Study
from twin.grid import CUTOFF, smooth

VERSION = 1
MOTION = 1.06
"""Mean square displacements over those of the prediction."""
LAYER_STEP = 2.5
REACH, SPARE = 80e-3, 1.2
"""Radian that scattered waves are followed to at least, and over the largest angle that is counted."""


def drawn(study: Study, count: int, depths: int, seed: int) -> list[Settings]:
    """Settings of ``count`` recordings from the priors; depths come in turn."""
    rng = np.random.default_rng([seed, 5])
    made = []
    for number in range(count):
        normal = rng.standard_normal(6)
        wide = study.priors
        thick = round(wide.get("thickness", 0.0) * normal[4] / study.cell.thickness)
        made.append(
            Settings(
                study.c10 + wide["C10"] * normal[0], (wide["C12a"] * normal[1], wide["C12b"] * normal[2]),
                max(0.05, study.source + wide["source"] * normal[3]), tuple(rng.uniform(-SHIFT, SHIFT, 2)), int(np.clip(thick, -1, 1)),
                number % depths, seed + 1000 * (number + 1),
            )
        )  # fmt: skip
    return made


def fields(
    study: Study,
    like: Matrices,
    window: Window,
    weights: dict[str, np.ndarray],
    settings: Sequence[Settings],
    configurations: tuple[int, int],
    report: Callable[[str, float], None],
) -> dict[str, np.ndarray]:
    """Arrays "NAME perfect" and "NAME changed" [recordings, ny, nx, channels] of every technique over the field, its first cell about the change, and "NAME
    thickness" [recordings, ny, nx, channels] over a cell: by how much they change per angstrom of thickness.

    ``configurations`` of thermal motion without layers and with them.
    """
    with plain_abtem():
        return _fields(study, like, window, weights, settings, configurations, report)


def _fields(study, like, window, weights, settings, configurations, report) -> dict[str, np.ndarray]:
    medium, recorder = medium_of(study, like), Recorder(study, like, window, weights)
    cells = study.repeats[2]
    spare = 1 if any(each.cells for each in settings) else 0
    deep = study._replace(repeats=(*study.repeats[:2], cells + spare))
    # within the thinnest crystal, whichever atom of the last cell is nearest
    last = study.cell.thickness * (cells - spare - 0.5) if spare else np.inf
    nodes = 1 + max(each.depth for each in settings)
    wanted = sorted({min((number + 0.5) / nodes * cells * study.cell.thickness, last) for number in range(nodes)})
    specimens = [deep._replace(change=study.change._replace(depth=depth)).hypotheses(1) for depth in wanted]
    perfect, changed = specimens[0].perfect, [each.changed[0] for each in specimens]
    exits = tuple(study.slices * each for each in range(cells - spare, cells + spare + 1))
    slices = study.slices * (cells + spare)
    layers = [
        [_layer(medium, each.seed + face, thickness) for face, thickness in enumerate(study.layers)]
        for each in settings
    ]
    sums: list[dict[str, list[np.ndarray]]] = [{} for _ in settings]
    plain, covered = configurations
    for number in range(plain):
        rng = np.random.default_rng([settings[0].seed, 7, number])
        moved = perfect.positions + np.sqrt(MOTION * perfect.u2)[:, None] * rng.standard_normal(perfect.positions.shape)
        moved[:, 2] = np.clip(moved[:, 2], 1e-3, perfect.thickness - 1e-3)
        functions = [
            medium.transmissions(each.symbols, moved, each.occupancy, each.thickness, slices)
            for each in (perfect, *changed)
        ]
        bare = [medium.scattered([], each, exits, []) for each in functions]
        for each, total, (above, below) in zip(settings, sums, layers, strict=True):
            stop = each.cells + spare
            pair = [recorder.recorded(bare[which][stop], each) for which in (0, 1 + each.depth)]
            terms = [
                pair[0],
                {name: pair[1][name] - pair[0][name] for name in weights},
                *[dict.fromkeys(weights, 0.0)] * 2,
            ]
            if spare:
                near = 1 if stop == 0 else stop - 1
                other = recorder.recorded(bare[0][near], each)
                step = (stop - near) * study.cell.thickness
                terms.append({name: (pair[0][name] - other[name]) / step for name in weights})
            if number < covered and above:
                leaving = [
                    medium.scattered(above, functions[which], exits[stop : stop + 1], below)[0]
                    for which in (0, 1 + each.depth)
                ]
                over = [recorder.recorded(waves, each, study.layers[1]) for waves in leaving]
                terms[2] = {name: over[0][name] - pair[0][name] for name in weights}
                terms[3] = {name: over[1][name] - over[0][name] - terms[1][name] for name in weights}
            for name in weights:
                rows = total.setdefault(name, [np.zeros_like(terms[0][name], np.float64) for _ in range(5)])
                for row, term in zip(rows, terms, strict=False):
                    row += term[name]
        report(f"abTEM, {study.name}", (number + 1) / plain)
    result = {}
    for name in weights:
        made = []
        for total in sums:
            whole, change, by_layers, mixed, slope = total[name]
            whole = _alike(whole / plain, study.repeats) + by_layers / max(covered, 1)
            made.append((whole, whole + change / plain + mixed / max(covered, 1), _alike(slope / plain, study.repeats)))
        for which, kind in enumerate(("perfect", "changed")):
            result[f"{name} {kind}"] = np.maximum(np.stack([each[which] for each in made]), 0.0).astype(np.float32)
        ny, nx = (
            recorder.cells
            if not isinstance(study.techniques[name], Image)
            else np.array(made[0][2].shape[:2]) // study.repeats[1::-1]
        )
        result[f"{name} thickness"] = np.stack([each[2][:ny, :nx] for each in made]).astype(np.float32)
    return result


def medium_of(study: Study, like: Matrices) -> Medium:
    """On beams as ``like`` has them, waves being followed farther."""
    highest = max(REACH, SPARE * study.reach) / wavelength(like.energy) / CUTOFF
    nx, ny = (smooth(int(np.ceil(2.0 * highest * side))) for side in like.extent)
    return Medium(
        like.extent, like.energy, (nx, ny), like.bundle.indices, np.rint(like.k * np.array(like.extent)).astype(int)
    )


def _alike(field: np.ndarray, repeats: tuple[int, ...]) -> np.ndarray:
    """The mean cell in every cell."""
    ny, nx = field.shape[0] // repeats[1], field.shape[1] // repeats[0]
    cell = field.reshape(repeats[1], ny, repeats[0], nx, -1).mean(axis=(0, 2))
    return np.tile(cell, (repeats[1], repeats[0], 1))


def _layer(medium: Medium, seed: int, thickness: float) -> list[Any]:
    if thickness == 0.0:
        return []
    places = carbon(medium.extent, thickness, np.random.default_rng(seed))
    return medium.transmissions(
        ["C"] * len(places), places, np.ones(len(places)), thickness, max(1, round(thickness / LAYER_STEP))
    )
