"""abTEM's side of the wave engine's cases, in each of its ways that may be quickest."""

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
        found = waves.diffraction_patterns(max_angle="cutoff")
        return np.asarray(found.compute(progress_bar=False).array if lazy else found.array).transpose(0, 2, 1)

    return _each_way(lambda: go(False), "eager, ") | _each_way(lambda: go(True), "dask, ")


def exit(short: Form) -> Runs:
    import abtem

    size = size_of(short)
    potential = _potential(size, 2 * size.points)
    wave = abtem.PlaneWave(energy=ENERGY, extent=size.extent, gpts=(2 * size.points, 2 * size.points))

    def go() -> np.ndarray:
        waves: Any = wave.multislice(potential, lazy=False)
        return np.asarray(waves.array).T

    return _each_way(go)


def _places(size: Size, wide: bool) -> Any:
    """A raster over the cell in the middle at `PER_CELL` probes along its side, or, ``wide``, with half a cell more around it."""
    import abtem

    low, cells = raster(size, 64)[0] - (A / 2 if wide else 0.0), 2 if wide else 1
    count = cells * PER_CELL
    return abtem.GridScan(start=(low, low), end=(low + cells * A, low + cells * A), gpts=(count, count), endpoint=False)


def _fine(image: Any, wide: bool, source: float = 0.0) -> np.ndarray:
    """The 64 x 64 image [y, x] of the cell from a scan over `_places`, by abTEM's own Fourier interpolation and filter; ``source`` in angstrom."""
    soft = image.gaussian_filter(source) if source else image
    if not wide:
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

    made = abtem.SMatrix(
        potential=potential, energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, interpolation=interpolation
    )
    return made.build(lazy=False)


def image(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    """Scanned as sparsely as the image's band allows and interpolated, and the same by PRISM at interpolation 2 (at 1 its plane waves alone are three
    times as many as these probes). With phonons the cell does not repeat: half a cell more around it.
    """
    size = size_of(short)
    potentials = [_potential(size, None, seed) for seed in seeds or (None,)]
    probe, detector, wide = _probe(size), _detector(), bool(seeds)
    places = _places(size, wide)

    def averaged(images: list[Any]) -> Any:
        mean = images[0].copy()
        mean.array[...] = np.mean([np.asarray(one.array) for one in images], axis=0)
        return mean

    def direct(lazy: bool) -> Any:
        found = []
        for potential in potentials:
            one: Any = probe.scan(potential, scan=places, detectors=detector, lazy=lazy)
            found.append(one.compute(progress_bar=False) if lazy else one)
        return averaged(found)

    def matrix() -> Any:
        return averaged([_scattering_matrix(one, 2).reduce(scan=places, detectors=detector) for one in potentials])

    return {
        **_each_way(lambda: _fine(direct(False), wide), "scan, eager, "),
        **_each_way(lambda: _fine(direct(True), wide), "scan, dask, "),
        **_each_way(lambda: _fine(matrix(), wide), "PRISM, "),
    }


def series(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    """Images of the series one after the other, as many as are needed to know the time of one: each scanned, or all from one scattering matrix, whole
    or at interpolation 2. What the matrix itself takes is ``fixed``: it does not grow with the number of images.
    """
    import abtem

    size, wide = size_of(short), bool(seeds)
    potential, detector, places = _potential(size, None, *seeds), _detector(), _places(size, wide)

    def each(draw: Callable[[dict[str, Any]], Any]) -> np.ndarray:
        found = []
        for c10, c12, c30, source in series_settings()[:SERIES_BY_ABTEM]:
            made = draw({"C10": float(c10), "C12": float(c12), "C30": float(c30)})
            found.append(_fine(made, wide, float(source)))
        return np.stack(found)

    def scans() -> np.ndarray:
        return each(lambda some: _probe(size, **some).scan(potential, scan=places, detectors=detector, lazy=False))

    def matrix(interpolation: int) -> np.ndarray:
        start = time.perf_counter()
        kept = _scattering_matrix(potential, interpolation)
        for way in found.values():
            way.fixed = time.perf_counter() - start  # type: ignore[attr-defined]
        return each(
            lambda some: kept.reduce(
                scan=places, detectors=detector,
                ctf=abtem.CTF(energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, soft=False, **some),
            )
        )  # fmt: skip

    found = _each_way(lambda: matrix(1), "scattering matrix, ") | _each_way(lambda: matrix(2), "PRISM, ")
    return found | _each_way(scans, "scans, ")


def potentials(short: Form) -> Runs:
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
