"""Algorithms ("forms") for STEM images: their costs and errors, and the choice among them.

direct
    one wave for every probe position: exact, and the only form whose cost grows with positions and not with the aperture;
prism
    every f-th plane wave of the aperture, probes cut out of one period of their sum (`smatrix`): for wide fields of view;
gram
    the modes of the scan's probes (`modes`), at most as many as plane waves of the aperture, then images from the detectors'
    Gram matrices (`grams`): exact with all modes, and to the required tolerance with few;
crystal
    a perfect crystal in one unit cell (`crystal`): exact.

Costs are counted in floating-point operations: 20 log2 n + 12 for each of n points of a wave and slice, and 8 for each complex product, of
which a matrix product does `MATMUL_SPEEDUP` times as many in the same time.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from twin import checks
from twin.grid import frequencies, smooth
from twin.optics.aberrations import phase_gradient
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, probe
from twin.scattering.batching import MEMORY_BYTES
from twin.scattering.multislice import propagator
from twin.scattering.stem.beams import Beams, Response, beams, weights
from twin.scattering.stem.crystal import zones
from twin.scattering.stem.modes import Modes, modes
from twin.scattering.stem.scene import Scene

MATMUL_SPEEDUP = 8.0
FLOAT32_ERROR = 1e-4
"""Relative error of algorithms that are exact except for single precision."""
INTERPOLATIONS = (2, 3, 4, 5, 6, 8)
MODE_ERRORS = (3e-2, 1e-2, 1e-3)
"""Errors, as shares of the brightest signal, for which a number of modes is offered."""


class Form(NamedTuple):
    """A way to an image: its ``name``, predicted ``cost`` (operations), stated relative ``error``, for PRISM its ``interpolation``, and the ``modes`` that
    Gram matrices are made of (None: all plane waves): at most these, for it ends earlier where images show that the error is reached (`ModeConvergence`)."""

    name: str
    cost: float
    error: float
    interpolation: int = 1
    modes: Modes | None = None

    def __str__(self) -> str:
        waves = "" if self.modes is None else f" of {len(self.modes.waves)} modes"
        return self.name + (waves or (f" {self.interpolation}" if self.interpolation > 1 else ""))


def wave_cost(gpts: tuple[int, int]) -> float:
    """Operations for one wave and slice."""
    points = gpts[0] * gpts[1]
    return points * (20.0 * math.log2(points) + 12.0)


def forms(
    scene: Scene,
    beam: Illumination | Sequence[Illumination],
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
    detectors: Sequence[Response],
    focal_nodes: int = 7,
    memory: int | None = None,
    name: str | None = None,
) -> tuple[Form, ...]:
    """Forms that can make the image at all pairs of ``x`` and ``y`` (angstrom) within ``memory`` bytes, the cheapest first: all that are exact, and of
    the others those that are cheaper than these, or are called ``name``.

    Of several beams, which have one aperture: an image for each.
    """
    checks.require_float64()
    illuminations = [beam] if isinstance(beam, Illumination) else list(beam)
    first = illuminations[0]
    extent, slice_count, gpts = scene.specimen.extent, scene.slices * scene.configurations, scene.gpts
    probes = (
        len(x)
        * len(y)
        * sum(1 if float(illumination.focal_spread) == 0.0 else focal_nodes for illumination in illuminations)
    )
    room = 0.5 * (MEMORY_BYTES if memory is None else memory)
    bundle = beams(extent, first.energy, first.semiangle, first.soft)
    count, pixels = len(bundle.indices), _detected_pixels(gpts, extent, detectors)
    offered = [Form("direct", probes * slice_count * wave_cost(gpts), FLOAT32_ERROR)]
    if _gram_bytes(count, count, pixels, len(detectors)) <= room:
        cost = _gram_cost(count, count, slice_count, gpts, pixels, scene.configurations)
        offered.append(Form("gram", cost, FLOAT32_ERROR))
    if scene.cell is not None and not scene.seeds:
        members, _ = zones(bundle.indices, scene.repeats[:2])
        cost = count * (
            scene.slices * wave_cost(scene.cell_points()) + 8.0 * members.shape[1] * pixels / MATMUL_SPEEDUP
        )
        offered.append(Form("crystal", cost, FLOAT32_ERROR))
    dearest = min(form.cost for form in offered)
    offered += _prisms(scene, illuminations, bundle, probes, detectors, room, math.inf if name == "prism" else dearest)
    # a field F has at least F K modes in an aperture K
    lowest_rank = int(count * float(np.ptp(x) * np.ptp(y)) / (extent[0] * extent[1]))
    if name == "gram" or _gram_cost(lowest_rank, count, slice_count, gpts, pixels, scene.configurations) < dearest:
        all_modes = modes(bundle, illuminations, x, y, focal_nodes)
        # the bound of modes is for detectors with weights of one sign; with both signs the errors of both parts add up
        sign_factor = 2.0 if np.any(weights(detectors, gpts, extent) < 0.0) else 1.0
        for error in MODE_ERRORS:
            mode_basis = None if all_modes is None else all_modes.within((error - FLOAT32_ERROR) / sign_factor)
            if mode_basis is not None and _gram_bytes(len(mode_basis.waves), count, pixels, len(detectors)) <= room:
                cost = _gram_cost(len(mode_basis.waves), count, slice_count, gpts, pixels, scene.configurations)
                offered.append(Form("gram", cost, error, modes=mode_basis))
    return tuple(sorted(offered, key=lambda form: form.cost))


def _prisms(
    scene: Scene, illuminations: Sequence[Illumination], bundle: Beams, probes: int, detectors: Sequence[Response], room: float,
    dearest: float,
) -> list[Form]:  # fmt: skip
    """PRISM at every interpolation that divides the grid, fits into ``room`` and costs less than ``dearest``."""
    extent, gpts, configurations = scene.specimen.extent, scene.gpts, scene.configurations
    costs = {}
    for factor in INTERPOLATIONS:
        beam_count = len(bundle.indices) / factor**2
        if gpts[0] % factor or gpts[1] % factor or 8.0 * beam_count * gpts[0] * gpts[1] > room:
            continue
        cut = (gpts[0] // factor, gpts[1] // factor)
        position_cost = 8.0 * beam_count * cut[0] * cut[1] + wave_cost(cut)
        cost = configurations * (beam_count * scene.slices * wave_cost(gpts) + probes * position_cost)
        if cost < dearest:
            costs[factor] = cost
    if not costs:
        return []
    losses = outside(scene, _widest(illuminations, bundle.k), [0.5 * min(extent) / factor for factor in costs])
    offered = []
    for factor, loss in zip(costs, losses.values(), strict=True):
        sides, cut = (extent[0] / factor, extent[1] / factor), (gpts[0] // factor, gpts[1] // factor)
        # the probe outside is cut off and replaced by its neighbours' periodic images, and both interfere near the edges
        error = 4.0 * loss + _sampled_detectors(scene, sides, cut, detectors) + FLOAT32_ERROR
        offered.append(Form("prism", costs[factor], error, interpolation=factor))
    return offered


def _widest(illuminations: Sequence[Illumination], k: np.ndarray) -> Illumination:
    """The beam whose rays, through the frequencies ``k`` [n, 2], meet the plane of no defocus farthest from its axis."""
    if len(illuminations) == 1:
        return illuminations[0]
    length, vectors = (
        wavelength(illuminations[0].energy),
        jnp.stack([illumination.coefficients for illumination in illuminations]),
    )
    bent = jax.vmap(lambda values: phase_gradient(values, k[:, 0], k[:, 1], length))(vectors)
    return illuminations[int(jnp.argmax(jnp.max(jnp.hypot(bent[:, 0], bent[:, 1]), axis=1)))]


def _gram_cost(
    rank: int, count: int, slice_count: int, gpts: tuple[int, int], pixels: int, configurations: int
) -> float:
    """Of ``rank`` waves, and of the Gram matrix of all ``count`` plane waves from theirs."""
    products = configurations * rank**2 * pixels + (rank + count) * count * rank
    return rank * slice_count * wave_cost(gpts) + 8.0 * products / MATMUL_SPEEDUP


def _gram_bytes(rank: int, count: int, pixels: int, detectors: int) -> float:
    """What amplitudes behind the specimen and Gram matrices take."""
    return 8.0 * (rank * pixels + (detectors + 1) * count**2)


def _detected_pixels(gpts: tuple[int, int], extent: tuple[float, float], detectors: Sequence[Response]) -> int:
    """Beams of the grid that any detector sees, summed over detectors."""
    kx, ky = frequencies(gpts, extent)
    return sum(int(np.count_nonzero(detector(kx[None, :], ky[:, None]))) for detector in detectors)


def _sampled_detectors(
    scene: Scene, extent: tuple[float, float], gpts: tuple[int, int], detectors: Sequence[Response]
) -> float:
    """Largest relative difference between the area of a detector on the beams of a part ``extent`` of a scene and on those of the whole."""
    worst = 0.0
    for detector in detectors:
        areas = []
        for sides, points in ((extent, gpts), (scene.specimen.extent, scene.gpts)):
            kx, ky = frequencies(points, sides)
            weights = np.broadcast_to(detector(kx[None, :], ky[:, None]), points)
            areas.append(float(np.abs(weights).sum()) / (sides[0] * sides[1]))
        worst = max(worst, abs(areas[0] / areas[1] - 1.0) if areas[1] else 0.0)
    return worst


def outside(scene: Scene, beam: Illumination, margins: Sequence[float]) -> dict[float, float]:
    """For each of ``margins`` (angstrom) the largest share of the beam, at any depth of the specimen without its atoms, that is farther than that from its
    axis along x or y.

    What is cut off would have met atoms of the same specimen, and something else comes in instead: a bound in practice and not an estimate.
    """
    extent = scene.specimen.extent
    # four points to the finest detail that the intensity of such a probe has
    reach = (beam.semiangle / wavelength(beam.energy) * side for side in extent[::-1])
    ny, nx = (min(n, smooth(math.ceil(8.0 * (r + 2.0)))) for n, r in zip(scene.gpts, reach, strict=True))
    gpts = (ny, nx)
    amplitude = aperture(gpts, extent, beam.energy, beam.semiangle, beam.soft)
    centre = np.array([extent[0] / 2.0, extent[1] / 2.0])
    spectrum = np.fft.fft2(np.asarray(probe(beam.coefficients, centre, amplitude, extent, beam.energy)))
    distance = np.maximum(
        np.abs(np.arange(gpts[1]) * extent[0] / gpts[1] - centre[0])[None, :],
        np.abs(np.arange(gpts[0]) * extent[1] / gpts[0] - centre[1])[:, None],
    )
    order = np.argsort(distance, axis=None)
    first = np.searchsorted(distance.ravel()[order], margins, side="right")
    losses = np.zeros(len(margins))
    for depth in np.linspace(0.0, scene.specimen.thickness, 5):
        kernel = np.asarray(propagator(gpts, extent, beam.energy, float(depth)))
        within = np.cumsum((np.abs(np.fft.ifft2(spectrum * kernel)) ** 2).ravel()[order], dtype=np.float64)
        losses = np.maximum(losses, [1.0 - (within[n - 1] / within[-1] if n else 0.0) for n in first])
    return dict(zip(margins, losses.tolist(), strict=True))


def choose(offered: Sequence[Form], tolerance: float, name: str | None = None) -> Form:
    """The cheapest form within ``tolerance``, of all or of those called ``name``; algorithms exact to single precision are within any. ValueError if
    there is none."""
    named = [form for form in offered if name in (None, form.name)]
    if not named:
        raise ValueError(
            f"there is no form {name!r} for this scene; there are {', '.join(sorted({form.name for form in offered}))}"
        )
    sufficient = [
        form for form in named if form.error <= tolerance or (name is not None and form.error <= FLOAT32_ERROR)
    ]
    if not sufficient:
        best = min(named, key=lambda form: form.error)
        raise ValueError(
            f"no form is exact to {tolerance:.1e}; the best, {best.name}, is to {best.error:.1e}: ask for that"
        )
    return min(sufficient, key=lambda form: form.cost)
