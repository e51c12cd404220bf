"""Defocus by the shadow image of an amorphous film in a convergent beam (a Ronchigram out of focus).

A weak phase object of spatial frequency q makes a contrast of sin(pi wavelength C10 q^2) at the angular frequency nu = C10 q of the image: the power
spectrum over nu has the rings sin^2(pi wavelength nu^2 / C10), and is that of an image of the film whose defocus is 1 / C10 but for units (J. A. Lin and
J. M. Cowley, Ultramicroscopy 19, 31, 1986). So the distances of its rings give |C10| = wavelength / (K pixel^2), where K nu^2 is the number of rings up to
nu in cycles a pixel.

Spherical aberration changes the defocus with the angle: C10 + C30 theta^2 across it, C10 + 3 C30 theta^2 along it. In the coordinate
u = theta sqrt(1 + C30 theta^2 / C10) the rings are those of C10 everywhere, to the third order in theta, so that the image is taken over to u
before its spectrum is. The rings do not say which sign C10 has: both are readings, that of the other sign with a larger error.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

from reconstruct.measurement.measurement import FitPlot
from reconstruct.measurement.outcome import DETERMINED, SEVERAL
from reconstruct.measurement.ronchigram.lit import Lit, lit_part, without_film
from reconstruct.measurement.thon.estimator import measure_thon
from twin.optics.electrons import wavelength as wavelength_of

ENERGY = 200e3
"""eV that stand for the unit in which the defocus of rings is fitted: its product with the wavelength counts."""
LEAST_RING = 9.0
"""Cycles across the image at which the first ring lies at least: closer rings are not resolved."""
WRONG_SIGN = 0.25
"""Share of the defocus' change across the image by which C10 is off if its sign is not that of the coordinate u."""
LINE_FOCUS = 0.99
"""Astigmatism over defocus from which the beam has a line focus near the film."""
LARGEST_CHANGE = 0.6
"""Relative change of the local defocus up to which an image is taken over to u: farther out the third order in theta is not enough, and the beam may have a
caustic."""
ROUNDS, SETTLED = 3, 3e-3
"""Times that C10 and the coordinate u are found from one another, and the relative error of C10 by the other's at which they agree."""
Tell = Callable[[str, float | None], None]


@dataclasses.dataclass(frozen=True)
class Reading:
    """C10 of one sign: ``value`` in angstrom with its rms ``error`` by counting, and the largest relative ``change`` of the defocus over the image."""

    value: float
    error: float
    change: float


@dataclasses.dataclass(frozen=True)
class ShadowImage:
    """``readings`` of C10, first that of the sign that was expected, then that of the other; ``radius`` of the disk in pixels; a ``plot`` of the rings."""

    readings: tuple[Reading, ...]
    radius: float
    plot: FitPlot


def measure_shadow(
    pattern: np.ndarray,
    pixel: float,
    energy: float,
    c30: float,
    expected: float,
    tell: Tell = lambda text, share: None,
) -> ShadowImage | str:
    """C10 but for its sign of ``pattern`` [ny, nx] in counts, ``pixel`` in radian, ``energy`` in eV, ``c30`` in angstrom, or why it is not measured.

    ``expected`` C10 (angstrom) gives the sign, and where u is tried first: of another size it changes no result, but where C30 is large the rings may stay
    unresolved.
    """
    lit = lit_part(pattern)
    if isinstance(lit, str):
        return lit
    reason = without_film(lit)
    if reason:
        return reason
    beam = _Beam(pixel, float(wavelength_of(energy)), c30)
    tell("looking for rings of the shadow image", None)
    sign = math.copysign(1.0, expected)
    result = _settled(lit, beam, sign, abs(expected))
    if isinstance(result, str):
        return result
    reading, plot = result
    own = dataclasses.replace(reading, value=sign * reading.value)
    # for the other sign u was the wrong one
    error = math.hypot(reading.error, WRONG_SIGN * reading.change * reading.value)
    return ShadowImage((own, dataclasses.replace(reading, value=-own.value, error=error)), lit.radius, plot)


class _Beam(NamedTuple):
    """``pixel`` in radian, ``wavelength`` and ``c30`` in angstrom."""

    pixel: float
    wavelength: float
    c30: float


