"""Spoiled images of crystal lattices: columns drawn one by one as Gaussians with tails, scanned with drift, wander and jitter, counted.

Nothing of the fit is used. Rotation is scored modulo 30 degrees, which is a symmetry of none of the crystals but divides all of theirs.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from reconstruct.measurement.projection import Projection
from tests.benchmarks.spoiled.sample import Sample
from tests.synthetic.lattices import TITANATE, columns_at, memory_path
from twin.sample.structures import srtio3_unit

PRINCIPAL: dict[str, float | None] = {"pixel_x": None, "pixel_y": None, "shear": None, "rotation": np.pi / 6.0}
SPOILINGS = {
    "hot pixels": "3, 20 or 100 pixels at 65535",
    "hot column": "one column at 3, 10 or 100 times the brightest pixel",
    "dead columns and rows": "1, 4 or 10 columns and as many rows at 0",
    "unknown pixels": "a block of a tenth and 0, 15 or 35 % scattered pixels that are NaN",
    "vacuum": "15, 30 or 45 % of the image beside the specimen",
    "contamination": "a patch of a third of the width, brighter by 0.5, 1.5 or 4 times the brightest column, with the contrast that leaves",
    "illumination": "intensity falling by 20, 50 or 80 % from one side to the other",
    "gain step": "halves of the camera that differ by 5, 20 or 50 %",
    "second grain": "8, 20 or 45 % of the image is the crystal turned by 23 degrees",
    "two layers": "the crystal turned by 17 degrees lies above, with 15, 40 or 90 % of the contrast",
    "strained region": "columns move by up to 0.05, 0.15 or 0.4 periods in a region of a third of the width",
    "few electrons": "3, 1 or 0.4 electrons on the brightest pixel",
    "undersampled": "2.7, 2.3 or 1.8 pixels a period",
    "line jitter": "lines displaced by 0.03, 0.08 or 0.2 periods rms, each on its own",
    "jump": "the specimen jumps by 0.05, 0.2 or 0.5 periods at a third of the frame",
    "saturation": "the detector ends at 80, 55 or 35 % of the brightest pixel",
    "cosmic rays": "2, 10 or 40 streaks of 20 pixels",
    "frame edge": "a border of 3, 8 or 13 % of the width at a constant",
    "blur": "camera or source blurs by 0.6, 0.8 or 1 angstrom",
}
WRONG = {
    "another structure": "a crystal of another lattice",
    "another zone axis": "a zone axis that is not the one along the beam",
    "pixel off": "a pixel size 40 % too large, said to be known to 5 %",
    "pixel too sure": "a pixel size 8 % too large, said to be known to 1 %",
    "another cell": "a crystal whose periods are 20 % longer one way",
}  # fmt: skip
ERRORS_BEFORE = {"pixel_x": 1.651e-4, "pixel_y": 4.892e-4, "shear": 1.963e-3, "rotation": 5.224e-4}
PIXELS = 128


class Crystal(NamedTuple):
    """What is drawn, and what is stated of it."""

    drawn: Projection
    known: Mapping[str, Any]
    other_zone: tuple[int, int, int]


@functools.cache
def crystals() -> tuple[Crystal, ...]:
    """Strontium titanate along [001], silicon along [110] (dumbbells) and gold along [001], which has one column in its smallest period."""
    from ase.build import bulk

    from twin import Sample

    silicon, gold = bulk("Si", cubic=True), bulk("Au", cubic=True)
    columns = ((0.0, 0.0), (0.0, 0.25), (0.5, 0.5), (0.5, 0.75))
    side = 5.43
    return (
        Crystal(TITANATE, {"structure": "SrTiO3", "zone": (0, 0, 1)}, (1, 1, 0)),
        Crystal(
            Projection((side / np.sqrt(2.0), 0.0), (0.0, side), columns, (1.0,) * 4),
            {"structure": Sample.from_atoms(silicon), "zone": (1, 1, 0), "x": (1, -1, 0)},
            (1, 1, 1),
        ),
        Crystal(
            Projection((4.08, 0.0), (0.0, 4.08), ((0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.0, 0.5)), (1.0,) * 4),
            {"structure": Sample.from_atoms(gold), "zone": (0, 0, 1), "x": (1, 0, 0)},
            (1, 1, 0),
        ),
    )


class Scanned(NamedTuple):
    """Places of the pixels [n, n, 2] in the crystal's frame, and the map [2, 2] with the drift in it."""

    positions: np.ndarray
    map: np.ndarray
    nominal: float


