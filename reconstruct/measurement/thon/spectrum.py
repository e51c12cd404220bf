"""The power spectrum of a flattened image, averaged over blocks of frequencies where the image is large.

A block of b x b frequencies is narrower than a ring as long as the rings' displacement in the image is less than 1 / b of it; what the average takes of the
rings is known (Dirichlet's kernel) and is part of the table of `Plane.retained`.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.thon.flatten import FlatImage

LOWEST, HIGHEST = 6.0, 0.45
"""Cycles across the image and cycles a pixel between which frequencies are used."""
AXIS = 1.5
"""Cycles across the image from either axis that are left out: columns, rows, steps of gain and what is left of the edges have their power there."""
FINE, COARSE = 512, 256
"""Blocks along a side for the final fit and for the first ones."""
MAX_SIDE = 1024
"""Most blocks along a side, where the largest defocus asks for more than `FINE`."""
LAGS = 128
"""Steps of the taper's autocorrelation each way from zero."""


class Plane(NamedTuple):
    """Half of a spectrum, kx > 0, in blocks: ``power`` [ny, nx] over its mean and ``weight`` [ny, nx], how many frequencies are in each (0: not used); ``ky``
    [ny] and ``kx`` [nx] in 1/angstrom; ``highest`` frequency in 1/angstrom; ``tied``: by how much the window ties neighbours; ``window``: its autocorrelation
    [2 LAGS + 1, 2 LAGS + 1] at displacements up to ``size`` (y, x) angstrom; ``block`` (y, x): frequencies along the sides of one."""

    power: np.ndarray
    weight: np.ndarray
    ky: np.ndarray
    kx: np.ndarray
    highest: float
    tied: float
    window: np.ndarray
    size: tuple[float, float]
    block: tuple[int, int]

    @property
    def frequency(self) -> np.ndarray:
        """|q| in 1/angstrom [ny, nx]."""
        return np.hypot(self.ky[:, None], self.kx)

    @property
    def azimuth(self) -> np.ndarray:
        """Azimuth in 0 to pi [ny, nx]."""
        return np.arctan2(self.ky[:, None], self.kx) % np.pi

    @property
    def looks(self) -> float:
        """Independent frequencies in a whole block, at least 1."""
        return max(1.0, self.block[0] * self.block[1] / self.tied)

    def retained(self) -> np.ndarray:
        """What window and blocks leave of rings that displacements in the image make: a table as ``window`` is."""
        table = self.window
        for axis in range(2):
            share = np.linspace(-1.0, 1.0, 2 * LAGS + 1)
            kernel = np.sinc(self.block[axis] * share) / np.sinc(share)
            kernel[[0, -1]] = 0.0 if self.block[axis] > 1 else 1.0
            table = table * (kernel[:, None] if axis == 0 else kernel)
        return table


class Power(NamedTuple):
    """The frequencies of a `Plane` that are used, [m]: ``kx``, ``ky``, ``power``, ``weight``, ``share`` of the highest; and the ``plane``."""

    kx: np.ndarray
    ky: np.ndarray
    power: np.ndarray
    weight: np.ndarray
    share: np.ndarray
    plane: Plane

    @property
    def azimuth(self) -> np.ndarray:
        """Azimuth in 0 to pi [m]."""
        return np.arctan2(self.ky, self.kx) % np.pi

    @property
    def tied(self) -> float:
        """By how much the window ties neighbours."""
        return self.plane.tied


def power_plane(image: FlatImage, pixel: float, displacement: float) -> Plane:
    """The spectrum of an image whose rings come from up to ``displacement`` angstrom in it, with at most about `FINE` blocks a side where that allows."""
    ny, nx = image.values.shape
    spectrum = np.abs(np.fft.fftshift(np.fft.rfft2(image.values), axes=0)[:, 1:]) ** 2
    ky, kx = np.fft.fftshift(np.fft.fftfreq(ny)), np.fft.rfftfreq(nx)[1:]
    size = np.hypot(ky[:, None], kx)
    use = (size > LOWEST / min(ny, nx)) & (size < HIGHEST)
    use &= (np.abs(ky)[:, None] * ny > AXIS) & (kx * nx > AXIS)
    window = image.window
    tied = float(window.size * (window**4).sum() / (window**2).sum() ** 2)
    blocks = np.clip(2.5 * displacement / pixel, FINE, MAX_SIDE)
    plane = Plane(
        spectrum / spectrum[use].mean(),
        use.astype(float),
        ky / pixel,
        kx / pixel,
        HIGHEST / pixel,
        tied,
        _autocorrelation(window),
        (ny * pixel, nx * pixel),
        (1, 1),
    )
    return average(plane, (max(1, round(ny / blocks)), max(1, round(nx / blocks))))


def coarse(plane: Plane) -> Plane:
    """The same in about `COARSE` blocks a side."""
    return average(plane, tuple(max(1, round(len(k) / COARSE)) for k in (plane.ky, 2.0 * plane.kx)))  # type: ignore[arg-type]


def average(plane: Plane, block: tuple[int, int]) -> Plane:
    """Blocks of ``block`` (y, x) of the plane's averaged by their weights."""
    if block == (1, 1):
        return plane
    starts = [np.arange(0, size, step) for size, step in zip(plane.power.shape, block, strict=True)]

    def total(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)

    weight = total(plane.weight)
    power = total(plane.power * plane.weight) / np.maximum(weight, 1e-12)
    ky, kx = (
        np.add.reduceat(k, start) / np.diff(np.append(start, len(k)))
        for k, start in zip((plane.ky, plane.kx), starts, strict=True)
    )
    sides = (plane.block[0] * block[0], plane.block[1] * block[1])
    return plane._replace(power=power, weight=weight, ky=ky, kx=kx, block=sides)


def used(plane: Plane) -> Power:
    """The frequencies of a plane that have weight."""
    row, column = np.nonzero(plane.weight)
    ky, kx = plane.ky[row], plane.kx[column]
    return Power(kx, ky, plane.power[row, column], plane.weight[row, column], np.hypot(kx, ky) / plane.highest, plane)


def _autocorrelation(window: np.ndarray) -> np.ndarray:
    """Autocorrelation of a window over that at zero, at `LAGS` steps each way along y and x: [2 LAGS + 1, 2 LAGS + 1]."""
    cells = []
    for size in window.shape:
        edges = np.linspace(0, size, LAGS + 1)
        # cells of equal width, that need not be whole pixels
        cells.append(
            np.maximum(
                np.minimum(edges[1:, None], np.arange(size) + 1) - np.maximum(edges[:-1, None], np.arange(size)), 0.0
            )
        )
    small = cells[0] @ window @ cells[1].T
    spectrum = np.abs(np.fft.fft2(small, (2 * LAGS, 2 * LAGS))) ** 2
    correlation = np.fft.fftshift(np.fft.ifft2(spectrum).real)
    correlation = np.pad(correlation, ((0, 1), (0, 1)))
    return correlation / correlation.max()
