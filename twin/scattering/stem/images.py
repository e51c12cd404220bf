"""STEM images by the cheapest algorithm within the tolerance (`forms`), and which one it was."""

import contextlib
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.grid import band_limit, frequencies
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.scattering.batching import compiled, cut, fitting, in_pieces
from twin.scattering.multislice import multislice, propagator, together, transmission
from twin.scattering.signals import Progress
from twin.scattering.stem.algorithms import FLOAT32_ERROR, Form, choose, forms
from twin.scattering.stem.beams import Beams, Response, beams, gram, weights
from twin.scattering.stem.by_probes import OVERSAMPLING, by_probes, of_matrix, of_waves
from twin.scattering.stem.crystal import crystal_grams
from twin.scattering.stem.grams import Grams, image_spectrum, raster, whole
from twin.scattering.stem.mode_convergence import DECISION_INTERVAL, ModeConvergence
from twin.scattering.stem.scene import Scene


class Scattered(NamedTuple):
    """Gram matrices ``grams`` of each detector, and the share of the beam that comes ``through``, averaged over the cell, or with modes over the field
    of view; by ``form``, with the modes that were needed."""

    grams: list[Grams]
    through: float
    form: Form


class Images(NamedTuple):
    """``array`` [detectors, ny, nx] as fractions of the incident beam, by ``form``, with all ``forms`` that were considered; ``through`` is the share of
    the beam that came through, averaged over probe positions (with Gram matrices over all places between them)."""

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
    form: str | Form | None = None,
    focal_nodes: int = 7,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Images:
    """Images at all pairs of ``x`` and ``y`` (angstrom), by the cheapest form within ``tolerance`` (of those called ``form``, if that is a name), or by
    ``form`` itself.

    Source size and vibration are exact except in the forms "direct" and "prism", whose images are blurred as if they were periodic.
    """
    checks.require_float64()
    _check_damped(scene, beam, detectors)
    if isinstance(form, Form):
        chosen, offered = form, (form,)
    else:
        offered = forms(scene, beam, x, y, detectors, focal_nodes, memory, form)
        chosen = choose(offered, tolerance, form)
    if chosen.name in ("direct", "prism"):
        passing = of_waves if chosen.name == "direct" else functools.partial(of_matrix, form=chosen)
        array, transmitted = by_probes(passing, scene, beam, x, y, detectors, focal_nodes, memory, workers, progress)
    else:
        scattered = grams_of(scene, beam, detectors, chosen, memory, workers, progress)
        array = np.stack([np.asarray(image_of(grams, beam, x, y)) for grams in scattered.grams])
        chosen, transmitted = scattered.form, scattered.through
    return Images(array, chosen, offered, transmitted)


def _check_damped(scene: Scene, beam: Illumination, detectors: Sequence[Response]) -> None:
    """ValueError for signals at high angles from a damped potential: they are the diffuse scattering that it leaves out."""
    if not scene.damped:
        return
    kx, ky = frequencies(scene.gpts, scene.specimen.extent)
    step = 1.0 / min(scene.specimen.extent)  # a soft edge may extend by this
    high = np.hypot(kx[None, :], ky[:, None]) > 2.0 * float(beam.semiangle) / wavelength(beam.energy) + step
    for number, detector in enumerate(detectors):
        if np.any(np.broadcast_to(detector(kx[None, :], ky[:, None]), scene.gpts)[high] != 0.0):
            raise ValueError(
                f"detector {number} reaches beyond {2e3 * float(beam.semiangle):.1f} mrad, where signals are diffuse scattering, and a damped "
                "potential leaves that out; use frozen phonons (seeds), or detectors within twice the convergence"
            )


