"""Position-averaged patterns by abTEM, of specimens that differ from the fit's model: Kirkland's atoms, frozen phonons of other amplitudes, amorphous carbon on
the entrance face, every direction of the aperture by a tilted plane wave of its own through a supercell of its own; and a camera with its own errors.

One run carries all directions that any trial's aperture holds and notes the patterns at all trials' depths: trials of one run share a crystal, and differ
in thickness, tilt and everything of the camera. abTEM lays atoms between its grid points linearly, which at this sampling blurs them as
0.0025 angstrom^2 more of thermal motion would: one more difference from the fit's model.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from instrument.core.result_cache import cache_key, load_or_compute

ENERGY = 200e3
SEMIANGLE = 10e-3
TILTED = 4e-3
"""Specimens are tilted by up to so much, evenly over the disc."""
CAMERA, PIXEL = (96, 96), 0.7e-3
DOSE = 1e6
VERSION = 3
SUBPOINTS = 4
"""Points along either axis of a step of directions, where a circle or a pixel cuts it."""
BATCH = 24


@dataclasses.dataclass(frozen=True)
class Crystal:
    """A unit cell (x, y, z, orthogonal), how often it is repeated, points of its grid (y, x), slices of it, and B in angstrom^2."""

    name: str
    cell: tuple[float, float, float]
    sites: tuple[tuple[str, float, float, float], ...]
    repeats: tuple[int, int]
    gpts: tuple[int, int]
    slices: int
    fine: tuple[int, int]
    b: dict[str, float]


_SIDE = 5.431 / np.sqrt(2.0)
CRYSTALS = {
    "SrTiO3 [001]": Crystal(
        "SrTiO3 [001]", (3.905, 3.905, 3.905),
        (("Sr", 0, 0, 0.25), ("Ti", 0.5, 0.5, 0.75), ("O", 0.5, 0.5, 0.25), ("O", 0.5, 0, 0.75), ("O", 0, 0.5, 0.75)),
        (3, 3), (32, 32), 2, (3, 3), {"Sr": 0.62, "Ti": 0.44, "O": 0.73},
    ),
    "Si [110]": Crystal(
        "Si [110]", (_SIDE, 5.431, _SIDE),
        (("Si", 0, 0, 0.25), ("Si", 0.5, 0.5, 0.75), ("Si", 0, 0.25, 0.75), ("Si", 0.5, 0.75, 0.25)),
        (3, 2), (48, 32), 2, (3, 3), {"Si": 0.46},
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one image was made of: ``thickness`` (angstrom), ``tilt`` (x, y) and ``semiangle`` (radian), and of the camera ``centre`` (pixels from the middle),
    ``scale``, ``ellipticity`` (along x, diagonal), ``rotation`` (radian) and ``background`` (share of all electrons)."""

    thickness: float
    tilt: tuple[float, float]
    semiangle: float
    centre: tuple[float, float]
    scale: float
    ellipticity: tuple[float, float]
    rotation: float
    background: float
    seed: int


def trials(crystal: Crystal, seed: int, count: int, thin: int, deepest: float = 599.0) -> list[Trial]:
    """``count`` trials of 10 nm to ``deepest`` angstrom and ``thin`` of 2 to 7.8 nm, whole cells; the first come first whatever the counts."""
    drawn = []
    for kind, number, low, high in (("thick", count, 101.0, deepest), ("thin", thin, 20.0, 78.0)):
        for index in range(number):
            rng = np.random.default_rng([seed, index, len(kind)])
            cells = rng.integers(np.ceil(low / crystal.cell[2]), np.floor(high / crystal.cell[2]) + 1)
            radius, angle = TILTED * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
            drawn.append(
                Trial(
                    float(cells * crystal.cell[2]),
                    (float(radius * np.cos(angle)), float(radius * np.sin(angle))),
                    SEMIANGLE * (1.0 + 0.01 * rng.standard_normal()),
                    tuple(rng.uniform(-2.0, 2.0, 2)),
                    1.0 + 0.005 * rng.standard_normal(),
                    tuple(0.003 * rng.standard_normal(2)),
                    float(np.deg2rad(0.5) * rng.standard_normal()),
                    float(rng.uniform(0.0, 0.03)),
                    int(rng.integers(2**31)),
                )
            )
    return drawn


