"""abTEM's runs of the wave engine's cases, with each method that may be the fastest."""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks._form import Form
from tests.benchmarks.waves.cases import (
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

PER_CELL = 14
"""Probes along a cell's side: the fewest that the image's band allows."""


def _potential(size: Size, points: int | None = None, seed: int | None = None) -> Any:
    import abtem

    slices = slices_of(size, points, seed)
    array = np.ascontiguousarray(np.asarray(slices.array).transpose(0, 2, 1))
    return abtem.PotentialArray(array, slice_thickness=slices.spacing, extent=slices.extent)


def _by_threads(run: Callable[[], Any], label: str = "") -> Runs:
    """abTEM's settings that matter on a CPU: FFTs with one thread or one for each core."""
    import abtem

    def with_threads(count: int) -> Callable[[], Any]:
        def go() -> Any:
            with abtem.config.set({"precision": "float32", "device": "cpu", "fft": "fftw", "fftw.threads": count}):
                return run()

        return go

    counts = sorted({1, len(os.sched_getaffinity(0))})
    return {f"{label}fftw, {count} threads": with_threads(count) for count in counts}


def probes(short: Form, count: int = 64) -> Runs:
    import abtem

    size = size_of(short)
    potential = _potential(size)
    probe = abtem.Probe(
        energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, extent=size.extent, gpts=(size.points, size.points), soft=False
    )
    scan = abtem.CustomScan(spots(size, count))

    def go(lazy: bool) -> np.ndarray:
        waves: Any = probe.multislice(potential, scan=scan, lazy=lazy)
        patterns = waves.diffraction_patterns(max_angle="cutoff")
        return np.asarray(patterns.compute(progress_bar=False).array if lazy else patterns.array).transpose(0, 2, 1)

    return _by_threads(lambda: go(False), "eager, ") | _by_threads(lambda: go(True), "dask, ")


def exit(short: Form) -> Runs:
    import abtem

    size = size_of(short)
    potential = _potential(size, 2 * size.points)
    wave = abtem.PlaneWave(energy=ENERGY, extent=size.extent, gpts=(2 * size.points, 2 * size.points))

    def go() -> np.ndarray:
        waves: Any = wave.multislice(potential, lazy=False)
        return np.asarray(waves.array).T

    return _by_threads(go)


def _scan_points(size: Size, padded: bool) -> Any:
    """A raster over the cell in the middle at `PER_CELL` probes along its side, or, if ``padded``, with half a cell more around it."""
    import abtem

    low, cells = raster(size, 64)[0] - (A / 2 if padded else 0.0), 2 if padded else 1
    count = cells * PER_CELL
    return abtem.GridScan(start=(low, low), end=(low + cells * A, low + cells * A), gpts=(count, count), endpoint=False)


def _fine(image: Any, padded: bool, source: float = 0.0) -> np.ndarray:
    """The 64 x 64 image [y, x] of the cell from a scan over `_scan_points`, by abTEM's own Fourier interpolation and filter; ``source`` in angstrom."""
    soft = image.gaussian_filter(source) if source else image
    if not padded:
        return np.asarray(soft.interpolate(gpts=(64, 64)).array).T
    return np.asarray(soft.interpolate(gpts=(128, 128)).array).T[32:96, 32:96]


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

    matrix = abtem.SMatrix(
        potential=potential, energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, interpolation=interpolation
    )
    return matrix.build(lazy=False)


def image(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    """Scanned as sparsely as the image's band allows and interpolated, and the same by PRISM at interpolation 2 (at 1 its plane waves alone are three
    times as many as these probes). With phonons the cell does not repeat: half a cell more around it.
    """
    size = size_of(short)
    potentials = [_potential(size, None, seed) for seed in seeds or (None,)]
    probe, detector, padded = _probe(size), _detector(), bool(seeds)
    points = _scan_points(size, padded)

    def averaged(images: list[Any]) -> Any:
        mean = images[0].copy()
        mean.array[...] = np.mean([np.asarray(frame.array) for frame in images], axis=0)
        return mean

    def direct(lazy: bool) -> Any:
        frames = []
        for potential in potentials:
            frame: Any = probe.scan(potential, scan=points, detectors=detector, lazy=lazy)
            frames.append(frame.compute(progress_bar=False) if lazy else frame)
        return averaged(frames)

    def matrix() -> Any:
        return averaged(
            [_scattering_matrix(potential, 2).reduce(scan=points, detectors=detector) for potential in potentials]
        )

    return {
        **_by_threads(lambda: _fine(direct(False), padded), "scan, eager, "),
        **_by_threads(lambda: _fine(direct(True), padded), "scan, dask, "),
        **_by_threads(lambda: _fine(matrix(), padded), "PRISM, "),
    }


def series(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    """Images of the series one after the other, as many as are needed to know the time of one: each scanned, or all from one scattering matrix, whole
    or at interpolation 2. What the matrix itself takes is ``fixed``: it does not grow with the number of images.
    """
    import abtem

    size, padded = size_of(short), bool(seeds)
    potential, detector, points = _potential(size, None, *seeds), _detector(), _scan_points(size, padded)

    def frames_of(draw: Callable[[dict[str, Any]], Any]) -> np.ndarray:
        frames = []
        for c10, c12, c30, source in series_settings()[:SERIES_BY_ABTEM]:
            frame = draw({"C10": float(c10), "C12": float(c12), "C30": float(c30)})
            frames.append(_fine(frame, padded, float(source)))
        return np.stack(frames)

    def scans() -> np.ndarray:
        return frames_of(
            lambda aberrations: _probe(size, **aberrations).scan(potential, scan=points, detectors=detector, lazy=False)
        )

    def matrix(interpolation: int) -> np.ndarray:
        start = time.perf_counter()
        scattering_matrix = _scattering_matrix(potential, interpolation)
        for run in runs.values():
            run.fixed = time.perf_counter() - start  # type: ignore[attr-defined]
        return frames_of(
            lambda aberrations: scattering_matrix.reduce(
                scan=points, detectors=detector,
                ctf=abtem.CTF(energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, soft=False, **aberrations),
            )
        )  # fmt: skip

    runs = _by_threads(lambda: matrix(1), "scattering matrix, ") | _by_threads(lambda: matrix(2), "PRISM, ")
    return runs | _by_threads(scans, "scans, ")


def potentials(short: Form) -> Runs:
    import abtem
    from ase import Atoms

    size = size_of(short)
    sample = specimen(size)
    atoms = Atoms(sample.symbols, sample.positions + sample.displacements(0), cell=np.diag(sample.cell), pbc=True)
    atoms.wrap()

    def go() -> np.ndarray:
        built: Any = abtem.Potential(
            atoms, gpts=(size.points, size.points), slice_thickness=sample.thickness / size.slices,
            parametrization="lobato", projection="infinite",
        ).build(lazy=False)  # fmt: skip
        return np.asarray(built.array).transpose(0, 2, 1)

    return _by_threads(go)
