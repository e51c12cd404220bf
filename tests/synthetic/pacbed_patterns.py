"""Position-averaged patterns of bent, wedge-shaped and tilted SrTiO3 [001] by abTEM, one specimen for each seed, on a camera of its own.

Atoms (Kirkland), thermal motion, surface carbon and the camera's spread are those of `tests.benchmarks.column.thickness.truth`, and none is the fit's. Beams
are linear between plane waves, and the aperture cuts between them, so that its edge is sharp. A specimen takes half a minute, and is kept in the system's
folder of temporary files.
"""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from instrument.core.result_cache import load_or_compute
from tests.benchmarks.column.thickness import truth

ENERGY, SEMIANGLE = truth.ENERGY, truth.SEMIANGLE
SHAPE, PIXEL = (64, 64), 1.0e-3
"""Pixels (y, x) of the camera and their angle in radian."""
SUBPOINTS, FINER = 4, 4
"""Points along a side of a pixel or a step, and steps of a pattern in one of the plane waves'."""
CRYSTAL = dataclasses.replace(truth.CRYSTALS["SrTiO3 [001]"], fine=(2, 2))
BENDS = (0.6e-3, 1.5e-3, 3.0e-3)
"""Largest tilts in radian of a bent region to either side of its mean."""
WEDGES = (0.06, 0.15, 0.3)
"""Largest shares by which a wedge is thicker and thinner than its mean."""


@dataclasses.dataclass(frozen=True)
class Specimen:
    """The pattern ``flat`` of a specimen, those of ``bent`` regions and of a ``wedge`` (three strengths each; means over five tilts or thicknesses), all on
    `lattice`, and what it is: ``trial``."""

    trial: truth.Trial
    flat: np.ndarray
    bent: tuple[np.ndarray, ...]
    wedge: tuple[np.ndarray, ...]


def drawn(seed: int) -> truth.Trial:
    """Thickness of 10 to 26 nm, tilt up to 2 mrad, geometry and background of a seed."""
    rng = np.random.default_rng([seed, 211])
    cells = int(rng.integers(26, 67))
    radius, angle = 2e-3 * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * np.pi)
    return truth.Trial(
        cells * CRYSTAL.cell[2], (float(radius * np.cos(angle)), float(radius * np.sin(angle))),
        SEMIANGLE * (1.0 + 0.01 * rng.standard_normal()), tuple(rng.uniform(-1.5, 1.5, 2)),
        1.0 + 0.005 * rng.standard_normal(), tuple(0.002 * rng.standard_normal(2)),
        float(np.deg2rad(0.5) * rng.standard_normal()), float(rng.uniform(0.0, 0.02)), int(rng.integers(2**31)),
    )  # fmt: skip


@functools.lru_cache(maxsize=2)
def specimen(seed: int) -> Specimen:
    """The specimen of a ``seed``."""
    trial = drawn(seed)
    inputs = {"trial": dataclasses.asdict(trial), "bends": BENDS, "wedges": WEDGES, "finer": FINER, "seed": seed}
    folder = Path(tempfile.gettempdir()) / "emtwin-benchmarks"
    made = load_or_compute(folder, "pacbed", 1, inputs, lambda: _patterns(seed, trial), lambda text, share: None)
    return Specimen(trial, made["flat"], tuple(made["bent"]), tuple(made["wedge"]))


def lattice() -> tuple[np.ndarray, tuple[int, int]]:
    """Step (x, y; radian) of the directions of a pattern and how many lie on either side of the axis."""
    step = truth.lattice(CRYSTAL)[0] / FINER
    return step, (int(0.046 / step[0]), int(0.046 / step[1]))


