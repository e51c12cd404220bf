"""abTEM's side of the wave engine's cases, in each of its ways that may be quickest."""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import gaussian_filter

from tests.benchmarks._waves_cases import (
    ENERGY,
    HAADF,
    SEMIANGLE,
    SERIES_BY_ABTEM,
    A,
    Runs,
    Size,
    raster,
    series_settings,
    size_of,
    slices_of,
    specimen,
    spots,
)

PER_CELL, PADDING = 14, 3
"""Probes along a cell's side, and how many more around it, with which splines are within 1 % of the image: the fewest of those tried."""


def _potential(size: Size, points: int | None = None, seed: int | None = None) -> Any:
    import abtem

    made = slices_of(size, points, seed)
    array = np.ascontiguousarray(np.asarray(made.array).transpose(0, 2, 1))
    return abtem.PotentialArray(array, slice_thickness=made.spacing, extent=made.extent)


def _each_way(run: Callable[[], Any], label: str = "") -> Runs:
    """abTEM's settings that matter on a CPU: FFTs with one thread or one for each core."""
    import abtem

    def with_threads(count: int) -> Callable[[], Any]:
        def go() -> Any:
            with abtem.config.set({"precision": "float32", "device": "cpu", "fft": "fftw", "fftw.threads": count}):
                return run()

        return go

    counts = sorted({1, len(os.sched_getaffinity(0))})
    return {f"{label}fftw, {count} threads": with_threads(count) for count in counts}


def probes(short: bool, count: int = 64) -> Runs:
    import abtem

    size = size_of(short)
    potential = _potential(size)
    probe = abtem.Probe(
        energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, extent=size.extent, gpts=(size.points, size.points), soft=False
    )
    scan = abtem.CustomScan(spots(size, count))

    def go(lazy: bool) -> np.ndarray:
        waves: Any = probe.multislice(potential, scan=scan, lazy=lazy)
        found = waves.diffraction_patterns(max_angle="cutoff")
        return np.asarray(found.compute(progress_bar=False).array if lazy else found.array).transpose(0, 2, 1)

    return _each_way(lambda: go(False), "eager, ") | _each_way(lambda: go(True), "dask, ")


def exit(short: bool) -> Runs:
    import abtem

    size = size_of(short)
    potential = _potential(size, 2 * size.points)
    wave = abtem.PlaneWave(energy=ENERGY, extent=size.extent, gpts=(2 * size.points, 2 * size.points))

    def go() -> np.ndarray:
        waves: Any = wave.multislice(potential, lazy=False)
        return np.asarray(waves.array).T

    return _each_way(go)


def _places(size: Size, padding: int) -> Any:
    """A raster over the cell in the middle at `PER_CELL` probes along its side, and ``padding`` more on either side."""
    import abtem

    low, step = raster(size, 64)[0], A / PER_CELL
    ends = low - padding * step, low + (PER_CELL + padding) * step
    count = PER_CELL + 2 * padding
    return abtem.GridScan(start=(ends[0],) * 2, end=(ends[1],) * 2, gpts=(count, count), endpoint=False)


def _fine(size: Size, found: np.ndarray, padding: int, source: float = 0.0) -> np.ndarray:
    """The 64 x 64 image [y, x] of the cell from a scan [x, y] with ``padding`` probes around it; ``source`` in angstrom. Quintic splines."""
    low, step = raster(size, 64)[0], A / PER_CELL
    at = low + (np.arange(len(found)) - padding) * step
    around = math.ceil(3.0 * source / (A / 64))
    places = low + np.arange(-around, 64 + around) * A / 64
    drawn = gaussian_filter(RectBivariateSpline(at, at, found, kx=5, ky=5)(places, places), source / (A / 64))
    return drawn[around : around + 64, around : around + 64].T


def _periodic(found: np.ndarray) -> np.ndarray:
    """The 64 x 64 image [y, x] of a cell that repeats from a scan [x, y] of it: Fourier interpolation."""
    spectrum = np.fft.fftshift(np.fft.fft2(found))
    before = 32 - len(found) // 2
    wide = np.pad(spectrum, (before, 64 - len(found) - before))
    return np.fft.ifft2(np.fft.ifftshift(wide)).real.T * (64 / len(found)) ** 2


