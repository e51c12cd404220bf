"""The signals of a simulation, piece by piece: columns for each probe, or for each frozen configuration of a plane wave."""

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from twin.detection.detectors import detect
from twin.detection.pixelated import Pattern, binned, crop, resample
from twin.errors import BadInput
from twin.grid import frequencies
from twin.optics.averaging import averaged_image
from twin.optics.transfer import focal_series, refocused
from twin.scattering.multislice import intensities
from twin.scattering.signals import exit_waves, scanned
from twin.scattering.stem.by_probes import OVERSAMPLING
from twin.scattering.stem.images import stem_images
from twin.simulation.losses import loss_columns, loss_potentials_of, losses_beside
from twin.simulation.plan.tables import PROBES
from twin.simulation.ready import FOCI, Ready
from twin.simulation.specimen import stacks

Tell = Callable[[str, float | None], None]


def pieces(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """What is still to compute: where a piece begins, and the piece [n, columns]."""
    if ready.plan.signal in PROBES:
        yield from _probes(ready, start, tell)
    else:
        yield from _waves(ready, start, tell)


def _probes(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """Signals of convergent beams: probe by probe, or a STEM image by configuration in a form that is quicker."""
    if not ready.direct:
        yield from _images(ready, start, tell)
        return
    reduce = _reduce(ready)
    compute = ready.plan.compute
    beside = losses_beside(ready)
    assert ready.illumination is not None
    signals = scanned(
        stacks(ready.plan, ready.made, ready.gpts, tell), ready.illumination, ready.positions,
        lambda patterns: _with_flux(reduce(patterns), patterns), ready.tilt, FOCI, ready.size,
        int(compute.memory_MB * 1e6), compute.workers, lambda _, share: tell("probes through the specimen", share), start,
        OVERSAMPLING, losses=loss_potentials_of(ready) if beside else None,
    )  # fmt: skip
    maps = loss_columns(ready, tell) if ready.windows and not beside else None
    count, images = len(ready.windows) if beside else 0, len(ready.responses)
    for part, piece in signals:
        own = piece[:, :count] if maps is None else maps[part]
        yield part.start, np.concatenate([piece[:, count : count + images], own, piece[:, count + images :]], axis=1)


def _images(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """Images [pixels, channels] of one frozen configuration after the other, by plane waves; the flux beside every pixel is their mean."""
    scene, compute = ready.scene, ready.plan.compute
    assert scene is not None
    assert ready.form is not None
    assert ready.illumination is not None
    pixels, count = len(ready.positions), scene.configurations
    maps = loss_columns(ready, tell)
    if not ready.responses:
        yield 0, np.append(maps, np.ones((pixels, 1), maps.dtype), axis=1)
        return
    for number in range(start // pixels, count):
        configuration = dataclasses.replace(scene, seeds=scene.seeds[number : number + 1])

        def report(_: str, share: float, number: int = number) -> None:
            tell("plane waves through the specimen", (number + share) / count)

        made = stem_images(
            configuration, ready.illumination, *ready.axes, ready.responses, compute.tolerance, ready.form, FOCI,
            int(compute.memory_MB * 1e6), compute.workers, report,
        )  # fmt: skip
        columns = np.append(made.array.reshape(len(ready.responses), pixels).T, maps, axis=1)
        yield number * pixels, np.append(columns, np.full((pixels, 1), made.through, columns.dtype), axis=1)


def _reduce(ready: Ready) -> Callable[[jax.Array], jax.Array]:
    """Patterns [n, y, x] in FFT order to the columns [n, columns] that are kept: those of detectors, then a camera's."""
    masks = None
    if ready.responses:
        kx, ky = frequencies(ready.gpts, ready.extent)
        masks = jnp.asarray(np.stack([weights(kx[None, :], ky[:, None]) for weights in ready.responses]))

    def reduce(patterns: jax.Array) -> jax.Array:
        columns = [jnp.zeros((patterns.shape[0], 0), patterns.dtype)]
        columns += [] if masks is None else [detect(patterns, masks)]
        if ready.plan.patterned:
            columns.append(pattern_of(ready, patterns).values.reshape(patterns.shape[0], -1))
        return jnp.concatenate(columns, axis=1)

    return reduce


def pattern_of(ready: Ready, patterns: jax.Array) -> Pattern:
    """Patterns in FFT order as the camera has them, or the beams themselves."""
    if ready.pixels is not None:
        return resample(crop(patterns, ready.extent, ready.wavelength), ready.pixels)
    kept = crop(patterns, ready.extent, ready.wavelength, ready.reach)
    factor = max((getattr(detector, "bin", 1) for detector in ready.plan.detectors.values()), default=1)
    return binned(kept, factor) if factor > 1 else kept


def _with_flux(columns: jax.Array, patterns: jax.Array) -> jax.Array:
    """``columns`` and, as the last, the sum of the whole pattern."""
    return jnp.concatenate([columns, patterns.sum(axis=(-2, -1))[:, None].astype(columns.dtype)], axis=1)


def _waves(ready: Ready, start: int, tell: Tell) -> Iterator[tuple[int, np.ndarray]]:
    """Signals of a plane wave, one frozen configuration after the other."""
    makers = stacks(ready.plan, ready.made, ready.gpts, tell)
    for number in range(start, len(makers)):
        wave = next(iter(exit_waves([makers[number]], ready.energy, ready.tilt)))[-1]
        flux = float(np.mean(np.abs(wave) ** 2))
        columns = _of_wave(ready, wave).reshape(1, -1)
        yield number, np.append(columns, np.full((1, 1), flux, columns.dtype), axis=1)
        tell("waves through the specimen", (number + 1) / len(makers))


def _of_wave(ready: Ready, wave: np.ndarray) -> np.ndarray:
    """The signal of one exit wave [y, x]."""
    plan = ready.plan
    if plan.signal == "exit-wave":
        return wave
    if plan.signal == "diffraction":
        window = selected_area_window(ready)
        return np.asarray(pattern_of(ready, intensities(jnp.asarray(wave * window))[None]).values[0])
    assert ready.imaging is not None
    defoci = plan.lens.defoci if plan.lens is not None and plan.lens.defoci is not None else [0.0]
    steps = -np.asarray(defoci, dtype=np.float64)
    if plan.lens is not None and plan.lens.coherence == "averaged":
        try:
            images = [averaged_image(wave, ready.extent, refocused(ready.imaging, jnp.asarray(step))) for step in steps]
        except ValueError as error:
            problem = str(error).partition(";")[0]
            cure = 'Use coherence = "envelopes", a smaller lens.aperture_mrad, or smaller spreads.'
            raise BadInput("lens.coherence", problem, cure) from None
        return np.stack([np.asarray(image) for image in images])
    return np.asarray(focal_series(wave, ready.extent, ready.imaging, steps))


def selected_area_window(ready: Ready) -> np.ndarray:
    """Amplitude [y, x] of the selected-area aperture in the middle of the cell, mean square 1; its edge is one point wide. 1 without one."""
    (ny, nx), lens = ready.gpts, ready.plan.lens
    if lens is None or lens.selected_area is None:
        return np.ones((1, 1), dtype=np.float32)
    x, y = (np.arange(nx) / nx - 0.5) * ready.extent[0], (np.arange(ny) / ny - 0.5) * ready.extent[1]
    step = max(ready.extent[0] / nx, ready.extent[1] / ny)
    disc = np.clip((0.5 * lens.selected_area - np.hypot(x[None, :], y[:, None])) / step + 0.5, 0.0, 1.0)
    return (disc / np.sqrt(np.mean(disc**2))).astype(np.float32)


def columns_shape(ready: Ready) -> tuple[int, ...]:
    """Shape of the columns of a piece, without the last; those of patterns beside a STEM image come after its channels."""
    plan = ready.plan
    if plan.signal == "stem":
        return (len(ready.channels) + (math.prod(pattern_shape(ready)) if plan.patterned else 0),)
    if plan.signal == "hrtem":
        return (1 if plan.lens is None or plan.lens.defoci is None else len(plan.lens.defoci), *ready.gpts)
    if plan.signal == "exit-wave":
        return ready.gpts
    return pattern_shape(ready)


def pattern_shape(ready: Ready) -> tuple[int, ...]:
    """Pixels (ny, nx) of a pattern."""
    pattern = jax.eval_shape(
        lambda patterns: pattern_of(ready, patterns).values, jax.ShapeDtypeStruct((1, *ready.gpts), "float32")
    )
    return pattern.shape[1:]
