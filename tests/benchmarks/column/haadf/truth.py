"""HAADF images of the simulated microscope's specimens: abTEM's crystals (Kirkland, frozen phonons, a bend and a tilt, amorphous carbon on both faces, a
detector with other angles and an uneven response), a source with exponential tails, scans that wander and a detector with an error of gain and level.

A specimen's Gram matrices are made once; trials of it differ in optics, thickness, dose, scan and noise.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write

from instrument.simulation.truth.config import SimulatedConfig
from instrument.simulation.truth.imaging.images import ABERRATIONS, Imager
from instrument.simulation.truth.imaging.scattering import load_or_build
from tests.synthetic.lattices import memory_path
from twin.detection.scan import line_time, times
from twin.records import Scan

ENERGY, SEMIANGLE, DETECTOR = 200e3, 21.4e-3, (60e-3, 95e-3)
SOURCE, SPREAD, GAIN, BLACK, READOUT, DRIFT = 0.34, 22.0, 20.0, 100.0, 5.0, 1.0
"""Source (rms, angstrom), focal spread (rms, angstrom), counts per electron, counts without electrons and their rms, nominal; and
the spread of the drift, angstrom per second and axis."""
C10, C12 = 80.0, 25.0
"""Spread of defocus and astigmatism from image to image, angstrom."""
NUISANCE = {"C21.a": 200.0, "C21.b": 200.0, "C23.a": 100.0, "C23.b": 100.0, "C30": 1e4}

_SILICON, _ARSENIDE, _TITANATE = 5.431, 5.653, 3.905


@dataclasses.dataclass(frozen=True)
class Crystal:
    """A unit cell (x, y, z; orthogonal, beam along z), its ``sites``, B in angstrom^2, nominal ``cells`` in depth, the ``symmetry`` the twin may use, and the
    frozen ``configurations`` of thermal motion of the true specimen and of the twin's model."""

    name: str
    cell: tuple[float, float, float]
    sites: tuple[tuple[str, float, float, float], ...]
    b: dict[str, float]
    cells: int
    symmetry: str | None
    configurations: tuple[int, int] = (5, 6)

    def atoms(self) -> Atoms:
        return Atoms(
            [s for s, *_ in self.sites], scaled_positions=[p for _, *p in self.sites], cell=self.cell, pbc=True
        )


def _dumbbells(a: float, first: str, second: str) -> tuple[tuple[float, float, float], tuple]:
    side = float(a / np.sqrt(2.0))
    sites = ((first, 0, 0, 0), (first, 0.5, 0.5, 0.5), (second, 0, 0.25, 0.5), (second, 0.5, 0.75, 0))
    return (side, a, side), sites


CRYSTALS = {
    "SrTiO3 [001]": Crystal(
        "SrTiO3 [001]", (_TITANATE, _TITANATE, _TITANATE),
        (("Sr", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0), ("O", 0.5, 0, 0.5), ("O", 0, 0.5, 0.5)),
        {"Sr": 0.66, "Ti": 0.42, "O": 0.78}, 20, "4mm",
    ),
    "Si [110]": Crystal("Si [110]", *_dumbbells(_SILICON, "Si", "Si"), {"Si": 0.5}, 22, "2mm"),
    "GaAs [110]": Crystal("GaAs [110]", *_dumbbells(_ARSENIDE, "Ga", "As"), {"Ga": 0.62, "As": 0.54}, 18, None),
    "SrTiO3 [110]": Crystal(
        "SrTiO3 [110]", (float(_TITANATE * np.sqrt(2.0)), _TITANATE, float(_TITANATE * np.sqrt(2.0))),
        (
            ("Sr", 0, 0, 0), ("Sr", 0.5, 0, 0.5), ("Ti", 0, 0.5, 0.5), ("Ti", 0.5, 0.5, 0), ("O", 0, 0, 0.5), ("O", 0.5, 0, 0),
            ("O", 0.25, 0.5, 0.25), ("O", 0.75, 0.5, 0.75), ("O", 0.75, 0.5, 0.25), ("O", 0.25, 0.5, 0.75),
        ),
        {"Sr": 0.66, "Ti": 0.42, "O": 0.78}, 13, "2mm",
    ),
}  # fmt: skip
"""Symmetry is that of the projected cell about its origin; silicon's has its two-fold axis in the middle of a dumbbell, so `atoms` are moved there."""


