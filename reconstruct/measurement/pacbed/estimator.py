"""Thickness and tilt from a position-averaged convergent-beam pattern: forward model, counting noise and model error.

A coarse search covers all thicknesses and tilts of a library; the likeliest are refined by Gauss-Newton over all of `pacbed.model.NAMES` with the relative
error of `pacbed.model_error` marginalised, and every maximum that the image allows is kept as a component with Laplace's weight and covariance.
After J. M. LeBeau, S. D. Findlay, L. J. Allen and S. Stemmer, Ultramicroscopy 110 (2010) 118, who compare by eye or by least squares.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Shaped

from reconstruct.measurement.measurement import Component, FitPlot, Measurement
from reconstruct.measurement.pacbed.fit import Fit, Maximum, find_maxima
from reconstruct.measurement.pacbed.model import NAMES, Frame, Geometry
from reconstruct.measurement.pacbed.model_error import ModelError
from reconstruct.measurement.pacbed.search import candidates, centres
from twin import checks
from twin.checks import finite, positive, require
from twin.detection.camera import Camera
from twin.scattering.pacbed.patterns import Library

__all__ = ["Geometry", "ModelError", "measure_pacbed"]

REPORTED = {
    "thickness": "angstrom", "tilt.x": "radian", "tilt.y": "radian", "semiangle": "radian", "centre.x": "pixel", "centre.y": "pixel",
    "scale": "1", "rotation": "radian", "thermal": "1",
}  # fmt: skip
"""Reported quantities with units; scale is the camera length over the nominal one, thermal <u^2> over the library's."""
STARTS_PER_CENTRE, TOTAL_STARTS = 3, 9
"""Starts for each possible centre, and starts in all that are refined."""
INTERVAL_FACTOR = 1.645
"""Standard errors to either side of a 90 % interval."""
MIN_ELECTRONS = 2000.0
"""Fewer electrons are not fitted."""
MAX_ERROR_RATIO = 6.0
"""A pattern that is wrong by so many times what was expected of the model is of another structure."""


