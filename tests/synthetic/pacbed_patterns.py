"""Position-averaged patterns of bent, wedge-shaped and tilted SrTiO3 [001] by abTEM, one specimen for each seed, on a camera of its own.

Code, atoms (Kirkland), thermal motion, surface carbon and the camera's spread are those of `tests.benchmarks.column.thickness.truth`, and none of them the fit's.
A pattern takes some ten seconds to compute; it is kept in the system's folder of temporary files.
"""

import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from tests.benchmarks.column.thickness import truth

ENERGY, SEMIANGLE = truth.ENERGY, truth.SEMIANGLE
SHAPE, PIXEL = (64, 64), 1.0e-3
"""Pixels (y, x) of the camera and their angle in radian."""
SUBPOINTS = 4
CRYSTAL = dataclasses.replace(truth.CRYSTALS["SrTiO3 [001]"], fine=(2, 2))
BENDS = (0.6e-3, 1.5e-3, 3.0e-3)
"""Largest tilts in radian of a bent region to either side of its mean."""
WEDGES = (0.06, 0.15, 0.3)
"""Largest shares by which a wedge is thicker and thinner than its mean."""


@dataclasses.dataclass(frozen=True)
class Specimen:
    """The pattern ``flat`` of a specimen, those of ``bent`` regions and of a ``wedge`` (three strengths each; means over five tilts or thicknesses), all on
    the lattice of `truth.lattice`, and what it is: ``trial``."""

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
    way = np.random.default_rng([seed, 212]).uniform(0.0, 2.0 * np.pi)
    along = np.array([np.cos(way), np.sin(way)])
    offsets = [(sign * 0.5 * share, sign * share) for share in (1.0,) for sign in (-1.0, 1.0)]
    bends = [
        [dataclasses.replace(trial, tilt=tuple(np.asarray(trial.tilt) + bend * offset * along)) for offset in np.ravel(offsets)]
        for bend in BENDS
    ]  # fmt: skip
    wedges = [
        [
            dataclasses.replace(
                trial, thickness=max(1, round(trial.thickness * (1 + share * offset) / CRYSTAL.cell[2])) * CRYSTAL.cell[2]
            )
            for offset in np.ravel(offsets)
        ]
        for share in WEDGES
    ]  # fmt: skip
    wanted = [trial, *(one for bend in (*bends, *wedges) for one in bend)]
    folder = Path(tempfile.gettempdir()) / "emtwin-benchmarks"
    made = truth.patterns(CRYSTAL, 1000 + seed, wanted, folder, lambda text, share: None)
    flat, mixtures = made[0], np.reshape(made[1:], (6, 4, *made[0].shape))
    means = tuple((mixture.sum(axis=0) + flat) / 5.0 for mixture in mixtures)
    return Specimen(trial, flat, means[:3], means[3:])


def vacuum(trial: truth.Trial) -> np.ndarray:
    """The pattern of the same beam without a specimen."""
    step, half = truth.lattice(CRYSTAL)
    part = (np.arange(SUBPOINTS) + 0.5) / SUBPOINTS - 0.5
    axes = [(np.arange(-n, n + 1)[:, None] + part[None]).ravel() * s for n, s in zip(half, step, strict=True)]
    inside = np.hypot(axes[0][None, :] + trial.tilt[0], axes[1][:, None] + trial.tilt[1]) <= trial.semiangle
    disk = inside.reshape(2 * half[1] + 1, SUBPOINTS, 2 * half[0] + 1, SUBPOINTS).mean(axis=(1, 3))
    return disk / disk.sum()


def camera_mean(
    trial: truth.Trial, pattern: np.ndarray, ellipticity: float = 0.0, turned: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Mean shares [y, x] of the beam on the camera's pixels, without background and spread; ``ellipticity`` along x, turn (radian) and scale besides the
    trial's own."""
    step, half = truth.lattice(CRYSTAL)
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