def centred(crystal: Crystal) -> Atoms:
    """The cell with its symmetry about the origin."""
    atoms = crystal.atoms()
    if crystal.name == "Si [110]":
        atoms.translate((0.0, -crystal.cell[1] / 8.0, 0.0))
        atoms.wrap()
    return atoms


def specimen(crystal: Crystal, seed: int, folder: Path, progress: Callable[[str, float], None]) -> Imager:
    """The true specimen of ``seed``, from ``folder`` if it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        cif = Path(scratch) / "cell.cif"
        write(cif, centred(crystal))
        config = SimulatedConfig(
            cif=str(cif), cells=crystal.cells, gpts=144, phonon_configs=crystal.configurations[0], thermal_b=crystal.b, energy=ENERGY,
            semiangle=SEMIANGLE, haadf_inner=DETECTOR[0], haadf_outer=DETECTOR[1], focal_spread=SPREAD, source_sigma=SOURCE,
        )  # fmt: skip
        return Imager(load_or_build(config, seed, folder, progress), config)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """``images`` [k, ny, nx] in counts at known changes ``offsets`` [k] of C10, the ``scan`` as asked for, and what is true of them, by name."""

    images: np.ndarray
    offsets: tuple[float, ...]
    scan: Scan
    truth: dict[str, float]


def recorded(
    crystal: Crystal,
    imager: Imager,
    seed: int,
    offsets: tuple[float, ...] = (0.0,),
    dose: float | None = None,
    c10: float | None = None,
) -> Recorded:
    """A trial at random: 6 to 12 cells of 3.9 angstrom across, 3e3 to 1e5 electrons per square angstrom, drift, wander and jitter of the scan."""
    generator = np.random.default_rng([seed, len(crystal.name)])
    pixels = int(generator.choice([96, 128]))
    width = generator.uniform(6.0, 12.0) * 3.9
    random_dose = float(np.exp(generator.uniform(np.log(3e3), np.log(1e5))))
    scan = Scan(
        shape=(pixels, pixels), pixel=width / pixels, dwell=float(generator.choice([8e-6, 2e-5])), flyback=5e-4,
        dose=dose if dose is not None else random_dose,
    )  # fmt: skip
    values = dict.fromkeys(ABERRATIONS, 0.0)
    for name, sigma in ({"C10": C10, "C12.a": C12, "C12.b": C12} | NUISANCE).items():
        values[name] = sigma * float(generator.standard_normal())
    if c10 is not None:
        values["C10"] = c10
    depth = crystal.cell[2]
    thickness = depth * crystal.cells + float(np.clip(4.0 * generator.standard_normal(), -6.0, 6.0))
    angle = generator.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    gain = GAIN * float(np.exp(0.1 * generator.standard_normal()))
    black = BLACK + 4.0 * float(generator.standard_normal())
    images, first = [], None
    for offset in offsets:
        places, map_, drift = scanned(scan, turn, generator)
        changed = turned(values | {"C10": values["C10"] + offset}, angle)
        harmonics = imager.harmonics(np.array([changed[name] for name in ABERRATIONS]), thickness)
        places = places + generator.uniform(0.0, 4.0, 2)
        fraction = np.maximum(imager.intensity(harmonics, places[..., 0].ravel(), places[..., 1].ravel()), 0.0)
        electrons = generator.poisson(scan.dose * scan.pixel**2 * fraction).reshape(scan.shape)
        images.append(gain * electrons + black + READOUT * generator.standard_normal(scan.shape))
        first = first or (map_, drift)
    assert first is not None
    map_, drift = first
    row_vector, column_vector = map_[:, 0], map_[:, 1]
    pixel_x = float(np.hypot(*row_vector))
    pixel_y = float(np.linalg.det(map_)) / pixel_x
    truth = {
        "C10": values["C10"], "C12a": values["C12.a"], "C12b": values["C12.b"], "scale": gain / GAIN, "black": black,
        "thickness": thickness, "pixel_x": pixel_x, "pixel_y": pixel_y,
        "shear": float(row_vector @ column_vector) / pixel_x / pixel_y, "rotation": float(-np.arctan2(row_vector[1], row_vector[0])),
        "drift.x": float(drift[0]), "drift.y": float(drift[1]),
    }  # fmt: skip
    return Recorded(np.array(images), offsets, scan, truth)


def turned(values: dict[str, float], angle: float) -> dict[str, float]:
    """Aberrations in the crystal's axes, which lie at ``angle`` from the scan's: an m-fold one turns by m times it."""
    rotated = dict(values)
    for name in ("C12", "C21", "C23"):
        multiple = int(name[2])
        coefficient = complex(values[f"{name}.a"], values[f"{name}.b"]) * np.exp(-1j * multiple * angle)
        rotated[f"{name}.a"], rotated[f"{name}.b"] = float(coefficient.real), float(coefficient.imag)
    return rotated


def scanned(scan: Scan, turn: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (x, y) of pixels [ny, nx, 2] in the crystal's axes, the map with the drift in it, and the drift (angstrom per second, scan's axes)."""
    ny, nx = scan.shape
    scan_map = scan.pixel * (
        np.eye(2) * (1.0 + 0.01 * generator.standard_normal())
        + np.array([[0.003 * generator.standard_normal(), 0.003 * generator.standard_normal()], [0.0, 0.0]])
    )
    velocity = DRIFT * generator.standard_normal(2)
    pixel_times = times(scan)
    x, y = np.meshgrid(np.arange(nx) - 0.5 * nx, np.arange(ny) - 0.5 * ny)
    places = np.stack([x, y], axis=-1) @ scan_map.T + velocity * pixel_times[..., None]
    frame, block_length = line_time(scan) * ny, nx // 8
    wander = float(np.exp(generator.uniform(np.log(0.02), np.log(0.15))))
    memory = frame * float(np.exp(generator.uniform(np.log(0.1), np.log(2.0))))
    places = places + memory_path(pixel_times.ravel()[::block_length], wander, memory, generator).repeat(
        block_length, axis=0
    ).reshape(ny, nx, 2)
    jitter = float(np.exp(generator.uniform(np.log(0.01), np.log(0.06))))
    phase = generator.uniform(0.0, 2.0 * np.pi, 2)
    hum = np.stack([np.sin(2.0 * np.pi * 50.0 * pixel_times + offset) for offset in phase], axis=-1)
    vibration = memory_path(pixel_times.ravel(), 1.0, 5e-3, generator).reshape(ny, nx, 2)
    places = places + 0.7 * jitter * (hum + vibration)
    drifted = scan_map + np.outer(velocity, [scan.dwell, line_time(scan)])
    return places @ turn.T, turn @ drifted, velocity


def prior_widths() -> dict[str, Any]:
    """What is known beforehand of trials, as `reconstruct.measurement.haadf.prior.HaadfPrior` takes it."""
    nuisance = {name.replace(".", ""): (0.0, sigma) for name, sigma in NUISANCE.items()}
    spreads = {"C10": (0.0, C10), "C12a": (0.0, C12), "C12b": (0.0, C12)}
    return {"aberrations": spreads | nuisance, "scanner": 0.003, "drift": DRIFT, "gain": 0.1, "black": 4.0}
