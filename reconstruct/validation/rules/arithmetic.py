"""Arithmetic within a file: numbers that follow from one another, and numbers that are stated twice.

Such rules say that numbers contradict each other; where they agree it is no evidence for them, since one may have been computed from the other.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from reconstruct.measurement.measurement import Component
from reconstruct.validation.evidence import Contradiction, Evidence, Statement, gaussian
from twin.channels import field
from twin.optics.electrons import ELEMENTARY_CHARGE
from twin.records import Claim, Signal
from twin.units import value_text

REPEATED_TOLERANCE = 0.01
"""Relative difference up to which two statements of one number are one: programs round them, or mean the set and the read value."""
RULE_ERROR = 2e-3
"""Relative rms of a rule beyond the rounding of its numbers: centres or edges of pixels, times of shutters."""
MAX_OVERHEAD = 3.0
"""Largest ratio of a line's time to that of its pixels: flyback and settling."""
ENDLESS = 1e6
CAMERA_PIXELS = {
    "ultrascan": 14.0,
    "ceta": 14.0,
    "oneview": 15.0,
    "k2": 5.0,
    "k3": 5.0,
    "empad": 150.0,
    "merlin": 55.0,
    "medipix": 55.0,
}
"""Micrometres: pixels of cameras by a part of their names (makers' data sheets)."""
PLACEMENTS = ((0.3, RULE_ERROR), (0.7, 0.25))
"""Shares of cameras, and rms (log) by which their own magnification differs from that for which the camera length is given: none where the calibration was
computed from it, up to a factor of 1.3 where it was measured (a Ceta of a Titan: 1.32)."""


def rules(claims: Mapping[str, Claim], signal: Signal) -> Iterator[Evidence]:
    """Evidence of source "arithmetic" for a recording: fields of view, times of lines and frames, dose."""
    rows, columns = _shape(claims, signal)
    yield from _camera_geometry(claims)
    for side, count in (("x", columns), ("y", rows)):
        if count:
            terms = {f"field_of_view.{side}": 1.0, f"pixel.{side}": -1.0}
            yield _rule(
                f"field of view = pixels x pixel size along {side}", terms, math.log(count), 1.0 / count, claims
            )
    if signal.kind.startswith("spectrum"):  # the times of lines and frames are those of another scan
        yield from _elapsed(claims, rows, columns)
        return
    if columns:
        low, high = 0.0, math.log(MAX_OVERHEAD)
        yield _between(
            "a line takes its pixels' time and a flyback",
            {"line_time": 1.0, "dwell": -1.0},
            math.log(columns),
            low,
            high,
            claims,
        )
    if rows:
        yield _between(
            "a frame takes its lines' time",
            {"frame_time": 1.0, "line_time": -1.0},
            math.log(rows),
            0.0,
            math.log(1.0 + 3.0 / rows) + 0.02,
            claims,
        )
    if rows and columns and "line_time" not in claims:
        low, high = 0.0, math.log(MAX_OVERHEAD)
        yield _between(
            "a frame takes its pixels' time and flybacks",
            {"frame_time": 1.0, "dwell": -1.0},
            math.log(rows * columns),
            low,
            high,
            claims,
        )
    terms = {"dose": 1.0, "beam_current": -1.0, "dwell": -1.0, "pixel.x": 1.0, "pixel.y": 1.0}
    yield _rule("dose = current x dwell time / area of a pixel", terms, -math.log(ELEMENTARY_CHARGE), 0.01, claims)
    yield from _elapsed(claims, rows, columns)


def usable(evidence: Iterator[Evidence], claims: Mapping[str, Claim]) -> list[Evidence]:
    """Those rules whose fields are all claimed, as positive numbers."""

    def stated(name: str) -> bool:
        claim = claims.get("high_tension" if name == "wavelength" else name)
        return claim is not None and not isinstance(claim.value, str) and float(claim.value) > 0.0

    return [item for item in evidence if all(stated(name) for name in item.fields)]


def repeats(claims: Mapping[str, Claim], repeated: Mapping[str, tuple[Claim, ...]]) -> Iterator[Contradiction]:
    """Fields that a file states twice with different values. A dispersion may be that of unbinned channels."""
    for name, others in repeated.items():
        first, item = claims[name], field(name)
        if item.form in ("text", "time") or isinstance(first.value, str):
            continue
        for other in others:
            if _same(name, first, other, claims):
                continue
            words = (
                f"the file states it twice: {first.text or value_text(float(first.value), item.unit)} ({first.key}) and "
                f"{other.text or value_text(float(other.value), item.unit)} ({other.key})"
            )
            yield Contradiction(name, "disagrees", words)
            break


