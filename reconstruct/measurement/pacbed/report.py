"""A fitted pattern as a measurement: components, checks, what is undetermined and why, contradictions and defects."""

import dataclasses
import math

import numpy as np

from reconstruct.measurement.measurement import Component, FitPlot, Measurement, withhold
from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.pacbed.checks import fit_checks
from reconstruct.measurement.pacbed.explore import Explored
from reconstruct.measurement.pacbed.fit import Fit, Maximum
from reconstruct.measurement.pacbed.model import INDEX, NAMES
from reconstruct.measurement.pacbed.model_error import NARROW
from reconstruct.measurement.pacbed.prior import STATED, Prior

REPORTED = {
    "thickness": "angstrom", "tilt.x": "radian", "tilt.y": "radian", "semiangle": "radian", "centre.x": "pixel", "centre.y": "pixel",
    "scale": "1", "rotation": "radian", "thermal": "1",
}  # fmt: skip
"""Reported quantities with units; scale is the camera length over the nominal one, thermal <u^2> over the library's."""
PRINCIPAL = ("thickness", "tilt.x", "tilt.y")
"""What such a pattern is recorded for."""
INTERVAL_FACTOR = 1.645
"""Standard errors to either side of a 90 % interval."""
END_OF_RANGE = 2.0
"""Angstrom from the end of the thicknesses that are searched, within which a thickness lies at it."""
SAME_SIZE = 0.03
"""Share by which the disk on the camera may differ from the stated one where its angles are called wrong by one factor."""
_INDICES = [INDEX[name] for name in REPORTED]


def prior_only(prior: Prior, reason: str, electrons: float) -> Measurement:
    """Only what was known before."""
    return Measurement(
        "PACBED", tuple(REPORTED), tuple(REPORTED.values()), (_prior_component(prior),), dict.fromkeys(REPORTED, reason),
        electrons=electrons, principal=PRINCIPAL,
    )  # fmt: skip


def report(explored: Explored, stated: Prior, electrons: float, precision: float) -> Measurement:
    """The measurement of what was explored, where ``stated`` was known before."""
    fit, maxima = explored.fit, explored.maxima
    best, error = maxima[0], fit.error
    plots, checks = _plots(fit, best), fit_checks(fit, best)
    if best.theta[0] > fit.frame.library.thickest - END_OF_RANGE and all(check.passed for check in checks):
        reason = f"the best thickness is at the end of the range that was searched, {best.theta[0] / 10:.1f} nm: raise {{thickest}}"
        return dataclasses.replace(
            prior_only(stated, reason, electrons), misfit=best.misfit, plots=plots, checks=checks
        )
    shares = np.exp([best.cost - maximum.cost for maximum in maxima])
    components = []
    for share, maximum in zip(shares / shares.sum(), maxima, strict=True):
        covariance = maximum.covariance + np.diag(_hidden_errors(fit, maximum) ** 2)
        components.append(Component(float(share), maximum.theta[_INDICES], covariance[np.ix_(_INDICES, _INDICES)]))
    measurement = Measurement(
        "PACBED", tuple(REPORTED), tuple(REPORTED.values()), tuple(components), {}, best.misfit, electrons, plots,
        checks=checks, defects=_defects(explored), contradictions=_contradictions(explored, stated), principal=PRINCIPAL,
    )  # fmt: skip
    if measurement.failed_checks:
        measurement = dataclasses.replace(measurement, contradictions=())
    undetermined = {}
    thickness, std = measurement.value("thickness")
    if INTERVAL_FACTOR * std > precision * thickness:
        undetermined["thickness"] = (
            f"{thickness / 10:.1f} nm with a standard error of {std / 10:.2f} nm, {std / thickness:.0%} of it: a crystal this thin, or a pattern this noisy, "
            f"gives no better, and surface layers may hide {error.surface / 10:.2f} nm"
        )
    for name in ("tilt.x", "tilt.y"):
        if measurement.value(name)[1] > 0.5 * fit.sd[INDEX[name]]:
            undetermined[name] = "the pattern narrows the tilt by less than half"
    notes = (
        f"errors of the pattern of {best.relative:.1%} over {error.length * 1e3:.0f} mrad, estimated from this image",
    )
    return withhold(
        dataclasses.replace(_restore_prior(measurement, stated, undetermined), notes=notes), _prior_component(stated)
    )


def _prior_component(prior: Prior) -> Component:
    return Component(1.0, prior.mean[_INDICES], np.diag(prior.sd[_INDICES] ** 2))


def _hidden_errors(fit: Fit, maximum: Maximum) -> np.ndarray:
    """Standard errors [18] that no misfit shows; where the misfit shows larger errors of the model than expected, the others are taken as larger, too."""
    error, thickness = fit.error, maximum.theta[0]
    more = max(1.0, maximum.relative / (2.0 * error.relative))
    edge = error.edge * fit.frame.geometry.pixel / maximum.theta[INDEX["semiangle"]]
    errors = np.zeros(len(NAMES))
    x, y = fit.frame.directions(fit.mean, fine=False)
    narrow = error.narrow if np.hypot(x, y)[fit.mask].max() < NARROW else 0.0
    errors[0] = more * math.hypot(error.surface, error.deep * thickness, narrow)
    errors[1:3] = more * error.lean / thickness
    # an aperture that is not round, or an edge that is not sharp
    errors[INDEX["semiangle"]] = 0.5 * edge * maximum.theta[INDEX["semiangle"]]
    errors[INDEX["scale"]] = 0.5 * edge
    return errors


