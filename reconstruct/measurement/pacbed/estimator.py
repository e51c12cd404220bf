"""Thickness and tilt from a position-averaged convergent-beam pattern: forward model, counting noise and model error.

A coarse search covers all thicknesses and tilts of a library; the likeliest are refined by Gauss-Newton over all of `pacbed.model.NAMES` with the relative
error of `pacbed.model_error` marginalised, and every maximum that the image allows is kept as a component with Laplace's weight and covariance.
After J. M. LeBeau, S. D. Findlay, L. J. Allen and S. Stemmer, Ultramicroscopy 110 (2010) 118, who compare by eye or by least squares.
"""

import math

import numpy as np
from jaxtyping import Shaped

from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.pacbed.explore import explore, search_region
from reconstruct.measurement.pacbed.model import Frame, Geometry
from reconstruct.measurement.pacbed.model_error import ModelError
from reconstruct.measurement.pacbed.prior import prior_of
from reconstruct.measurement.pacbed.report import prior_only, report
from twin import checks
from twin.checks import finite, positive, require
from twin.detection.camera import Camera
from twin.scattering.pacbed.patterns import Library

__all__ = ["Geometry", "ModelError", "measure_pacbed"]

MIN_ELECTRONS = 2000.0
"""Fewer electrons are not fitted."""
MIN_USABLE = 0.4
"""Share of the pixels that is needed."""


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
    ``precision`` of itself to either side is undetermined, and as wide as it was before. A pattern without electrons or a saturated one determines nothing, and
    one of another structure fails the checks. What was known before and the pattern contradicts is fitted without it and named in ``contradictions``.
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
    stated = prior_of(frame, thickness_prior, tilt, tilt_error, semiangle_error, total_electrons)
    rejection = _rejection(data, camera, usable, total_electrons)
    searched = search_region(frame, electrons, usable, stated) if rejection is None else None
    if searched is None:
        return prior_only(stated, rejection or "the camera shows too little of the pattern", total_electrons)
    return report(explore(frame, data, searched, stated, error), stated, total_electrons, precision)


def _rejection(data: np.ndarray, camera: Camera, usable: np.ndarray, electrons: float) -> str | None:
    """Why an image is rejected, or None."""
    if usable.mean() < MIN_USABLE:
        full = float((data >= camera.saturation).mean())
        return f"{1.0 - usable.mean():.0%} of the pixels are not numbers or saturated ({full:.0%}); {MIN_USABLE:.0%} of them are needed"
    if electrons < MIN_ELECTRONS:
        return f"{max(electrons, 0.0):.0f} electrons in all; a pattern has at least {MIN_ELECTRONS:.0f}"
    bright = data >= np.quantile(data[np.isfinite(data)], 0.98)
    if (data[bright] >= camera.saturation).mean() > 0.2:
        return "the brightest part of the pattern is saturated; record it with fewer electrons"
    return None
