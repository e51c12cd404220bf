"""Evidence of counting statistics: counts per electron, and with them the dose of a camera's image."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.measurement.counting.gain import gain_of
from reconstruct.measurement.measurement import Component
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Statement
from twin.records import Signal

LARGEST = 1024
THROUGH = (0.3, 1.02)
"""Shares of the electrons on the specimen that reach a camera's image: the others are scattered beyond the aperture."""
ERROR = 0.02
"""Relative rms of a gain for other reasons than counting: Poisson noise is not all the noise of a detection."""
VERIFY = "Record an image of the beam in vacuum at two intensities."


def counting(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """The gain, and the dose where the image is a camera's; a gap where noise or gain are not told."""
    del known, tell
    fields = tuple(name for name in ("gain", "dose") if name in values)
    image = _image(signal)
    counted = signal.raw.get("unit") == "electrons"
    statements, means, errors, tolerances, words = [], [], [], [], []
    measured = gain_of(image)
    if isinstance(measured, str) and not counted:
        return [], [Gap(fields, f"the noise does not tell the counts per electron: {measured}", VERIFY)]
    if not isinstance(measured, str) and "gain" in values:
        statements.append(Statement("gain by the noise", {"gain": 1.0}))
        means.append(math.log(measured.value))
        errors.append(math.hypot(measured.error / measured.value, ERROR))
        tolerances.append(0.0)
        words.append(f"The noise makes {measured.value:.3g} counts an electron.")
    if {"dose", "pixel.x", "pixel.y"} <= set(values) and not _scanned(signal):
        gain = 1.0 if counted or isinstance(measured, str) else measured.value
        offset = 0.0 if counted or isinstance(measured, str) else measured.offset
        electrons = (float(image.mean()) - max(offset, 0.0)) / gain
        if electrons > 0.0:
            low, high = (math.log(electrons / share) for share in THROUGH[::-1])
            statements.append(Statement("electrons in a pixel", {"dose": 1.0, "pixel.x": 1.0, "pixel.y": 1.0}))
            means.append(0.5 * (low + high))
            errors.append(
                ERROR if counted or isinstance(measured, str) else math.hypot(measured.error / measured.value, ERROR)
            )
            tolerances.append(0.5 * (high - low))
            words.append(
                f"A pixel of the image holds {electrons:.3g} electrons: {THROUGH[0]:.0%} to all of those on the specimen."
            )
    if not statements:
        return [], [
            Gap(fields, "the recording does not hold all electrons of the beam", VERIFY)
        ] if "dose" in values else []
    parts = (Component(1.0, np.array(means), np.diag(np.square(errors))),)
    return [
        Evidence(
            "counting statistics",
            "data",
            tuple(statements),
            parts,
            " ".join(words),
            ("screen current",),
            tolerance=tuple(tolerances),
        )
    ], []


def _scanned(signal: Signal) -> bool:
    """Whether an image was scanned: a detector sees a part of the beam."""
    own = str(signal.raw.get("emtwin.scenario.signal", ""))
    return own == "stem" or any(name in signal.claims for name in ("dwell", "line_time"))


def _image(signal: Signal) -> np.ndarray:
    """The middle of an image, or of the first of a stack."""
    data: Any = signal.data
    while data.ndim > 2:
        data = data[0]
    rows, columns = (max((size - LARGEST) // 2, 0) for size in data.shape)
    return np.asarray(data[rows : rows + LARGEST, columns : columns + LARGEST], np.float64)
