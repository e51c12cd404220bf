"""The maxima of the film's likelihood together with how the scan lies against the camera, which is seldom known exactly.

A small rotation is fitted. Where the fit leaves much of the signal unexplained, all rotations and mirrored scans are tried. The scale of the scan's frequencies
against the camera's angles is followed only to say how far what is stated of it is off.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.film.blocks import Prepared, block, prepare
from reconstruct.measurement.film.exposure import Spectra
from reconstruct.measurement.film.geometry import Deviation, Evaluated, deviation, evaluated, moved
from reconstruct.measurement.film.likelihood import Block, informations
from reconstruct.measurement.film.orientation import Orientation, likely_orientations, rotation_between, scan_axes
from reconstruct.measurement.film.residuals import Residuals, residuals
from reconstruct.measurement.film.search import (
    MIN_PARALLAX_PIXELS,
    SEARCHED,
    SearchState,
    find_maxima,
    maximise,
    settle,
)
from reconstruct.measurement.prior import Prior
from twin.optics.weak import THIRD

SIGNIFICANT = 4.0
"""Standard deviations from which a rotation or a scale is followed."""
MIN_ROTATION, MIN_SCALE = float(np.radians(0.6)), 0.025
"""Rotation and scale up to which plural scattering alone may seem to turn and stretch a scan."""
MAX_CHANGE = np.array([0.15, 0.06])
"""Largest changes of rotation (radian) and log scale in a step."""
ROUNDS, STEPS = 6, 8
MIN_GAIN, GOOD_GAIN = 1.0, 10.0
"""Log posterior that a change of rotation and scale must bring: each step, and the first one or another orientation."""
LARGE_ROTATION = float(np.radians(12.0))
"""Rotation beyond which the coefficients are searched again from the start."""
UNEXPLAINED, UNEXPLAINED_OF_ONE = 0.25, 0.4
"""Shares of the signal, of all exposures and of one, that other pixels do not predict, from which other orientations are tried."""
WIDER = 6.0
"""Prior standard deviations over which C10 and C12 are searched then."""
CANDIDATES = 3
MAX_LOG_SCALE = 0.1
"""Log of the ratio of the scale found and that stated, from which other orientations are tried."""
NOISY = 2.5
"""A pixel whose squared error is so many times what is expected is left out."""
MAX_NOISY = 0.2
"""Share of the pixels that may be."""


class FilmFit(NamedTuple):
    """What was fitted: ``data`` at the ``orientation`` found, with the scan's frequencies exp(``log_scale``) of those stated, and the ``maxima`` of the
    posterior.

    Of the first: its ``blocks``, what is ``evaluated`` there, the ``informations`` [exposures] of [q, n, n] and their sum with the prior's, the
    ``information`` [n, n], its `Residuals`, and how far ``rotation`` and ``scale`` are still off.
    """

    data: list[Prepared]
    orientation: Orientation
    log_scale: float
    maxima: list[SearchState]
    blocks: list[Block]
    evaluated: Evaluated
    informations: list[np.ndarray]
    information: np.ndarray
    residuals: Residuals
    rotation: Deviation
    scale: Deviation


@dataclasses.dataclass(frozen=True)
class FilmProblem:
    """``data`` as stated, ``whole`` spectra for the search, the ``prior`` and its ``precision`` [n, n] and ``centre`` [n] of all parameters."""

    data: list[Prepared]
    whole: list[Spectra]
    prior: Prior
    precision: np.ndarray
    centre: np.ndarray

    def fit(self, orientation: Orientation, reach: float = SEARCHED) -> FilmFit:
        """From all starts, at an orientation; C10 and C12 within ``reach`` prior errors."""
        data = moved(self.data, orientation)
        axes = scan_axes(orientation)
        maxima = find_maxima(data, self.whole, self.prior, self.precision, self.centre, axes, reach)
        return self.at(data, orientation, 0.0, maxima)

    def at(
        self, data: list[Prepared], orientation: Orientation, log_scale: float, maxima: list[SearchState]
    ) -> FilmFit:
        """What belongs to the first of ``maxima``."""
        parameters = maxima[0].parameters
        blocks = [block(part, parameters[:THIRD]) for part in data]
        base = evaluated(blocks, parameters)
        parts = [informations(part, parameters) for part in blocks]
        information = self.precision + np.sum([part.sum(axis=0) for part in parts], axis=0)
        rotation, scale = (deviation(name, data, base, parameters, information) for name in ("rotation", "scale"))
        left = residuals(blocks, parameters)
        return FilmFit(data, orientation, log_scale, maxima, blocks, base, parts, information, left, rotation, scale)


def fit_film(problem: FilmProblem, stated: Orientation) -> tuple[FilmFit, int]:
    """The best fit, from the ``stated`` orientation on, and the number of camera pixels that were left out since the others do not predict them."""
    fit = _best(problem, stated)
    if few_pixels(fit.data):
        return fit, 0
    noisy = _noisy(fit)
    count, share = int(sum(part.sum() for part in noisy)), max(float(part.mean()) for part in noisy)
    if not count or share > MAX_NOISY:
        return fit, 0
    quiet = dataclasses.replace(
        problem, data=[_without(part, hidden) for part, hidden in zip(problem.data, noisy, strict=True)]
    )
    data = moved(quiet.data, fit.orientation, fit.log_scale)
    states = [settle(data, state.parameters, problem.precision, problem.centre) for state in fit.maxima]
    states.sort(key=lambda state: -state.log_posterior)
    return _followed(quiet, quiet.at(data, fit.orientation, fit.log_scale, states)), count


def _noisy(fit: FilmFit) -> list[np.ndarray]:
    """Which pixels [exposures] of [pixels] the others do not predict, in their own exposure or in another: they are of one camera."""
    own = [ratio > NOISY for ratio in fit.residuals.pixels]
    places = np.concatenate([part.spectra.angles[use] for part, use in zip(fit.data, own, strict=True)])
    if not len(places):
        return own
    distances = [np.hypot(*(part.spectra.angles[:, None] - places[None]).T).min(axis=0) for part in fit.data]
    return [away < 0.5 * part.spectra.setting.width for away, part in zip(distances, fit.data, strict=True)]


def _without(data: Prepared, hidden: np.ndarray) -> Prepared:
    """Without the pixels ``hidden`` [pixels]."""
    kept, old = ~hidden, data.spectra
    return prepare(
        dataclasses.replace(old, z=old.z[:, kept], strength=old.strength[kept], angles=old.angles[kept]), data.optics
    )


def few_pixels(data: list[Prepared]) -> bool:
    """Whether there are too few camera pixels to predict one from the others."""
    return min(len(part.spectra.angles) for part in data) < MIN_PARALLAX_PIXELS


def _best(problem: FilmProblem, stated: Orientation) -> FilmFit:
    if few_pixels(problem.data):
        # nothing can be said of how they lie
        return problem.fit(stated)
    fit = _followed(problem, problem.fit(stated))
    if _settled(fit) and not abs(rotation_between(fit.orientation, stated)) > LARGE_ROTATION:
        return fit
    optics, prior = problem.data[0].optics, problem.prior
    half = 2.0 * float(np.sqrt(prior.covariance[0, 0]))
    for orientation in likely_orientations(problem.whole, optics, float(prior.mean[0]), half, CANDIDATES):
        same = orientation.mirrored == fit.orientation.mirrored
        if same and abs(rotation_between(orientation, fit.orientation)) < 0.5 * LARGE_ROTATION:
            continue
        other = problem.fit(orientation)
        if other.maxima[0].log_posterior > fit.maxima[0].log_posterior + GOOD_GAIN:
            fit = _followed(problem, other)
            if _settled(fit):
                return fit
    if _settled(fit):
        return fit
    wider = problem.fit(stated, WIDER)
    return _followed(problem, wider) if wider.maxima[0].log_posterior > fit.maxima[0].log_posterior + GOOD_GAIN else fit


def _settled(fit: FilmFit) -> bool:
    """Whether no other orientation need be tried."""
    return _explained(fit) and not abs(fit.log_scale) > MAX_LOG_SCALE


def _explained(fit: FilmFit) -> bool:
    """Whether the fit predicts the signal, of all exposures and of each, as far as their electrons say."""
    left = fit.residuals
    each = [share - 2.0 * std < UNEXPLAINED_OF_ONE for share, std in zip(left.shares, left.stds, strict=True)]
    return left.unexplained - 2.0 * left.std < UNEXPLAINED and all(each)


def _followed(problem: FilmProblem, fit: FilmFit) -> FilmFit:
    """The fit with rotation and scale followed to where the data have them, if that is far from where they are."""
    start, floor, followed = fit, np.array([MIN_ROTATION, MIN_SCALE]), np.zeros(2, bool)
    for _ in range(ROUNDS):
        value = np.array([fit.rotation.value, fit.scale.value])
        significance = np.array([fit.rotation.significance, fit.scale.significance])
        # what was followed once is followed to the end
        wanted = followed | ((significance > SIGNIFICANT) & (np.abs(value) > floor))
        step = np.where(wanted, np.clip(value, -MAX_CHANGE, MAX_CHANGE), 0.0)
        if not (wanted & (significance > 0.3)).any():
            break
        orientation = fit.orientation._replace(rotation=fit.orientation.rotation + float(step[0]))
        log_scale = fit.log_scale + float(step[1])
        data, parameters = moved(problem.data, orientation, log_scale), fit.maxima[0].parameters
        near = [block(part, parameters[:THIRD]) for part in data]
        state = maximise(near, parameters, problem.precision, problem.centre, STEPS)
        gain = state.log_posterior - fit.maxima[0].log_posterior
        if gain < (MIN_GAIN if followed.any() else GOOD_GAIN):
            break
        fit, followed = problem.at(data, orientation, log_scale, [state]), followed | wanted
    if fit is start:
        return fit
    turned = abs(rotation_between(fit.orientation, start.orientation)) > LARGE_ROTATION
    if fit.log_scale == 0.0 and (turned or len(start.maxima) > 1):
        again = problem.fit(fit.orientation)
        if again.maxima[0].log_posterior > fit.maxima[0].log_posterior - GOOD_GAIN:
            return again
    state = settle(fit.data, fit.maxima[0].parameters, problem.precision, problem.centre)
    return problem.at(fit.data, fit.orientation, fit.log_scale, [state])
