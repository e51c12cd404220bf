"""Scan jitter: mains interference and vibration displace the probe while an image is recorded.

The displacement is a zero-mean Gaussian process in time, independent along x and y with one covariance. Half its variance is interference at the
mains' frequency, half is vibration: mechanical resonances of unknown frequency between 5 and 60 Hz, which displace neighbouring lines alike; lines of
a raster, some milliseconds apart, are displaced relative to each other (Jones & Nellist, Microsc. Microanal. 19, 1050, 2013; frequencies: Muller et al.,
Ultramicroscopy 106, 1033, 2006). In an image it appears as the gradient times the displacement.
"""

import functools

import numpy as np
from scipy.interpolate import CubicSpline

from twin.records import Scan

MAINS_FREQUENCY = 50.0
"""Frequency of the mains in hertz."""
VIBRATION_FREQUENCIES = np.geomspace(5.0, 60.0, 40)
"""Frequencies of mechanical resonances of stage, holder and floor in hertz, equally likely on a logarithmic scale: an assumption of ordinary size."""


def pixel_times(scan: Scan) -> np.ndarray:
    """Seconds from the first pixel to each, [pixels]: a line takes nx dwells and a flyback."""
    ny, nx = scan.shape
    lines = np.arange(ny)[:, None] * (nx * scan.dwell + scan.flyback)
    return (lines + np.arange(nx)[None, :] * scan.dwell).reshape(-1)


def correlation(scan: Scan) -> np.ndarray:
    """Correlation [pixels, pixels] of the displacement along one axis between the pixels of a scan."""
    return _correlation(scan.shape, scan.dwell, scan.flyback)


@functools.lru_cache(maxsize=8)
def _correlation(shape: tuple[int, int], dwell: float, flyback: float) -> np.ndarray:
    times = pixel_times(Scan(shape=shape, dwell=dwell, flyback=flyback))
    intervals = np.abs(times[:, None] - times[None, :])
    vibration = np.mean([np.cos(2.0 * np.pi * frequency * intervals) for frequency in VIBRATION_FREQUENCIES], axis=0)
    return 0.5 * np.cos(2.0 * np.pi * MAINS_FREQUENCY * intervals) + 0.5 * vibration


@functools.lru_cache(maxsize=8)
def _covariance_sqrt(shape: tuple[int, int], dwell: float, flyback: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(_correlation(shape, dwell, flyback))
    significant = values > 1e-6 * values.max()
    return vectors[:, significant] * np.sqrt(values[significant])[None, :]


def gradients(images: np.ndarray, scan: Scan) -> np.ndarray:
    """Derivatives along x and y of ``images`` [..., pixels] in 1/angstrom, [2, ..., pixels], by cubic splines through the pixels.

    Differences between neighbours would miss a tenth to a third of the slope of atomic columns that are four to eight pixels apart.
    """
    frames = images.reshape(*images.shape[:-1], *scan.shape)
    along_x = np.einsum("ij,...yj->...yi", _spline_slopes(scan.shape[1]), frames)
    along_y = np.einsum("ij,...jx->...ix", _spline_slopes(scan.shape[0]), frames)
    return np.stack([along_x, along_y]).reshape(2, *images.shape) / scan.pixel


@functools.lru_cache(maxsize=8)
def _spline_slopes(count: int) -> np.ndarray:
    """Matrix [count, count] from values at equal distances of 1 to the derivatives there of the cubic spline (not a knot) through them."""
    if count < 2:
        return np.zeros((count, count))
    at = np.arange(count)
    return CubicSpline(at, np.eye(count))(at, 1)


def covariance(image: np.ndarray, scan: Scan) -> np.ndarray:
    """Covariance [pixels, pixels] that a displacement of 1 angstrom rms per axis gives ``image`` [pixels], to first order."""
    x, y = gradients(image, scan)
    return (x[:, None] * x[None, :] + y[:, None] * y[None, :]) * correlation(scan)


def sample(images: np.ndarray, scan: Scan, generator: np.random.Generator) -> np.ndarray:
    """What a random displacement of 1 angstrom rms per axis adds to each of ``images`` [n, pixels], to first order."""
    root = _covariance_sqrt(scan.shape, scan.dwell, scan.flyback)
    displacements = generator.standard_normal((2, len(images), root.shape[1])) @ root.T
    return (gradients(images, scan) * displacements).sum(axis=0)