def _same(name: str, first: Claim, other: Claim, claims: Mapping[str, Claim]) -> bool:
    a, b = float(first.value), float(other.value)
    if a == 0.0 or b == 0.0:  # one of them was not reported
        return True
    slack = first.step + other.step
    if abs(a - b) <= REPEATED_TOLERANCE * max(abs(a), abs(b)) + slack:
        return True
    binned = claims.get("binning.x")
    ratio = max(abs(a), abs(b)) / min(abs(a), abs(b))
    return (
        name in ("dispersion", "pixel.x", "pixel.y")
        and binned is not None
        and abs(ratio - float(binned.value)) < REPEATED_TOLERANCE * ratio
    )


def _camera_geometry(claims: Mapping[str, Claim]) -> Iterator[Evidence]:
    """The pixel of a pattern is that of the camera over wavelength and camera length: exactly, or times the camera's own magnification."""
    pixel = claims.get("camera_pixel")
    name = str(claims["detector"].value).lower() if "detector" in claims else ""
    size = (
        float(pixel.value)
        if pixel is not None
        else next((1e4 * um for word, um in CAMERA_PIXELS.items() if word in name), 0.0)
    )
    if not size > 0.0:
        return
    mean = np.array([math.log(size)])
    components = tuple(Component(share, mean, np.array([[error**2]])) for share, error in PLACEMENTS)
    for side in ("x", "y"):
        common = {"camera_length": 1.0, f"binning.{side}": -1.0}
        for pattern, more in ((f"pixel.k{side}", {"wavelength": 1.0}), (f"pixel.angle.{side}", {})):
            label = f"pattern pixel = camera pixel / {'(wavelength x camera length)' if more else 'camera length'}, along {side}"
            yield Evidence(label, "arithmetic", (Statement(label, {pattern: 1.0, **common, **more}),), components, "")


def _elapsed(claims: Mapping[str, Claim], rows: int, columns: int) -> Iterator[Evidence]:
    """A recording cannot take less time than its pixels."""
    start, end = claims.get("time.start"), claims.get("time.end")
    if start is None or end is None or start.zone != end.zone or not rows or not columns:
        return
    seconds = (int(end.value) - int(start.value)) * 1e-9
    rounding = (start.step + end.step) * 1e-9
    if seconds > 0.0:
        longest = math.log((seconds + rounding) / (rows * columns))
        middle = 0.5 * math.log(ENDLESS)
        yield _plain(
            "the pixels' time fits between start and end", {"dwell": 1.0}, longest - middle, middle, RULE_ERROR
        )


def _shape(claims: Mapping[str, Claim], signal: Signal) -> tuple[int, int]:
    """Rows and columns of the scan or image: as stated, or those of the data; 0 where there are none. A file may hold a part of what was recorded."""
    stated = [int(float(claims[name].value)) if name in claims else 0 for name in ("rows", "columns")]
    if min(stated) > 0:
        return stated[0], stated[1]
    shape = signal.data.shape
    plane = shape[:-1] if signal.kind.startswith("spectrum") else shape[:2] if len(shape) >= 4 else shape[-2:]
    return (int(plane[-2]), int(plane[-1])) if len(plane) >= 2 else (0, 0)


def _rule(name: str, terms: Mapping[str, float], value: float, slack: float, claims: Mapping[str, Claim]) -> Evidence:
    return _plain(name, terms, value, slack + _rounding(terms, claims), RULE_ERROR)


def _between(
    name: str, terms: Mapping[str, float], value: float, low: float, high: float, claims: Mapping[str, Claim]
) -> Evidence:
    """A ratio that lies between ``low`` and ``high`` (logarithms) above ``value``."""
    return _plain(name, terms, value + 0.5 * (low + high), 0.5 * (high - low) + _rounding(terms, claims), RULE_ERROR)


def _plain(name: str, terms: Mapping[str, float], value: float, tolerance: float, error: float) -> Evidence:
    statement = Statement(name, terms)
    return Evidence(name, "arithmetic", (statement,), gaussian([value], [error]), "", tolerance=(tolerance,))


def _rounding(terms: Mapping[str, float], claims: Mapping[str, Claim]) -> float:
    """Relative rounding of the numbers as they are written."""
    total = 0.0
    for name, power in terms.items():
        claim = claims.get(name)
        if claim is not None and not isinstance(claim.value, str) and float(claim.value) != 0.0:
            total += abs(power) * 0.5 * claim.step / abs(float(claim.value))
    return total