def patterns(
    crystal: Crystal,
    seed: int,
    requested: list[Trial],
    folder: Path,
    progress: Callable[[str, float], None],
) -> list[np.ndarray]:
    """Patterns [y, x] of all trials on a lattice of directions about the beam (see `lattice`), from ``folder`` if they are there."""
    inputs = {
        "crystal": dataclasses.asdict(crystal), "seed": seed, "trials": [dataclasses.asdict(trial) for trial in requested],
        "subpoints": SUBPOINTS, "batch": BATCH,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"thickness-{cache_key(VERSION, inputs)[:24]}.begun.npz"

    def compute() -> dict[str, np.ndarray]:
        images = _computed(crystal, seed, requested, checkpoint, progress)
        return {f"p{number}": image for number, image in enumerate(images)}

    stored = load_or_compute(folder, "thickness", VERSION, inputs, compute, progress)
    checkpoint.unlink(missing_ok=True)
    return [stored[f"p{number}"] for number in range(len(requested))]


def _wavelength() -> float:
    return 12398.419843320026 / float(np.sqrt(ENERGY * (2.0 * 510998.95 + ENERGY)))


def lattice(crystal: Crystal) -> tuple[np.ndarray, tuple[int, int]]:
    """Step (x, y, radian) of directions and how many lie on either side of the axis."""
    super_cell = np.array(crystal.cell[:2]) * crystal.repeats
    step = _wavelength() / super_cell / np.array(crystal.fine)
    return step, (int(0.046 / step[0]), int(0.046 / step[1]))


def _computed(
    crystal: Crystal, seed: int, requested: list[Trial], checkpoint: Path, progress: Callable[[str, float], None]
) -> list[np.ndarray]:
    """The patterns, continued from the checkpoint file."""
    import abtem
    from ase import Atoms

    rng = np.random.default_rng([seed, 77])
    step, half = lattice(crystal)
    reach = SEMIANGLE * 1.04 + TILTED
    steps_x, steps_y = (np.arange(-int(reach / width) - 1, int(reach / width) + 2) for width in step)
    grid = np.stack(np.meshgrid(steps_x, steps_y), -1).reshape(-1, 2)
    # the specimen's tilt is minus the beam's: the aperture stands at -tilt
    weights = np.stack(
        [_inside(grid * step + np.array(trial.tilt), step, trial.semiangle) for trial in requested], axis=1
    )
    needed = np.flatnonzero(weights.any(axis=1))
    grid, weights = grid[rng.permutation(needed)], None
    weights = np.stack(
        [_inside(grid * step + np.array(trial.tilt), step, trial.semiangle) for trial in requested], axis=1
    )
    cells = [round(trial.thickness / crystal.cell[2]) for trial in requested]
    depths = sorted(set(cells))
    nx, ny = crystal.repeats
    thermal = {symbol: b * float(np.exp(0.08 * rng.standard_normal())) for symbol, b in crystal.b.items()}
    unit = Atoms(
        [s for s, *_ in crystal.sites], scaled_positions=[p for _, *p in crystal.sites], cell=crystal.cell, pbc=True
    )
    crystal_atoms = unit * (nx, ny, depths[-1])
    sigma = np.array([np.sqrt(thermal[s] / (8 * np.pi**2)) for s in crystal_atoms.get_chemical_symbols()])
    layer = crystal.cell[2] / crystal.slices
    covered = int(np.ceil(rng.uniform(5.0, 12.0) / layer))  # slices of amorphous carbon, 5 to 12 angstrom
    sums = [np.zeros((2 * half[1] + 1, 2 * half[0] + 1)) for _ in requested]
    exits = tuple(covered + depth * crystal.slices - 1 for depth in depths)
    with abtem.config.set({"precision": "float32", "device": "cpu", "fft": "fftw"}):
        first = 0
        if checkpoint.is_file():
            with np.load(checkpoint) as stored:
                first, sums = int(stored["first"]), list(stored["sums"])
        for start in range(first, len(grid), BATCH):
            if start % (4 * BATCH) == 0 and start > first:
                draft = checkpoint.with_suffix(".part.npz")
                np.savez(draft, first=start, sums=np.stack(sums))
                draft.replace(checkpoint)
            rng = np.random.default_rng([seed, 78, start])
            batch = grid[start : start + BATCH]
            gpts = crystal.gpts[1] * nx, crystal.gpts[0] * ny
            potential = frozen_potential(crystal_atoms, sigma, rng, covered, layer, gpts, exits)
            tilts: Any = 1e3 * batch * step
            waves: Any = abtem.PlaneWave(energy=ENERGY, tilt=tilts, normalize=False)
            out = waves.multislice(potential, lazy=False).array
            out = out.reshape(len(depths), len(batch), *out.shape[-2:])
            share = np.abs(np.fft.fft2(out)) ** 2 / (out.shape[-1] * out.shape[-2]) ** 2
            share = np.fft.fftshift(share, axes=(-2, -1)).swapaxes(-2, -1)
            _deposit(
                sums, share, batch, weights[start : start + BATCH], [depths.index(c) for c in cells], crystal, half
            )
            progress(f"abTEM, {crystal.name}", min(1.0, (start + BATCH) / len(grid)))
    return [total / weights[:, n].sum() for n, total in enumerate(sums)]


def frozen_potential(
    crystal_atoms: Any,
    sigma: np.ndarray,
    rng: np.random.Generator,
    covered: int,
    layer: float,
    gpts: tuple[int, int],
    exits: tuple[int, ...],
) -> Any:
    """abTEM's potential of one frozen configuration: atoms displaced by ``sigma`` [n] angstrom rms along each axis, below ``covered`` slices of ``layer``
    angstrom of amorphous carbon."""
    import abtem
    from ase import Atoms

    size = crystal_atoms.cell.lengths()
    moved = crystal_atoms.get_positions() + sigma[:, None] * rng.standard_normal((len(crystal_atoms), 3))
    moved[:, 2] = np.clip(moved[:, 2], 1e-3, size[2] - 1e-3) + covered * layer
    count = round(0.09 * size[0] * size[1] * covered * layer)
    carbon = rng.uniform(0, 1, (count, 3)) * np.array([size[0], size[1], covered * layer])
    atoms = Atoms(
        list(crystal_atoms.symbols) + ["C"] * count, positions=np.concatenate([moved, carbon]),
        cell=[size[0], size[1], size[2] + covered * layer], pbc=True,
    )  # fmt: skip
    atoms.wrap(pbc=(True, True, False))
    return abtem.Potential(
        atoms, gpts=gpts, slice_thickness=layer, parametrization="kirkland", projection="infinite", exit_planes=exits
    )


def _inside(angles: np.ndarray, step: np.ndarray, radius: float) -> np.ndarray:
    """Share of a cell of ``step`` around each of ``angles`` [n, 2] within the circle."""
    part = (np.arange(SUBPOINTS) + 0.5) / SUBPOINTS - 0.5
    x = angles[:, 0, None, None] + part[None, None, :] * step[0]
    y = angles[:, 1, None, None] + part[None, :, None] * step[1]
    return (np.hypot(x, y) <= radius).mean(axis=(1, 2))


def _deposit(sums, share, batch, weights, depth_indices, crystal, half) -> None:
    """Every beam of every wave added where it goes, k + g."""
    ny, nx = share.shape[-2:]
    gx, gy = (np.arange(n) - n // 2 for n in (nx, ny))
    for b, k in enumerate(batch):
        at_x, at_y = k[0] + gx * crystal.fine[0] + half[0], k[1] + gy * crystal.fine[1] + half[1]
        in_x = np.flatnonzero((at_x >= 0) & (at_x <= 2 * half[0]))
        in_y = np.flatnonzero((at_y >= 0) & (at_y <= 2 * half[1]))
        window = np.ix_(at_y[in_y], at_x[in_x])
        for trial in np.flatnonzero(weights[b] > 0.0):
            sums[trial][window] += weights[b, trial] * share[depth_indices[trial], b][np.ix_(in_y, in_x)]


def recorded(crystal: Crystal, trial: Trial, pattern: np.ndarray, dose: float = DOSE, noise: bool = True) -> np.ndarray:
    """Counts [y, x] of a counting camera: SUB x SUB points of every pixel between the lattice's directions, spread by the MTF, background, Poisson."""
    step, half = lattice(crystal)
    part = (np.arange(SUBPOINTS) + 0.5) / SUBPOINTS
    rows, columns = ((np.arange(n)[:, None] + part[None, :]).ravel() - 0.5 * n for n in CAMERA)
    x, y = np.meshgrid(
        (columns - trial.centre[0]) * PIXEL / trial.scale, (rows - trial.centre[1]) * PIXEL / trial.scale
    )
    cos, sin = np.cos(trial.rotation), np.sin(trial.rotation)
    x, y = cos * x + sin * y, cos * y - sin * x
    e1, e2 = trial.ellipticity
    x, y = np.tensordot(np.linalg.inv([[1.0 + e1, e2], [e2, 1.0 - e1]]), np.stack([x, y]), axes=1)
    # a specimen tilt is minus a beam tilt: the beam lies at -tilt in the crystal's frame
    places = [(y - trial.tilt[1]) / step[1] + half[1], (x - trial.tilt[0]) / step[0] + half[0]]
    fine = map_coordinates(pattern, places, order=1) * (PIXEL / trial.scale) ** 2 / (step[0] * step[1])
    image = fine.reshape(CAMERA[0], SUBPOINTS, CAMERA[1], SUBPOINTS).mean(axis=(1, 3))
    q = np.hypot(np.fft.rfftfreq(CAMERA[1])[None, :], np.fft.fftfreq(CAMERA[0])[:, None]) * 2.0
    image = np.maximum(np.fft.irfft2(np.fft.rfft2(image) * np.exp(-((q / 1.1) ** 2)), s=CAMERA), 0.0)
    mean = dose * ((1.0 - trial.background) * image + trial.background / image.size)
    return np.random.default_rng(trial.seed).poisson(mean).astype(np.float64) if noise else mean
