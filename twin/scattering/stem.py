"""STEM images by the quickest form that is exact enough, and which that was.

direct    one wave for every probe position: exact, and the only form whose cost grows with positions and not with the aperture;
gram      all plane waves of the aperture through the whole specimen, then images from the detectors' Gram matrices (`grams`): exact;
window    the same through a window of the specimen around the scan, as wide as the beam needs: the rest is cut off, repeated periodically;
crystal   a perfect crystal in one unit cell (`crystal`): exact.

Costs are counted in floating-point operations: 20 log2 n + 12 for each of n points of a wave and slice, and 8 for each complex product, of
which a matrix product does `DENSE` times as many in the same time.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.grid import CUTOFF, band_limit, frequencies, nyquist, smooth
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, probe
from twin.optics.source import blur
from twin.sample.specimen import Slices, Specimen
from twin.scattering.beams import beams, gram, plane_waves
from twin.scattering.crystal import crystal_grams, zones
from twin.scattering.grams import Grams, image_spectrum, raster, whole
from twin.scattering.multislice import multislice, propagator, transmission
from twin.scattering.pieces import compiled, cut, fitting, in_pieces
from twin.scattering.signals import Progress, scanned

DENSE = 8.0
FLOAT32 = 1e-4
"""Relative error of what is exact but for single precision."""
FINER = 2
"""Transmission functions are made on a grid so many times finer: see `transmission`."""

Response = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A detector: weights at frequencies (kx, ky) in 1/angstrom, broadcast together."""


class Scene(eqx.Module):
    """What is scanned: ``specimen`` on a grid ``gpts`` (ny, nx) in so many ``slices``, one frozen phonon configuration for each of ``seeds`` (none: atoms
    at rest), specimen ``tilt`` (x, y) in radian. ``cell``: the unit cell of which it is ``repeats`` (x, y, z), if it is a crystal."""

    specimen: Specimen
    gpts: tuple[int, int] = eqx.field(static=True)
    slices: int = eqx.field(static=True)
    seeds: tuple[int, ...] = eqx.field(static=True, default=())
    tilt: tuple[float, float] = eqx.field(static=True, default=(0.0, 0.0))
    cell: Specimen | None = None
    repeats: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1))

    def __check_init__(self):
        if self.cell is not None:
            sides = np.array(self.cell.cell) * np.array(self.repeats)
            if not np.allclose(sides, self.specimen.cell, rtol=1e-6):
                raise ValueError(
                    f"the cell {self.cell.cell} times {self.repeats} is not the specimen's {self.specimen.cell}; give its own cell and repeats, or none"
                )
            if self.slices % self.repeats[2]:
                raise ValueError(
                    f"{self.slices} slices are not a whole number for each of {self.repeats[2]} cells in depth; choose a multiple"
                )

    @property
    def configurations(self) -> int:
        return max(len(self.seeds), 1)

    def displacements(self, number: int) -> np.ndarray | None:
        """Of configuration ``number`` [n, 3] in angstrom; None for atoms at rest."""
        return self.specimen.displacements(self.seeds[number]) if self.seeds else None

    def stack(self, number: int) -> Slices:
        return self.specimen.slices(self.gpts, self.slices, self.displacements(number))

    @property
    def cutoff(self) -> float:
        """Of the band in 1/angstrom."""
        return CUTOFF * nyquist(self.gpts, self.specimen.extent)

    @property
    def highest(self) -> tuple[float, float]:
        """Frequencies (x, y) in 1/angstrom at which the grid ends."""
        return 0.5 * self.gpts[1] / self.specimen.extent[0], 0.5 * self.gpts[0] / self.specimen.extent[1]


class Form(NamedTuple):
    """A way to an image: its ``name``, predicted ``cost`` (operations), stated relative ``error``, and for a window its ``margin`` in angstrom."""

    name: str
    cost: float
    error: float
    margin: float = 0.0


class Images(NamedTuple):
    """``array`` [detectors, ny, nx] as fractions of the incident beam, by ``form``, with all ``forms`` that were weighed."""

    array: np.ndarray
    form: Form
    forms: tuple[Form, ...]


def wave_cost(gpts: tuple[int, int]) -> float:
    """Operations for one wave and slice."""
    points = gpts[0] * gpts[1]
    return points * (20.0 * math.log2(points) + 12.0)


