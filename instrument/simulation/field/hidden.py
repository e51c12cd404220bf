"""What is true of a field and hidden from the twin: settings, where the crystal lies, which columns are changed, and the mean counts that follow."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

from instrument.simulation.field.config import FieldConfig
from instrument.simulation.field.scattering import Grams
from instrument.simulation.truth.config import generator
from instrument.simulation.truth.imaging.specimen import wavelength

FINER = 3
"""Times more points than the images need, for splines between them."""
SPREAD, ALONE = 0.8, 0.02
"""Angstrom about a column within which what is there moves with it, and what holds the rest in place."""
AREA = 200.0
"""Angstrom (x and y) of the crystal in which there are changed columns, about where the beam is without a shift."""
LEAST_SOURCE = 0.05


class Hidden(NamedTuple):
    """True settings ``c10``, ``c12`` (a, b), ``source`` (angstrom), ``cells`` in depth, ``gain``; ``origin`` (x, y): the place in the crystal under the beam
    without a shift, and its ``drift`` in angstrom/second. Of each column like the one that may change: ``columns`` [n, 2] where the beam is over it, in
    ``changed`` [n] the number of the depth at which it is changed, -1 where it is not, its ``displaced`` [n, 2] and ``thicker`` [n], in angstrom."""

    c10: float
    c12: tuple[float, float]
    source: float
    cells: int
    gain: float
    origin: np.ndarray
    drift: np.ndarray
    columns: np.ndarray
    changed: np.ndarray
    displaced: np.ndarray
    thicker: np.ndarray


def hidden_of(config: FieldConfig, grams: Grams, seed: int) -> Hidden:
    """Drawn by ``seed``."""
    normal = generator(seed, "settings").standard_normal(6)
    sides = np.array(config.sides[:2])
    cells = config.depth + round(config.thickness_std * normal[4] / config.sides[2])
    where = generator(seed, "place")
    origin = where.uniform(0.0, 1.0, 2) * sides
    many = np.ceil(AREA / 2 / sides).astype(int)
    whole = np.stack(
        [part.ravel() for part in np.meshgrid(*(np.arange(-each, each + 1) for each in many), indexing="ij")], 1
    )
    site = np.array(config.positions[config.site][:2])
    columns = (whole[:, None] * sides + site + np.array(config.alike)).reshape(-1, 2) - origin
    rng = generator(seed, "columns")
    depth = rng.integers(len(grams.depths), size=len(columns))
    changed = np.where(rng.random(len(columns)) < config.share, depth, -1)
    return Hidden(
        config.c10 + config.defocus_std * normal[0], (config.astigmatism_std * normal[1], config.astigmatism_std * normal[2]),
        max(LEAST_SOURCE, config.source + config.source_std * normal[3]), int(np.clip(cells, grams.cells[0], grams.cells[-1])),
        float(np.exp(config.gain_std * normal[5])), origin, config.drift * where.standard_normal(2), columns, changed,
        config.jitter * rng.standard_normal(columns.shape), config.roughness * rng.standard_normal(len(columns)),
    )  # fmt: skip


class Images:
    """Mean counts of each detector, for each electron, anywhere in the field: the perfect cell in every cell, and what each changed column adds."""

    def __init__(self, config: FieldConfig, grams: Grams, hidden: Hidden):
        self.hidden, self.sides, self.location = hidden, np.array(config.sides[:2]), np.array(grams.location)
        self.extent = self.sides * np.array(grams.repeats)
        step = wavelength(config.energy) / (4.0 * config.semiangle)
        # whole numbers of points to a cell, so that all cells are the same
        self.points = np.ceil(self.sides / step).astype(int) * FINER
        nx, ny = self.points * np.array(grams.repeats)
        beams = grams.beams
        chi = np.pi * wavelength(config.energy) * _quadratic(beams.k, hidden.c10, hidden.c12)
        amplitude = beams.amplitude * np.exp(-1j * chi)
        fx, fy = np.fft.fftfreq(nx, self.extent[0] / nx)[None, :], np.fft.fftfreq(ny, self.extent[1] / ny)[:, None]
        blur = np.exp(-2.0 * np.pi**2 * hidden.source**2 * (fx**2 + fy**2))
        first = beams.indices[:, None] - beams.indices[None]

        def image(gram: np.ndarray) -> np.ndarray:
            """Of a probe at every point: sums over pairs of its waves, which differ by a frequency of the image each."""
            spectrum = np.zeros((ny, nx), np.complex128)
            pairs = gram * amplitude[:, None] * amplitude.conj()[None, :]
            # a wave k of a probe at r has the phase -2 pi k r
            np.add.at(spectrum, (-first[..., 1] % ny, -first[..., 0] % nx), pairs)
            return np.fft.ifft2(spectrum * blur).real * (nx * ny)

        at = grams.cells.index(hidden.cells)
        beside = (max(at - 1, 0), min(at + 1, len(grams.cells) - 1))
        apart = (grams.cells[beside[1]] - grams.cells[beside[0]]) * config.sides[2]
        self.perfect, self.slopes, self.changes = {}, {}, {}
        for name, gram in grams.perfect.items():
            whole = [self._alike(image(gram[each])) for each in (at, *beside)]
            self.perfect[name] = whole[0]
            self.slopes[name] = (whole[2] - whole[1]) / apart if apart else None
            self.changes[name] = [image(each) for each in grams.changes[name][at]]

    def _alike(self, field: np.ndarray) -> np.ndarray:
        """The mean cell of the computed part."""
        nx, ny = self.points
        return field.reshape(field.shape[0] // ny, ny, field.shape[1] // nx, nx).mean(axis=(0, 2))

    def rates(self, detector: str, beam: np.ndarray, seconds: float) -> np.ndarray:
        """Shares [n] of the beam at places ``beam`` [n, 2] (x, y) in angstrom, so many ``seconds`` after the start."""
        hidden = self.hidden
        at = beam + hidden.drift * seconds
        low, high = at.min(0) - 6.0, at.max(0) + 6.0
        near = np.flatnonzero(np.all((hidden.columns > low) & (hidden.columns < high), axis=1))
        offsets = at[:, None] - hidden.columns[near]
        shares = np.exp(-0.5 * (offsets**2).sum(-1) / SPREAD**2)
        shares /= shares.sum(1, keepdims=True) + ALONE
        crystal = at - shares @ hidden.displaced[near]
        result = _between(self.perfect[detector], self.sides, crystal + hidden.origin)
        slope = self.slopes[detector]
        if slope is not None and hidden.thicker.any():
            result = result + (shares @ hidden.thicker[near]) * _between(slope, self.sides, crystal + hidden.origin)
        for number in near[hidden.changed[near] >= 0]:
            off = at - hidden.columns[number] - hidden.displaced[number]
            within = np.all(np.abs(off) < self.extent / 2, axis=1)
            if within.any():
                image = self.changes[detector][hidden.changed[number]]
                result[within] += _between(image, self.extent, off[within] + self.location)
        return np.maximum(result, 0.0)


def _quadratic(k: np.ndarray, c10: float, c12: tuple[float, float]) -> np.ndarray:
    kx, ky = k.T
    return c10 * (kx**2 + ky**2) + c12[0] * (kx**2 - ky**2) + 2.0 * c12[1] * kx * ky


def _between(image: np.ndarray, sides: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values [n] of a periodic ``image`` [ny, nx] at places [n, 2]."""
    ny, nx = image.shape
    return map_coordinates(image, [at[:, 1] / sides[1] * ny, at[:, 0] / sides[0] * nx], order=3, mode="grid-wrap")
