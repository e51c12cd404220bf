"""Waves through specimens by abTEM: Kirkland's atoms, amorphous carbon."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from instrument.simulation.truth.imaging.specimen import wavelength

BATCH = 32


@contextmanager
def plain_abtem() -> Iterator[None]:
    """abTEM on one core, at once, in single precision, without progress bars."""
    import abtem

    options = {
        "diagnostics.progress_bar": False, "dask.lazy": False, "precision": "float32", "device": "cpu", "fft": "fftw", "fftw.threads": 1,
    }  # fmt: skip
    with abtem.config.set(options):
        yield


class Medium:
    """Waves of ``energy`` (eV) through specimens of ``extent`` (x, y) in angstrom on ``gpts`` (nx, ny): plane waves of whole indices ``incident`` [n, 2] in,
    and out the beams of whole indices ``scattered`` [pixels, 2]."""

    def __init__(
        self,
        extent: tuple[float, float],
        energy: float,
        gpts: tuple[int, int],
        incident: np.ndarray,
        scattered: np.ndarray,
    ):
        self.extent, self.energy, self.gpts, self.incident = extent, energy, gpts, incident
        self.beams = (scattered[:, 0] % gpts[0], scattered[:, 1] % gpts[1])

    def transmissions(
        self, symbols: Sequence[str], positions: np.ndarray, occupancy: np.ndarray, depth: float, slices: int
    ) -> list[Any]:
        """abTEM's transmission functions of atoms, each projected whole, structure factors summed exactly."""
        import abtem
        from abtem.antialias import AntialiasAperture
        from abtem.parametrizations import KirklandParametrization

        nx, ny = self.gpts
        lx, ly = self.extent
        hx, hy = np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny)
        k2 = (hx[:, None] / lx) ** 2 + (hy[None, :] / ly) ** 2
        names = np.array(symbols)
        layer = np.clip((positions[:, 2] / depth * slices).astype(int), 0, slices - 1)
        along_x = np.exp(-2j * np.pi * positions[:, :1] / lx * hx) * occupancy[:, None]
        along_y = np.exp(-2j * np.pi * positions[:, 1:2] / ly * hy)
        array = np.zeros((slices, nx, ny), np.float32)
        factors = {name: KirklandParametrization().projected_scattering_factor(name)(k2) for name in np.unique(names)}
        for number in range(slices):
            spectrum = np.zeros((nx, ny), np.complex128)
            for name, factor in factors.items():
                chosen = (layer == number) & (names == name)
                spectrum += factor * (along_x[chosen].T @ along_y[chosen])
            array[number] = np.fft.ifft2(spectrum).real * (nx * ny / (lx * ly))
        made = abtem.PotentialArray(array, slice_thickness=depth / slices, extent=self.extent)
        functions = AntialiasAperture().bandlimit(made.transmission_function(self.energy), in_place=False)
        return list(functions.generate_slices())

    def scattered(
        self, before: list[Any], crystal: list[Any], exits: Sequence[int], after: list[Any], vacuum: float = 0.0
    ) -> list[np.ndarray]:
        """Amplitudes [n, pixels] behind ``exits`` slices of the ``crystal`` and the layer ``after`` it; incident waves refer to a plane that lies ``vacuum``
        angstrom before the crystal's first slice."""
        import abtem
        from abtem.antialias import AntialiasAperture
        from abtem.core.axes import OrdinalAxis
        from abtem.multislice import FresnelPropagator, conventional_multislice_step

        nx, ny = self.gpts
        step, limiter = FresnelPropagator(), AntialiasAperture()
        above = sum(each.slice_thickness[0] for each in before) - vacuum
        results = [np.empty((len(self.incident), len(self.beams[0])), np.complex64) for _ in exits]
        for first in range(0, len(self.incident), BATCH):
            h = self.incident[first : first + BATCH]
            k2 = (h[:, 0] / self.extent[0]) ** 2 + (h[:, 1] / self.extent[1]) ** 2
            start = np.exp(1j * np.pi * wavelength(self.energy) * above * k2)[:, None] * np.exp(
                2j * np.pi * h[:, :1] * np.arange(nx) / nx
            )
            array = start[:, :, None] * np.exp(2j * np.pi * h[:, 1:] * np.arange(ny) / ny)[:, None, :]
            axes: Any = [OrdinalAxis(values=tuple(range(len(h))))]
            waves = abtem.Waves(
                array.astype(np.complex64), energy=self.energy, extent=self.extent, ensemble_axes_metadata=axes
            )
            for each in before:
                waves = conventional_multislice_step(waves, each, step, limiter)
            for number, each in enumerate(crystal, 1):
                waves = conventional_multislice_step(waves, each, step, limiter)
                if number in exits:
                    leaving = waves.copy()
                    for layer in after:
                        leaving = conventional_multislice_step(leaving, layer, step, limiter)
                    spectrum = np.fft.fft2(np.asarray(leaving.array))[:, self.beams[0], self.beams[1]] / (nx * ny)
                    results[exits.index(number)][first : first + BATCH] = spectrum
        return results


def carbon(extent: tuple[float, float], thickness: float, rng: np.random.Generator) -> np.ndarray:
    """Places [n, 3] of amorphous carbon of 0.1 atoms per cubic angstrom, none nearer than 1.35 angstrom to another, periodic in x and y."""
    size = np.array([*extent, thickness])
    count, places = round(0.1 * float(np.prod(size))), np.empty((0, 3))
    while len(places) < count:
        candidate = rng.uniform(size=3) * size
        apart = np.abs(places - candidate)
        apart[:, :2] = np.minimum(apart[:, :2], size[:2] - apart[:, :2])
        if not len(places) or (apart**2).sum(1).min() > 1.35**2:
            places = np.vstack([places, candidate])
    return places
