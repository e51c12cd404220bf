"""One case of the wave engine in a process of its own, ours or abTEM's: ``python -m tests.benchmarks._waves CASE SIDE RESULT [--short]``.

Prints JSON: seconds (best of the repeats), the first call's, the largest resident memory above what it was before, and which settings were
best; the result itself goes to RESULT (.npz), for the accuracy. Both sides get the same potentials.
"""

import argparse
import functools
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ENERGY, SEMIANGLE, A = 200e3, 21.4e-3, 3.905
HAADF = (60e-3, 95e-3)


class Size(NamedTuple):
    """Cells (x, y, z) of SrTiO3 [001], points along x and y; two slices a cell."""

    cells: tuple[int, int, int]
    points: int

    @property
    def slices(self) -> int:
        return 2 * self.cells[2]

    @property
    def extent(self) -> tuple[float, float]:
        return self.cells[0] * A, self.cells[1] * A


FULL, SHORT = Size((6, 6, 26), 512), Size((4, 4, 8), 256)
Runs = dict[str, Callable[[], Any]]
"""Settings and what to time; each call returns the result as NumPy arrays."""


def size_of(short: bool) -> Size:
    return SHORT if short else FULL


def specimen(size: Size) -> Any:
    from twin.sample.specimen import srtio3

    return srtio3(size.cells)


def slices_of(size: Size, points: int | None = None, seed: int | None = None) -> Any:
    """The potential both sides get."""
    made = specimen(size)
    return made.slices(points or size.points, size.slices, None if seed is None else made.displacements(seed))


def spots(size: Size, count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.0, min(size.extent), (count, 2))


