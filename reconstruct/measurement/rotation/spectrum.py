"""Fourier coefficients of the field of centres of mass, and fields and images out of them."""

from typing import NamedTuple

import numpy as np
from scipy.signal.windows import tukey

from reconstruct.measurement.rotation.centres import Centres

TAPER = 0.25
"""Share of the scan that is faded in and out, so that its far ends need not fit together."""
MIN_RING_FREQUENCIES = 24
"""Spatial frequencies in a ring, at least."""
NOISE_BANDS = 3
"""Bands of |q| in each of which the noise has one power."""
FILL_SWEEPS = 60


class Spectrum(NamedTuple):
    """Fourier coefficients (x, y) of the field [2, m], directions ``towards`` their frequencies [2, m], rings and bands [m], the power that counting
    leaves in each part, by how much tapering ties coefficients, and frequencies (x, y) with the scan's size [4, m]."""

    field: np.ndarray
    towards: np.ndarray
    ring: np.ndarray
    band: np.ndarray
    counting: float
    tied: float
    wave: np.ndarray


def spectrum_of(centres: Centres, known: np.ndarray) -> Spectrum:
    """The field's Fourier coefficients; a second-order surface through each component goes first, as descan is not the specimen's.

    Points of the scan that are not ``known`` [ny, nx] are filled smoothly from those around them.
    """
    ny, nx = known.shape
    y, x = (part.ravel() for part in np.mgrid[-1 : 1 : ny * 1j, -1 : 1 : nx * 1j])
    columns = np.column_stack([np.ones_like(x), x, y, x**2, x * y, y**2])
    shape = window(ny, nx)
    flat = []
    for part in centres.field:
        surface = columns @ np.linalg.lstsq(columns[known.ravel()], part[known], rcond=None)[0]
        flat.append(_fill(np.where(known, part - surface.reshape(ny, nx), 0.0), known) * shape)
    ky, kx = np.meshgrid(np.fft.fftfreq(ny), np.fft.fftfreq(nx), indexing="ij")
    size = np.hypot(kx, ky)
    # one of each pair of opposite frequencies; those of half a cycle a pixel have no direction
    use = ((ky > 0) | ((ky == 0) & (kx > 0))) & (np.abs(kx) < 0.5) & (np.abs(ky) < 0.5)
    order = np.argsort(size[use], kind="stable")
    ring = np.empty(use.sum(), int)
    ring[order] = np.minimum(
        np.arange(use.sum()) // MIN_RING_FREQUENCIES, max(use.sum() // MIN_RING_FREQUENCIES - 1, 0)
    )
    spectra = np.stack([np.fft.fft2(part)[use] for part in flat])
    towards = np.stack([kx[use], ky[use]]) / size[use]
    edges = tukey(ny + 2, TAPER)[1:-1], tukey(nx + 2, TAPER)[1:-1]
    tied = np.prod([len(w) * (w**4).sum() / (w**2).sum() ** 2 for w in edges])
    wave = np.stack([kx[use], ky[use], np.full(use.sum(), nx), np.full(use.sum(), ny)])
    counting = float((np.where(known, centres.variance, 0.0) * shape**2).sum())
    band = ring * NOISE_BANDS // (ring.max() + 1)
    return Spectrum(spectra, towards, ring, band, counting, float(tied) / float(known.mean()), wave)


def window(ny: int, nx: int) -> np.ndarray:
    """The taper of a scan, [ny, nx]."""
    return tukey(ny + 2, TAPER)[1:-1, None] * tukey(nx + 2, TAPER)[None, 1:-1]


def _fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``values`` [ny, nx], those that are not known the mean of their neighbours."""
    if known.all():
        return values
    filled = values.copy()
    for _ in range(FILL_SWEEPS):
        padded = np.pad(filled, 1, mode="edge")
        around = 0.25 * (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:])
        filled = np.where(known, values, around)
    return filled


def image_of(coefficients: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """The real image [ny, nx] of Fourier coefficients of half the frequencies."""
    nx, ny = int(wave[2, 0]), int(wave[3, 0])
    whole = np.zeros((ny, nx), complex)
    row, column = np.round(wave[1] * ny).astype(int), np.round(wave[0] * nx).astype(int)
    whole[row, column] = coefficients
    whole[-row, -column] = coefficients.conj()
    return np.fft.ifft2(whole).real


def field_of(signal: np.ndarray, along: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """The field (x, y) on the camera, [2, ny, nx], of its parts ``along`` its directions [2, m]."""
    return np.stack([image_of(signal * along[axis], wave) for axis in range(2)])
