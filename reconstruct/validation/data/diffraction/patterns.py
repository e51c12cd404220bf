"""Evidence of diffraction patterns: the bright-field disk relates semi-angle and pixel."""

import math
from collections.abc import Mapping

import numpy as np

from reconstruct.api.measure import measure
from reconstruct.measurement.measurement import Component
from reconstruct.measurement.outcome import DETERMINED, SEVERAL
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from twin.errors import BadInput
from twin.records import Signal

LEAST_PIXELS = 16
ANGLE = ("pixel.angle.x", "pixel.angle.y")
FREQUENCY = ("pixel.kx", "pixel.ky")
RADIUS_ERROR = 3e-3
"""Relative rms by which the radius of a disk is off the semi-angle for other reasons than counting: distortion by the projector, shape of the aperture."""


def disk(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """The radius of the bright-field disk in pixels: semi-angle over angle of a pixel."""
    del known
    fields = ("convergence_semiangle", *(ANGLE if ANGLE[0] in values else FREQUENCY))
    if "convergence_semiangle" not in values:
        return [], []
    pattern = _averaged(signal)
    if min(pattern.shape) < LEAST_PIXELS:
        return [], [
            Gap(fields, f"the pattern has {pattern.shape[1]} x {pattern.shape[0]} pixels: too few for a disk", "")
        ]
    tell("looking for the disk", None)
    try:
        measured = measure("disk", pattern)
    except BadInput as error:
        return [], [Gap(fields, f"the disk was not measured: {error.problem}", error.cure)]
    if measured.outcome not in (DETERMINED, SEVERAL) or "radius" in measured.undetermined:
        reason = [check.finding for check in measured.checks if not check.passed] or [
            measured.undetermined.get("radius", measured.outcome)
        ]
        return [], [
            Gap(fields, f"the disk was not measured: {reason[0]}", "Record a pattern of the direct beam in vacuum.")
        ]
    radius, error = measured["radius"]
    half = dict.fromkeys(fields[1:], -0.5)
    terms = {"convergence_semiangle": 1.0, **half} | ({} if fields[1] in ANGLE else {"wavelength": -1.0})
    statement = Statement("radius of the disk", terms)
    variance = (error / radius) ** 2 + RADIUS_ERROR**2
    part = Component(1.0, np.array([math.log(radius)]), np.array([[variance]]))
    words = f"The bright-field disk has a radius of {radius:.4g} pixels."
    pictures = tuple(Picture("fit", plot, "The bright-field disk") for plot in measured.measurement.plots[:1])
    return [
        Evidence("bright-field disk", "data", (statement,), (part,), words, ("lens settings",), pictures=pictures)
    ], []


def _averaged(signal: Signal) -> np.ndarray:
    """The sum of all patterns."""
    data = np.asarray(signal.data)
    return data.reshape(-1, *data.shape[-2:]).sum(axis=0, dtype=np.float64) if data.ndim > 2 else data
