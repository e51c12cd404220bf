"""STEM images from one exit wave for each probe: by multislice, or from a scattering matrix."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.grid import band_limit
from twin.optics.illumination import Illumination
from twin.optics.source import blur
from twin.scattering.batching import compiled, cut, fitting, in_pieces
from twin.scattering.multislice import intensities, propagator, transmission
from twin.scattering.signals import Progress, scanned
from twin.scattering.stem.algorithms import Form
from twin.scattering.stem.beams import Response, weights
from twin.scattering.stem.scene import Scene
from twin.scattering.stem.smatrix import ScatteringMatrix, exit_waves, scattering_matrix

OVERSAMPLING = 2
"""Transmission functions are computed on a grid this many times finer: see `transmission`."""


class _DetectorSums(eqx.Module):
    """Detectors ``maps`` [d, y, x] over patterns, and as the last column the sum of each pattern."""

    maps: Float[Array, "d y x"]

    def __call__(self, patterns: Array) -> Array:
        return jnp.concatenate(
            [jnp.einsum("pyx,dyx->pd", patterns, self.maps), patterns.sum(axis=(1, 2))[:, None]], axis=1
        )


WeightedPiece = tuple[slice, np.ndarray]
"""Where probes belong [p], and what detectors have of them [p, detectors + 1], the last column being all that came through."""


def by_probes(
    passing: Callable[..., Iterator[WeightedPiece]], scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray,
    detectors: Sequence[Response], focal_nodes: int, memory: int | None, workers: int | None, progress: Progress | None,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Images [detectors, ny, nx] of probes one by one, and the share of the beam that came through, averaged over their positions."""
    grid_x, grid_y = np.meshgrid(x, y)
    spots = np.stack([grid_x.ravel(), grid_y.ravel()], axis=-1)
    signals = np.zeros((len(spots), len(detectors) + 1), np.float32)
    for piece, part in passing(scene, beam, spots, detectors, focal_nodes, memory, workers, progress):
        signals[piece] += part
    transmitted = float(signals[:, -1].mean())
    values = signals[:, :-1].reshape(len(y), len(x), -1).transpose(2, 0, 1)
    if float(beam.source) == 0.0 and float(beam.tail) == 0.0 and not np.any(np.asarray(beam.vibration[:2])):
        return values, transmitted
    steps = [float(np.diff(along).mean()) if len(along) > 1 else 1.0 for along in (x, y)]
    gx, gy = np.fft.fftfreq(len(x), steps[0]), np.fft.fftfreq(len(y), steps[1])
    blurring = beam.spectrum(*np.broadcast_arrays(gx[None, :], gy[:, None]))
    return np.asarray(blur(jnp.asarray(values), blurring)), transmitted


def _maps(detectors: Sequence[Response], gpts: tuple[int, int], extent: tuple[float, float]) -> _DetectorSums:
    return _DetectorSums(jnp.asarray(weights(detectors, gpts, extent), jnp.float32))


def of_waves(
    scene: Scene, beam: Illumination, spots: np.ndarray, detectors: Sequence[Response], focal_nodes: int,
    memory: int | None, workers: int | None, progress: Progress | None,
) -> Iterator[WeightedPiece]:  # fmt: skip
    """A wave for every probe."""
    stacks = [functools.partial(scene.stack, number) for number in range(scene.configurations)]
    yield from scanned(
        stacks, beam, spots, _maps(detectors, scene.gpts, scene.specimen.extent), scene.tilt, focal_nodes,
        memory=memory, workers=workers, progress=progress, finer=OVERSAMPLING,
    )  # fmt: skip


def of_matrix(
    scene: Scene, beam: Illumination, spots: np.ndarray, detectors: Sequence[Response], focal_nodes: int,
    memory: int | None, workers: int | None, progress: Progress | None, form: Form,
) -> Iterator[WeightedPiece]:  # fmt: skip
    """Probes out of the interpolated scattering matrix, one configuration after the other."""
    extent, gpts = scene.specimen.extent, scene.gpts
    limit, spacing = band_limit(gpts, extent), scene.specimen.thickness / scene.slices
    kernel = propagator(gpts, extent, beam.energy, spacing, scene.tilt)
    foci, run = beam.foci(focal_nodes), _cut_run()
    for number in range(scene.configurations):
        functions = transmission(scene.stack(number).array, beam.energy, limit, OVERSAMPLING)
        matrix = scattering_matrix(
            functions, kernel, extent, beam.energy, beam.semiangle, form.interpolation, beam.soft, memory, workers
        )
        readout = _maps(detectors, matrix.window, matrix.window_extent)
        wave = 16 * math.prod(matrix.window)
        pieces = cut(len(spots), min(fitting(wave, memory, matrix.waves.nbytes, workers), 256))
        work = (
            (jnp.asarray(spots[piece]), illumination.coefficients, matrix, readout)
            for piece in pieces
            for illumination, _ in foci
        )
        for step, result in enumerate(in_pieces(run, work, workers)):
            piece, weight = pieces[step // len(foci)], foci[step % len(foci)][1]
            if progress is not None:
                share = (number + (step + 1) / (len(pieces) * len(foci))) / scene.configurations
                progress(f"PRISM, configuration {number + 1} of {scene.configurations}", share)
            yield piece, weight / scene.configurations * np.asarray(result)


def _detected(spots: Array, coefficients: Array, matrix: ScatteringMatrix, readout: _DetectorSums) -> Array:
    return readout(intensities(exit_waves(matrix, coefficients, spots)))


@functools.cache
def _cut_run() -> Any:
    return compiled(_detected)
