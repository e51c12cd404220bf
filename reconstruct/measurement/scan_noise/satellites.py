"""Satellites of lattice reflections in a scanned image, by a periodic displacement of the probe.

A pixel at column c and row r is taken at the time c dwell + r line time, so that a displacement D cos(2 pi f t) of the probe is a wave of the frequency
q = (f dwell, f line time mod 1) in the image. Each reflection g (cycles per pixel) of amplitude a has then satellites at g + q and g - q of amplitudes
pi i (g . D) a and pi i (g . D*) a: a phase modulation, with the same D for all reflections. A feature of the specimen, a wave that is added to the image
and a modulation of the intensity do not have both satellites in this relation.

The displacement of each frequency q is fitted to the satellites of all reflections by least squares, with their noise as weights. What it explains is
the sum of two exponential variables of mean 1 where there is no displacement; what it leaves is that of the other degrees of freedom.
"""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from reconstruct.measurement.lattice.cleaning import ordinary_range
from reconstruct.measurement.lattice.spots import (
    MATCH_BINS,
    MIN_POWER_SHARE,
    Spots,
    find_spots,
    power_spectrum,
    second_rows,
)

LARGEST_SPECTRUM = 512
"""Rows and columns that reflections are looked for in."""
MOST_CARRIERS, STRONG = 6, 0.1
"""Reflections that are used, and the share of the strongest's power that satellites do not reach."""
HIGHEST = 0.06
"""Cycles a pixel along the row up to which displacements are looked for: 60 Hz at a dwell time of 1 ms, the third harmonic at 300 microseconds."""
PADDED = 2
"""Frequencies along the row for each that is independent."""
SLOW = 0.02
"""Share of the image over which drift and distortion are taken off the phases of reflections (rms width)."""
BLOCKS = 8
"""Parts of the frequencies along a column of the image in each of which noise has one level."""
APART, SLOWEST = 3, 6
"""Frequency bins about other reflections, and about zero, in which no satellites are seen."""


class Carriers(NamedTuple):
    """Reflections ``g`` [n, 2] (kx, ky) in cycles per pixel, kx >= 0, the frequencies ``strong`` [m, 2] at which there may be others, and a ``basis`` [2, 2] of
    rows that all of them are multiples of."""

    g: np.ndarray
    strong: np.ndarray
    basis: np.ndarray

    def multiple(self, kx: float, ky: float, shape: tuple[int, int]) -> bool:
        """Whether a frequency is that of a reflection (of zero, too), strong or weak, within `MATCH_BINS` in an image of ``shape``."""
        inverse = np.linalg.inv(self.basis)
        # ky is known up to whole cycles per row
        places = np.array([[kx, ky + turn] for turn in (-1.0, 0.0, 1.0)])
        offsets = places - np.round(places @ inverse) @ self.basis
        return bool((np.abs(offsets * np.array(shape[::-1])).max(axis=1) <= MATCH_BINS).any())


@dataclasses.dataclass(frozen=True)
class Carrier:
    """One reflection: ``g`` [2] in cycles per pixel, its ``amplitude``, the phase factors ``rows`` [M] that take it and its drift off each row, and its
    ``spectrum`` [M, 2 p + 1] about g, over the amplitude, with the variance of its ``noise`` (infinite where satellites are not seen)."""

    g: np.ndarray
    amplitude: complex
    rows: np.ndarray
    spectrum: np.ndarray
    noise: np.ndarray


class Explained(NamedTuple):
    """What displacements ``explained`` and ``left`` [...] of the satellites, over the noise's mean, and the complex degrees of ``freedom`` left [...];
    ``displacement`` [..., 2] complex amplitude in pixels."""

    explained: np.ndarray
    left: np.ndarray
    freedom: np.ndarray
    displacement: np.ndarray


def ordinary(image: np.ndarray) -> np.ndarray:
    """``image`` [M, N] with stray values brought to the limits of ordinary ones."""
    return np.clip(image, *ordinary_range(image.ravel()[::7])).astype(np.float64)


def windowed(values: np.ndarray) -> np.ndarray:
    """``values`` [M, N] without their mean, under a Hann window."""
    window = hann(len(values))[:, None] * hann(values.shape[1])[None]
    return (values - (values * window).sum() / window.sum()) * window


def hann(size: int) -> np.ndarray:
    """The window [size], without its zeros."""
    return np.hanning(size + 2)[1:-1]