def _detector() -> Any:
    import abtem

    return abtem.AnnularDetector(inner=HAADF[0] * 1e3, outer=HAADF[1] * 1e3)


def _probe(size: Size, **aberrations: float) -> Any:
    import abtem

    return abtem.Probe(
        energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, extent=size.extent, gpts=(size.points, size.points), soft=False,
        aberrations=aberrations,
    )  # fmt: skip


def _scattering_matrix(potential: Any, interpolation: int = 1) -> Any:
    import abtem

    made = abtem.SMatrix(
        potential=potential, energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, interpolation=interpolation
    )
    return made.build(lazy=False)


def image(short: bool, seeds: tuple[int, ...] = ()) -> Runs:
    """Scanned as sparsely as the image's band allows and interpolated, or the same by PRISM at interpolation 2; at 1 its plane waves alone are three
    times as many as these probes. With phonons the cell does not repeat, and a few probes around it are needed.
    """
    size = size_of(short)
    potentials = [_potential(size, None, seed) for seed in seeds or (None,)]
    padding = PADDING if seeds else 0
    scan, probe, detector = _places(size, padding), _probe(size), _detector()

    def drawn(found: list[np.ndarray]) -> np.ndarray:
        mean = np.mean(found, axis=0)
        return _fine(size, mean, padding) if seeds else _periodic(mean)

    def direct(lazy: bool) -> np.ndarray:
        found = []
        for potential in potentials:
            one: Any = probe.scan(potential, scan=scan, detectors=detector, lazy=lazy)
            found.append(np.asarray((one.compute(progress_bar=False) if lazy else one).array))
        return drawn(found)

    def matrix() -> np.ndarray:
        found = []
        for potential in potentials:
            one: Any = _scattering_matrix(potential, 2).reduce(scan=scan, detectors=detector)
            found.append(np.asarray(one.array))
        return drawn(found)

    return {
        **_each_way(lambda: direct(False), "scan, eager, "),
        **_each_way(lambda: direct(True), "scan, dask, "),
        **_each_way(matrix, "PRISM, "),
    }


def series(short: bool) -> Runs:
    """Images of the series one after the other, as many as are needed to know the time of one: each scanned, or all from one scattering matrix.

    What the matrix itself takes is ``fixed``: it does not grow with the number of images.
    """
    import abtem

    size = size_of(short)
    potential, detector = _potential(size, None, 0), _detector()

    def each(draw: Callable[[dict[str, float], Any], Any]) -> np.ndarray:
        found = []
        for c10, c12, c30, source in series_settings()[:SERIES_BY_ABTEM]:
            padding = PADDING + math.ceil(3.0 * source / (A / PER_CELL))
            made = draw({"C10": float(c10), "C12": float(c12), "C30": float(c30)}, _places(size, padding))
            found.append(_fine(size, np.asarray(made.array), padding, float(source)))
        return np.stack(found)

    def scans() -> np.ndarray:
        return each(
            lambda aberrations, scan: _probe(size, **aberrations).scan(
                potential, scan=scan, detectors=detector, lazy=False
            )
        )

    def matrix() -> np.ndarray:
        start = time.perf_counter()
        kept = _scattering_matrix(potential)
        for way in found.values():
            way.fixed = time.perf_counter() - start  # type: ignore[attr-defined]
        return each(
            lambda aberrations, scan: kept.reduce(
                scan=scan, detectors=detector,
                ctf=abtem.CTF(energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, aberrations=aberrations, soft=False),
            )
        )  # fmt: skip

    found = _each_way(matrix, "scattering matrix, ")
    return found | _each_way(scans, "scans, ")


def potentials(short: bool) -> Runs:
    import abtem
    from ase import Atoms

    size = size_of(short)
    made = specimen(size)
    atoms = Atoms(made.symbols, made.positions + made.displacements(0), cell=np.diag(made.cell), pbc=True)
    atoms.wrap()

    def go() -> np.ndarray:
        built: Any = abtem.Potential(
            atoms, gpts=(size.points, size.points), slice_thickness=made.thickness / size.slices,
            parametrization="lobato", projection="infinite",
        ).build(lazy=False)  # fmt: skip
        return np.asarray(built.array).transpose(0, 2, 1)

    return _each_way(go)