def raster(size: Size, count: int) -> np.ndarray:
    """``count`` places along one axis of the cell in the middle."""
    return (np.arange(count) / count - 0.5) * A + (size.cells[0] // 2) * A


def beam(**changed: Any) -> Any:
    from twin.optics.illumination import Illumination

    return Illumination(np.zeros(25), ENERGY, SEMIANGLE, **changed)


def haadf(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """The same hard ring that abTEM has."""
    from twin.detection.detectors import annular
    from twin.optics.electrons import wavelength

    return np.asarray(annular(kx, ky, wavelength(ENERGY), *HAADF))


def scene(size: Size, seeds: tuple[int, ...] = ()) -> Any:
    from twin.sample.specimen import srtio3
    from twin.scattering.scene import Scene

    points = (size.points, size.points)
    return Scene(specimen(size), points, size.slices, seeds, (0.0, 0.0), srtio3((1, 1, 1)), size.cells)


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


def probes_ours(short: bool, count: int = 64) -> Runs:
    import jax.numpy as jnp

    from twin.detection.pixelated import crop
    from twin.optics.electrons import wavelength
    from twin.optics.probe import aperture
    from twin.scattering.pieces import compiled, cut, in_pieces
    from twin.scattering.signals import patterns, prepared

    size = size_of(short)
    ready = prepared(slices_of(size), ENERGY)
    window = aperture(ready.gpts, ready.extent, ENERGY, SEMIANGLE, soft=False)
    light, places = beam(soft=False), spots(size, count)
    run = compiled(
        lambda some, ready: crop(patterns(some, light, window, ready), ready.extent, wavelength(ENERGY)).values
    )

    def go() -> np.ndarray:
        work = ((jnp.asarray(places[part]), ready) for part in cut(count, 4))
        return np.concatenate([np.asarray(one) for one in in_pieces(run, work)])

    return {"": go}


def probes_theirs(short: bool, count: int = 64) -> Runs:
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


def exit_ours(short: bool) -> Runs:
    import jax

    from twin.optics.probe import plane_wave
    from twin.scattering.multislice import multislice
    from twin.scattering.signals import prepared

    size = size_of(short)
    ready = prepared(slices_of(size, 2 * size.points), ENERGY)
    wave = plane_wave(ready.gpts, ready.extent, ENERGY)
    run = jax.jit(lambda psi, ready: multislice(psi, ready.transmissions, ready.kernel))
    return {"": lambda: np.asarray(run(wave, ready))}


def exit_theirs(short: bool) -> Runs:
    import abtem

    size = size_of(short)
    potential = _potential(size, 2 * size.points)
    wave = abtem.PlaneWave(energy=ENERGY, extent=size.extent, gpts=(2 * size.points, 2 * size.points))

    def go() -> np.ndarray:
        waves: Any = wave.multislice(potential, lazy=False)
        return np.asarray(waves.array).T

    return _each_way(go)


def image_ours(short: bool, seeds: tuple[int, ...] = ()) -> Runs:
    from twin.scattering.stem import stem_images

    size = size_of(short)
    place, one = raster(size, 64), scene(size, seeds)

    def go() -> np.ndarray:
        found = stem_images(one, beam(soft=False), place, place, [haadf], tolerance=1e-2)
        go.form = found.form.name + (f" {found.form.margin:g} A" if found.form.margin else "")  # type: ignore[attr-defined]
        return found.array[0]

    return {"": go}


def image_exact(short: bool, seeds: tuple[int, ...] = ()) -> Runs:
    """Multislice probe by probe, for the accuracy of both, at 16 x 16 places; alias-free transmission functions."""
    from twin.scattering.stem import stem_images

    size = size_of(short)
    place, one = raster(size, 16), scene(size, seeds)
    return {"": lambda: stem_images(one, beam(soft=False), place, place, [haadf], form="direct").array[0]}


def image_theirs(short: bool, seeds: tuple[int, ...] = ()) -> Runs:
    """Scanned at the sampling that the image's band needs and interpolated, or by the exact scattering matrix: whichever is quicker."""
    import abtem

    size = size_of(short)
    potentials = [_potential(size, None, seed) for seed in seeds or (None,)]
    probe = abtem.Probe(
        energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, extent=size.extent, gpts=(size.points, size.points), soft=False
    )
    detector = abtem.AnnularDetector(inner=HAADF[0] * 1e3, outer=HAADF[1] * 1e3)
    low = raster(size, 64)[0]
    margin = 0.0 if not seeds else A / 2.0
    scan = abtem.GridScan(
        start=(low - margin,) * 2,
        end=(low + A + margin,) * 2,
        sampling=probe.aperture.nyquist_sampling,
        endpoint=False,
    )

    def finished(images: list[Any]) -> np.ndarray:
        mean = np.mean([np.asarray(one.array) for one in images], axis=0)
        wide = images[0].copy()
        wide.array[...] = mean
        fine = np.asarray(wide.interpolate(gpts=(64 * (1 if not seeds else 2),) * 2).array).T
        return fine if not seeds else fine[32:96, 32:96]

    def direct(lazy: bool) -> np.ndarray:
        found = []
        for potential in potentials:
            image: Any = probe.scan(potential, scan=scan, detectors=detector, lazy=lazy)
            found.append(image.compute(progress_bar=False) if lazy else image)
        return finished(found)

    def matrix() -> np.ndarray:
        found = []
        for potential in potentials:
            made = abtem.SMatrix(potential=potential, energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3)
            image: Any = made.scan(scan=scan, detectors=detector, lazy=False)
            found.append(image)
        return finished(found)

    ways = _each_way(lambda: direct(False), "scan, eager, ") | _each_way(lambda: direct(True), "scan, dask, ")
    return ways | ({} if seeds else _each_way(matrix, "scattering matrix, "))


def series_settings() -> np.ndarray:
    """[`SERIES`, 4]: C10, C12a, C30, source size in angstrom."""
    drawn = np.random.default_rng(1)
    return np.stack(
        [
            drawn.normal(0, 30, SERIES),
            drawn.normal(0, 20, SERIES),
            drawn.normal(0, 1e4, SERIES),
            drawn.uniform(0, 0.5, SERIES),
        ],
        axis=-1,
    )


def series_ours(short: bool) -> Runs:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from twin.optics.aberrations import index
    from twin.scattering.forms import choose, forms
    from twin.scattering.stem import grams_of, image_of

    size = size_of(short)
    place, one = raster(size, 64), scene(size, (0,))
    form = choose(forms(one, beam(soft=False), place, place, [haadf]), 1e-2)

    @eqx.filter_jit
    def draw(grams: Any, light: Any, origin: tuple[float, float]) -> Any:
        return image_of(grams, origin, light, place, place)

    def go() -> np.ndarray:
        made = grams_of(one, beam(soft=False), place, place, [haadf], form)
        found = []
        for c10, c12, c30, source in series_settings():
            values = np.zeros(25)
            values[[index("C10"), index("C12a"), index("C30")]] = c10, c12, c30
            light = eqx.tree_at(
                lambda b: (b.coefficients, b.source), beam(soft=False), (jnp.asarray(values), jnp.asarray(source))
            )
            found.append(draw(made.grams[0], light, made.origin))
        return np.asarray(jax.block_until_ready(jnp.stack(found)))

    return {"": go}


def series_theirs(short: bool) -> Runs:
    """Images of the series one after the other, as many as are needed to know the time of one."""
    import abtem

    size = size_of(short)
    potential = _potential(size, None, 0)
    detector = abtem.AnnularDetector(inner=HAADF[0] * 1e3, outer=HAADF[1] * 1e3)
    low, margin = raster(size, 64)[0], A / 2.0

    def go() -> np.ndarray:
        found = []
        for c10, c12, c30, source in series_settings()[:SERIES_BY_ABTEM]:
            probe = abtem.Probe(
                energy=ENERGY, semiangle_cutoff=SEMIANGLE * 1e3, extent=size.extent, gpts=(size.points, size.points), soft=False,
                aberrations={"C10": float(c10), "C12": float(c12), "C30": float(c30)},
            )  # fmt: skip
            scan = abtem.GridScan(
                start=(low - margin,) * 2, end=(low + A + margin,) * 2,
                sampling=probe.aperture.nyquist_sampling, endpoint=False,
            )  # fmt: skip
            image: Any = probe.scan(potential, scan=scan, detectors=detector, lazy=False)
            found.append(
                np.asarray(image.gaussian_filter(float(source)).interpolate(gpts=(128, 128)).array).T[32:96, 32:96]
            )
        return np.stack(found)

    return _each_way(go)


def _loss(size: Size) -> tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any]]:
    """A loss of four images' rings in aberrations, tilt, slice spacing and all atoms' places."""
    import equinox as eqx
    import jax.numpy as jnp

    from twin.grid import band_limit, frequencies
    from twin.optics.probe import aperture
    from twin.sample.potentials import potential
    from twin.scattering.multislice import propagator, transmission
    from twin.scattering.signals import Prepared, patterns

    made, gpts = specimen(size), (size.points, size.points)
    plan = made.plan(gpts, size.slices, made.displacements(0))
    limit = band_limit(gpts, made.extent)
    window = aperture(gpts, made.extent, ENERGY, SEMIANGLE, soft=False)
    kx, ky = frequencies(gpts, made.extent)
    ring = jnp.asarray(haadf(kx[None, :], ky[:, None]), jnp.float32)
    places = jnp.asarray(spots(size, 8))
    positions = jnp.asarray(made.positions + made.displacements(0))
    light = beam(soft=False)

    def loss(aberrations: Any, tilt: Any, spacing: Any, atoms: Any) -> Any:
        functions = transmission(potential(plan, atoms, made.occupancy, made.u2), ENERGY, limit)
        ready = Prepared(functions, propagator(gpts, made.extent, ENERGY, spacing, tilt), made.extent)
        shone = eqx.tree_at(lambda one: one.coefficients, light, aberrations)
        return (patterns(places, shone, window, ready) * ring[None]).sum(axis=(1, 2)) @ jnp.arange(
            1.0, 9.0, dtype=jnp.float32
        )

    start = (jnp.zeros(25), jnp.zeros(2), jnp.asarray(made.thickness / size.slices), positions)
    return loss, start, patterns