def find_carriers(image: np.ndarray) -> Carriers | None:
    """The strongest reflections of ``image`` [ny, nx]; None where it shows no lattice of two directions."""
    rows, columns = (max((size - LARGEST_SPECTRUM) // 2, 0) for size in image.shape)
    part = image[rows : rows + LARGEST_SPECTRUM, columns : columns + LARGEST_SPECTRUM]
    spots = find_spots(power_spectrum(part).relative, SLOWEST / min(part.shape))
    if not len(second_rows(spots, (part.shape[0], part.shape[1]))):
        return None
    g = _lattice(spots, part.shape)
    if np.linalg.matrix_rank(g, tol=0.2 * float(np.linalg.norm(g, axis=1).min())) < 2:
        return None
    sums = [first + sign * second for first in g for second in g for sign in (1.0, -1.0)]
    strong = np.unique(np.round([*g, *sums], 6), axis=0)
    return Carriers(g, strong, _basis(strong, part.shape))


def _basis(strong: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The two shortest frequencies [2, 2] on different rows, those within `APART` bins of zero left out."""
    lengths = np.hypot(*strong.T)
    bins = np.abs(strong * np.array(shape[::-1])).max(axis=1)
    ordered = strong[np.argsort(np.where(bins > APART, lengths, np.inf))]
    first = ordered[0]
    sines = (
        np.abs(ordered @ np.array([first[1], -first[0]])) / np.hypot(*first) / np.maximum(np.hypot(*ordered.T), 1e-9)
    )
    return np.array([first, ordered[int(np.argmax(sines > 0.2))]])


def _lattice(spots: Spots, shape: tuple[int, ...]) -> np.ndarray:
    """Reflections [n, 2], kx >= 0: spots that are stronger than satellites can be and the strongest on another row; weaker ones where two of these lead to."""
    strong = spots.powers > STRONG * spots.powers[0]
    strong[second_rows(spots, (shape[0], shape[1]))[0]] = True
    g = spots.frequencies[strong]
    sums = np.array([first + sign * second for first in g for second in g for sign in (1.0, -1.0)])
    off = np.abs((spots.frequencies[:, None] - sums) * shape[::-1]).max(axis=2).min(axis=1)
    chosen = strong | ((spots.powers > MIN_POWER_SHARE * spots.powers[0]) & (off < MATCH_BINS))
    g = spots.frequencies[chosen][:MOST_CARRIERS]
    return np.where(g[:, :1] < 0.0, -g, g)


def spectra(values: np.ndarray, carriers: Carriers) -> list[Carrier]:
    """The spectra of the `windowed` ``values`` [M, N] about each reflection."""
    number, width = values.shape
    along = np.fft.rfft(values, PADDED * width, axis=1)
    reach = int(HIGHEST * PADDED * width)
    result = []
    for start in carriers.g:
        g, centre = _refined(along, start, width)
        strip = _columns(along, centre + np.arange(-reach, reach + 1), width)
        strip *= np.exp(-2j * np.pi * g[1] * places(number))[:, None]
        drift = steady(strip[:, reach])
        spectrum = np.fft.fft(strip * drift[:, None], axis=0)
        spectrum *= np.exp(2j * np.pi * np.fft.fftfreq(number) * 0.5 * (number - 1))[:, None]
        amplitude = complex(spectrum[0, reach])
        noise = _noise(np.abs(spectrum) ** 2) / abs(amplitude) ** 2
        _hide(noise, g, carriers.strong, width)
        rows = drift * np.exp(-2j * np.pi * g[1] * places(number))
        result.append(Carrier(g, amplitude, rows, spectrum / amplitude, noise))
    return result


def steady(values: np.ndarray) -> np.ndarray:
    """Phase factors [n] that take slow changes off the phase of ``values`` [n]."""
    slow = gaussian_filter1d(values, SLOW * len(values), mode="nearest")
    return np.conj(slow) / np.maximum(np.abs(slow), 1e-300)


def _refined(along: np.ndarray, start: np.ndarray, width: int) -> tuple[np.ndarray, int]:
    """The reflection near ``start`` at its largest power, and its column in the padded spectrum."""
    number = len(along)
    near = round(start[0] * PADDED * width) + np.arange(-3, 4)
    column = _columns(along, near, width) * np.exp(-2j * np.pi * start[1] * places(number))[:, None]
    offsets = np.arange(-2.0, 2.01, 0.25) / number
    power = np.abs(np.exp(-2j * np.pi * offsets[:, None] * places(number)[None]) @ column) ** 2
    row, best = np.unravel_index(int(power.argmax()), power.shape)
    return np.array([near[best] / (PADDED * width), start[1] + offsets[row]]), int(near[best])


def _columns(along: np.ndarray, indices: np.ndarray, width: int) -> np.ndarray:
    """Columns of the whole padded spectrum [M, k] from its half of positive frequencies, phases counted from the image's middle."""
    total = PADDED * width
    inside = np.mod(indices, total)
    mirrored = inside > total // 2
    values = along[:, np.where(mirrored, total - inside, inside)]
    values = np.where(mirrored, np.conj(values), values)
    return values * np.exp(2j * np.pi * indices / total * 0.5 * (width - 1))


def places(size: int) -> np.ndarray:
    """Pixels [size] from the middle."""
    return np.arange(size) - 0.5 * (size - 1)


def _noise(power: np.ndarray) -> np.ndarray:
    """The mean of exponential ``power`` [M, p]."""
    return np.maximum(local_median(power) / np.log(2.0), 1e-300)


def local_median(power: np.ndarray) -> np.ndarray:
    """Medians of ``power`` [M, p] over `BLOCKS` parts of each column's frequencies in their order, for each frequency."""
    ordered = np.fft.fftshift(power, axes=0)
    result = np.empty_like(ordered)
    edges = np.linspace(0, len(power), BLOCKS + 1).astype(int)
    for low, high in itertools.pairwise(edges):
        result[low:high] = np.median(ordered[low:high], axis=0)
    return np.fft.ifftshift(result, axes=0)


def _hide(noise: np.ndarray, g: np.ndarray, strong: np.ndarray, width: int) -> None:
    """Infinite ``noise`` [M, p] where other reflections and slow structure are."""
    number, size = noise.shape
    for frequency in (*strong, *-strong, np.zeros(2)):
        offset = frequency - g
        column = round(offset[0] * PADDED * width) + size // 2
        bins = APART if frequency.any() else SLOWEST
        low, high = max(column - PADDED * bins, 0), column + PADDED * bins + 1
        if high > 0 and low < size:
            rows = np.arange(-bins, bins + 1) + round(offset[1] * number)
            noise[np.mod(rows, number), low:high] = np.inf


def explain(carriers: list[Carrier], plus: np.ndarray, minus: np.ndarray, variances: np.ndarray) -> Explained:
    """Displacements by the satellites ``plus`` and ``minus`` [n, ...] of each reflection (over its amplitude) with ``variances`` [n, 2, ...]."""
    g = np.array([carrier.g for carrier in carriers])
    seen = np.isfinite(variances.sum(axis=1))
    weights = np.where(seen[:, None], 1.0 / variances, 0.0)
    mirrored = -np.conj(minus)
    both = weights.sum(axis=1)
    mean = weights[:, 0] * plus + weights[:, 1] * mirrored
    xx, xy, yy = (np.tensordot(g[:, i] * g[:, j], both, 1) for i, j in ((0, 0), (0, 1), (1, 1)))
    bx, by = (np.tensordot(g[:, i], mean, 1) for i in (0, 1))
    determinant = xx * yy - xy**2
    usable = determinant > 1e-4 * (xx + yy) ** 2
    safe = np.where(usable, determinant, 1.0)
    dx, dy = (yy * bx - xy * by) / safe, (xx * by - xy * bx) / safe
    explained = np.where(usable, (np.conj(bx) * dx + np.conj(by) * dy).real, 0.0)
    total = (weights[:, 0] * np.abs(plus) ** 2 + weights[:, 1] * np.abs(minus) ** 2).sum(axis=0)
    freedom = np.where(usable, 2 * seen.sum(axis=0) - 2, 0)
    return Explained(explained, total - explained, freedom, np.stack([dx, dy], axis=-1) / (1j * np.pi))


def explain_all(carriers: list[Carrier]) -> Explained:
    """Displacements of each frequency: [M, p] of ky = fftfreq(M) and kx = 1, ..., p over the padded width."""
    reach = carriers[0].spectrum.shape[1] // 2
    plus, minus, variances = [], [], []
    for carrier in carriers:
        opposite = np.mod(-np.arange(len(carrier.spectrum)), len(carrier.spectrum))
        above, below = slice(reach + 1, None), slice(reach - 1, None, -1)
        plus.append(carrier.spectrum[:, above])
        minus.append(carrier.spectrum[opposite][:, below])
        variances.append([carrier.noise[:, above], carrier.noise[opposite][:, below]])
    return explain(carriers, np.array(plus), np.array(minus), np.array(variances))
