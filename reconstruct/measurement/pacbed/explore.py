"""The fit of a pattern, and what it goes on to where the pattern contradicts what is expected of it.

What is stated (pixel, semi-angle, rotation, thickness, tilt) and what cameras and beams seldom have (ellipse, smear, a part beside the crystal) has narrow
priors: a pattern that asks for something else makes them bind, and the rest of the fit wrong. Where the first fit is poor or a prior binds, all of these are
opened, with starts of their own; those that differ from what was expected stay open in the last fit, if it has the better evidence, and are told.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measurement.pacbed.checks import MAX_ERROR_RATIO, MAX_PIXEL_MISFIT, outlying_pixels
from reconstruct.measurement.pacbed.fit import Fit, Maximum, find_maxima
from reconstruct.measurement.pacbed.model import INDEX, Frame
from reconstruct.measurement.pacbed.model_error import ModelError
from reconstruct.measurement.pacbed.prior import STATED, UNSEEN, Prior, widened
from reconstruct.measurement.pacbed.search import candidates, centres, disk_ratio
from reconstruct.measurement.pacbed.shadow import find_shadow, grown

STARTS_PER_GEOMETRY, TOTAL_STARTS, LATER_STARTS = 3, 9, 3
"""Starts for each possible geometry, starts in all that are refined, and of those in another geometry than the stated one."""
POOR = 1.6
"""Times the expected error of a pattern from which a fit is looked into, and misfit of single pixels from which it is."""
BINDING = 3.0
"""Standard deviations of a prior from which it binds."""
SURPRISE, RARE_SURPRISE = 4.0, 10.0
"""Evidence (natural logarithm) that each parameter which is opened must bring: a stated one, and one of what is seldom there."""
SHADOW_ROUNDS = 3
"""Fits beside a shadow, each with what adjoins it and is dark."""
LESS = 0.8
"""Of the error of a pattern, which a fit beside a shadow must have to go on."""
TURNS = np.deg2rad(np.arange(-44.0, 46.0, 4.0))
"""Rotations beside the stated one that are tried."""


class Explored(NamedTuple):
    """The last ``fit`` with its ``maxima``, the likeliest first, the ``outliers`` [y, x] that it leaves out, the parameters that were ``opened``,
    and a ``shadow`` [y, x] that was left out."""

    fit: Fit
    maxima: list[Maximum]
    outliers: np.ndarray
    opened: tuple[str, ...]
    shadow: np.ndarray | None = None


class Searched(NamedTuple):
    """What starts are looked for in: ``electrons`` [y, x] of the ``usable`` pixels, those of the ``mask`` within ``radius`` (radian), a ``disk`` in pixels."""

    electrons: np.ndarray
    usable: np.ndarray
    mask: np.ndarray
    radius: float
    disk: float


def search_region(frame: Frame, electrons: np.ndarray, usable: np.ndarray, prior: Prior) -> Searched | None:
    """The pixels whose directions the library holds; None where they are too few."""
    library, geometry = frame.library, frame.geometry
    radius = library.reach - library.tilted - geometry.centre_error * geometry.pixel
    x, y = frame.directions(prior.mean, fine=False)
    mask = usable & (np.hypot(x, y) < radius)
    if mask.sum() < 4 * len(prior.mean):
        return None
    return Searched(electrons, usable, mask, radius, library.semiangle / geometry.pixel)


def explore(frame: Frame, data: np.ndarray, searched: Searched, prior: Prior, error: ModelError) -> Explored:
    """The fit of ``data`` [y, x] in counts."""
    best = _improved(frame, data, searched, prior, error)
    if not _fails(best):
        return best
    at = INDEX["centre.x"]
    shadow = find_shadow(searched.electrons, searched.mask, best.maxima[0].theta[at : at + 2])
    for _ in range(SHADOW_ROUNDS if shadow.any() else 0):
        part = searched._replace(mask=searched.mask & ~shadow, usable=searched.usable & ~shadow)
        beside = _improved(frame, data, part, prior, error)._replace(shadow=shadow)
        if not _fails(beside):
            return beside
        if beside.maxima[0].relative > LESS * best.maxima[0].relative:
            break
        expected = (beside.maxima[0].expected - float(frame.camera.dark)) / frame.gains
        shadow = grown(shadow, searched.electrons, expected, searched.mask)
    theta = best.maxima[0].theta
    return _opened(best, prior, _starts(frame, searched, _turned(frame, searched, theta)))


def _improved(frame: Frame, data: np.ndarray, searched: Searched, prior: Prior, error: ModelError) -> Explored:
    """The fit as stated, or one that opens what the pattern contradicts."""
    first = Fit(frame, data, searched.mask, prior, error)
    best = _without_outliers(
        first, find_maxima(first, _starts(frame, searched, _geometries(searched, prior), TOTAL_STARTS))
    )
    if not _poor(best, prior):
        return best
    theta = best.maxima[0].theta
    best = _opened(best, prior, [theta])
    return _opened(best, prior, _starts(frame, searched, _resized(frame, searched, theta))) if _fails(best) else best


def _poor(explored: Explored, prior: Prior) -> bool:
    """Whether the fit is worse than expected, or a prior binds."""
    best, error = explored.maxima[0], explored.fit.error
    z = np.abs(best.theta - prior.mean) / prior.sd
    binds = any(z[INDEX[name]] > BINDING for name in (*STATED, *UNSEEN))
    return binds or best.relative > POOR * error.relative or best.misfit > POOR


def _fails(explored: Explored) -> bool:
    best = explored.maxima[0]
    return best.relative > MAX_ERROR_RATIO * explored.fit.error.relative or best.misfit > MAX_PIXEL_MISFIT


def _opened(best: Explored, prior: Prior, starts: list[np.ndarray]) -> Explored:
    """``best``, or the fit from ``starts`` with those priors opened that the pattern contradicts, where it has more evidence."""
    old = best.fit
    everything = Fit(old.frame, old.data, old.mask, widened(old.frame, prior, (*STATED, *UNSEEN)), old.error)
    loose = find_maxima(everything, starts)[0]
    away = prior.deviation(loose.theta, loose.covariance)
    opened = tuple(name for name in (*STATED, *UNSEEN) if away[INDEX[name]] > BINDING)
    if not opened or opened == best.opened:
        return best
    fit = Fit(old.frame, old.data, old.mask, widened(old.frame, prior, opened), old.error)
    maxima = find_maxima(fit, [loose.theta])
    gain = best.maxima[0].cost - maxima[0].cost
    if gain < _needed(opened) - _needed(best.opened):
        return best
    cleaned = _without_outliers(fit, maxima)
    return cleaned._replace(opened=opened, outliers=cleaned.outliers | best.outliers)


def _needed(opened: tuple[str, ...]) -> float:
    """Evidence that parameters must bring to be opened."""
    return sum((SURPRISE if name in STATED else RARE_SURPRISE for name in opened), 0.0)


def _without_outliers(fit: Fit, maxima: list[Maximum]) -> Explored:
    """The fit without the pixels that the others contradict."""
    outliers = outlying_pixels(fit, maxima[0])
    if not outliers.any():
        return Explored(fit, maxima, outliers, ())
    cleaner = Fit(fit.frame, fit.data, fit.mask & ~outliers, fit.prior, fit.error)
    return Explored(cleaner, find_maxima(cleaner, [maximum.theta for maximum in maxima]), outliers, ())


def _starts(
    frame: Frame, searched: Searched, geometries: list[np.ndarray], total: int = LATER_STARTS
) -> list[np.ndarray]:
    """Parameters with the ``total`` likeliest thicknesses and tilts in any of the ``geometries``, likeliest first."""
    starts = []
    for parameters in geometries:
        likely = candidates(frame, parameters, searched.electrons, searched.mask, searched.radius, STARTS_PER_GEOMETRY)
        for likeness, thickness, (x, y) in likely:
            start = parameters.copy()
            start[:3] = thickness, x, y
            starts.append((likeness, start))
    starts.sort(key=lambda item: -item[0])
    return [start for _, start in starts[:total]]


def _geometries(searched: Searched, prior: Prior) -> list[np.ndarray]:
    """As stated, with the beam at every position where it may be."""
    at = INDEX["centre.x"]
    middle, reach = prior.mean[at : at + 2], 3.0 * prior.sd[at]
    positions = centres(searched.electrons, searched.usable, searched.disk)
    positions = [position for position in positions if np.abs(position - middle).max() < reach][:3]
    return [_changed(prior.mean, centre=np.array(position)) for position in (*positions, tuple(middle))]


def _resized(frame: Frame, searched: Searched, theta: np.ndarray) -> list[np.ndarray]:
    """With the disk as large as it looks on the camera: by the camera's scale, or by the semi-angle."""
    at = INDEX["centre.x"]
    ratio = disk_ratio(searched.electrons, searched.usable, searched.disk, theta[at : at + 2])
    semiangle = frame.library.semiangle
    plain = _changed(theta, semiangle=semiangle, scale=1.0)
    wide = min(ratio * semiangle, frame.library.widest)
    return [_changed(plain, scale=ratio), _changed(plain, semiangle=wide)]


def _turned(frame: Frame, searched: Searched, theta: np.ndarray) -> list[np.ndarray]:
    """The two turns of the crystal besides the stated one in which a pattern looks likest."""
    scored = []
    for turn in TURNS:
        parameters = _changed(theta, rotation=frame.geometry.rotation + turn)
        likely = candidates(frame, parameters, searched.electrons, searched.mask, searched.radius, 1)
        scored += [(likeness, turn, parameters) for likeness, *_ in likely]
    scored.sort(key=lambda item: -item[0])
    return [parameters for _, _, parameters in scored[:2]]


def _changed(theta: np.ndarray, centre: np.ndarray | None = None, **values: float) -> np.ndarray:
    changed = theta.copy()
    for name, value in values.items():
        changed[INDEX[name]] = value
    if centre is not None:
        changed[INDEX["centre.x"] : INDEX["centre.x"] + 2] = centre
    return changed
