"""The fits of Thon rings to a power spectrum: a search, fits at low resolution, what is foreign found in their residual and masked, then the last fits."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.thon.fit import Fit, Prior, distinct, fit_rings, likelihood_without_rings, start_values
from reconstruct.measurement.thon.foreign import arcs, defects, narrow_rings, spots, without
from reconstruct.measurement.thon.model import C10, C12, Model
from reconstruct.measurement.thon.search import starting_points
from reconstruct.measurement.thon.spectrum import Plane, Power, coarse, used
from twin.optics.transfer import Imaging

DETECTION_THRESHOLD = 50.0
"""Gain in log likelihood over a spectrum without rings from which rings are measured: below it neighbouring ripples of noise rival them, and the
likelihood is no Gaussian (of images at 15 to 50 three quarters of the 90 % intervals held; above, nine tenths)."""
RINGING_THRESHOLD = 25.0
"""The same over a smooth spectrum that depends on the azimuth too, which has more coefficients than rings have."""
MAX_PHASE_ERROR = 0.8
"""Radian that chi may be uncertain by at the highest frequency: of more the spectrum has one broad ring, which other things have too."""
NATS = 40.0
"""First fits whose evidence is lower by more than this are not fitted to the end, but for the best of each sign."""
SEARCHED = 0.98
"""Share of the frequencies that must be left since the last search, or it is done again."""
ROUNDS = 3
"""How often what is foreign is looked for in the residual."""
WEAK = 120.0
"""Gain in log likelihood below which neighbours of the best maximum are looked for."""
RIVALS, RIVAL_FITS = (4.0, 10.0, 2.5), 6
"""Nearest, farthest and step of that, in standard deviations of the best; and how many of the points are fitted from."""
UNRESOLVED = (
    "no defocus within the span has rings that this image resolves: look at the energy, the pixel and the spherical "
    "aberration, or give a larger image"
)
Tell = Callable[[str, float | None], None]


class Given(NamedTuple):
    """What is known: ``imaging`` with every aberration that is not fitted, the ``prior`` of what is, the largest defocus ``span`` in angstrom, and whether the
    phase is ``free``."""

    imaging: Imaging
    prior: Prior
    span: float
    free: bool


class Found(NamedTuple):
    """The ``plane`` without what is foreign, the ``fits`` (likeliest first), the logarithm of a ``smooth`` spectrum without rings [m], the ``model`` of the
    frequencies [m], and what was ``masked``."""

    plane: Plane
    fits: list[Fit]
    smooth: np.ndarray
    model: Model
    masked: tuple[Defect, ...]


def find_rings(plane: Plane, given: Given, tell: Tell) -> Found | str:
    """The fits of a plane, foreign rings and spots masked; or the reason why there are none. ``tell`` hears of the progress, from a tenth to eight tenths."""
    blocks = spots(plane)
    rings = narrow_rings(without(plane, [], blocks))
    fits: list[Fit] = []
    searched = 0.0
    for attempt in range(ROUNDS):
        clean = without(plane, rings, blocks)
        first = used(coarse(clean))
        model = first_model = Model(first, given.imaging)
        tell("searching defocus and astigmatism", 0.1 + 0.2 * attempt)
        known = [fit_rings(first, model, fit.values, given.prior) for fit in fits[:2]]
        # where much was taken away since the last search, other values may have become the likeliest
        left = float(clean.weight.sum())
        if not fits or left < SEARCHED * searched:
            known += _search(first, model, given)
            searched = left
        fits = distinct(known)
        if not fits:
            return UNRESOLVED
        if first.plane.power.size != plane.power.size:
            model = Model(used(clean), given.imaging)
        more, odd = _foreign(clean, model, fits[0])
        if attempt == ROUNDS - 1 or not (more or odd.any()):
            break
        rings, blocks = rings + more, blocks | odd
    tell("fitting rings", 0.7)
    fits = distinct(fits + _rivals(first, first_model, fits, given))
    fits = distinct([fit_rings(model.power, model, fit.values, given.prior) for fit in _promising(fits)])
    without_rings, smooth = likelihood_without_rings(model.power, model)
    likeliest = max(fit.likelihood for fit in fits)
    gain = likeliest - without_rings
    # astigmatism makes one broad ring into any smooth anisotropy
    ringing = likeliest - likelihood_without_rings(model.power, model, anisotropic=True)[0]
    if gain < DETECTION_THRESHOLD or ringing < RINGING_THRESHOLD:
        gain = min(gain, ringing)
        return f"no Thon rings, or too weak: they explain the power spectrum by {max(gain, 0.0):.1f} nat better than a smooth one; record more electrons"
    best = max(fits, key=lambda fit: fit.likelihood)
    spread = float(np.linalg.eigvalsh(best.covariance[: C12.stop, : C12.stop])[-1]) ** 0.5
    if math.pi * given.imaging.wavelength * plane.highest**2 * spread > MAX_PHASE_ERROR:
        return (
            f"the power spectrum has too few rings: defocus is known to {spread / 10:.0f} nm, in which rings move by their distance; "
            "use a larger defocus, or smaller pixels"
        )
    return Found(clean, fits, smooth, model, defects(rings, blocks))


def _rivals(power: Power, model: Model, fits: list[Fit], given: Given) -> list[Fit]:
    """Fits from the likeliest points of a lattice about the best of ``fits``, `RIVALS` standard deviations from it: where rings are weak, noise makes
    neighbours of a maximum that rival it."""
    gain = fits[0].likelihood - likelihood_without_rings(power, model)[0]
    if not 0.8 * DETECTION_THRESHOLD < gain < WEAK:
        return []
    lens = slice(C10, C12.stop)
    near, far, step = RIVALS
    ticks = np.arange(-far, far + 0.5 * step, step)
    points = np.stack(np.meshgrid(ticks, ticks, ticks), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(points, axis=1)
    points = points[(distance >= near) & (distance <= far)]
    root = np.linalg.cholesky(fits[0].covariance[lens, lens])
    share, costs = power.weight / power.tied, []
    for point in points:
        values = fits[0].values.copy()
        values[lens] += root @ point
        log = model.log(values)
        costs.append(float(share @ (log + power.power * np.exp(-log))))
    fitted = []
    for at in np.argsort(costs)[:RIVAL_FITS]:
        values = fits[0].values.copy()
        values[lens] += root @ points[at]
        fitted.append(fit_rings(power, model, values, given.prior))
    return fitted


def _foreign(plane: Plane, model: Model, fit: Fit) -> tuple[list[tuple[float, float]], np.ndarray]:
    """Rings and blocks [ny, nx] that stand out from a fit."""
    expected = np.full(plane.power.shape, np.inf)
    expected[np.nonzero(plane.weight)] = np.exp(model(fit.values)[0])
    odd = spots(plane, expected)
    rings = narrow_rings(without(plane, [], odd), expected)
    return rings, odd | arcs(without(plane, rings, odd), expected)


def _search(power: Power, model: Model, given: Given) -> list[Fit]:
    """First fits from the starting points, the likeliest first."""
    psi = None if given.free else given.prior.psi
    starts = starting_points(power, given.imaging.wavelength, given.prior.c30, given.span, psi)
    fits = [
        fit_rings(power, model, start_values(start.values[0], start.values[1:], start.psi, given.prior), given.prior)
        for start in starts
    ]
    return distinct(fits)


def _promising(fits: list[Fit]) -> list[Fit]:
    """Those near the best evidence, and the best of each sign."""
    top = fits[0].evidence
    signs = [next((fit for fit in fits if fit.values[C10] * sign > 0.0), None) for sign in (-1.0, 1.0)]
    return [fit for fit in fits if fit.evidence > top - NATS or any(fit is best for best in signs)]
