"""Thickness and tilt from a position-averaged convergent-beam pattern: the twin's forward model, counting, and what the model may get wrong.

All thicknesses and tilts of a library are looked at coarsely, the likeliest are climbed by Gauss-Newton over all of `pacbed_model.NAMES` with the relative
error of `pacbed_error` marginalised, and every maximum that the image allows is kept as a component with Laplace's weight and covariance.
After J. M. LeBeau, S. D. Findlay, L. J. Allen and S. Stemmer, Ultramicroscopy 110 (2010) 118, who compare by eye or by least squares.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Shaped

from reconstruct.measure.measurement import Component, Measurement, Shown
from reconstruct.measure.pacbed.fit import Fit, Top, climbed
from reconstruct.measure.pacbed.model import NAMES, Frame, Geometry
from reconstruct.measure.pacbed.model_error import ModelError
from reconstruct.measure.pacbed.search import candidates, centres
from twin import checks
from twin.checks import finite, positive, require
from twin.detection.camera import Camera
from twin.scattering.pacbed.patterns import Library

__all__ = ["Geometry", "ModelError", "pacbed"]

TOLD = {
    "thickness": "angstrom", "tilt.x": "radian", "tilt.y": "radian", "semiangle": "radian", "centre.x": "pixel", "centre.y": "pixel",
    "scale": "1", "rotation": "radian", "thermal": "1",
}  # fmt: skip
"""What is told, with units; scale is the camera length over the nominal one, thermal <u^2> over the library's."""
STARTS, TRIED = 3, 9
"""Places of the coarse look for each possible centre, and how many of all are climbed from."""
WITHIN = 1.645
"""Standard errors to either side of a 90 % interval."""
LEAST = 2000.0
"""Electrons without which nothing is tried."""
REFUSED = 6.0
"""A pattern that is wrong by so many times what was expected of the model is of another structure."""


