"""Evidence of 4D-STEM scans: the rotation between scan and camera, by the field of the specimen's atoms, which has no curl."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from reconstruct.api.measure import measure
from reconstruct.measurement.measurement import Component
from reconstruct.measurement.outcome import DETERMINED, SEVERAL
from reconstruct.measurement.recorded.result import RecordedMeasurement
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from twin.errors import BadInput
from twin.records import Signal

FIELD = "pattern_rotation"
LEAST_PROBES, MOST_PROBES, MOST_PIXELS = 6, 48, 64
"""Probes along a side of the scan that are needed and used, and pixels of a pattern above which it is binned."""
DARK_FIELD, LEAST_DARK = 2.0, 0.2
"""Radii of the bright-field disk beyond which a pattern is dark field, and the share of its pixels that must lie there."""
ERROR = 0.01
"""Radian rms by which axes of scans and cameras are off for other reasons than counting: drift, scan distortion, the camera's mounting."""
SAID = 0.05
"""Weight from which a reading is mentioned."""
PIXEL = 1e-3
"""Radian: the angle that a pixel is taken to span, so that none is needed that the file claims."""
VERIFY = "Record a thin specimen with the beam in focus, or compare a shadow image with the scan."


def rotation(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """The rotation of the scan against the camera; both ends of a direction are readings where nothing tells them apart."""
    del known, values
    reduced = _reduced(signal)
    if isinstance(reduced, str):
        return [], [Gap((FIELD,), reduced, VERIFY)]
    tell("looking for the rotation", None)
    dark = _dark_field(reduced.data)
    try:
        measured = measure("rotation", reduced, gain=1.0, pixel=PIXEL, step=1.0, dark_field=dark)
    except BadInput as error:
        return [], [Gap((FIELD,), f"the rotation was not measured: {error.problem}", error.cure or VERIFY)]
    if measured.outcome not in (DETERMINED, SEVERAL) or "rotation" in measured.undetermined:
        return [], [Gap((FIELD,), f"the rotation was not measured: {_reason(measured)}", VERIFY)]
    return _stated(measured)


def _stated(measured: RecordedMeasurement) -> tuple[list[Evidence], list[Gap]]:
    flipped = sum(part.weight for part in measured.readings if part.mean[1] > 0.5)
    if "flip" in measured.undetermined:
        return [], [Gap((FIELD,), f"the rotation was not measured: {measured.undetermined['flip']}", VERIFY)]
    parts = [part for part in measured.readings if (part.mean[1] > 0.5) == (flipped > 0.5)]
    total = sum(part.weight for part in parts)
    components = tuple(
        Component(part.weight / total, part.mean[:1], part.covariance[:1, :1] + ERROR**2) for part in parts
    )
    said = [f"{math.degrees(part.mean[0]):.1f}" for part in components if part.weight > SAID]
    words = f"The specimen's field makes the scan's x axis lie at {' or '.join(said)} degrees on the camera."
    if flipped > 0.5:
        words += " The camera is mirrored against the scan: a rotation alone does not bring them together."
    if len(said) > 1:
        words += " Nothing in the data tells the two ends apart."
    statement = Statement("rotation of the scan on the camera", {FIELD: 1.0}, "circle", 2.0 * math.pi)
    pictures = tuple(
        Picture("fit", plot, "Centres of mass and the field without curl") for plot in measured.measurement.plots[:1]
    )
    independent = ("high tension", "camera length", "scan step")
    return [
        Evidence("field of the specimen", "data", (statement,), components, words, independent, pictures=pictures)
    ], []


def _reduced(signal: Signal) -> Signal | str:
    """The middle of the scan with patterns of few pixels, or why there is none."""
    data: Any = signal.data
    if data.ndim != 4 or min(data.shape[:2]) < LEAST_PROBES or min(data.shape[2:]) < 8:
        shape = " x ".join(map(str, data.shape))
        return f"the recording has the shape {shape}: no scan of patterns with {LEAST_PROBES} probes each way"
    rows, columns = (max((size - MOST_PROBES) // 2, 0) for size in data.shape[:2])
    part = np.asarray(data[rows : rows + MOST_PROBES, columns : columns + MOST_PROBES], np.float64)
    factor = max(1, math.ceil(max(part.shape[2:]) / MOST_PIXELS))
    ky, kx = (size // factor for size in part.shape[2:])
    part = part[:, :, : ky * factor, : kx * factor].reshape(*part.shape[:2], ky, factor, kx, factor).sum(axis=(3, 5))
    axes = tuple(msgspec.structs.replace(axis, size=size) for axis, size in zip(signal.axes, part.shape, strict=True))
    return msgspec.structs.replace(signal, data=part, axes=axes, claims={}, repeated={}, raw={})


def _dark_field(patterns: np.ndarray) -> float | None:
    """The angle beyond which patterns are dark field, with pixels of `PIXEL`; None where the camera ends before."""
    mean = patterns.mean(axis=(0, 1))
    mean = mean - np.quantile(mean, 0.05)
    radius = math.sqrt(float((mean > 0.5 * np.quantile(mean, 0.98)).sum()) / math.pi)
    rows, columns = (np.arange(size) - 0.5 * (size - 1) for size in mean.shape)
    beyond = np.hypot(rows[:, None], columns[None, :]) > DARK_FIELD * radius
    return DARK_FIELD * radius * PIXEL if beyond.mean() > LEAST_DARK else None


def _reason(measured: RecordedMeasurement) -> str:
    failed = [check.finding for check in measured.checks if not check.passed]
    return (failed or [measured.undetermined.get("rotation", measured.outcome)])[0]
