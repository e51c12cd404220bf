"""The questions that are tried: four defects, each with three techniques, in small fields."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from learn.feasibility.hypotheses import Change, Hypotheses, hypotheses_of
from learn.feasibility.matrices import Grid
from learn.feasibility.scans import Window, finest_step, window_of
from twin.grid import CUTOFF, smooth
from twin.optics.electrons import wavelength
from twin.sample.orthogonal import orthogonal
from twin.sample.specimen import Specimen, srtio3

SHIFT = 0.05
"""Angstrom by which the lattice is placed wrongly at most, along either axis."""
JITTER = 0.05
"""By how much columns are displaced against one another (rms, angstrom)."""


class Ring(NamedTuple):
    """An annular detector, in radian."""

    inner: float
    outer: float


class Camera(NamedTuple):
    """4D-STEM: ``reach`` and ``pixel`` in radian."""

    reach: float
    pixel: float = 4e-3


class Image(NamedTuple):
    """HRTEM: C10 in angstrom, ``aperture`` in radian, ``focal_spread`` (rms) in angstrom."""

    c10: float
    aperture: float
    focal_spread: float = 20.0


Technique = Ring | Camera | Image


class Study(NamedTuple):
    """A ``change`` in a ``cell`` repeated (x, y, z) and cut into ``slices`` to a cell, seen with a probe of ``semiangle`` (radian), ``c10`` and ``source``
    (angstrom) at ``energy`` (eV). ``layers`` of amorphous carbon on the entrance and the exit face, in angstrom; ``priors``: standard deviations of what is
    not known (angstrom); ``nodes``: depths of the prediction, and of the truth; ``roughness``: of the thickness, from column to column (rms, angstrom)."""

    name: str
    cell: Specimen
    repeats: tuple[int, int, int]
    slices: int
    change: Change
    energy: float
    semiangle: float
    c10: float
    source: float
    layers: tuple[float, float]
    priors: Mapping[str, float]
    techniques: Mapping[str, Technique]
    nodes: tuple[int, int] = (3, 4)
    roughness: float = 2.0

    @property
    def reach(self) -> float:
        """Largest angle that is counted, in radian."""
        return max(self.semiangle, *(_reach(each) for each in self.techniques.values()))

    def hypotheses(self, nodes: int) -> Hypotheses:
        """Specimens without and with the change at ``nodes`` depths."""
        return hypotheses_of(self.cell, self.repeats, self.change, nodes)

    def grid(self, seeds: tuple[int, ...]) -> Grid:
        """Of the prediction."""
        highest = 1.1 * self.reach / wavelength(self.energy) / CUTOFF
        sides = (self.cell.cell[axis] * self.repeats[axis] for axis in range(2))
        # whole numbers of points to a cell, so that the windows of all columns are alike
        nx, ny = (
            n * smooth(int(np.ceil(2.0 * highest * side / n))) for side, n in zip(sides, self.repeats, strict=False)
        )
        before = self.slices if self.priors.get("thickness", 0.0) > 0.0 else 0
        return Grid(
            (ny, nx), self.slices * self.repeats[2], self.energy, self.semiangle, self.reach, seeds, before=before
        )

    def window(self, location: tuple[float, float]) -> Window:
        """One cell about the change."""
        return window_of(location, self.cell.extent, finest_step(self.semiangle, self.energy))


class Settings(NamedTuple):
    """What is true of one recording: aberrations ``c10``, ``c12`` (a, b), ``source``, ``shift`` (x, y) of the scan in angstrom, ``cells`` more in depth than
    assumed, which of the true ``depth`` nodes the change has, and the ``seed`` of its layers."""

    c10: float
    c12: tuple[float, float]
    source: float
    shift: tuple[float, float]
    cells: int
    depth: int
    seed: int


def _reach(technique: Technique) -> float:
    if isinstance(technique, Ring):
        return technique.outer
    return technique.reach if isinstance(technique, Camera) else technique.aperture


def studies() -> tuple[Study, ...]:
    """All that are tried."""
    free = {"C10": 20.0, "C12a": 10.0, "C12b": 10.0, "source": 0.1}
    titanate = srtio3((1, 1, 1))
    return (
        Study(
            "La in SrTiO3", titanate, (2, 2, 8), 2, Change("substitution", "Sr", "La"), 200e3, 20e-3, 0.0, 0.35, (2.5, 2.5), {**free, "thickness": 4.0},
            {"HAADF": Ring(60e-3, 100e-3), "ADF": Ring(28e-3, 60e-3), "4D-STEM": Camera(60e-3)}, roughness=0.5,
        ),
        Study(
            "O vacancy in SrTiO3", titanate, (2, 2, 5), 2, Change("vacancy", "O", column=1), 200e3, 20e-3, 0.0, 0.35, (0.0, 0.0), {**free, "thickness": 4.0},
            {"ABF": Ring(10e-3, 20e-3), "4D-STEM": Camera(40e-3), "HRTEM": Image(-60.0, 30e-3)},
        ),
        Study(
            "Sb in Si", _silicon(), (2, 2, 8), 2, Change("substitution", "Si", "Sb"), 200e3, 20e-3, 0.0, 0.35, (10.0, 10.0), {**free, "thickness": 4.0},
            {"HAADF": Ring(60e-3, 100e-3), "ABF": Ring(10e-3, 20e-3), "4D-STEM": Camera(40e-3)},
        ),
        Study(
            "S vacancy in MoS2", _disulphide(), (2, 2, 1), 4, Change("vacancy", "S"), 80e3, 25e-3, 0.0, 0.35, (0.0, 0.0), free,
            {"ADF": Ring(50e-3, 100e-3), "4D-STEM": Camera(75e-3), "HRTEM": Image(-40.0, 35e-3)}, (2, 2), 0.0,
        ),
    )  # fmt: skip


def _silicon() -> Specimen:
    """Si [110], both planes in the middles of their slices."""
    from ase import Atoms

    a = 5.4311
    side = a / np.sqrt(2.0)
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.25, 0.5), (0.5, 0.75, 0)]
    unit = Atoms("Si4", scaled_positions=scaled, cell=[side, a, side], pbc=True)
    unit.translate((0.0, 0.0, side / 4.0))
    return Specimen.from_atoms(unit)


def _disulphide() -> Specimen:
    """One layer of MoS2 (a = 3.16 angstrom, S planes 3.17 angstrom apart: Boker et al., Phys. Rev. B 64, 235305 (2001)) in an orthogonal cell."""
    from ase.build import mx2

    layer = mx2("MoS2", a=3.16, thickness=3.17, vacuum=1.5)
    layer.set_pbc(True)
    return Specimen.from_atoms(orthogonal(layer).atoms)
