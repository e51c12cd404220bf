"""emtwin's runs of the wave engine's cases: for each case, the functions to time by the names of their settings."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks._form import Form
from tests.benchmarks.waves.cases import (
    ENERGY,
    SEMIANGLE,
    Runs,
    Size,
    base,
    beam,
    haadf,
    raster,
    scene,
    series_settings,
    size_of,
    sizes,
    slices_of,
    specimen,
    spots,
)


def probes(short: Form, count: int = 64) -> Runs:
    import jax.numpy as jnp

    from twin.detection.pixelated import crop
    from twin.optics.electrons import wavelength
    from twin.optics.probe import aperture
    from twin.scattering.batching import compiled, cut, in_pieces
    from twin.scattering.signals import patterns, prepared

    size = size_of(short)
    ready = prepared(slices_of(size), ENERGY)
    window = aperture(ready.gpts, ready.extent, ENERGY, SEMIANGLE, soft=False)
    light, places = beam(soft=False), spots(size, count)
    run = compiled(
        lambda points, ready: crop(patterns(points, light, window, ready), ready.extent, wavelength(ENERGY)).values
    )

    def go() -> np.ndarray:
        work = ((jnp.asarray(places[part]), ready) for part in cut(count, 4))
        return np.concatenate([np.asarray(chunk) for chunk in in_pieces(run, work)])

    return {"": go}


def exit(short: Form) -> Runs:
    import jax

    from twin.optics.probe import plane_wave
    from twin.scattering.multislice import multislice
    from twin.scattering.signals import prepared

    size = size_of(short)
    ready = prepared(slices_of(size, 2 * size.points), ENERGY)
    wave = plane_wave(ready.gpts, ready.extent, ENERGY)
    run = jax.jit(lambda psi, ready: multislice(psi, ready.transmissions, ready.kernel))
    return {"": lambda: np.asarray(run(wave, ready))}


def image(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    from twin.scattering.stem.images import stem_images

    size = size_of(short)
    axis, sample_scene = raster(size, 64), scene(size, seeds)

    def go() -> np.ndarray:
        computed = stem_images(sample_scene, beam(soft=False), axis, axis, [haadf], tolerance=1e-2)
        go.form = str(computed.form)  # type: ignore[attr-defined]
        return computed.array[0]

    return {"": go}


def image_exact(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    """Multislice probe by probe at 8 x 8 places, for the accuracy of both [2, 8, 8]: with transmission functions without aliasing, as ours are, and as
    they are on the grid, as abTEM's are."""
    import functools

    import jax.numpy as jnp

    from twin.detection.detectors import detect
    from twin.grid import frequencies
    from twin.scattering.signals import scanned
    from twin.scattering.stem.images import stem_images

    size = size_of(short)
    axis, sample_scene = raster(size, 8), scene(size, seeds)

    def go() -> np.ndarray:
        finer = stem_images(sample_scene, beam(soft=False), axis, axis, [haadf], form="direct").array[0]
        kx, ky = frequencies(sample_scene.gpts, sample_scene.specimen.extent)
        mask = jnp.asarray(haadf(kx[None, :], ky[:, None]))
        spots = np.stack([coordinate.ravel() for coordinate in np.meshgrid(axis, axis)], axis=-1)
        stacks = [functools.partial(sample_scene.stack, number) for number in range(sample_scene.configurations)]
        plain = np.concatenate(
            [part for _, part in scanned(stacks, beam(soft=False), spots, lambda waves: detect(waves, mask))]
        )
        return np.stack([finer, plain.reshape(8, 8)])

    return {"": go}


def series(short: Form, seeds: tuple[int, ...] = ()) -> Runs:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from twin.optics.aberrations import index
    from twin.scattering.stem.algorithms import choose, forms
    from twin.scattering.stem.images import grams_of, image_of

    size = size_of(short)
    axis, sample_scene = raster(size, 64), scene(size, seeds)

    def illumination(c10: float, c12: float, c30: float, source: float) -> Any:
        values = np.zeros(25)
        values[[index("C10"), index("C12a"), index("C30")]] = c10, c12, c30
        return eqx.tree_at(
            lambda b: (b.coefficients, b.source), beam(soft=False), (jnp.asarray(values), jnp.asarray(source))
        )

    lights = [illumination(*settings) for settings in series_settings()]
    compiled: dict[str, Any] = {}

    def draw(matrices: Any, grams: Any) -> np.ndarray:
        """All images; what makes one is compiled in the first call, whose beams and places all later ones have."""
        if "run" not in compiled:

            def run(matrices: Any, aberrations: Any, source: Any) -> Any:
                light = eqx.tree_at(lambda b: (b.coefficients, b.source), lights[0], (aberrations, source))
                return image_of(eqx.tree_at(lambda b: b.matrices, grams, matrices), light, axis, axis)

            compiled["run"] = jax.jit(run)
        images = [compiled["run"](matrices, light.coefficients, light.source) for light in lights]
        return np.asarray(jax.block_until_ready(jnp.stack(images)))

    def go() -> np.ndarray:
        form = choose(forms(sample_scene, lights, axis, axis, [haadf]), 1e-2)
        gram_set = grams_of(sample_scene, lights[0], [haadf], form)
        go.form = str(gram_set.form)  # type: ignore[attr-defined]
        return draw(jnp.asarray(gram_set.grams[0].matrices), gram_set.grams[0])

    return {"": go}


