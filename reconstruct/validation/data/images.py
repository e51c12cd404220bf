"""Evidence of an image: the pixel sizes by the lattice of a known crystal."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reconstruct.api.measure import measure
from reconstruct.measurement.measurement import Component
from reconstruct.measurement.outcome import DETERMINED
from reconstruct.measurement.preparation.prepare import bin_pixels
from reconstruct.measurement.recorded.result import RecordedMeasurement
from reconstruct.validation.data.attempts import fitting_pixels, resolves, slowest_spacing
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.data.specimen import name_of, zone_of
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from reconstruct.validation.judgement.faults import BINNINGS
from twin.errors import BadInput
from twin.records import Signal

PIXELS = ("pixel.x", "pixel.y")
LEAST_PIXELS = 32
LARGEST = 1024
"""Rows and columns of the part that is measured: more adds little and costs time."""
FINE, ENOUGH = 10.0, 256
"""Pixels to the slowest reflection's spacing, and rows and columns, beyond which an image is binned first."""
FACTORS = (10.0, 0.1, *BINNINGS, 100.0, 0.01, 1e3, 1e-3)
"""Factors on the claimed pixel that are tried in turn, each with an error of `SPREAD`, until the lattice fits: other units, other binnings."""
SPREAD, WIDE = 0.1, 0.3
SKEW, SKEWS = 0.03, 2.5
"""Rms by which pixels are not square; and how many times that pixels that are claimed to differ may differ at least."""
SLOW_AXIS = ((0.75, 1.05), (0.2, 2.0), (0.05, 4.5))
"""Shares, and factors on the lattice's error along the slow axis: one image shows a few periods of a slow drift at most, so that its size is known badly
and the error has tails (360 scans, wander of 0.02 to 0.15 angstrom, memories of 0.1 to 1.5 frames: 5 % of deviations beyond 3.2, 1 % beyond 5.8 errors)."""
VERIFY = "Give --specimen, or record a known crystal at these settings."


def lattice(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """The pixel sizes by the lattice of the specimen; a gap where none is known, seen or resolved."""
    if known.specimen is None:
        return [], [Gap(PIXELS, "the specimen is not known, so that nothing in the image has a known size", VERIFY)]
    image = _middle(signal)
    if min(image.shape) < LEAST_PIXELS:
        return [], [
            Gap(PIXELS, f"the image has {image.shape[1]} x {image.shape[0]} pixels: too few for a lattice", VERIFY)
        ]
    reason = ""
    claimed = math.sqrt(values["pixel.x"] * values["pixel.y"])
    skew = max(SKEW, abs(math.log(values["pixel.x"] / values["pixel.y"])) / SKEWS)

    def fit(pixel: float, spread: float, factor: int) -> RecordedMeasurement:
        binned = bin_pixels(image.astype(np.float64), factor) if factor > 1 else image
        return measure(
            "lattice", binned, structure=known.specimen, zone=known.zone, x=known.x, pixel=factor * pixel, pixel_error=spread, skew=skew
        )  # fmt: skip

    tell("looking for the lattice", None)
    try:
        crystal = zone_of(signal, known)
        slowest = slowest_spacing(crystal)
        fitting = fitting_pixels(image.astype(np.float64), crystal, _attempts(claimed), skew)
        # as claimed first: the fit says why it does not fit, and only there a folded lattice is what the claim says it is
        for attempt, (pixel, spread) in enumerate(itertools.chain([(claimed, SPREAD)], fitting)):
            factor = _oversampled(image, pixel, slowest)
            fitted = fit(pixel, spread, factor)
            sizes = [fitted[name][0] / factor for name in ("pixel_x", "pixel_y")]
            if fitted.outcome == DETERMINED and (attempt == 0 or resolves(crystal, max(sizes))):
                return [_evidence(fitted, known, factor)], []
            reason = reason or _reason(fitted)
    except BadInput as error:
        if not reason:
            return [], [Gap(PIXELS, f"the lattice was not measured: {error.problem}", error.cure)]
    cure = "Check the specimen and its zone axis, or record a known crystal."
    return [], [Gap(PIXELS, f"the lattice of {name_of(known)} was not found: {reason}", cure)]


def _oversampled(image: np.ndarray, claimed: float, slowest: float) -> int:
    """By how much an image can be binned, if its pixels are as ``claimed`` (angstrom): what is found then is as exact, and found sooner."""
    return max(min(int(slowest / (FINE * claimed)), min(image.shape) // ENOUGH), 1)


def _attempts(claimed: float) -> Iterator[tuple[float, float]]:
    yield claimed, WIDE
    for factor in FACTORS:
        yield claimed * factor, SPREAD


def _middle(signal: Signal) -> np.ndarray:
    """The middle of an image, or of the first of a stack, at most `LARGEST` pixels each way."""
    data: Any = signal.data
    while data.ndim > 2:
        data = data[0]
    data = np.abs(data) if np.iscomplexobj(data) else data
    rows, columns = (max((size - LARGEST) // 2, 0) for size in data.shape)
    return np.asarray(data[rows : rows + LARGEST, columns : columns + LARGEST])


def _reason(fitted: RecordedMeasurement) -> str:
    failed = [check.finding for check in fitted.checks if not check.passed]
    return (failed or list(fitted.undetermined.values()) or [fitted.outcome])[0]


def _evidence(fitted: RecordedMeasurement, known: Known, factor: int = 1) -> Evidence:
    """The sizes of the pixels; ``factor``: that of the binning before the fit."""
    measured = fitted.measurement
    indices = [measured.index(name) for name in ("pixel_x", "pixel_y")]
    components = []
    for part in measured.readings:
        mean = part.mean[indices]
        relative = part.covariance[np.ix_(indices, indices)] / np.outer(mean, mean)
        for share, times in SLOW_AXIS:
            widened = relative * np.outer([1.0, times], [1.0, times]) + known.cell_error**2
            components.append(Component(part.weight * share, np.log(mean / factor), widened))
    statements = tuple(Statement(f"{name} by the lattice", {name: 1.0}) for name in PIXELS)
    x, y = (math.exp(value) for value in components[0].mean)
    shear, shear_error = fitted["shear"]
    words = f"The lattice of {name_of(known)} makes the pixels {x * 100:.4g} x {y * 100:.4g} pm."
    if abs(shear) > 5.0 * shear_error and abs(shear) > 5e-3:
        words += f" The image is sheared by {100 * shear:.1f} %: drift, or axes of the scan that are not square."
    pictures = tuple(
        Picture("fit", plot, f"The lattice of {name_of(known)} in the image") for plot in measured.plots[:1]
    )
    name = f"lattice of {name_of(known)}"
    return Evidence(
        name,
        "data",
        statements,
        tuple(components),
        words,
        ("high tension", "lens settings", "magnification"),
        pictures=pictures,
    )