def _restore_prior(measurement: Measurement, prior: Prior, undetermined: dict[str, str]) -> Measurement:
    """With what is not determined as wide as before, and by itself."""
    if not undetermined:
        return measurement
    indices = [measurement.index(name) for name in undetermined]
    prior_indices = [INDEX[name] for name in undetermined]
    components = []
    for component in measurement.components:
        mean, covariance = component.mean.copy(), component.covariance.copy()
        mean[indices] = prior.mean[prior_indices]
        covariance[indices, :], covariance[:, indices] = 0.0, 0.0
        covariance[indices, indices] = prior.sd[prior_indices] ** 2
        components.append(Component(component.weight, mean, covariance))
    return dataclasses.replace(measurement, components=tuple(components), undetermined=undetermined)


def _contradictions(explored: Explored, stated: Prior) -> tuple[str, ...]:
    """What was stated and the pattern contradicts."""
    best, pixel = explored.maxima[0], 1e3 * explored.fit.frame.geometry.pixel
    hidden, degree = _hidden_errors(explored.fit, best), math.degrees(1.0)
    units = {
        "thickness": (0.1, "nm"), "tilt.x": (1e3, "mrad"), "tilt.y": (1e3, "mrad"), "semiangle": (1e3, "mrad"), "rotation": (degree, "degrees"),
    }  # fmt: skip
    sentences = []
    for name in (name for name in explored.opened if name in STATED):
        at = INDEX[name]
        value, error = float(best.theta[at]), math.sqrt(best.covariance[at, at] + hidden[at] ** 2)
        if name == "scale":
            size = f"{value:.3f} ± {error:.3f} times as large as that"
            sentences.append(
                f"the pixel is stated as {pixel:.4g} mrad, and the pattern is {size}: a pixel is {pixel / value:.4g} mrad"
            )
            continue
        factor, unit = units[name]
        told = f"{factor * stated.mean[at]:.4g} ± {factor * stated.sd[at]:.2g} {unit}"
        sentences.append(
            f"{name} is stated as {told}, and the pattern says {factor * value:.4g} ± {factor * error:.2g} {unit}"
        )
    size = best.theta[INDEX["semiangle"]] * best.theta[INDEX["scale"]] / stated.mean[INDEX["semiangle"]]
    if {"semiangle", "scale"} <= set(explored.opened) and abs(size - 1.0) < SAME_SIZE:
        sentences.append(
            "semiangle and pixel are off by the same factor, as a wrong energy or a wrong lattice constant makes them: check these first"
        )
    return tuple(sentences)


def _defects(explored: Explored) -> tuple[Defect, ...]:
    """Pixels that were left out, and what the camera or the specimen has besides a flat crystal and was fitted."""
    best, opened = explored.maxima[0].theta, explored.opened
    defects, count = [], int(explored.outliers.sum())
    if count:
        words = "1 pixel that the others contradict" if count == 1 else f"{count} pixels that the others contradict"
        defects.append(Defect("outlying pixels", count, "masked", words))
    if explored.shadow is not None:
        count = int(explored.shadow.sum())
        defects.append(Defect("shadow", count, "masked", f"a shadow of {count} pixels, such as a beam stop's"))
    if "background" in opened:
        words = f"an even level with {best[INDEX['background']]:.0%} of the counts"
        defects.append(Defect("dark level", None, "fitted", words))
    if {"ellipticity.x", "ellipticity.xy"} & set(opened):
        size = 200.0 * math.hypot(best[INDEX["ellipticity.x"]], best[INDEX["ellipticity.xy"]])
        defects.append(Defect("ellipse", None, "fitted", f"ellipse of {size:.1f} %"))
    if {"spread.x", "spread.y"} & set(opened):
        x, y = (math.sqrt(max(best[INDEX[name]], 0.0)) for name in ("spread.x", "spread.y"))
        kind = "blur" if min(x, y) > 0.5 * max(x, y) else "descan"
        defects.append(Defect(kind, None, "fitted", f"{kind}: spread by {x:.1f} x {y:.1f} pixels (x, y) rms"))
    if "vacuum" in opened:
        defects.append(
            Defect("vacuum", None, "fitted", f"{best[INDEX['vacuum']]:.0%} of the beam passes beside the crystal")
        )
    if "amorphous" in opened:
        words = f"{best[INDEX['amorphous']]:.0%} of the electrons scattered by amorphous material"
        defects.append(Defect("contamination", None, "fitted", words))
    return tuple(defects)


def _plots(fit: Fit, best: Maximum) -> tuple[FitPlot, ...]:
    y, x = fit.data.shape
    half = 0.5e3 * fit.frame.geometry.pixel
    data = np.where(fit.mask, fit.data, np.nan)
    model = np.where(fit.mask, best.expected, np.nan)
    return (FitPlot("pattern", data, model, best.residual, (-x * half, x * half, y * half, -y * half), "mrad"),)