def forward_ours(short: bool) -> Runs:
    import jax

    loss, start, _ = _loss(size_of(short))
    run = jax.jit(loss)
    return {"": lambda: np.asarray(run(*start))}


def gradient_ours(short: bool) -> Runs:
    import jax

    loss, start, _ = _loss(size_of(short))
    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3)))
    return {"": lambda: np.asarray(jax.block_until_ready(run(*start))[0])}


def ronchigram_ours(short: bool) -> Runs:
    """Thirty of a sample four slices thick, defocus moving on."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from twin.optics.probe import aperture
    from twin.sample.specimen import srtio3
    from twin.scattering.signals import patterns, prepared

    thin = srtio3((8, 8, 2))
    ready = prepared(thin.slices(256, 4), ENERGY)
    wide = 0.9 * 2.0 / 3.0 * 0.5 * 256 / thin.extent[0] * 0.0250793
    window = aperture(ready.gpts, ready.extent, ENERGY, wide)
    light = beam()
    place = jnp.asarray([[thin.extent[0] / 2, thin.extent[1] / 2]])
    run = jax.jit(
        lambda c10, ready: patterns(
            place, eqx.tree_at(lambda one: one.coefficients, light, light.coefficients.at[0].set(c10)), window, ready
        )[0]
    )
    return {"": lambda: np.stack([np.asarray(run(jnp.asarray(c10), ready)) for c10 in np.linspace(-100.0, 100.0, 30)])}


def potentials_ours(short: bool) -> Runs:
    size = size_of(short)
    made = specimen(size)
    moved = made.displacements(0)
    return {"": lambda: np.asarray(made.slices(size.points, size.slices, moved).array)}


def potentials_theirs(short: bool) -> Runs:
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


def growth_ours(what: str, short: bool) -> Runs:
    """Seconds [sizes] of patterns of probes as the number of ``what`` grows, of `SIZES`; the others are kept."""
    import jax
    import jax.numpy as jnp

    from twin.optics.probe import aperture
    from twin.sample.specimen import srtio3
    from twin.scattering.crystal import crystal_grams
    from twin.scattering.signals import patterns, prepared

    light = beam(soft=False)

    def job(number: int) -> Callable[[], Any]:
        if what == "beams":
            slices = srtio3((1, 1, 1)).slices(64, 2)
            return lambda: crystal_grams(slices, 8, (4, 4), ENERGY, number * 1e-3, [haadf])[0][0].matrices
        points = number if what == "grid points along an axis" else 256
        made = srtio3((4, 4, number // 2 if what == "slices" else 8))
        ready = prepared(made.slices(points, number if what == "slices" else 16), ENERGY)
        window = aperture(ready.gpts, ready.extent, ENERGY, SEMIANGLE, soft=False)
        places = jnp.asarray(spots(Size((4, 4, 8), points), number if what == "probes" else 4))
        run = jax.jit(lambda some, ready: patterns(some, light, window, ready))
        return lambda: run(places, ready)

    jobs = [job(number) for number in SIZES[what]]

    def go() -> np.ndarray:
        found = []
        for one in jobs:
            jax.block_until_ready(one())
            start = time.perf_counter()
            jax.block_until_ready(one())
            found.append(time.perf_counter() - start)
        return np.array(found)

    return {"": go}


SEEDS = (0, 1, 2, 3)
SERIES, SERIES_BY_ABTEM = 100, 3
SIZES = {
    "probes": (2, 4, 8, 16, 32),
    "slices": (4, 8, 16, 32),
    "grid points along an axis": (128, 256, 512),
    "beams": (10, 15, 20, 25),
}
"""What time is measured against, and how many: probes, slices, points, and for beams the semi-angle in mrad (their number is as its square)."""
CASES: dict[str, dict[str, Callable[[bool], Runs]]] = {
    "probes": {"ours": probes_ours, "abtem": probes_theirs},
    "exit": {"ours": exit_ours, "abtem": exit_theirs},
    "crystal": {"ours": image_ours, "abtem": image_theirs, "exact": image_exact},
    "phonons": {
        "ours": lambda short: image_ours(short, SEEDS),
        "abtem": lambda short: image_theirs(short, SEEDS),
        "exact": lambda short: image_exact(short, SEEDS),
    },
    "series": {"ours": series_ours, "abtem": series_theirs},
    "gradient": {"ours": gradient_ours, "forward": forward_ours},
    "ronchigram": {"ours": ronchigram_ours},
    "potentials": {"ours": potentials_ours, "abtem": potentials_theirs},
    "growth": {what: functools.partial(growth_ours, what) for what in SIZES},
}


def _memory(kind: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


def main() -> None:
    """Run one side of one case, every setting, and tell of the best."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("side")
    parser.add_argument("result", type=Path)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default="", help="only settings whose name has this in it")
    given = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    runs = CASES[given.case][given.side](given.short)
    before = _memory("VmRSS")
    best: dict[str, Any] = {"seconds": float("inf")}
    for label, run in runs.items():
        if given.only not in label:
            continue
        start = time.perf_counter()
        value = run()
        first = time.perf_counter() - start
        seconds = first if given.repeats < 2 else float("inf")
        for _ in range(given.repeats - 1):
            start = time.perf_counter()
            value = run()
            seconds = min(seconds, time.perf_counter() - start)
        if seconds < best["seconds"]:
            best = {"seconds": seconds, "first": first, "settings": getattr(run, "form", label)}
            np.savez(given.result, value=value)
    print(json.dumps(best | {"peak_mib": _memory("VmHWM") - before}))


if __name__ == "__main__":
    main()