def pacbed(
    image: Shaped[np.ndarray, "..."],
    made: Library,
    geometry: Geometry,
    camera: Camera | None = None,
    *,
    thickness: tuple[float, float] | None = None,
    tilt: tuple[float, float] = (0.0, 0.0),
    tilt_error: float = 5e-3,
    semiangle_error: float = 0.02,
    error: ModelError | None = None,
    precision: float = 0.03,
) -> Measurement:
    """Thickness and tilt of the crystal of ``made`` from a position-averaged pattern: ``image`` [y, x] in counts of ``camera`` (default: perfect), NaN where
    a pixel is not to be used.

    ``thickness`` (mean, standard error in angstrom; default: anything the library holds), ``tilt`` (x, y) with ``tilt_error`` in radian, and the
    semi-angle of the library with its relative ``semiangle_error`` are what was known before. A thickness whose 90 % interval is wider than the share
    ``precision`` of itself to either side is undetermined, and as wide as it was before. A pattern without electrons, a saturated one, or one of
    another structure determines nothing.
    ValueError for an image or a camera that cannot be. A pattern of a probe at rest may be given where its disks do not overlap.
    """
    checks.require_float64()
    camera, error = camera or Camera(), error or ModelError()
    data = np.asarray(image, dtype=np.float64)
    require(
        data.ndim == 2 and min(data.shape) >= 24,
        f"the image has shape {data.shape}; give one pattern [y, x] of at least 24 x 24 pixels",
    )
    disk = made.semiangle / geometry.pixel
    require(
        2.0 <= disk <= 0.45 * min(data.shape),
        f"a semi-angle of {made.semiangle} rad is {disk:.1f} pixels of {geometry.pixel} rad on a camera of {data.shape}; "
        "give the pixel in radian, or a camera that shows the whole disk with at least 2 pixels for its radius",
    )
    for name, value in (("tilt_error", tilt_error), ("semiangle_error", semiangle_error), ("precision", precision)):
        positive(name, value, "give what is known before, above zero")
    finite("tilt", tilt, "give the specimen tilt (x, y) in radian")
    require(
        math.hypot(*tilt) <= made.tilted,
        f"tilt is {tilt} rad, and the library goes up to {made.tilted}; build one for more",
    )
    if thickness is not None:
        positive("thickness", thickness, "give (mean, standard error) in angstrom", "angstrom")
    frame = Frame(made, geometry, camera, data.shape)
    electrons = (data - float(camera.dark)) / np.where(frame.gains > 0.0, frame.gains, np.nan)
    usable = np.isfinite(electrons) & (data < camera.saturation)
    whole = float(electrons[usable].sum()) if usable.any() else 0.0
    span = (made.thinnest, made.thickest)
    known = thickness or (0.5 * sum(span), (span[1] - span[0]) / math.sqrt(12.0))
    scale = math.log(max(1.05 * whole, 1.0))
    start = geometry.centre or (0.0, 0.0)
    mean = np.array([
        known[0], *tilt, made.semiangle, *start, 1.0, *geometry.ellipticity, geometry.rotation, 0.0, scale, 0.01, 1.0, 0.02, 1.0,
    ])  # fmt: skip
    sd = np.array([
        known[1], tilt_error, tilt_error, semiangle_error * made.semiangle, geometry.centre_error, geometry.centre_error,
        geometry.scale_error, geometry.ellipticity_error, geometry.ellipticity_error, geometry.rotation_error,
        0.2, 0.2, 0.03, 0.2, 0.03, 0.25,
    ])  # fmt: skip
    poor = _poor(data, camera, usable, whole)
    if poor is not None:
        return _unknown(mean, sd, poor, whole)
    found = _begun(frame, electrons, usable, mean, sd, disk)
    if found is None:
        return _unknown(mean, sd, "the camera shows too little of the pattern", whole)
    kept, starts = found
    fit = Fit(frame, data, kept, mean, sd, error)
    rough = dataclasses.replace(error, length=3.0 * error.length, relative=4.0 * error.relative)
    tops = climbed(fit, Fit(frame, data, kept, mean, sd, rough), starts)
    return _told(fit, tops, whole, precision)


def _poor(data: np.ndarray, camera: Camera, usable: np.ndarray, electrons: float) -> str | None:
    """Why an image says nothing, if it does."""
    if usable.mean() < 0.5:
        full = float((data >= camera.saturation).mean())
        return f"{1.0 - usable.mean():.0%} of the pixels are not numbers or saturated ({full:.0%}); half of them are needed"
    if electrons < LEAST:
        return f"{max(electrons, 0.0):.0f} electrons in all; a pattern has at least {LEAST:.0f}"
    bright = data >= np.quantile(data[np.isfinite(data)], 0.98)
    if (data[bright] >= camera.saturation).mean() > 0.2:
        return "the brightest part of the pattern is saturated; record it with fewer electrons"
    return None


def _begun(
    frame: Frame, electrons: np.ndarray, usable: np.ndarray, mean: np.ndarray, sd: np.ndarray, disk: float
) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """The pixels to use, and parameters to climb from: likely thicknesses and tilts about every place where the beam may be."""
    made = frame.made
    radius = made.reach - made.tilted - sd[4] * frame.geometry.pixel
    x, y = frame.directions(mean, fine=False)
    kept = usable & (np.hypot(x, y) < radius)
    if kept.sum() < 4 * len(mean):
        return None
    filled = np.where(usable, electrons, np.median(electrons[usable]))
    places = [place for place in centres(filled, disk) if np.abs(place - mean[4:6]).max() < 3.0 * sd[4]][:3]
    found = []
    for place in (*places, tuple(mean[4:6])):
        one = mean.copy()
        one[4:6] = place
        for likeness, deep, (x, y) in candidates(frame, one, filled, kept, radius, STARTS):
            one = one.copy()
            one[:3] = deep, x, y
            found.append((likeness, one))
    found.sort(key=lambda item: -item[0])
    return kept, [one for _, one in found[:TRIED]]


