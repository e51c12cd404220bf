"""The signals as pure functions: `jax.grad`, `jax.jit` and `jax.vmap` go through them, in aberrations, tilt, coherence, thickness and positions.

They are exact multislice, averaged over the sample's frozen phonons, without counting noise; what `twin.simulate` computes, short of the quicker
algorithms of a STEM image. All need float64 (``jax.config.update("jax_enable_x64", True)``; ValueError otherwise): phases are float64, waves of ``dtype``.
Potentials are kept between calls. ``sampling`` in angstrom or ``gpts`` (ny, nx) of the waves (default: 0.1 angstrom). ``thickness`` in angstrom, at most the
sample's (its default), may lie within a slice, whose potential is then taken as even along the beam. `twin.errors.BadInput` (a ValueError) for a grid that does
not hold the signal.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from jaxtyping import Array, Complex, Float

from twin import checks
from twin.api.microscope import Microscope
from twin.api.sample import Sample
from twin.api.scan import Detectors, Scan
from twin.api.simulate import plan_of
from twin.checks import Number
from twin.detection.detectors import detect
from twin.detection.pixelated import Pixelated
from twin.grid import frequencies
from twin.optics.probe import aperture, plane_wave
from twin.optics.source import phase_quadrature, source_offsets
from twin.optics.transfer import focal_series
from twin.sample.specimen import Slices
from twin.sample.structures import Structure
from twin.scattering.multislice import intensities, multislice, propagator
from twin.scattering.signals import Prepared, patterns, prepared
from twin.scattering.stem.by_probes import OVERSAMPLING
from twin.simulation.plan.tables import BeamPlan, GridPlan, Simulation
from twin.simulation.ready import FOCI, SOURCE_NODES, Ready, make_ready
from twin.simulation.signals import pattern_of, selected_area_window
from twin.simulation.specimen import make_specimen, stacks

Gpts = tuple[int, int] | None
Depth = Number | None


def exit_wave(
    sample: Sample, microscope: Microscope, *, thickness: Depth = None, sampling: float | None = None, gpts: Gpts = None,
    dtype: Any = jnp.complex64,
) -> Complex[Array, "configurations y x"]:  # fmt: skip
    """The plane wave behind the sample for each frozen configuration (one of atoms at rest), 1 in vacuum, in the frame of the incident beam."""
    ready = _ready(sample, microscope, "exit-wave", sampling=sampling, gpts=gpts)
    return jnp.stack([_wave(ready, sample, microscope, number, thickness, dtype) for number in range(_count(sample))])


def hrtem(
    sample: Sample, microscope: Microscope, defoci: Float[Array | np.ndarray, " n"] | Sequence[float] = (0.0,), *,
    thickness: Depth = None, sampling: float | None = None, gpts: Gpts = None, dtype: Any = jnp.complex64,
) -> Float[Array, "n y x"]:  # fmt: skip
    """Images at ``defoci`` in angstrom (positive is underfocus), added to the microscope's -C10, 1 in vacuum; partial coherence by envelopes.

    >>> import jax
    >>> from twin import Microscope, Sample
    >>> sample = Sample.crystal("SrTiO3", cells=2, repeats=(1, 1))
    >>> microscope = Microscope(energy=200e3, aperture=15e-3)
    >>> with jax.enable_x64(True):
    ...     slope = jax.grad(lambda c10: hrtem(sample, microscope.at(C10=c10)).var())(50.0)
    >>> bool(slope != 0.0)
    True
    """
    ready = _ready(sample, microscope, "hrtem", sampling=sampling, gpts=gpts)
    imaging, steps = microscope.imaging(), -checks.float64(defoci)
    images = 0.0
    for number in range(_count(sample)):
        wave = _wave(ready, sample, microscope, number, thickness, dtype)
        images = images + focal_series(wave, ready.extent, imaging, steps)
    return jnp.asarray(images) / _count(sample)


def diffraction(
    sample: Sample, microscope: Microscope, *, detector: Pixelated | None = None, selected_area: float | None = None,
    thickness: Depth = None, sampling: float | None = None, gpts: Gpts = None, dtype: Any = jnp.complex64,
) -> Float[Array, "theta_y theta_x"]:  # fmt: skip
    """The diffraction pattern of a plane wave, shares of the beam, on the pixels of ``detector`` (None: the beams themselves, the direct one in the
    middle), from a ``selected_area`` of that diameter in angstrom (None: all of the sample)."""
    ready = _ready(
        sample,
        microscope,
        "diffraction",
        detectors=_one(detector),
        selected_area=selected_area,
        sampling=sampling,
        gpts=gpts,
    )
    window, total = selected_area_window(ready), 0.0
    for number in range(_count(sample)):
        wave = _wave(ready, sample, microscope, number, thickness, dtype) * window
        total = total + pattern_of(ready, intensities(wave)[None]).values[0]
    return jnp.asarray(total) / _count(sample)


def cbed(
    sample: Sample, microscope: Microscope, position: Float[Array | np.ndarray, " 2"] | tuple[Number, Number] = (0.0, 0.0), *,
    detector: Pixelated | None = None, thickness: Depth = None, sampling: float | None = None, gpts: Gpts = None,
    dtype: Any = jnp.complex64,
) -> Float[Array, "theta_y theta_x"]:  # fmt: skip
    """The convergent-beam pattern of a probe at ``position`` (x, y) in angstrom, shares of the beam, on the pixels of ``detector`` (None: the beams)."""
    spots = jnp.stack([checks.float64(part) for part in position])
    return stem4d(
        sample, microscope, spots, detector=detector, thickness=thickness, sampling=sampling, gpts=gpts, dtype=dtype
    )


ronchigram = cbed
"""A Ronchigram is the pattern of a probe, most often of a large semi-angle and out of focus."""


def stem4d(
    sample: Sample, microscope: Microscope, positions: Scan | Float[Array | np.ndarray, "*batch 2"], *,
    detector: Pixelated | None = None, thickness: Depth = None, sampling: float | None = None, gpts: Gpts = None,
    dtype: Any = jnp.complex64,
) -> Float[Array, "*batch theta_y theta_x"]:  # fmt: skip
    """Patterns of probes at ``positions`` (x, y) in angstrom, or [ny nx, ...] of a scan: shares of the beam, on the pixels of ``detector`` (None: the
    beams). Averaged over focal spread, and over the source at every position."""
    ready = _ready(sample, microscope, "cbed", detectors=_one(detector), sampling=sampling, gpts=gpts)
    return _probes(
        ready, sample, microscope, positions, lambda intensity: pattern_of(ready, intensity).values, thickness, dtype
    )


def stem(
    sample: Sample, microscope: Microscope, positions: Scan | Float[Array | np.ndarray, "*batch 2"], detectors: Detectors, *,
    thickness: Depth = None, sampling: float | None = None, gpts: Gpts = None, dtype: Any = jnp.complex64,
) -> Float[Array, "*batch channels"]:  # fmt: skip
    """Signals of ``detectors`` for probes at ``positions`` (x, y) in angstrom, or [ny nx, channels] of a scan: shares of the beam. Averaged over focal
    spread, and over the source at every position. Not differentiable in the angles of detectors: take `stem4d` and their ``weights``."""
    dot = Scan((1, 1), fov=1.0)
    ready = _ready(sample, microscope, "stem", detectors=detectors, scan=dot, sampling=sampling, gpts=gpts)
    with jax.ensure_compile_time_eval():
        kx, ky = frequencies(ready.gpts, ready.extent)
        masks = np.stack([np.asarray(weights(kx[None, :], ky[:, None])) for weights in ready.responses])
    return _probes(
        ready, sample, microscope, positions, lambda intensity: detect(intensity, jnp.asarray(masks)), thickness, dtype
    )


def _one(detector: Pixelated | None) -> Detectors | None:
    return None if detector is None else [detector]


def _count(sample: Sample) -> int:
    """Frozen configurations, 1 of atoms at rest."""
    return max(sample.phonons, 1)


def _ready(sample: Sample, microscope: Microscope, signal: str, **options: Any) -> Ready:
    """What the plan that `simulate` would compute is made of, checked; values under a trace, which have no number, are left out of it."""
    checks.require_float64()
    still = sample if checks.known(sample.tilt) else sample.at(tilt=(0.0, 0.0))
    with jax.ensure_compile_time_eval():
        plan = plan_of(still, microscope.known(), signal, **options)
        return _made_ready(msgspec.json.encode(plan), sample.structure)


@functools.lru_cache(maxsize=16)
def _made_ready(plan: bytes, structure: Structure) -> Ready:
    return make_ready(msgspec.json.decode(plan, type=Simulation), structure)


@functools.lru_cache(maxsize=8)
def _slices(plan: bytes, structure: Structure, number: int) -> Slices:
    """Of frozen configuration ``number``; ``plan`` has a grid in points."""
    wanted = msgspec.json.decode(plan, type=Simulation)
    assert wanted.grid.gpts is not None
    made = make_specimen(wanted, structure)
    return stacks(wanted, made, wanted.grid.gpts, lambda step, share: None)[number]()


def _prepared(
    ready: Ready, sample: Sample, microscope: Microscope, number: int, thickness: Depth, dtype: Any, finer: int
) -> Prepared:
    """Transmission functions and propagator, up to ``thickness``: slices beyond it are empty, and the one in which it lies counts in part."""
    bare = Simulation(
        name="potential", kind="simulate", signal="exit-wave", specimen=ready.plan.specimen,
        beam=BeamPlan(energy_keV=ready.plan.beam.energy_keV), grid=GridPlan(gpts=ready.gpts), seed=ready.plan.seed,
    )  # fmt: skip
    with jax.ensure_compile_time_eval():
        slices = _slices(msgspec.json.encode(bare), sample.structure, number)
    array = jnp.asarray(slices.array)
    if jnp.dtype(dtype) == jnp.complex128:
        array = array.astype(jnp.complex128 if jnp.iscomplexobj(array) else jnp.float64)
    if thickness is not None:
        whole = ready.made.specimen.thickness
        if checks.known(thickness) and not 0.0 < float(thickness) <= whole * (1.0 + 1e-9):
            raise ValueError(
                f"thickness is {thickness} angstrom, and the sample is {whole:.2f} thick; give a sample at least as thick"
            )
        share = jnp.clip(checks.float64(thickness) / slices.spacing - jnp.arange(len(array)), 0.0, 1.0)
        array = array * share.astype(array.real.dtype)[:, None, None]
    return prepared(slices._replace(array=array), ready.energy, _tilt(sample, microscope), dtype, finer)


def _tilt(sample: Sample, microscope: Microscope) -> Array:
    """(x, y) of the sample, less the beam's."""
    return jnp.stack([checks.float64(a) - checks.float64(b) for a, b in zip(sample.tilt, microscope.tilt, strict=True)])