def _settled(lit: Lit, beam: _Beam, sign: float, start: float) -> tuple[Reading, FitPlot] | str:
    """|C10| of one ``sign``, with the u of that C10: from ``start`` or, where that shows no rings, from angles as they are."""
    result = _rings(lit, beam, sign * start)
    if isinstance(result, str):
        if beam.c30 == 0.0:
            return result
        start, result = math.inf, _rings(lit, beam, math.inf)
    for _ in range(ROUNDS):
        if isinstance(result, str):
            return result
        reading, plot = result
        # what the coordinate's own C10 changes in that of its rings is less by the share that C30 has in it
        off = abs(reading.value / start - 1.0) * reading.change if math.isfinite(start) else reading.change
        if off < SETTLED:
            return dataclasses.replace(reading, error=math.hypot(reading.error, off * reading.value)), plot
        start = reading.value
        result = _rings(lit, beam, sign * start)
    return "the rings do not agree with the spherical aberration"


def _rings(lit: Lit, beam: _Beam, c10: float) -> tuple[Reading, FitPlot] | str:
    """|C10| by the rings in the coordinate u of ``c10`` (infinite: theta), or why it is not measured."""
    values, change = _taken_over(lit, beam, c10)
    side = min(values.shape)
    unit = float(wavelength_of(ENERGY))
    span = (side / LEAST_RING) ** 2 / unit
    # q = nu / C10, and rings have the phase pi wavelength^3 C30 q^4 / 2 besides
    scale = beam.pixel * lit.factor
    c30 = (beam.wavelength / unit) ** 3 * beam.c30 / (c10 * scale) ** 4
    try:
        fit = measure_thon(values, 1.0, ENERGY, c30=c30, span=span)
    except ValueError as error:
        return str(error)
    if fit.outcome not in (DETERMINED, SEVERAL) or "C10" in fit.undetermined:
        failed = [check.finding for check in fit.checks if not check.passed]
        return (failed or [fit.undetermined.get("C10", fit.outcome)])[0]
    best = next((part for part in fit.readings if part.mean[fit.index("C10")] * c10 > 0.0), fit.readings[0])
    level, first, second = (float(best.mean[fit.index(name)]) for name in ("C10", "C12a", "C12b"))
    uneven = math.hypot(first, second) / abs(level)
    if uneven > LINE_FOCUS:
        return "the beam has a line focus near the film: astigmatism is as large as defocus"
    # rings tell the mean of 1 / defocus over the azimuth, of (C10 + C12) and (C10 - C12)
    size = beam.wavelength / (unit * abs(level) * scale**2) / (1.0 - uneven**2)
    share = math.sqrt(float(best.covariance[fit.index("C10"), fit.index("C10")])) / abs(level)
    return Reading(size, share * size, change), dataclasses.replace(fit.plots[0], unit="1/pixel")


def _taken_over(lit: Lit, beam: _Beam, c10: float) -> tuple[np.ndarray, float]:
    """The image over u, NaN where it is dark or the defocus changes by more than `LARGEST_CHANGE`, and the largest change that is left."""
    curvature = beam.c30 / c10 * beam.pixel**2
    if curvature == 0.0:
        return lit.values, 0.0
    known = np.isfinite(lit.values)
    filled = np.where(known, lit.values, np.nanmean(lit.values))
    reach = min(lit.radius, math.sqrt(LARGEST_CHANGE / (3.0 * abs(curvature))))
    farthest = reach * math.sqrt(1.0 + curvature * reach**2)
    half = int(farthest / lit.factor)
    u = np.arange(-half, half + 1.0) * lit.factor
    square = u[:, None] ** 2 + u[None, :] ** 2
    inside = square < farthest**2
    # theta^2 (1 + curvature theta^2) = u^2
    theta = (np.sqrt(1.0 + 4.0 * curvature * np.where(inside, square, 0.0)) - 1.0) / (2.0 * curvature)
    stretch = np.sqrt(np.divide(theta, square, out=np.ones_like(square), where=inside & (square > 0.0)))
    places = [
        (u[:, None] * stretch - lit.y[0]) / lit.factor,
        (u[None, :] * stretch - lit.x[0]) / lit.factor,
    ]
    values = map_coordinates(filled, places, order=3, mode="nearest")
    covered = map_coordinates(known.astype(float), places, order=1, mode="constant") > 0.999
    return np.where(inside & covered, values, np.nan), 3.0 * abs(curvature) * reach**2