def _unknown(mean: np.ndarray, sd: np.ndarray, why: str, electrons: float) -> Measurement:
    """Only what was known before."""
    places = [NAMES.index(name) for name in TOLD]
    only = Component(1.0, mean[places], np.diag(sd[places] ** 2))
    return Measurement(
        "PACBED", tuple(TOLD), tuple(TOLD.values()), (only,), dict.fromkeys(TOLD, why), electrons=electrons
    )


def _told(fit: Fit, tops: list[Top], electrons: float, precision: float) -> Measurement:
    best, error = tops[0], fit.error
    shown = _pictures(fit, best)
    if best.relative > REFUSED * error.relative or best.misfit > REFUSED:
        why = f"the structure does not fit: patterns are {best.relative:.0%} off (misfit {best.misfit:.1f}) at best, {error.relative:.0%} is expected"
        return dataclasses.replace(
            _unknown(fit.mean, fit.sd, why, electrons), misfit=best.misfit, shown=shown, notes=(why,)
        )
    places = [NAMES.index(name) for name in TOLD]
    shares = np.exp([best.cost - one.cost for one in tops])
    components = []
    for share, one in zip(shares / shares.sum(), tops, strict=True):
        covariance = one.covariance + np.diag(_beyond(error, one.theta) ** 2)
        components.append(Component(float(share), one.theta[places], covariance[np.ix_(places, places)]))
    names = tuple(TOLD)
    whole = Measurement("PACBED", names, tuple(TOLD.values()), tuple(components), {}, best.misfit, electrons, shown)
    undetermined = {}
    deep, wide = whole.value("thickness")
    if WITHIN * wide > precision * deep:
        undetermined["thickness"] = (
            f"{deep / 10:.1f} nm with a standard error of {wide / 10:.2f} nm, {wide / deep:.0%} of it: the pattern of so thin a crystal, or so poor a pattern, "
            f"says no more, with faces that may hide {error.surface / 10:.2f} nm"
        )
    for name in ("tilt.x", "tilt.y"):
        if whole.value(name)[1] > 0.5 * fit.sd[NAMES.index(name)]:
            undetermined[name] = "the pattern narrows the tilt by less than half"
    notes = (
        f"errors of the pattern of {best.relative:.1%} over {error.length * 1e3:.0f} mrad, learnt from this image",
    )
    return dataclasses.replace(_widened(whole, fit, undetermined), notes=notes)


def _beyond(error: ModelError, theta: np.ndarray) -> np.ndarray:
    """Standard errors [16] that no misfit shows."""
    found = np.zeros(len(NAMES))
    found[0] = math.hypot(error.surface, error.deep * theta[0])
    found[1:3] = error.lean / theta[0]
    return found


def _widened(whole: Measurement, fit: Fit, undetermined: dict[str, str]) -> Measurement:
    """With what is not determined as wide as before, and by itself."""
    if not undetermined:
        return whole
    loose = [whole.index(name) for name in undetermined]
    before = [NAMES.index(name) for name in undetermined]
    components = []
    for one in whole.components:
        mean, covariance = one.mean.copy(), one.covariance.copy()
        mean[loose] = fit.mean[before]
        covariance[loose, :], covariance[:, loose] = 0.0, 0.0
        covariance[loose, loose] = fit.sd[before] ** 2
        components.append(Component(one.weight, mean, covariance))
    return dataclasses.replace(whole, components=tuple(components), undetermined=undetermined)


def _pictures(fit: Fit, best: Top) -> tuple[Shown, ...]:
    y, x = fit.data.shape
    half = 0.5e3 * fit.frame.geometry.pixel
    data = np.where(fit.kept, fit.data, np.nan)
    model = np.where(fit.kept, best.expected, np.nan)
    return (Shown("pattern", data, model, best.residual, (-x * half, x * half, y * half, -y * half), "mrad"),)
