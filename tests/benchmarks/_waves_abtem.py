"""abTEM's side of the wave engine's cases, in each of its ways that may be quickest."""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

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

PER_CELL = 14
"""Probes along a cell's side: the fewest that the image's band allows."""
SPREAD = 3e-3
"""How well probes at our places are to tell the rest, as a share of the image's rms contrast."""


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


def _sparse(size: Size, source: float = 0.0) -> tuple[Any, Callable[[Any], np.ndarray]]:
    """Our own sparse places as abTEM's scan, and what makes the 64 x 64 image [y, x] of its result: better than it has by itself."""
    import abtem

    from twin.optics.electrons import wavelength
    from twin.scattering.sparse import raster as sparse

    along = raster(size, 64)
    probes = sparse(along, along, 2.0 * SEMIANGLE / wavelength(ENERGY), source, SPREAD)
    assert probes is not None
    low, high, count = probes.x.at[0], probes.x.at[-1], len(probes.x.at)
    scan = abtem.GridScan(start=(low, low), end=(high, high), gpts=(count, count), endpoint=True)
    return scan, lambda found: probes.image(np.asarray(found.array).T.ravel()[None])[0]


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
    """Scanned as sparsely as the image's band allows and interpolated; with our own sparse places and kriging; and the same by PRISM at interpolation 2
    (at 1 its plane waves alone are three times as many as these probes). With phonons the cell does not repeat: half a cell more around it.
    """
    size = size_of(short)
    potentials = [_potential(size, None, seed) for seed in seeds or (None,)]
    probe, detector, wide = _probe(size), _detector(), bool(seeds)
    plain, (ours, krige) = _places(size, wide), _sparse(size)

    def averaged(images: list[Any]) -> Any:
        mean = images[0].copy()
        mean.array[...] = np.mean([np.asarray(one.array) for one in images], axis=0)
        return mean

    def direct(lazy: bool, scan: Any) -> Any:
        found = []
        for potential in potentials:
            one: Any = probe.scan(potential, scan=scan, detectors=detector, lazy=lazy)
            found.append(one.compute(progress_bar=False) if lazy else one)
        return averaged(found)

    def matrix(scan: Any) -> Any:
        return averaged([_scattering_matrix(one, 2).reduce(scan=scan, detectors=detector) for one in potentials])

    ways = {
        **_each_way(lambda: _fine(direct(False, plain), wide), "scan, eager, "),
        **_each_way(lambda: _fine(direct(True, plain), wide), "scan, dask, "),
        **_each_way(lambda: _fine(matrix(plain), wide), "PRISM, "),
    }
    kriged = {
        **_each_way(lambda: krige(direct(False, ours)), "our places, eager, "),
        **_each_way(lambda: krige(direct(True, ours)), "our places, dask, "),
    }
    return ways | (kriged if seeds else {})


def series(short: bool) -> Runs:
    """Images of the series one after the other, as many as are needed to know the time of one: each scanned, or all from one scattering matrix, at
    our own sparse places as well. What the matrix itself takes is ``fixed``: it does not grow with the number of images.
    """
    import abtem

    size = size_of(short)
    potential, detector = _potential(size, None, 0), _detector()
    wide = _places(size, True)

    def each(draw: Callable[[dict[str, float], Any], Any], kriged: bool) -> np.ndarray:
        found = []
        for c10, c12, c30, source in series_settings()[:SERIES_BY_ABTEM]:
            scan, krige = _sparse(size, float(source)) if kriged else (wide, None)
            made = draw({"C10": float(c10), "C12": float(c12), "C30": float(c30)}, scan)
            found.append(_fine(made, True, float(source)) if krige is None else krige(made))
        return np.stack(found)

    def scans() -> np.ndarray:
        return each(
            lambda aberrations, scan: _probe(size, **aberrations).scan(
                potential, scan=scan, detectors=detector, lazy=False
            ),
            False,
        )

    def matrix(kriged: bool) -> np.ndarray:
        start = time.perf_counter()
        kept = _scattering_matrix(potential)
        for way in found.values():
            way.fixed = time.perf_counter() - start  # type: ignore[attr-defined]
        return each(
            lambda aberrations, scan: kept.reduce(
                scan=scan, detectors=detector,
                ctf=abtem.CTF(energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, soft=False, **aberrations),
            ),
            kriged,
        )  # fmt: skip

    found = _each_way(lambda: matrix(False), "scattering matrix, ")
    found |= _each_way(lambda: matrix(True), "scattering matrix at our places, ")
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