def _scanned(generator: np.random.Generator, size: float, periods: float) -> Scanned:
    """A scan over about ``periods`` of ``size`` angstrom: map, drift, wander and vibration at random."""
    n = PIXELS
    nominal = periods * size / n
    angle, shear, stretch = (
        generator.uniform(-np.pi, np.pi),
        0.015 * generator.standard_normal(),
        1.0 + 0.015 * generator.standard_normal(2),
    )
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = 1.0 + 0.04 * generator.standard_normal()
    matrix = scale * nominal * turn @ np.array([[stretch[0], shear], [0.0, stretch[1]]])
    x, y = np.meshgrid(np.arange(n) - 0.5 * n, np.arange(n) - 0.5 * n)
    time = (y + 0.5 * n) + (x + 0.5 * n) / n * 0.8  # in lines; the rest of a line is flyback
    drift = 0.004 * nominal * generator.standard_normal(2)
    matrix = matrix + np.outer(drift, [0.8 / n, 1.0])
    flat = time.ravel()
    wander = np.exp(generator.uniform(np.log(0.02), np.log(0.2)))
    path = memory_path(flat[::8], wander, n * np.exp(generator.uniform(np.log(0.1), np.log(1.5))), generator)
    quick = memory_path(flat[::8], np.exp(generator.uniform(np.log(0.005), np.log(0.05))), 3.0, generator)
    moved = (path + quick).repeat(8, axis=0).reshape(n, n, 2)
    return Scanned(np.stack([x, y], axis=-1) @ matrix.T + moved, matrix, nominal)


def _truth(matrix: np.ndarray) -> dict[str, float]:
    across, down = matrix.T
    pixel_x = float(np.hypot(*across))
    pixel_y = float(np.linalg.det(matrix)) / pixel_x
    shear = float(across @ down) / pixel_x / pixel_y
    return {
        "pixel_x": pixel_x,
        "pixel_y": pixel_y,
        "shear": shear,
        "rotation": float(-np.arctan2(across[1], across[0])),
    }


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Sample:
    """A seed's image; see `tests.benchmarks.spoiled.sample`."""
    generator = np.random.default_rng([seed, 21])
    crystal = crystals()[seed % 3]
    size = float(np.sqrt(abs(np.linalg.det(crystal.drawn.primitive().vectors))))
    periods = generator.uniform(9.0, 16.0)
    if spoiling == "undersampled":
        periods = PIXELS / (2.7, 2.3, 1.8)[strength]
    scan = _scanned(generator, size, periods)
    electrons = float(np.exp(generator.uniform(np.log(10.0), np.log(150.0))))
    state = np.random.default_rng([seed, 22])  # of the spoiling
    positions, field = _moved(scan, size, spoiling, strength, state)
    width = 0.45 if spoiling != "blur" else float(np.hypot(0.45, (0.6, 0.8, 1.0)[strength]))
    signal = columns_at(positions, crystal.drawn, width)
    if spoiling == "few electrons":
        electrons = (3.0, 1.0, 0.4)[strength]
    signal, mask = _spoiled_signal(signal, scan, crystal.drawn, spoiling, strength, state)
    image = generator.poisson(np.maximum(electrons * signal, 0.0)).astype(float)
    image, spots = _spoiled_image(image, spoiling, strength, state)
    known = {**crystal.known, "pixel": scan.nominal}
    clean = {**known}
    if spoiling in WRONG:
        known |= _wrong(spoiling, crystal, scan.nominal)
    masked = np.where(mask | spots | field, np.nan, image)
    told: tuple[np.ndarray, Mapping[str, Any]] | None = (masked, clean)
    if spoiling == "undersampled":
        told = (image, {**clean, "pixel": float(np.sqrt(np.linalg.det(scan.map))), "pixel_error": 0.005, "skew": 0.03})
    elif spoiling in ("two layers", "saturation") or spoiling in WRONG:
        told = None
    return Sample(image, _truth(scan.map), known, told)


