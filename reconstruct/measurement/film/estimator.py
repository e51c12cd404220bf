"""Aberrations to third order from scans of Ronchigrams over an amorphous film whose atoms are not known.

The likelihood is that of `film`: linear in the film, which is integrated out; thickness, power spectrum and noise are fitted along. Starts come
from `parallax`; from each the likelihood is maximised by scoring, lowest scan frequencies first, since they determine large
defocus. Errors are those of `robust_covariance`: curvature by Fisher's information, spread of the score from frequency to frequency as the data have it,
so what the weak linear model lacks (mostly plural scattering) widens them.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from reconstruct.inference.robust_covariance import covariance
from reconstruct.measurement.film.blocks import Prepared, block, prepare
from reconstruct.measurement.film.checks import fit_checks
from reconstruct.measurement.film.exposure import Exposure, Optics, Spectra, spectra
from reconstruct.measurement.film.fitting import FilmFit, FilmProblem, fit_film
from reconstruct.measurement.film.likelihood import Block, expected_power, informations, scores
from reconstruct.measurement.film.orientation import Orientation, rotation_between, scan_axes
from reconstruct.measurement.film.search import (
    log_posterior_without_film,
    prior_precision,
    sum_exposures,
)
from reconstruct.measurement.measurement import Component, FitPlot, Measurement, withhold
from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.prior import COEFFICIENTS, DETERMINED_SHARE, Prior
from twin import checks
from twin.optics.aberrations import NAMES
from twin.optics.probe import reach
from twin.optics.weak import THIRD

KIND = "amorphous film"
MAX_NOISE = 1.4
"""Noise over that of counting, or its inverse, beyond which the gain is contradicted."""
MAX_PULL = 4.0
"""Prior standard deviations beyond which the data contradict the prior."""
WINDOW_EXCESS = (1.0 + 2.0 / 36.0) ** 2
"""Variance of a sum over scan frequencies seen through a Hann window, every other along x and y, over that of independent ones: neighbours have 1/6 of their
amplitude in common."""
DETECTION_THRESHOLD = 50.0
"""Log likelihood by which a film must be likelier than none: twice what all that is fitted takes from noise alone."""


def fit_amorphous(exposures: Sequence[Exposure], optics: Optics, prior: Prior, rotation: float = 0.0) -> Measurement:
    """COEFFICIENTS and "thickness" (angstrom) from ``exposures`` of one film, in any order and wherever on the film; C10 is at its entrance face.

    The scan's x points ``rotation`` (radian, towards +y) from the camera's x; a few degrees more are fitted. The prior's widths say how far off a start may be:
    C10 and C12 are searched over twice of them, and farther where nothing there fits. ValueError for no exposures, or exposures without a lit pixel; what they
    do not determine keeps its prior and is named. Where a check fails (`checks`), nothing is determined.
    """
    checks.require_float64()
    if not exposures:
        raise ValueError("no exposures: give at least one scan of Ronchigrams")
    data = [prepare(spectra(exposure, optics), optics) for exposure in exposures]
    precision, centre = prior_precision(prior)
    whole = [
        prepared.spectra if prepared.spectra.setting.periodic else spectra(exposure, optics, dense=True)
        for prepared, exposure in zip(data, exposures, strict=True)
    ]
    stated = Orientation(rotation)
    fit, noisy = fit_film(FilmProblem(data, whole, prior, precision, centre), stated)
    maxima, data = fit.maxima, fit.data
    names = (*COEFFICIENTS, "thickness")
    prior_stds = np.concatenate([np.sqrt(np.diag(prior.covariance)), [prior.thickness[1]]])
    notes = [note for prepared in data for note in prepared.spectra.notes]
    if maxima[0].log_posterior - log_posterior_without_film(data, precision, centre) < DETECTION_THRESHOLD:
        reason = "no film can be distinguished from counting noise in these exposures"
        # as wide as the probe may have been
        widest = prior.mean.copy()
        widest[0] += np.copysign(2.0 * prior_stds[0], prior.mean[0])
        notes += _width_notes(data, widest)
        electrons = float(sum(exposure.setting.electrons for exposure in exposures))
        return Measurement(
            KIND,
            names,
            ("angstrom",) * len(names),
            (unseen(prior),),
            dict.fromkeys(names, reason),
            1.0,
            electrons,
            (),
            tuple(notes),
        )
    turn = float(np.degrees(rotation_between(fit.orientation, stated)))
    components = _components(fit, precision, turn != 0.0)
    errors = np.sqrt(np.diag(components[0].covariance))
    notes += _width_notes(data, maxima[0].parameters)
    if len(components) > 1:
        notes.append("these exposures do not distinguish chi from -chi: both are kept")
    undetermined = {
        name: f"these exposures leave it within {std:.3g} angstrom, and it was known to {prior_std:.3g} before"
        for name, std, prior_std in zip(names, errors, prior_stds, strict=True)
        if std > DETERMINED_SHARE * prior_std
    }
    axes = np.exp(fit.log_scale) * scan_axes(fit.orientation)
    defects = [Defect("rotated scan", None, "fitted", f"scan rotated by {turn:.1f}°")] if turn else []
    if noisy:
        words = f"{noisy} camera pixel{'s' if noisy > 1 else ''} that the others do not predict"
        defects.append(Defect("noisy pixels", noisy, "masked", words))
    measurement = Measurement(
        kind=KIND,
        names=names,
        units=("angstrom",) * len(names),
        components=components,
        undetermined=undetermined,
        misfit=float(np.exp(maxima[0].parameters[-1])),
        electrons=float(sum(exposure.setting.electrons for exposure in exposures)),
        plots=tuple(
            _plot(f"exposure {number + 1}", prepared.spectra, part, maxima[0].parameters, axes)
            for number, (prepared, part) in enumerate(zip(data, fit.blocks, strict=True))
        ),
        notes=tuple(dict.fromkeys(notes)),
        checks=fit_checks(fit, stated),
        defects=tuple(defects),
        contradictions=_against_counting(fit.residuals.noise) + _against_prior(maxima[0].parameters, prior),
        principal=COEFFICIENTS[:3],
    )
    return withhold(measurement, unseen(prior))


def _against_counting(noise: float) -> tuple[str, ...]:
    """What the noise without signal says against the gain; the fit does not rest on it."""
    if 1.0 / MAX_NOISE <= noise <= MAX_NOISE:
        return ()
    cause = (
        "the gain (counts per electron) is not as stated"
        if noise > 1.0
        else "the gain or the dark level is not as stated"
    )
    return (f"the noise is {noise:.2f} times what counting electrons makes: {cause}",)


def _against_prior(parameters: np.ndarray, prior: Prior) -> tuple[str, ...]:
    """What the data say against the prior: it pulls on such coefficients."""
    departure = np.append(parameters[:THIRD] - prior.mean, parameters[THIRD] - prior.thickness[0])
    pulls = departure / np.append(np.sqrt(np.diag(prior.covariance)), prior.thickness[1])
    return tuple(
        f"{name} is {abs(pull):.1f} of its stated errors from what was expected: state a larger error ({{error}}, {{thickness_error}})"
        for name, pull in zip((*COEFFICIENTS, "thickness"), pulls, strict=True)
        if abs(pull) > MAX_PULL
    )


def unseen(prior: Prior) -> Component:
    """What is known without data."""
    covariance = np.diag(np.full(THIRD + 1, prior.thickness[1] ** 2))
    covariance[:THIRD, :THIRD] = prior.covariance
    return Component(1.0, np.concatenate([prior.mean, prior.thickness[:1]]), covariance)


def _width_notes(data: list[Prepared], parameters: np.ndarray) -> list[str]:
    """A note where a film that does not repeat was seen by probes about as wide as the scan."""
    for prepared in data:
        setting, optics = prepared.spectra.setting, prepared.optics
        coefficients = np.concatenate([parameters[:THIRD], np.zeros(len(NAMES) - THIRD)])
        coefficients[0] += setting.c10
        probe_width = 2.0 * max(reach(coefficients, optics.energy, optics.semiangle, setting.tilt, setting.tilt))
        scan_width = setting.step * min(setting.points)
        if not setting.periodic and probe_width > 0.5 * scan_width:
            return [
                (
                    f"the probe is up to {probe_width:.0f} angstrom wide and the scan {scan_width:.0f}: errors may be larger than stated; "
                    "scan a wider field, or go nearer to focus"
                )
            ]
    return []


def _components(fit: FilmFit, precision: np.ndarray, turned: bool) -> tuple[Component, ...]:
    """The readings with their weights; where the scan was ``turned`` by the fit, the error of its rotation is in theirs.

    Where scores scatter more than the model says, by a factor on average over the parameters, log likelihoods differ too much by that factor, and are divided
    by it (Varin, Reid & Firth, Statistica Sinica 21, 5, 2011).
    """
    scatter = np.trace(np.linalg.solve(fit.information, fit.evaluated.scores.T @ fit.evaluated.scores))
    expected = np.trace(
        np.linalg.solve(fit.information, np.sum([part.sum(axis=0) for part in fit.informations], axis=0))
    )
    excess = max(1.0, float(scatter / expected))
    parts: list[tuple[float, np.ndarray, np.ndarray]] = []
    for number, maximum in enumerate(fit.maxima):
        rows, informations_ = fit.evaluated.exposures, fit.informations
        if number:
            blocks = [block(prepared, maximum.parameters[:THIRD]) for prepared in fit.data]
            rows = [scores(part, maximum.parameters)[1] for part in blocks]
            informations_ = [informations(part, maximum.parameters) for part in blocks]
        covariance_, volume = _covariance(rows, informations_, precision)
        if not all(part.spectra.setting.periodic for part in fit.data):
            covariance_ = WINDOW_EXCESS * covariance_
        if turned:
            slope = fit.rotation.slope[: THIRD + 1]
            covariance_ = covariance_ + fit.rotation.std**2 * np.outer(slope, slope)
        parts.append((maximum.log_posterior + volume, maximum.parameters[: THIRD + 1].copy(), covariance_))
    weights = np.exp([(log_posterior - parts[0][0]) / excess for log_posterior, _, _ in parts])
    return tuple(
        Component(float(weight), mean, covariance_)
        for weight, (_, mean, covariance_) in zip(weights / weights.sum(), parts, strict=True)
    )


def _covariance(
    scores: list[np.ndarray], informations: list[np.ndarray], precision: np.ndarray
) -> tuple[np.ndarray, float]:
    """Covariance of coefficients and thickness, and half the log determinant of that of all parameters."""
    rows, parts = (np.concatenate(sum_exposures(arrays)) for arrays in (scores, informations))
    full_covariance, _ = covariance(rows, parts, precision)
    volume = 0.5 * float(np.linalg.slogdet(np.linalg.inv(parts.sum(axis=0) + precision))[1])
    return full_covariance[: THIRD + 1, : THIRD + 1], volume


def _plot(name: str, exposure_spectra: Spectra, part: Block, parameters: np.ndarray, axes: np.ndarray) -> FitPlot:
    """The mean over pixels of |z|^2 over scan frequencies, as it is and as the fit has it; the columns of ``axes`` are the scan's x and y."""
    model, std = (np.asarray(v) for v in expected_power(part, jnp.asarray(parameters)))
    data = (np.abs(exposure_spectra.z) ** 2).mean(axis=1)
    ny, nx = exposure_spectra.setting.points
    step = 1.0 / (exposure_spectra.setting.step * np.array([nx, ny]))
    index = np.rint(exposure_spectra.q @ np.linalg.inv(axes).T / step).astype(int)
    reach = int(np.abs(index).max())

    def image(values: np.ndarray) -> np.ndarray:
        pixels = np.full((2 * reach + 1, 2 * reach + 1), np.nan)
        pixels[reach + index[:, 1], reach + index[:, 0]] = values
        pixels[reach - index[:, 1], reach - index[:, 0]] = values
        return pixels

    x, y = (reach + 0.5) * step
    return FitPlot(name, image(data), image(model), image((data - model) / std), (-x, x, -y, y), "1/angstrom")
