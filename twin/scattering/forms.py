"""Which ways there are to a STEM image, what each costs, how exact it is, and which to take.

direct    one wave for every probe position: exact, and the only form whose cost grows with positions and not with the aperture;
sparse    a wave for as few probes as the image's band needs, the rest follows (`sparse`); through the whole specimen or a window of it;
prism     every f-th plane wave of the aperture, probes cut out of one period of their sum (`smatrix`): for wide fields of view;
gram      all plane waves of the aperture through the whole specimen, then images from the detectors' Gram matrices (`grams`): exact;
window    the same through a window of the specimen around the scan, as wide as the beam needs: the rest is cut off, repeated periodically;
crystal   a perfect crystal in one unit cell (`crystal`): exact.

Costs are counted in floating-point operations: 20 log2 n + 12 for each of n points of a wave and slice, and 8 for each complex product, of
which a matrix product does `DENSE` times as many in the same time.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from twin.grid import frequencies
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, probe
from twin.scattering.beams import Beams, Response, beams, cropped
from twin.scattering.crystal import zones
from twin.scattering.multislice import propagator
from twin.scattering.pieces import MEMORY
from twin.scattering.scene import Scene, window
from twin.scattering.sparse import Raster, raster

DENSE = 8.0
FLOAT32 = 1e-4
"""Relative error of what is exact but for single precision."""
MARGINS = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0)
"""Angstrom around the scan that windows are tried with."""
INTERPOLATIONS = (2, 3, 4, 5, 6, 8)


SPREADS = (3e-3, 1e-3, 3e-4)
"""How well sparse probes are to tell what lies between them, as shares of the image's rms contrast."""
CONTRAST = 2.0
"""Rms contrast over mean of an image of sharp columns, for the error stated before there is one."""