def image_of(
    grams: Grams, beam: Illumination, x: Float[np.ndarray, " nx"], y: Float[np.ndarray, " ny"]
) -> Float[Array, "ny nx"]:
    """The image of one detector from its Gram matrices. Pure, differentiable in ``beam``."""
    spectrum = image_spectrum(grams, beam.coefficients, beam.focal_spread)
    gy = (np.arange(spectrum.shape[0]) - spectrum.shape[0] // 2) / grams.extent[1]
    gx = (np.arange(spectrum.shape[1]) - spectrum.shape[1] // 2) / grams.extent[0]
    blurring = beam.spectrum(*np.broadcast_arrays(gx[None, :], gy[:, None])).astype(spectrum.real.dtype)
    return raster(spectrum * blurring, grams.extent, x, y)


def grams_of(
    scene: Scene,
    beam: Illumination,
    detectors: Sequence[Response],
    form: Form,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Scattered:
    """Gram matrices of the detectors: images for any aberrations, focal spread and source of a ``beam`` like this without more multislice; of a form
    with modes for those beams and places that they were made for."""
    checks.require_float64()
    extent = scene.specimen.extent
    if form.name == "crystal" and scene.cell is not None:
        slices = scene.cell.slices(
            scene.cell_points(), scene.slices // scene.repeats[2], highest=scene.highest, **dict(scene.options)
        )
        report = None if progress is None else lambda share: progress("incident beams through one unit cell", share)
        grams, transmitted = crystal_grams(
            slices, scene.repeats[2], scene.repeats[:2], beam.energy, beam.semiangle, detectors, scene.tilt,
            beam.soft, scene.cutoff, OVERSAMPLING, workers, report,
        )  # fmt: skip
        return Scattered(grams, transmitted, form)
    bundle = beams(extent, beam.energy, beam.semiangle, beam.soft)
    sums, passed = _through(scene, beam, bundle, form, detectors, memory, workers, progress)
    share = bundle.amplitude**2
    if form.modes is not None:
        used_modes = form.modes.first(len(passed))
        form, waves, share = form._replace(modes=used_modes), used_modes.waves.astype(np.complex64), used_modes.share
        sums = waves.T @ sums @ waves.conj()
    return Scattered([whole(bundle, extent, beam.energy, matrix) for matrix in sums], float(share @ passed), form)


def _through(
    scene: Scene, beam: Illumination, bundle: Beams, form: Form, detectors: Sequence[Response],
    memory: int | None, workers: int | None, progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Gram matrices [detectors, m, m] of a form's modes, as many as the first configuration shows to be enough, or of all plane waves, averaged over
    configurations, and the transmitted share [m] of each."""
    waves = (np.eye(len(bundle.k)) if form.modes is None else form.modes.waves).astype(np.complex64)
    extent, gpts = scene.specimen.extent, scene.gpts
    maps = weights(detectors, gpts, extent).reshape(len(detectors), -1)
    pixels = np.flatnonzero(np.any(maps != 0.0, axis=0))
    sampled = maps[:, pixels].astype(np.float32)
    limit = band_limit(gpts, extent)
    kernel = propagator(gpts, extent, beam.energy, scene.specimen.thickness / scene.slices, scene.tilt)
    size = min(fitting(4 * 8 * gpts[0] * gpts[1], memory, scene.slices * gpts[0] * gpts[1] * 16, workers), 32)
    grid_index = (bundle.indices[:, 1] % gpts[0]) * gpts[1] + bundle.indices[:, 0] % gpts[1]
    run, fixed = _passed_run(), (jnp.asarray(grid_index), jnp.asarray(pixels))
    sums, transmitted = np.zeros((len(detectors), len(waves), len(waves)), np.complex64), np.zeros(len(waves))
    convergence = None if form.modes is None else ModeConvergence(form.modes, sampled, form.error - FLOAT32_ERROR)
    for number in range(scene.configurations):
        functions = transmission(scene.stack(number).array, beam.energy, limit, OVERSAMPLING)
        amplitudes = np.empty((len(waves), len(pixels)), np.complex64)
        pieces = _pieces(len(waves), size, convergence if number == 0 else None)
        work = ((jnp.asarray(waves[piece]), functions, kernel, *fixed) for piece in pieces)
        with contextlib.closing(in_pieces(run, work, workers)) as results:
            for piece, result in zip(pieces, results, strict=True):
                amplitudes[piece], passed = (np.asarray(array) for array in result)
                transmitted[piece] += passed
                if progress is not None:
                    done = (number + piece.stop / len(waves)) / scene.configurations
                    progress(f"{len(waves)} waves, configuration {number + 1} of {scene.configurations}", done)
                if number == 0 and convergence is not None and convergence.converged(amplitudes[: piece.stop]):
                    waves, amplitudes, transmitted = (part[: piece.stop] for part in (waves, amplitudes, transmitted))
                    sums = convergence.matrices[:, : piece.stop, : piece.stop]
                    break
            else:
                for detector, weight in enumerate(sampled):
                    sums[detector] += np.asarray(gram(jnp.asarray(amplitudes), jnp.asarray(weight)))
    return sums / scene.configurations, transmitted / scene.configurations


def _pieces(count: int, size: int, convergence: ModeConvergence | None) -> list[slice]:
    """Pieces of at most ``size`` waves that do not cross the decision intervals of `ModeConvergence`."""
    step = count if convergence is None else DECISION_INTERVAL
    starts, size = range(0, count, step), size if convergence is None else min(size, DECISION_INTERVAL // 4)
    return [
        slice(start + part.start, start + part.stop) for start in starts for part in cut(min(step, count - start), size)
    ]


def _passed(
    amplitudes_in: Array, functions: Array, kernel: Array, grid_index: Array, pixels: Array
) -> tuple[Array, Array]:
    """Amplitudes [n, pixels] behind the slices of waves of plane waves ``amplitudes_in`` [n, b] at flat ``grid_index`` [b], and the share of each [n] that
    comes through."""
    gpts = (kernel.shape[0], kernel.shape[1])
    total = gpts[0] * gpts[1]

    def single_wave(amplitudes: Array) -> tuple[Array, Array]:
        spectrum = jnp.zeros(total, amplitudes_in.dtype).at[grid_index].set(amplitudes)
        wave = multislice(total * jnp.fft.ifft2(spectrum.reshape(gpts)), functions, kernel)
        return jnp.fft.fft2(wave).ravel()[pixels] / total, (wave.real**2 + wave.imag**2).mean()

    return jax.lax.map(single_wave, amplitudes_in, batch_size=together(gpts, amplitudes_in.dtype))


@functools.cache
def _passed_run() -> Any:
    return compiled(_passed)