def _moved(
    scan: Scanned, size: float, spoiling: str | None, strength: int, state: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places with what moves the columns or the probe, and where that is local."""
    n, positions = PIXELS, scan.positions
    nowhere = np.zeros((n, n), bool)
    if spoiling == "strained region":
        y, x = np.mgrid[:n, :n] / n
        centre, direction = state.uniform(0.3, 0.7, 2), state.uniform(0.0, 2.0 * np.pi)
        bump = np.exp(-0.5 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 0.15**2)
        shift = (0.05, 0.15, 0.4)[strength] * size * np.array([np.cos(direction), np.sin(direction)])
        return positions + bump[..., None] * shift, bump > 0.05
    if spoiling == "line jitter":
        lines = (0.03, 0.08, 0.2)[strength] * size * state.standard_normal((n, 1, 2))
        return positions + lines, nowhere
    if spoiling == "jump":
        direction = state.uniform(0.0, 2.0 * np.pi)
        step = (0.05, 0.2, 0.5)[strength] * size * np.array([np.cos(direction), np.sin(direction)])
        return positions + (np.arange(n) >= n // 3)[:, None, None] * step, nowhere
    return positions, nowhere


def _spoiled_signal(
    signal: np.ndarray,
    scan: Scanned,
    crystal: Projection,
    spoiling: str | None,
    strength: int,
    state: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Signal [n, n] before counting, and where a told fit leaves it out."""
    n = PIXELS
    y, x = np.mgrid[:n, :n] / n
    nowhere = np.zeros((n, n), bool)
    slope = state.uniform(-0.3, 0.3)
    if spoiling == "vacuum":
        edge = x + slope * (y - 0.5) < (0.15, 0.3, 0.45)[strength]
        return np.where(edge, 0.02, signal), edge
    if spoiling == "contamination":
        patch = np.exp(-((((x - 0.4) ** 2 + (y - 0.55) ** 2) / 0.17**2) ** 2))
        return signal + (0.5, 1.5, 4.0)[strength] * patch, nowhere
    if spoiling == "illumination":
        return signal * (1.0 - (0.2, 0.5, 0.8)[strength] * x), nowhere
    if spoiling == "gain step":
        return signal * np.where(x < 0.5, 1.0, 1.0 - (0.05, 0.2, 0.5)[strength]), nowhere
    if spoiling in ("second grain", "two layers"):
        turn = np.deg2rad(23.0 if spoiling == "second grain" else 17.0)
        cos, sin = np.cos(turn), np.sin(turn)
        other = columns_at(scan.positions @ np.array([[cos, sin], [-sin, cos]]) + 0.7, crystal)
        if spoiling == "two layers":
            return signal + (0.15, 0.4, 0.9)[strength] * other, nowhere
        edge = x + slope * (y - 0.5) < (0.08, 0.2, 0.45)[strength]
        return np.where(edge, other, signal), edge
    return signal, nowhere


def _spoiled_image(
    image: np.ndarray, spoiling: str | None, strength: int, state: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Counts with the camera's defects, and where they are."""
    n, image = PIXELS, image.copy()
    where = np.zeros((n, n), bool)
    brightest = float(np.quantile(image, 0.999))
    if spoiling == "hot pixels":
        count = (3, 20, 100)[strength]
        where[state.integers(0, n, count), state.integers(0, n, count)] = True
        image[where] = 65535.0
    elif spoiling == "hot column":
        where[:, state.integers(5, n - 5)] = True
        image[where] = state.poisson((3.0, 10.0, 100.0)[strength] * brightest, n)
    elif spoiling == "dead columns and rows":
        count = (1, 4, 10)[strength]
        where[:, state.choice(n, count, False)] = True
        where[state.choice(n, count, False)] = True
        image[where] = 0.0
    elif spoiling == "unknown pixels":
        row, column = state.integers(0, n - 40, 2)
        where[row : row + 40, column : column + 40] = True
        where |= state.random((n, n)) < (0.0, 0.15, 0.35)[strength]
        image[where] = np.nan
    elif spoiling == "saturation":
        limit = (0.8, 0.55, 0.35)[strength] * brightest
        image = np.minimum(image, np.round(limit))
    elif spoiling == "cosmic rays":
        for _ in range((2, 10, 40)[strength]):
            start, angle = state.uniform(0, n, 2), state.uniform(0.0, 2.0 * np.pi)
            along = np.arange(20.0)
            row, column = (
                np.clip(start[0] + along * np.sin(angle), 0, n - 1).astype(int),
                np.clip(start[1] + along * np.cos(angle), 0, n - 1).astype(int),
            )
            image[row, column] += 5.0 * brightest
            where[row, column] = True
    elif spoiling == "frame edge":
        border = int((0.03, 0.08, 0.13)[strength] * n)
        where[:border] = where[-border:] = where[:, :border] = where[:, -border:] = True
        image[where] = 0.0
    return image, where


def _wrong(spoiling: str, crystal: Crystal, nominal: float) -> dict[str, Any]:
    """What is stated wrongly."""
    from ase.build import bulk

    from twin import Sample

    if spoiling == "another structure":
        graphite_like = bulk("Mg", "hcp", a=3.21, c=5.21)
        return {"structure": Sample.from_atoms(graphite_like), "zone": (0, 0, 1), "x": None}
    if spoiling == "another zone axis":
        return {"zone": crystal.other_zone, "x": None}
    if spoiling == "pixel off":
        return {"pixel": 1.4 * nominal, "pixel_error": 0.05}
    if spoiling == "pixel too sure":
        return {"pixel": 1.08 * nominal, "pixel_error": 0.01}
    atoms = srtio3_unit() if crystal.known["structure"] == "SrTiO3" else crystal.known["structure"].structure.atoms
    longer = atoms.copy()
    cell = np.asarray(longer.cell.array).copy()
    cell[:, 0] *= 1.2
    longer.set_cell(cell, scale_atoms=True)
    return {"structure": Sample.from_atoms(longer), "x": None}