class Form(NamedTuple):
    """A way to an image: its ``name``, predicted ``cost`` (operations), stated relative ``error``, for a window its ``margin`` in angstrom (0: none),
    for PRISM its ``interpolation``, and for sparse probes the ``spread`` between them."""

    name: str
    cost: float
    error: float
    margin: float = 0.0
    interpolation: int = 1
    spread: float = 0.0


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
    memory: int | None = None,
) -> tuple[Form, ...]:
    """All forms that can make the image at all pairs of ``x`` and ``y`` (angstrom) within ``memory`` bytes, the cheapest first."""
    extent, each, gpts = scene.specimen.extent, scene.slices * scene.configurations, scene.gpts
    foci = 1 if float(beam.focal_spread) == 0.0 else focal_nodes
    probes = len(x) * len(y) * foci
    room = 0.5 * (MEMORY if memory is None else memory)
    bundle = beams(extent, beam.energy, beam.semiangle, beam.soft)
    count, seen = len(bundle.indices), _seen(gpts, extent, detectors)
    found = [Form("direct", probes * each * wave_cost(gpts), FLOAT32)]
    halves = {factor: 0.5 * min(extent) / factor for factor in INTERPOLATIONS}
    beyond = outside(scene, beam, (*MARGINS, *halves.values()))
    for factor in INTERPOLATIONS:
        some = count / factor**2
        if gpts[0] % factor or gpts[1] % factor or 8.0 * some * gpts[0] * gpts[1] > room:
            continue
        cut = (gpts[0] // factor, gpts[1] // factor)
        one = 8.0 * some * cut[0] * cut[1] + wave_cost(cut)
        cost = some * each * wave_cost(gpts) + probes * scene.configurations * one
        sides = (extent[0] / factor, extent[1] / factor)
        # what is outside is cut off, what its neighbours have there comes in instead, and both interfere near the edges
        error = 4.0 * beyond[halves[factor]] + _sampled(scene, sides, cut, detectors) + FLOAT32
        found.append(Form("prism", cost, error, interpolation=factor))
    if _gram_bytes(float(count), float(seen), len(detectors)) <= room:
        found.append(Form("gram", _gram_cost(float(count), each, gpts, float(seen), scene.configurations), FLOAT32))
    for margin in MARGINS:
        part = window(scene, x, y, margin)
        if part is None:
            break
        share = part.extent[0] * part.extent[1] / (extent[0] * extent[1])
        some = float(len(cropped(bundle, extent, part.extent).indices))
        if _gram_bytes(some, seen * share, len(detectors)) > room:
            break
        cost = _gram_cost(some, each, part.gpts, seen * share, scene.configurations)
        error = 2.0 * beyond[margin] + FLOAT32
        found.append(Form("window", cost, error, margin))
    found += _sparse(scene, beam, x, y, foci, probes, bundle, beyond)
    if scene.cell is not None and not scene.seeds:
        members, _ = zones(bundle.indices, scene.repeats[:2])
        cost = count * (scene.slices * wave_cost(scene.cell_points()) + 8.0 * members.shape[1] * seen / DENSE)
        found.append(Form("crystal", cost, FLOAT32))
    return tuple(sorted(found, key=lambda form: form.cost))


def sparse_raster(bundle: Beams, beam: Illumination, x: np.ndarray, y: np.ndarray, spread: float) -> Raster | None:
    """The probes of the sparse form; None for a source that is not a round Gaussian, or if none suffice."""
    if float(beam.tail) != 0.0 or np.any(np.asarray(beam.vibration[:2])):
        return None
    return raster(x, y, 2.0 * float(np.hypot(bundle.k[:, 0], bundle.k[:, 1]).max()), float(beam.source), spread)


def _sparse(
    scene: Scene, beam: Illumination, x: np.ndarray, y: np.ndarray, foci: int, probes: int, bundle: Beams,
    beyond: dict[float, float],
) -> list[Form]:  # fmt: skip
    """Sparse probes, through the specimen and through windows of it, wherever they are fewer than those that are wanted."""
    found, each = [], scene.slices * scene.configurations
    for spread in SPREADS:
        some = sparse_raster(bundle, beam, x, y, spread)
        if some is None or some.probes * foci >= probes:
            continue
        error, cost = CONTRAST * spread + FLOAT32, some.probes * foci * each
        found.append(Form("sparse", cost * wave_cost(scene.gpts), error, spread=spread))
        for margin in MARGINS:
            part = window(scene, some.x.at, some.y.at, margin)
            if part is None:
                break
            found.append(
                Form("sparse", cost * wave_cost(part.gpts), error + 2.0 * beyond[margin], margin, spread=spread)
            )
    return found


def _gram_cost(count: float, each: int, gpts: tuple[int, int], seen: float, configurations: int) -> float:
    return count * each * wave_cost(gpts) + configurations * 8.0 * count**2 * seen / DENSE


def _gram_bytes(count: float, seen: float, detectors: int) -> float:
    """What amplitudes behind the specimen and Gram matrices take."""
    return 8.0 * count * (seen + (detectors + 1) * count)


def _seen(gpts: tuple[int, int], extent: tuple[float, float], detectors: Sequence[Response]) -> int:
    """Beams of the grid that any detector sees, summed over detectors."""
    kx, ky = frequencies(gpts, extent)
    return sum(int(np.count_nonzero(one(kx[None, :], ky[:, None]))) for one in detectors)


def _sampled(scene: Scene, extent: tuple[float, float], gpts: tuple[int, int], detectors: Sequence[Response]) -> float:
    """Largest relative difference between the area of a detector on the beams of a part ``extent`` of a scene and on those of the whole."""
    worst = 0.0
    for one in detectors:
        areas = []
        for sides, points in ((extent, gpts), (scene.specimen.extent, scene.gpts)):
            kx, ky = frequencies(points, sides)
            weights = np.broadcast_to(one(kx[None, :], ky[:, None]), points)
            areas.append(float(np.abs(weights).sum()) / (sides[0] * sides[1]))
        worst = max(worst, abs(areas[0] / areas[1] - 1.0) if areas[1] else 0.0)
    return worst


def outside(scene: Scene, beam: Illumination, margins: Sequence[float]) -> dict[float, float]:
    """For each of ``margins`` (angstrom) the largest share of the beam, at any depth of the specimen without its atoms, that is farther than that from its
    axis along x or y.

    What a window does not hold meets the wrong atoms; it scatters all the same, so that this is a bound in practice and not an estimate.
    """
    gpts, extent = scene.gpts, scene.specimen.extent
    light = aperture(gpts, extent, beam.energy, beam.semiangle, beam.soft)
    centre = np.array([extent[0] / 2.0, extent[1] / 2.0])
    spectrum = np.fft.fft2(np.asarray(probe(beam.coefficients, centre, light, extent, beam.energy)))
    far = np.maximum(
        np.abs(np.arange(gpts[1]) * extent[0] / gpts[1] - centre[0])[None, :],
        np.abs(np.arange(gpts[0]) * extent[1] / gpts[0] - centre[1])[:, None],
    )
    order = np.argsort(far, axis=None)
    first = np.searchsorted(far.ravel()[order], margins, side="right")
    found = np.zeros(len(margins))
    for depth in np.linspace(0.0, scene.specimen.thickness, 5):
        kernel = np.asarray(propagator(gpts, extent, beam.energy, float(depth)))
        within = np.cumsum((np.abs(np.fft.ifft2(spectrum * kernel)) ** 2).ravel()[order], dtype=np.float64)
        found = np.maximum(found, [1.0 - (within[n - 1] / within[-1] if n else 0.0) for n in first])
    return dict(zip(margins, found.tolist(), strict=True))


def restated(form: Form, images: np.ndarray) -> Form:
    """``form`` with the error that it has for the contrast of ``images`` [..., y, x], now that they are known."""
    if form.name != "sparse":
        return form
    contrast = max(
        float(one.std()) / max(abs(float(one.mean())), 1e-12) for one in images.reshape(-1, *images.shape[-2:])
    )
    return form._replace(error=form.error + (contrast - CONTRAST) * form.spread)


def choose(found: Sequence[Form], tolerance: float) -> Form:
    """The cheapest form whose stated error is within ``tolerance``; ValueError if there is none."""
    good = [form for form in found if form.error <= tolerance]
    if not good:
        best = min(found, key=lambda form: form.error)
        raise ValueError(
            f"no form is exact to {tolerance:.1e}; the best, {best.name}, is to {best.error:.1e}: ask for that"
        )
    return min(good, key=lambda form: form.cost)