def _loss(size: Size) -> tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any]]:
    """A loss of four images' rings in aberrations, tilt, slice spacing and all atoms' places."""
    import equinox as eqx
    import jax.numpy as jnp

    from twin.grid import band_limit, frequencies
    from twin.optics.probe import aperture
    from twin.sample.potential.projected import potential
    from twin.scattering.multislice import propagator, transmission
    from twin.scattering.signals import Prepared, patterns

    sample, gpts = specimen(size), (size.points, size.points)
    plan = sample.plan(gpts, size.slices, sample.displacements(0))
    limit = band_limit(gpts, sample.extent)
    window = aperture(gpts, sample.extent, ENERGY, SEMIANGLE, soft=False)
    kx, ky = frequencies(gpts, sample.extent)
    ring = jnp.asarray(haadf(kx[None, :], ky[:, None]), jnp.float32)
    places = jnp.asarray(spots(size, 8))
    positions = jnp.asarray(sample.positions + sample.displacements(0))
    light = beam(soft=False)

    def loss(aberrations: Any, tilt: Any, spacing: Any, atoms: Any) -> Any:
        functions = transmission(potential(plan, atoms, sample.occupancy, sample.u2), ENERGY, limit)
        ready = Prepared(functions, propagator(gpts, sample.extent, ENERGY, spacing, tilt), sample.extent)
        shone = eqx.tree_at(lambda b: b.coefficients, light, aberrations)
        return (patterns(places, shone, window, ready) * ring[None]).sum(axis=(1, 2)) @ jnp.arange(
            1.0, 9.0, dtype=jnp.float32
        )

    start = (jnp.zeros(25), jnp.zeros(2), jnp.asarray(sample.thickness / size.slices), positions)
    return loss, start, patterns


def forward(short: Form) -> Runs:
    import jax

    loss, start, _ = _loss(size_of(short))
    run = jax.jit(loss)
    return {"": lambda: np.asarray(run(*start))}


def gradient(short: Form) -> Runs:
    import jax

    loss, start, _ = _loss(size_of(short))
    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3)))
    return {"": lambda: np.asarray(jax.block_until_ready(run(*start))[0])}


def ronchigram(short: Form) -> Runs:
    """Thirty of a sample four slices thick, defocus moving on."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from twin.optics.probe import aperture
    from twin.sample.specimen import srtio3
    from twin.scattering.signals import patterns, prepared

    thin = srtio3((8, 8, 2))
    ready = prepared(thin.slices(256, 4), ENERGY)
    semiangle = 0.9 * 2.0 / 3.0 * 0.5 * 256 / thin.extent[0] * 0.0250793
    window = aperture(ready.gpts, ready.extent, ENERGY, semiangle)
    light = beam()
    centre = jnp.asarray([[thin.extent[0] / 2, thin.extent[1] / 2]])
    run = jax.jit(
        lambda c10, ready: patterns(
            centre, eqx.tree_at(lambda b: b.coefficients, light, light.coefficients.at[0].set(c10)), window, ready
        )[0]
    )
    return {"": lambda: np.stack([np.asarray(run(jnp.asarray(c10), ready)) for c10 in np.linspace(-100.0, 100.0, 30)])}


def potentials(short: Form) -> Runs:
    size = size_of(short)
    sample = specimen(size)
    moved = sample.displacements(0)
    return {"": lambda: np.asarray(sample.slices(size.points, size.slices, moved).array)}


def potentials_exact(short: Form) -> Runs:
    """The same in float64, every structure factor summed as it is written."""
    from twin.grid import frequencies

    size = size_of(short)
    sample = specimen(size)
    moved = sample.displacements(0)
    plan = sample.plan(size.points, size.slices, moved, np.float64)
    (kx, ky), positions = frequencies((size.points, size.points), sample.extent), sample.positions + moved
    area = sample.extent[0] * sample.extent[1]

    def slice_potential(slice_: np.ndarray) -> np.ndarray:
        spectrum = np.zeros((size.points, size.points), complex)
        for members, factor in zip(slice_, plan.factors, strict=True):
            x, y, _ = positions[members[members >= 0]].T
            sums = np.exp(-2j * np.pi * np.outer(ky, y)) @ np.exp(-2j * np.pi * np.outer(kx, x)).T
            spectrum += factor * sums
        return np.fft.ifft2(spectrum).real * size.points**2 / area

    return {"": lambda: np.stack([slice_potential(slice_) for slice_ in plan.members])}


def growth(quantity: str, short: Form) -> Runs:
    """Seconds [sizes] of patterns of probes as the ``quantity`` grows, of `SIZES`; the others stay constant."""
    import jax
    import jax.numpy as jnp

    from twin.optics.probe import aperture
    from twin.sample.specimen import srtio3
    from twin.scattering.signals import patterns, prepared
    from twin.scattering.stem.crystal import crystal_grams

    light, constant = beam(soft=False), base(short)

    def job(number: int) -> Callable[[], Any]:
        if quantity == "beams":
            slices = srtio3((1, 1, 1)).slices(64, 2)
            return lambda: crystal_grams(slices, 8, (4, 4), ENERGY, number * 1e-3, [haadf])[0][0].matrices
        points = number if quantity == "grid points along an axis" else constant.points
        count = number if quantity == "slices" else constant.slices
        ready = prepared(srtio3((*constant.cells[:2], count // 2)).slices(points, count), ENERGY)
        window = aperture(ready.gpts, ready.extent, ENERGY, SEMIANGLE, soft=False)
        places = jnp.asarray(spots(constant, number if quantity == "probes" else 4))
        run = jax.jit(lambda positions, ready: patterns(positions, light, window, ready))
        return lambda: run(places, ready)

    jobs = [job(number) for number in sizes(quantity, short)]

    def go() -> np.ndarray:
        seconds = []
        for timed_job in jobs:
            jax.block_until_ready(timed_job())
            start = time.perf_counter()
            jax.block_until_ready(timed_job())
            seconds.append(time.perf_counter() - start)
        return np.array(seconds)

    return {"": go}
