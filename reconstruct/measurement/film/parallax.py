"""Starting values of defocus and astigmatism from the relative shifts of the detector pixels' images.

At low scan frequencies a pixel kappa sees the film shifted by grad chi(kappa) / 2 pi, with C10 and C12 by lambda H kappa, H = [[C10 + C12a, C12b],
[C12b, C10 - C12a]]. The correlation of pixels Delta apart peaks at lambda H Delta, wherever in the disk they are: a search that needs no start.
"""

import math

import numpy as np
from scipy.ndimage import map_coordinates

from reconstruct.measurement.film.exposure import Optics, Spectra
from twin.optics.electrons import wavelength

MAX_GRID_POINTS = 41
"""Values tried along each of C10, C12a and C12b, at most."""


def _correlations(spectra: Spectra, optics: Optics, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences Delta [n, 2] in 1/angstrom, up to ``reach`` pitches long, and the correlation [n, q] of all pixels so far apart."""
    angles = spectra.angles
    separation = np.hypot(*(angles[:, None] - angles[None]).T)
    np.fill_diagonal(separation, np.inf)
    pitch = float(np.median(separation.min(axis=0))) if len(angles) > 1 else optics.semiangle
    index = np.rint((angles - angles.min(axis=0)) / pitch).astype(int)
    size = index.max(axis=0) + 1 + reach
    grid = np.zeros((len(spectra.q), size[1], size[0]), np.complex64)
    grid[:, index[:, 1], index[:, 0]] = spectra.z
    power = np.fft.ifft2(np.abs(np.fft.fft2(grid)) ** 2)
    y, x = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    half = ((y > 0) | ((y == 0) & (x > 0))) & (np.hypot(x, y) <= reach)
    y, x = y[half], x[half]
    return np.stack([x, y], axis=-1) * pitch / wavelength(optics.energy), power[:, y, x].T


def _maps(spectra: Spectra, values: np.ndarray, finer: int = 2) -> np.ndarray:
    """Correlations [n, q] as real functions [n, y, x] of the shift, on a grid ``finer`` than the scan's."""
    ny, nx = (finer * n for n in spectra.setting.points)
    side = [n * spectra.setting.step for n in spectra.setting.points]
    index = np.rint(spectra.q * np.array([side[1], side[0]])).astype(int)
    full = np.zeros((len(values), ny, nx), complex)
    full[:, index[:, 1] % ny, index[:, 0] % nx] = values.conj()
    return np.fft.ifft2(full).real * ny * nx


def correlation_maps(spectra: Spectra, optics: Optics, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of pixels [n, 2] in 1/angstrom, up to ``reach`` pitches long, and maps [n, y, x] of their correlation by how far one's image is
    shifted."""
    differences, values = _correlations(spectra, optics, reach)
    return differences, _maps(spectra, values)


def score_shifts(shifts: np.ndarray, spectra: Spectra, maps: np.ndarray, finer: int = 2) -> np.ndarray:
    """Sum over differences of the maps at ``shifts`` [..., n, 2] (x, y) in angstrom."""
    total = np.zeros(shifts.shape[:-2])
    for row, correlation_map in enumerate(maps):
        positions = shifts[..., row, :] / (spectra.setting.step / finer)
        total += map_coordinates(correlation_map, [positions[..., 1], positions[..., 0]], order=1, mode="grid-wrap")
    return total


def starting_points(
    exposures: list[Spectra], optics: Optics, centre: np.ndarray, half: np.ndarray, count: int, axes: np.ndarray
) -> np.ndarray:
    """The ``count`` most likely (C10, C12a, C12b) [count, 3] in angstrom within ``centre`` [3] plus or minus ``half`` [3]; the columns of ``axes`` [2, 2] are
    the scan's x and y in the camera's."""
    length = wavelength(optics.energy)

    def evaluated(points: np.ndarray, reach: int) -> np.ndarray:
        total = np.zeros(len(points))
        for exposure, (differences, maps) in zip(exposures, prepared[reach], strict=True):
            c10, a, b = points[:, 0] + exposure.setting.c10, points[:, 1], points[:, 2]
            dx, dy = differences.T
            x = (c10 + a)[:, None] * dx + b[:, None] * dy
            y = b[:, None] * dx + (c10 - a)[:, None] * dy
            total += score_shifts(length * np.stack([x, y], axis=-1) @ axes, exposure, maps)
        return total

    prepared = {reach: [correlation_maps(exposure, optics, reach) for exposure in exposures] for reach in (2, 5)}
    # over a difference of two pitches a step moves the correlation by about two positions of the scan
    longest = max(float(np.hypot(*differences.T).max()) for differences, _ in prepared[2])
    step = 2.0 * exposures[0].setting.step / (length * longest)
    sides = [np.linspace(-h, h, min(MAX_GRID_POINTS, 2 * math.ceil(h / step) + 1)) for h in half]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3) + centre
    for reach, width in ((2, None), (5, 0.5), (5, 0.25)):
        if width is not None:
            spacing = np.array([s[1] - s[0] if len(s) > 1 else 0.0 for s in sides]) * width
            offsets = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
            points = (points[:, None] + offsets[None] * spacing).reshape(-1, 3)
        values = evaluated(points, reach)
        best = points[np.argsort(-values)[: 20 * count]]
        points = np.unique(best.round(3), axis=0) if width is not None else best
        spacing = np.array([s[1] - s[0] if len(s) > 1 else 1.0 for s in sides])
    return select_separated(points, evaluated(points, 5), spacing, count)


def select_separated(points: np.ndarray, values: np.ndarray, spacing: np.ndarray, count: int) -> np.ndarray:
    """The best of ``points``, none within ``spacing`` of a better one."""
    selected: list[np.ndarray] = []
    for point in points[np.argsort(-values)]:
        if all(np.any(np.abs(point - other) > spacing) for other in selected):
            selected.append(point)
        if len(selected) == count:
            break
    return np.array(selected)