def forms(
    scene: Scene,
    beam: Illumination,
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
    detectors: Sequence[Response],
    focal_nodes: int = 7,
) -> tuple[Form, ...]:
    """All forms that can make this image, the cheapest first."""
    extent, each = scene.specimen.extent, scene.slices * scene.configurations
    foci = 1 if float(beam.focal_spread) == 0.0 else focal_nodes
    points = len(x) * len(y)
    seen = _seen(scene.gpts, extent, detectors)
    found = [Form("direct", points * foci * each * wave_cost(scene.gpts), FLOAT32)]
    count = len(beams(extent, beam.energy, beam.semiangle, beam.soft).indices)
    found.append(Form("gram", _gram_cost(float(count), each, scene.gpts, float(seen), scene.configurations), FLOAT32))
    for margin in (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0):
        made = _window(scene, x, y, margin)
        if made is None:
            break
        inner, gpts, _ = made
        share = inner[0] * inner[1] / (extent[0] * extent[1])
        cost = _gram_cost(count * share, each, gpts, seen * share, scene.configurations)
        error = 2.0 * outside(scene, beam, margin) + FLOAT32
        found.append(Form("window", cost, error, margin))
    if scene.cell is not None and not scene.seeds:
        gpts = _cell_points(scene)
        members, _ = zones(beams(extent, beam.energy, beam.semiangle, beam.soft).indices, scene.repeats[:2])
        found.append(
            Form(
                "crystal", count * scene.slices * wave_cost(gpts) + 8 * count * members.shape[1] * seen / DENSE, FLOAT32
            )
        )
    return tuple(sorted(found, key=lambda form: form.cost))


def _gram_cost(count: float, each: int, gpts: tuple[int, int], seen: float, configurations: int) -> float:
    return count * each * wave_cost(gpts) + configurations * 8.0 * count**2 * seen / DENSE


def _seen(gpts: tuple[int, int], extent: tuple[float, float], detectors: Sequence[Response]) -> int:
    """Beams of the grid that any detector sees, summed over detectors."""
    kx, ky = frequencies(gpts, extent)
    return sum(int(np.count_nonzero(one(kx[None, :], ky[:, None]))) for one in detectors)


def outside(scene: Scene, beam: Illumination, margin: float) -> float:
    """Largest share of the beam, at any depth of the specimen without its atoms, that is farther than ``margin`` angstrom from its axis along x or y.

    What a window does not hold meets the wrong atoms; it scatters all the same, so that this is a bound in practice and not an estimate.
    """
    gpts, extent = scene.gpts, scene.specimen.extent
    window = aperture(gpts, extent, beam.energy, beam.semiangle, beam.soft)
    centre = np.array([extent[0] / 2.0, extent[1] / 2.0])
    wave = np.asarray(probe(beam.coefficients, centre, window, extent, beam.energy))
    far_x = np.abs(np.arange(gpts[1]) * extent[0] / gpts[1] - centre[0]) > margin
    far_y = np.abs(np.arange(gpts[0]) * extent[1] / gpts[0] - centre[1]) > margin
    far = far_x[None, :] | far_y[:, None]
    spectrum = np.fft.fft2(wave)
    worst = 0.0
    for depth in np.linspace(0.0, scene.specimen.thickness, 5):
        kernel = np.asarray(propagator(gpts, extent, beam.energy, float(depth)))
        intensity = np.abs(np.fft.ifft2(spectrum * kernel)) ** 2
        worst = max(worst, float(intensity[far].sum() / intensity.sum()))
    return worst