def _patterns(seed: int, trial: truth.Trial) -> dict[str, np.ndarray]:
    """The patterns of a specimen: intensities of plane waves between which the aperture cuts."""
    way = np.random.default_rng([seed, 212]).uniform(0.0, 2.0 * np.pi)
    along = np.array([np.cos(way), np.sin(way)])
    cells = round(trial.thickness / CRYSTAL.cell[2])
    wedges = [[max(1, round(cells * (1.0 + sign * share))) for sign in (-1.0, -0.5, 0.5, 1.0)] for share in WEDGES]
    depths = sorted({cells, *np.ravel(wedges).tolist()})
    step = truth.lattice(CRYSTAL)[0]
    reach = [int((0.012 + BENDS[-1]) / side) + 2 for side in step]
    middle = np.rint(-np.asarray(trial.tilt) / step).astype(int)
    window = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach)), -1) + middle
    lit = np.hypot(*np.moveaxis(window * step + trial.tilt, -1, 0)) < trial.semiangle + BENDS[-1] + 1.5 * step.max()
    beams = _plane_waves(seed, window[lit], depths)
    shares = np.zeros((len(depths), *lit.shape, *beams.shape[2:]), np.float32)
    shares[:, lit] = beams

    def pattern(depth: int, tilt: np.ndarray) -> np.ndarray:
        return _cut(shares[depths.index(depth)], window, tilt, trial.semiangle)

    tilt = np.asarray(trial.tilt)
    flat = pattern(cells, tilt)
    bent = [
        np.mean([flat, *(pattern(cells, tilt + bend * sign * along) for sign in (-1.0, -0.5, 0.5, 1.0))], axis=0)
        for bend in BENDS
    ]
    wedge = [np.mean([flat, *(pattern(depth, tilt) for depth in several)], axis=0) for several in wedges]
    return {"flat": flat, "bent": np.stack(bent), "wedge": np.stack(wedge)}


def _cut(shares: np.ndarray, window: np.ndarray, tilt: np.ndarray, semiangle: float) -> np.ndarray:
    """The pattern on `lattice` of beams ``shares`` [ky, kx, gy, gx] of incident directions ``window`` [ky, kx, 2], linear between these, within an aperture."""
    step, half = lattice()
    ny, nx = window.shape[:2]
    up = [_linear(n) for n in (ny, nx)]
    fine: Any = np.einsum("ak,klgh,bl->ghab", up[0], shares, up[1], optimize=True)
    at = [(np.arange(len(u)) + window[0, 0, 1 - axis] * FINER) for axis, u in enumerate(up)]
    part = (np.arange(SUBPOINTS) + 0.5) / SUBPOINTS - 0.5
    y = (at[0][:, None, None, None] + part[None, None, :, None]) * step[1] + tilt[1]
    x = (at[1][None, :, None, None] + part[None, None, None, :]) * step[0] + tilt[0]
    fine *= (np.hypot(x, y) <= semiangle).mean(axis=(2, 3)).astype(np.float32)
    pattern = np.zeros((2 * half[1] + 1, 2 * half[0] + 1))
    gy, gx = (np.arange(n) - n // 2 for n in shares.shape[2:])
    spacing = [fineness * FINER for fineness in CRYSTAL.fine]
    for i, row in enumerate(gy):
        for j, column in enumerate(gx):
            first = int(at[0][0] + row * spacing[1] + half[1]), int(at[1][0] + column * spacing[0] + half[0])
            low = [max(0, -start) for start in first]
            high = [min(len(a), n - start) for a, n, start in zip(at, pattern.shape, first, strict=True)]
            if high[0] > low[0] and high[1] > low[1]:
                part = fine[i, j, low[0] : high[0], low[1] : high[1]]
                pattern[first[0] + low[0] : first[0] + high[0], first[1] + low[1] : first[1] + high[1]] += part
    return pattern / (np.pi * semiangle**2 / (step[0] * step[1]))


def _linear(count: int) -> np.ndarray:
    """Linear interpolation [FINER (count - 1) + 1, count] to a lattice FINER times finer."""
    position = np.arange(FINER * (count - 1) + 1) / FINER
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(count)[None, :])).astype(np.float32)


