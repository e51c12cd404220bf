"""Mean counts of every technique from scattering matrices by abTEM: probes, detectors and lenses, apart from the planner's own."""

import numpy as np

from instrument.simulation.truth.imaging.specimen import wavelength
from learn.feasibility.matrices import Matrices
from learn.feasibility.scans import Window
from tests.benchmarks.plan.trials.specimens import Image, Settings, Study


class Recorder:
    """Mean counts of every technique over the whole field, for each electron on one place (HRTEM: for an even image), from abTEM's waves."""

    def __init__(self, study: Study, like: Matrices, window: Window, weights: dict[str, np.ndarray]):
        self.study, self.like, self.weights = study, like, weights
        ny, nx = window.shape
        self.shape = (ny * study.repeats[1], nx * study.repeats[0])
        self.cells = (ny, nx)
        step = (window.sides[0] / nx, window.sides[1] / ny)
        first = window.positions[0]
        x, y = (first[axis] + np.arange(self.shape[1 - axis]) * step[axis] for axis in range(2))
        self.positions = np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)
        self.step = step
        self.middle = window.positions.reshape(ny, nx, 2)[ny // 2, nx // 2]

    def recorded(self, amplitudes: np.ndarray, settings: Settings, below: float = 0.0) -> dict[str, np.ndarray]:
        """Of each technique [ny, nx, channels] over the field, its first cell about the change; ``below``: thickness of the layer on the exit face."""
        results = {}
        scans = {
            name: weights
            for name, weights in self.weights.items()
            if not isinstance(self.study.techniques[name], Image)
        }
        if scans:
            patterns = np.abs(self._incident(settings) @ amplitudes) ** 2
            for name, weights in scans.items():
                channels = (weights @ patterns.T).T.reshape(*self.shape, -1)
                results[name] = _moved(channels, self.like.extent, settings.shift, settings.source)
        for name, technique in self.study.techniques.items():
            if isinstance(technique, Image):
                results[name] = self._image(amplitudes, settings, technique, below)
        return results

    def _incident(self, settings: Settings) -> np.ndarray:
        k = self.like.bundle.k
        chi = np.pi * wavelength(self.like.energy) * _quadratic(k, settings.c10, settings.c12)
        return (self.like.bundle.amplitude * np.exp(-1j * (chi + 2.0 * np.pi * self.positions @ k.T))).astype(
            np.complex64
        )

    def _image(self, amplitudes: np.ndarray, settings: Settings, lens: Image, below: float) -> np.ndarray:
        """HRTEM on the prediction's grid, averaged over foci."""
        ny, nx = self.like.gpts
        axis = int(np.flatnonzero(~self.like.bundle.indices.any(axis=1))[0])
        k, length = self.like.k, wavelength(self.like.energy)
        passed = np.hypot(*k.T) * length <= lens.aperture * (1.0 + 1e-12)
        nodes, shares = np.polynomial.hermite_e.hermegauss(9)
        total = np.zeros((ny, nx))
        for node, share in zip(nodes, shares / shares.sum(), strict=True):
            c10 = lens.c10 + settings.c10 - self.study.c10 + lens.focal_spread * node - below
            chi = np.pi * length * _quadratic(k, c10, settings.c12)
            flat = np.zeros(ny * nx, np.complex128)
            flat[self.like.pixels] = amplitudes[axis] * passed * np.exp(-1j * chi)
            total += share * np.abs(np.fft.ifft2(flat.reshape(ny, nx)) * ny * nx) ** 2
        image = _moved(total[..., None], self.like.extent, settings.shift, 0.0)
        # the prediction's window begins half a cell before the change
        starts = []
        for side, count, centre, cells in zip(
            self.like.extent, (nx, ny), self.middle, self.study.repeats, strict=False
        ):
            number = count // cells
            starts.append(round(centre / (side / count)) - number // 2)
        return np.roll(image, (-starts[1], -starts[0]), (0, 1))


def _quadratic(k: np.ndarray, c10: float, c12: tuple[float, float]) -> np.ndarray:
    kx, ky = k.T
    return c10 * (kx**2 + ky**2) + c12[0] * (kx**2 - ky**2) + 2.0 * c12[1] * kx * ky


def _moved(images: np.ndarray, extent: tuple[float, float], shift: tuple[float, float], source: float) -> np.ndarray:
    """Images [ny, nx, channels] of a specimen that lies ``shift`` further, blurred by the source."""
    ny, nx = images.shape[:2]
    fx, fy = np.fft.fftfreq(nx, extent[0] / nx)[None, :], np.fft.fftfreq(ny, extent[1] / ny)[:, None]
    factor = np.exp(-2j * np.pi * (fx * shift[0] + fy * shift[1]) - 2.0 * np.pi**2 * source**2 * (fx**2 + fy**2))
    moved = np.fft.ifft2(np.fft.fft2(images, axes=(0, 1)) * factor[:, :, None], axes=(0, 1)).real
    return moved.astype(np.float32)