def choose(found: Sequence[Form], tolerance: float) -> Form:
    """The cheapest form whose stated error is within ``tolerance``; ValueError if there is none."""
    good = [form for form in found if form.error <= tolerance]
    if not good:
        best = min(found, key=lambda form: form.error)
        raise ValueError(
            f"no form is exact to {tolerance:.1e}; the best, {best.name}, is to {best.error:.1e}: ask for that"
        )
    return min(good, key=lambda form: form.cost)


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
    """Images at all pairs of ``x`` and ``y`` (angstrom), by the cheapest form within ``tolerance``, or by the one named ``form``.

    Source size and vibration are exact in all forms but the direct one, whose image is blurred as if it were periodic.
    """
    found = forms(scene, beam, x, y, detectors, focal_nodes)
    named = [one for one in found if form in (None, one.name)]
    if not named:
        raise ValueError(
            f"there is no form {form!r} for this scene; there are {', '.join(sorted({one.name for one in found}))}"
        )
    taken = choose(named, math.inf if form not in (None, "window") else tolerance)
    if taken.name == "direct":
        array = _direct(scene, beam, x, y, detectors, focal_nodes, memory, workers, progress)
    else:
        parts = grams_of(scene, beam, x, y, detectors, taken, memory, workers, progress)
        array = np.stack([np.asarray(image_of(one, origin, beam, x, y)) for one, origin in parts])
    return Images(array, taken, found)


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
) -> list[tuple[Grams, tuple[float, float]]]:
    """For each detector its Gram matrices and the corner (x, y) of the cell they are for: any aberrations and source, without more multislice."""
    extent, gpts, origin = scene.specimen.extent, scene.gpts, (0.0, 0.0)
    if form.name == "crystal" and scene.cell is not None:
        points = _cell_points(scene)
        slices = scene.cell.slices(points, scene.slices // scene.repeats[2], highest=scene.highest)
        made = []
        for number, one in enumerate(detectors):
            if progress is not None:
                progress(f"crystal, detector {number + 1} of {len(detectors)}", number / len(detectors))
            made.append(
                (
                    crystal_grams(
                        slices, scene.repeats[2], scene.repeats[:2], beam.energy, beam.semiangle, one, scene.tilt,
                        beam.soft, scene.cutoff, FINER, workers,
                    ),
                    origin,
                )
            )  # fmt: skip
        return made
    window = None
    if form.name == "window":
        window = _window(scene, x, y, form.margin)
        if window is None:
            raise ValueError(
                f"a window {form.margin} angstrom around the scan is wider than the specimen; give less, or another form"
            )
        extent, gpts, origin = window
    bundle = beams(extent, beam.energy, beam.semiangle, beam.soft)
    kx, ky = frequencies(gpts, extent)
    maps = np.stack([np.broadcast_to(one(kx[None, :], ky[:, None]), gpts).ravel() for one in detectors])
    pixels = np.flatnonzero(np.any(maps != 0.0, axis=0))
    weights = maps[:, pixels].astype(np.float32)
    limit = band_limit(gpts, extent, scene.cutoff)
    sums = np.zeros((len(detectors), len(bundle.indices), len(bundle.indices)), np.complex64)
    spacing = scene.specimen.thickness / scene.slices
    kernel = propagator(gpts, extent, beam.energy, spacing, scene.tilt, cutoff=scene.cutoff)
    size = min(fitting(4 * 8 * gpts[0] * gpts[1], memory, scene.slices * gpts[0] * gpts[1] * 16, workers), 32)
    run, where = _passed_run(), jnp.asarray(pixels)
    parts = cut(len(bundle.indices), size)
    for number in range(scene.configurations):
        slices = scene.stack(number) if window is None else _inside(scene, number, extent, gpts, origin)
        functions = transmission(slices.array, beam.energy, limit, FINER)
        amplitudes = np.empty((len(bundle.indices), len(pixels)), np.complex64)
        work = ((jnp.asarray(bundle.indices[part]), functions, kernel, where) for part in parts)
        for part, one in zip(parts, in_pieces(run, work, workers), strict=True):
            amplitudes[part] = one
            if progress is not None:
                done = (number + part.stop / len(bundle.indices)) / scene.configurations
                progress(f"plane waves, configuration {number + 1} of {scene.configurations}", done)
        for place, weight in enumerate(weights):
            sums[place] += np.asarray(gram(jnp.asarray(amplitudes), jnp.asarray(weight))) / scene.configurations
    return [(whole(bundle, extent, beam.energy, one), origin) for one in sums]


def _passed(some: Array, functions: Array, kernel: Array, pixels: Array) -> Array:
    """Amplitudes [n, pixels] behind the slices of the plane waves ``some`` [n, 2]."""
    gpts = (kernel.shape[0], kernel.shape[1])
    waves = multislice(plane_waves(some, gpts), functions, kernel)
    return jnp.fft.fft2(waves).reshape(waves.shape[0], -1)[:, pixels] / (gpts[0] * gpts[1])


@functools.cache
def _passed_run() -> Any:
    return compiled(_passed)


class _Seen(eqx.Module):
    """Detectors ``maps`` [d, y, x] over patterns."""

    maps: Float[Array, "d y x"]

    def __call__(self, found: Array) -> Array:
        return jnp.einsum("pyx,dyx->pd", found, self.maps)


def _cell_points(scene: Scene) -> tuple[int, int]:
    """Points (ny, nx) on one unit cell that hold all frequencies of the scene's grid."""
    ny, nx = (smooth(math.ceil(points / count)) for points, count in zip(scene.gpts, scene.repeats[1::-1], strict=True))
    return ny, nx


Window = tuple[tuple[float, float], tuple[int, int], tuple[float, float]]


def _window(scene: Scene, x: np.ndarray, y: np.ndarray, margin: float) -> Window | None:
    """Extent (x, y), points (ny, nx) and corner (x, y) of a window ``margin`` angstrom around the scan; None if the specimen is no larger.

    In a crystal it is a whole number of cells, so that its edges fit together.
    """
    extent, points, corner = [], [], []
    for axis, along in enumerate((x, y)):
        side, count = scene.specimen.extent[axis], scene.gpts[1 - axis]
        wanted = float(np.ptp(along)) + 2.0 * margin
        if scene.cell is not None:
            wanted = math.ceil(wanted / scene.cell.cell[axis] - 1e-9) * scene.cell.cell[axis]
        if wanted > 0.95 * side:
            return None
        extent.append(wanted)
        points.append(smooth(math.ceil(count * wanted / side - 1e-9)))
        corner.append(0.5 * float(along.min() + along.max()) - 0.5 * wanted)
    return (extent[0], extent[1]), (points[1], points[0]), (corner[0], corner[1])


def _inside(
    scene: Scene, number: int, extent: tuple[float, float], gpts: tuple[int, int], origin: tuple[float, float]
) -> Slices:
    """The slices of a window: atoms whose places at rest lie in it, each moved as in the whole specimen."""
    whole_, moved = scene.specimen, scene.displacements(number)
    sides = np.array(whole_.extent)
    along = (whole_.positions[:, :2] - np.array(origin) + 1e-6) % sides[None, :]
    chosen = np.all(along < np.array(extent)[None, :], axis=1)
    places = np.concatenate([along - 1e-6, whole_.positions[:, 2:]], axis=1)[chosen]
    part = Specimen(
        places,
        whole_.u2[chosen],
        tuple(symbol for symbol, inside in zip(whole_.symbols, chosen, strict=True) if inside),
        (*extent, whole_.cell[2]),
        whole_.occupancy[chosen],
    )
    return part.slices(gpts, scene.slices, None if moved is None else moved[chosen], highest=scene.highest)


def _direct(
    scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray, detectors: Sequence[Response], focal_nodes: int,
    memory: int | None, workers: int | None, progress: Progress | None,
) -> np.ndarray:  # fmt: skip
    extent, gpts = scene.specimen.extent, scene.gpts
    kx, ky = frequencies(gpts, extent)
    maps = jnp.asarray(
        np.stack([np.broadcast_to(one(kx[None, :], ky[:, None]), gpts) for one in detectors]), jnp.float32
    )

    grid_x, grid_y = np.meshgrid(x, y)
    spots = np.stack([grid_x.ravel(), grid_y.ravel()], axis=-1)
    stacks = [lambda number=number: scene.stack(number) for number in range(scene.configurations)]
    made = scanned(
        stacks,
        beam,
        spots,
        _Seen(maps),
        scene.tilt,
        focal_nodes,
        memory=memory,
        workers=workers,
        progress=progress,
        finer=FINER,
    )
    values = np.concatenate([found for _, found in made]).reshape(len(y), len(x), -1).transpose(2, 0, 1)
    if float(beam.source) == 0.0 and float(beam.tail) == 0.0 and not np.any(np.asarray(beam.vibration[:2])):
        return values
    steps = [float(np.diff(along).mean()) if len(along) > 1 else 1.0 for along in (x, y)]
    gx, gy = np.fft.fftfreq(len(x), steps[0]), np.fft.fftfreq(len(y), steps[1])
    return np.asarray(blur(jnp.asarray(values), beam.spectrum(*np.broadcast_arrays(gx[None, :], gy[:, None]))))