def _plane_waves(seed: int, directions: np.ndarray, depths: list[int]) -> np.ndarray:
    """Intensities [depths, directions, gy, gx] of all beams of incident plane waves, each batch through a frozen configuration of its own."""
    import abtem
    from ase import Atoms

    rng = np.random.default_rng([seed, 77])
    step, crystal = truth.lattice(CRYSTAL)[0], CRYSTAL
    order = rng.permutation(len(directions))
    nx, ny = crystal.repeats
    thermal = {symbol: b * float(np.exp(0.08 * rng.standard_normal())) for symbol, b in crystal.b.items()}
    unit = Atoms(
        [s for s, *_ in crystal.sites], scaled_positions=[p for _, *p in crystal.sites], cell=crystal.cell, pbc=True
    )
    atoms_of_crystal = unit * (nx, ny, depths[-1])
    sigma = np.array([np.sqrt(thermal[s] / (8 * np.pi**2)) for s in atoms_of_crystal.get_chemical_symbols()])
    layer = crystal.cell[2] / crystal.slices
    covered = int(np.ceil(rng.uniform(5.0, 12.0) / layer))  # slices of amorphous carbon, 5 to 12 angstrom
    exits = tuple(covered + depth * crystal.slices - 1 for depth in depths)
    keep = [int(0.046 / (side * fine)) for side, fine in zip(step, crystal.fine, strict=True)]
    result = np.zeros((len(depths), len(directions), 2 * keep[1] + 1, 2 * keep[0] + 1), np.float32)
    with abtem.config.set({"precision": "float32", "device": "cpu", "fft": "fftw", "diagnostics.progress_bar": False}):
        for start in range(0, len(directions), truth.BATCH):
            batch = order[start : start + truth.BATCH]
            gpts = crystal.gpts[1] * nx, crystal.gpts[0] * ny
            potential = truth.frozen_potential(atoms_of_crystal, sigma, rng, covered, layer, gpts, exits)
            tilts: Any = 1e3 * directions[batch] * step
            passed: Any = abtem.PlaneWave(energy=ENERGY, tilt=tilts, normalize=False).multislice(potential, lazy=False)
            out = passed.array
            out = out.reshape(len(depths), len(batch), *out.shape[-2:])
            share = np.abs(np.fft.fft2(out)) ** 2 / (out.shape[-1] * out.shape[-2]) ** 2
            share = np.fft.fftshift(share, axes=(-2, -1)).swapaxes(-2, -1)
            cy, cx = share.shape[-2] // 2, share.shape[-1] // 2
            result[:, batch] = share[..., cy - keep[1] : cy + keep[1] + 1, cx - keep[0] : cx + keep[0] + 1]
    return result


def vacuum(trial: truth.Trial) -> np.ndarray:
    """The pattern of the same beam without a specimen."""
    step, half = lattice()
    x, y = (np.arange(-n, n + 1) * side for n, side in zip(half, step, strict=True))
    depth = (trial.semiangle - np.hypot(x[None, :] + trial.tilt[0], y[:, None] + trial.tilt[1])) / step.mean()
    disk = np.clip(depth + 0.5, 0.0, 1.0)
    return disk / disk.sum()


def camera_mean(
    trial: truth.Trial, pattern: np.ndarray, ellipticity: float = 0.0, turned: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Mean shares [y, x] of the beam on the camera's pixels, without background and spread; ``ellipticity`` along x, turn (radian) and scale besides the
    trial's own."""
    step, half = lattice()
    part = (np.arange(SUBPOINTS) + 0.5) / SUBPOINTS
    rows, columns = ((np.arange(n)[:, None] + part[None, :]).ravel() - 0.5 * n for n in SHAPE)
    pixel = PIXEL / (trial.scale * scale)
    x, y = np.meshgrid((columns - trial.centre[0]) * pixel, (rows - trial.centre[1]) * pixel)
    cos, sin = np.cos(trial.rotation + turned), np.sin(trial.rotation + turned)
    e1, e2 = trial.ellipticity[0] + ellipticity, trial.ellipticity[1]
    stretch = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0 + e1, e2], [e2, 1.0 - e1]])
    x, y = np.tensordot(np.linalg.inv(stretch), np.stack([x, y]), axes=1)
    # a specimen tilt is minus a beam tilt: the beam lies at -tilt in the crystal's frame
    places = [(y - trial.tilt[1]) / step[1] + half[1], (x - trial.tilt[0]) / step[0] + half[0]]
    fine = map_coordinates(pattern, places, order=1) * pixel**2 / (step[0] * step[1])
    return fine.reshape(SHAPE[0], SUBPOINTS, SHAPE[1], SUBPOINTS).mean(axis=(1, 3))


def spread(image: np.ndarray, variance: float = 0.17) -> np.ndarray:
    """``image`` through a camera that spreads by ``variance`` pixels^2."""
    q = np.fft.rfftfreq(image.shape[1])[None, :] ** 2 + np.fft.fftfreq(image.shape[0])[:, None] ** 2
    return np.maximum(np.fft.irfft2(np.fft.rfft2(image) * np.exp(-2.0 * np.pi**2 * variance * q), s=image.shape), 0.0)
