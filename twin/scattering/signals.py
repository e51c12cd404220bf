"""Signals by multislice: exit waves, HRTEM images, diffraction patterns and signals reduced from them.

Everything here is exact multislice, averaged over frozen phonon configurations. A specimen is given as ``stacks``: one function for each
configuration that makes its slices, so that they need not all be in memory. Faster algorithms for STEM images are in `stem`.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from twin import checks
from twin.grid import band_limit
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, check_sampling, plane_wave, probe
from twin.optics.transfer import Imaging, focal_series
from twin.sample.specimen import Slices
from twin.scattering.batching import compiled, cut, fitting, in_pieces
from twin.scattering.multislice import intensities, multislice, propagator, together, transmission

Stacks = Sequence[Callable[[], Slices]]
Progress = Callable[[str, float], None]


class Prepared(eqx.Module):
    """Slices as waves meet them: ``transmissions`` [slices, y, x], ``kernel`` [y, x] between them, and the ``extent`` (x, y) in angstrom."""

    transmissions: Complex[Array, "slices y x"]
    kernel: Complex[Array, "y x"]
    extent: tuple[float, float] = eqx.field(static=True)

    @property
    def gpts(self) -> tuple[int, int]:
        """Points (ny, nx)."""
        return self.kernel.shape[0], self.kernel.shape[1]


def prepared(
    slices: Slices,
    energy: float,
    tilt: tuple[float, float] | Float[Array, " 2"] = (0.0, 0.0),
    dtype: Any = jnp.complex64,
    finer: int = 1,
) -> Prepared:
    """Transmission functions and propagator for electrons of ``energy`` eV and specimen ``tilt`` (x, y) in radian; ``finer`` as in `transmission`."""
    checks.require_float64()
    gpts = (slices.array.shape[-2], slices.array.shape[-1])
    limit = band_limit(gpts, slices.extent)
    functions = transmission(slices.array, energy, limit, finer).astype(dtype)
    kernel = propagator(gpts, slices.extent, energy, slices.spacing, tilt, dtype)
    return Prepared(functions, kernel, slices.extent)


@jax.jit
def _through(wave: Array, functions: Array, kernel: Array) -> Array:
    return multislice(wave, functions, kernel)


def exit_waves(
    stacks: Stacks,
    energy: float,
    tilt: tuple[float, float] = (0.0, 0.0),
    exits: tuple[int, ...] | None = None,
    progress: Progress | None = None,
) -> Iterator[Complex[np.ndarray, "depths y x"]]:
    """For each configuration the plane wave behind the first ``exits`` slices (default: behind all), 1 in vacuum.

    ``tilt`` of the specimen (x, y) in radian; the wave is given in the frame of the incident beam.
    """
    for number, make in enumerate(stacks):
        if progress is not None:
            progress(f"plane wave, configuration {number + 1} of {len(stacks)}", number / len(stacks))
        yield _exit_waves(prepared(make(), energy, tilt), energy, exits)


def _exit_waves(ready: Prepared, energy: float, exits: tuple[int, ...] | None) -> Complex[np.ndarray, "depths y x"]:
    total = ready.transmissions.shape[0]
    stops = exits or (total,)
    wave, start, exit_waves = plane_wave(ready.gpts, ready.extent, energy), 0, []
    for stop in stops:
        if not start < stop <= total:
            raise ValueError(f"exits {stops} must rise within 1 and the {total} slices there are")
        wave = _through(wave, ready.transmissions[start:stop], ready.kernel)
        exit_waves.append(np.asarray(wave))
        start = stop
    return np.stack(exit_waves)


def hrtem(
    stacks: Stacks,
    imaging: Imaging,
    c10: Float[np.ndarray, " n"],
    tilt: tuple[float, float] = (0.0, 0.0),
    progress: Progress | None = None,
) -> Float[np.ndarray, "n y x"]:
    """Images at ``c10`` (angstrom, added to the lens's own, at the exit face), averaged over configurations; 1 in vacuum."""
    total = 0.0
    for number, make in enumerate(stacks):
        if progress is not None:
            progress(f"plane wave, configuration {number + 1} of {len(stacks)}", number / len(stacks))
        ready = prepared(make(), imaging.energy, tilt)
        (wave,) = _exit_waves(ready, imaging.energy, None)
        total = total + np.asarray(focal_series(jnp.asarray(wave), ready.extent, imaging, jnp.asarray(c10)))
    return np.asarray(total) / len(stacks)


def patterns(
    positions: Float[Array | np.ndarray, "p 2"],
    illumination: Illumination,
    amplitude: Float[Array | np.ndarray, "y x"],
    ready: Prepared,
) -> Float[Array, "p y x"]:
    """Diffraction patterns in FFT order, shares of the incident beam, of probes at ``positions`` (x, y) in angstrom. Pure and differentiable.

    Coherent: source, vibration and focal spread are for who averages. ``amplitude`` as `aperture` gives it.
    """
    waves = probe(
        illumination.coefficients, positions, amplitude, ready.extent, illumination.energy, ready.kernel.dtype
    )
    return intensities(multislice(waves, ready.transmissions, ready.kernel))


def _identity(patterns: Array) -> Array:
    return patterns


class _PlainReduction(eqx.Module):
    """A function as a tree without leaves, so that its compiled code is reused."""

    function: Callable[[Array], Array] = eqx.field(static=True)

    def __call__(self, patterns: Array) -> Array:
        return self.function(patterns)


@functools.cache
def _reduced_run() -> Any:
    """Compiled once for each shape, kept between calls."""
    return compiled(lambda spots, beam, amplitude, ready, reduce: reduce(patterns(spots, beam, amplitude, ready)))


def _with_losses(
    spots: Array, beam: Illumination, amplitude: Array, ready: Prepared, reduce: Callable[[Array], Array], losses: Array
) -> Array:
    """Sums of losses [w, slices, y, x] times the waves' intensity [n, w], and beside them what ``reduce`` makes of the patterns [n, columns]."""
    waves = probe(beam.coefficients, spots, amplitude, ready.extent, beam.energy, ready.kernel.dtype)

    def through(wave: Array) -> tuple[Array, Array]:
        def step(psi: Array, slice_: tuple[Array, Array]) -> tuple[Array, Array]:
            function, potentials = slice_
            lost = (potentials * (psi.real**2 + psi.imag**2)[None]).mean(axis=(-2, -1))
            return jnp.fft.ifft2(jnp.fft.fft2(psi * function) * ready.kernel), lost

        behind, lost = jax.lax.scan(step, wave, (ready.transmissions, losses.swapaxes(0, 1)))
        return behind, lost.sum(axis=0)

    behind, lost = jax.lax.map(through, waves, batch_size=together(ready.gpts, waves.dtype))
    return jnp.concatenate([lost, reduce(intensities(behind))], axis=1)


@functools.cache
def _losses_run() -> Any:
    return compiled(_with_losses)


def scanned(
    stacks: Stacks,
    illumination: Illumination,
    positions: Float[np.ndarray, "p 2"],
    reduce: Callable[[Array], Array] = _identity,
    tilt: tuple[float, float] = (0.0, 0.0),
    focal_nodes: int = 7,
    size: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    start: int = 0,
    finer: int = 1,
    losses: Callable[[int], np.ndarray] | None = None,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Patterns of probes at ``positions`` [p, 2] (x, y) in angstrom, averaged over configurations and focal spread and reduced by ``reduce``,
    in pieces of ``size`` positions: the slice of each piece, and its values.

    ``reduce`` is linear, from [n, y, x] to [n, ...]; as an equinox Module, its arrays may change without recompilation.
    ``memory`` bounds the bytes taken (default `batching.MEMORY_BYTES`); configurations are cached while they fit and recomputed for every piece
    otherwise. ``start`` leaves out positions that are done; ``finer`` as in `prepared`. ``losses`` of a configuration's number: local potentials
    [w, slices, y, x] of inelastic scattering, whose probabilities [n, w] come before the columns of ``reduce``, which then makes [n, columns].
    ValueError if the grid cannot hold the probe.
    """
    checks.require_float64()
    first = stacks[0]()
    gpts = (first.array.shape[-2], first.array.shape[-1])
    check_sampling(
        np.asarray(illumination.coefficients), gpts, first.extent, illumination.energy, illumination.semiangle
    )
    amplitude = aperture(gpts, first.extent, illumination.energy, illumination.semiangle, illumination.soft)
    stack_bytes = first.array.size * 8 + 8 * gpts[0] * gpts[1]
    first_losses = None if losses is None else losses(0)
    stack_bytes += 0 if first_losses is None else first_losses.nbytes
    wave = 6 * 8 * gpts[0] * gpts[1]
    bound = fitting(1, memory, 0, 1)
    cached = [first_ for first_ in range(len(stacks)) if (first_ + 1) * stack_bytes <= bound // 2]
    cache: dict[int, tuple[Prepared, tuple[Array, ...]]] = {}
    fixed = max(len(cached), 1) * stack_bytes
    count = size or min(fitting(wave, memory, fixed, workers), 64)
    foci = illumination.foci(focal_nodes)
    passing = reduce if isinstance(reduce, eqx.Module) else _PlainReduction(reduce)
    run = _reduced_run() if losses is None else _losses_run()

    def configuration(number: int) -> tuple[Prepared, tuple[Array, ...]]:
        if number in cache:
            return cache[number]
        ready = prepared(first if number == 0 else stacks[number](), illumination.energy, tilt, finer=finer)
        more = () if losses is None else (jnp.asarray(first_losses if number == 0 else losses(number)),)
        if number in cached:
            cache[number] = ready, more
        return ready, more

    total = len(positions)
    parts = (
        [slice(start + piece.start, start + piece.stop) for piece in cut(total - start, count)] if start < total else []
    )
    groups = [parts[i : i + 4] for i in range(0, len(parts), 4)]
    for group in groups:
        sums: list[Any] = [0.0] * len(group)
        for number in range(len(stacks)):
            ready, more = configuration(number)
            work = (
                (jnp.asarray(positions[part]), beam, amplitude, ready, passing, *more)
                for part in group
                for beam, _ in foci
            )
            for step, result in enumerate(in_pieces(run, work, workers)):
                sums[step // len(foci)] = sums[step // len(foci)] + foci[step % len(foci)][1] * np.asarray(result)
        for part, result in zip(group, sums, strict=True):
            if progress is not None:
                progress(f"{part.stop} of {total} probes", part.stop / total)
            yield part, result / len(stacks)
