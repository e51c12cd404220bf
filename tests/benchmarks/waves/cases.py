"""Inputs shared by both sides of the wave engine's cases: sizes, specimen, beam, detector, scan positions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks._form import Form

ENERGY, SEMIANGLE, A = 200e3, 21.4e-3, 3.905
HAADF = (60e-3, 95e-3)


class Size(NamedTuple):
    """Cells (x, y, z) of SrTiO3 [001], points along x and y; two slices a cell."""

    cells: tuple[int, int, int]
    points: int

    @property
    def slices(self) -> int:
        return 2 * self.cells[2]

    @property
    def extent(self) -> tuple[float, float]:
        return self.cells[0] * A, self.cells[1] * A


FULL, SHORT, SMOKE = Size((6, 6, 26), 512), Size((4, 4, 8), 256), Size((2, 2, 2), 96)
Runs = dict[str, Callable[[], Any]]
"""Settings and what to time; each call returns the result as NumPy arrays."""


def sizes(quantity: str, short: Form) -> tuple[int, ...]:
    """What `growth` is measured at: two small ones in the smoke form."""
    return (SMOKE_SIZES if short is Form.SMOKE else SIZES)[quantity]


def base(short: Form) -> Size:
    """The specimen and grid of `growth` in all that does not grow."""
    return SMOKE if short is Form.SMOKE else Size((4, 4, 8), 256)


def seeds(short: Form) -> tuple[int, ...]:
    """Those of the frozen phonons that an image is averaged over."""
    return SEEDS[:2] if short is Form.SMOKE else SEEDS


def size_of(short: Form) -> Size:
    return (FULL, SHORT, SMOKE)[short]


def specimen(size: Size) -> Any:
    from twin.sample.specimen import srtio3

    return srtio3(size.cells)


def slices_of(size: Size, points: int | None = None, seed: int | None = None) -> Any:
    """The potential both sides get."""
    sample = specimen(size)
    return sample.slices(points or size.points, size.slices, None if seed is None else sample.displacements(seed))


def spots(size: Size, count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.0, min(size.extent), (count, 2))


def raster(size: Size, count: int) -> np.ndarray:
    """``count`` places along one axis of the cell in the middle."""
    return (np.arange(count) / count - 0.5) * A + (size.cells[0] // 2) * A


def beam(**changed: Any) -> Any:
    from twin.optics.illumination import Illumination

    return Illumination(np.zeros(25), ENERGY, SEMIANGLE, **changed)


def haadf(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """The same hard ring that abTEM has."""
    from twin.detection.detectors import annular
    from twin.optics.electrons import wavelength

    return np.asarray(annular(kx, ky, wavelength(ENERGY), *HAADF))


def scene(size: Size, seeds: tuple[int, ...] = ()) -> Any:
    from twin.sample.specimen import srtio3
    from twin.scattering.stem.scene import Scene

    points = (size.points, size.points)
    return Scene(specimen(size), points, size.slices, seeds, (0.0, 0.0), srtio3((1, 1, 1)), size.cells)


def series_settings() -> np.ndarray:
    """[`SERIES`, 4]: C10, C12a, C30, source size in angstrom."""
    generator = np.random.default_rng(1)
    return np.stack(
        [
            generator.normal(0, 30, SERIES),
            generator.normal(0, 20, SERIES),
            generator.normal(0, 1e4, SERIES),
            generator.uniform(0, 0.5, SERIES),
        ],
        axis=-1,
    )


SEEDS = (0, 1, 2, 3)
SERIES, SERIES_BY_ABTEM = 100, 3
SIZES = {
    "probes": (2, 4, 8, 16, 32),
    "slices": (4, 8, 16, 32),
    "grid points along an axis": (128, 256, 512),
    "beams": (10, 15, 20, 25),
}
SMOKE_SIZES = {"probes": (2, 4), "slices": (2, 4), "grid points along an axis": (72, 96), "beams": (10, 15)}
"""What time is measured against, and how many: probes, slices, points, and for beams the semi-angle in mrad (their number is as its square)."""
