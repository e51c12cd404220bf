"""HAADF images of the benchmark of spoiled images: abTEM's SrTiO3 [001] on the simulated microscope (Kirkland, frozen phonons, a bend and a tilt, amorphous
carbon on both faces, a detector of slightly other angles), as `tests.benchmarks.column.haadf.truth` has it, 12 cells thick and 64 x 64 pixels.

The specimen's Gram matrices are made once (half a minute) and kept in the cache folder; a trial differs in optics, thickness, scan, dose and noise.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from instrument.simulation.truth.config import SimulatedConfig
from instrument.simulation.truth.imaging.images import ABERRATIONS, Imager
from instrument.simulation.truth.imaging.scattering import load_or_build
from tests.benchmarks.column.haadf.truth import NUISANCE, scanned, turned
from tests.benchmarks.spoiled.sample import Sample as Recorded
from twin import Sample
from twin.cache_folder import usable_cache
from twin.detection.scan import line_time, times
from twin.records import Scan

PRINCIPAL = {"C10": None, "C12a": None, "C12b": None}
SPOILINGS = {
    "hot pixels": "single pixels at 65535 counts",
    "hot column": "one column of pixels brighter than the rest",
    "cosmic rays": "short streaks of counts",
    "saturated columns": "the detector is full at the brightest atoms",
    "dark level": "counts without a beam other than stated",
    "gain": "counts per electron other than stated",
    "contamination": "a bright patch over a corner",
    "amorphous layer": "a layer that scatters evenly, with speckle",
    "wedge": "thickness that changes across the image",
    "vacuum": "no specimen in a part of the image",
    "scan drift": "a drift of many angstrom within the frame",
    "hum": "lines displaced at 50 Hz, not synchronised",
    "line jitter": "every line displaced at random",
    "few electrons": "a low dose",
    "frame edge": "a border of constant counts",
}
WRONG = {
    "thickness twice": "twice the thickness is stated",
    "semi-angle": "a semi-angle 15 % too large",
    "energy": "an energy 20 % too high",
    "structure": "BaTiO3 in place of SrTiO3",
    "zone axis": "[110] in place of [001]",
    "detector angles": "angles of the detector 20 % too large",
    "pixel": "pixels 10 % too large",
}
ERRORS_BEFORE = {"C10": 18.4, "C12a": 6.48, "C12b": 4.48}
"""Median standard errors in angstrom."""

SPECIMEN, CELLS, PERIOD = 7, 12, 3.905
ENERGY, SEMIANGLE, DETECTOR = 200e3, 21.4e-3, (50e-3, 90e-3)
GAIN, BLACK, READOUT, SOURCE = 20.0, 100.0, 5.0, 0.36
THICKNESS_ERROR, C10_ERROR, C12_ERROR, GAIN_ERROR = 4.0, 40.0, 15.0, 0.05


@functools.cache
def imager() -> Imager:
    """The true specimen."""
    config = SimulatedConfig(
        cells=CELLS, gpts=132, haadf_inner=DETECTOR[0], haadf_outer=DETECTOR[1], energy=ENERGY, semiangle=SEMIANGLE, focal_spread=22.0,
        source_sigma=0.34, amorphous_entrance=3.0, amorphous_exit=3.0,
    )  # fmt: skip
    return Imager(load_or_build(config, SPECIMEN, usable_cache(), lambda *_: None), config)


@dataclasses.dataclass(frozen=True)
class _Clean:
    """Fractions of the beam in every pixel [ny, nx] as a function of ``optics`` and ``thickness`` at ``positions`` [ny, nx, 2] (crystal's axes, angstrom),
    and the detector's true ``gain`` and ``black``."""

    scan: Scan
    positions: np.ndarray
    optics: np.ndarray
    thickness: float
    gain: float
    black: float
    truth: Mapping[str, float]
    turn: np.ndarray

    def fractions(self, shift: np.ndarray | float = 0.0, thickness: float | None = None) -> np.ndarray:
        """With pixels displaced by ``shift`` [ny, nx, 2] (scan's axes, angstrom), at another ``thickness``."""
        places = self.positions + np.asarray(shift) @ self.turn.T if np.ndim(shift) else self.positions
        harmonics = imager().harmonics(self.optics, self.thickness if thickness is None else thickness)
        values = imager().intensity(harmonics, places[..., 0].ravel(), places[..., 1].ravel())
        return np.maximum(values, 0.0).reshape(self.scan.shape)

    def counts(self, fractions: np.ndarray, seed: int, gain: float = 1.0, dose: float = 1.0) -> np.ndarray:
        """Counts of ``fractions`` of the beam; the same noise for the same numbers."""
        generator = np.random.default_rng([seed, 1])
        electrons = generator.poisson(dose * self.scan.dose * self.scan.pixel**2 * fractions)
        return gain * self.gain * electrons + self.black + READOUT * generator.standard_normal(fractions.shape)


def _clean(seed: int) -> _Clean:
    """Optics, scan and detector of a seed, out of what is said to be known of them."""
    generator = np.random.default_rng([seed, 21])
    pixel = generator.uniform(0.28, 0.32)
    dose = float(np.exp(generator.uniform(np.log(2e4), np.log(1e5))))
    scan = Scan(shape=(64, 64), pixel=pixel, dwell=1e-5, flyback=5e-4, dose=dose)
    angle = generator.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    values = dict.fromkeys(ABERRATIONS, 0.0)
    for name, sigma in ({"C10": C10_ERROR, "C12.a": C12_ERROR, "C12.b": C12_ERROR} | NUISANCE).items():
        values[name] = sigma * float(generator.standard_normal())
    thickness = PERIOD * CELLS + float(np.clip(THICKNESS_ERROR * generator.standard_normal(), -6.0, 6.0))
    positions, *_ = scanned(scan, turn, generator)
    rotated = turned(values, angle)
    return _Clean(
        scan, positions + generator.uniform(0.0, PERIOD, 2), np.array([rotated[name] for name in ABERRATIONS]), thickness,
        GAIN * float(np.exp(GAIN_ERROR * generator.standard_normal())), BLACK + 4.0 * float(generator.standard_normal()),
        {"C10": values["C10"], "C12a": values["C12.a"], "C12b": values["C12.b"]}, turn,
    )  # fmt: skip


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Recorded:
    """See `tests.benchmarks.spoiled.sample`."""
    clean = _clean(seed)
    known: dict[str, Any] = {
        "structure": "SrTiO3", "pixel": clean.scan.pixel, "energy": ENERGY, "semiangle": SEMIANGLE, "detector": DETECTOR,
        "thickness": PERIOD * CELLS, "thickness_error": THICKNESS_ERROR, "dose": clean.scan.dose, "dwell": clean.scan.dwell, "gain": GAIN,
        "black": BLACK, "readout": READOUT, "source": SOURCE, "c10_error": C10_ERROR, "gain_error": GAIN_ERROR,
    }  # fmt: skip
    fractions = clean.fractions()
    image = clean.counts(fractions, seed)
    if spoiling is None:
        return Recorded(image, clean.truth, known)
    if spoiling in WRONG:
        return Recorded(image, clean.truth, known | _wrong(spoiling, known))
    generator = np.random.default_rng([seed, strength, 2])
    data, told, given = _spoiled(spoiling, strength, clean, fractions, image, seed, generator)
    # a low dose is no secret
    stated = known | given if spoiling == "few electrons" else known
    return Recorded(data, clean.truth, stated, (told, known | given))


def barium_titanate() -> Any:
    """ASE atoms of cubic BaTiO3, whose lattice is 2.5 % larger."""
    from ase.spacegroup import crystal

    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    return crystal(["Ba", "Ti", "O"], sites, spacegroup=221, cellpar=[4.0, 4.0, 4.0, 90, 90, 90])


def _wrong(what: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated in place of the truth."""
    return {
        "thickness twice": {"thickness": 2.0 * known["thickness"]},
        "semi-angle": {"semiangle": 1.15 * SEMIANGLE},
        "energy": {"energy": 1.2 * ENERGY},
        "structure": {"structure": Sample.from_atoms(barium_titanate(), "BaTiO3")},
        "zone axis": {"zone": (1, 1, 0)},
        "detector angles": {"detector": (1.2 * DETECTOR[0], 1.2 * DETECTOR[1])},
        "pixel": {"pixel": 1.1 * known["pixel"]},
    }[what]


Spoiled = tuple[np.ndarray, np.ndarray, dict[str, Any]]


def _spoiled(
    what: str, strength: int, clean: _Clean, fractions: np.ndarray, image: np.ndarray, seed: int, generator: np.random.Generator
) -> Spoiled:  # fmt: skip
    """The recording, the one for the fit that is told, and what it is told besides."""
    if what in ("hot pixels", "hot column", "cosmic rays", "saturated columns", "frame edge", "vacuum"):
        return _masked(what, strength, clean, fractions, image, seed, generator)
    if what in ("scan drift", "hum", "line jitter"):
        moved = clean.counts(clean.fractions(_displaced(what, strength, clean, generator)), seed)
        return moved, image, {}
    ny, nx = clean.scan.shape
    y, x = np.mgrid[:ny, :nx]
    mean = float(fractions.mean())
    if what == "dark level":
        added = (30.0, 150.0, 600.0)[strength]
        return image + added, image, {}
    if what == "gain":
        factor = (1.15, 1.4, 2.0)[strength]
        data = clean.counts(fractions, seed, factor)
        return data, data, {"gain": GAIN * factor}
    if what == "few electrons":
        data = clean.counts(fractions, seed, 1.0, (0.1, 0.03, 0.01)[strength])
        dose = clean.scan.dose * (0.1, 0.03, 0.01)[strength]
        return data, data, {"dose": dose}
    if what == "contamination":
        patch = (0.15, 0.5, 1.5)[strength] * mean * np.exp(-0.5 * ((x - 5) ** 2 + (y - 60) ** 2) / 18.0**2)
        return clean.counts(fractions + patch, seed), image, {}
    if what == "amorphous layer":
        speckle = np.fft.ifft2(
            np.fft.fft2(generator.standard_normal((ny, nx))) * np.exp(-0.5 * (12.0 * np.hypot(*np.meshgrid(np.fft.fftfreq(nx), np.fft.fftfreq(ny)))) ** 2)
        ).real  # fmt: skip
        layer = (0.05, 0.15, 0.4)[strength] * mean * np.maximum(1.0 + 0.2 * speckle / speckle.std(), 0.0)
        return clean.counts(fractions + layer, seed), image, {}
    # a wedge along x: the true thickness in the middle
    change = (0.05, 0.15, 0.3)[strength] * PERIOD * CELLS
    thin, thick = (clean.fractions(0.0, clean.thickness + sign * 4.0) for sign in (-1.0, 1.0))
    slope = (thick - thin) / 8.0
    wedge = np.maximum(fractions + slope * change * (2.0 * x / (nx - 1.0) - 1.0), 0.0)
    return clean.counts(wedge, seed), image, {}


def _masked(
    what: str, strength: int, clean: _Clean, fractions: np.ndarray, image: np.ndarray, seed: int, generator: np.random.Generator
) -> Spoiled:  # fmt: skip
    """Spoilings of single pixels: the fit that is told has them masked."""
    ny, nx = clean.scan.shape
    data, bad = image.copy(), np.zeros((ny, nx), dtype=bool)
    if what == "hot pixels":
        bad.ravel()[generator.choice(ny * nx, (2, 10, 40)[strength], replace=False)] = True
        data[bad] = 65535.0
    elif what == "hot column":
        column = int(generator.integers(5, nx - 5))
        bad[:, column] = True
        data[:, column] += (0.3, 1.0, 4.0)[strength] * (image.mean() - clean.black)
    elif what == "cosmic rays":
        for _ in range((2, 6, 20)[strength]):
            row, start, length = (
                int(generator.integers(ny)),
                int(generator.integers(nx - 6)),
                int(generator.integers(2, 6)),
            )
            bad[row, start : start + length] = True
        data[bad] += 1e4 * generator.uniform(0.3, 1.0, int(bad.sum()))
    elif what == "saturated columns":
        full = float(np.quantile(image, (0.99, 0.96, 0.9)[strength]))
        bad = image >= full
        data = np.minimum(image, full)
    elif what == "frame edge":
        width = (1, 4, 10)[strength]
        bad[:, nx - width :] = bad[ny - width :] = True
        data[bad] = 0.0
    else:
        bad[:, nx - int((0.12, 0.25, 0.45)[strength] * nx) :] = True
        data = clean.counts(np.where(bad, 0.0, fractions), seed)
    return data, np.where(bad, np.nan, data), {}


def _displaced(what: str, strength: int, clean: _Clean, generator: np.random.Generator) -> np.ndarray:
    """Displacement of the pixels [ny, nx, 2] in angstrom, in the scan's axes."""
    ny, nx = clean.scan.shape
    at = times(clean.scan)
    if what == "scan drift":
        direction = generator.uniform(0.0, 2.0 * np.pi)
        speed = (3.0, 8.0, 16.0)[strength] / (line_time(clean.scan) * ny)
        return speed * (at - at.mean())[..., None] * np.array([np.cos(direction), np.sin(direction)])
    if what == "hum":
        size, phase = (0.08, 0.2, 0.5)[strength], generator.uniform(0.0, 2.0 * np.pi, 2)
        return size * np.sin(2.0 * np.pi * 50.0 * at[..., None] + phase)
    lines = (0.05, 0.12, 0.3)[strength] * generator.standard_normal((ny, 1, 2))
    return np.broadcast_to(lines, (ny, nx, 2))