def _wave(
    ready: Ready, sample: Sample, microscope: Microscope, number: int, thickness: Depth, dtype: Any
) -> Complex[Array, "y x"]:
    """The plane wave at ``thickness`` in one frozen configuration [y, x]."""
    through = _prepared(ready, sample, microscope, number, thickness, dtype, 1)
    wave = multislice(
        plane_wave(ready.gpts, ready.extent, ready.energy, dtype=dtype), through.transmissions, through.kernel
    )
    if thickness is None:
        return wave
    # the empty slices carried the wave to the sample's whole thickness: back to where the atoms end
    back = checks.float64(thickness) - ready.made.specimen.thickness
    kernel = propagator(ready.gpts, ready.extent, ready.energy, back, _tilt(sample, microscope), dtype)
    return jnp.fft.ifft2(jnp.fft.fft2(wave) * kernel)


def _probes(
    ready: Ready, sample: Sample, microscope: Microscope, positions: Scan | Array | np.ndarray,
    reduce: Callable[[Array], Array], thickness: Depth, dtype: Any,
) -> Array:  # fmt: skip
    """``reduce`` of the patterns of probes at ``positions`` [*batch, 2], averaged over configurations, focal spread and source."""
    given = checks.float64(positions.positions() if isinstance(positions, Scan) else positions)
    batch = given.shape[:-1]
    spots, shares = given.reshape(-1, 1, 2), np.ones(1)
    if not (checks.known(microscope.source) and float(microscope.source) == 0.0):
        offsets, shares = source_offsets(1.0, SOURCE_NODES)
        spots = spots + checks.float64(microscope.source) * jnp.asarray(offsets)[None]
    count = spots.shape[0]
    assert ready.illumination is not None
    beam = microscope.illumination(ready.illumination.soft)
    amplitude = aperture(ready.gpts, ready.extent, beam.energy, beam.semiangle, beam.soft)
    sharp = checks.known(microscope.focal_spread) and float(microscope.focal_spread) == 0.0
    steps, focal_shares = (np.zeros(1), np.ones(1)) if sharp else phase_quadrature(1.0, FOCI)
    total = 0.0
    for number in range(_count(sample)):
        through = _prepared(ready, sample, microscope, number, thickness, dtype, OVERSAMPLING)
        for step, share in zip(steps, focal_shares, strict=True):
            moved = beam.coefficients.at[0].add(step * checks.float64(microscope.focal_spread))
            focused = eqx.tree_at(lambda illumination: illumination.coefficients, beam, moved)
            signal = reduce(patterns(spots.reshape(-1, 2), focused, amplitude, through))
            total = total + float(share) * signal
    signals = jnp.asarray(total) / _count(sample)
    nodes = signals.reshape(count, len(shares), *signals.shape[1:])
    averaged = jnp.tensordot(jnp.asarray(shares, nodes.dtype), nodes, axes=(0, 1))
    return averaged.reshape(*batch, *averaged.shape[1:])
