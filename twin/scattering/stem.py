"""STEM images by the quickest form that is exact enough (`forms`), and which that was."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.grid import band_limit, frequencies
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.scattering.beams import Response, beams, cropped, gram, plane_waves, weights
from twin.scattering.by_probes import FINER, by_probes, of_matrix, of_waves, sparsely
from twin.scattering.crystal import crystal_grams
from twin.scattering.forms import Form, choose, forms, restated, sparse_raster
from twin.scattering.grams import Grams, image_spectrum, raster, whole
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.pieces import compiled, cut, fitting, in_pieces
from twin.scattering.pilot import best
from twin.scattering.scene import Scene, Window, inside, window
from twin.scattering.signals import Progress


class Scattered(NamedTuple):
    """Gram matrices ``grams`` of each detector, the corner ``origin`` (x, y) in angstrom of the cell they are for, and the share of the beam that
    comes ``through``, averaged over all probe positions of that cell."""

    grams: list[Grams]
    origin: tuple[float, float]
    through: float


class Images(NamedTuple):
    """``array`` [detectors, ny, nx] as fractions of the incident beam, by ``form``, with all ``forms`` that were weighed; ``through`` is the share of
    the beam that came through, averaged over probe positions."""

    array: np.ndarray
    form: Form
    forms: tuple[Form, ...]
    through: float


def stem_images(
    scene: Scene,
    beam: Illumination,
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
    detectors: Sequence[Response],
    tolerance: float = 1e-2,
    form: str | None = None,
    focal_nodes: int = 7,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Images:
    """Images at all pairs of ``x`` and ``y`` (angstrom), by the cheapest form within ``tolerance`` (`pilot.best`), or by the one named ``form``.

    Source size and vibration are exact but in the forms "direct" and "prism", whose images are blurred as if they were periodic. The error of the
    form "sparse" is stated anew when the contrast of the images is known.
    """
    _check_damped(scene, beam, detectors)
    if form is None:
        taken, found = best(scene, beam, x, y, detectors, tolerance, None, focal_nodes, memory, workers)
    else:
        found = forms(scene, beam, x, y, detectors, focal_nodes, memory)
        named = [one for one in found if one.name == form]
        if not named:
            raise ValueError(
                f"there is no form {form!r} for this scene; there are {', '.join(sorted({one.name for one in found}))}"
            )
        taken = choose(named, tolerance if form in ("window", "prism", "sparse") else math.inf)
    if taken.name in ("direct", "prism"):
        passing = of_waves if taken.name == "direct" else functools.partial(of_matrix, form=taken)
        array, through = by_probes(passing, scene, beam, x, y, detectors, focal_nodes, memory, workers, progress)
    elif taken.name == "sparse":
        probes = sparse_raster(
            beams(scene.specimen.extent, beam.energy, beam.semiangle, beam.soft), beam, x, y, taken.spread
        )
        assert probes is not None
        part = window(scene, probes.x.at, probes.y.at, taken.margin) if taken.margin else None
        array, through = sparsely(probes, part, scene, beam, detectors, focal_nodes, memory, workers, progress)
    else:
        made = grams_of(scene, beam, x, y, detectors, taken, memory, workers, progress)
        array = np.stack([np.asarray(image_of(one, made.origin, beam, x, y)) for one in made.grams])
        through = made.through
    return Images(array, restated(taken, array), found, through)


def _check_damped(scene: Scene, beam: Illumination, detectors: Sequence[Response]) -> None:
    """ValueError for signals at high angles from a damped potential: they are the diffuse scattering that it leaves out."""
    if not scene.damped:
        return
    kx, ky = frequencies(scene.gpts, scene.specimen.extent)
    step = 1.0 / min(scene.specimen.extent)  # what a soft edge may reach beyond
    high = np.hypot(kx[None, :], ky[:, None]) > 2.0 * float(beam.semiangle) / wavelength(beam.energy) + step
    for number, one in enumerate(detectors):
        if np.any(np.broadcast_to(one(kx[None, :], ky[:, None]), scene.gpts)[high] != 0.0):
            raise ValueError(
                f"detector {number} reaches beyond {2e3 * float(beam.semiangle):.1f} mrad, where signals are diffuse scattering, and a damped "
                "potential leaves that out; use frozen phonons (seeds), or detectors within twice the convergence"
            )


def image_of(
    grams: Grams,
    origin: tuple[float, float],
    beam: Illumination,
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
) -> Float[Array, "ny nx"]:
    """The image of one detector from its Gram matrices, whose cell begins at ``origin`` (x, y) in angstrom. Pure, differentiable in ``beam``."""
    spectrum = image_spectrum(grams, beam.coefficients, beam.focal_spread)
    gy = (np.arange(spectrum.shape[0]) - spectrum.shape[0] // 2) / grams.extent[1]
    gx = (np.arange(spectrum.shape[1]) - spectrum.shape[1] // 2) / grams.extent[0]
    left = beam.spectrum(*np.broadcast_arrays(gx[None, :], gy[:, None])).astype(spectrum.real.dtype)
    return raster(spectrum * left, grams.extent, x - origin[0], y - origin[1])


def grams_of(
    scene: Scene,
    beam: Illumination,
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
    detectors: Sequence[Response],
    form: Form,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Scattered:
    """Gram matrices of the detectors: images for any aberrations, focal spread and source without more multislice."""
    part: Window | None = Window(scene.specimen.extent, scene.gpts, (0.0, 0.0))
    if form.name == "crystal" and scene.cell is not None:
        points = scene.cell_points()
        slices = scene.cell.slices(
            points, scene.slices // scene.repeats[2], highest=scene.highest, **dict(scene.options)
        )
        told = None if progress is None else lambda share: progress("incident beams through one unit cell", share)
        grams, through = crystal_grams(
            slices, scene.repeats[2], scene.repeats[:2], beam.energy, beam.semiangle, detectors, scene.tilt,
            beam.soft, scene.cutoff, FINER, workers, told,
        )  # fmt: skip
        return Scattered(grams, part.corner, through)
    if form.name == "window":
        part = window(scene, x, y, form.margin)
        if part is None:
            raise ValueError(
                f"a window {form.margin} angstrom around the scan is wider than the specimen; give less, or another form"
            )
    extent, gpts, origin = part
    bundle = beams(scene.specimen.extent, beam.energy, beam.semiangle, beam.soft)
    if form.name == "window":
        bundle = cropped(bundle, scene.specimen.extent, extent)
    finer = scene.specimen.extent if form.name == "window" else None
    maps = weights(detectors, gpts, extent, finer).reshape(len(detectors), -1)
    pixels = np.flatnonzero(np.any(maps != 0.0, axis=0))
    seen = maps[:, pixels].astype(np.float32)
    limit = band_limit(gpts, extent, scene.cutoff)
    sums = np.zeros((len(detectors), len(bundle.indices), len(bundle.indices)), np.complex64)
    spacing = scene.specimen.thickness / scene.slices
    kernel = propagator(gpts, extent, beam.energy, spacing, scene.tilt, cutoff=scene.cutoff)
    size = min(fitting(4 * 8 * gpts[0] * gpts[1], memory, scene.slices * gpts[0] * gpts[1] * 16, workers), 32)
    run, where, through = _passed_run(), jnp.asarray(pixels), 0.0
    share = bundle.amplitude**2 / (np.sum(bundle.amplitude**2) * scene.configurations)
    pieces = cut(len(bundle.indices), size)
    for number in range(scene.configurations):
        slices = inside(scene, number, part) if form.name == "window" else scene.stack(number)
        functions = transmission(slices.array, beam.energy, limit, FINER)
        amplitudes = np.empty((len(bundle.indices), len(pixels)), np.complex64)
        work = ((jnp.asarray(bundle.indices[piece]), functions, kernel, where) for piece in pieces)
        for piece, one in zip(pieces, in_pieces(run, work, workers), strict=True):
            amplitudes[piece], passed = (np.asarray(array) for array in one)
            through += float(share[piece] @ passed)
            if progress is not None:
                done = (number + piece.stop / len(bundle.indices)) / scene.configurations
                progress(f"plane waves, configuration {number + 1} of {scene.configurations}", done)
        for place, weight in enumerate(seen):
            sums[place] += np.asarray(gram(jnp.asarray(amplitudes), jnp.asarray(weight))) / scene.configurations
    return Scattered([whole(bundle, extent, beam.energy, one) for one in sums], origin, through)


def _passed(some: Array, functions: Array, kernel: Array, pixels: Array) -> tuple[Array, Array]:
    """Amplitudes [n, pixels] behind the slices of the plane waves ``some`` [n, 2], and the share of each [n] that comes through."""
    gpts = (kernel.shape[0], kernel.shape[1])
    waves = multislice(plane_waves(some, gpts), functions, kernel)
    amplitudes = jnp.fft.fft2(waves).reshape(waves.shape[0], -1)[:, pixels] / (gpts[0] * gpts[1])
    return amplitudes, (waves.real**2 + waves.imag**2).mean(axis=(1, 2))


@functools.cache
def _passed_run() -> Any:
    return compiled(_passed)