def measure_pacbed(
    image: Shaped[np.ndarray, "..."],
    library: Library,
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
    """Thickness and tilt of the crystal of ``library`` from a position-averaged pattern: ``image`` [y, x] in counts of ``camera`` (default: perfect), NaN where
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
    disk = library.semiangle / geometry.pixel
    require(
        2.0 <= disk <= 0.45 * min(data.shape),
        f"a semi-angle of {library.semiangle} rad is {disk:.1f} pixels of {geometry.pixel} rad on a camera of {data.shape}; "
        "give the pixel in radian, or a camera that shows the whole disk with at least 2 pixels for its radius",
    )
    for name, value in (("tilt_error", tilt_error), ("semiangle_error", semiangle_error), ("precision", precision)):
        positive(name, value, "give what is known before, above zero")
    finite("tilt", tilt, "give the specimen tilt (x, y) in radian")
    require(
        math.hypot(*tilt) <= library.tilted,
        f"tilt is {tilt} rad, and the library goes up to {library.tilted}; build one for more",
    )
    if thickness is not None:
        positive("thickness", thickness, "give (mean, standard error) in angstrom", "angstrom")
    frame = Frame(library, geometry, camera, data.shape)
    electrons = (data - float(camera.dark)) / np.where(frame.gains > 0.0, frame.gains, np.nan)
    usable = np.isfinite(electrons) & (data < camera.saturation)
    total_electrons = float(electrons[usable].sum()) if usable.any() else 0.0
    span = (library.thinnest, library.thickest)
    thickness_prior = thickness or (0.5 * sum(span), (span[1] - span[0]) / math.sqrt(12.0))
    scale = math.log(max(1.05 * total_electrons, 1.0))
    centre = geometry.centre or (0.0, 0.0)
    mean = np.array([
        thickness_prior[0], *tilt, library.semiangle, *centre, 1.0, *geometry.ellipticity, geometry.rotation, 0.0, scale, 0.01, 1.0, 0.02, 1.0,
    ])  # fmt: skip
    sd = np.array([
        thickness_prior[1], tilt_error, tilt_error, semiangle_error * library.semiangle, geometry.centre_error, geometry.centre_error,
        geometry.scale_error, geometry.ellipticity_error, geometry.ellipticity_error, geometry.rotation_error,
        0.2, 0.2, 0.03, 0.2, 0.03, 0.25,
    ])  # fmt: skip
    rejection = _rejection(data, camera, usable, total_electrons)
    if rejection is not None:
        return _prior_only(mean, sd, rejection, total_electrons)
    start = _starting_points(frame, electrons, usable, mean, sd, disk)
    if start is None:
        return _prior_only(mean, sd, "the camera shows too little of the pattern", total_electrons)
    mask, starts = start
    fit = Fit(frame, data, mask, mean, sd, error)
    rough = dataclasses.replace(error, length=3.0 * error.length, relative=4.0 * error.relative)
    maxima = find_maxima(fit, Fit(frame, data, mask, mean, sd, rough), starts)
    return _report(fit, maxima, total_electrons, precision)


def _rejection(data: np.ndarray, camera: Camera, usable: np.ndarray, electrons: float) -> str | None:
    """Why an image is rejected, or None."""
    if usable.mean() < 0.5:
        full = float((data >= camera.saturation).mean())
        return f"{1.0 - usable.mean():.0%} of the pixels are not numbers or saturated ({full:.0%}); half of them are needed"
    if electrons < MIN_ELECTRONS:
        return f"{max(electrons, 0.0):.0f} electrons in all; a pattern has at least {MIN_ELECTRONS:.0f}"
    bright = data >= np.quantile(data[np.isfinite(data)], 0.98)
    if (data[bright] >= camera.saturation).mean() > 0.2:
        return "the brightest part of the pattern is saturated; record it with fewer electrons"
    return None


def _starting_points(
    frame: Frame, electrons: np.ndarray, usable: np.ndarray, mean: np.ndarray, sd: np.ndarray, disk: float
) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """The pixels to use, and starting parameters: likely thicknesses and tilts about every position where the beam may be."""
    library = frame.library
    radius = library.reach - library.tilted - sd[4] * frame.geometry.pixel
    x, y = frame.directions(mean, fine=False)
    mask = usable & (np.hypot(x, y) < radius)
    if mask.sum() < 4 * len(mean):
        return None
    filled = np.where(usable, electrons, np.median(electrons[usable]))
    positions = [position for position in centres(filled, disk) if np.abs(position - mean[4:6]).max() < 3.0 * sd[4]][:3]
    starts = []
    for position in (*positions, tuple(mean[4:6])):
        parameters = mean.copy()
        parameters[4:6] = position
        for likeness, thickness, (x, y) in candidates(frame, parameters, filled, mask, radius, STARTS_PER_CENTRE):
            parameters = parameters.copy()
            parameters[:3] = thickness, x, y
            starts.append((likeness, parameters))
    starts.sort(key=lambda item: -item[0])
    return mask, [parameters for _, parameters in starts[:TOTAL_STARTS]]


def _prior_only(mean: np.ndarray, sd: np.ndarray, reason: str, electrons: float) -> Measurement:
    """Only what was known before."""
    indices = [NAMES.index(name) for name in REPORTED]
    component = Component(1.0, mean[indices], np.diag(sd[indices] ** 2))
    return Measurement(
        "PACBED",
        tuple(REPORTED),
        tuple(REPORTED.values()),
        (component,),
        dict.fromkeys(REPORTED, reason),
        electrons=electrons,
    )


def _report(fit: Fit, maxima: list[Maximum], electrons: float, precision: float) -> Measurement:
    best, error = maxima[0], fit.error
    plots = _plots(fit, best)
    if best.relative > MAX_ERROR_RATIO * error.relative or best.misfit > MAX_ERROR_RATIO:
        reason = f"the structure does not fit: patterns are {best.relative:.0%} off (misfit {best.misfit:.1f}) at best, {error.relative:.0%} is expected"
        return dataclasses.replace(
            _prior_only(fit.mean, fit.sd, reason, electrons), misfit=best.misfit, plots=plots, notes=(reason,)
        )
    indices = [NAMES.index(name) for name in REPORTED]
    shares = np.exp([best.cost - maximum.cost for maximum in maxima])
    components = []
    for share, maximum in zip(shares / shares.sum(), maxima, strict=True):
        covariance = maximum.covariance + np.diag(_hidden_errors(error, maximum.theta) ** 2)
        components.append(Component(float(share), maximum.theta[indices], covariance[np.ix_(indices, indices)]))
    names = tuple(REPORTED)
    measurement = Measurement(
        "PACBED", names, tuple(REPORTED.values()), tuple(components), {}, best.misfit, electrons, plots
    )
    undetermined = {}
    thickness, std = measurement.value("thickness")
    if INTERVAL_FACTOR * std > precision * thickness:
        undetermined["thickness"] = (
            f"{thickness / 10:.1f} nm with a standard error of {std / 10:.2f} nm, {std / thickness:.0%} of it: a crystal this thin, or a pattern this noisy, "
            f"gives no better, and surface layers may hide {error.surface / 10:.2f} nm"
        )
    for name in ("tilt.x", "tilt.y"):
        if measurement.value(name)[1] > 0.5 * fit.sd[NAMES.index(name)]:
            undetermined[name] = "the pattern narrows the tilt by less than half"
    notes = (
        f"errors of the pattern of {best.relative:.1%} over {error.length * 1e3:.0f} mrad, estimated from this image",
    )
    return dataclasses.replace(_restore_prior(measurement, fit, undetermined), notes=notes)


def _hidden_errors(error: ModelError, theta: np.ndarray) -> np.ndarray:
    """Standard errors [16] that no misfit shows."""
    errors = np.zeros(len(NAMES))
    errors[0] = math.hypot(error.surface, error.deep * theta[0])
    errors[1:3] = error.lean / theta[0]
    return errors


def _restore_prior(measurement: Measurement, fit: Fit, undetermined: dict[str, str]) -> Measurement:
    """With what is not determined as wide as before, and by itself."""
    if not undetermined:
        return measurement
    indices = [measurement.index(name) for name in undetermined]
    prior_indices = [NAMES.index(name) for name in undetermined]
    components = []
    for component in measurement.components:
        mean, covariance = component.mean.copy(), component.covariance.copy()
        mean[indices] = fit.mean[prior_indices]
        covariance[indices, :], covariance[:, indices] = 0.0, 0.0
        covariance[indices, indices] = fit.sd[prior_indices] ** 2
        components.append(Component(component.weight, mean, covariance))
    return dataclasses.replace(measurement, components=tuple(components), undetermined=undetermined)


def _plots(fit: Fit, best: Maximum) -> tuple[FitPlot, ...]:
    y, x = fit.data.shape
    half = 0.5e3 * fit.frame.geometry.pixel
    data = np.where(fit.mask, fit.data, np.nan)
    model = np.where(fit.mask, best.expected, np.nan)
    return (FitPlot("pattern", data, model, best.residual, (-x * half, x * half, y * half, -y * half), "mrad"),)
